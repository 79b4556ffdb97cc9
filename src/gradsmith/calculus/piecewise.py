"""What is known inside a branch, and which conditions that decides.

Inside ``where(x > 0, …)`` the comparison ``x < -3`` is false. A :class:`Facts` holds, for each
symbol that was compared with a number, the interval it lies in, and for any other pair of sides
the signs that their difference can have.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fractions import Fraction

from gradsmith.formula.expression import Call, Expr, Function, Number, Symbol
from gradsmith.formula.vocabulary import AND, EQ, GE, GT, LE, LT, NE, NOT, OR

SIGNS: dict[Function, frozenset[int]] = {
    LT: frozenset({-1}),
    LE: frozenset({-1, 0}),
    GT: frozenset({1}),
    GE: frozenset({0, 1}),
    EQ: frozenset({0}),
    NE: frozenset({-1, 1}),
}
"""The signs of left − right for which a comparison holds."""

FLIPPED = {LT: GT, GT: LT, LE: GE, GE: LE, EQ: EQ, NE: NE}
"""The same comparison with its sides exchanged."""

_ANY = frozenset({-1, 0, 1})


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers between two bounds; None is unbounded."""

    low: Fraction | None = None
    high: Fraction | None = None
    low_closed: bool = False
    high_closed: bool = False

    def signs_against(self, value: Fraction) -> frozenset[int]:
        """The signs that (number of the interval − value) can have."""
        signs = set(_ANY)
        if self.low is not None and self.low >= value:
            signs.discard(-1)
            if self.low > value or not self.low_closed:
                signs.discard(0)
        if self.high is not None and self.high <= value:
            signs.discard(1)
            if self.high < value or not self.high_closed:
                signs.discard(0)
        return frozenset(signs)

    def cut(self, value: Fraction, signs: frozenset[int]) -> Interval:
        """The part of the interval where (number − value) has one of ``signs``."""
        new = self
        if 1 not in signs and (self.high is None or value <= self.high):
            closed = 0 in signs and (self.high is None or value < self.high or self.high_closed)
            new = replace(new, high=value, high_closed=closed)
        if -1 not in signs and (self.low is None or value >= self.low):
            closed = 0 in signs and (self.low is None or value > self.low or self.low_closed)
            new = replace(new, low=value, low_closed=closed)
        return new


@dataclass(frozen=True, slots=True)
class Facts:
    """What the conditions passed so far say."""

    intervals: dict[Symbol, Interval] = field(default_factory=dict)
    signs: dict[tuple[Expr, Expr], frozenset[int]] = field(default_factory=dict)

    def decide(self, condition: Expr) -> bool | None:
        """Whether ``condition`` holds, or None where the facts leave it open."""
        if isinstance(condition, Number):
            return bool(condition.value)
        assert isinstance(condition, Call)
        if condition.function is NOT:
            inner = self.decide(condition.args[0])
            return None if inner is None else not inner
        if condition.function in (AND, OR):
            stop = condition.function is OR
            parts = [self.decide(arg) for arg in condition.args]
            if stop in parts:
                return stop
            return None if None in parts else not stop
        possible = self._possible(*condition.args)
        wanted = SIGNS[condition.function]
        if possible <= wanted:
            return True
        return False if not possible & wanted else None

    def _possible(self, left: Expr, right: Expr) -> frozenset[int]:
        if isinstance(left, Symbol) and isinstance(right, Number):
            return self.intervals.get(left, Interval()).signs_against(right.value)
        if (left, right) in self.signs:
            return self.signs[left, right]
        return frozenset(-s for s in self.signs.get((right, left), _ANY))

    def pinned(self) -> dict[Expr, Expr]:
        """The symbols that can have one value only."""
        return {
            symbol: Number(interval.low)
            for symbol, interval in self.intervals.items()
            if interval.low is not None and interval.low == interval.high
        }

    def assuming(self, condition: Expr, holds: bool) -> Facts:
        """The facts inside the branch where ``condition`` holds, or does not."""
        if not isinstance(condition, Call):
            return self
        if condition.function is NOT:
            return self.assuming(condition.args[0], not holds)
        if condition.function in (AND, OR):
            if holds != (condition.function is AND):
                return self  # one of the two fails, but which is not known
            first, second = condition.args
            return self.assuming(first, holds).assuming(second, holds)
        left, right = condition.args
        signs = SIGNS[condition.function] if holds else _ANY - SIGNS[condition.function]
        if isinstance(left, Symbol) and isinstance(right, Number):
            cut = self.intervals.get(left, Interval()).cut(right.value, signs)
            return replace(self, intervals={**self.intervals, left: cut})
        known = self._possible(left, right) & signs
        return replace(self, signs={**self.signs, (left, right): known})
