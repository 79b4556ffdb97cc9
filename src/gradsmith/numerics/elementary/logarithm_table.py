"""log(1 + t) of 0 ≤ t ≤ 1 in two words, from a table of polynomials.

One of 16 pieces is looked up: a place, the logarithm and its slope there, and a polynomial in the
distance from the place, which is exact. What rounding takes from value + slope·distance is kept,
and all that is left is so small that one word is enough for it.
"""

from __future__ import annotations

from gradsmith.numerics.builder import Value, fma, lookup
from gradsmith.numerics.elementary.coefficients.logarithm_table import (
    LOG1P,
    LOG1P_PLACES,
    LOG1P_SCALE,
)
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.table import by_index, columns, index_of

_DIGITS = 2  # of the sum that say which piece
LARGEST_REST = 2.0**-6.9
"""The second word is at most this share of the first."""


_PLACES = by_index(LOG1P_PLACES, 1.0, _DIGITS)
_COLUMNS = columns(LOG1P)
_COLUMNS[0][0] = -0.0  # which leaves the sign of an argument −0
_VALUES, _SLOPES, *_CURVE = (by_index(column, 1.0, _DIGITS) for column in _COLUMNS)


def log1p_up_to_one(t: Value, rest: Value | None) -> tuple[Value, Value]:
    """log(1 + t + rest).

    Args:
        t: a float32 from 0 to 1.
        rest: a second word, finite; None where there is none.
    """
    place = index_of(fma(t, LOG1P_SCALE, 1.0), _DIGITS)
    distance = t - lookup(place, _PLACES)
    value, slope = lookup(place, _VALUES), lookup(place, _SLOPES)
    high = fma(distance, slope, value)
    low = fma(distance, slope, value - high)
    if rest is not None:
        low = fma(rest, fma(-slope * slope, distance, slope), low)
    curve = horner(distance, [lookup(place, column) for column in _CURVE])
    return high, fma(distance * distance, curve, low)
