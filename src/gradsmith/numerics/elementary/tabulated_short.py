"""Functions that numbers describe, in one float32 that will be rounded to a half format.

The same as :mod:`~gradsmith.numerics.elementary.tabulated` from the same tables, where each word
but the first is added to it beforehand: next to a root, which is a place of the table, nothing
cancels, so that one word is enough there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from gradsmith.numerics.builder import Value, equal, fma, lookup, select
from gradsmith.numerics.elementary import words
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.exponential import exp
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.table import by_index
from gradsmith.numerics.elementary.tabulated import (
    Pieces,
    line,
    of_side,
    place_in,
)


def tabulated(x: Value, a: Value, u: Value, numbers: Sequence[Fraction]) -> Value:
    """Limit + exp(rate·u)·T(a), with the limit and the sign of T that belong to the side of x.

    Args:
        x: the number.
        a: its size, as far as the table goes.
        u: the exponent over its rate.
        numbers: those of the :class:`~gradsmith.numerics.elementary.tabulated.Pieces`.
    """
    pieces = Pieces.of_numbers(numbers)
    left = x < 0.0
    exponent = u.builder.note(u * pieces.rate, words.NOTHING, 0.0)
    falling = exp(exponent, Accuracy.SHORT)
    factor = _of_table(a, left, pieces)
    if pieces.flip < 0:
        factor = select(left, factor, -factor)
    if pieces.slanted:
        beside = line(x, left, pieces.limits)
        return select(equal(x, 0.0), beside, fma(falling, factor, beside))
    if any(pieces.limits):
        # To −0 what underflows can be added, and keeps its sign.
        limits = [limit or -0.0 for limit in pieces.limits]
        return fma(falling, factor, of_side(left, limits))
    return falling * factor


def _of_table(a: Value, left: Value, pieces: Pieces) -> Value:
    index = place_in(pieces, a, left)
    places, *coefficients = pieces.columns
    if not pieces.gentle:
        values, slopes, thirds, second_values, second_slopes, *others = coefficients
        coefficients = [_sums(values, second_values, thirds), _sums(slopes, second_slopes), *others]
    t = a - lookup(index, by_index(places, 1.0, pieces.digits))
    return horner(t, [lookup(index, by_index(c, 1.0, pieces.digits)) for c in coefficients])


def _sums(*words: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(sum(map(Fraction, parts))) for parts in zip(*words, strict=True))
