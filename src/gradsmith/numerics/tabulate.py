"""Functions of one number as an asymptote plus an exponential times what a table gives.

f(x) = xᵐ·(limit ± exp(u(a))·T(a)) with a = |x|: the limit is that of f/xᵐ on either side, the
exponential is one that the formula has, and T is all the rest; or f(x) = limit·x ± exp(u(a))·T(a),
where f has a simple zero at 0, and T with it. T changes slowly, and where it has a root, that is a
place of the table. Nothing is known of it beforehand: its values are exact ones of the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf

import flint
import numpy as np
from flint import arb

from gradsmith.calculus.exact import Evaluator, isnan_ball, middle
from gradsmith.calculus.simplify import simplify
from gradsmith.calculus.terms import split_coefficient
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import (
    Call,
    Expr,
    Function,
    Number,
    Symbol,
    free_symbols,
    substitute,
    walk,
)
from gradsmith.numerics.chebyshev import Series, series_of
from gradsmith.numerics.double_word import LEAST
from gradsmith.numerics.elementary.tabulated import Pieces
from gradsmith.numerics.elementary.words import HALF_STEP, NOTHING
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.piecewise import Curve, fitted
from gradsmith.numerics.program import is_power_of_two
from gradsmith.numerics.regimes import order_of_zero
from gradsmith.numerics.stabilise import Stable

_MOST_ZERO = 3
_NEAR = 2.0**-60
_FAR = 512.0, 1024.0
_SURE = 600
"""Bits. There an exponential that is any use is below what so many hold."""
_SETTLED = arb(2) ** -200
_SIMPLE = 1 << 16
_FARTHEST = 512.0
_STEP = 0.125
_FINER = 65
_CLOSE = 2.0**-14
_BITS = 64
_PLACES = 0.011, 0.11, 0.37
_BETWEEN = 12
_STEPS = 8
_OUTWEIGHED = 1.001
_CANCELLED = 1.5
_ALIKE = 2.0**-36


def tabulated_forms(stable: Stable) -> Iterator[Expr]:
    """Such forms of a function of one input, made when asked for; none where it has no such form.

    They hold for float32, in two words.
    """
    symbols = free_symbols(stable.root)
    if len(symbols) != 1 or stable.arguments != (symbols[0].name,):
        return
    (x,) = symbols
    # The same as the formula as it was written, but less of it cancels.
    exact = Evaluator(stable.symbolic, (x.name,))
    order = order_of_zero(exact)
    if order is None or order > _MOST_ZERO:
        return
    limits = [_Side(exact, order, sign).limit() for sign in (-1, 1)]
    left, right = limits
    if left is None or right is None:
        return
    may_slant = order == 1 and _rises(exact) and all(map(_is_word, (left, right)))
    for exponent in _exponents(stable.expression, x):
        fall = _Fall(exponent, x)
        end = fall.end()
        if end is None:
            continue
        rate, over_rate = _over_rate(exponent)
        for slanted in (True, False) if may_slant else (False,):
            sides = [_Side(exact, order - slanted, sign) for sign in (-1, 1)]
            factors = (
                _Factor(sides[0], left, slanted, fall, end),
                _Factor(sides[1], right, slanted, fall, end),
            )
            pieces = _pieces(factors, rate, end)
            if pieces is not None:
                yield _expression(x, order - slanted, over_rate, pieces, end)
                break


def _is_word(limit: Fraction) -> bool:
    """Whether its multiples are exact, and have the sign of what is multiplied."""
    return limit == 0 or (limit > 0 and is_power_of_two(limit))


def _rises(exact: Evaluator) -> bool:
    """Whether it has the sign of x next to 0."""
    return bool(exact(_NEAR) > 0) and bool(exact(-_NEAR) < 0)


def _expression(x: Symbol, powers: int, over_rate: Expr, pieces: Pieces, end: float) -> Expr:
    held: Expr = x
    if powers:  # where nothing is left of the exponential, infinity times it would be NaN
        if not pieces.limits[0]:
            held = v.maximum(held, Number(-end))
        if not pieces.limits[1]:
            held = v.minimum(held, Number(end))
    a = v.minimum(v.abs_(held), Number(end))
    u = substitute(over_rate, {x: a})
    value = v.tabulated(held, a, u, *map(Number, pieces.numbers()))
    # Of a power of its own a small number would keep no digits.
    for _ in range(powers):
        value = held * value
    return value


@dataclass(frozen=True, slots=True)
class _Side:
    """f(x)/xᵐ for the numbers of one sign."""

    exact: Evaluator
    order: int
    sign: int

    def __call__(self, a: arb | float, bits: int = _BITS) -> arb:
        with flint.ctx.workprec(bits + 20):
            at = arb(a) * self.sign
            return self.exact(at, bits=bits) / at**self.order

    def at_points(self, at: Sequence[float], bits: Sequence[int]) -> list[arb]:
        """The same at many numbers, each to so many bits."""
        found = []
        balls = self.exact.at_points([[self.sign * a for a in at]], bits)
        for a, count, ball in zip(at, bits, balls, strict=True):
            with flint.ctx.workprec(count + 20):
                found.append(ball / (arb(a) * self.sign) ** self.order)
        return found

    def limit(self) -> Fraction | None:
        """What it tends to; None where that is no number, or is not reached soon enough."""
        with flint.ctx.workprec(_SURE + 40):
            near, far = (self(a, _SURE) for a in _FAR)
            settled = not isnan_ball(near) and abs(far - near) < _SETTLED
            return _fraction(far) if settled else None


def _fraction(value: arb) -> Fraction:
    if abs(value) < _SETTLED:
        return Fraction(0)
    exact = middle(value)
    simple = exact.limit_denominator(_SIMPLE)
    return simple if abs(simple - exact) < Fraction(1, 2**190) else exact


def _exponents(expression: Expr, x: Symbol) -> Iterator[Expr]:
    """Exponents of the exponentials in an expression, for x ≥ 0; each falls to −∞."""
    found: list[arb] = []
    for node in walk(expression):
        if not isinstance(node, Call) or node.function not in _EXPONENTS:
            continue
        free = _unheld(_EXPONENTS[node.function](node.args[0]), x)
        if free_symbols(free) != (x,):
            continue
        for sign in (1, -1):
            exponent = simplify(substitute(free, {x: sign * x, v.abs_(x): x}))
            near, far = (Evaluator(exponent, (x.name,))(at) for at in (1.0, _FARTHEST))
            if far < near < 0 and not any(map(near.overlaps, found)):
                found.append(near)
                yield exponent


_EXPONENTS: dict[Function, Callable[[Expr], Expr]] = {
    v.exp: lambda u: u,
    v.expm1: lambda u: u,
    v.tanh: lambda u: -2 * v.abs_(u),
    v.erfc: lambda u: -(u**2),
}


def _over_rate(exponent: Expr) -> tuple[float, Expr]:
    """A power of two or the negative of one, and what times that is the exponent."""
    coefficient, rest = split_coefficient(exponent)
    if is_power_of_two(abs(coefficient)):
        return float(coefficient), rest
    sign = -1 if coefficient < 0 else 1
    return float(sign), Number(abs(coefficient)) * rest


def _unheld(node: Expr, x: Symbol) -> Expr:
    """Without the bounds between which an input is held."""
    held: dict[Expr, Expr] = {}
    for part in walk(node):
        if isinstance(part, Call) and part.function in (v.maximum, v.minimum):
            inner, bound = part.args
            if isinstance(bound, Number) and (inner is x or inner in held):
                held[part] = x
    return substitute(node, held)


class _Fall:
    """The exponent."""

    def __init__(self, exponent: Expr, x: Symbol) -> None:
        self._exponent, self._x = exponent, x

    def __call__(self, at: Array) -> Array:
        return interpret(self._exponent, {self._x.name: at})

    def end(self) -> float | None:
        """The float32 where the exponential becomes 0; None where it does not fall all the way."""
        at = np.arange(0.0, _FARTHEST + _STEP, _STEP)
        step = inf
        while not step < _CLOSE:
            falls = self(at)
            first = int(np.argmax(falls <= NOTHING))  # 0 where there is none
            if not first or falls[0] > 0 or not (np.diff(falls[: first + 1]) < 0).all():
                return None
            step = float(falls[first - 1] - falls[first])
            at = np.linspace(at[first - 1], at[first], _FINER)
        end = at[:1].astype(np.float32)
        return float(end[0]) if abs(self(end)[0] - NOTHING) < HALF_STEP / 2 else None


class _Factor:
    """T on one side: exp(−u)·(f/xᵐ − limit), or with a slanted asymptote exp(−u)·(f − limit·x)."""

    def __init__(
        self, side: _Side, limit: Fraction, slanted: bool, fall: _Fall, end: float
    ) -> None:
        self.limit, self.slanted = limit, slanted
        self._side, self._fall, self._end = side, fall, end

    @cached_property
    def _series(self) -> Series | None:
        return series_of(self.exactly, self._allowed, self._end)

    @property
    def smooth(self) -> bool:
        """Whether there is such a factor."""
        return self._series is not None

    def left(self, a: float, fall: float) -> arb:
        """What is left beside the asymptote at one number, where the exponent is ``fall``."""
        bits = self._bits(fall)
        return self._beside(self._side(a, bits), a, bits)

    def _bits(self, fall: float) -> int:
        # By so much what is left is smaller than the limit.
        return _BITS + (int(-1.5 * fall) if self.limit else 0)

    def _beside(self, side: arb, a: float, bits: int) -> arb:
        with flint.ctx.workprec(bits + 20):
            limit = arb(flint.fmpq(self.limit.numerator, self.limit.denominator))
            return side - (limit * self._side.sign * a if self.slanted else limit)

    def _asymptote(self, at: Array) -> Array:
        limit: Array = float(self.limit) * (self._side.sign * at if self.slanted else np.ones(1))
        return limit

    def exactly(self, at: Array) -> Array:
        """Values with all digits of float64 but the last few."""
        falls = self._fall(at)
        numbers = at.tolist()
        bits = [self._bits(fall) for fall in falls.tolist()]
        sides = self._side.at_points(numbers, bits)
        left = [
            float(self._beside(side, a, count).mid())
            for side, a, count in zip(sides, numbers, bits, strict=True)
        ]
        values: Array = np.array(left) * np.exp(-falls)
        return values

    def _allowed(self, at: Array, values: Array) -> float:
        return float(self.share(at, values).min() if self.limit else np.abs(values).max())

    def __call__(self, at: Array) -> Array:
        assert self._series is not None
        values = self._series(at)
        return np.where(at == 0, 0.0, values) if self.slanted else values

    def slope(self, at: Array) -> Array:
        """The derivative."""
        assert self._series is not None
        return self._series.derivative(at)

    def share(self, at: Array, values: Array) -> Array:
        """By how much the values of T may be wrong for the function to be wrong by 1 of itself."""
        whole: Array = np.abs(self._asymptote(at) * np.exp(-self._fall(at)) + values)
        return whole

    def outweighed(self, at: Array, values: Array) -> bool:
        """Whether it is less than what is added to it, or much of both cancels, anywhere.

        What rounding takes from their sum would not be a float32, or a product of the second
        words would count.
        """
        added = np.abs(np.exp(self._fall(at)) * values)
        most = np.minimum(
            _OUTWEIGHED * np.abs(self._asymptote(at)), _CANCELLED * np.abs(self.whole(at, values))
        )
        return bool((added > most).any())

    def whole(self, at: Array, values: Array) -> Array:
        """All of it, where T has these values."""
        result: Array = self._asymptote(at) + np.exp(self._fall(at)) * values
        return result

    @property
    def points(self) -> Array:
        """Points all along it."""
        assert self._series is not None
        edges = self._series.edges
        inner = np.linspace(edges[:-1], edges[1:], _BETWEEN, endpoint=False, axis=1)
        return np.append(inner.ravel(), edges[-1])

    @property
    def roots(self) -> list[float]:
        """Where T is 0, and the function with it."""
        first = [0.0] if self.slanted else []
        if self.limit:
            return first
        at = self.points[len(first) :]
        values = self(at)
        between = np.flatnonzero(values[:-1] * values[1:] < 0)
        low, high = at[between], at[between + 1]
        places = (low + high) / 2
        for _ in range(_STEPS):  # of Newton
            places = np.clip(places - self(places) / self.slope(places), low, high)
        return [*first, *map(float, places)]


def _pieces(factors: tuple[_Factor, _Factor], rate: float, end: float) -> Pieces | None:
    flip = _flip(factors, end)
    # Of what is beside nothing more is known than of what is beside a limit.
    one = 1 if flip and factors[0].limit and not factors[1].limit else 0
    likes = [(factors[one], 1), (factors[one if flip else 1], flip or 1)]
    likes = likes[::-1] if one else likes
    if not all(like.smooth for like, _ in likes):
        return None
    zero = np.zeros(1)
    ends: list[Array] = []
    for factor, (like, sign) in zip(factors, likes, strict=True):
        if factor.limit and factor.outweighed(like.points, sign * like(like.points)):
            return None
        ends.append(factor.whole(zero, sign * like(zero)))
    left, right = ends
    if not np.allclose(left, right, rtol=_ALIKE, atol=0):
        return None
    if flip:
        curves = [Curve((factors[one], factors[1 - one]), flip)]
    else:
        curves = [Curve((factor,), 1) for factor in factors[::-1]]
    table = fitted(curves, end)
    if table is None:
        return None
    table.columns[1:] *= likes[0][1]  # what belongs to the left side
    return Pieces(
        table.digits,
        table.scale,
        table.last,
        not flip,
        flip or 1,
        table.gentle,
        factors[0].slanted,
        (factors[0].limit, factors[1].limit),
        rate,
        table.lean,
        _range(factors, likes),
        tuple(map(tuple, table.columns.tolist())),
    )


def _flip(factors: tuple[_Factor, _Factor], end: float) -> int:
    """±1 where T on the right is ±T on the left, else 0."""
    places = [share * end for share in _PLACES]
    pairs = [[factor.left(p, NOTHING) for factor in factors] for p in places]
    return next((s for s in (1, -1) if all(a.overlaps(s * b) for a, b in pairs)), 0)


def _range(
    factors: tuple[_Factor, _Factor], likes: Sequence[tuple[_Factor, int]]
) -> tuple[float, float]:
    """Bounds of all of it, with a margin."""
    ends: list[float] = []
    for factor, (like, sign) in zip(factors, likes, strict=True):
        values = factor.whole(like.points, sign * like(like.points))
        ends += [float(values.min()), float(values.max())]
    low, high = min(ends), max(ends)
    margin = (high - low) / 16
    return (LEAST if low > 0 else low - margin), (-LEAST if high < 0 else high + margin)
