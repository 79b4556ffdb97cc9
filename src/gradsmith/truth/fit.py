"""A polynomial with a proven margin for the exact values over a range of floats.

The Taylor series at a point of the range gives the coefficients; the series over the whole range,
as a ball, bounds what is left out. One evaluation of each serves all orders of derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from math import factorial, frexp, inf, isnan, ldexp, nextafter, perm

import numpy as np
from flint import arb, ctx

from gradsmith.truth.jets import Jets
from gradsmith.truth.piece import Floats, horner, horner_error
from gradsmith.truth.series import Missing, Value, coefficients

DEGREE = 16
"""Of the polynomials: higher ones would be longer in evaluation than they save pieces."""
LONG_DEGREE = 40
"""Where terms of the formula cancel over an interval, a longer series needs far fewer pieces."""
_BITS = 192
_MAX_BITS = 1600
_RESOLVED = 2.0**-56  # of the coefficients' sum: what their own balls may add to the margin
_UP = 1 + 2.0**-40  # more than what rounding takes from a sum of bounds


@dataclass(frozen=True, slots=True)
class Polynomial:
    """p(t) = Σ pₖ·tᵏ, t = (x − centre)/scale, within ``margin`` of the exact values.

    Attributes:
        centre, scale, coefficients: as of a :class:`gradsmith.truth.piece.Piece`.
        margin: absolute, rounding errors of the evaluation included.
        monotonic: whether p is strictly monotonic over the range.
        low, high: bounds of the exact values.
    """

    centre: float
    scale: float
    coefficients: Floats
    margin: float
    monotonic: bool
    low: float = 0.0
    high: float = 0.0

    @property
    def smallest(self) -> float:
        """A lower bound of the exact values' sizes."""
        return max(self.low, -self.high, 0.0)

    @property
    def largest(self) -> float:
        """An upper bound of the exact values' sizes."""
        return max(self.high, -self.low)

    def __call__(self, x: float) -> float:
        """What a piece's reference gives at one input."""
        t = np.array([(x - self.centre) * (1 / self.scale)])
        return float(horner(self.coefficients, t)[0])


