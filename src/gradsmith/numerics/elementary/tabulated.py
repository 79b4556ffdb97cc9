"""Functions of one number that are an asymptote plus an exponential times what a table gives.

σ(x) is eˣ·T(−x) for x < 0 and 1 − e⁻ˣ·T(x) for x ≥ 0, where T(a) = 1/(1 + e⁻ᵃ) lies between 1/2
and 1; in the same way gelu′ has an exponential of −x²/2, and a factor T that grows like a line. T
is a polynomial in t = a − place, by pieces that the leading digits of 1 + scale·a number. All but
the value at the place is so small that one word is enough for it; where it is not, what rounding
takes from value + slope·t is kept.
Tables are found by :mod:`gradsmith.numerics.tabulate`, for each function anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from gradsmith.numerics.builder import (
    Value,
    bits,
    equal,
    fma,
    lookup,
    maximum,
    minimum,
    select,
    with_sign_of,
)
from gradsmith.numerics.double_word import (
    EVERYTHING,
    UNIT,
    DoubleWord,
    Range,
    choose,
    nearest_word,
    or_zero,
)
from gradsmith.numerics.double_word_arithmetic import ASIDE
from gradsmith.numerics.elementary import words
from gradsmith.numerics.elementary.polynomial import by_squares, horner
from gradsmith.numerics.elementary.table import by_index, index_of
from gradsmith.numerics.program import F32

_KEPT = 2.0**-ASIDE
_LEAN = 1 / 16
SIDE = 16
"""Pieces for one side, where there are two."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A table for xs on both sides of 0, with a = |x|.

    Attributes:
        digits: how many digits of the sum count, below the first.
        scale: the sum is 1 + scale·a; for x < 0 the octaves above it, where ``both``.
        last: from here up a piece goes on; 0 where the table ends before.
        both: whether there are tables for both sides, for x < 0 last.
        flip: where there is one table, its sign for x ≥ 0.
        gentle: whether one word is enough for all but the values.
        slanted: whether the asymptotes are multiples of x, and T is 0 at 0.
        limits: the asymptote for x < 0, and that for x ≥ 0, or their slopes.
        rate: of the exponential: a power of two or the negative of one.
        lean: more than what all but the first word of T and exp make of the function.
        range: of the whole function.
        columns: places, values, slopes, third and second words of the values, second ones of the
            slopes, and coefficients of higher powers.
    """

    digits: int
    scale: float
    last: float
    both: bool
    flip: int
    gentle: bool
    slanted: bool
    limits: tuple[Fraction, Fraction]
    rate: float
    lean: float
    range: Range
    columns: tuple[tuple[float, ...], ...]

    def numbers(self) -> Iterator[Fraction]:
        """All of it, as numbers."""
        yield from map(Fraction, (self.digits, self.scale, self.last, int(self.both), self.flip))
        yield from map(Fraction, (int(self.gentle), int(self.slanted)))
        yield Fraction(len(self.columns[0]))
        yield from (*self.limits, *map(Fraction, (self.rate, self.lean, *self.range)))
        for column in self.columns:
            yield from map(Fraction, column)

    @property
    def has_seconds(self) -> bool:
        """Whether values or slopes have second words, so that the rest may be the larger part."""
        return not self.gentle and (any(self.columns[4]) or any(self.columns[5]))

    @property
    def keeps_zero(self) -> bool:
        """Whether all that is left of T at −0, where it is slanted, is −0 too."""
        return not self.has_seconds and self.columns[2][SIDE if self.both else 0] < 0

    @staticmethod
    def of_numbers(numbers: Sequence[Fraction]) -> Pieces:
        """What :meth:`numbers` wrote."""
        digits, scale, last, both, flip, gentle, slanted, *numbers = numbers
        size, left, right, rate, lean, low, high, *entries = numbers
        columns = [
            tuple(map(float, entries[start : start + int(size)]))
            for start in range(0, len(entries), int(size))
        ]
        return Pieces(
            int(digits),
            float(scale),
            float(last),
            bool(both),
            int(flip),
            bool(gentle),
            bool(slanted),
            (left, right),
            float(rate),
            float(lean),
            (float(low), float(high)),
            tuple(columns),
        )


def tabulated(
    x: DoubleWord, a: DoubleWord, u: DoubleWord, numbers: Sequence[Fraction]
) -> DoubleWord:
    """Asymptote + exp(rate·u)·T(a); the asymptote and the sign of T belong to the side of x.

    Args:
        x: the number.
        a: its size, as far as the table goes.
        u: the exponent over its rate; at the end of the table there is no exponential any more.
        numbers: those of the :class:`Pieces`.
    """
    pieces = Pieces.of_numbers(numbers)
    left = bits(x.high) < 0  # also −0, where both sides give the same
    power, p = words.factors_of_exp(u, pieces.rate)
    if pieces.flip < 0:
        power = bits(bits(power) ^ (bits(x.high) & -(2**31)) ^ -(2**31))
    near, value, *rests = _of_table(a.high, left, pieces)
    # (1 + p)·T is the value and what is left.
    rests[0] = fma(p, near, rests[0])
    if pieces.slanted:
        return _beside_a_line(x, a, power, [value, *rests], left, pieces)
    limits = [limit * 2**ASIDE for limit in pieces.limits]

    def written(lean: float) -> DoubleWord:
        leaning = power * (1.0 - lean) if lean else power
        if any(limits):
            most = [nearest_word(limit * (1 - Fraction(lean))) for limit in limits]
            left_out = [limit - near for limit, near in zip(limits, most, strict=True)]
            # What underflows keeps its sign beside −0.
            beside = of_side(left, [near or -0.0 for near in most])
            high = fma(leaning, value, beside)
            low = fma(power, value, beside - high)
            low = low + of_side(left, left_out) if any(left_out) else low
        else:
            high = leaning * value
            low = fma(power, value, -high)
        for rest in rests:
            low = fma(power, rest, low)
        if lean:  # both have one sign, also where both are 0
            low = with_sign_of(low, high)
        return DoubleWord(high, low, pieces.range, _KEPT, slack=pieces.lean / UNIT)

    result = written(0.0)

    def nearest() -> Value:
        total = result.high + or_zero(result)
        return select(equal(result.high, 0.0), result.high, total)

    # Where second words are not small, they would have to be the larger for it. But of a large one
    # rounding takes more than a guard against infinities does.
    leans = not pieces.gentle and pieces.lean <= _LEAN
    leaning = (lambda: written(pieces.lean)) if leans else None
    return replace(result, nearest=nearest, leaning=leaning)


def _beside_a_line(
    x: DoubleWord,
    a: DoubleWord,
    power: Value,
    factors: Sequence[Value],
    left: Value,
    pieces: Pieces,
) -> DoubleWord:
    """Limit·x + power·(the sum of the factors); where that is 0, or beyond the table, limit·x."""
    alone_there = line(x.high, left, pieces.limits)
    kept = line(x.high, left, pieces.limits, 2**ASIDE)
    high = fma(power, factors[0], kept)
    # What is subtracted is +0 where there is nothing, and −0 − 0 is −0.
    lost = high - kept
    for factor in factors:
        lost = fma(-power, factor, lost)
    low = -lost
    total = high + low
    alone = abs(x.high) > a.range[1]
    if not pieces.keeps_zero:
        alone = alone | equal(total, 0.0)
    span = EVERYTHING if any(pieces.limits) else pieces.range
    result = choose(alone, DoubleWord(alone_there, None, span), DoubleWord(high, low, span, _KEPT))
    return replace(result, single=lambda: select(alone, alone_there, total * _KEPT))


def line(x: Value, left: Value, slopes: Sequence[Fraction], factor: int = 1) -> Value:
    """The slope of the side times x, with the sign of x where that is 0, times a factor."""
    below, above = slopes
    if not below and not above:
        return bits(bits(x) & -(2**31))
    if not below:
        held, slope = maximum(x, -0.0), above
    elif not above:
        held, slope = minimum(x, 0.0), below
    elif below != above:
        return x * of_side(left, [below * factor, above * factor])
    else:
        held, slope = x, above
    return held if slope * factor == 1 else held * (slope * factor)


def of_side(left: Value, numbers: Sequence[Fraction | float]) -> Value:
    """The first number where a condition holds, else the second."""
    below, above = (left.builder.number(F32, number) for number in numbers)
    return below if numbers[0] == numbers[1] else select(left, below, above)


def place_in(pieces: Pieces, a: Value, left: Value) -> Value:
    """Which piece ``a`` belongs to, as look-ups in its columns take it."""
    held = minimum(a, pieces.last) if pieces.last else a
    number = a.builder.number
    scale, start = number(a.type, pieces.scale), number(a.type, 1.0)
    if pieces.both:
        farther = 2.0 ** (SIDE >> pieces.digits)
        scale = select(left, farther * pieces.scale, scale)
        start = select(left, farther, start)
    return index_of(fma(held, scale, start), pieces.digits)


def _of_table(a: Value, left: Value, pieces: Pieces) -> list[Value]:
    """What the table gives in one word, and in words of which each is much smaller."""
    index = place_in(pieces, a, left)
    columns = [by_index(column, 1.0, pieces.digits) for column in pieces.columns]
    values = [value or -0.0 for value in columns[1]] if pieces.slanted else columns[1]
    t, value = a - lookup(index, columns[0]), lookup(index, values)
    if pieces.gentle:
        rest = t * horner(t, [lookup(index, column) for column in columns[2:]])
        return [value + rest, value, rest]
    slopes, thirds, seconds, *others = columns[2:]
    slope = lookup(index, slopes)
    high = fma(t, slope, value)
    low = fma(t, slope, value - high)
    third = [lookup(index, thirds)] if any(thirds) else []
    if pieces.has_seconds:
        curved = by_squares(t, [lookup(index, column) for column in others])
        low = fma(t, curved, low + lookup(index, seconds))
        # Beside a root the second word may be the larger one.
        near = high + low
        return [near, near, (high - near) + low, *third]
    if len(others) > 1:
        curved = by_squares(t, [lookup(index, column) for column in others[1:]])
        low = fma(t * t, curved, low)
    return [high + low, high, low, *third]
