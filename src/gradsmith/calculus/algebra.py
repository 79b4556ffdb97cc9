"""Back from polynomials over kernels to expressions that read well.

:class:`Field` is the algebra of :mod:`gradsmith.calculus.quotients` together with the ways in which
its polynomials can be written: as a sum, ordered by the powers of one kernel, or as a product.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import reduce

from flint import fmpq_mpoly

from gradsmith.calculus.quotients import (
    Quotient,
    QuotientField,
    TooLarge,
    terms_of,
    to_fmpq,
    to_fraction,
)
from gradsmith.calculus.terms import (
    exact_number,
    in_reading_order,
    raised,
    split_coefficient,
    sum_of_terms,
    times,
)
from gradsmith.formula.expression import Call, Expr, Number, Symbol, free_symbols, size, walk
from gradsmith.formula.vocabulary import MUL, POW, exp, sqrt

__all__ = ["Field", "Quotient", "TooLarge", "depends_on", "terms_of", "times"]

MAX_COLLECTED = 40
"""Longer sums are written out: no form of them is one to look at."""

Term = tuple[tuple[int, ...], Fraction]  # powers of the kernels, coefficient


class Field(QuotientField):
    """Quotients of polynomials over kernels, and how to write them as expressions."""

    def polynomial(self, polynomial: fmpq_mpoly, *, thorough: bool = True) -> Expr:
        """A polynomial as a sum: written out, or ordered by powers of one kernel if shorter.

        With ``thorough`` each kernel is tried, otherwise the one that occurs most often.
        """
        terms = terms_of(polynomial)
        forms = [self.sum_of([(value, self.monomial(powers), powers) for powers, value in terms])]
        if 3 <= len(terms) <= MAX_COLLECTED:
            worthwhile = self._worth_collecting(terms)
            for i in worthwhile if thorough else worthwhile[:1]:
                forms.append(self._collected(terms, i))
        return min(forms, key=size)

    def _worth_collecting(self, terms: list[Term]) -> list[int]:
        """The kernels of which some power occurs more than once, the most frequent one first."""
        found = []
        for i in range(len(self.kernels)):
            counts = Counter(powers[i] for powers, _ in terms)
            del counts[0]
            if counts and max(counts.values()) > 1:
                found.append((-counts.total(), i))
        return [i for _, i in sorted(found)]

    def _collected(self, terms: list[Term], i: int) -> Expr:
        groups: dict[int, list[Term]] = {}
        for powers, value in terms:
            rest = (*powers[:i], 0, *powers[i + 1 :])
            groups.setdefault(powers[i], []).append((rest, value))
        parts = []
        for power, group in groups.items():
            # Each kernel within each kernel would be tried in every order.
            content, factors = self.product(self.from_terms(group), thorough=False)
            alone = tuple(power if j == i else 0 for j in range(len(self.kernels)))
            product = [raised(f, n) for f, n in [*factors, (self.monomial(alone), 1)]]
            parts.append((content, in_reading_order(product), alone))
        return self.sum_of(parts)

    @staticmethod
    def sum_of(parts: list[tuple[Fraction, Expr, tuple[int, ...]]]) -> Expr:
        """A sum of (coefficient, factor, its powers): first the positive, low degrees first."""
        return sum_of_terms(
            (value, factor)
            for value, factor, _ in sorted(
                parts, key=lambda part: (part[0] < 0, sum(part[2]), [-power for power in part[2]])
            )
        )

    def monomial(self, powers: tuple[int, ...]) -> Expr:
        """A product of powers of kernels: constants, then symbols, then functions."""
        factors: list[Expr] = []
        radicands: list[Expr] = []
        for kernel, power in zip(self.kernels, self._named_again(powers), strict=False):
            if not power:
                continue
            if isinstance(kernel, Call) and kernel.function is exp:
                coefficient, rest = split_coefficient(kernel.args[0])
                factors.append(exp(times(power * coefficient, rest)))
            elif isinstance(kernel, Call) and kernel.function is POW:
                base, exponent = kernel.args[0], exact_number(kernel.args[1])
                if power == 1 and exponent == Fraction(1, 2) and not free_symbols(base):
                    radicands.append(base)
                elif exponent is not None:
                    factors.append(raised(base, power * exponent))
                else:
                    factors.append(raised(kernel, power))
            else:
                factors.append(raised(kernel, power))
        if radicands:
            radicands.sort(key=lambda node: not isinstance(node, Number))
            factors.insert(0, sqrt(reduce(MUL, radicands)))
        return in_reading_order(factors)

    def _named_again(self, powers: tuple[int, ...]) -> list[int]:
        """sign(x)·|x| is x again (see :meth:`_unsigned`)."""
        result = list(powers)
        for sign_at, bare, size_at in self._signs:
            if bare is not None and sign_at is not None and result[sign_at] and result[size_at]:
                result[sign_at], result[size_at] = result[sign_at] - 1, result[size_at] - 1
                result[bare] += 1
        return result

    def product(
        self, polynomial: fmpq_mpoly, *, thorough: bool = True
    ) -> tuple[Fraction, list[tuple[Expr, int]]]:
        """A polynomial as content and irreducible factors with their powers."""
        if polynomial.is_zero():
            return Fraction(0), []
        content, factors = polynomial.factor()
        value = to_fraction(content)
        result = []
        alone = [0] * len(self.kernels)
        for factor, power in self._merged([(f, int(power)) for f, power in factors]):
            if self._reads_better_negated(factor):
                factor, value = -factor, value * (-1) ** power
            if len(factor) == 1:
                ((powers, coefficient),) = terms_of(factor)
                value *= coefficient**power
                for i, exponent in enumerate(powers[: len(alone)]):
                    alone[i] += exponent * power
            else:
                scale = self._scale(factor)
                value *= scale**power
                written = self.polynomial(factor / to_fmpq(scale), thorough=thorough)
                result.append((written, power))
        if any(alone):
            result.append((self.monomial(tuple(alone)), 1))
        return value, result

    @staticmethod
    def _merged(factors: list[tuple[fmpq_mpoly, int]]) -> list[tuple[fmpq_mpoly, int]]:
        """Join factors whose product is no longer than they are: (1 − y)(1 + y) is 1 − y²."""
        merged: list[tuple[fmpq_mpoly, int]] = []
        for factor, power in factors:
            for i, (other, other_power) in enumerate(merged):
                joined = other * factor
                if len(factor) > 1 and power == other_power and len(joined) <= len(other):
                    merged[i] = joined, power
                    break
            else:
                merged.append((factor, power))
        return merged

    @staticmethod
    def _scale(factor: fmpq_mpoly) -> Fraction:
        """The lowest term's coefficient where whole numbers get long: 1 + 0.044715x²."""
        terms = terms_of(factor)
        if max(abs(value.numerator) for _, value in terms) < 1000:
            return Fraction(1)
        return min(terms, key=lambda term: sum(term[0]))[1]

    def quotient_term(self, above: tuple[int, ...], below: tuple[int, ...]) -> Expr:
        """One monomial over another; exponentials go above."""
        powers = [a - b for a, b in zip(above, below, strict=True)]
        top, bottom = list(powers), [0] * len(powers)
        for i, (power, kernel) in enumerate(zip(powers, self.kernels, strict=False)):
            if power < 0 and not (isinstance(kernel, Call) and kernel.function is exp):
                top[i], bottom[i] = 0, -power
        numerator = self.monomial(tuple(top))
        return numerator / self.monomial(tuple(bottom)) if any(bottom) else numerator

    @staticmethod
    def _reads_better_negated(factor: fmpq_mpoly) -> bool:
        # `1 - y` reads better than `y - 1`: the constant term decides, else the majority.
        terms = dict(terms_of(factor))
        constant = next((c for powers, c in terms.items() if not any(powers)), None)
        if constant is not None:
            return bool(constant < 0)
        return sum(1 if c > 0 else -1 for c in terms.values()) < 0


def depends_on(node: Expr, symbol: Symbol) -> bool:
    """Whether ``symbol`` occurs in ``node``."""
    return any(part is symbol for part in walk(node))
