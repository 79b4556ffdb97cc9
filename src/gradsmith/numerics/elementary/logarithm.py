"""log and log1p: on the whole range, subnormal arguments included.

x = 2ᵏ(1 + f), then k·log 2 + log(1 + f) with a polynomial in f. It has about twenty terms, and
still takes less time than the division of the usual series in f/(2 + f), as all lanes of all units
work on it. In full accuracy 1 + f lies between 3/4 and 3/2: there f = x·2⁻ᵏ + (2⁻ᵏ − 1) is exact
for log1p too, because the two terms are within a factor of two of each other (Sterbenz: "Floating
Point Computation", 1974).
"""

from __future__ import annotations

from math import inf, nan, sqrt

from gradsmith.numerics.builder import Value, bits, equal, fma, select, unsigned_shift
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import exponential, logarithm
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.reduction import LAYOUTS
from gradsmith.numerics.program import F32, F64, bits_of_number

# Where 1 + f begins, by whether the accuracy is full. In the short variant log(1 + f) is never
# larger than the result, so that its relative error is that of the result.
_START = {True: 0.75, False: sqrt(0.5)}
_SMALLEST_NORMAL = {F64: 2.0**-1022, F32: 2.0**-126}
# Up to here log1p(x) rounds to x.
_TINY = {F64: 2.0**-54, F32: 2.0**-25}
_LOG_SHORT = {F64: logarithm.LOG_SHORT, F32: logarithm.LOG_SHORT_F32}
_LOG1P_SHORT = {F64: logarithm.LOG1P_SHORT, F32: logarithm.LOG1P_SHORT_F32}


def log(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """The natural logarithm: −∞ at ±0, NaN below."""
    full = accuracy is Accuracy.FULL
    # Of float64 the short variant need not know the subnormal numbers.
    minus_k, significand = split(x, full or x.type is F32, _START[full])
    return with_pole(x, 0.0, log_of_parts(minus_k, significand - 1.0, None, full))


def split(x: Value, full: bool, start: float | None = None) -> tuple[Value, Value]:
    """−k and z of x = 2ᵏz, where x > 0 is finite: z is between ``start`` and twice that."""
    places = LAYOUTS[x.type].places
    start = _START[full] if start is None else start
    normal, offset = x, x.builder.number(x.type, offset_of(x))
    if full:
        # A subnormal number has leading zeros where the fraction is taken from.
        small = x < _SMALLEST_NORMAL[x.type]
        normal = select(small, x * 2.0 ** (places + 2), x)
        offset = select(small, offset_of(x) + (places + 2), offset)
    above = lifted(normal, start)
    significand = bits((above & (2**places - 1)) + bits_of_number(x.type, start))
    return offset - exponent_of(above), significand


def log1p(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """log(1 + x), with its sign at ±0: −∞ at −1, NaN below."""
    full = accuracy is Accuracy.FULL
    if not full and x.bounds[0] >= 0 and x.bounds[1] <= 1:
        return x * horner(x, _LOG1P_SHORT[x.type].coefficients)
    y = with_pole(x, -1.0, log1p_of_sum(x, full))
    return select(abs(x) < _TINY[x.type], x, y) if full else y


def log1p_of_sum(
    x: Value, full: bool, rest: Value | None = None, doubled: Value | None = None
) -> Value:
    """log(1 + x + rest) for −1 < x < ∞.

    Args:
        x: the argument, or the nearest number to it.
        full: whether in full accuracy.
        rest: what x lacks.
        doubled: where this holds, the logarithm of twice the argument.
    """
    layout = LAYOUTS[x.type]
    above = lifted(x + 1.0, _START[full])
    # 4·2⁻ᵏ, since 2⁻ᵏ is subnormal for the largest k: 2·bias + 2 less the exponent, where it is.
    top_bit = -(2 ** (x.type.bits - 1))
    scale = bits(top_bit - (above & -(2**layout.places)))
    # −(1 − 2⁻ᵏ) is −0 for k = 0, and leaves the sign of x = −0.
    f = fma(x * 0.25, scale, -(1.0 - 0.25 * scale))
    if rest is not None:
        rest = rest * (0.25 * scale)
    offset = x.builder.number(x.type, offset_of(x))
    if doubled is not None:
        offset = select(doubled, offset_of(x) - 1.0, offset)
    return log_of_parts(offset - exponent_of(above), f, rest, full)


def log_of_parts(minus_k: Value, f: Value, rest: Value | None, full: bool) -> Value:
    """k·log 2 + log(1 + f + rest)."""
    if not full:
        # With −k = +0, the sign of f = −0 is left as it is.
        series = horner(f, _LOG_SHORT[f.type].coefficients)
        return fma(minus_k, -exponential.LN2_SHORT, f * series)
    fit = logarithm.LOG_F64 if f.type is F64 else logarithm.LOG_F32
    ln2_high, ln2_low = LAYOUTS[f.type].ln2
    smallest = minus_k * -ln2_low
    if rest is not None:
        # rest/(1 + f) in first order, closer at the ends than 1 − f.
        smallest = fma(rest, fma(f, -0.75, 1.0), smallest)
    small = fma(-0.5 * f, f, fma(f * f, f * horner(f, fit.coefficients), smallest))
    high = fma(minus_k, -ln2_high, f)
    lost = f - fma(minus_k, ln2_high, high)
    return high + (lost + small)


def lifted(x: Value, start: float) -> Value:
    """The bits of ``x``, moved so that the exponent changes at ``start`` times a power of two."""
    return bits(x) + (bits_of_number(x.type, 1.0) - bits_of_number(x.type, start))


def exponent_of(lifted: Value) -> Value:
    """The exponent above the fraction, as a number that is too large by :func:`offset_of`."""
    kind = lifted.type.same_size_integer
    places = LAYOUTS[kind].places
    return bits(unsigned_shift(lifted, places) | bits_of_number(kind, 2.0**places))


def offset_of(x: Value) -> float:
    """By how much :func:`exponent_of` is too large."""
    return 2.0 ** LAYOUTS[x.type].places + LAYOUTS[x.type].bias


def with_pole(x: Value, pole: float, y: Value) -> Value:
    """``y`` between the pole and infinity, and what the logarithm is elsewhere."""
    finite = select(x < inf, y, x)
    at_pole = x.builder.number(x.type, -inf)
    return select(x > pole, finite, select(equal(x, pole), at_pole, nan))
