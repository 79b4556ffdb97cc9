"""The value at infinity, and how to reach it.

x·e^(−x²) at infinity is inf·0. From some point on its value in float64 *is* its limit, 0; held at
that point, the input never gets to where the pieces overflow, and infinity gives the limit. An
infinite limit that the pieces turn into NaN, as x²/(1 + |x|) does, is written out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Expr, Number, Symbol, substitute
from gradsmith.formula.vocabulary import maximum, minimum, where
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.target import FLOAT64, Target

_FAR = (1e4, 1e20, 1e37, 1e100, 1e160, 1e200, 1e300, math.inf)
_EDGES = (3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 20, 30, 60, 70, 120, 300, 600)  # powers of two
_BEYOND = (1.0, 1.3, 1.9, 4.1, 16.0, 2.0**10, 2.0**20)


class Limits:
    """The limits of a formula of one input; one of several inputs has none here.

    Args:
        root: the formula.
        arguments: its inputs and parameters.
        defaults: the parameters' values.
        target: the format of the input and the result.
        known: points, and the values there: something may happen far out.
        multiplied: whether results are multiplied by anything that the format has a number for.
    """

    def __init__(
        self,
        root: Expr,
        arguments: Sequence[str],
        defaults: Mapping[str, float],
        target: Target = FLOAT64,
        known: Mapping[float, float] | None = None,
        multiplied: bool = False,
    ) -> None:
        inputs = [name for name in arguments if name not in defaults]
        self._x = Symbol(inputs[0]) if len(inputs) == 1 else None
        self._at = arguments.index(inputs[0]) if inputs else 0
        self._defaults = defaults
        self._others = {i: defaults[name] for i, name in enumerate(arguments) if name in defaults}
        self._exact = Evaluator(root, arguments)
        self._target = target
        self._known = known or {}
        self._top = math.frexp(target.largest)[1] - 1  # the largest power of two of the format
        # Of what is nothing in the format a large factor makes something, where there is the range.
        spares = target.compute == "float64" and target.digits < FLOAT64.digits
        self._factor = 2.0**self._top if multiplied and spares else 1.0

    @cached_property
    def values(self) -> dict[int, float]:
        """The limit for each sign of infinity where there is one."""
        if self._x is None:
            return {}
        found = {sign: self._exact.limit(self._others, self._at, sign) for sign in (1, -1)}
        return {sign: value for sign, value in found.items() if not math.isnan(value)}

    def reached_by(self, expression: Expr) -> bool:
        """Whether ``expression`` gives the limits at infinity, and no NaN on the way."""
        return all(self._reached(expression, sign) for sign in self.values)

    def _reached(self, expression: Expr, sign: int) -> bool:
        assert self._x is not None
        far = np.array([sign * v for v in _FAR if v <= self._target.largest or math.isinf(v)])
        values = {self._x.name: far}
        values |= {name: np.full(far.shape, v) for name, v in self._defaults.items()}
        computed = interpret(expression, values, self._target.compute)
        at_infinity, on_the_way = float(computed[-1]), computed[:-1]
        return self._settled(at_infinity, self.values[sign]) and not np.isnan(on_the_way).any()

    def _settled(self, value: float, limit: float) -> bool:
        """Whether ``value`` is the limit within a fraction of the budget."""
        if math.isinf(limit) or math.isinf(value):
            return value == limit
        unit = float(self._target.unit(np.array(limit)))
        return abs(value - limit) <= self._target.budget / 8 * unit

    @cached_property
    def _edges(self) -> list[dict[int, int]]:
        """For each sign a power of two from which on the value is its limit, the farthest first."""
        factors = dict.fromkeys((self._factor, 1.0))
        return [self._edges_of(factor) for factor in factors]

    def _edges_of(self, factor: float) -> dict[int, int]:
        """The first powers of two from which on the value times that is its limit.

        Where x·σ(βx) settles depends on β; with parameters only infinity itself is held.
        """
        edges = {}
        candidates = (self._top,) if self._others else (*_EDGES, self._top)
        for sign, limit in self.values.items():
            if math.isinf(limit):
                continue
            for exponent in candidates:
                if exponent <= self._top and self._stays(sign * 2.0**exponent, limit, factor):
                    edges[sign] = sign * 2**exponent
                    break
        return edges

    def _stays(self, edge: float, limit: float, factor: float) -> bool:
        point: list[float] = [self._others.get(i, 0.0) for i in range(len(self._others) + 1)]
        farthest = 2.0**self._top
        for times in _BEYOND:
            point[self._at] = max(-farthest, min(farthest, edge * times))
            value = float(self._exact(*point).mid())
            if not self._settled(value if limit else value * factor, limit):
                return False
        beyond = (value for x, value in self._known.items() if x / edge >= 1)
        return all(self._settled(value, limit) for value in beyond if not math.isnan(value))

    def held(self, expression: Expr) -> Expr:
        """``expression`` of the input held where the value has reached its limit."""
        if self._x is None:
            return expression
        missed = [sign for sign in self.values if not self._reached(expression, sign)]
        for edges in self._edges:
            within = self._within(expression, [sign for sign in missed if sign in edges], edges)
            # Far out it may be that pieces have overflown.
            if all(self._reached(within, sign) for sign in missed if sign in edges):
                break
        for sign in missed:
            if sign not in edges:
                within = self._at_infinity(within, sign)
        return within

    def _within(self, expression: Expr, signs: Sequence[int], edges: Mapping[int, int]) -> Expr:
        assert self._x is not None
        x: Expr = self._x
        if 1 in signs:
            x = minimum(x, Number(edges[1]))
        if -1 in signs:
            x = maximum(x, Number(edges[-1]))
        return substitute(expression, {self._x: x}) if x is not self._x else expression

    def _at_infinity(self, expression: Expr, sign: int) -> Expr:
        """Infinity gives infinity, or a limit that no number of the format is far enough for."""
        x, limit = self._x, self.values[sign]
        assert x is not None
        largest = Number(int(self._target.largest))
        beyond = x > largest if sign > 0 else x < -largest
        if math.isinf(limit):
            return where(beyond, x if sign * limit > 0 else -x, expression)
        return where(beyond, Number(limit), expression)
