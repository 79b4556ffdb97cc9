"""log(1 + t) of 0 ≤ t ≤ 1 in two words, from a table.

One of 8 pieces is looked up: a place, the logarithm and its slope there. With d the distance from
the place, which is exact, and z = slope·d,

    log(1 + t) = log(1 + place) + log(1 + z),

and the logarithm of 1 + z is the same short polynomial for all pieces (Tang: "Table-driven
implementation of the logarithm function in IEEE floating-point arithmetic", ACM Trans. Math.
Software 16(4), 1990). What rounding takes from value + slope·d is kept, and all that is left is so
small that one word is enough for it.
"""

from __future__ import annotations

from gradsmith.numerics.builder import Value, fma, lookup
from gradsmith.numerics.elementary.coefficients.logarithm_table import (
    LOG1P_CURVE,
    LOG1P_PLACES,
    LOG1P_SCALE,
    LOG1P_SLOPES,
    LOG1P_VALUES,
)
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.table import by_index, index_of

_DIGITS = 1  # of the sum that say which piece
LARGEST_REST = 2.0**-5.9
"""The second word is at most this share of the first."""


# The first value is −0, which leaves the sign of an argument −0.
_PLACES, _VALUES, _SLOPES = (
    by_index(column, 1.0, _DIGITS)
    for column in (LOG1P_PLACES, (-0.0, *LOG1P_VALUES[1:]), LOG1P_SLOPES)
)


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
    z = distance * slope
    if rest is not None:
        low = fma(rest, fma(-slope, z, slope), low)
    return high, fma(z * z, horner(z, LOG1P_CURVE.coefficients), low)
