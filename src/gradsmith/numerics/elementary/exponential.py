"""exp and expm1: on the whole range, subnormal results and both infinities included.

x = k·log 2 + r, then a polynomial in r, then 2ᵏ (Muller et al., "Handbook of Floating-Point
Arithmetic", 2nd edition, 2018, chapter 10). What decides about the last digit is kept in two
parts: r, and the sum of the largest terms.
"""

from __future__ import annotations

from math import inf

from gradsmith.numerics.builder import Value, clamped, fma, maximum, minimum, select
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import exponential as data
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.reduction import (
    LAYOUTS,
    power_of_two,
    reduce,
    reduce_quickly,
    scaled_in_steps,
)
from gradsmith.numerics.program import F32, F64

# Beyond these exp(x) is 0 or infinite in the format, and k still fits where it is kept.
RANGE = {F64: (-746.0, 710.0), F32: (-104.0, 89.0)}
# From here down expm1(x) rounds to −1.
_MINUS_ONE = {F64: -60.0, F32: -30.0}
# Up to here expm1(x) rounds to x.
_TINY = {F64: 2.0**-54, F32: 2.0**-25}
# In float32 a small exponential is made times this, and then rounded once, for 2ᵏ itself can be
# below the range; k + 64 is within it for x from the second to the third, where eˣ is 0 below.
_ASIDE, _LEAST, _MOST = 64, -132.0, 43.0
# Below this an exponential of anything is a small one.
_SMALL = -40.0


def exp(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """eˣ."""
    if accuracy is Accuracy.SHORT:
        return _exp_short(x) if x.type is F64 else _exp_short32(x)
    if x.type is F32:
        return _exp32(x)
    return exp_of_sum(clamped(x, *RANGE[F64]), None)


def exp_of_sum(x: Value, rest: Value | None) -> Value:
    """exp(x + rest) in float64.

    Args:
        x: from −746 to 710.
        rest: not above 2⁻⁴⁰ in size.
    """
    exponent, r, error = reduce(x, 2 * LAYOUTS[F64].bias, rest)
    # exp(r + error) is about eʳ + (1 + r)·error.
    small = fma(r * r, horner(r, data.EXP_F64.coefficients), fma(r, error, error))
    total = r + 1.0
    lost = r - (total - 1.0)
    return scaled_in_steps(total + (lost + small), exponent)


def _exp32(x: Value) -> Value:
    exponent, r, _ = reduce(clamped(x, *RANGE[F32]), 2 * LAYOUTS[F32].bias)
    small = (r * r) * horner(r, data.EXP_F32.coefficients)
    return scaled_in_steps((small + r) + 1.0, exponent)


def _exp_short(x: Value) -> Value:
    # At the ends of this range 2ᵏ is 0 and infinite, and so is its product with about 1.
    bias, step = LAYOUTS[F64].bias, data.LN2_SHORT
    held = clamped(x, -bias * step, (bias + 1) * step)
    exponent, r = reduce_quickly(held, bias)
    series = horner(r, data.EXP_SHORT.coefficients)
    y = series * power_of_two(exponent)
    # The series is exact at 0, and nothing above 1 comes of a number below.
    return x.builder.note(y, 0.0, 1.0 if x.bounds[1] <= 0 else inf)


def _exp_short32(x: Value) -> Value:
    """A power of two that is in range times a polynomial that makes up for it."""
    least, most = x.bounds
    aside = _ASIDE if most <= _MOST else -1
    held = _held(x, *((_LEAST, _MOST) if most <= _MOST else RANGE[F32]))
    exponent, r = reduce_quickly(held, LAYOUTS[F32].bias + aside)
    series = horner(r, [c * 2.0**-aside for c in data.EXP_SHORT_F32.coefficients])
    if aside == _ASIDE or least >= _SMALL:
        y = series * power_of_two(exponent)
    else:
        small = x < _SMALL
        y = series * power_of_two(select(small, exponent + _ASIDE, exponent))
        y = y * select(small, x.builder.number(F32, 2.0**-_ASIDE), 1.0)
    # As in the other format.
    return x.builder.note(y, 0.0, 1.0 if most <= 0 else inf)


def expm1(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """eˣ − 1, with its sign at ±0."""
    if accuracy is Accuracy.SHORT:
        return _expm1_short(x) if x.type is F64 else _expm1_short32(x)
    # In halves, because 2ᵏ itself can be beyond the range.
    held = clamped(x, _MINUS_ONE[x.type], RANGE[x.type][1])
    high, low = expm1_parts(held, halved=True)
    return select(abs(x) < _TINY[x.type], x, (high + low) * 2.0)


def expm1_parts(x: Value, halved: bool) -> tuple[Value, Value]:
    """eˣ − 1 as a sum whose second part is the smaller one: 2ᵏ(eʳ − 1) + (2ᵏ − 1).

    Args:
        x: within the range of the exponential, and not above 0 unless halved.
        halved: gives half of it, which stays finite where eˣ is only just too large.
    """
    fit = data.EXPM1_F64 if x.type is F64 else data.EXPM1_F32
    exponent, r, error = reduce(x, LAYOUTS[x.type].bias - int(halved))
    # exp(r + error) is about eʳ + (1 + r)·error.
    cubic = fma(r * r, r * horner(r, fit.coefficients), fma(r, error, error))
    small = fma(0.5 * r, r, cubic)
    scale, one = power_of_two(exponent), 0.5 if halved else 1.0
    rest = one - scale
    # What rounding took from −rest, where that shows: in large results, or next to −1.
    lost = (scale + rest) - one if halved else scale - (one - rest)
    high = fma(scale, r, -rest)
    low = fma(scale, small, fma(scale, r, -(rest + high)))
    return high, low + lost


def _expm1_short(x: Value) -> Value:
    # Where 2ᵏ is infinite, r must not be negative: that would subtract infinities.
    bias, step = LAYOUTS[F64].bias, data.LN2_SHORT
    held = maximum(x, _MINUS_ONE[F64])
    if x.bounds[1] > (bias + 0.25) * step:
        held = select(held > (bias + 0.25) * step, (bias + 1.25) * step, held)
    exponent, r = reduce_quickly(held, bias)
    scale = power_of_two(exponent)
    # −(1 − 2ᵏ) is −0 for k = 0, and leaves the sign of x = −0.
    return fma(scale, r * horner(r, data.EXPM1_SHORT.coefficients), -(1.0 - scale))


def _expm1_short32(x: Value) -> Value:
    layout = LAYOUTS[F32]
    held = _held(x, _MINUS_ONE[F32], RANGE[F32][1])
    # In halves where 2ᵏ itself can be beyond the range.
    halved = x.bounds[1] > _MOST
    exponent, r = reduce_quickly(held, layout.bias - int(halved))
    scale, one = power_of_two(exponent), 0.5 if halved else 1.0
    # As in the other format.
    y = fma(scale, r * horner(r, data.EXPM1_SHORT_F32.coefficients), -(one - scale))
    return y * 2.0 if halved else y


def _held(x: Value, low: float, high: float) -> Value:
    """The number, clamped on the sides where it may count beyond."""
    least, most = x.bounds
    held = x if least >= low else maximum(x, low)
    return held if most <= high else minimum(held, high)
