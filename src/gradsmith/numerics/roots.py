"""Series about the roots of a formula that no rewriting makes accurate: gelu′ near −0.7518.

Next to a root the terms of a formula cancel, and the rounding of the root itself is magnified. The
root is found to twice the precision, r = high + low; t = (x − high) − low is then accurate to one
rounding however close x is, and within a radius the formula is t·P(t), P interpolated in ball
arithmetic. The radius is the smallest outside of which the expression itself is accurate enough.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from itertools import pairwise
from typing import NamedTuple

import flint
import numpy as np
from flint import arb

from gradsmith.calculus.exact import Evaluator, isnan_ball
from gradsmith.formula.expression import Expr, Number, Symbol, free_symbols
from gradsmith.formula.vocabulary import abs_, where
from gradsmith.numerics.draws import Draws
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.measure import exact_values, ulp_errors
from gradsmith.numerics.regimes import fit_series
from gradsmith.numerics.target import Target

Evaluate = Callable[[Expr, Mapping[str, Array]], Array]
"""Computes an expression at some points."""

_RADII = (
    *(2.0**-k for k in (40, 30, 22, 16, 11, 8, 6)),
    *(0.03, 0.06, 0.1, 0.15, 0.22, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.25),
)
_WIDE = (0.1, 0.2, 0.35, 0.5)  # of the root, where that is more: a logarithm changes so slowly
_MOST = 6  # series in one expression
_TERMS = 24
_NEAREST = 16  # brackets that are looked into
_BITS = 320
_PER_RING = 10  # points on each side between two radii


def expand_near_roots(
    expression: Expr,
    root: Expr,
    x: Symbol,
    brackets: Sequence[tuple[float, float]],
    target: Target,
    evaluate: Evaluate | None = None,
) -> Expr:
    """``expression`` with series of ``root``, which it equals, about the roots in ``brackets``.

    Args:
        expression: the stable expression so far.
        root: the formula, which must depend on ``x`` alone.
        x: the input.
        brackets: pairs of numbers between which ``root`` changes its sign once.
        target: the precision of the computation.
        evaluate: how an expression is computed at some points; left out, in that precision.
    """
    if free_symbols(root) != (x,):
        return expression
    exact = Evaluator(root, (x.name,))
    parity = _parity(exact)
    series = 0
    for place, reach in reaches(places_of_roots(root, x, tuple(brackets))):
        if parity and place < 0:
            continue
        rings = Rings(root, x, place, reach, target, evaluate)
        new = _with_series(expression, exact, x, place, parity, target, rings)
        if new is not expression:
            expression, series = new, series + 1
        if series == _MOST:
            break
    return expression


@lru_cache(maxsize=16)
def places_of_roots(
    root: Expr, x: Symbol, brackets: tuple[tuple[float, float], ...]
) -> tuple[arb, ...]:
    """The roots in the first few brackets, to three times the precision; and 0 where it is one.

    Remembered: each way of computing a formula is looked at beside the same ones.
    """
    exact = Evaluator(root, (x.name,))
    found = [_refined(exact, low, up) for low, up in brackets[:_NEAREST]]
    places = tuple(place for place in found if place is not None)
    return (*places, arb(0)) if exact(0.0).contains(0) else places


def reaches(places: Sequence[arb]) -> Iterator[tuple[arb, float]]:
    """Roots other than 0, and half of how far it is to the next one."""
    for place in places:
        others = [abs(place - other) for other in places if other is not place]
        if place != 0:
            yield place, min((float(d.mid()) / 2 for d in others), default=4.0)


def _parity(exact: Evaluator) -> int:
    """1 where the formula is even, −1 where it is odd, 0 where it is neither."""
    for sign in (1, -1):
        pairs = [(exact(u), sign * exact(-u)) for u in (0.11, 0.37, 1.9, 4.3)]
        if all(a.overlaps(b) and not (isnan_ball(a) or isnan_ball(b)) for a, b in pairs):
            return sign
    return 0


def _refined(exact: Evaluator, low: float, up: float) -> arb | None:
    """The root between two numbers to three times the precision; None where there is a pole."""
    with flint.ctx.workprec(_BITS):
        a, b = arb(low), arb(up)
        below, above = (exact(p, bits=_BITS - 60).mid() for p in (a, b))
        if below == 0 or above == 0 or not (below.is_finite() and above.is_finite()):
            return a if below == 0 else (b if above == 0 else None)
        start = max(abs(below), abs(above))
        moved = 0  # the end that moved last: −1 the lower one, 1 the upper one
        for _ in range(400):
            if b - a < abs(a) * arb(2) ** -190:
                break
            # Regula falsi that halves the value at an end that stays (Illinois): superlinear.
            middle = ((a * above - b * below) / (above - below)).mid()
            if not a < middle < b:
                middle = ((a + b) / 2).mid()
            value = exact(middle, bits=40).mid()
            if isnan_ball(value):
                return None
            if value == 0:
                return middle
            if (value > 0) == (above > 0):
                b, above = middle, value
                below, moved = (below / 2 if moved > 0 else below), 1
            else:
                a, below = middle, value
                above, moved = (above / 2 if moved < 0 else above), -1
        else:
            return None
        place = ((a + b) / 2).mid()
        size = abs(exact(place, bits=20).mid())
        return place if size < start * arb(2) ** -30 else None


def _with_series(
    expression: Expr,
    exact: Evaluator,
    x: Symbol,
    place: arb,
    parity: int,
    target: Target,
    rings: Rings,
) -> Expr:
    radii = rings.radii
    before = rings.losses(expression)
    lossy = np.flatnonzero(before)
    if not lossy.size:
        return expression

    def shifted(u: arb, bits: int) -> arb:
        return exact(place + u, bits=bits)

    high, low = _split(place, target)
    t = (abs_(x) if parity else x) - high
    if low:
        t = t - low if low > 0 else t + -low
    best, least = expression, float(before.sum())
    for last in range(min(int(lossy[-1]) + 1, len(radii) - 1), -1, -1):
        if float(before[last + 1 :].sum()) >= least:
            break  # what is lost outside of it is too much already
        series = fit_series(shifted, radii[last], _TERMS, target)
        if series is None:
            continue
        value = t * series(t)
        if parity < 0:
            value = where(x < 0, -value, value)
        lost = float(rings.losses(value)[: last + 1].sum() + before[last + 1 :].sum())
        if lost <= least:  # of equal ones the smallest: it needs the fewest terms
            best = where(abs_(t) < Number(Fraction(radii[last])), value, expression)
            least = lost
    return best


class Rings:
    """Points at growing distances from a root, in rings between two radii.

    Attributes:
        radii: the outer ones, none of them as large as what was allowed.
    """

    def __init__(
        self,
        root: Expr,
        x: Symbol,
        place: arb,
        reach: float,
        target: Target,
        evaluate: Evaluate | None,
    ) -> None:
        self._target = target
        self._evaluate = evaluate or partial(interpret, compute=target.compute)
        self.radii, at, self._high, self._low = _points_around(root, x, place, reach, target)
        self._values = {x.name: at}

    def losses(self, expression: Expr) -> Array:
        """The bits lost in each ring, from the root outwards."""
        lost = np.log2(np.maximum(self._errors(expression) / self._target.aim, 1.0))
        losses: Array = lost.reshape(len(self.radii), 2 * _PER_RING).sum(axis=1)
        return losses

    def most_wrong(self, expression: Expr) -> float:
        """The largest error, in ULP."""
        return float(self._errors(expression).max(initial=0.0))

    def _errors(self, expression: Expr) -> Array:
        computed = self._evaluate(expression, self._values)
        return ulp_errors(computed, self._high, self._low, self._target)


class _Points(NamedTuple):
    radii: tuple[float, ...]
    at: Array
    high: Array
    low: Array


@lru_cache(maxsize=64)
def _points_around(root: Expr, x: Symbol, place: arb, reach: float, target: Target) -> _Points:
    """Points in rings about a root, and the exact values there; remembered as the roots are."""
    size = float(abs(place).mid())
    scale = min(1.0, 2 * size)
    wide = {r * size for r in _WIDE if r * size > _RADII[-1]}
    radii = tuple(sorted(r for r in wide | {r * scale for r in _RADII} if r < reach))
    centre = float(place.mid())
    draws = Draws(31)  # any fixed seed: definitions must repeat
    signs = np.tile([1.0, -1.0], _PER_RING)
    points = [
        centre + signs * draws.uniform(inner, outer, 2 * _PER_RING)
        for inner, outer in pairwise((0.0, *radii))
    ]
    at = target.rounded(np.concatenate([*points, np.empty(0)]))
    return _Points(radii, at, *exact_values(root, (x.name,), {x.name: at}))


def _split(place: arb, target: Target) -> tuple[Number, Fraction]:
    """The root as an unevaluated sum of two numbers: the first one of the format, near the root."""
    high = float(target.rounded(np.array([float(place.mid())]))[0])
    kind: Callable[[float], np.floating] = np.float64 if target.compute == "float64" else np.float32
    low = float(kind(float((place - arb(high)).mid())))
    return Number(Fraction(high)), Fraction(low)