class Range:
    """The exact values for all inputs between two floats.

    Args:
        jets: the formula, in one input.
        ends: the two inputs, of one sign.
        orders: how many orders of derivatives are asked for.
        degree: the largest of a polynomial.
    """

    def __init__(
        self, jets: Jets, ends: tuple[float, float], orders: int, degree: int = DEGREE
    ) -> None:
        self._jets = jets
        self._ends = ends
        self._degree = degree
        self._count = degree + 1 + orders
        self._centres: dict[int, list[Value]] = {}
        self._left_out: dict[int, list[float]] = {}
        a, b = ends
        self.centre = a + (b - a) / 2
        reach = max(abs(a - self.centre), abs(b - self.centre))
        # frexp gives reach ≤ 2ᵉ; a range of one float has any scale.
        self.scale = ldexp(1.0, frexp(reach)[1]) if reach else abs(a)
        # x − c is rounded, and c itself where the range spans many binades.
        self.reach = min(reach / self.scale * _UP, 1.0) if reach < self.scale else 1.0

    @cached_property
    def _over(self) -> Missing | list[Value]:
        with ctx.workprec(_BITS):
            ball = arb(self._ends[0]).union(arb(self._ends[1]))
        found = self._jets([ball], self._count, _BITS, arb(self.scale), smooth=True)
        if isinstance(found, Missing):
            return found
        with ctx.workprec(_BITS):
            return coefficients(found, self._count)

    @cached_property
    def missing(self) -> Missing | None:
        """UNDEFINED or UNDECIDED where the formula has no value, or none that can be enclosed."""
        return self._over if isinstance(self._over, Missing) else None

    def value(self, order: int) -> Value:
        """All values of the derivative of that order, as one ball."""
        assert not isinstance(self._over, Missing)
        with ctx.workprec(_BITS):
            found = self._over[order]
            step = arb(self.scale) ** order
            return Value(found.mantissa * factorial(order) / step, found.exponent)

    def _at_centre(self, bits: int) -> list[Value] | None:
        found = self._centres.get(bits)
        if found is None:
            series = self._jets([arb(self.centre)], self._count, bits, arb(self.scale), smooth=True)
            if isinstance(series, Missing):
                return None
            with ctx.workprec(bits):
                found = self._centres[bits] = coefficients(series, self._count)
        return found

    def remainder(self, order: int) -> float:
        """A bound on what the best polynomial leaves out; infinite if there is none."""
        return min(self._remainders(order))

    def _remainders(self, order: int) -> list[float]:
        """What the first 1, 2, … terms leave out at most: the next one, over the whole range."""
        assert not isinstance(self._over, Missing)
        found = self._left_out.get(order)
        if found is None:
            with ctx.workprec(_BITS):
                terms = [self._derived(self._over, order, k) for k in range(1, self._degree + 2)]
            found = [_up(c) * self.reach**k * _UP for k, c in enumerate(terms, 1)]
            self._left_out[order] = found
        return found

    def _derived(self, series: list[Value], order: int, k: int) -> arb:
        value = series[k + order]
        return (value.mantissa * perm(k + order, order) / arb(self.scale) ** order) * (
            1 if value.exponent is None else value.exponent.exp()
        )

    def polynomial(self, order: int, tolerance: Callable[[float], float]) -> Polynomial | None:
        """A polynomial for the derivative of that order, or None where there is no useful one.

        Args:
            order: 0 for the value.
            tolerance: the largest useful margin, given the smallest size of the values.
        """
        left_out = self._remainders(order)
        best = min(left_out)
        count = left_out.index(best) + 1
        bits = _BITS
        while True:
            series = self._at_centre(bits)
            if series is None:
                return None
            with ctx.workprec(bits):
                exact = [self._derived(series, order, k) for k in range(count)]
                powers = [self.reach**k for k in range(count)]
                sizes = [_up(c) * p for c, p in zip(exact, powers, strict=True)]
                balls = [_up(c - c.mid()) * p for c, p in zip(exact, powers, strict=True)]
            if sum(balls) <= _RESOLVED * sum(sizes) or bits >= _MAX_BITS:
                break
            bits *= 2
        if not sum(sizes) < inf:
            return None
        rounded = np.array([float(c.mid()) for c in exact])
        with ctx.workprec(bits):
            errors = [_up(c - float(r)) * p for c, r, p in zip(exact, rounded, powers, strict=True)]
        long = self._bounded(rounded, sizes, best + sum(errors))
        wanted = tolerance(long.smallest)
        if not long.margin <= wanted:
            return None
        # Terms that are next to nothing are counted as left out.
        while count > 1 and best + sizes[count - 1] <= wanted / 8:
            count -= 1
            best = min(best + sizes[count], left_out[count - 1])
        return self._bounded(rounded[:count], sizes[:count], best + sum(errors[:count]))

    def _bounded(self, rounded: Floats, sizes: list[float], error: float) -> Polynomial:
        """The polynomial of these coefficients, ``error`` off the exact values."""
        margin = (error + horner_error(rounded, self.reach)) * _UP
        degrees = np.arange(len(rounded))
        slopes = (np.abs(rounded) * self.reach**degrees * degrees)[1:]
        steady = bool(len(slopes) and 2 * slopes[0] > slopes.sum() * _UP)
        polynomial = Polynomial(self.centre, self.scale, rounded, margin, steady)
        if steady:
            low, high = sorted(polynomial(x) for x in self._ends)
            # A computed end is within the margin of the exact one.
            low, high = low - margin, high + margin
        else:
            spread = sum(sizes[1:]) * _UP + margin
            low, high = float(rounded[0]) - spread, float(rounded[0]) + spread
        # 1/2 minus a small margin is rounded to 1/2, which is another binade.
        return replace(polynomial, low=nextafter(low, -inf), high=nextafter(high, inf))


def _up(ball: arb) -> float:
    """At least the size of every number in the ball, as a float."""
    if ball.is_zero():
        return 0.0
    bound = float(ball.abs_upper())
    return inf if isnan(bound) else bound * _UP + 2.0**-1050
