"""Quotients of exponentials, in terms of one exponential that never overflows.

A quotient of polynomials in E = exp(u) overflows on one side, however it is written. With
t = exp(−|u|) ≤ 1 it is a quotient of polynomials in t on either side: in E = t for u ≤ 0, and in
E = 1/t for u > 0, after multiplying through by the highest power. A factor 1 − t, which cancels
near u = 0, is −expm1(−|u|).
"""

from __future__ import annotations

from fractions import Fraction

from flint import fmpq_mpoly

from gradsmith.calculus.algebra import Field, Quotient, TooLarge, terms_of
from gradsmith.calculus.terms import split_coefficient, times
from gradsmith.formula.expression import (
    Call,
    Expr,
    Number,
    Symbol,
    free_symbols,
    rebuild,
    substitute,
    with_args,
)
from gradsmith.formula.vocabulary import (
    POW,
    abs_,
    cosh,
    exp,
    exp2,
    expm1,
    log,
    sech2,
    sigmoid,
    sign,
    sinh,
    tanh,
    where,
)
from gradsmith.numerics.matching import build_product

_BY_EXP = {
    sigmoid: lambda u: 1 / (1 + exp(-u)),
    tanh: lambda u: (exp(2 * u) - 1) / (exp(2 * u) + 1),
    sech2: lambda u: 4 * exp(2 * u) / (1 + exp(2 * u)) ** 2,
    sinh: lambda u: (exp(u) - exp(-u)) / 2,
    cosh: lambda u: (exp(u) + exp(-u)) / 2,
    exp2: lambda u: exp(u * log(Number(2))),
}
MAX_DEGREE = 24


def split_exponential(root: Expr) -> Expr | None:
    """``root`` in terms of t = exp(−|u|), or None where it is no quotient of exponentials."""
    spelled = rebuild(root, _spell)
    try:
        field = Field(spelled)
        quotient = field.quotient(spelled)
    except (TooLarge, ZeroDivisionError):
        return None
    degrees = [
        max(int(top), int(bottom))
        for top, bottom in zip(
            quotient.numerator.degrees(), quotient.denominator.degrees(), strict=True
        )
    ]
    best = max(
        (
            (degrees[i], i)
            for i, kernel in enumerate(field.kernels)
            if isinstance(kernel, Call) and kernel.function is exp
        ),
        default=(0, 0),
    )
    degree, index = best
    if not 0 < degree <= MAX_DEGREE:
        return None
    kernel = field.kernels[index]
    assert isinstance(kernel, Call)
    (u,) = kernel.args
    coefficient, rest = split_coefficient(u)
    size_ = times(abs(coefficient), abs_(rest))  # |u|
    small = exp(-size_)
    inward = _side(field, quotient, index, small, -expm1(-size_), reverse=False)
    outward = _side(field, quotient, index, small, -expm1(-size_), reverse=True)
    if inward is outward:
        return inward
    return where(rest > 0 if coefficient > 0 else rest < 0, outward, inward)


def split_variable(root: Expr, variable: Symbol) -> Expr | None:
    """A quotient of polynomials in ``variable``, in terms of 1/variable where that is large.

    Powers of a large variable overflow although their quotient does not. Where its size or sign
    occurs as well, both sides are split.
    """
    halves = [
        substitute(root, {abs_(variable): times(s, variable), sign(variable): Number(s)})
        for s in (1, -1)
    ]
    if halves[0] is root:
        both = _of_variable(root, variable)
        return None if both is None else where(abs_(variable) > 1, both[1], both[0])
    above, below = (_of_variable(half, variable) for half in halves)
    if above is None or below is None:
        return None
    return where(abs_(variable) > 1, where(variable > 0, above[1], below[1]), root)


