"""erfc of numbers in two words: exp(−x²) divided by a polynomial for 1/erfcx(x), from a table.

For x ≥ 0 the reciprocal of erfcx(x) = exp(x²)·erfc(x) grows from 1 to √π·x and is nearly straight
from x = 2 on, where erfcx itself falls like 1/x: a polynomial for it needs two terms less, which
is more than the division costs. What holds for negative x is erfc(x) = 2 − erfc(−x). A second word
of x moves the result by −2/√π·exp(−x²) times as much, on either side.
"""

from __future__ import annotations

from dataclasses import replace
from math import erfc as erfc_of
from math import pi, sqrt

from gradsmith.numerics.builder import Value, equal, fma, lookup, minimum, select
from gradsmith.numerics.double_word import LEAST, DoubleWord, plain
from gradsmith.numerics.double_word_arithmetic import ASIDE
from gradsmith.numerics.elementary import words
from gradsmith.numerics.elementary.coefficients import error_function_words as data
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.table import by_index, columns, index_of
from gradsmith.numerics.program import F32

# Here exp(−x²) is 0 even times 2⁶⁴, and all it needs is in range; the table ends beyond.
_END = 11.506
_DIGITS = 1  # of the sum that say which piece
_TWO_OVER_SQRT_PI = 2 / sqrt(pi)
# By this share first words are smaller where they lean. A second word of x moves the result by
# less: by 2/√π·1/erfcx(x) times as much as that is of the result, and that is below 24.
_LEAN = 2.0**-15


_PLACES = by_index(data.PLACES, data.SHIFT, _DIGITS)
_FIRST, _SLOPE, *_OTHERS = (
    by_index(column, data.SHIFT, _DIGITS) for column in columns(data.ERFCX_INVERSE)
)


def erfc(x: DoubleWord) -> DoubleWord:
    """1 − erf(x), with all digits far below the range of float32."""
    x = plain(x)
    result = _written(x, 0.0)
    return replace(result, leaning=lambda: _written(x, _LEAN))


def _written(x: DoubleWord, lean: float) -> DoubleWord:
    """The same, where both words are times 2⁶⁴.

    Args:
        x: with nothing set apart.
        lean: the share of :attr:`DoubleWord.leaning`, or 0.
    """
    size = x.high if x.range[0] >= 0 else abs(x.high)
    held = minimum(size, _END)
    # A sum, since of a product the processor would first have to take the opposite of a factor.
    minus_square = x.high.builder.note(fma(-held, held, 0.0), -(_END**2) - 2.0**-12, 0.0)
    power, power_low = _exp_of(minus_square, held)
    below, below_low = _erfcx_inverse(held, minus_square)
    inverse = 1.0 / below
    high = power * (1.0 - lean) * inverse
    left = fma(-high, below_low, fma(-high, below, power) + power_low)
    low = left * inverse
    if x.range[0] < 0:
        two = x.high.builder.number(F32, 2.0 ** (1 + ASIDE) * (1.0 - 2 * lean))
        other = two - high
        rest = low if lean == 0 else low - 2.0 ** (2 + ASIDE) * lean
        other_low = (two - other) - high - rest
        negative = x.high < 0.0
        high, low = select(negative, other, high), select(negative, other_low, low)
    if x.low is not None:
        shift = power * x.low
        moved = fma(shift, -_TWO_OVER_SQRT_PI, low)
        # A second word may be no number where the first one is infinite or 0.
        low = moved if x.sound else select(equal(shift, shift), moved, low)
    span = max(erfc_of(x.range[1]), LEAST), max(erfc_of(x.range[0]), LEAST)
    return DoubleWord(high, low, span, 2.0**-ASIDE)


def _exp_of(minus_square: Value, x: Value) -> tuple[Value, Value]:
    """exp(−x²) of 0 ≤ x ≤ 11.506, times 2⁶⁴."""
    power = words.exp(DoubleWord(minus_square, range=(-(_END**2), 0.0)))
    assert power.factor == 2.0**-ASIDE
    assert power.low is not None
    # The second factor is what rounding took from x².
    return power.high, fma(-power.high, fma(x, x, minus_square), power.low)


def _erfcx_inverse(x: Value, minus_square: Value) -> tuple[Value, Value]:
    """1/erfcx(x) of 0 ≤ x ≤ 11.506."""
    index = index_of(fma(minus_square, -data.SCALE, data.SHIFT), _DIGITS)
    r = x - lookup(index, _PLACES)
    first, slope = lookup(index, _FIRST), lookup(index, _SLOPE)
    curve = horner(r, [lookup(index, column) for column in _OTHERS])
    high = fma(r, fma(r, curve, slope), first)
    return high, fma(r * r, curve, fma(r, slope, first - high))
