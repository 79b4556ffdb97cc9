"""tanh, sinh, cosh and asinh: on the whole range, odd or even to the last bit.

tanh comes from expm1, so that nothing cancels near 0, and in float32 from a table. sinh and cosh
come from the even and the odd part of eʳ, which need neither a division nor e⁻ˣ:

    sinh x = (2ᵏ + 2⁻ᵏ)/2·sinh r + (2ᵏ − 2⁻ᵏ)/2·cosh r    for x = k·log 2 + r,

and cosh x is the same with sinh r and cosh r exchanged. asinh is a logarithm whose argument is
known to twice the precision.
"""

from __future__ import annotations

from math import inf

from gradsmith.numerics.builder import (
    Value,
    bits,
    fma,
    maximum,
    minimum,
    select,
    sqrt,
    with_sign_of,
)
from gradsmith.numerics.elementary import short_table
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import exponential, hyperbolic
from gradsmith.numerics.elementary.exponential import expm1_parts
from gradsmith.numerics.elementary.hyperbolic_table import tanh_of_size
from gradsmith.numerics.elementary.logarithm import log1p_of_sum
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.reduction import LAYOUTS, power_of_two, reduce, reduce_quickly
from gradsmith.numerics.program import F32, F64

# From here up tanh(x) rounds to 1 in float64.
_ONE = 22.0
# From here up sinh and cosh are infinite, just above where they round to that.
_INFINITE = {F64: 710.5, F32: 89.5}
_SHORT_INFINITE = 700.0
# Up to here sinh(x) and asinh(x) round to x.
_TINY = {F64: 2.0**-27, F32: 2.0**-13}
# From here up x² + 1 rounds to x², and 2x is the argument of the logarithm that asinh(x) is.
_LARGE = {F64: 2.0**60, F32: 2.0**30}
# Up to here three terms of asinh(x) = x − x³/6 + 3x⁵/40 − … are enough for 2⁻⁶⁰.
_SERIES = 2.0**-10
# From here up e⁻ˣ is nothing beside eˣ.
_ONE_SIDED = {F64: 40.0, F32: 20.0}


