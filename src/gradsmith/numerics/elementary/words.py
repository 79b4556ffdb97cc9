"""exp, expm1, tanh, log and log1p of numbers in two words, with relative errors of some 2⁻²⁸.

The logarithms reduce as those of one word do; of the polynomials the terms of the lowest degrees
are summed in two words, the others in one. The exponentials look up a root of 2, which leaves so
little that a short polynomial serves (Tang: "Table-driven implementation of the exponential
function in IEEE floating-point arithmetic", ACM Trans. Math. Software 15(2), 1989). Arguments are
numbers of float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
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
    nearest_word,
    plain,
    sound,
    with_sign,
)
from gradsmith.numerics.double_word_arithmetic import ASIDE, LEAN
from gradsmith.numerics.elementary.coefficients import exponential, logarithm
from gradsmith.numerics.elementary.hyperbolic_table import tanh_of_size
from gradsmith.numerics.elementary.logarithm import exponent_of, lifted, offset_of, split
from gradsmith.numerics.elementary.logarithm_table import LARGEST_REST, log1p_up_to_one
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.reduction import LAYOUTS
from gradsmith.numerics.program import F32, bits_of_number, number_of_bits

_LAYOUT = LAYOUTS[F32]
_LN2 = _LAYOUT.ln2
NOTHING = -(_LAYOUT.bias + ASIDE) * log_of(2.0)
"""Where an exponential that is kept times 2⁶⁴ is 0, with k + 64 = −127."""
# From here up, and down, the exponential does not change what 1 is added to or subtracted from.
_LARGE, _MINUS_ONE = 88.0, -25.0
# Below this an exponential is kept times 2⁶⁴.
_SMALL = -40.0
# From here up an exponential is infinite.
_INFINITE = 89.0
# Of an exponential below this nothing is left beside 1; of 1 + eˣ above this, over 2⁶⁴, the
# reciprocal is still a normal number.
_NEGLIGIBLE, _BEYOND = -40.0, 131.0
_SMALLEST_NORMAL = 2.0**-126
_STEP_BITS = 3
_STEPS = 2**_STEP_BITS
HALF_STEP = log_of(2.0) / (2 * _STEPS)
"""As far from :data:`NOTHING` the exponential is 0 too; more is left only of a larger one."""
LARGEST_EXPM1 = 1.002 * expm1_of(HALF_STEP)
"""By how much of itself an exponential differs from what is looked up, at most."""


def _root_of_two(step: int) -> Fraction:
    """2 to the power step/8, to 30 digits."""
    value = Fraction(2**step)
    for _ in range(_STEP_BITS):
        value = Fraction(isqrt(int(value * 4**100)), 2**100)
    return value


def _correction(root: Fraction) -> Fraction:
    """The logarithm of a number over its nearest float32."""
    lost = root / nearest_word(root) - 1
    return lost - lost**2 / 2


_ROOTS = [_root_of_two(step) for step in range(_STEPS)]
# Their bits, less those of step·2¹⁹. To these the count of steps is added, moved up to where above
# the steps stands the exponent: that multiplies by a power of two without a multiplication.
_POWERS = [
    number_of_bits(F32, bits_of_number(F32, root) - (step << (_LAYOUT.places - _STEP_BITS)))
    for step, root in enumerate(_ROOTS)
]
# The first one is −0, which leaves the sign of an argument −0.
_CORRECTIONS = [-0.0, *(float(nearest_word(_correction(root))) for root in _ROOTS[1:])]
# Up to here log1p(x) is x, as far as two words show.
_TINY = 2.0**-31


def exp(x: DoubleWord) -> DoubleWord:
    """eˣ, with all digits far below the range of float32."""
    x = plain(x)
    held = maximum(x.high, NOTHING) if x.range[0] < NOTHING else x.high
    if x.low is not None and x.range[1] > _INFINITE:  # there may be no second word
        held = minimum(held, _INFINITE)
    shifter = x.high.builder.number(F32, _shifter(ASIDE))
    factor: float | Value = 2.0**-ASIDE
    if x.range[0] >= _SMALL:
        shifter, factor = x.high.builder.number(F32, _shifter(0)), 1.0
    elif x.range[1] > 0:
        small = x.high < _SMALL
        shifter = select(small, shifter, _shifter(0))
        factor = select(small, x.high.builder.number(F32, 2.0**-ASIDE), 1.0)
    parts = _reduced(x, held, shifter, x.range[1] > _LARGE)
    power, p = parts.power, parts.expm1
    total = fma(power, p, power)
    low = fma(power, p, power - total)
    span = max(_end(exp_of, x.range[0]), LEAST), _end(exp_of, x.range[1])
    result = DoubleWord(total, low, span, factor, sound=span[1] < inf, slack=1.0)

    def leaning() -> DoubleWord:
        high = fma(power, p - LEAN, power)
        return replace(result, high=high, low=fma(power, p, power - high), leaning=None)

    plus_one = None if x.range[1] <= 0 else partial(_one_plus_exp, x)
    # Of an infinite first word there is no second one to lean.
    return replace(result, leaning=leaning if result.sound else None, plus_one=plus_one)


def factors_of_exp(x: DoubleWord, rate: float) -> tuple[Value, Value]:
    """Of exp(rate·x) the first factor, times 2⁶⁴, and what the second one exceeds 1 by.

    Args:
        x: such that rate·x is not above 0, and not below :data:`NOTHING`, where the first one is 0.
        rate: a power of two or the negative of one, by which nothing is multiplied.
    """
    parts = _reduced(x, x.high, x.high.builder.number(F32, _shifter(ASIDE)), rate=rate)
    return parts.power, parts.expm1


def _one_plus_exp(x: DoubleWord) -> DoubleWord:
    """1 + eˣ, over 2⁶⁴: far from the ends of the range, so that no case is a special one."""
    held, beyond = x.high, None
    if x.range[0] < _NEGLIGIBLE:
        held = maximum(held, _NEGLIGIBLE)
    if x.range[1] > _BEYOND:
        held, beyond = minimum(held, _BEYOND), x.high > _BEYOND
    one = x.high.builder.number(F32, 2.0**-ASIDE)
    parts = _reduced(x, held, x.high.builder.number(F32, _shifter(-ASIDE)))
    power, p = parts.power, parts.expm1
    total = fma(power, p, power) + one
    # −p·power and what the sum rounds: within 2⁻³⁰ of all, and exact where power is not 2²⁰ yet.
    rest = (maximum(power, one) - total) + minimum(power, one)
    low = fma(power, p, rest)
    span = 1.0 + _end(exp_of, x.range[0]), 1.0 + _end(exp_of, x.range[1])
    return DoubleWord(total, low, span, 2.0**ASIDE, slack=2.0, invertible=True, beyond=beyond)


def expm1(x: DoubleWord) -> DoubleWord:
    """eˣ − 1, with its sign at ±0; up to x = 88, beyond which it stays."""
    x = plain(x)
    held = maximum(x.high, _MINUS_ONE)
    if x.range[1] > _LARGE:
        held = clamped(x.high, _MINUS_ONE, _LARGE)
    parts = _reduced(x, held, x.high.builder.number(F32, _shifter(0)))
    r, power = parts.r, parts.power
    if x.range[1] <= 0:
        others = 1.0 - power
        others_low = (1.0 - others) - power
    else:
        others, others_low = two_sum(x.high.builder.number(F32, 1.0), -power)
    high = fma(power, r, -others)
    lost = fma(power, r, -others - high) - others_low
    # What is left of eʳ − 1 beyond r; a second word of x is as large as what rounding loses of r².
    rest = parts.rest if x.low is None else fma(r, parts.rest, parts.rest)
    left = fma(r * r, horner(r, exponential.EXPM1_STEP_F32.coefficients), rest)
    low = fma(power, left, lost)
    if x.low is not None:
        high = select(equal(x.high, 0.0), x.high, high)
    span = expm1_of(x.range[0]), _end(expm1_of, x.range[1])
    return DoubleWord(high, low, span, slack=1.0, linear=x.low is None)


def tanh(x: DoubleWord) -> DoubleWord:
    """The hyperbolic tangent, from a table."""
    x = sound(plain(x))
    size = absolute(x)
    high, low = tanh_of_size(size.high, size.low, size.range[1])
    y = DoubleWord(high, low, (0.0, 1.0))
    y = y if x.positive else with_sign(y, x)
    span = tanh_of(x.range[0]), tanh_of(x.range[1])
    return replace(y, range=span, slack=1.0, nearest=lambda: y.high)


def _shifter(offset: int) -> float:
    """What rounds 8·x/log 2 to an integer when added to it, and adds an offset to k."""
    shifter: float = _LAYOUT.shifter + offset * _STEPS
    return shifter


def _reduced(
    x: DoubleWord, held: Value, shifter: Value, open_ended: bool = False, rate: float = 1.0
) -> _Reduced:
    """Of rate·x where x is ``held``, of rate·``held`` elsewhere; such that −127 ≤ k + offset ≤ 127.

    With an open end r is what x exceeds that by.
    """
    shifted = fma(held, rate * _STEPS * _LAYOUT.log2_e, shifter)
    if open_ended:  # 2ᵏ is out of range before eˣ is
        shifted = minimum(shifted, _shifter(_LAYOUT.bias + 1) - 1)
    count = shifted - shifter
    first = fma(count, -_LN2[0] / _STEPS / rate, held)
    place = bits(shifted)
    corrections = lookup(place, [correction / rate for correction in _CORRECTIONS])
    second = fma(count, -_LN2[1] / _STEPS / rate, corrections)
    if x.low is not None and held.number == x.high.number:
        second = second + x.low
    elif x.low is not None:  # out of range the second word is anything
        second = select(equal(held, x.high), second + x.low, second)
    r = first + second
    power = bits(bits(lookup(place, _POWERS)) + (place << (_LAYOUT.places - _STEP_BITS)))
    return _Reduced(r, (first - r) + second, power, open_ended, rate)


@dataclass(frozen=True, slots=True)
class _Reduced:
    """rate·x = log(power) + rate·(r + rest).

    Attributes:
        r: not above log(2)/16 over the rate in size, or only just; next to 0 it is x.
        rest: what rounding took from r.
        power: of two, its exponent a multiple of 1/8, rounded; times two to the offset. 0 for
            k = −127 with its offset, and the fractions above it are subnormal.
        open_ended: whether r may be twice as large.
        rate: a power of two or the negative of one.
    """

    r: Value
    rest: Value
    power: Value
    open_ended: bool
    rate: float

    @property
    def expm1(self) -> Value:
        """exp(rate·r) − 1, as far as it counts beside 1."""
        fit = exponential.EXPM1_STEP_F32 if self.open_ended else exponential.EXP_STEP_F32
        r, rate = self.r, self.rate
        curve = [c * rate ** (power + 2) for power, c in enumerate(fit.coefficients)]
        return fma(r * r, horner(r, curve), r if rate == 1 else -r if rate == -1 else r * rate)


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
        high, low = log1p_up_to_one(x.high, x.low)
        span = max(span[0], LEAST) if x.positive else span[0], span[1]
        return DoubleWord(high, low, span, slack=LARGEST_REST * 2.0**24)
    above = lifted(x.high + 1.0, 0.75)
    # A quarter of 2⁻ᵏ, since 2⁻ᵏ is subnormal for the largest k.
    scale = bits(-(2**31) - (above & -(2**_LAYOUT.places)))
    f = fma(x.high * 0.25, scale, -(1.0 - 0.25 * scale))
    rest = None if x.low is None else x.low * (0.25 * scale)
    pair = _logarithm(offset_of(x.high) - exponent_of(above), f, rest)
    y = _with_pole(x.high, -1.0, pair, span)
    return choose(abs(x.high) < _TINY, x, y)


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
