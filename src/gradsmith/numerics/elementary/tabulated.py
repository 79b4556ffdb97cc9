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

from gradsmith.numerics.builder import Value, bits, fma, lookup, minimum, select
from gradsmith.numerics.double_word import (
    MODERATE,
    UNIT,
    DoubleWord,
    Range,
    nearest_word,
    or_zero,
)
from gradsmith.numerics.double_word_arithmetic import ASIDE, multiply
from gradsmith.numerics.elementary import words
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.table import by_index, index_of
from gradsmith.numerics.program import F32, bits_of_number

DEEPEST = 131.0
"""Up to here exp(−q) times 2⁶⁴ is a normal number."""
_KEPT = 2.0**-ASIDE
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
        factor: whether all of it is multiplied by x.
        limits: the asymptote for x < 0, and that for x ≥ 0.
        lean: more than what all but the first word of T and exp make of the function.
        range: of the whole function, without that factor.
        columns: places, values, slopes, third and second words of the values, second ones of the
            slopes, and coefficients of higher powers.
    """

    digits: int
    scale: float
    last: float
    both: bool
    flip: int
    gentle: bool
    factor: bool
    limits: tuple[Fraction, Fraction]
    lean: float
    range: Range
    columns: tuple[tuple[float, ...], ...]

    def numbers(self) -> Iterator[Fraction]:
        """All of it, as numbers."""
        yield from map(Fraction, (self.digits, self.scale, self.last, int(self.both), self.flip))
        yield from map(Fraction, (int(self.gentle), int(self.factor)))
        yield Fraction(len(self.columns[0]))
        yield from (*self.limits, *map(Fraction, (self.lean, *self.range)))
        for column in self.columns:
            yield from map(Fraction, column)

    @staticmethod
    def of_numbers(numbers: Sequence[Fraction]) -> Pieces:
        """What :meth:`numbers` wrote."""
        digits, scale, last, both, flip, gentle, factor, *numbers = numbers
        size, left, right, lean, low, high, *entries = numbers
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
            bool(factor),
            (left, right),
            float(lean),
            (float(low), float(high)),
            tuple(columns),
        )


def tabulated(
    x: DoubleWord, a: DoubleWord, u: DoubleWord, numbers: Sequence[Fraction]
) -> DoubleWord:
    """Limit + exp(u)·T(a), with the limit and the sign of T that belong to the side of x.

    Args:
        x: the number; with a factor it is bounded on sides where the limit is 0.
        a: its size, as far as the table goes.
        u: the exponent, from −131 to 0.
        numbers: those of the :class:`Pieces`.
    """
    pieces = Pieces.of_numbers(numbers)
    left = bits(x.high) < 0  # also −0, where both sides give the same
    power, p = words.factors_of_exp(u)
    if pieces.flip < 0:
        power = bits(bits(power) ^ (bits(x.high) & -(2**31)) ^ -(2**31))
    near, value, *rests = _of_table(a.high, left, pieces)
    # (1 + p)·T is the value and what is left.
    rests[0] = fma(p, near, rests[0])
    limits = [limit * 2**ASIDE for limit in pieces.limits]

    def written(lean: float) -> DoubleWord:
        leaning = power * (1.0 - lean) if lean else power
        if any(limits):
            most = [nearest_word(limit * (1 - Fraction(lean))) for limit in limits]
            left_out = [limit - near for limit, near in zip(limits, most, strict=True)]
            beside = of_side(left, most)
            high = fma(leaning, value, beside)
            low = fma(power, value, beside - high)
            low = low + of_side(left, left_out) if any(left_out) else low
        else:
            high = leaning * value
            low = fma(power, value, -high)
        for rest in rests:
            low = fma(power, rest, low)
        return DoubleWord(high, low, pieces.range, _KEPT, slack=pieces.lean / UNIT)

    result = written(0.0)
    if pieces.factor:
        return _times(x, result)
    # Where second words are not small, they would have to be the larger for it.
    leaning = None if pieces.gentle else lambda: written(pieces.lean)
    return replace(result, nearest=lambda: result.high + or_zero(result), leaning=leaning)


def _times(x: DoubleWord, result: DoubleWord) -> DoubleWord:
    """The product with x, of which the first word alone is right where x is 0 or large."""
    number = x.high.builder.number
    # One comparison for both ends: of 0 the bits less one are the largest number without a sign.
    alone = bits(abs(x.high)) + (2**31 - 1) >= bits_of_number(F32, MODERATE) - 1 - 2**31
    held = select(alone, x.high * _KEPT, x.high)
    # Sums with −0 have the sign of what it is added to.
    rest = select(alone, -0.0, or_zero(result) * held)
    product = multiply(replace(x, high=held), replace(result, factor=1.0))
    return replace(
        product,
        factor=select(alone, number(F32, 1.0), _KEPT),
        careful=None,
        nearest=lambda: fma(result.high, held, rest),
    )


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
    t, value = a - lookup(index, columns[0]), lookup(index, columns[1])
    if pieces.gentle:
        rest = t * horner(t, [lookup(index, column) for column in columns[2:]])
        return [value + rest, value, rest]
    slopes, thirds, seconds, *others = columns[2:]
    slope = lookup(index, slopes)
    high = fma(t, slope, value)
    low = fma(t, slope, value - high)
    third = [lookup(index, thirds)] if any(thirds) else []
    if any(seconds) or any(others[0]):
        curved = horner(t, [lookup(index, column) for column in others])
        low = fma(t, curved, low + lookup(index, seconds))
        # Beside a root the second word may be the larger one.
        near = high + low
        return [near, near, (high - near) + low, *third]
    if len(others) > 1:
        low = fma(t * t, horner(t, [lookup(index, column) for column in others[1:]]), low)
    return [high + low, high, low, *third]
