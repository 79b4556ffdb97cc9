"""Functions that numbers describe, in one float32 that will be rounded to a half format.

The same as :mod:`~gradsmith.numerics.elementary.tabulated` from the same tables, where each word
but the first is added to it beforehand: next to a root, which is a place of the table, nothing
cancels, so that one word is enough there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from gradsmith.numerics.builder import Value, fma, lookup, select
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.exponential import exp
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.table import by_index
from gradsmith.numerics.elementary.tabulated import DEEPEST, Pieces, of_side, place_in


def tabulated(x: Value, a: Value, u: Value, numbers: Sequence[Fraction]) -> Value:
    """Limit + exp(u)·T(a), with the limit and the sign of T that belong to the side of x.

    Args:
        x: the number; with a factor it is bounded on sides where the limit is 0.
        a: its size, as far as the table goes.
        u: the exponent, from −131 to 0.
        numbers: those of the :class:`~gradsmith.numerics.elementary.tabulated.Pieces`.
    """
    pieces = Pieces.of_numbers(numbers)
    left = x < 0.0
    falling = exp(u.builder.note(u, -DEEPEST, 0.0), Accuracy.SHORT)
    factor = _of_table(a, left, pieces)
    if pieces.flip < 0:
        factor = select(left, factor, -factor)
    if any(pieces.limits):
        # To −0 what underflows can be added, and keeps its sign.
        limits = [limit or -0.0 for limit in pieces.limits]
        result = fma(falling, factor, of_side(left, limits))
    else:
        result = falling * factor
    return x * result if pieces.factor else result


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
