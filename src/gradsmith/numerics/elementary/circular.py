"""sin, cos, tan and atan, for any argument however large.

The angle is reduced to a remainder within ±1/8 of a turn, in two parts (:mod:`.turns`); of it sine
and cosine are polynomials, of which the number of quarters takes one. SHORT reduces to ±1/4 of a
turn, so that one polynomial is enough, and takes angles below 2¹³⁶, among them all float32 numbers.
"""

from __future__ import annotations

from gradsmith.numerics.builder import (
    Value,
    bits,
    equal,
    fma,
    minimum,
    rint,
    select,
    two_sum,
    with_sign_of,
)
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import circular as data
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.reduction import LAYOUTS
from gradsmith.numerics.elementary.turns import SMALL, reduce_quickly, turns
from gradsmith.numerics.program import F32, F64

_SIN = {F64: data.SIN_F64, F32: data.SIN_F32}
_COS = {F64: data.COS_F64, F32: data.COS_F32}
_ATAN = {F64: data.ATAN_F64, F32: data.ATAN_F32}
_HALF_PI = {
    F64: (data.HALF_PI_F64_HIGH, data.HALF_PI_F64_LOW),
    F32: (data.HALF_PI_F32_HIGH, data.HALF_PI_F32_LOW),
}
# From here on atan(x) rounds to π/2.
_UPRIGHT = 2.0**60

Parts = tuple[Value, Value]


def sin(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The sine; odd to the last bit, and NaN at infinity."""
    if x.type is F64 and accuracy is Accuracy.SHORT:
        return _sin_short(x, abs(x), 0.0)
    quarters, high, low = _remainder(abs(x))
    y = select(_is_even(quarters), _sum(_sine(high, low)), _sum(_cosine(high, low)))
    return _flipped(y, (quarters << (x.type.bits - 2)) ^ bits(x))


def cos(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The cosine; even to the last bit, and NaN at infinity."""
    if x.type is F64 and accuracy is Accuracy.SHORT:
        return _sin_short(None, abs(x), 0.5)
    quarters, high, low = _remainder(abs(x))
    y = select(_is_even(quarters), _sum(_cosine(high, low)), _sum(_sine(high, low)))
    return _flipped(y, (quarters + 1) << (x.type.bits - 2))


def tan(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The tangent; odd to the last bit, and NaN at infinity."""
    if x.type is F64 and accuracy is Accuracy.SHORT:
        return _tan_short(x)
    quarters, high, low = _remainder(abs(x))
    sine, cosine = _normalised(_sine(high, low)), _normalised(_cosine(high, low))
    even = _is_even(quarters)
    above, above_rest = (select(even, s, c) for s, c in zip(sine, cosine, strict=True))
    below, below_rest = (select(even, c, s) for s, c in zip(sine, cosine, strict=True))
    inverse = 1.0 / below
    y = above * inverse
    missing = fma(-y, below, above) + fma(-y, below_rest, above_rest)
    # tan(r + π/2) = −1/tan(r).
    return _flipped(fma(missing, inverse, y), (quarters << (x.type.bits - 1)) ^ bits(x))


def _sin_short(sign: Value | None, size: Value, phase: float) -> Value:
    """sin(size + π·phase) with the sign of another number; the phase is 0 or 1/2."""
    known, total, rest = reduce_quickly(size, 1.0, phase)
    known = known + phase if phase else known
    shifted = (known + total) + LAYOUTS[F64].shifter
    nearest = shifted - LAYOUTS[F64].shifter
    t = (total + (known - nearest)) + rest
    y = t * horner(t * t, data.SIN_SHORT.coefficients)
    odd = bits(shifted) << 63
    return _flipped(y, odd if sign is None else odd ^ bits(sign))


def _tan_short(x: Value) -> Value:
    known, total, rest = reduce_quickly(abs(x), 2.0)
    nearest = rint(total)
    t = (total - nearest) + rest
    odd = bits((known + nearest) + LAYOUTS[F64].shifter)
    z = t * t
    sine = t * horner(z, data.SIN_QUARTER_SHORT.coefficients)
    cosine = horner(z, data.COS_QUARTER_SHORT.coefficients)
    even = _is_even(odd)
    # tan(r + π/2) = −1/tan(r).
    y = select(even, sine, cosine) / select(even, cosine, sine)
    return _flipped(y, (odd << 63) ^ bits(x))


def atan(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The inverse tangent, from −π/2 to π/2; odd to the last bit."""
    size = abs(x)
    steep = size > 1.0
    if x.type is F64 and accuracy is Accuracy.SHORT:
        z = select(steep, 1.0 / size, size)
        y = z * horner(z * z, data.ATAN_SHORT.coefficients)
        return with_sign_of(select(steep, data.HALF_PI_F64_HIGH - y, y), x)
    # atan(x) = π/2 − atan(1/x), with what 1/x lacks, and π/2 in two parts.
    held = minimum(size, _UPRIGHT)
    inverse = 1.0 / held
    z = select(steep, inverse, size)
    square = z * z
    cube, p = z * square, horner(square, _ATAN[x.type].coefficients)
    lacking = fma(-inverse, held, 1.0) * inverse
    # 1 − z²/2 is close enough to the derivative, 1/(1 + z²); z² is in two parts.
    lacking = fma(lacking * square, -0.5, lacking)
    first, second = _HALF_PI[x.type]
    upper = first - z
    small = lacking - (((first - upper) - z) + second)
    rest = fma(cube, p, fma(z * p, fma(z, z, -square), small))
    return with_sign_of(select(steep, upper - rest, fma(cube, p, z)), x)


def _remainder(size: Value) -> tuple[Value, Value, Value]:
    """The multiple of π/2 nearest to an angle, and in two parts how much the angle exceeds it.

    The multiple is an integer that has its lowest bits, in two's complement.
    """
    shifter = LAYOUTS[size.type].shifter
    total, rest, smallest = turns(size)
    quarters = fma(total, 4.0, shifter)
    part, error = two_sum(fma(quarters - shifter, -0.25, total), rest)
    error = error + smallest
    first, second = (4.0 * number for number in _HALF_PI[size.type])
    high = part * first
    low = fma(part, first, -high) + fma(part, second, error * first)
    small = size < SMALL
    return (
        bits(select(small, shifter, quarters)),
        select(small, size, high),
        select(small, 0.0, low),
    )


def _sine(r: Value, rest: Value) -> Parts:
    """sin(r + rest) for |r| ≤ π/4, as a sum whose second part is the smaller one."""
    square = r * r
    correction = fma(square * -0.5, rest, rest)
    return r, fma(r * square, horner(square, _SIN[r.type].coefficients), correction)


def _cosine(r: Value, rest: Value) -> Parts:
    """cos(r + rest) for |r| ≤ π/4, as a sum whose second part is the smaller one."""
    square, half = r * r, r * -0.5
    first = fma(half, r, 1.0)
    lacking = fma(half, r, 1.0 - first)
    correction = fma(-r, rest, lacking)
    return first, fma(square * square, horner(square, _COS[r.type].coefficients), correction)


def _sum(parts: Parts) -> Value:
    return parts[0] + parts[1]


def _normalised(parts: Parts) -> Parts:
    """The rounded sum and what it lacks."""
    total = parts[0] + parts[1]
    return total, parts[1] - (total - parts[0])


def _is_even(number: Value) -> Value:
    return equal(number & 1, 0)


def _flipped(y: Value, by: Value) -> Value:
    """``y`` with its sign changed where the top bit of an integer is set."""
    top = -(2 ** (y.type.bits - 1))
    return bits(bits(y) ^ (by & top))
