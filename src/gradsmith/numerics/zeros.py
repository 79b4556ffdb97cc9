"""The sign of a zero: that of the exact value which underflows to it, or of the limit at ±0.

x·Φ(x) is −0 at −0 and for large negative x. A sum of terms, or an input held where the value has
reached its limit, may lose that sign; here it is put back where it is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Expr, Number, Symbol
from gradsmith.formula.vocabulary import AND, EQ, abs_, where
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.target import Target

_NEXT_TO_ZERO = 2.0**-200
_NEAR = 2.0**-100  # a number of every format that is computed in
# So close together that some lie where the result is zero and exact values still have a sign.
_FAR = (
    *((8 + eighths) * 2.0**k for k in range(-1, 8) for eighths in range(8)),
    *(2.0**k for k in range(20, 1020, 20)),
)
_MOST = 8  # exact values on each side


def with_signs(
    expression: Expr,
    root: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    target: Target,
) -> Expr:
    """``expression`` with the signs of its zeros put right.

    Of several inputs nothing is known, and nothing is changed.

    Args:
        expression: what is computed.
        root: the formula that it equals.
        arguments: all inputs and parameters.
        defaults: the parameters' defaults.
        target: what the result is rounded to and computed in.
    """
    inputs = [name for name in arguments if name not in defaults]
    if len(inputs) != 1:
        return expression
    line = _Line(root, arguments, defaults, inputs[0], target)
    for side in (-1.0, 1.0):
        expression = _far(expression, line, side)
    return _at_zero(expression, line)


class _Line:
    """The formula along its one input, parameters at their defaults."""

    def __init__(
        self,
        root: Expr,
        arguments: Sequence[str],
        defaults: Mapping[str, float],
        name: str,
        target: Target,
    ) -> None:
        self.x = Symbol(name)
        self.target = target
        self._arguments = arguments
        self._defaults = defaults
        self._evaluate = Evaluator(root, arguments)

    def sign(self, x: float) -> int:
        """The sign of the exact value, or 0 where it is zero or not known."""
        point = [self._defaults.get(name, x) for name in self._arguments]
        ball = self._evaluate(*point, bits=1)
        return int(ball > 0) - int(ball < 0)

    def signed_zeros(self, expression: Expr, points: Sequence[float]) -> list[int]:
        """At each point the sign of a result that is zero; 0 where it is not zero."""
        values = {n: np.full(len(points), v) for n, v in self._defaults.items()}
        values[self.x.name] = np.array(points)
        computed = interpret(expression, values, self.target.compute).astype(np.float64)
        rounded = self.target.rounded(computed)
        signs = np.where(np.signbit(rounded), -1, 1)
        return [int(sign) if zero else 0 for sign, zero in zip(signs, rounded == 0, strict=True)]


def _at_zero(expression: Expr, line: _Line) -> Expr:
    below, above = line.sign(-_NEXT_TO_ZERO), line.sign(_NEXT_TO_ZERO)
    if not below or not above:
        return expression
    least = 2.0**line.target.lowest
    given = line.signed_zeros(expression, (-least, -0.0, 0.0, least))
    if given[1:3] == [0, 0] or all(
        sign in (0, side) for sign, side in zip(given, (below, below, above, above), strict=True)
    ):
        return expression
    nothing = (line.x if below != above else abs_(line.x)) * 0
    near = abs_(line.x) < Number(_NEAR)
    signed = nothing if above > 0 else -nothing
    return where(AND(near, EQ(expression, Number(0))), signed, expression)


def _far(expression: Expr, line: _Line, side: float) -> Expr:
    points = [side * distance for distance in _FAR if distance <= line.target.largest]
    given = line.signed_zeros(expression, points)
    zeros = [i for i, sign in enumerate(given) if sign]
    some = zeros[:_MOST] + zeros[_MOST::_MOST]  # beyond the first ones there may be a root
    known = {i: sign for i in some if (sign := line.sign(points[i]))}
    if len(set(known.values())) != 1:
        return expression
    # Farther out than where it is known the sign stays: a change of it would be a root.
    first_known, exact = min(known), known[min(known)]
    wrong = [i for i in zeros if i >= first_known and given[i] != exact]
    if not wrong:
        return expression
    first = wrong[0]
    # Just before it the result need not be zero, but it must have that sign already.
    if first == 0 or (first - 1 not in known and line.sign(points[first - 1]) not in (0, exact)):
        return expression
    size = abs_(expression)
    signed = size if exact > 0 else -size
    edge = Number(points[first - 1])
    beyond = line.x < edge if side < 0 else line.x > edge
    return where(beyond, signed, expression)
