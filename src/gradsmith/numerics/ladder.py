"""The precision ladder: the cheapest way to compute that keeps the error budget, by measurement.

For a float32 result the steps are float32 by itself, float32 in two words, float64 with elementary
functions just accurate enough, and float64 in full. Which is cheaper than which depends on the
expression: two words take two to four times the instructions, but on twice the lanes, and their
divisions take a quarter of the time. So each is written and its cost estimated; from the cheapest
up each is run on the sample of points on which the expression itself was judged, and the first
that stays within the budget is taken. For a half format the first step is float32 with functions
just accurate enough.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from heapq import heappop, heappush
from math import log

import numpy as np

from gradsmith.formula.expression import Call, Expr, walk
from gradsmith.formula.vocabulary import tabulated
from gradsmith.numerics.cost import cost
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.exact_roots import ALLOWED, with_exact_roots
from gradsmith.numerics.lines import with_lines
from gradsmith.numerics.lower import Scheme
from gradsmith.numerics.one_sided import one_sided
from gradsmith.numerics.program import F32, F64
from gradsmith.numerics.shortfall import with_series
from gradsmith.numerics.stabilise import Stable
from gradsmith.numerics.tabulate import tabulated_forms
from gradsmith.numerics.target import Target
from gradsmith.numerics.trial import evaluated, measured, program_of
from gradsmith.numerics.underflow import split_deep_exponentials

SHORT32 = Scheme(F32, Accuracy.SHORT)
PLAIN32 = Scheme(F32, Accuracy.FULL)
WORDS32 = Scheme(F32, Accuracy.FULL, double_word=True)
SHORT64 = Scheme(F64, Accuracy.SHORT)
FULL64 = Scheme(F64, Accuracy.FULL)
SCHEMES = (SHORT32, PLAIN32, WORDS32, SHORT64, FULL64)
"""Each is nowhere less accurate than the ones before it."""

_WITH_SERIES = (WORDS32, SHORT64)
_HELD32, _HELD64 = 40, 176
"""Where exponentials are held: the product of two is a number in float32, that of four in float64.
There they are held farther off where the format asks for that."""
_BELOW = 12
"""By how many digits what is nothing is below the last one of the smallest number."""
WITH_RANGE = (SHORT32, SHORT64)
"""What is computed in has more of it than the result."""

ONE_ROUNDING = 0.51
"""The error of a result that is rounded once is 1/2 ULP. A sample cannot tell 0.9 from 1.1, so
that where the computation has no digits to spare nothing more is trusted."""

_FOUND = 0.8
"""The share of the largest error that a sample is trusted to find, where more is allowed."""

_LEAST_OF_TABLES = 66.0
"""Few functions take less by a table; while what is cheaper may serve, none is made."""

_LEAST_OF_SHORT_TABLES = 44.0
"""The same of those in one word."""

_LEAST_OF_SERIES = 12.0
"""What a series makes a way dearer by, at least; finding it takes as long as finding a table."""

_OF_WORDS = 0.1
"""What two words may add: an exponential alone loses 2⁻²⁸ of itself, 1/16 ULP at most."""

_WORTH = 1.05, 1.0
"""By what factor and by how many operations they must be cheaper to be worth their larger error."""

_OF_TABLES = 0.25
"""What a table may add. Its polynomials are the same few on the whole line, and are known to be
right between the points of a sample."""

_ALIKE = 1.01  # errors up to this ratio


def schemes(
    target: Target, alone: bool, max_ulp: float = 1.0, in_words: bool | None = None
) -> tuple[tuple[Scheme, float], ...]:
    """What is tried for a target, and the error in ULP up to which it is taken.

    Args:
        target: the format of the result, and the precision for which the expression was made.
        alone: whether float32 may be computed in float32: every input must be one.
        max_ulp: the error that a float32 result may have.
        in_words: whether float32 holds every input, or two of them do (see :class:`Fit`); as
            ``alone`` if left out.
    """
    if target.compute == "float32":
        plain = ((PLAIN32, target.budget),)
        return ((SHORT32, target.budget), *plain) if target.spares else plain
    wide = ((SHORT64, target.budget), (FULL64, target.budget))
    if target.digits == 53:
        return wide[1:]
    budget = _OF_WORDS if target.digits == 24 else target.budget
    words = ((WORDS32, budget),) * (alone if in_words is None else in_words)
    if target.digits != 24:
        return (*words, *wide)
    plain = ((PLAIN32, _FOUND * max_ulp if max_ulp > 1 else ONE_ROUNDING),)
    return (*plain * alone, *words, *wide)


@dataclass(frozen=True, slots=True)
class Way:
    """How a result is computed.

    Attributes:
        scheme: the precision, and that of the elementary functions.
        stable: what is computed; its expression may have series that only this scheme needs.
        error: the largest one found, in ULP of the target, before the final rounding.
        particular: whether the expression is for this scheme alone: it has a table of words, or
            constants that make up for what the scheme gets wrong.
    """

    scheme: Scheme
    stable: Stable
    error: float
    particular: bool = False


def choose(
    stable: Stable, alone: bool = False, max_ulp: float = 1.0, in_words: bool | None = None
) -> Way:
    """The cheapest way in which the stable expression keeps its target's budget.

    The most accurate one where none does. For the other arguments see :func:`schemes`.
    """
    if len(stable.arguments) - len(stable.defaults) > 1:
        # A sample reaches too few combinations to trust a range that spares nothing: with a near
        # 1e38, a·σ′(b) reads digits of σ′(b) that float32 no longer has.
        in_words = False
    if alone and stable.defaults and stable.target.digits == 24:
        stable = replace(stable, in_format=True)
    if (gate := _gate(stable, alone, max_ulp)) is not None:
        return gate
    ways = _Ways(stable)
    tried = schemes(stable.target, alone, max_ulp, in_words)
    for scheme, budget in tried:
        if scheme is not FULL64 or len(tried) == 1:  # else after what is cheaper
            ways.enter(stable, scheme, budget)
        if scheme in WITH_RANGE:
            forms = *one_sided(stable.expression, held_at(scheme, stable.target)), stable.expression
            for form in forms:
                if form is not stable.expression:
                    ways.enter(replace(stable, expression=form), scheme, budget)
                if (lined := with_lines(form, scheme.compute.digits)) is not form:
                    lines = replace(stable, expression=lined)
                    ways.enter(lines, scheme, budget, particular=True)
    ways.may_have_table()
    failed: list[_Open] = []
    while (way := ways.cheapest()) is not None:
        error = measured(way.stable, way.scheme, stable, way.budget)
        if error <= way.budget:
            return Way(way.scheme, way.stable, error, way.particular)
        failed.append(way)
        ways.enter_in_place_of(way)
    return _least_wrong(
        Way(way.scheme, way.stable, measured(way.stable, way.scheme, stable), way.particular)
        for way in failed
    )


def held_at(scheme: Scheme, target: Target) -> int:
    """Where an exponential is held: its reciprocal is nothing there, and far less than 1."""
    if scheme.compute is F32:
        return _HELD32
    return max(_HELD64, int((target.digits + _BELOW - target.lowest) * log(2.0)))


def _gate(stable: Stable, alone: bool, max_ulp: float) -> Way | None:
    """Of an input times a function of the others: that function in the way that is best for it.

    None where one rounding is enough for the whole.
    """
    if (gate := stable.gate) is None:
        return None
    for scheme, most in schemes(stable.target, alone, max_ulp, in_words=False):
        if scheme is PLAIN32 and measured(stable, scheme) <= most:
            return None
    a, other = gate
    way = choose(other, max_ulp=max_ulp)
    whole = replace(stable, expression=a * way.stable.expression)
    error = measured(whole, way.scheme, stable)
    if error > max(stable.target.budget, way.error):
        # The sample of combinations finds too little to take anything for it but all digits.
        return Way(FULL64, stable, measured(stable, FULL64))
    return Way(way.scheme, whole, max(error, way.error), way.particular)


def _least_wrong(ways: Iterable[Way]) -> Way:
    """The most digits among those whose error is about the least."""
    # What is short is taken because it keeps the budget, and for nothing else.
    ways = [way for way in ways if way.scheme is not SHORT32]
    # Where all lose everything somewhere, what has more digits loses less elsewhere.
    least = min(way.error for way in ways)
    return max(
        (way for way in ways if way.error <= _ALIKE * least), key=lambda way: rank(way.scheme)
    )


@dataclass(frozen=True, slots=True, order=True)
class _Open:
    """A way that is not measured yet, or has to get series first."""

    price: float
    bare: bool  # something may be done for it where it loses digits
    serial: int
    scheme: Scheme = field(compare=False)
    stable: Stable = field(compare=False)
    budget: float = field(compare=False)
    particular: bool = field(compare=False, default=False)  # see Way
    lossy: bool = field(compare=False, default=False)  # it was measured, and needs series


class _Ways:
    """The ways that are open, the cheapest first; what takes long to find only where it may pay."""

    def __init__(self, stable: Stable) -> None:
        self.stable = stable
        self._open: list[_Open] = []
        self._entered = 0
        self._tables: Iterator[Expr] = iter(())
        self._has_table = False  # one that was made waits to be measured

    def enter(
        self,
        stable: Stable,
        scheme: Scheme,
        budget: float,
        bare: bool = True,
        particular: bool = False,
    ) -> None:
        """Adds a way, unless it has no instructions."""
        try:
            program = program_of(stable, scheme, stored=True)
            price = cost(program, stable.defaults)
            if scheme is WORDS32:
                price = _WORTH[0] * price + _WORTH[1]
        except NotImplementedError:
            if not scheme.double_word:
                raise
        else:
            self._entered += 1
            way = _Open(price, bare, self._entered, scheme, stable, budget, particular)
            heappush(self._open, way)

    def may_have_table(self) -> None:
        """From now on tables are made where all that is left is dear; for what tables hold for."""
        if any(way.scheme in (WORDS32, SHORT32) for way in self._open):
            self._tables = tabulated_forms(self.stable)

    def cheapest(self) -> _Open | None:
        """The next way to measure; None where all were."""
        while self._open:
            self._enter_table()
            way = heappop(self._open)
            if not way.lossy:
                self._has_table = self._has_table and not has_table(way.stable.expression)
                return way
            expression = with_series(way.stable, partial(evaluated, way.stable, way.scheme))
            if expression is not way.stable.expression:
                mended = replace(way.stable, expression=expression)
                self.enter(mended, way.scheme, way.budget, bare=False)
        return None

    def _enter_table(self) -> None:
        # One word is enough for a half format, and takes a table in a third of the instructions.
        scheme, least, budget = SHORT32, _LEAST_OF_SHORT_TABLES, self.stable.target.budget
        if self.stable.target.digits == 24:
            scheme, least, budget = WORDS32, _LEAST_OF_TABLES, _OF_TABLES
        if self._has_table or self._open[0].price <= least:
            return
        with np.errstate(over="ignore", invalid="ignore"):  # what does not fit becomes no table
            form = next(self._tables, None)
        if form is not None:
            tabulated = replace(self.stable, expression=form)
            self.enter(tabulated, scheme, budget, bare=False, particular=True)
            self._has_table = True

    def enter_in_place_of(self, way: _Open) -> None:
        """Adds what may keep a budget that this way did not keep."""
        if not way.bare:
            return
        stable, scheme = way.stable, way.scheme
        if scheme in _WITH_SERIES and stable.target.digits == 24:
            tuned = with_exact_roots(stable, partial(evaluated, stable, scheme))
            if tuned is not None:
                exact = replace(stable, expression=tuned)
                self.enter(exact, scheme, ALLOWED, bare=False, particular=True)
            dearer = way.price + _LEAST_OF_SERIES
            heappush(self._open, replace(way, price=dearer, lossy=True))
        if scheme is SHORT64:
            self.enter(stable, FULL64, way.budget)
        if scheme is SHORT32:
            # One word has the range for an exponential or for its square, and not for both.
            split = split_deep_exponentials(stable.expression, stable.defaults, stable.target)
            if split is not stable.expression:
                self.enter(replace(stable, expression=split), scheme, way.budget, bare=False)


def has_table(expression: Expr) -> bool:
    """Whether an expression holds for two words alone."""
    return any(isinstance(node, Call) and node.function is tabulated for node in walk(expression))


def rank(scheme: Scheme) -> int:
    """Of two schemes for one expression, the one of higher rank is nowhere less accurate."""
    return SCHEMES.index(scheme)
