"""Smooth functions as Chebyshev series, on as many intervals as they need."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import chebyshev

from gradsmith.numerics.interpret import Array

_TERMS = 14
_SMOOTH = 2.0**-42
_MOST = 32  # intervals
_SHORTEST = 2.0**-8  # of the whole

NODES = np.cos((2 * np.arange(_TERMS) + 1) * np.pi / (2 * _TERMS))
"""Where a series of so many terms is read off, from −1 to 1."""
_TO_TERMS = np.linalg.inv(chebyshev.chebvander(NODES, _TERMS - 1))


class Series:
    """A function by Chebyshev series on intervals.

    Args:
        edges: where they begin, and where the last one ends.
        terms: the coefficients, one row for each.
    """

    def __init__(self, edges: Array, terms: Array) -> None:
        self.edges = edges
        self._terms = terms
        self._scales = 2 / np.diff(edges)
        self._slopes = chebyshev.chebder(terms, axis=1) * self._scales[:, None]

    def __call__(self, at: Array) -> Array:
        """The values at some points."""
        return self._summed(self._terms, at)

    def derivative(self, at: Array) -> Array:
        """The derivative of the function."""
        return self._summed(self._slopes, at)

    def _summed(self, terms: Array, at: Array) -> Array:
        which = np.clip(np.searchsorted(self.edges, at, "right") - 1, 0, len(terms) - 1)
        z = (at - self.edges[which]) * self._scales[which] - 1.0
        rows = terms[which].T
        before = last = np.zeros(z.shape)  # by Clenshaw's recurrence
        twice = 2 * z
        for row in rows[:0:-1]:
            following = twice * last
            following -= before
            following += row
            before, last = last, following
        total: Array = z * last - before + rows[0]
        return total


def series_of(
    values: Callable[[Array], Array], allowed: Callable[[Array, Array], float], end: float
) -> Series | None:
    """A function from 0 to ``end``; None where it is not smooth enough for that.

    Args:
        values: of the function at some points.
        allowed: how large errors may be there, times 2⁴²; from points and values.
        end: up to where.
    """
    starts: list[float] = []
    rows: list[Array] = []
    stack = [(0.0, end)]
    while stack:
        low, high = stack.pop()
        at = (low + high) / 2 + (high - low) / 2 * NODES
        here = values(at)
        terms = _TO_TERMS @ here
        if np.abs(terms[-3:]).max() <= _SMOOTH * allowed(at, here):
            starts.append(low)
            rows.append(terms)
        elif (
            high - low > _SHORTEST * end
            and len(stack) + len(starts) < _MOST
            and np.isfinite(here).all()
        ):
            stack += [((low + high) / 2, high), (low, (low + high) / 2)]
        else:
            return None
    return Series(np.array([*starts, end]), np.array(rows))
