"""Terms and factors as one writes them: 2*x, not x*2; -x, not -1*x; x/2, not 1/2*x.

A node is split into a rational coefficient and the rest, and put together again; the factors of a
product have an order in which they read well. Nothing here simplifies beyond that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import reduce
from math import gcd, lcm

from gradsmith.formula.expression import Call, Expr, Number, Symbol, free_symbols
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, POW, SUB, sqrt, where

ONE = Number(1)

SKELETON = frozenset({ADD, SUB, MUL, DIV, NEG})
"""Arithmetic of any arguments; a power is arithmetic where its exponent is an integer."""


def times(coefficient: Fraction | int, rest: Expr) -> Expr:
    """``coefficient * rest`` as one writes it: no factor 1, −x instead of −1·x, x/2."""
    value = Fraction(coefficient)
    if rest is ONE:
        return Number(value)
    if value == 0:
        return Number(0)
    if abs(value) == 1:
        return rest if value > 0 else _negated(rest)
    if isinstance(rest, Call) and rest.function is DIV:
        top = times(value.numerator, rest.args[0])
        bottom = rest.args[1] if value.denominator == 1 else value.denominator * rest.args[1]
        return top / bottom
    if value.denominator == 1 or value.denominator > 64:
        return Number(value) * rest
    return times(value.numerator, rest) / value.denominator


def _negated(rest: Expr) -> Expr:
    # The sign goes to the front of a product, where it needs no brackets.
    if isinstance(rest, Call) and rest.function in (MUL, DIV):
        return rest.function(_negated(rest.args[0]), rest.args[1])
    return Number(-rest.value) if isinstance(rest, Number) else -rest


def sum_of_terms(terms: Iterable[tuple[Fraction, Expr]]) -> Expr:
    """The sum of (coefficient, rest) in their order; a negative term is subtracted."""
    total: Expr | None = None
    for coefficient, rest in terms:
        if total is None:
            total = times(coefficient, rest)
        elif coefficient > 0:
            total = total + times(coefficient, rest)
        else:
            total = total - times(-coefficient, rest)
    return total if total is not None else Number(0)


def chosen_from(node: Expr) -> Iterator[Expr]:
    """What a choice, and choices within it, choose from; else the node itself."""
    if isinstance(node, Call) and node.function is where:
        for branch in node.args[1:]:
            yield from chosen_from(branch)
    else:
        yield node


def split_coefficient(node: Expr) -> tuple[Fraction, Expr]:
    """``node`` as (rational coefficient, rest); u and −u have the same rest."""
    if isinstance(node, Number):
        return node.value, ONE
    if isinstance(node, Call):
        if node.function is NEG:
            coefficient, rest = split_coefficient(node.args[0])
            return -coefficient, rest
        if node.function is MUL:
            (c1, r1), (c2, r2) = map(split_coefficient, node.args)
            rest = r2 if r1 is ONE else (r1 if r2 is ONE else r1 * r2)
            return c1 * c2, rest
        if node.function is DIV:
            (c1, r1), (c2, r2) = map(split_coefficient, node.args)
            if c2 != 0:
                return c1 / c2, r1 if r2 is ONE else r1 / r2
        if node.function in (ADD, SUB):
            return _content_of_sum(node)
    return Fraction(1), node


def _content_of_sum(node: Call) -> tuple[Fraction, Expr]:
    split = []
    for sign, term in signed_terms(node):
        coefficient, rest = split_coefficient(term)
        if coefficient:
            split.append((sign * coefficient, rest))
    if not split:
        return Fraction(0), ONE
    content = reduce(common_divisor, (abs(coefficient) for coefficient, _ in split))
    if split[0][0] < 0:
        content = -content
    if content == 1:
        return Fraction(1), node
    return content, sum_of_terms((coefficient / content, rest) for coefficient, rest in split)


def signed_terms(node: Expr) -> list[tuple[int, Expr]]:
    """The terms of a sum with their signs, from left to right."""
    found: list[tuple[int, Expr]] = []
    stack: list[tuple[int, Expr]] = [(1, node)]
    while stack:
        sign, part = stack.pop()
        if isinstance(part, Call) and part.function in (ADD, SUB):
            stack += [(sign if part.function is ADD else -sign, part.args[1]), (sign, part.args[0])]
        elif isinstance(part, Call) and part.function is NEG:
            stack.append((-sign, part.args[0]))
        else:
            found.append((sign, part))
    return found


def common_divisor(a: Fraction, b: Fraction) -> Fraction:
    """Greatest common divisor of two fractions, with the sign of the first."""
    denominator = lcm(a.denominator, b.denominator)
    top = gcd(int(a * denominator), int(b * denominator))
    return Fraction(top if a > 0 else -top, denominator) if top else a


def exact_number(node: Expr) -> Fraction | None:
    """The value of a number, minus signs and quotients of numbers included, else None."""
    coefficient, rest = split_coefficient(node)
    return coefficient if rest is ONE else None


def raised(base: Expr, power: Fraction | int) -> Expr:
    """``base ** power`` as one writes it: no power 1, √x for x**(1/2)."""
    if power == 1:
        return base
    return sqrt(base) if power == Fraction(1, 2) else POW(base, Number(power))


def in_reading_order(factors: Sequence[Expr]) -> Expr:
    """The product of ``factors``: constants, symbols by name, sums, functions."""
    flat: list[Expr] = []
    for factor in factors:
        stack = [factor]
        while stack:
            node = stack.pop()
            if isinstance(node, Call) and node.function is MUL:
                stack += reversed(node.args)
            elif node is not ONE:
                flat.append(node)
    return reduce(MUL, sorted(flat, key=_reading_order)) if flat else ONE


def _reading_order(factor: Expr) -> tuple[int, str]:
    if not free_symbols(factor):
        return 0, ""
    base = factor.args[0] if isinstance(factor, Call) and factor.function is POW else factor
    if isinstance(base, Symbol):
        return 1, base.name
    if isinstance(base, Call) and base.function in SKELETON:
        return 2, ""
    return 3, ""