def tanh(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The hyperbolic tangent: in float64 (1 − e⁻²ˣ)/(1 + e⁻²ˣ), for x ≥ 0."""
    if x.type is F32 and accuracy is Accuracy.SHORT:
        return short_table.tanh(x)
    if x.type is F32:
        return with_sign_of(tanh_of_size(abs(x))[0], x)
    if accuracy is Accuracy.SHORT:
        return with_sign_of(_tanh_short(abs(x)), x)
    high, low = expm1_parts(maximum(abs(x) * -2.0, -2.0 * _ONE), halved=False)
    # −n − rest = e⁻²ˣ − 1, and d − lost = 2 − n − rest
    n = -(high + low)
    rest = -(low + (high + n))
    d = 2.0 - n
    lost = rest - ((2.0 - d) - n)
    inverse = 1.0 / d
    near = n * inverse
    # What the quotient still lacks, to first order.
    remainder = fma(near, lost, fma(-near, d, n) + rest)
    return with_sign_of(abs(fma(remainder, inverse, near)), x)


def _tanh_short(x: Value) -> Value:
    exponent, r = reduce_quickly(minimum(x, _ONE) * -2.0, LAYOUTS[F64].bias)
    scale = power_of_two(exponent)
    series = r * horner(r, exponential.EXPM1_SHORT.coefficients)
    lost = fma(-scale, series, 1.0 - scale)
    return lost / (2.0 - lost)


def sinh(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The hyperbolic sine: (eˣ − e⁻ˣ)/2."""
    size = abs(x)
    if x.type is F64 and accuracy is Accuracy.SHORT:
        plus, minus, odd, even = _parts_short(size)
        return with_sign_of(fma(plus, odd, minus * even), x)
    up, down, r, odd, even = _parts(minimum(size, _INFINITE[x.type]))
    plus, minus = up + down, up - down
    lost = (up - minus) - down
    high = fma(plus, r, minus)
    low = fma(plus, r, minus - high) + lost
    small = fma(minus, even, fma(plus, odd, low))
    return select(size < _TINY[x.type], x, with_sign_of((high + small) * 2.0, x))


def cosh(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The hyperbolic cosine: (eˣ + e⁻ˣ)/2."""
    size = abs(x)
    if x.type is F64 and accuracy is Accuracy.SHORT:
        plus, minus, odd, even = _parts_short(size)
        return fma(minus, odd, plus * even)
    up, down, r, odd, even = _parts(minimum(size, _INFINITE[x.type]))
    plus, minus = up + down, up - down
    lost = (up - plus) + down
    high = fma(minus, r, plus)
    low = fma(minus, r, plus - high) + lost
    small = fma(plus, even, fma(minus, odd, low))
    return (high + small) * 2.0


def _parts(size: Value) -> tuple[Value, Value, Value, Value, Value]:
    """2ᵏ/4, 2⁻ᵏ/4, r, sinh r − r and cosh r − 1."""
    layout = LAYOUTS[size.type]
    sinh_fit, cosh_fit = {
        F64: (hyperbolic.SINH_F64, hyperbolic.COSH_F64),
        F32: (hyperbolic.SINH_F32, hyperbolic.COSH_F32),
    }[size.type]
    exponent, r, error = reduce(size, layout.bias - 2)
    up = power_of_two(exponent)
    opposite = ((2 * layout.bias - 4) << layout.places) - bits(up)
    down = select(size < _ONE_SIDED[size.type], bits(opposite), 0.0)
    square = r * r
    odd = fma(square, r * horner(square, sinh_fit.coefficients), error)
    even = fma(square, horner(square, cosh_fit.coefficients), r * error)
    return up, down, r, odd, even


def _parts_short(size: Value) -> tuple[Value, Value, Value, Value]:
    """(2ᵏ + 2⁻ᵏ)/2, (2ᵏ − 2⁻ᵏ)/2, sinh r and cosh r."""
    layout = LAYOUTS[F64]
    # Of the replacement 2ᵏ is infinite and r positive, so that no infinities are subtracted.
    infinite = (layout.bias + 2.25) * exponential.LN2_SHORT
    exponent, r = reduce_quickly(select(size > _SHORT_INFINITE, infinite, size), layout.bias - 1)
    up = power_of_two(exponent)
    down = bits(((2 * layout.bias - 2) << layout.places) - bits(up))
    square = r * r
    odd = fma(square, r * horner(square, hyperbolic.SINH_SHORT.coefficients), r)
    even = fma(square, horner(square, hyperbolic.COSH_SHORT.coefficients), 1.0)
    return up + down, up - down, odd, even


def asinh(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The inverse hyperbolic sine: log(x + √(x² + 1))."""
    a = abs(x)
    if x.type is F64 and accuracy is Accuracy.SHORT:
        return with_sign_of(_asinh_short(a), x)
    # √(a² + 1) = root + correction
    square = a * a
    total = square + 1.0
    part = total - square
    lost = ((square - (total - part)) + (1.0 - part)) + fma(a, a, -square)
    root = sqrt(total)
    correction = (fma(-root, root, total) + lost) * (0.5 / root)
    above = root - 1.0
    size = a + above
    rest = ((a - size) + above) + correction
    large = a > _LARGE[x.type]
    y = log1p_of_sum(select(large, a, size), True, select(large, 0.0, rest), large)
    return select(a < _TINY[x.type], x, with_sign_of(select(a < inf, y, a), x))


def _asinh_short(a: Value) -> Value:
    large = a > _LARGE[F64]
    square = a * a
    size = select(large, a, a + (sqrt(square + 1.0) - 1.0))
    series = fma(a * square, fma(square, 3 / 40, -1 / 6), a)
    y = select(a < _SERIES, series, log1p_of_sum(size, False, doubled=large))
    return select(a < inf, y, a)
