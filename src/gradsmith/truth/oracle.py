"""The exact value of a formula and of its derivatives at a point.

Nothing is shared with what it judges: the formula is read as it was written, differentiated by
Taylor series over balls (:mod:`gradsmith.truth.jets`), and the precision rises until the ball is
as narrow as asked. Infinite inputs give the limit, signed zeros the sign of the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import factorial, inf, isinf, isnan, nan, nextafter
from typing import NamedTuple

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Expr, Symbol, as_expr
from gradsmith.formula.formula import Formula
from gradsmith.truth.jets import Jets
from gradsmith.truth.series import (
    UNDECIDED,
    UNDEFINED,
    Missing,
    Series,
    Value,
    coefficients,
)

START_BITS = 128
MAX_BITS = 8192
HIGH_AND_LOW = 108
"""Bits that two float64 hold together, and two more."""
NEGLIGIBLE = arb(2) ** -1400
"""Below this every dtype rounds to zero; only the sign is still asked for."""

_BESIDE_ZERO = 2.0**-1074
_SUBNORMAL = 2.0**-1022
_KEPT = 20_000  # series at points, for other orders
_FAR = (64, 128, 256, 512, 1024, 2048)
"""Powers of two at which a limit is read off."""
_PLACES = ((1.0, 0.0), (1.375, 0.3125))
"""At each the points m·2ᵏ + c: what oscillates differs between them."""
_SETTLED = arb(2) ** -60
_NOTHING = arb(NEGLIGIBLE).log()
_STEADY = 0.4  # a logarithm's own logarithm grows by log(2) = 0.69 from one of _FAR to the next

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Exact(NamedTuple):
    """Exact values, each the sum of two float64.

    Attributes:
        high: the value rounded to float64: infinite where the value or its limit is, a zero with
            the value's sign below the smallest subnormal, NaN where there is no value.
        low: what is left, rounded.
        sign_known: where ``high`` is zero, whether its sign is that of the exact value or, at an
            input of ±0 or ±∞, of the limit. A function that is identically zero has none.
        decided: whether the value is known; where it is not, ``high`` is NaN.
    """

    high: Floats
    low: Floats
    sign_known: Flags
    decided: Flags


class _Point(NamedTuple):
    high: float
    low: float = 0.0
    sign_known: bool = True
    decided: bool = True


_NO_VALUE = _Point(nan)


class _Found(NamedTuple):
    """A value as a ball; the sign is known even where the ball is around zero."""

    ball: arb
    sign: int | None
    value: Value

    def is_accurate(self, bits: int) -> bool:
        ball = self.ball
        if ball.rel_accuracy_bits() >= bits or ball.is_zero():
            return True
        if not ball.is_finite():
            return bool(ball.rad().is_finite())
        return bool(abs(ball) < NEGLIGIBLE) and self.sign is not None


class Oracle:
    """The exact values of a formula and of its derivatives in one input.

    Args:
        formula: what the user wrote.
        parameters: values of parameters other than their defaults.
        wrt: the input or parameter to differentiate in; the first input if left out. A parameter
            becomes an argument, after the inputs.
        highest: the highest order that will be asked for. The series at a point holds all orders
            up to it, and is kept for when the next order is asked for.

    Raises:
        FormulaError: a name is neither an input nor a parameter.
    """

    def __init__(
        self,
        formula: Formula,
        parameters: Mapping[str, float] | None = None,
        wrt: str | None = None,
        highest: int = 0,
    ) -> None:
        given = dict(parameters or {})
        self._highest = highest
        self._known: dict[tuple[float, ...], Series] = {}
        self.formula = formula
        self.variable = wrt or formula.inputs[0]
        for name in (*given, self.variable):
            if name not in formula.arguments or (name in given and name not in formula.parameters):
                known = ", ".join(formula.parameters) or "no parameters"
                raise FormulaError(f"{name!r} is no argument of the formula, which has {known}")
        self.arguments = formula.inputs
        if self.variable not in formula.inputs:
            self.arguments = (*formula.inputs, self.variable)
        numbers: dict[str, Expr] = {n: as_expr(float(value)) for n, value in given.items()}
        numbers |= {name: Symbol(name) for name in self.arguments}
        self.expression = formula.applied(**numbers)
        self.jets = Jets(self.expression, self.arguments, self.variable)
        self._at = self.arguments.index(self.variable)

    def ball(self, order: int, *inputs: float | arb, bits: int = 80) -> arb:
        """The derivative of that order at a point, with a relative accuracy of ``bits`` bits.

        The ball may be wider where the value is negligible (smaller than every dtype holds) or
        zero, which no finite precision proves. It is NaN where the formula has no value, infinite
        where the value exceeds exp(2**64).

        Args:
            order: 0 for the value, 1, 2, … for derivatives.
            inputs: finite values in the order of ``arguments``.
            bits: the accuracy.
        """
        self._check(order, len(inputs))
        found = self._value(order, [arb(x) for x in inputs], bits)
        return arb.nan() if isinstance(found, Missing) else found.ball

    def exact(self, order: int, columns: Mapping[str, Floats]) -> Exact:
        """The derivative of that order at many points, to about 100 bits.

        Args:
            order: 0 for the value, 1, 2, … for derivatives.
            columns: float64 values of each argument by its name, all of one length. Infinite ones
                give the limit, NaN gives NaN.
        """
        self._check(order, len(columns))
        lists = [np.asarray(columns[name], dtype=np.float64).tolist() for name in self.arguments]
        points = [self._point(order, x) for x in zip(*lists, strict=True)]
        if order >= self._highest:
            self._known.clear()
        transposed = list(zip(*points, strict=True)) or [()] * 4
        high, low = (np.array(column, dtype=np.float64) for column in transposed[:2])
        known, decided = (np.array(column, dtype=np.bool_) for column in transposed[2:])
        return Exact(high, low, known, decided)

    def _check(self, order: int, count: int) -> None:
        if order < 0:
            raise ValueError(f"the order of a derivative is 0 or more, got {order}")
        if count != len(self.arguments):
            raise ValueError(f"values are needed of {', '.join(self.arguments)}, got {count}")

    def _value(
        self, order: int, point: Sequence[arb], bits: int, key: Sequence[float] = ()
    ) -> _Found | Missing:
        """The value, UNDEFINED, or UNDECIDED where :data:`MAX_BITS` did not tell.

        Args:
            order: of the derivative.
            point: where.
            bits: the accuracy.
            key: the point as numbers, if its series is to be kept for other orders.
        """
        precision = START_BITS
        best: _Found | Missing = UNDECIDED
        while precision <= MAX_BITS:
            found = self._kept(order, point, precision, key)
            # The value may exist where a derivative does not.
            if found is None or isinstance(found, Missing) or found.ball.is_nan():
                found = _coefficient(self.jets(point, order + 1, precision), order, precision)
            if found is UNDEFINED:
                return UNDEFINED
            if not isinstance(found, Missing) and not found.ball.is_nan():
                best = found
                if found.is_accurate(bits):
                    break
            precision *= 2
        return best

    def _kept(
        self, order: int, point: Sequence[arb], precision: int, key: Sequence[float]
    ) -> _Found | Missing | None:
        """The same from a series to the highest order, made for the first order asked for."""
        if not key or order > self._highest:
            return None
        place = (*key, precision)
        if place not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[place] = self.jets(point, self._highest + 1, precision)
        return _coefficient(self._known[place], order, precision)

    def _point(self, order: int, x: Sequence[float]) -> _Point:
        if any(map(isnan, x)):
            return _NO_VALUE
        far = [i for i, value in enumerate(x) if isinf(value)]
        if far:
            return self._limit(order, x, far[0]) if len(far) == 1 else _Point(nan, decided=False)
        found = self._value(order, [arb(value) for value in x], HIGH_AND_LOW, x)
        if found is UNDEFINED:
            return _NO_VALUE
        if isinstance(found, Missing):
            return _Point(nan, decided=False)
        point = _split(found)
        if x[self._at] == 0 and point.high == 0:
            return self._signed_zero(order, x)
        return point

    def _signed_zero(self, order: int, x: Sequence[float]) -> _Point:
        """Zero at an input of ±0, with the sign of the values beside it on its side."""
        point = [arb(value) for value in x]
        signs = []
        for distance in (_BESIDE_ZERO, 8 * _BESIDE_ZERO):
            point[self._at] = arb(np.copysign(distance, x[self._at]))
            value = self._value(order, point, 8)
            signs.append(None if isinstance(value, Missing) else value.sign)
        known = signs[0] == signs[1] and signs[0] in (-1, 1)
        return _Point(-0.0 if known and signs[0] == -1 else 0.0, 0.0, known)

    def _limit(self, order: int, x: Sequence[float], at: int) -> _Point:
        """The limit as one argument goes to infinity, read off at ever farther points.

        What settles, and what shrinks or grows without bound, is told apart from what oscillates.
        """
        side = 1 if x[at] > 0 else -1
        point = [arb(0) if i == at else arb(value) for i, value in enumerate(x)]
        found: list[_Found] = []
        for exponent in _FAR:
            for factor, offset in _PLACES:
                with ctx.workprec(2 * _FAR[-1]):
                    point[at] = side * (factor * arb(2) ** exponent + offset)
                value = self._value(order, point, 80)
                if value is UNDEFINED:
                    return _NO_VALUE
                if isinstance(value, Missing):
                    return _Point(nan, decided=False)
                found.append(value)
        return _limit_of(found)


def _coefficient(series: Series, order: int, precision: int) -> _Found | Missing:
    """The derivative of that order, of a Taylor series."""
    if isinstance(series, Missing):
        return series
    with ctx.workprec(precision):
        value = coefficients(series, order + 1)[order]
        if order > 1:
            value = Value(value.mantissa * factorial(order), value.exponent)
        return _Found(value.ball(), value.sign(), value)


def _split(found: _Found) -> _Point:
    ball, side = found.ball, found.sign
    if not ball.rad().is_finite():
        return _Point(nan, decided=False)
    high = float(ball.mid())
    if abs(high) < _SUBNORMAL and abs(arb(high)) > abs(ball.mid()):
        # What is left could not be held: half of the smallest number must not look like all of it.
        high = nextafter(high, 0.0)
    if high == 0:
        # Of a value above half of the smallest number all of it is left.
        rest = float(ball.mid()) if abs(ball) < arb(_BESIDE_ZERO) else 0.0
        return _Point(-0.0 if side == -1 else 0.0, rest, side in (-1, 1))
    if isinf(high):
        return _Point(high)
    with ctx.workprec(MAX_BITS):
        return _Point(high, float(ball.mid() - high))


def _limit_of(found: Sequence[_Found]) -> _Point:
    """The limit of values at the points of :data:`_FAR`."""
    signs = {value.sign for value in found[-6:]}
    side = signs.pop() if len(signs) == 1 else None
    zero = _Point(-0.0 if side == -1 else 0.0, 0.0, side in (-1, 1))
    if side == 0:
        return zero
    last = found[-1].ball
    if last.is_finite() and abs(last) > NEGLIGIBLE:
        others = [value.ball for value in found[-4:-1]]
        if all(abs(last - other) < abs(last) * _SETTLED for other in others):
            return _split(found[-1])
    levels = [value.value.magnitude().mid() for value in found]
    pairs = [(a, b) for i in (0, 1) for a, b in pairwise(levels[i::2])]
    if all(a - b > _STEADY for a, b in pairs) or all(a < _NOTHING for a in levels[-6:]):
        return zero
    if side in (-1, 1) and all(b - a > _STEADY for a, b in pairs):
        return _Point(inf if side == 1 else -inf)
    return _Point(nan, decided=False)
