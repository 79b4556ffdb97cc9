"""Tables of polynomials: which piece a number belongs to is said by the leading digits of a sum.

A sum that grows with the number has the pieces follow each other by its exponent and the first
digits of its significand, a fixed number of them for each power of two. A shift makes of these
digits an index, of which look-ups take the last bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradsmith.numerics.builder import Value, bits
from gradsmith.numerics.elementary.polynomial import Fit
from gradsmith.numerics.program import F32, bits_of_number

_SIGNIFICAND = 23  # bits of a float32


def index_of(total: Value, digits: int) -> Value:
    """The index of the piece, of which look-ups take the last bits.

    Args:
        total: the sum, a float32.
        digits: how many digits of its significand count, below the first.
    """
    return bits(total) >> _SIGNIFICAND - digits


def by_index(entries: Sequence[float], start: float, digits: int) -> list[float]:
    """The entries of a table, one for each piece, in the order in which they are looked up.

    Args:
        entries: as many as there are pieces, a power of two.
        start: the sum with which the first piece begins.
        digits: see :func:`index_of`.
    """
    first = (bits_of_number(F32, start) >> _SIGNIFICAND - digits) % len(entries)
    return [*entries[-first:], *entries[:-first]]


def columns(fits: Iterable[Fit]) -> list[list[float]]:
    """The coefficients of all pieces, by power."""
    return [list(column) for column in zip(*(fit.coefficients for fit in fits), strict=True)]
