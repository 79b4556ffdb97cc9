"""Matching up to order and grouping: whether an expression is an instance of a pattern.

A pattern is an expression whose symbols are wildcards. Sums are compared as sets of terms with
rational coefficients, products as sets of bases with rational exponents; whoever wants only a part
of a longer sum or product gets what is left over along with the binding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache, reduce
from math import isqrt

from gradsmith.calculus.terms import common_divisor, raised, split_coefficient, sum_of_terms, times
from gradsmith.formula.expression import Call, Expr, Number, Symbol
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, POW, SUB

ONE = Number(1)
Binding = dict[Expr, Expr]
Term = tuple[Fraction, Expr]  # coefficient, rest
Factor = tuple[Expr, Fraction]  # base, exponent: a whole number

_LARGEST_POWER = 64  # of a number that is computed: nobody needs 2**(10**18) written out


def match(pattern: Expr, node: Expr, binding: Binding) -> Iterator[Binding]:
    """The ways in which the whole of ``node`` is an instance of ``pattern``."""
    if isinstance(pattern, Symbol):
        bound = binding.get(pattern)
        if bound is None:
            yield {**binding, pattern: node}
        elif same(bound, node):
            yield binding
        return
    if isinstance(pattern, Number):
        if pattern is node:
            yield binding
        return
    assert isinstance(pattern, Call)
    if pattern.function in (ADD, SUB):
        if isinstance(node, Call) and node.function in (ADD, SUB):
            for found, left in match_terms(sum_terms(pattern), sum_terms(node), binding, True):
                if not left:
                    yield found
        return
    if pattern.function in (MUL, DIV, POW, NEG):
        scale, wanted = product_factors(pattern)
        if wanted == ((pattern, Fraction(1)),):  # a power with a symbolic exponent
            if isinstance(node, Call) and node.function is pattern.function:
                yield from _match_all(pattern.args, node.args, binding)
            return
        coefficient, factors = product_factors(node)
        if len(wanted) == 1 and isinstance(wanted[0][0], Symbol):
            # A multiple of a wildcard matches anything: -a is x where a is -x.
            wildcard, power = wanted[0]
            for root in _roots(coefficient / scale, factors, power):
                yield from match(wildcard, tidy_argument(root), binding)
            return
        if scale == coefficient:
            for found, rest in match_factors(wanted, factors, binding):
                if not rest:
                    yield found
        return
    if isinstance(node, Call) and node.function is pattern.function:
        yield from _match_all(pattern.args, node.args, binding)


def _roots(coefficient: Fraction, factors: Sequence[Factor], power: Fraction) -> Iterator[Expr]:
    """The products whose ``power`` is the given one: (9, x²) is the square of 3x and of −3x."""
    if power == 1:
        yield build_product(coefficient, factors)
        return
    taken = [(base, exponent / power) for base, exponent in factors]
    whole = all(exponent > 0 and exponent.denominator == 1 for _, exponent in taken)
    root = _exact_root(coefficient, abs(power.numerator))
    if taken and whole and root is not None and power.denominator == 1:
        root = root if power > 0 else 1 / root
        yield build_product(root, taken)
        if power % 2 == 0:
            yield build_product(-root, taken)


def _exact_root(value: Fraction, degree: int) -> Fraction | None:
    if degree == 1:
        return value
    if degree > 2 or value < 0:
        return None  # no rule has a higher power of a wildcard
    root = Fraction(isqrt(value.numerator), isqrt(value.denominator))
    return root if root**2 == value else None


def tidy_argument(node: Expr) -> Expr:
    """``node`` with its numeric factor in front: -(-x) is x, 2*(x/2) is x."""
    return times(*split_coefficient(node))


def _match_all(
    patterns: Sequence[Expr], nodes: Sequence[Expr], binding: Binding
) -> Iterator[Binding]:
    if not patterns:
        yield binding
        return
    for found in match(patterns[0], nodes[0], binding):
        yield from _match_all(patterns[1:], nodes[1:], found)


def match_terms(
    wanted: Sequence[Term], terms: Sequence[Term], binding: Binding, greedy: bool = False
) -> Iterator[tuple[Binding, list[Term]]]:
    """Match each wanted term to a term of its own; yields the binding and the terms left over.

    With ``greedy`` a free wildcard among the wanted terms takes all that is left.
    """
    if not wanted:
        yield binding, list(terms)
        return
    # Bare wildcards match anything: they wait until the others have found their place.
    position = next((i for i, (_, rest) in enumerate(wanted) if not isinstance(rest, Symbol)), 0)
    coefficient, rest = wanted[position]
    others = [*wanted[:position], *wanted[position + 1 :]]
    if greedy and isinstance(rest, Symbol) and rest not in binding and not others:
        if terms:
            taken = sum_of_terms([(c / coefficient, r) for c, r in terms])
            yield {**binding, rest: taken}, []
        return
    if isinstance(rest, Symbol) and rest in binding:
        # A bound wildcard may have a coefficient, or be a sum itself: a = 2x + y.
        remaining = _without(terms, sum_terms(times(coefficient, binding[rest])))
        if remaining is not None:
            yield from match_terms(others, remaining, binding, greedy)
        return
    for i, (c, r) in enumerate(terms):
        left = [*terms[:i], *terms[i + 1 :]]
        if c != coefficient and not _is_wildcard_power(rest):
            continue
        # The coefficient may belong to the wildcard: a² is 9x² where a is 3x.
        for found in match(rest, times(c / coefficient, r), binding):
            yield from match_terms(others, left, found, greedy)


def _without(terms: Sequence[Term], parts: Sequence[Term]) -> list[Term] | None:
    """``terms`` less ``parts``, or None where one of them is missing."""
    left = list(terms)
    for c, r in parts:
        found = next((t for t in left if t[0] == c and same(t[1], r)), None)
        if found is None:
            return None
        left.remove(found)
    return left


def _is_wildcard_power(pattern: Expr) -> bool:
    _, factors = product_factors(pattern)
    return len(factors) == 1 and isinstance(factors[0][0], Symbol)


def match_factors(
    wanted: Sequence[Factor], factors: Sequence[Factor], binding: Binding
) -> Iterator[tuple[Binding, list[Factor]]]:
    """Match each wanted factor to one of ``factors``, or to a part of a higher power of it.

    Yields the binding and the factors left over.
    """
    if not wanted:
        yield binding, list(factors)
        return
    (base, power), others = wanted[0], wanted[1:]
    for i, (b, p) in enumerate(factors):
        # A higher power of the same sign contains the wanted one.
        if p * power <= 0 or abs(p) < abs(power) or (p - power).denominator != 1:
            continue
        left = [*factors[:i], *([(b, p - power)] if p != power else []), *factors[i + 1 :]]
        for found in match(base, b, binding):
            yield from match_factors(others, left, found)


def same(a: Expr, b: Expr) -> bool:
    """Equal up to order, grouping and signs of sums and products."""
    return a is b or _key(a) == _key(b)


def _key(node: Expr) -> object:
    if isinstance(node, Call) and node.function in (ADD, SUB, NEG, MUL, DIV, POW):
        return _unit_key(node)
    return (node.function, *map(_key, node.args)) if isinstance(node, Call) else node


_Key = frozenset[tuple[object, Fraction]]  # atoms with exponents


@lru_cache(maxsize=20_000)
def _unit_key(node: Expr) -> tuple[Fraction, _Key]:
    """A coefficient, and a key for the rest that all multiples of ``node`` share."""
    terms = sum_terms(node)
    if len(terms) != 1:
        return _unit_key_of_sum(terms)
    ((scale, rest),) = terms
    coefficient, factors = product_factors(rest)
    coefficient *= scale
    if factors == ((rest, Fraction(1)),):  # a single part, or a power with a symbolic exponent
        atom = (rest.function, *map(_key, rest.args)) if isinstance(rest, Call) else rest
        return coefficient, frozenset({(atom, Fraction(1))})
    collected: dict[object, Fraction] = {}
    for base, power in factors:
        unit, key = _unit_key(base)
        if not unit and power > 0:
            return Fraction(0), frozenset()
        if unit and abs(power) <= _LARGEST_POWER:
            coefficient *= unit**power.numerator
        else:
            key = frozenset({(_key(base), Fraction(1))})
        for part, exponent in key:
            collected[part] = collected.get(part, Fraction(0)) + exponent * power
    return coefficient, frozenset((atom, power) for atom, power in collected.items() if power)


def _unit_key_of_sum(terms: Sequence[Term]) -> tuple[Fraction, _Key]:
    collected: dict[_Key, Fraction] = {}
    for coefficient, rest in terms:
        unit, key = _unit_key(rest)
        collected[key] = collected.get(key, Fraction(0)) + coefficient * unit
    parts = [(c, key) for key, c in collected.items() if c]
    if len(parts) == 1:
        return parts[0]
    content = reduce(common_divisor, (abs(c) for c, _ in parts)) if parts else Fraction(0)
    # One term decides the sign; which one, must not depend on their order.
    if parts and min(parts, key=lambda part: hash(part[1]))[0] < 0:
        content = -content
    return content, frozenset({(frozenset((c / content, key) for c, key in parts), Fraction(1))})


@lru_cache(maxsize=50_000)
def sum_terms(node: Expr) -> tuple[Term, ...]:
    """A sum as its terms, like terms collected."""
    found: dict[Expr, Fraction] = {}
    stack: list[Term] = [(Fraction(1), node)]
    while stack:
        sign, part = stack.pop()
        if isinstance(part, Call) and part.function in (ADD, SUB):
            second = sign if part.function is ADD else -sign
            stack += [(second, part.args[1]), (sign, part.args[0])]
            continue
        coefficient, rest = split_coefficient(part)
        if isinstance(rest, Call) and rest.function in (ADD, SUB):
            stack.append((sign * coefficient, rest))
            continue
        found[rest] = found.get(rest, Fraction(0)) + sign * coefficient
    return tuple((c, rest) for rest, c in found.items() if c)


@lru_cache(maxsize=50_000)
def product_factors(node: Expr) -> tuple[Fraction, tuple[Factor, ...]]:
    """A product as (numeric factor, bases with exponents), equal bases collected."""
    coefficient = Fraction(1)
    found: dict[Expr, Fraction] = {}
    stack: list[Factor] = [(node, Fraction(1))]
    while stack:
        part, power = stack.pop()
        if isinstance(part, Call) and part.function in (MUL, DIV):
            second = power if part.function is MUL else -power
            stack += [(part.args[1], second), (part.args[0], power)]
        elif isinstance(part, Call) and part.function is NEG:
            coefficient *= (-1) ** abs(power.numerator)
            stack.append((part.args[0], power))
        elif isinstance(part, Number) and abs(power) <= _LARGEST_POWER and part.value != 0:
            coefficient *= part.value**power.numerator
        elif (
            isinstance(part, Call)
            and part.function is POW
            and isinstance(part.args[1], Number)
            and part.args[1].value.denominator == 1
        ):
            stack.append((part.args[0], power * part.args[1].value))
        else:
            found[part] = found.get(part, Fraction(0)) + power
    return coefficient, tuple((base, power) for base, power in found.items() if power)


def build_product(coefficient: Fraction, factors: Sequence[Factor]) -> Expr:
    """The product of ``factors``, divisors collected below one bar."""
    top = _multiply([raised(base, power) for base, power in factors if power > 0])
    bottom = _multiply([raised(base, -power) for base, power in factors if power < 0])
    if bottom is ONE:
        return times(coefficient, top)
    return times(coefficient, top / bottom)


def _multiply(parts: Sequence[Expr]) -> Expr:
    total: Expr = ONE
    for part in parts:
        total = part if total is ONE else (total if part is ONE else total * part)
    return total
