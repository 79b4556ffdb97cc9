"""Expressions as quotients of polynomials over kernels: the algebra behind simplification.

Over its kernels (see :mod:`gradsmith.calculus.kernels`) an expression is a quotient of two
polynomials with rational coefficients, where FLINT's exact ``fmpq_mpoly`` cancels and factors in
microseconds. Kernels that depend on each other are unified first: ``exp(-x)`` and ``exp(2*x)`` are
powers of one kernel, ``sigmoid(-x)`` is ``1 - sigmoid(x)``, ``√x·√x`` is ``x``, ``x·sign(x)`` is
``|x|``.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import reduce
from math import comb, lcm, prod
from typing import NamedTuple

from flint import Ordering, fmpq, fmpq_mpoly, fmpq_mpoly_ctx

from gradsmith.calculus.kernels import (
    MAX_POWER,
    REFLECTED,
    arithmetic,
    canonical,
    integer_power,
    occurrences,
    root_degree,
)
from gradsmith.calculus.terms import common_divisor, exact_number, split_coefficient, times
from gradsmith.formula.expression import Call, Expr, Function, Number
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, POW, SUB, abs_, exp, sign

MAX_TERMS = 1500
"""A quotient with more terms than this is no simplification any more."""

MAX_DEGREE = 4096
"""Nor one of a higher degree; both keep the algebra within milliseconds."""


class TooLarge(Exception):  # noqa: N818  (a signal among these modules, no user's error)
    """The quotient has grown beyond :data:`MAX_TERMS` or :data:`MAX_DEGREE`."""


class Quotient(NamedTuple):
    """``numerator / denominator`` over the kernels of one :class:`QuotientField`."""

    numerator: fmpq_mpoly
    denominator: fmpq_mpoly


class QuotientField:
    """The field of quotients over the kernels that the given expressions need together.

    Attributes:
        kernels: one expression per generator of the polynomial ring.

    Raises:
        ZeroDivisionError: on the way to a quotient, an expression divides by zero everywhere.
        TooLarge: its quotient is too long to be of use.
    """

    def __init__(self, *roots: Expr) -> None:
        self._skeletons = {root: canonical(root) for root in roots}
        self._coefficients: dict[Expr, dict[Fraction, None]] = {}  # m -> every c of exp(c·m)
        self._units: dict[Expr, dict[Fraction, Fraction]] = {}  # m -> |c| -> u of exp(u·m)
        self._degrees: dict[Expr, int] = {}  # radicand -> q of the kernel radicand**(1/q)
        self._directions: dict[tuple[Function, Fraction, Expr], int] = {}
        self._arguments: dict[Expr, Expr] = {}  # of roots and sizes, in canonical form
        self._index: dict[Expr, int] = {}
        self.kernels: list[Expr] = []
        for skeleton in self._skeletons.values():
            self._survey(skeleton)
        for rest, coefficients in self._coefficients.items():
            self._units[rest] = _units(list(coefficients))
        for skeleton in self._skeletons.values():
            for leaf in occurrences(skeleton):
                self._enter(leaf)
        names = tuple(f"k{i}" for i in range(len(self.kernels))) or ("k0",)
        self._ring = fmpq_mpoly_ctx.get(names, Ordering.lex)
        self._generators = self._ring.gens()
        self._one = self._ring.constant(1)
        self._signs = self._find_signs()
        self._relations = self._find_relations()

    # -- kernels ---------------------------------------------------------------------------

    def _survey(self, skeleton: Expr) -> None:
        """Find each exponent's coefficients, the degree of each root, the way each σ points."""
        for leaf in occurrences(skeleton):
            if not isinstance(leaf, Call):
                continue
            if leaf.function is exp:
                coefficient, rest = split_coefficient(leaf.args[0])
                self._coefficients.setdefault(rest, {})[coefficient] = None
            elif leaf.function in REFLECTED:
                coefficient, rest = split_coefficient(leaf.args[0])
                key = (leaf.function, abs(coefficient), rest)
                self._directions.setdefault(key, _sign(coefficient))
            elif leaf.function is POW and (power := exact_number(leaf.args[1])) is not None:
                base = leaf.args[0]
                degree = lcm(self._degrees.get(base, 1), power.denominator)
                if degree <= MAX_POWER:
                    self._degrees[base] = degree
                self._survey(self._inside(base))
            elif leaf.function in (abs_, sign):
                self._survey(self._inside(leaf.args[0]))

    def _inside(self, argument: Expr) -> Expr:
        """A kernel's argument that a relation puts into the ring itself."""
        if argument not in self._arguments:
            self._arguments[argument] = canonical(argument)
        return self._arguments[argument]

    def _enter(self, leaf: Expr) -> None:
        kernel, _, _ = self._kernel(leaf)
        if kernel in self._index:
            return
        self._index[kernel] = len(self.kernels)
        self.kernels.append(kernel)
        if not isinstance(kernel, Call):
            return
        # A relation such as Kᵠ = radicand needs the radicand in the same ring.
        if kernel.function is sign:
            self._enter(abs_(kernel.args[0]))
        elif kernel.function is abs_ or root_degree(kernel):
            for part in occurrences(self._inside(kernel.args[0])):
                self._enter(part)

    def _kernel(self, leaf: Expr) -> tuple[Expr, int, bool]:
        """``leaf`` as (kernel, power, reflected): kernel**power, or 1 − kernel."""
        if isinstance(leaf, Call):
            if leaf.function is exp:
                coefficient, rest = split_coefficient(leaf.args[0])
                unit = self._units[rest][abs(coefficient)]
                return exp(times(unit, rest)), int(coefficient / unit), False
            if leaf.function in REFLECTED:
                coefficient, rest = split_coefficient(leaf.args[0])
                way = self._directions[leaf.function, abs(coefficient), rest]
                kernel = leaf.function(times(way * abs(coefficient), rest))
                return kernel, 1, _sign(coefficient) != way
            if leaf.function is POW and (power := exact_number(leaf.args[1])) is not None:
                base, degree = leaf.args[0], self._degrees.get(leaf.args[0], 1)
                if degree > 1 and degree % power.denominator == 0 and abs(power) <= MAX_POWER:
                    return POW(base, Number(Fraction(1, degree))), int(power * degree), False
                return POW(base, Number(abs(power))), _sign(power), False
        return leaf, 1, False

    def _find_relations(self) -> list[tuple[int, int, Quotient]]:
        """(generator, power, what that power of the generator equals)."""
        found = []
        for i, kernel in enumerate(self.kernels):
            if not isinstance(kernel, Call):
                continue
            degree = root_degree(kernel)
            if degree:
                found.append((i, degree, self._convert(self._inside(kernel.args[0]))))
            elif kernel.function is abs_ and kernel.args[0] not in self._index:
                inner = self._convert(self._inside(kernel.args[0]))
                found.append((i, 2, self._times(inner, inner)))
        return found

    def _find_signs(self) -> list[tuple[int | None, int | None, int]]:
        """(index of sign(u), of u, of |u|) for every |u|."""
        return [
            (self._index.get(sign(kernel.args[0])), self._index.get(kernel.args[0]), i)
            for i, kernel in enumerate(self.kernels)
            if isinstance(kernel, Call) and kernel.function is abs_
        ]

    # -- arithmetic ------------------------------------------------------------------------

    def quotient(self, root: Expr) -> Quotient:
        """One of the expressions that the field was made for, cancelled and reduced."""
        return self.reduced(self._convert(self._skeletons[root]))

    def _convert(self, skeleton: Expr) -> Quotient:
        done: dict[Expr, Quotient] = {}
        for node in arithmetic(skeleton):
            done[node] = self._step(node, done)
        return done[skeleton]

    def _step(self, node: Expr, done: dict[Expr, Quotient]) -> Quotient:
        if isinstance(node, Number):
            return Quotient(self._ring.constant(to_fmpq(node.value)), self._one)
        if isinstance(node, Call) and node.function in (ADD, SUB):
            a, b = done[node.args[0]], done[node.args[1]]
            return self._plus(a, b if node.function is ADD else _negative(b))
        if isinstance(node, Call) and node.function is NEG:
            return _negative(done[node.args[0]])
        if isinstance(node, Call) and node.function is MUL:
            return self._times(done[node.args[0]], done[node.args[1]])
        if isinstance(node, Call) and node.function is DIV:
            return self._times(done[node.args[0]], _inverse(done[node.args[1]]))
        power = integer_power(node)
        if power is not None:
            return self._power(done[node.args[0]], power)
        kernel, exponent, reflected = self._kernel(node)
        generator = Quotient(self._generators[self._index[kernel]], self._one)
        result = self._power(generator, exponent)
        return Quotient(self._one - result.numerator, self._one) if reflected else result

    def _plus(self, a: Quotient, b: Quotient) -> Quotient:
        if a.denominator == b.denominator:
            return self._cancelled(a.numerator + b.numerator, a.denominator)
        return self._cancelled(
            self._product(a.numerator, b.denominator) + self._product(b.numerator, a.denominator),
            self._product(a.denominator, b.denominator),
        )

    def _times(self, a: Quotient, b: Quotient) -> Quotient:
        return self._cancelled(
            self._product(a.numerator, b.numerator), self._product(a.denominator, b.denominator)
        )

    def _power(self, a: Quotient, n: int) -> Quotient:
        if n < 0:
            a, n = _inverse(a), -n
        for polynomial in a:
            self._refuse(_terms_of_power(polynomial, n), n * int(polynomial.total_degree()))
        return Quotient(a.numerator**n, a.denominator**n)

    def _product(self, a: fmpq_mpoly, b: fmpq_mpoly) -> fmpq_mpoly:
        # Before like terms are collected a product may be somewhat longer than it ends up.
        longest = len(a) * len(b) // 16
        self._refuse(longest, int(a.total_degree()) + int(b.total_degree()))
        return a * b

    @staticmethod
    def _refuse(terms: int, degree: int) -> None:
        if terms > MAX_TERMS or degree > MAX_DEGREE:
            raise TooLarge

    def _cancelled(self, numerator: fmpq_mpoly, denominator: fmpq_mpoly) -> Quotient:
        self._refuse(len(numerator) + len(denominator), 0)
        common = numerator.gcd(denominator)
        if not common.is_constant():
            numerator, denominator = numerator / common, denominator / common
        leading = denominator.leading_coefficient()
        return Quotient(numerator / leading, denominator / leading)

    def reduced(self, quotient: Quotient) -> Quotient:
        """Apply the kernels' relations (√x·√x = x, |x|² = x², x·sign(x) = |x|)."""
        for _ in range(8):
            top = self._reduce(quotient.numerator)
            bottom = self._reduce(quotient.denominator)
            new = self._times(top, _inverse(bottom))
            if new == quotient:
                return new
            quotient = new
        return quotient

    def _reduce(self, polynomial: fmpq_mpoly) -> Quotient:
        one = Quotient(self._one, self._one)
        total = Quotient(self._ring.constant(0), self._one)
        untouched: dict[tuple[int, ...], Fraction] = {}
        for monomial, coefficient in terms_of(polynomial):
            powers = list(monomial)
            extra = one
            for index, degree, equal in self._relations:
                if powers[index] >= degree:
                    count, powers[index] = divmod(powers[index], degree)
                    extra = self._times(extra, self._power(equal, count))
            key = tuple(self._unsigned(powers))
            if extra == one:
                untouched[key] = untouched.get(key, Fraction(0)) + coefficient
            else:
                part = Quotient(self.from_terms([(key, coefficient)]), self._one)
                total = self._plus(total, self._times(part, extra))
        return self._plus(total, Quotient(self.from_terms(untouched.items()), self._one))

    def _unsigned(self, powers: list[int]) -> list[int]:
        """x·sign(x) is |x|, x² is |x|²; x itself is sign(x)·|x| where its sign occurs anyway."""
        for sign_at, bare, size_at in self._signs:
            if bare is None:
                continue
            if sign_at is not None:
                both = min(powers[sign_at], powers[bare])
                powers[sign_at], powers[bare] = powers[sign_at] - both, powers[bare] - both
                powers[size_at] += both
            powers[size_at] += powers[bare] - powers[bare] % 2
            powers[bare] %= 2
            if sign_at is not None and powers[bare]:
                powers[bare], powers[sign_at], powers[size_at] = 0, 1, powers[size_at] + 1
        return powers

    def from_terms(self, terms: Iterable[tuple[tuple[int, ...], Fraction]]) -> fmpq_mpoly:
        """The polynomial with these (powers, coefficient) pairs."""
        return self._ring.from_dict({powers: to_fmpq(value) for powers, value in terms})


