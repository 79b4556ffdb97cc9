"""The exact value of a formula and of its derivatives at a point.

Nothing is shared with what it judges: the formula is read as it was written, differentiated by
Taylor series over balls (:mod:`gradsmith.truth.jets`), and the precision rises until the ball is
as narrow as asked. Infinite inputs give the limit, signed zeros the sign of the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import factorial, isinf, isnan, nan
from typing import NamedTuple

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Expr, Symbol, as_expr
from gradsmith.formula.formula import Formula
from gradsmith.truth.jets import Jets
from gradsmith.truth.limits import (
    FAR,
    MAX_BITS,
    NO_VALUE,
    PLACES,
    SMALLEST,
    Found,
    Point,
    alike,
    limit_of,
    split,
    unknown_or_none,
)
from gradsmith.truth.series import (
    UNDECIDED,
    UNDEFINED,
    Missing,
    Series,
    Value,
    coefficients,
)

START_BITS = 128
HIGH_AND_LOW = 108
"""Bits that two float64 hold together, and two more."""

_KEPT = 20_000  # series at points, for other orders

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


class Exact(NamedTuple):
    """Exact values, each the sum of two float64.

    Attributes:
        high: the value rounded to float64: infinite where the value or its limit is, a zero with
            the value's sign below the smallest subnormal, NaN where there is no value.
        low: what is left, rounded; among float64's subnormal numbers, where that would lose it, it
            is a multiple of the smallest of them, and ``rest`` has what is left then.
        sign_known: where ``high`` is zero, whether its sign is that of the exact value or, at an
            input of ±0 or ±∞, of the limit. A function that is identically zero has none.
        decided: whether the value is known; where it is not, ``high`` is NaN.
        rest: what ``low`` could not hold, in units of float64's smallest number.
    """

    high: Floats
    low: Floats
    sign_known: Flags
    decided: Flags
    rest: Floats


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
        high, low, known, decided, rest = list(zip(*points, strict=True)) or [()] * 5
        return Exact(
            np.array(high, dtype=np.float64),
            np.array(low, dtype=np.float64),
            np.array(known, dtype=np.bool_),
            np.array(decided, dtype=np.bool_),
            np.array(rest, dtype=np.float64),
        )

    def _check(self, order: int, count: int) -> None:
        if order < 0:
            raise ValueError(f"the order of a derivative is 0 or more, got {order}")
        if count != len(self.arguments):
            raise ValueError(f"values are needed of {', '.join(self.arguments)}, got {count}")

    def _value(
        self, order: int, point: Sequence[arb], bits: int, key: Sequence[float] = ()
    ) -> Found | Missing:
        """The value, UNDEFINED, or UNDECIDED where :data:`MAX_BITS` did not tell.

        Args:
            order: of the derivative.
            point: where.
            bits: the accuracy.
            key: the point as numbers, if its series is to be kept for other orders.
        """
        precision = START_BITS
        best: Found | Missing = UNDECIDED
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
    ) -> Found | Missing | None:
        """The same from a series to the highest order, made for the first order asked for."""
        if not key or order > self._highest:
            return None
        place = (*key, precision)
        if place not in self._known:
            if len(self._known) >= _KEPT:
                self._known.clear()
            self._known[place] = self.jets(point, self._highest + 1, precision)
        return _coefficient(self._known[place], order, precision)

    def _point(self, order: int, x: Sequence[float]) -> Point:
        if any(map(isnan, x)):
            return NO_VALUE
        far = [i for i, value in enumerate(x) if isinf(value)]
        if far:
            return self._limit(order, x, far[0]) if len(far) == 1 else Point(nan, decided=False)
        found = self._value(order, [arb(value) for value in x], HIGH_AND_LOW, x)
        if isinstance(found, Missing):
            return self._beside(order, x[0], found) if len(x) == 1 else unknown_or_none(found)
        point = split(found)
        if x[self._at] == 0 and point.high == 0:
            return self._signed_zero(order, x)
        return point

    def _signed_zero(self, order: int, x: Sequence[float]) -> Point:
        """Zero at an input of ±0, with the sign of the values beside it on its side."""
        point = [arb(value) for value in x]
        signs = []
        for distance in (SMALLEST, 8 * SMALLEST):
            point[self._at] = arb(np.copysign(distance, x[self._at]))
            value = self._value(order, point, 8)
            signs.append(None if isinstance(value, Missing) else value.sign)
        known = signs[0] == signs[1] and signs[0] in (-1, 1)
        return Point(-0.0 if known and signs[0] == -1 else 0.0, 0.0, known)

    def _limit(self, order: int, x: Sequence[float], at: int) -> Point:
        """The limit as one argument goes to infinity, read off at ever farther points.

        What settles, and what shrinks or grows without bound, is told apart from what oscillates.
        """
        side = 1 if x[at] > 0 else -1
        points = []
        for exponent in FAR:
            for factor, offset in PLACES:
                with ctx.workprec(2 * FAR[-1]):
                    far = side * (factor * arb(2) ** exponent + offset)
                points.append([far if i == at else arb(value) for i, value in enumerate(x)])
        return self._read_off(order, points) or NO_VALUE

    def _beside(self, order: int, x: float, missing: Missing) -> Point:
        """Where the one argument has no value, or none was enclosed: the limit from its sides.

        At ±0 that of its sign counts: 1/x is −∞ at −0. Elsewhere both must agree, so that 1/(x − 1)
        has no value at 1, and its square is infinite. A side without values does not count: the
        derivative of √x is infinite at both zeros.
        """
        both = {side: self._from_side(order, x, side) for side in (1.0, -1.0)}
        there = [limit for limit in both.values() if limit is not None]
        if not there:
            # Values at single points, as (−2)ˣ has, have no derivative.
            return NO_VALUE if order else unknown_or_none(missing)
        of_sign = both[np.copysign(1.0, x)] if x == 0 else None
        if of_sign is not None:
            return of_sign
        if len(there) == 1 or alike(*there):
            return there[0]
        return NO_VALUE if all(limit.decided for limit in there) else unknown_or_none(UNDECIDED)

    def _from_side(self, order: int, x: float, side: float) -> Point | None:
        """The limit as the argument comes nearer from above or below, None if no values are there.

        Read off like :meth:`_limit`.
        """
        points = []
        for exponent in FAR:
            for factor, _ in PLACES:
                with ctx.workprec(2 * FAR[-1]):
                    points.append([arb(x) + side * factor * arb(2) ** -exponent])
        return self._read_off(order, points)

    def _read_off(self, order: int, points: Sequence[Sequence[arb]]) -> Point | None:
        """The limit of the values at these points, None if there are none."""
        found: list[Found] = []
        for point in points:
            value = self._value(order, point, 80)
            if value is UNDEFINED:
                return None
            if isinstance(value, Missing):
                return unknown_or_none(value)
            found.append(value)
        return limit_of(found)


def _coefficient(series: Series, order: int, precision: int) -> Found | Missing:
    """The derivative of that order, of a Taylor series."""
    if isinstance(series, Missing):
        return series
    with ctx.workprec(precision):
        value = coefficients(series, order + 1)[order]
        if order > 1:
            value = Value(value.mantissa * factorial(order), value.exponent)
        return Found(value.ball(), value.sign(), value)
