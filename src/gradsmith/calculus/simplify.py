"""The shortest form of an expression that exact algebra finds."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import count

from gradsmith.calculus.algebra import Field, Quotient, TooLarge, terms_of
from gradsmith.calculus.piecewise import FLIPPED, SIGNS, Facts
from gradsmith.calculus.terms import in_reading_order, split_coefficient, times
from gradsmith.formula.expression import (
    Call,
    Expr,
    Function,
    Number,
    Symbol,
    rebuild,
    size,
    substitute,
    walk,
    with_args,
)
from gradsmith.formula.vocabulary import (
    NOT,
    OR,
    POW,
    clip,
    exp,
    expand_definition,
    heaviside,
    maximum,
    minimum,
    relu,
    where,
)

MAX_BRANCHES = 64
"""A formula whose conditions make more branches than this stays as it is: n conditions on
different expressions make 2ⁿ branches, too many to simplify or to read."""

_SIMPLIFIED: dict[Expr, Expr] = {}
_CACHE_LIMIT = 20_000
_PIECEWISE = frozenset({maximum, minimum, clip, relu, heaviside})


def simplify(root: Expr) -> Expr:
    """The shortest of several equal forms of ``root``; conditions come out on top.

    Equal for all reals where ``root`` is defined; a removable singularity such as x/x may be gone.
    Where no shorter form is found, or the algebra gets too large, it is ``root`` itself.
    """
    found = _SIMPLIFIED.get(root)
    if found is None:
        if len(_SIMPLIFIED) > _CACHE_LIMIT:
            _SIMPLIFIED.clear()
        try:
            found = _by_branches(_spelled_out(root), Facts(), count(1))
        except TooLarge:
            found = root
        # Among forms of one length the order of the terms would decide once more.
        _SIMPLIFIED[root] = _SIMPLIFIED[found] = found
    return found


def _spelled_out(root: Expr) -> Expr:
    """max, min, clip, relu … as the conditions that they are."""
    return rebuild(
        root,
        lambda node, args: (
            expand_definition(with_args(node, args))
            if isinstance(node, Call) and node.function in _PIECEWISE
            else with_args(node, args)
        ),
    )


def _by_branches(root: Expr, facts: Facts, branches: Iterator[int]) -> Expr:
    """Decide one condition after the other; what no condition is left in is simplified."""
    node = _first_condition(root)
    if node is None:
        if next(branches) > MAX_BRANCHES:
            raise TooLarge
        return _shortest(substitute(root, facts.pinned()))
    test = tidy_condition(node.args[0])
    known = facts.decide(test)
    if known is not None:
        return _by_branches(_chosen(root, node, known), facts, branches)
    a = _by_branches(_chosen(root, node, True), facts.assuming(test, True), branches)
    b = _by_branches(_chosen(root, node, False), facts.assuming(test, False), branches)
    if a is b:
        return a
    if isinstance(b, Call) and b.function is where and b.args[1] is a:
        return where(_either(test, b.args[0]), a, b.args[2])
    return where(test, a, b)


def _either(first: Expr, second: Expr) -> Expr:
    """First or second, as one comparison where it is one: x < 0 or x == 0 is x <= 0."""
    if (
        isinstance(first, Call)
        and isinstance(second, Call)
        and first.args == second.args
        and first.function in SIGNS
        and second.function in SIGNS
    ):
        together = SIGNS[first.function] | SIGNS[second.function]
        for function, signs in SIGNS.items():
            if signs == together:
                return function(*first.args)
    return OR(first, second)


def _first_condition(root: Expr) -> Call | None:
    if isinstance(root, Call) and root.function is where:
        inside = _first_condition(root.args[0])
        return inside if inside is not None else root
    for node in walk(root):
        if isinstance(node, Call) and node.function is where:
            return node  # arguments come first, so that its condition holds no other
    return None


def _chosen(root: Expr, node: Call, holds: bool) -> Expr:
    return substitute(root, {node: node.args[1 if holds else 2]})


def tidy_condition(condition: Expr) -> Expr:
    """Simplify both sides; Number(1) or Number(0) for one that always or never holds.

    A comparison that is linear in one symbol is solved for it: ``x + 3 <= 0`` is ``x <= -3``.
    """
    if not isinstance(condition, Call):
        return condition
    function = condition.function
    if function not in SIGNS:
        return _connected(function, [tidy_condition(arg) for arg in condition.args])
    left, right = (simplify(arg) for arg in condition.args)
    try:
        return _solved(function, left, right)
    except (TooLarge, ZeroDivisionError):
        return function(left, right)


def _connected(function: Function, args: list[Expr]) -> Expr:
    """``not a``, ``a and b`` or ``a or b``, where each may have been decided."""
    decided = [arg for arg in args if isinstance(arg, Number)]
    if not decided:
        return Call(function, tuple(args))
    if function is NOT:
        return Number(1 - decided[0].value)
    dominant = Number(1 if function is OR else 0)
    if dominant in decided:
        return dominant
    return next((arg for arg in args if not isinstance(arg, Number)), decided[0])


def _solved(function: Function, left: Expr, right: Expr) -> Expr:
    """The comparison decided if it is one of constants, solved if it is linear in one symbol."""
    difference = left - right
    field = Field(difference)
    top, bottom = field.quotient(difference)
    if top.is_constant() and bottom.is_constant():
        value = dict(terms_of(top)).popitem()[1] if not top.is_zero() else 0
        return Number(int((value > 0) - (value < 0) in SIGNS[function]))
    if (
        len(field.kernels) != 1
        or not isinstance(field.kernels[0], Symbol)
        or not bottom.is_constant()
        or top.total_degree() != 1
    ):
        return function(left, right)
    terms = dict(terms_of(top))
    slope, constant = terms[(1,)], terms.get((0,), Fraction(0))
    compare = function if slope > 0 else FLIPPED[function]
    return compare(field.kernels[0], Number(-constant / slope))


def _shortest(root: Expr) -> Expr:
    if not root.args:
        return root
    try:
        field = Field(root)
        quotient = field.quotient(root)
    except (TooLarge, ZeroDivisionError):
        return root
    return min([*_forms(field, quotient), root], key=size)


def _forms(field: Field, quotient: Quotient) -> list[Expr]:
    top, bottom = quotient
    if top.is_zero():
        return [Number(0)]
    value, factors = field.product(top)
    divisor, divisors = field.product(bottom)
    forms = [assemble(value / divisor, factors, divisors)]
    # The numerator written out, with its content in front.
    expanded = field.polynomial(top)
    coefficient, rest = split_coefficient(expanded)
    if len(factors) == 1 or size(rest) * 4 < 3 * sum(size(f) for f, _ in factors):
        # Factored says more than written out, unless it is much longer.
        forms.append(assemble(coefficient / divisor, [(rest, 1)], divisors))
    if len(bottom) == 1 and len(top) > 1:
        # Term by term: (eʸ − 1)/eʸ is 1 − e⁻ʸ.
        ((below, scale),) = terms_of(bottom)
        terms = [
            (coefficient / scale, field.quotient_term(above, below), above)
            for above, coefficient in terms_of(top)
        ]
        forms.append(field.sum_of(terms))
    return forms


def _is_exp(node: Expr) -> bool:
    return isinstance(node, Call) and node.function is exp


def assemble(
    value: Fraction, factors: list[tuple[Expr, int]], divisors: list[tuple[Expr, int]]
) -> Expr:
    """``value`` times the product of ``factors`` over that of ``divisors``."""
    tops: list[Expr] = []
    bottoms: list[Expr] = []
    for factor, power in factors:
        if factor is not Number(1):
            tops.append(_raised(factor, power))
    for factor, power in divisors:
        if _is_exp(factor):
            coefficient, rest = split_coefficient(factor.args[0])
            tops.append(exp(times(-coefficient * power, rest)))
        elif factor is not Number(1):
            bottoms.append(_raised(factor, power))
    top = in_reading_order(tops)
    if not bottoms:
        return times(value, top)
    bottom = in_reading_order(bottoms)
    if value.denominator != 1:
        bottom = value.denominator * bottom
    return times(value.numerator, top) / bottom


def _raised(base: Expr, power: int) -> Expr:
    return base if power == 1 else POW(base, Number(power))
