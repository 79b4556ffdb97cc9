"""What an activation is good and bad for, measured from its formula.

Range, monotonicity, saturation and the rest are read off exact values on a fine grid, with every
sign change of a derivative refined by bisection, and off the limits at infinity; nothing is
looked up by name. A property that only ever shows between two grid points is not seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from gradsmith.calculus.derivative import differentiate
from gradsmith.calculus.exact import Evaluator, isnan_ball
from gradsmith.calculus.kinks import Kink, kinks
from gradsmith.calculus.simplify import simplify
from gradsmith.formula.expression import (
    Call,
    Expr,
    Symbol,
    as_expr,
    rebuild,
    substitute,
    walk,
    with_args,
)
from gradsmith.formula.formula import Formula
from gradsmith.formula.names import canonical
from gradsmith.formula.vocabulary import (
    ARITHMETIC,
    COMPARISONS,
    DIV,
    LOGIC,
    abs_,
    expand_definition,
    maximum,
    minimum,
    sign,
    sqrt,
    where,
)

LAYERS = 10
"""Depth for which the vanishing of gradients is stated."""
SATURATED = 0.01
"""A slope below this share of the largest one counts as flat."""

_MONOTONIC = {frozenset({1.0}): "increasing", frozenset({-1.0}): "decreasing"}
_GRID = sorted(
    {s * v for s in (-1.0, 1.0) for v in [k / 16 for k in range(1, 161)]}
    | {s * 10.0 * 1.25**k for s in (-1.0, 1.0) for k in range(1, 42)}
    | {s * 10.0**-k for s in (-1.0, 1.0) for k in (2, 3, 5, 8)}
    | {0.0}
)


@dataclass(frozen=True, slots=True)
class Properties:
    """Measured properties of one activation; ``str()`` says what each means for training.

    Attributes:
        variable: the input that was measured.
        low, high: infimum and supremum of the value; ±inf where unbounded.
        slope_low, slope_high: the same of the derivative. ``max(|·|)`` is the Lipschitz constant.
        steepest: where the derivative is largest in magnitude.
        monotonic: "increasing", "decreasing" or None.
        at_zero, slope_at_zero: f(0) and f′(0).
        mean_output: mean of f(x) for x from the standard normal distribution.
        flat_left, flat_right: from where on outward the slope stays below 1 % of the largest;
            None where it does not.
        minimum_at: where the smallest value is taken, if it is taken.
        symmetry: "odd", "even" or None.
        kinks: where the derivative jumps.
        costly: the number of each costly operation in the formula.
    """

    variable: str
    low: float
    high: float
    slope_low: float
    slope_high: float
    steepest: float
    monotonic: str | None
    at_zero: float
    slope_at_zero: float
    mean_output: float
    flat_left: float | None
    flat_right: float | None
    minimum_at: float | None
    symmetry: str | None
    kinks: tuple[Kink, ...]
    costly: dict[str, int]

    @property
    def bounded(self) -> bool:
        """Whether both ends of the range are finite."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def lipschitz(self) -> float:
        """The largest magnitude of the derivative."""
        return max(abs(self.slope_low), abs(self.slope_high))

    @property
    def usable_as_probability(self) -> bool:
        """Whether every value is within [0, 1] and larger inputs never give smaller values."""
        return self.low >= 0 and self.high <= 1 and self.monotonic == "increasing"

    @property
    def zero_centred(self) -> bool:
        """Whether the mean output for standard normal inputs is zero (to 10⁻⁶)."""
        return abs(self.mean_output) < 1e-6

    @property
    def one_signed(self) -> str | None:
        """The one sign that the output has, "positive" or "negative", or None if both occur."""
        return "positive" if self.low >= 0 else ("negative" if self.high <= 0 else None)

    @property
    def saturates(self) -> bool:
        """Whether the slope dies out on at least one side."""
        return self.flat_left is not None or self.flat_right is not None

    @property
    def gradient_through_layers(self) -> float:
        """The largest factor that ten layers in a row can put on a gradient."""
        try:
            return self.lipschitz**LAYERS
        except OverflowError:
            return math.inf

    def rows(self) -> list[tuple[str, str, str]]:
        """(property, measured, what it means) for people."""
        from gradsmith.calculus.meaning import rows

        return rows(self)

    def __str__(self) -> str:
        rows = self.rows()
        width = max(len(name) for name, _, _ in rows)
        return "\n".join(
            f"{name:{width}}  {value}\n{'':{width}}  {why}" for name, value, why in rows
        )

    def _repr_markdown_(self) -> str:
        lines = ["| property | measured | what it means |", "|---|---|---|"]
        return "\n".join(lines + [f"| {a} | {b} | {c} |" for a, b, c in self.rows()])