def _of_variable(root: Expr, variable: Symbol) -> tuple[Expr, Expr] | None:
    """``root`` as a quotient in the variable and as one in its reciprocal, if it is a quotient."""
    try:
        field = Field(root)
        quotient = field.quotient(root)
    except (TooLarge, ZeroDivisionError):
        return None
    if variable not in field.kernels:
        return None
    index = field.kernels.index(variable)
    if int(quotient.denominator.degrees()[index]) < 1:
        return None
    inverse = 1 / variable
    return (
        _side(field, quotient, index, variable, 1 - variable, reverse=False),
        _side(field, quotient, index, inverse, 1 - inverse, reverse=True),
    )


def _spell(node: Expr, args: tuple[Expr, ...]) -> Expr:
    node = with_args(node, args)
    if not isinstance(node, Call):
        return node
    if node.function in _BY_EXP:
        inner = node.args[0]
        if isinstance(inner, Call) and inner.function is log:
            return node  # the algebra knows that tanh(log u) is a quotient in u
        return _BY_EXP[node.function](*node.args)
    if node.function is POW and free_symbols(node.args[1]):
        base = node.args[0]
        if isinstance(base, Number) and base.value > 0:
            return exp(node.args[1] * log(base))
    return node


def _side(
    field: Field, quotient: Quotient, index: int, t: Expr, one_minus_t: Expr, *, reverse: bool
) -> Expr:
    """The quotient with kernel number ``index`` equal to t, or to 1/t where ``reverse``.

    In reverse each polynomial is multiplied by the power of t that makes it one in t.
    """
    coefficient = Fraction(1)
    factors: list[tuple[Expr, Fraction]] = []
    left_over = 0  # the power of t that makes up for reversing the polynomials
    for polynomial, side in ((quotient.numerator, 1), (quotient.denominator, -1)):
        if polynomial.is_zero():
            return Number(0)
        content, parts = polynomial.factor()
        coefficient *= Fraction(int(content.p), int(content.q)) ** side
        for part, power in parts:
            exponent = int(power) * side
            by_power = _by_power(field, part, index)
            degree = max(by_power)
            if reverse:
                left_over -= degree * exponent
                by_power = {degree - k: c for k, c in by_power.items()}
            elif degree == 1 and len(by_power) == 1:
                left_over += exponent
                by_power = {0: by_power[1]}
            if _is_difference(by_power):
                scale = by_power[0]
                assert isinstance(scale, Number)
                coefficient *= scale.value**exponent
                factor = one_minus_t
            else:
                factor = _horner(by_power, t)
            negative, factor = _without_sign(factor)
            coefficient *= negative**exponent
            factors.append((factor, Fraction(exponent)))
    if left_over:
        factors.insert(0, (t, Fraction(left_over)))
    return build_product(coefficient, [f for f in factors if f[0] is not Number(1)])


def _without_sign(node: Expr) -> tuple[Fraction, Expr]:
    coefficient, rest = split_coefficient(node)
    return (Fraction(-1), times(-coefficient, rest)) if coefficient < 0 else (Fraction(1), node)


def _by_power(field: Field, polynomial: fmpq_mpoly, index: int) -> dict[int, Expr]:
    grouped: dict[int, list[tuple[tuple[int, ...], Fraction]]] = {}
    for powers, value in terms_of(polynomial):
        rest = (*powers[:index], 0, *powers[index + 1 :])
        grouped.setdefault(powers[index], []).append((rest, value))
    return {power: field.polynomial(field.from_terms(terms)) for power, terms in grouped.items()}


def _is_difference(by_power: dict[int, Expr]) -> bool:
    if set(by_power) != {0, 1}:
        return False
    low, high = by_power[0], by_power[1]
    return isinstance(low, Number) and isinstance(high, Number) and low.value == -high.value


def _horner(by_power: dict[int, Expr], t: Expr) -> Expr:
    total: Expr | None = None
    for power in range(max(by_power), -1, -1):
        coefficient = by_power.get(power)
        if total is None:
            total = coefficient
            continue
        raised = t if total is Number(1) else total * t
        if coefficient is None:
            total = raised
        elif isinstance(coefficient, Number) and coefficient.value < 0:
            total = raised - Number(-coefficient.value)
        else:
            total = coefficient + raised
    assert total is not None
    return total
