"""A smooth function as a table of polynomials whose values float32 can sum to two words.

A piece is a place, the value and the slope there, and a polynomial for all that is left, which one
word holds well enough. Places are searched for such that value and slope are so close to a float32
that they need no second word (Gal: "Computing elementary functions: a new approach for achieving
high accuracy and good performance", LNCS 235, 1986). A root of the function is a place itself;
there second words are needed, and beside it values must be more than what they cancel with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.linalg import lstsq
from numpy.typing import NDArray

from gradsmith.numerics.chebyshev import NODES
from gradsmith.numerics.double_word import UNIT
from gradsmith.numerics.elementary.tabulated import SIDE
from gradsmith.numerics.elementary.words import LARGEST_EXPM1
from gradsmith.numerics.interpret import Array

_SHAPES = ((8, 2), (8, 1), (8, 0), (SIDE, 2), (SIDE, 1), (2 * SIDE, 3), (2 * SIDE, 2))
"""Pieces on one side, and the digits that say which one, from the quickest look-ups up.

Without AVX-512 one of 8 numbers takes one instruction, one of 16 three, one of 32 seven; a term
more of the polynomials takes one and a look-up."""

_ALLOWED = 2.0**-27.5
"""By how much of itself the function may be wrong for the sake of the table."""
_OF_PLACES = 2.0**-26.5
"""The same for the sake of a difference with a place, of which there is one next to 0 at most."""
_SMALL = 0.1
"""What is computed in one word is at most this share."""
_GENTLE = 1 / 12
"""The same where also the slopes are: five roundings of so much are less than half of one of the
whole."""
_MOST_TERMS = 11
_FINENESS = 0.97 ** np.arange(20)
_LAYOUTS = 8
_WITHIN = 0.3, 0.7  # of a piece, where a root may be
_NEARER = 0.9
_TRIED = 64
_REACHES = 0.05, 1.0
"""How far from there, in pieces. Where all values are just below 1, none of them fits."""
_GRID = 64.0
_SHORT_OF = 2.0**-20
"""What keeps a sum from being rounded to where no piece is any more."""
_SURE = 0.125  # of a unit in the last place


class Smooth(Protocol):
    """A function of numbers from 0 up."""

    @property
    def points(self) -> Array:
        """Points all along it."""
        ...

    @property
    def roots(self) -> list[float]:
        """Where it is 0, and with it what it is part of."""
        ...

    def __call__(self, at: Array) -> Array:
        """Values."""
        ...

    def slope(self, at: Array) -> Array:
        """Derivatives."""
        ...

    def exactly(self, at: Array) -> Array:
        """Values, of which float64 holds all that counts."""
        ...

    def share(self, at: Array, values: Array) -> Array:
        """By how much the values may be wrong for what they are part of to be wrong by 1."""
        ...


class Curve:
    """What one table is made for: a function on one side of 0, or ± the same on both."""

    def __init__(self, sides: Sequence[Smooth], flip: int) -> None:
        self._sides, self._flip = sides, flip
        self.values = sides[0]
        self.roots = sides[0].roots

    def share(self, at: Array, values: Array) -> Array:
        """The smaller one of both sides, where the function has these values."""
        shares = [
            side.share(at, sign * values)
            for side, sign in zip(self._sides, (1, self._flip), strict=False)
        ]
        least: Array = np.min(shares, axis=0)
        return least

    @cached_property
    def straight_from(self) -> float:
        """From where on it is a straight line, of which products with the slope are exact."""
        at = self.values.points
        values = self.values(at)
        allowed = _ALLOWED / 4 * self.share(at, values)
        slope = _word((values[-1] - values[-2]) / (at[-1] - at[-2]))
        if np.abs(slope) * at[-1] > allowed[-1] and not _moves_digits(slope).all():
            return float(at[-1])
        for i in range(len(at) - 3, -1, -1):
            slope = (values[-1] - values[i]) / (at[-1] - at[i])
            if (np.abs(values[i] + slope * (at[i:] - at[i]) - values[i:]) > allowed[i:]).any():
                return float(at[i + 1])
        return float(at[0])


@dataclass(frozen=True, slots=True)
class Table:
    """See :class:`~gradsmith.numerics.elementary.tabulated.Pieces`."""

    digits: int
    scale: float
    last: float
    gentle: bool
    lean: float
    columns: Array


def fitted(curves: Sequence[Curve], end: float) -> Table | None:
    """A table for one or two curves from 0 to ``end``; None where none serves."""
    for count, digits in _SHAPES:
        if len(curves) > 1 and count != SIDE:
            continue
        sums = _sums(count, digits)
        for scale, last in _layouts(sums, digits, curves, end):
            try:
                found = _columns(curves, sums, scale, end)
            except _TooWideError:
                break  # those of the layouts to come are wider yet
            if found is not None:
                columns, rest, moved = found
                gentle = not columns[3:6].any() and moved < _GENTLE
                if gentle:
                    columns, rest = np.delete(columns, (3, 4, 5), axis=0), moved
                elif columns[4:6].any():
                    rest = 0.0  # it becomes the first word
                return Table(digits, scale, last, gentle, _lean(rest), columns)
    return None


class _TooWideError(Exception):
    """A piece is too wide for a polynomial, wherever its place is."""


def _sums(count: int, digits: int) -> Array:
    """Where pieces begin and end."""
    steps = 2**digits
    octaves = count // steps
    starts = [
        2.0**octave * (1 + step / steps) for octave in range(octaves) for step in range(steps)
    ]
    return np.array([*starts, 2.0**octaves])


def _layouts(
    sums: Array, digits: int, curves: Sequence[Curve], end: float
) -> Iterator[tuple[float, float]]:
    """Scales to try, and from where on the last piece goes on."""
    straight = max(curve.straight_from for curve in curves)
    whole = (sums[-1] * (1 - 2 * _SHORT_OF) - 1) / end
    finest = max(whole, (sums[-2] - 1) / max(straight, end / 256))
    scales = finest * _FINENESS
    if roots := [root for curve in curves for root in curve.roots if root]:
        total = 1 + scales * roots[0]
        within = total / 2.0 ** np.floor(np.log2(total)) * 2**digits % 1
        scales = scales[(within > _WITHIN[0]) & (within < _WITHIN[1])]
    for scale in _word(scales[:_LAYOUTS]).tolist():
        last = float(_word((sums[-1] * (1 - _SHORT_OF) - 1) / scale))
        yield scale, last if last < end else 0.0


def _lean(rest: float) -> float:
    """A power of two above what is left of the table and of the exponential."""
    return float(2.0 ** np.ceil(np.log2(rest + LARGEST_EXPM1)))


def _columns(
    curves: Sequence[Curve], sums: Array, scale: float, end: float
) -> tuple[Array, float, float] | None:
    """The table, and the shares of its rests and of all but its values; None where places lack.

    Raises:
        _TooWideError: so few pieces do not serve.
    """
    edges = np.minimum((sums - 1) / scale, end).tolist()
    inside = [pair for pair in pairwise(edges) if pair[0] < end]
    rows: dict[Curve, list[list[float]]] = {}
    rest = moved = 0.0
    for curve in sorted(curves, key=lambda one: not one.roots):
        found: dict[float, list[float]] = {}
        least = 1
        for low, high in sorted(inside, key=lambda pair: _doubt(pair, inside[-1], curve.roots)):
            piece = _Piece(curve, low, high, end if high == inside[-1][1] else high)
            curved = piece.curved(least)
            if curved is None:
                return None
            found[low] = [*piece.line, *curved]
            least = max(least, len(curved))
            rest, moved = max(rest, piece.rest), max(moved, piece.moved)
        rows[curve] = [found[min(low, inside[-1][0])] for low in edges[:-1]]
    listed = [row for curve in curves for row in rows[curve]]
    width = max(map(len, listed))
    columns = np.array([row + [0.0] * (width - len(row)) for row in listed]).T
    return columns, rest, moved


def _doubt(pair: tuple[float, float], last: tuple[float, float], roots: list[float]) -> float:
    """Small for pieces at which layouts fail: beside roots, and the last one."""
    low, high = pair
    return min(
        (max(low - root, root - high) for root in roots), default=0.0 if pair == last else high
    )


class _Piece:
    """The curve from ``low`` to ``high``; where that is not the ``end``, straight from there on.

    Attributes:
        line: the place; value and slope; third, second words of the value, and that of the slope.
        rest: the largest share of what is curved.
        moved: the largest share of what differs from the value at the place.
        sound: whether there is such a place.
    """

    line: tuple[float, ...]
    rest = moved = 0.0
    sound = True

    def __init__(self, curve: Curve, low: float, high: float, end: float) -> None:
        self._at = (low + high) / 2 + (high - low) / 2 * NODES
        self._straight = end > high
        if self._straight:
            self._at = np.concatenate([self._at, [low], np.linspace(high, end, len(NODES))])
        self._with_ends = np.append(self._at, [low, end])
        values = curve.values(self._with_ends)
        self._share_with_ends = curve.share(self._with_ends, values)
        self._values, self._share = values[:-2], self._share_with_ends[:-2]
        root = next((r for r in curve.roots if low <= r < end), None)
        if root is not None:
            self._through(curve, root)
        elif self._straight:
            self._along(low, end)
        else:
            self._within(curve, low, high)

    def _through(self, curve: Curve, root: float) -> None:
        """The place is a root, or the nearest float32: what is left there has only second words."""
        place = float(_word(root))
        value = float(curve.values.exactly(np.array([place]))[0]) if place else 0.0
        rest = float(_word(value))
        finer = value - rest
        if abs(finer) < _SURE * float(np.spacing(np.float32(rest))):
            finer = 0.0
        slope = float(curve.values.slope(np.array([place]))[0])
        first = float(_word(slope))
        second = slope - first if abs(slope - first) > _ALLOWED / 16 * abs(slope) else 0.0
        self.line = place, 0.0, first, *map(float, map(_word, (finer, rest, second)))

    def _along(self, low: float, end: float) -> None:
        """A line, of which the place has so few digits that differences with it are exact."""
        slope = float(_word((self._values[-1] - self._values[len(NODES)]) / (end - low)))
        places = np.round(low * _GRID + np.arange(1, _TRIED)) / _GRID
        places = places[places < end]
        self._chosen(places, self._values[-1] + slope * (places - end), np.full(len(places), slope))

    def _within(self, curve: Curve, low: float, high: float) -> None:
        """The place is anywhere, for choice near the middle."""
        centre = _word(_centre(low, high, curve.roots))
        step = float(np.spacing(np.float32(centre)))
        tried = np.empty((3, 0))  # places, values and slopes there
        for reach in _REACHES:
            spread = max(1.0, np.floor(reach * (high - low) / _TRIED / step))
            # Beyond the next power of two there are fewer float32.
            more = _word(centre + step * spread * np.arange(-_TRIED, _TRIED))
            more = more[(more > low / 2) & (more > 0)]
            there = np.stack([more, curve.values(more), curve.values.slope(more)])
            tried = np.concatenate([tried, there], axis=1)
            self._chosen(*tried)
            if self.sound and self.line[4] == self.line[5] == 0:
                break

    def _chosen(self, places: Array, values: Array, slopes: Array) -> None:
        """The place at which value and slope are closest to a float32."""
        near, near_slopes = _word(values), _word(slopes)
        t = self._with_ends[:, None] - places
        # What rounding takes from value + slope·t is known exactly where neither holds.
        moved = np.abs(slopes * t)
        outweighed = moved > np.abs(values)
        cancelled = np.abs(values + slopes * t) < np.abs(values) / 2
        exact = _moves_digits(near_slopes)
        counts = UNIT / 2 * moved > _ALLOWED * self._share_with_ends[:, None]
        wrong = np.asarray(((outweighed & ~exact) | cancelled) & counts).any(axis=0)
        reach = np.abs(self._at[:, None] - places).max(axis=0)
        lost = np.abs(values - near) + np.abs(slopes - near_slopes) * reach
        # Next to 0 a number has more digits than its difference with a place that is not.
        inexact = (places > 2 * self._with_ends[-2]) * np.spacing(np.abs(places, dtype=np.float32))
        wrong |= np.abs(slopes) * inexact / 2 > _OF_PLACES * self._share.min()
        best = int(np.argmin(np.where(wrong, np.inf, lost)))
        self.sound = not np.take(wrong, best)
        rests = values[best] - near[best], slopes[best] - near_slopes[best]
        if lost[best] < _ALLOWED * self._share.min():
            rests = 0.0, 0.0
        line = (places[best], near[best], near_slopes[best], 0.0, *map(_word, rests))
        self.line = tuple(map(float, line))

    def curved(self, least: int) -> list[float] | None:
        """So many coefficients of t² and higher powers, or more; None where there is no place.

        Raises:
            _TooWideError: none serve.
        """
        if not self.sound:
            return None
        place, value, slope, _, value_rest, slope_rest = self.line
        t = self._at - place
        self.moved = float((np.abs(self._values - value) / self._share).max())
        left = self._values - (value + value_rest) - (slope + slope_rest) * t
        allowed = _ALLOWED * self._share
        if (np.abs(left) < allowed).all():
            return []
        if self._straight:
            return None
        all_powers = t[:, None] ** np.arange(2, _MOST_TERMS + 1)
        scales = np.abs(all_powers).max(axis=0)
        scaled, wanted = all_powers / scales / allowed[:, None], left / allowed
        for degree in range(least, _MOST_TERMS):
            powers = np.ascontiguousarray(all_powers[:, :degree])
            found = lstsq(scaled[:, :degree], wanted, rcond=None)[0]
            words = _word(found / scales[:degree])
            curve = powers @ words
            if (np.abs(left - curve) < allowed).all():
                self.rest = float((np.abs(curve) / self._share).max())
                if self.rest < _SMALL:
                    return list(map(float, words))
                break
        raise _TooWideError


def _moves_digits(factor: Array) -> NDArray[np.bool_]:
    """Whether products with it are exact: it is 0 or a power of two."""
    return np.asarray((factor == 0) | (np.abs(np.frexp(factor)[0]) == 0.5))


def _centre(low: float, high: float, roots: Sequence[float]) -> float:
    """The middle, but nearer to a root beside: the value must be more than what it cancels with."""
    # Next to 0 differences with the place are rounded by as much as the place is.
    centre = (low + high) / 2 if low else high / 4
    for root in roots:
        if root < low:
            centre = min(centre, low + _NEARER * (low - root))
        elif root > high:
            centre = max(centre, high - _NEARER * (root - high))
    return centre


def _word(values: Array | float) -> Array:
    """The nearest float32."""
    return np.asarray(values).astype(np.float32).astype(np.float64)
