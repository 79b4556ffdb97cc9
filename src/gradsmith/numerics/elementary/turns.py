"""An angle as a fraction of a turn: the remainder of x/2π, for any x, however large.

x/2π is the product of x and the digits of 1/2π; digits whose products are whole turns are left out
(Payne, Hanek: "Radian reduction for trigonometric functions", SIGNUM Newsletter 18, 1983). Where
others look the digits up in a table, selections take the words that matter: those for a distance
of 2ᵏ words, for k = …, 1, 0.

Nothing is lost when x is close to a multiple of π/2: sums keep their errors.
"""

from __future__ import annotations

from gradsmith.numerics.builder import Value, fma, rint, select, two_sum
from gradsmith.numerics.program import F32, F64

# 1/2π times 2¹²⁸⁰, rounded down.
_DIGITS = int(
    "28be60db9391054a7f09d5f47d4d377036d8a5664f10e4107f9458eaf7aef1586dc91b8e909374b8"
    "01924bba827464873f877ac72c4a69cfba208d7d4baed1213a671c09ad17df904e64758e60d4ce7d"
    "272117e2ef7e4a0ec7fe25fff7816603fbcbc462d6829b47db4d9fb3c9f2c26dd3d18fd9a797fa8b"
    "5d49eeb1faf97c5ecf41ce7de294a4ba9afed7ec47e357421580cc11bf1edaeafc33ef0826bd0d87",
    16,
)
_DIGIT_COUNT = 1280

# Digits of a significand.
_PRECISION = {F64: 53, F32: 24}
# By how many words the largest number of the format may move, in powers of two, and how many
# words there are.
_STAGES = {F64: (16, 8, 4, 2, 1), F32: (4, 2, 1)}
_WORDS = {F64: 24, F32: 10}
_USED = 5  # words whose products matter

# Below this an angle is its own remainder.
SMALL = 0.5

# Steps between the sets of words of :func:`reduce_quickly`, and how many sets there are.
_STEP, _SETS = 28, 3
QUICKLY_UP_TO = 2.0 ** (52 + _STEP * _SETS)
"""From here on :func:`reduce_quickly` gives NaN."""


def _fraction(skipped: int, count: int) -> float:
    """So many digits of 1/2π, after those skipped, as a fraction; zeros before the first."""
    end = skipped + count
    if end <= 0:
        return 0.0
    digits = (_DIGITS >> (_DIGIT_COUNT - end)) & ((1 << count) - 1)
    return digits / 2.0**count


def turns(size: Value) -> tuple[Value, Value, Value]:
    """x/2π less a number of whole turns, of size at most 1.75, as a sum of three.

    The second is below 2²⁻ᵖ and the third far below that, p being the digits of the format; what
    they lack is relatively below 2⁻ᵖ⁻¹⁰ even of the distance from the nearest quarter of a turn.

    Args:
        size: x, at least :data:`SMALL`; the results are NaN for infinity.
    """
    scaled, words = _words(size)
    unit = 2.0 ** _PRECISION[size.type]
    # Products with words 0, 1, 2, … stay below 2²ᵖ⁻¹, 2ᵖ⁻¹, 1/2, …; those with word 0 are
    # multiples of 2⁻ᵖ, and so is what whole turns leave of them.
    largest = scaled * unit
    left = fma(largest, words[0], -rint(largest * words[0]))
    first = left - rint(left)
    product = scaled * words[1]
    second, second_rest = product - rint(product), fma(scaled, words[1], -product)
    smaller = scaled * (1 / unit)
    third = smaller * words[2]
    third_rest = fma(smaller, words[2], -third)
    still_smaller = smaller * (1 / unit)
    fourth = still_smaller * words[3]
    fourth_rest = fma(still_smaller, words[3], -fourth)
    smallest = fma(still_smaller * (1 / unit), words[4], fourth_rest)

    above, above_rest = two_sum(first, second)
    below, below_rest = two_sum(second_rest, third)
    total, rest = two_sum(above, below)
    for term in (above_rest, below_rest, third_rest, fourth):
        rest, error = two_sum(rest, term)
        smallest = smallest + error
    return total, rest, smallest


def _words(size: Value) -> tuple[Value, list[Value]]:
    """x·2⁻ᵖʲ and the words from number j on, for the j from which they matter.

    Word i holds the digits p(i − 1) + 1 to p·i as a fraction. Those before word j make whole turns
    of x ≥ 2ᵖʲ⁻¹, whose last digit is worth 2ᵖ⁽ʲ⁻¹⁾ at least.
    """
    digits = _PRECISION[size.type]
    words = [
        size.builder.number(size.type, _fraction(digits * (i - 1), digits))
        for i in range(_WORDS[size.type])
    ]
    for stage in _STAGES[size.type]:
        near = size < 2.0 ** (digits * stage - 1)
        size = select(near, size, size * 2.0 ** (-digits * stage))
        # So many can still be asked for; where there is no word to move, none is missed.
        words = [
            select(near, word, words[i + stage]) if i + stage < len(words) else word
            for i, word in enumerate(words[: _USED + stage - 1])
        ]
    return size, words


def reduce_quickly(size: Value, unit: float, phase: float = 0.0) -> tuple[Value, Value, Value]:
    """unit·x/π less an even number, as a sum of three; in float64.

    The first is a multiple of 1/2 below 2³⁰, the second at most 1 in size, the third far smaller.
    Of the distance of unit·x/π + phase from the nearest integer, they leave out 2⁻⁷⁵ at most, or
    2⁻⁵² of that distance if this is more: below 2⁻³⁸ of any that a number of 24 digits has.

    Args:
        size: x, not negative; the results are NaN from :data:`QUICKLY_UP_TO` on.
        unit: 1 or 2.
        phase: 0 or 1/2.
    """
    sets = [
        [
            2 * unit * _fraction(_STEP * i + 53 * k, 53) * 2.0 ** -(_STEP * i + 53 * k)
            for k in range(3)
        ]
        for i in range(_SETS)
    ]
    words = [size.builder.number(F64, word) for word in sets[0]]
    for i in range(1, _SETS):
        # The last digit of such x is worth 2²⁸ⁱ or more, and makes whole turns of those left out.
        near = size < 2.0 ** (52 + _STEP * i)
        words = [select(near, old, new) for new, old in zip(sets[i], words, strict=True)]
    size = select(size < QUICKLY_UP_TO, size, float("inf"))
    # Rounded once, after the integer is gone.
    first = rint(size * words[0] + phase) - phase if phase else rint(size * words[0])
    left = fma(size, words[0], -first)
    second = rint(left)
    product = size * words[1]
    third = rint(product)
    # Exact for large x, of which both are multiples of 2⁻⁵³; for others the second term is small,
    # and relatively so beside the distance from the nearest integer too.
    total = (left - second) + (product - third)
    known = fma(rint(first * 0.5), -2.0, first) + (second + third)
    return known, total, fma(size, words[2], fma(size, words[1], -product))
