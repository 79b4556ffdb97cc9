"""Powers: by squaring where the exponent is a constant integer, else exp(y·log x).

The exponential magnifies the error of its argument up to 745 times, so that the logarithm of a
power is computed as a sum of two numbers, with errors below 2⁻⁶⁵ of it.
"""

from __future__ import annotations

from math import inf, nan

from gradsmith.numerics.builder import Value, bits, clamped, convert, equal, fma, rint, select, sqrt
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import exponential, logarithm
from gradsmith.numerics.elementary.exponential import RANGE, exp, exp_of_sum
from gradsmith.numerics.elementary.logarithm import log, split, with_pole
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.program import F32, F64

# Where z begins in x = 2ᵏz, so that |log z| is least.
_CENTRED = 0.5**0.5

Pair = tuple[Value, Value]
"""A number as a sum whose second part is small beside the first."""


def square_root(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """√x, correctly rounded: −0 at −0, NaN below."""
    return sqrt(x)


def absolute(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """|x|."""
    return abs(x)


def sign(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """−1, 1, or ``x`` itself where it is ±0 or NaN."""
    return select(x > 0.0, 1.0, select(x < 0.0, -1.0, x))


def integer_power(x: Value, exponent: int, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """xⁿ by squaring, with C's values at ±0, ±∞ and NaN.

    In full accuracy every product keeps its rounding error, so that the result is right but for
    the last rounding, and within 1.5 ULP where the smallest normal number is near: for |n| ≤ 64.
    In the short variant, and where there is one rounding only, nothing is kept.
    """
    size = abs(exponent)
    if size == 0:
        return x.builder.number(x.type, 1.0)
    if accuracy is Accuracy.SHORT:
        if exponent < 0 and x.type is F32:
            # In this order, since xⁿ can be out of range where its reciprocal is not.
            return _plain_power(1.0 / x, size)
        result = _plain_power(x, size)
        return result if exponent > 0 else 1.0 / result
    if exponent in (1, 2):
        return _plain_power(x, exponent)
    if exponent == -1:
        return 1.0 / x
    base: tuple[Value, Value | None]
    if exponent > 0:
        base = (x, None)
    else:
        # First the reciprocal: xⁿ can be out of range where its reciprocal is subnormal.
        inverse = 1.0 / x
        base = (inverse, fma(-inverse, x, 1.0) * inverse)
    high, low = _exact_power(base, size)
    if low is None:
        return high
    # An infinity or a zero has no error; adding what stands there gives NaN, or loses the sign.
    return select(abs(low) < abs(high), high + low, high)


def _plain_power(x: Value, exponent: int) -> Value:
    result = None
    while True:
        if exponent & 1:
            result = x if result is None else result * x
        exponent >>= 1
        if exponent == 0:
            assert result is not None
            return result
        x = x * x


def _exact_power(base: tuple[Value, Value | None], exponent: int) -> tuple[Value, Value | None]:
    result: tuple[Value, Value | None] | None = None
    while True:
        if exponent & 1:
            result = base if result is None else _product(result, base)
        exponent >>= 1
        if exponent == 0:
            assert result is not None
            return result
        base = _product(base, base)


def _product(a: tuple[Value, Value | None], b: tuple[Value, Value | None]) -> Pair:
    """The product of two sums; what is of second order in their small parts is left out."""
    high = a[0] * b[0]
    low = fma(a[0], b[0], -high)
    if a == b:
        return high, low if a[1] is None else fma(a[0] + a[0], a[1], low)
    for one, other in ((a[0], b[1]), (b[0], a[1])):
        low = low if other is None else fma(one, other, low)
    return high, low


def power(x: Value, y: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """xʸ, with C's values: NaN for x < 0 unless y is an integer; 1 for y = 0 and for x = 1."""
    if x.type is F32:
        # float32 has too few digits for the logarithm; in float64 the last rounding is the error.
        wide = power(convert(x, F64), convert(y, F64), Accuracy.SHORT)
        return convert(wide, F32)
    size = abs(x)
    if accuracy is Accuracy.SHORT:
        magnitude = exp(y * log(size), Accuracy.SHORT)
    else:
        magnitude = _power_of_positive(size, y)
    # The logarithm of 1 times infinity is not a number.
    magnitude = select(equal(size, 1.0), 1.0, magnitude)
    whole = equal(rint(y), y)
    half = y * 0.5
    odd = whole & ~equal(rint(half), half)
    top_bit = bits(x) & -(2**63)
    signed = select(odd, bits(bits(magnitude) | top_bit), magnitude)
    undefined = ~whole & (x < 0.0) & (size < inf)
    result = select(undefined, nan, signed)
    return select(equal(y, 0.0) | equal(x, 1.0), 1.0, result)


def _power_of_positive(x: Value, y: Value) -> Value:
    high, low = log_in_parts(x)
    high = with_pole(x, 0.0, high)
    product = y * high
    # What the product lacks is not a number where it is infinite, and does not matter there.
    rest = fma(y, low, fma(y, high, -product))
    rest = select(abs(product) < 1000.0, rest, 0.0)
    return exp_of_sum(clamped(product, *RANGE[F64]), rest)


def log_in_parts(x: Value) -> Pair:
    """The logarithm of 0 < x < ∞, within 2⁻⁶⁵ of it.

    With x = 2ᵏz it is 2·atanh(s) + k·log 2, where s = (z − 1)/(z + 1).
    """
    minus_k, z = split(x, True, start=_CENTRED)
    f, below = z - 1.0, z + 1.0
    inverse = 1.0 / below
    s = f * inverse
    s_rest = fma(-s, z - (below - 1.0), fma(-s, below, f)) * inverse
    # atanh(s) = s(1 + w), with w = s²(1/3 + s²·series)
    square = s * s
    square_rest = fma(s + s, s_rest, fma(s, s, -square))
    third, third_rest = logarithm.THIRD
    # The derivative of s²·series in s² is close to 1/5.
    tail = fma(square_rest, 0.2, third_rest)
    tail = fma(square, horner(square, logarithm.ATANH_F64.coefficients), tail)
    factor = tail + third
    factor_rest = (third - factor) + tail
    w, w_rest = _product((square, square_rest), (factor, factor_rest))
    curved, curved_rest = _product((s, s_rest), (w, w_rest))
    # k·log 2 + 2s, then 2s·w, then all that is smaller
    ln2_high, ln2_low = exponential.LN2_F64
    line = s + s
    first = fma(minus_k, -ln2_high, line)
    lost = line - fma(minus_k, ln2_high, first)
    second = fma(curved, 2.0, first)
    lost = lost + fma(curved, 2.0, first - second)
    smallest = fma(minus_k, -ln2_low, (s_rest + curved_rest) * 2.0)
    low = lost + smallest
    high = second + low
    return high, (second - high) + low
