"""tanh in float32, in two words or rounded to one, from a table of polynomials.

For x ≥ 0 one of 16 pieces is looked up: so many float32 fill one register of AVX-512 and two of
AVX2. A piece is a place, v = tanh(place), and a polynomial in t = place − x, whose difference is
exact. The first two derivatives follow from v, as slope = v² − 1 and v·slope, and need not be
looked up. What rounding takes from v + slope·t is kept, and all that is left is so small that one
word is enough for it: the sum is right to 2⁻²⁸·⁴ or so, without a division.
"""

from __future__ import annotations

from math import inf

from gradsmith.numerics.builder import Value, fma, lookup, minimum
from gradsmith.numerics.elementary.coefficients.hyperbolic_table import (
    TANH,
    TANH_OFFSET,
    TANH_PLACES,
    TANH_SCALE,
)
from gradsmith.numerics.elementary.polynomial import horner
from gradsmith.numerics.elementary.table import by_index, columns, index_of

_DIGITS = 2  # of the sum that say which piece
# From here up the result is 1, the value at the end of the last piece.
_ONE = TANH[-1].high


_PLACES = by_index(TANH_PLACES, TANH_OFFSET, _DIGITS)
_VALUES, *_CURVE = (by_index(column, TANH_OFFSET, _DIGITS) for column in columns(TANH))


def tanh_of_size(size: Value, rest: Value | None = None, most: float = inf) -> tuple[Value, Value]:
    """The hyperbolic tangent of size + rest: the nearest word, and what that lacks.

    Args:
        size: a float32, not negative.
        rest: a second word, finite; None where there is none.
        most: an upper bound of ``size``.
    """
    held = size if most <= _ONE else minimum(size, _ONE)
    place = index_of(fma(held, TANH_SCALE, TANH_OFFSET), _DIGITS)
    t = lookup(place, _PLACES) - held
    value = lookup(place, _VALUES)
    slope = fma(value, value, -1.0)
    high = fma(t, slope, value)
    lost = fma(t, slope, value - high)
    curve = [value * slope, *(lookup(place, column) for column in _CURVE)]
    square, bent = t * t, horner(t, curve)
    if rest is not None:
        near = fma(square, bent, high)
        lost = fma(rest, fma(-near, near, 1.0), lost)
    low = fma(square, bent, lost)
    total = high + low
    return total, (high - total) + low
