"""How far a computed value is from the exact one, in units in the last place (ULP)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from gradsmith.calculus.exact import NEGLIGIBLE, Evaluator, isnan_ball
from gradsmith.formula.expression import Call, Expr, Number, walk
from gradsmith.formula.vocabulary import COMPARISONS
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.target import FLOAT64, Target

LOST = 2.0**53
"""The error that stands for a wrong zero, infinity, NaN or sign."""

_SURE = 60
"""Bits that an exact value must have to be one: an undecided comparison leaves fewer."""

_SPARE = 50.0  # roundings of the computation that fit into the budget: digits to spare
_MOST_ROOTS = 4
_MOST_KINKS = 10
_BESIDE = 6  # how many numbers on each side of a root: one by itself may be lucky

_DECADES = (300, 200, 150, 100, 60, 30, 20, 15, 12, 8, 6, 5, 4, 3)
_NEAR = (0.02, 0.1, 0.3, 0.55, 0.9, 1.0, 1.3, 1.8, 2.3, 3.0, 4.0, 5.3, 7.0, 9.1, 12.0, 17.3)
# exp(nx) overflows from 710/n on, while exp(x)/exp(nx) still is a normal number: points for each n.
_TAIL = (20.0, 26.7, 36.5, 41.0, 89.0, 100.0, 160.0, 180.0, 300.0)
_END = (372.0, 400.0, 700.0, 720.0, 743.0, 1000.0)
_FAR = (1e4, 1e6, 1e8, 1e12, 1e16, 1e20, 1e30, 1e42, 1e50)
# Between the n-th and the (n−1)-th root of the largest number xⁿ overflows, while x/xⁿ still is
# a normal number: one point for each n from 6 to 2.
_OVERFLOW = (1e56, 1e70, 1e90, 1e125, 1e160, 1e200, 1e300)
POSITIVE = (*(10.0**-k for k in _DECADES), *_NEAR, *_TAIL, *_END, *_FAR, *_OVERFLOW)


@dataclass(frozen=True, slots=True)
class Samples:
    """Points with the exact value there.

    Attributes:
        values: one array per argument.
        high, low: the exact value as an unevaluated sum of two floats; NaN where there is none.
    """

    values: Mapping[str, Array]
    high: Array
    low: Array
    target: Target

    def errors(self, candidate: Expr) -> Array:
        """Error of the evaluation of ``candidate`` at each point, in ULP of the target."""
        computed = interpret(candidate, self.values, self.target.compute)
        return ulp_errors(computed, self.high, self.low, self.target)


def ulp_errors(computed: Array, high: Array, low: Array, target: Target = FLOAT64) -> Array:
    """|computed − (high + low)| in ULP of the target; 0 where there is no exact value.

    ``computed`` is what will be rounded to the target, so that an exact result is no error. A
    zero, infinity or NaN that should not be there counts as :data:`LOST`.
    """
    computed = np.asarray(computed, dtype=np.float64)
    with np.errstate(all="ignore"):
        size = np.abs(np.where(np.isfinite(high), high, 0.0))
        error = np.abs((computed - high) - low) / target.unit(size)
        error = np.where(np.isfinite(error), np.minimum(error, LOST), LOST)
        wrong_zero = (computed == 0) & (size > np.ldexp(1.0, target.floor))
        error = np.where(wrong_zero, LOST, error)
        over = np.abs(high) > target.largest
        agrees = (np.sign(computed) == np.sign(high)) & (np.abs(computed) >= target.largest)
        error = np.where(over, np.where(agrees, 0.0, LOST), error)
        return np.where(np.isnan(high), 0.0, error)


def sample(
    root: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    target: Target = FLOAT64,
) -> Samples:
    """Points over the whole range of the target's format, with the exact values of ``root``.

    One input runs over all points; further inputs take shuffled copies of them; parameters
    stand at their defaults, and for a part of the points at other values of the same sign.
    """
    inputs = [name for name in arguments if name not in defaults]
    line = np.array([s * v for v in POSITIVE for s in (1.0, -1.0)] + [0.0] + _kinks(root, target))
    if target.slack > _SPARE:
        top, bottom = target.largest, 2.0**target.lowest
        ends = [top, top / 2, top**0.5, bottom, bottom**0.5]
        line = np.concatenate([line, ends, np.negative(ends)])
    judged = dict.fromkeys(v for v in target.rounded(line).tolist() if math.isfinite(v))
    undecided = _undecided(root)
    line = np.array([v for v in judged if v not in undecided])
    generator = np.random.default_rng(20240229)  # any fixed seed: definitions must repeat
    copies = 1 if len(inputs) <= 1 else 3
    columns: dict[str, list[Array]] = {name: [] for name in arguments}
    for copy in range(copies):
        for position, name in enumerate(inputs):
            shuffle = copies > 1 and (position > 0 or copy > 0)
            columns[name].append(generator.permutation(line) if shuffle else line)
        for name, default in defaults.items():
            columns[name].append(np.full(line.shape, default))
    if defaults and inputs:
        few = generator.choice(line[np.abs(line) < 1e4], 40)
        for name in inputs:
            columns[name].append(generator.permutation(few))
        for name, default in defaults.items():
            factors = generator.choice([0.25, 0.6, 1.7, 3.0], 40)
            columns[name].append((default if default else 1.0) * factors)
    values = {name: np.concatenate(parts) for name, parts in columns.items()}
    high, low = exact_values(root, arguments, values)
    if len(inputs) == 1 and target.slack > _SPARE:
        near = _beside_roots(root, arguments, inputs[0], values, high[: len(line)], target)
        if near[inputs[0]].size:
            values = {name: np.concatenate([values[name], near[name]]) for name in arguments}
            more = exact_values(root, arguments, near)
            high, low = (np.concatenate(pair) for pair in zip((high, low), more, strict=True))
    return Samples(values, high, low, target)


def _beside_roots(
    root: Expr,
    arguments: Sequence[str],
    name: str,
    values: Mapping[str, Array],
    high: Array,
    target: Target,
) -> dict[str, Array]:
    """The numbers of the format next to each root, parameters at their defaults.

    There the terms of the formula cancel as far as the format lets them. Without digits to spare
    no evaluation is accurate there, and the points would only hide the others.
    """
    evaluate = Evaluator(root, arguments)
    point = [float(values[n][0]) for n in arguments]
    at = arguments.index(name)

    def sign(x: float) -> float:
        point[at] = x
        return float(np.sign(float(evaluate(*point).mid())))

    order = np.argsort(values[name][: len(high)])
    xs, signs = values[name][order], np.sign(high[order])
    found: list[float] = []
    for i in np.flatnonzero(signs[:-1] * signs[1:] < 0)[:_MOST_ROOTS].tolist():
        low, up, below = float(xs[i]), float(xs[i + 1]), float(signs[i])
        while True:
            middle = float(target.rounded(np.array([(low + up) / 2]))[0])
            if middle in (low, up):
                break
            low, up = (middle, up) if sign(middle) == below else (low, middle)
        step = up - low
        found += [low - k * step for k in range(_BESIDE)] + [up + k * step for k in range(_BESIDE)]
    columns = {n: np.full(len(found), float(values[n][0])) for n in arguments}
    columns[name] = np.array(found)
    return columns


def exact_values(
    root: Expr, arguments: Sequence[str], values: Mapping[str, Array]
) -> tuple[Array, Array]:
    """The exact value at each point as high + low."""
    evaluate = Evaluator(root, arguments)
    highs, lows = [], []
    for point in zip(*(values[name].tolist() for name in arguments), strict=True):
        high, low = _split_ball(evaluate, point)
        highs.append(high)
        lows.append(low)
    return np.array(highs), np.array(lows)


def _split_ball(evaluate: Evaluator, point: tuple[float, ...]) -> tuple[float, float]:
    ball = evaluate(*point, bits=75)
    if abs(ball) < NEGLIGIBLE:
        return 0.0, 0.0
    if isnan_ball(ball) or ball.rel_accuracy_bits() < _SURE:
        return math.nan, 0.0
    middle = ball.mid()
    high = float(middle)
    return (high, float(middle - high)) if math.isfinite(high) else (high, 0.0)


def _compared_with(root: Expr) -> set[Fraction]:
    """The sizes of the numbers that the formula compares with."""
    return {
        abs(part.value)
        for node in walk(root)
        if isinstance(node, Call) and node.function in COMPARISONS
        for part in walk(node)
        if isinstance(part, Number) and part.value
    }


def _kinks(root: Expr, target: Target) -> list[float]:
    """The numbers that the formula compares with, and their neighbours in the format."""
    found: list[float] = []
    for value in sorted(map(float, _compared_with(root)))[:_MOST_KINKS]:
        step = float(target.unit(np.array(value)))
        found += [s * v for v in (value, value - step, value + step) for s in (1.0, -1.0)]
    return found


def _undecided(root: Expr) -> set[float]:
    """Points at which no expression can be judged.

    A decimal such as 0.1 is compared in float64 as the float64 next to it; on that one number the
    formula as it was written and every evaluation of it disagree.
    """
    rounded = {float(v) for v in _compared_with(root) if Fraction(float(v)) != v}
    return rounded | {-v for v in rounded}
