"""How far a computed value is from the exact one, in units in the last place (ULP)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

import numpy as np
from flint import arb

from gradsmith.calculus.exact import NEGLIGIBLE, Evaluator, isnan_ball
from gradsmith.formula.expression import Call, Expr, Number, walk
from gradsmith.formula.vocabulary import COMPARISONS
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.landmarks import landmarks
from gradsmith.numerics.target import FLOAT64, Target

LOST = 2.0**53
"""The error that stands for a wrong zero, infinity, NaN or sign."""

_SURE = 60
"""Bits that an exact value must have to be one: an undecided comparison leaves fewer."""

_MOST_ROOTS = 4
_NEAREST, _FARTHEST = 9, 3  # the roots beside which points are put where no digits are spared
_MOST_KINKS = 10
_BESIDE = 6  # how many numbers on each side of a root: one by itself may be lucky
_AROUND = tuple(f * 2.0**-k for k in range(50, 0, -1) for f in (0.61, 0.83))
"""Relative distances from a root, where digits are lost that nothing spares."""
_IN_SUBNORMAL = 8  # points where a tail is subnormal, between two of the line
_RANDOM = 100
_FACTORS = (0.25, 0.6, 1.7, 3.0)
_SUBNORMAL_TAIL = (745.2, 744.9, 744.2, 743.0, 740.0)
_ENDS = (1, -1, 0.7, -0.7, 1, -1, 0.6, -0.6)  # of the range, at other values of the parameters
_SETTINGS = 40  # points at which parameters have other values

_DECADES = (300, 200, 150, 100, 60, 30, 20, 15, 12, 8, 6, 5, 4, 3)
_NEAR = (0.02, 0.1, 0.3, 0.55, 0.9, 1.0, 1.3, 1.8, 2.3, 3.0, 4.0, 5.3, 7.0, 9.1, 12.0, 17.3)
# exp(nx) overflows from 710/n on, while exp(x)/exp(nx) still is a normal number: points for each n.
_TAIL = (20.0, 26.7, 36.5, 41.0, 89.0, 100.0, 160.0, 180.0, 300.0)
_END = (372.0, 400.0, 700.0, 720.0, 743.0, 1000.0)
_FAR = (1e4, 1e6, 1e8, 1e12, 1e16, 1e20, 1e30, 1e42, 1e50)
# Between the n-th and the (n−1)-th root of the largest number xⁿ overflows, while x/xⁿ still is
# a normal number: one point for each n from 6 to 2.
_OVERFLOW = (1e56, 1e70, 1e90, 1e125, 1e160, 1e200, 1e300)
# The same for 1/xⁿ, which is subnormal where xⁿ overflows.
_UNDERFLOW = (3.1e63, 5.3e78, 4.7e105, 2.9e157, 8.9e307)
POSITIVE = (*(10.0**-k for k in _DECADES), *_NEAR, *_TAIL, *_END, *_FAR, *_OVERFLOW)


@dataclass(frozen=True, slots=True)
class Samples:
    """Points with the exact value there.

    Attributes:
        values: one array per argument.
        high, low: the exact value as an unevaluated sum of two floats; NaN where there is none.
        beside: which of the points were added because they are next to a root.
    """

    values: Mapping[str, Array]
    high: Array
    low: Array
    target: Target
    beside: Array

    def errors(self, candidate: Expr) -> Array:
        """Error of the evaluation of ``candidate`` at each point, in ULP of the target."""
        computed = interpret(candidate, self.values, self.target.compute)
        return ulp_errors(computed, self.high, self.low, self.target)

    def brackets(self, name: str) -> list[tuple[float, float]]:
        """Pairs of numbers of an input between which the value changes its sign."""
        line = self.values[name]
        order = np.argsort(line)
        return brackets(line[order], self.high[order])


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
        # What is beyond the largest number by less than half a unit is rounded down to it.
        beyond = np.abs(high) >= target.largest + target.unit(np.array(target.largest)) / 2
        error = np.where(over & agrees, 0.0, np.where(beyond & ~agrees, LOST, error))
        return np.where(np.isnan(high), 0.0, error)


def points_of(
    root: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    target: Target,
    in_format: bool = False,
) -> Samples:
    """The same as :func:`sample`; of the last few formulas it is remembered."""
    return _remembered(root, tuple(arguments), tuple(defaults.items()), target, in_format)


@lru_cache(maxsize=16)
def _remembered(
    root: Expr,
    arguments: tuple[str, ...],
    defaults: tuple[tuple[str, float], ...],
    target: Target,
    in_format: bool,
) -> Samples:
    return sample(root, arguments, dict(defaults), target, in_format)


def sample(
    root: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    target: Target = FLOAT64,
    in_format: bool = False,
) -> Samples:
    """Points over the whole range of the target's format, with the exact values of ``root``.

    One input runs over all points; further inputs take shuffled copies of them; parameters
    stand at their defaults, and for a part of the points at other values of the same sign;
    with ``in_format``, at numbers of the target's format near to these.
    """
    inputs = [name for name in arguments if name not in defaults]
    spares = target.spares
    # Any fixed seed: definitions must repeat. Loaded where something is drawn; of one input of a
    # format with digits to spare nothing is, and loading takes a tenth of a first gradient.
    generator = cache(lambda: np.random.default_rng(20240229))
    top, bottom = target.largest, 2.0**target.lowest
    # Between the n-th root of the largest number and the next one xⁿ overflows, and 1/xⁿ may
    # still be a number where the format has subnormals: one point for each n.
    more = [top, top / 2, top**0.5, *(1.25 * top ** (1 / n) for n in range(2, 7))]
    more += [bottom, bottom**0.5]
    if not spares:
        more += [
            *_UNDERFLOW,
            *generator().uniform(0, 6, _RANDOM),
            *generator().uniform(6, 40, _RANDOM),
        ]
    line = np.array([s * v for v in (*POSITIVE, *more) for s in (1.0, -1.0)] + [0.0])
    line = np.concatenate([line, _kinks(root, target)])
    if len(inputs) == 1:
        line = np.concatenate([line, landmarks(root, inputs[0], defaults, line)])
    judged = dict.fromkeys(v for v in target.rounded(line).tolist() if math.isfinite(v))
    undecided = _undecided(root)
    line = np.array([v for v in judged if v not in undecided])
    copies = 1 if len(inputs) <= 1 else 3
    columns: dict[str, list[Array]] = {name: [] for name in arguments}
    for copy in range(copies):
        for position, name in enumerate(inputs):
            shuffle = copies > 1 and (position > 0 or copy > 0)
            columns[name].append(generator().permutation(line) if shuffle else line)
        for name, default in defaults.items():
            columns[name].append(np.full(line.shape, default))
    settings = _SETTINGS if spares else 3 * _SETTINGS
    if defaults and inputs:
        some = line[np.abs(line) < 1e4]
        few = generator().choice(some, settings)
        if not spares or target.compute == "float32":  # whose range is no wider than bfloat16's
            few[: len(_ENDS)] = [end * top for end in _ENDS]
        for name in inputs:
            columns[name].append(generator().permutation(few))
        for name, default in defaults.items():
            factors = generator().choice(_FACTORS, settings)
            columns[name].append((default if default else 1.0) * factors)
        if not spares and len(inputs) == 1:
            # Subnormal inputs and tails: where a parameter moves a value out of the subnormals.
            deep = [s * v for v in (bottom, 3 * bottom, *_SUBNORMAL_TAIL) for s in (1.0, -1.0)]
            for factor in (*_FACTORS, 8.0):
                columns[inputs[0]].append(np.array(deep))
                for name, default in defaults.items():
                    columns[name].append(np.full(len(deep), (default if default else 1.0) * factor))
    values = {name: np.concatenate(parts) for name, parts in columns.items()}
    if in_format:
        values |= {name: target.rounded(values[name]) for name in defaults}
    high, low = exact_values(root, arguments, values)
    beside = np.zeros(high.shape, dtype=bool)
    if len(inputs) == 1:
        given = {name: float(column[0]) for name, column in values.items()}
        along = _Line(root, arguments, inputs[0], given, target)
        roots, tails = along.places(line, high[: len(line)], spares)
        near = np.array([v for v in (*roots, *tails) if v not in undecided])
        columns_near = {n: np.full(near.shape, v) for n, v in given.items()} | {inputs[0]: near}
        rest = exact_values(root, arguments, columns_near)
        values = {n: np.concatenate([values[n], columns_near[n]]) for n in arguments}
        high, low = (np.concatenate(pair) for pair in zip((high, low), rest, strict=True))
        at_roots = np.array([v in roots for v in near.tolist()], dtype=bool)
        beside = np.concatenate([beside, at_roots])
    return Samples(values, high, low, target, beside)


class _Line:
    """The formula along its one input, parameters at their defaults."""

    def __init__(
        self,
        root: Expr,
        arguments: Sequence[str],
        name: str,
        given: Mapping[str, float],
        target: Target,
    ) -> None:
        self._evaluate = Evaluator(root, arguments)
        self._point = [given[n] for n in arguments]
        self._at = arguments.index(name)
        self._target = target

    def _value(self, x: float) -> float:
        self._point[self._at] = x
        return float(self._evaluate(*self._point).mid())

    def places(self, line: Array, high: Array, spares: bool) -> tuple[list[float], list[float]]:
        """Points beside the roots; and where no digits are spared, in subnormal tails."""
        order = np.argsort(line)
        xs, values = line[order], high[order]
        found: list[float] = []
        pairs = brackets(xs, values)
        far = pairs[_NEAREST:][-_FARTHEST:]
        for low, up in pairs[:_MOST_ROOTS] if spares else pairs[:_NEAREST] + far:
            found += self._beside_root(low, up, spares)
        return found, [] if spares else self._subnormal(xs, values)

    def _beside_root(self, low: float, up: float, spares: bool) -> list[float]:
        """The numbers of the format next to the root between ``low`` and ``up``.

        There the terms of the formula cancel as far as the format lets them.
        """
        low, up = self._bisected(low, up, lambda value, below: np.sign(value) == np.sign(below))
        step = up - low
        found = [low - k * step for k in range(_BESIDE)] + [up + k * step for k in range(_BESIDE)]
        if not spares:
            size = max(abs(low), 0.5)
            found += [low + s * d * size for d in _AROUND for s in (1, -1)]
            found = [v for v in self._target.rounded(np.array(found)).tolist() if v * low > 0]
        return found

    def _bisected(
        self, low: float, up: float, like: Callable[[float, float], bool]
    ) -> tuple[float, float]:
        """Two neighbours in the format: at the first the value is still like that at ``low``."""
        below = self._value(low)
        while True:
            middle = float(self._target.rounded(np.array([low / 2 + up / 2]))[0])
            if middle in (low, up):
                return low, up
            low, up = (middle, up) if like(self._value(middle), below) else (low, middle)

    def _subnormal(self, xs: Array, values: Array) -> list[float]:
        """Points where the value fades from normal to zero: few of the line happen to be there."""
        smallest = 2.0**self._target.lowest
        normal = smallest * 2.0 ** (self._target.digits - 1)
        sizes = np.abs(values)
        outside = (sizes < smallest) | (sizes > normal * 2.0**10)
        xs, sizes = xs[outside], sizes[outside]
        found: list[float] = []
        for i in range(len(xs) - 1):
            pair = sizes[i], sizes[i + 1]
            if not min(pair) < smallest < max(pair):
                continue
            far, near = (i, i + 1) if pair[0] < pair[1] else (i + 1, i)
            ends = float(xs[near]), float(xs[far])
            start, *last, end = [
                self._bisected(*ends, _larger_than(edge))[0]
                for edge in (normal * 2.0**8, smallest * 3, smallest, 0.0)
            ]
            found += [*np.linspace(start, end, _IN_SUBNORMAL).tolist(), *last]
        return found


def _larger_than(edge: float) -> Callable[[float, float], bool]:
    return lambda value, _: abs(value) > edge


def brackets(xs: Array, values: Array) -> list[tuple[float, float]]:
    """Neighbours of a sorted line between which the value changes its sign, nearest to 0 first."""
    signs = np.sign(values)
    pairs = [(float(xs[i]), float(xs[i + 1])) for i in np.flatnonzero(signs[:-1] * signs[1:] < 0)]
    return sorted(pairs, key=lambda pair: abs(pair[0]))


def exact_values(
    root: Expr, arguments: Sequence[str], values: Mapping[str, Array]
) -> tuple[Array, Array]:
    """The exact value at each point as high + low."""
    balls = Evaluator(root, arguments).at_points([values[n].tolist() for n in arguments], bits=75)
    pairs = np.array([_split_ball(ball) for ball in balls]).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _split_ball(ball: arb) -> tuple[float, float]:
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