def measure_properties(formula: Formula, wrt: str | None = None) -> Properties:
    """Measure the properties of ``formula`` in one input.

    Parameters stand at their defaults, further inputs at 1.

    Raises:
        ValueError: nothing can be measured, for there is no finite value.
    """
    x = Symbol(canonical(wrt or formula.inputs[0]))
    fixed: dict[Expr, Expr] = {
        Symbol(name): as_expr(formula.parameters.get(name, 1.0))
        for name in formula.arguments
        if name != x.name
    }
    root = substitute(formula.expression, fixed)
    first = simplify(differentiate(root, x))
    second = simplify(differentiate(first, x))
    f, slope, bend = (_Curve(e, x.name) for e in (root, first, second))
    for what, curve in ((f"{formula}", f), (f"the derivative of {formula}", slope)):
        if not any(math.isfinite(value) for _, value in curve.points):
            held = ", ".join(f"{symbol} = {value}" for symbol, value in fixed.items())
            at = f", with {held}" if held else ""
            raise ValueError(
                f"{what} has no finite value at any of the {len(_GRID)} values of {x} from "
                f"{_GRID[0]:.0e} to {_GRID[-1]:.0e} at which it was measured{at}"
            )
    value_low, value_high = f.range(slope)
    slope_low, slope_high = slope.range(bend)
    steepest = max((slope_low, slope_high), key=lambda pair: abs(pair[0]))
    signs = {math.copysign(1, v) for _, v in slope.points if abs(v) > 1e-300}
    flat = SATURATED * abs(steepest[0])
    return Properties(
        variable=x.name,
        low=value_low[0],
        high=value_high[0],
        slope_low=slope_low[0],
        slope_high=slope_high[0],
        steepest=steepest[1],
        monotonic=_MONOTONIC.get(frozenset(signs)),
        at_zero=f(0.0),
        slope_at_zero=slope(0.0),
        mean_output=_normal_mean(f),
        flat_left=slope.flat_beyond(flat, -1),
        flat_right=slope.flat_beyond(flat, 1),
        minimum_at=value_low[1] if math.isfinite(value_low[1]) else None,
        symmetry=_symmetry(f),
        kinks=kinks(formula, x.name),
        costly=_costly(root),
    )


class _Curve:
    """Values of one expression of one variable."""

    def __init__(self, root: Expr, name: str) -> None:
        self._exact = Evaluator(root, (name,))
        values = [(x, self(x)) for x in _GRID]
        self.points = [(x, v) for x, v in values if not math.isnan(v)]
        self.limits = {side: self._exact.limit({}, 0, side) for side in (-1, 1)}

    def __call__(self, x: float) -> float:
        ball = self._exact(x, bits=60)
        return math.nan if isnan_ball(ball) else float(ball.mid())

    def range(self, slope: _Curve) -> tuple[tuple[float, float], tuple[float, float]]:
        """(infimum, where) and (supremum, where)."""
        candidates = list(self.points)
        for root in slope.roots():
            candidates.append((root, self(root)))
        for side, limit in self.limits.items():
            if not math.isnan(limit):
                candidates.append((side * math.inf, limit))
        low = min(candidates, key=lambda point: (point[1], _remoteness(point[0])))
        high = max(candidates, key=lambda point: (point[1], -_remoteness(point[0])))
        return (low[1], low[0]), (high[1], high[0])

    def roots(self) -> list[float]:
        """Where the value changes sign, by bisection."""
        found = []
        for (a, va), (b, vb) in zip(self.points, self.points[1:], strict=False):
            if va * vb < 0:
                found.append(_bisect(self, a, b, va))
            elif vb == 0:
                found.append(b)
        return found

    def flat_beyond(self, threshold: float, side: int) -> float | None:
        """From where on outward |value| stays below ``threshold``."""
        if not abs(self.limits[side]) < threshold:
            return None
        outward = sorted(self.points, key=lambda point: side * point[0])
        steep = [i for i, (_, v) in enumerate(outward) if abs(v) >= threshold]
        if not steep or steep[-1] + 1 == len(outward):
            return None
        a, b = outward[steep[-1]][0], outward[steep[-1] + 1][0]
        edge = _bisect(lambda x: abs(self(x)) - threshold, a, b, 1.0)
        return edge if abs(edge) > 1e-12 else 0.0


def _remoteness(x: float) -> float:
    """Which of equal extremes is named: 0, else the one of the most ordinary size."""
    if x == 0 or math.isinf(x):
        return math.copysign(math.inf, -1) if x == 0 else math.inf
    return abs(math.log(abs(x)))


def _bisect(f: Callable[[float], float], a: float, b: float, sign_at_a: float) -> float:
    for _ in range(60):
        middle = (a + b) / 2
        if middle in (a, b):
            break
        if f(middle) * sign_at_a > 0:
            a = middle
        else:
            b = middle
    return (a + b) / 2


def _normal_mean(f: _Curve) -> float:
    """E[f(x)], x standard normal, by the trapezoidal rule on [−8, 8], which converges fast."""
    step = 1 / 64  # fine enough for a kink, where the error only falls with step²
    total = 0.0
    for k in range(-512, 513):
        x = k * step
        value = f(x)
        if math.isnan(value):
            return math.nan
        total += value * math.exp(-x * x / 2)
    return total * step / math.sqrt(2 * math.pi)


def _symmetry(f: _Curve) -> str | None:
    tested = [(f(x), f(-x)) for x in (0.1, 0.7, 1.3, 2.9, 6.1, 17.0)]
    if all(math.isclose(a, -b, rel_tol=1e-14) for a, b in tested):
        return "odd"
    if all(math.isclose(a, b, rel_tol=1e-14) for a, b in tested):
        return "even"
    return None


_CHEAP = ARITHMETIC - {DIV} | COMPARISONS | LOGIC | {where, abs_, sign, maximum, minimum}


def _costly(root: Expr) -> dict[str, int]:
    """The divisions, roots and transcendental functions of the formula, definitions unfolded."""
    unfolded = root
    for _ in range(4):
        unfolded = rebuild(unfolded, lambda node, args: expand_definition(with_args(node, args)))
    counts: dict[str, int] = {}
    names = {DIV: "division", sqrt: "square root"}
    for node in walk(unfolded):
        if isinstance(node, Call) and node.args and node.function not in _CHEAP:
            name = names.get(node.function, node.function.name)
            counts[name] = counts.get(name, 0) + 1
    return counts
