"""exp, expm1, tanh, log and log1p of numbers in two words, with relative errors of some 2⁻²⁹.

The logarithms reduce as those of one word do; of the polynomials the terms of the lowest degrees
are summed in two words, the others in one. The exponentials look up a root of 2, which leaves so
little that a short polynomial serves (Tang: "Table-driven implementation of the exponential
function in IEEE floating-point arithmetic", ACM Trans. Math. Software 15(2), 1989). Arguments are
numbers of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import exp as exp_of
from math import expm1 as expm1_of
from math import inf, isqrt, nan
from math import log as log_of
from math import log1p as log1p_of
from math import tanh as tanh_of

from gradsmith.numerics.builder import (
    Value,
    bits,
    clamped,
    equal,
    fma,
    lookup,
    maximum,
    minimum,
    select,
    two_sum,
)
from gradsmith.numerics.double_word import (
    LEAST,
    DoubleWord,
    Range,
    absolute,
    choose,
    negative,
    number,
    plain,
    sound,
    with_sign,
)
from gradsmith.numerics.double_word_arithmetic import ASIDE, add, divide, multiply
from gradsmith.numerics.elementary.coefficients import exponential, logarithm
from gradsmith.numerics.elementary.exponential import RANGE
from gradsmith.numerics.elementary.logarithm import exponent_of, lifted, offset_of, split
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.reduction import LAYOUTS
from gradsmith.numerics.program import F32, bits_of_number, number_of_bits

_LAYOUT = LAYOUTS[F32]
_LN2 = _LAYOUT.ln2
# Where an exponential that is kept times 2⁶⁴ is 0, with k + 64 = −bias.
_NOTHING = -(_LAYOUT.bias + ASIDE) * log_of(2.0)
# From here up, and down, the exponential does not change what 1 is added to or subtracted from.
_LARGE, _MINUS_ONE = 88.0, -25.0
# Below this an exponential is kept times 2⁶⁴.
_SMALL = -40.0
_SMALLEST_NORMAL = 2.0**-126
_STEP_BITS = 4
_STEPS = 2**_STEP_BITS


def _root_of_two(step: int) -> Fraction:
    """2 to the power step/16, to 30 digits."""
    value = Fraction(2**step)
    for _ in range(_STEP_BITS):
        value = Fraction(isqrt(int(value * 4**100)), 2**100)
    return value


def _correction(root: Fraction) -> Fraction:
    """The logarithm of a number over its nearest float32."""
    lost = root / Fraction(number_of_bits(F32, bits_of_number(F32, root))) - 1
    return lost - lost**2 / 2


_ROOTS = [_root_of_two(step) for step in range(_STEPS)]
# The first one is −0, which leaves the sign of an argument −0.
_CORRECTIONS: list[float | Fraction] = [-0.0, *(_correction(root) for root in _ROOTS[1:])]
# Up to here log1p(x) is x, as far as two words show.
_TINY = 2.0**-31


def exp(x: DoubleWord) -> DoubleWord:
    """eˣ, with all digits far below the range of float32."""
    x = plain(x)
    held = maximum(x.high, _NOTHING)
    offset = x.high.builder.number(F32, _LAYOUT.bias + ASIDE)
    factor: float | Value = 2.0**-ASIDE
    if x.range[1] > 0:
        # At the upper end 2ᵏ is out of range before eˣ is.
        held = minimum(held, RANGE[F32][1])
        small = x.high < _SMALL
        offset = select(small, offset, _LAYOUT.bias - 1)
        factor = select(small, x.high.builder.number(F32, 2.0**-ASIDE), 2.0)
    parts = _reduced(x, held, offset)
    r = parts.r
    p = fma(r * r, horner(r, exponential.EXP_STEP_F32.coefficients), r)
    total = fma(parts.root, p, parts.root)
    low = fma(parts.root, p, parts.root - total)
    scale = parts.scale
    span = max(_end(exp_of, x.range[0]), LEAST), _end(exp_of, x.range[1])
    return DoubleWord(total * scale, low * scale, span, factor, sound=span[1] < inf)


def expm1(x: DoubleWord) -> DoubleWord:
    """eˣ − 1, with its sign at ±0; up to x = 88, beyond which it stays."""
    x = plain(x)
    held = maximum(x.high, _MINUS_ONE)
    if x.range[1] > _LARGE:
        held = clamped(x.high, _MINUS_ONE, _LARGE)
    parts = _reduced(x, held, x.high.builder.number(F32, _LAYOUT.bias))
    r, scale = parts.r, parts.scale
    power = parts.root * scale
    if x.range[1] <= 0:
        others = 1.0 - power
        others_low = (1.0 - others) - power
    else:
        others, others_low = two_sum(x.high.builder.number(F32, 1.0), -power)
    high = fma(power, r, -others)
    lost = fma(power, r, -others - high) - others_low
    # What is left of eʳ − 1 beyond r; a second word of x is as large as what rounding loses of r².
    rest = parts.rest if x.low is None else fma(r, parts.rest, parts.rest)
    left = fma(r * r, horner(r, exponential.EXP_STEP_F32.coefficients), rest)
    low = fma(power, left, lost)
    if x.low is not None:
        high = select(equal(x.high, 0.0), x.high, high)
    return DoubleWord(high, low, (expm1_of(x.range[0]), _end(expm1_of, x.range[1])))


def tanh(x: DoubleWord) -> DoubleWord:
    """The hyperbolic tangent: −expm1(−2|x|)/(2 + expm1(−2|x|))."""
    builder = x.high.builder
    size = absolute(plain(x))
    part = negative(expm1(multiply(number(builder, Fraction(-2)), size)))
    quotient = divide(part, add(number(builder, Fraction(2)), negative(part)))
    return with_sign(DoubleWord(quotient.high, quotient.low, (0.0, tanh_of(size.range[1]))), x)


def _reduced(x: DoubleWord, held: Value, offset: Value) -> _Reduced:
    """Of x where it is ``held``, of ``held`` elsewhere; such that 0 ≤ k + offset < 256."""
    shifter = offset * float(_STEPS) + _LAYOUT.shifter
    shifted = fma(held, _STEPS * _LAYOUT.log2_e, shifter)
    count = shifted - shifter
    first = fma(count, -_LN2[0] / _STEPS, held)
    place = bits(shifted)
    second = fma(count, -_LN2[1] / _STEPS, lookup(place, _CORRECTIONS))
    if x.low is not None:  # out of range the second word is anything
        second = select(equal(held, x.high), second + x.low, second)
    r = first + second
    # Above the steps stands k with its offset.
    scale = bits((place << (_LAYOUT.places - _STEP_BITS)) & -(2**_LAYOUT.places))
    return _Reduced(r, (first - r) + second, lookup(place, _ROOTS), scale)


@dataclass(frozen=True, slots=True)
class _Reduced:
    """x = k·log 2 + log(root) + r + rest.

    Attributes:
        r: not above log(2)/32 in size, or only just; next to 0 it is x.
        rest: what rounding took from r.
        root: of a power of two from 1 to 2, the sixteenth, rounded.
        scale: 2ᵏ, times the power of two to which the offset belongs.
    """

    r: Value
    rest: Value
    root: Value
    scale: Value


def _curved(r: Value, p: Value, p_low: Value) -> tuple[Value, Value]:
    """R + r²(p + p_low), where the second term is at most half of the first."""
    square = r * r
    high = fma(square, p, r)
    low = fma(square, p_low, fma(square, p, r - high))
    return high, fma(fma(r, r, -square), p, low)


def log(x: DoubleWord) -> DoubleWord:
    """The natural logarithm: −∞ at ±0, NaN below."""
    x = sound(plain(x))
    minus_k, significand = split(x.high, True)
    rest = None
    if x.low is not None:
        # A second word of a subnormal number there is none.
        rest = select(x.high < _SMALLEST_NORMAL, 0.0, x.low * (significand / x.high))
    span = _end(log_of, x.range[0]), _end(log_of, x.range[1])
    return _with_pole(x.high, 0.0, _logarithm(minus_k, significand - 1.0, rest), span)


def log1p(x: DoubleWord) -> DoubleWord:
    """log(1 + x), with its sign at ±0: −∞ at −1, NaN below."""
    x = sound(plain(x))
    span = _end(log1p_of, x.range[0]), _end(log1p_of, x.range[1])
    if x.range[0] >= 0 and x.range[1] <= 1:
        return _log_between_one_and_two(x, span)
    above = lifted(x.high + 1.0, 0.75)
    # A quarter of 2⁻ᵏ, since 2⁻ᵏ is subnormal for the largest k.
    scale = bits(-(2**31) - (above & -(2**_LAYOUT.places)))
    f = fma(x.high * 0.25, scale, -(1.0 - 0.25 * scale))
    rest = None if x.low is None else x.low * (0.25 * scale)
    pair = _logarithm(offset_of(x.high) - exponent_of(above), f, rest)
    y = _with_pole(x.high, -1.0, pair, span)
    return choose(abs(x.high) < _TINY, x, y)


def _log_between_one_and_two(x: DoubleWord, span: Range) -> DoubleWord:
    upper = x.high > 0.5
    f = select(upper, fma(x.high, 0.5, -0.5), x.high)
    rest = None if x.low is None else select(upper, x.low * 0.5, x.low)
    high, low = _series(f, rest)
    part = select(upper, x.high.builder.number(F32, _LN2[0]), 0.0)
    total = part + high
    low = low + ((part - total) + high) + select(upper, x.high.builder.number(F32, _LN2[1]), 0.0)
    return DoubleWord(total, low, (max(span[0], LEAST) if x.positive else span[0], span[1]))


def _logarithm(minus_k: Value, f: Value, rest: Value | None) -> tuple[Value, Value]:
    """k·log 2 + log(1 + f + rest)."""
    part, low = _series(f, rest)
    high = fma(minus_k, -_LN2[0], part)
    lost = part - fma(minus_k, _LN2[0], high)
    return high, fma(minus_k, -_LN2[1], low + lost)


def _series(f: Value, rest: Value | None) -> tuple[Value, Value]:
    """log(1 + f + rest) for 3/4 ≤ 1 + f ≤ 3/2."""
    third, third_low = logarithm.THIRD_F32
    series = horner(f, logarithm.LOG_WORDS.coefficients)
    w = fma(f, series, third)
    w_low = fma(f, series, third - w) + third_low
    p = fma(f, w, -0.5)
    p_low = fma(f, w_low, fma(f, w, -0.5 - p))
    high, low = _curved(f, p, p_low)
    if rest is not None:
        low = fma(rest, horner(f, logarithm.RECIPROCAL_WORDS.coefficients), low)
    return high, low


def _with_pole(x: Value, pole: float, y: tuple[Value, Value], span: Range) -> DoubleWord:
    inside = (x > pole) & (x < inf)
    at_pole = x.builder.number(F32, -inf)
    outside = select(x > pole, x, select(equal(x, pole), at_pole, nan))
    return DoubleWord(select(inside, y[0], outside), select(inside, y[1], 0.0), span)


def _end(function: Callable[[float], float], at: float) -> float:
    """A bound of the function's range, from one of its argument's."""
    try:
        return function(at)
    except OverflowError:
        return inf
    except ValueError:
        return -inf