def _units(coefficients: list[Fraction]) -> dict[Fraction, Fraction]:
    """For each |c| among the coefficients the unit u of its kernel exp(u·m).

    A common divisor of as many as have small powers of it: exp(x) and exp(-x/2) are powers of
    exp(x/2), but exp(x) and exp(1e-9·x) remain two kernels. The first occurrence gives the sign.
    """
    groups: list[list[Fraction]] = []
    for coefficient in dict.fromkeys(map(abs, coefficients)):
        for group in groups:
            wider = [*group, coefficient]
            if max(wider) / reduce(common_divisor, wider) <= MAX_POWER:
                group.append(coefficient)
                break
        else:
            groups.append([coefficient])
    way = _sign(coefficients[0])
    return {c: way * reduce(common_divisor, group) for group in groups for c in group}


def _terms_of_power(polynomial: fmpq_mpoly, n: int) -> int:
    """An upper bound on the number of terms of ``polynomial ** n``."""
    by_choice = comb(n + len(polynomial) - 1, n)  # ways to pick n of its terms
    by_degree = prod(n * int(degree) + 1 for degree in polynomial.degrees())
    return min(by_choice, by_degree)


def _sign(value: Fraction) -> int:
    return 1 if value > 0 else -1


def _negative(quotient: Quotient) -> Quotient:
    return Quotient(-quotient.numerator, quotient.denominator)


def _inverse(quotient: Quotient) -> Quotient:
    if quotient.numerator.is_zero():
        raise ZeroDivisionError("the formula divides by zero")
    leading = quotient.numerator.leading_coefficient()
    return Quotient(quotient.denominator / leading, quotient.numerator / leading)


def to_fmpq(value: Fraction) -> fmpq:
    """A fraction as FLINT's rational number."""
    return fmpq(value.numerator, value.denominator)


def to_fraction(value: fmpq) -> Fraction:
    """FLINT's rational number as a fraction."""
    return Fraction(int(value.p), int(value.q))


def terms_of(polynomial: fmpq_mpoly) -> list[tuple[tuple[int, ...], Fraction]]:
    """(powers of the generators, coefficient) of each term, in Python's own numbers."""
    return [
        (tuple(int(power) for power in powers), to_fraction(coefficient))
        for powers, coefficient in polynomial.to_dict().items()
    ]
