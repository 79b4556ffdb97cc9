"""A value of the oracle as two numbers, and limits, read off a sequence of values.

What settles, and what shrinks or grows without bound, must be told apart from what oscillates.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import inf, isinf, nan, nextafter
from typing import NamedTuple

from flint import arb, ctx

from gradsmith.truth.series import UNDECIDED, UNDEFINED, Missing, Value

MAX_BITS = 8192
SMALLEST = 2.0**-1074
"""The smallest float64."""
NEGLIGIBLE = arb(2) ** -1400
"""Below this every dtype rounds to zero; only the sign is still asked for."""
FAR = (64, 128, 256, 512, 1024, 2048)
"""Powers of two at which a limit is read off."""
PLACES = ((1.0, 0.0), (1.375, 0.3125))
"""At each the points m·2ᵏ + c: what oscillates differs between them."""

_SUBNORMAL = 2.0**-1022
_SETTLED = arb(2) ** -60
_NOTHING = arb(NEGLIGIBLE).log()
_FEW_TURNS, _SPREAD = 2, 2.0**-20
_STEADY = 0.4  # a logarithm's own logarithm grows by log(2) = 0.69 from one of FAR to the next


class Point(NamedTuple):
    """One of :class:`~gradsmith.truth.oracle.Exact`."""

    high: float
    low: float = 0.0
    sign_known: bool = True
    decided: bool = True
    rest: float = 0.0


NO_VALUE = Point(nan)


class Found(NamedTuple):
    """A value as a ball; the sign is known even where the ball is around zero."""

    ball: arb
    sign: int | None
    value: Value

    def is_accurate(self, bits: int) -> bool:
        """Whether the ball is that narrow, or what it holds needs no more."""
        ball = self.ball
        if ball.rel_accuracy_bits() >= bits or ball.is_zero():
            return True
        if not ball.is_finite():
            return bool(ball.rad().is_finite())
        return bool(abs(ball) < NEGLIGIBLE) and self.sign is not None


def unknown_or_none(found: Missing) -> Point:
    """What is not known, or is known not to be."""
    return NO_VALUE if found is UNDEFINED else Point(nan, decided=False)


def alike(a: Point, b: Point) -> bool:
    """Whether two limits are the same, which are known to about 60 bits."""
    if not (a.decided and b.decided):
        return False
    return a.high == b.high or abs(a.high - b.high) < 2.0**-50 * max(abs(a.high), abs(b.high)) < inf


def split(found: Found) -> Point:
    """The value as the sum of two float64."""
    ball, side = found.ball, found.sign
    if not ball.rad().is_finite():
        return Point(nan, decided=False)
    high = float(ball.mid())
    if abs(high) < _SUBNORMAL and abs(arb(high)) > abs(ball.mid()):
        # What is left could not be held: half of the smallest number must not look like all of it.
        high = nextafter(high, 0.0)
    if isinf(high):
        return Point(high)
    with ctx.workprec(MAX_BITS):
        # Of a value above half of the smallest number all of it is left.
        low = float(ball.mid() - high) if high or abs(ball) < arb(SMALLEST) else 0.0
        rest = 0.0
        if abs(high) < 4 * _SUBNORMAL:
            rest = float((ball.mid() - high - low) * arb(2) ** 1074)
    if high == 0:
        return Point(-0.0 if side == -1 else 0.0, low, side in (-1, 1), rest=rest)
    return Point(high, low, rest=rest)


def limit_of(found: Sequence[Found]) -> Point:
    """The limit of values at the points of :data:`FAR`."""
    signs = {value.sign for value in found[-6:]}
    side = signs.pop() if len(signs) == 1 else None
    zero = Point(-0.0 if side == -1 else 0.0, 0.0, side in (-1, 1))
    if side == 0:
        return zero
    last = found[-1].ball
    if last.is_finite() and abs(last) > NEGLIGIBLE:
        others = [value.ball for value in found[-4:-1]]
        if all(abs(last - other) < abs(last) * _SETTLED for other in others):
            return split(found[-1])
    levels = [value.value.magnitude().mid() for value in found]
    pairs = [(a, b) for i in (0, 1) for a, b in pairwise(levels[i::2])]
    if all(a - b > _STEADY for a, b in pairs) or all(a < _NOTHING for a in levels[-6:]):
        return zero
    if side in (-1, 1) and all(b - a > _STEADY for a, b in pairs):
        return Point(inf if side == 1 else -inf)
    middles = [value.ball.mid() for value in found]
    return unknown_or_none(UNDEFINED if _oscillates(middles) else UNDECIDED)


def _oscillates(values: Sequence[arb]) -> bool:
    """Whether values go up and down and come no nearer to each other."""
    bounded = [float(value / (1 + abs(value))) for value in values]  # as those of the tangent
    steps = [b - a for a, b in pairwise(bounded) if a != b]
    turns = sum(a * b < 0 for a, b in pairwise(steps))
    half = len(bounded) // 2
    early, late = (max(part) - min(part) for part in (bounded[:half], bounded[half:]))
    return turns > _FEW_TURNS and late > _SPREAD and late > early / 2
