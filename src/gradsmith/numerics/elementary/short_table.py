"""tanh, erf and erfc of float32, just accurate enough for a result of a half format.

One of 32 pieces is looked up, and is a cubic polynomial in |x| itself: beside 2⁻¹⁸ what rounding
takes from it does not show, so that there is no place to subtract first, and no second word.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradsmith.numerics.builder import Value, fma, lookup, minimum, with_sign_of
from gradsmith.numerics.elementary.coefficients import short_table as data
from gradsmith.numerics.elementary.polynomial import Fit, horner
from gradsmith.numerics.elementary.table import by_index, columns, index_of

_DIGITS = 3  # of the sum that say which piece


def tanh(x: Value) -> Value:
    """The hyperbolic tangent; odd to the last bit."""
    return with_sign_of(_of_size(abs(x), data.TANH_SCALE, data.TANH), x)


def erf(x: Value) -> Value:
    """The error function; odd to the last bit."""
    return with_sign_of(_of_size(abs(x), data.ERF_SCALE, data.ERF), x)


def erfcx(size: Value) -> Value:
    """exp(x²)·erfc(x) for x ≥ 0, which stays beyond 10.8: there exp(−x²) is 0 in float32."""
    return _of_size(size, data.ERFCX_SCALE, data.ERFCX)


def _of_size(size: Value, scale: float, fits: Sequence[Fit]) -> Value:
    # Just before the end of the last piece, so that the sum is below where the first one follows.
    held = minimum(size, fits[-1].high * (1 - 2.0**-20))
    index = index_of(fma(held, scale, 1.0), _DIGITS)
    return horner(held, [lookup(index, by_index(c, 1.0, _DIGITS)) for c in columns(fits)])
