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

from collections.abc import Collection, Iterator, Mapping
from ctypes import c_float
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import lru_cache, partial
from heapq import heappop, heappush
from math import inf

import numpy as np

from gradsmith.formula.expression import Call, Expr, walk
from gradsmith.formula.vocabulary import tabulated
from gradsmith.numerics.cost import cost
from gradsmith.numerics.draws import Draws
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.interpreter import DTYPES, run
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.measure import ulp_errors
from gradsmith.numerics.overflow import ends_of_range
from gradsmith.numerics.program import F32, F64, Program, Type
from gradsmith.numerics.shortfall import with_series
from gradsmith.numerics.stabilise import Stable
from gradsmith.numerics.tabulate import tabulated_forms
from gradsmith.numerics.target import Target
from gradsmith.numerics.underflow import split_deep_exponentials

SHORT32 = Scheme(F32, Accuracy.SHORT)
PLAIN32 = Scheme(F32, Accuracy.FULL)
WORDS32 = Scheme(F32, Accuracy.FULL, double_word=True)
SHORT64 = Scheme(F64, Accuracy.SHORT)
FULL64 = Scheme(F64, Accuracy.FULL)
SCHEMES = (SHORT32, PLAIN32, WORDS32, SHORT64, FULL64)
"""Each is nowhere less accurate than the ones before it."""

_WITH_SERIES = (WORDS32, SHORT64)

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

_WORTH = 1.1, 2.0
"""By what factor and by how many operations they must be cheaper to be worth their larger error."""

_OF_TABLES = 0.25
"""What a table may add. Its polynomials are the same few on the whole line, and are known to be
right between the points of a sample."""

_TINY = 2.0**-100
"""Below this the second word of a float32 is subnormal, and loses digits."""
_EACH = 4  # points with the same exponent
_DENSE = np.arange(-12, 7), 40  # and where most formulas bend, so many more
Columns = Mapping[str, Array]

_ALIKE = 1.01  # errors up to this ratio

_ROUNDED_TWICE = 0.76
"""What is left of them: a subnormal result is rounded to 24 digits, then to those it has."""


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
    """

    scheme: Scheme
    stable: Stable
    error: float


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
    ways = _Ways(stable)
    tried = schemes(stable.target, alone, max_ulp, in_words)
    for scheme, budget in tried:
        if scheme is not FULL64 or len(tried) == 1:  # else after what is cheaper
            ways.enter(stable, scheme, budget)
    ways.may_have_table()
    measured_ways: list[Way] = []
    while (way := ways.cheapest()) is not None:
        error = measured(way.stable, way.scheme, stable)
        measured_ways.append(Way(way.scheme, way.stable, error))
        if error <= way.budget:
            return measured_ways[-1]
        ways.enter_in_place_of(way)
    return _least_wrong(measured_ways)


def _least_wrong(ways: Collection[Way]) -> Way:
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
    serial: int
    scheme: Scheme = field(compare=False)
    stable: Stable = field(compare=False)
    budget: float = field(compare=False)
    lossy: bool = field(compare=False, default=False)  # it was measured, and needs series


class _Ways:
    """The ways that are open, the cheapest first; what takes long to find only where it may pay."""

    def __init__(self, stable: Stable) -> None:
        self.stable = stable
        self._open: list[_Open] = []
        self._entered = 0
        self._tables: Iterator[Expr] = iter(())
        self._has_table = False  # one that was made waits to be measured

    def enter(self, stable: Stable, scheme: Scheme, budget: float) -> None:
        """Adds a way, unless it has no instructions."""
        try:
            program = _program(stable, scheme, stored=True)
            price = cost(program, stable.defaults)
            if scheme is WORDS32:
                price = _WORTH[0] * price + _WORTH[1]
        except NotImplementedError:
            if not scheme.double_word:
                raise
        else:
            self._entered += 1
            heappush(self._open, _Open(price, self._entered, scheme, stable, budget))

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
            expression = with_series(self.stable, partial(_evaluated, self.stable, way.scheme))
            if expression is not self.stable.expression:
                mended = replace(self.stable, expression=expression)
                self.enter(mended, way.scheme, way.budget)
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
            self.enter(replace(self.stable, expression=form), scheme, budget)
            self._has_table = True

    def enter_in_place_of(self, way: _Open) -> None:
        """Adds what may keep a budget that this way did not keep."""
        stable = self.stable
        if way.stable is not stable:
            return
        if way.scheme in _WITH_SERIES and stable.target.digits == 24:
            dearer = way.price + _LEAST_OF_SERIES
            heappush(self._open, replace(way, price=dearer, lossy=True))
        if way.scheme is SHORT64:
            self.enter(stable, FULL64, way.budget)
        if way.scheme is SHORT32:
            # One word has the range for an exponential or for its square, and not for both.
            expression = split_deep_exponentials(stable.expression, stable.defaults, stable.target)
            if expression is not stable.expression:
                self.enter(replace(stable, expression=expression), SHORT32, way.budget)


def has_table(expression: Expr) -> bool:
    """Whether an expression holds for two words alone."""
    return any(isinstance(node, Call) and node.function is tabulated for node in walk(expression))


def rank(scheme: Scheme) -> int:
    """Of two schemes for one expression, the one of higher rank is nowhere less accurate."""
    return SCHEMES.index(scheme)


MODERATE = 2.0**60
"""The largest size of a number that fits float32; the smallest is its inverse."""


class Fit(Enum):
    """How float32 holds a number, far from the ends of its range."""

    ONE_WORD = 1
    TWO_WORDS = 2
    """Closely enough."""
    NONE = 3

    __hash__ = object.__hash__  # half of the time that a look-up takes


WORDS = (Fit.ONE_WORD, Fit.TWO_WORDS)


@lru_cache(maxsize=1024)
def fit(value: float) -> Fit:
    """How float32 holds a float64; calls ask for the same few again and again."""
    if value == 0:
        return Fit.ONE_WORD
    if not 1 / MODERATE <= abs(value) <= MODERATE:
        return Fit.NONE
    return Fit.ONE_WORD if c_float(value).value == value else Fit.TWO_WORDS


def measured(stable: Stable, scheme: Scheme, reference: Stable | None = None) -> float:
    """The largest error of the Program on the points of the expression, in ULP of the target.

    Of double words it is that of the sum, before it is rounded to one word. Ways that have few
    digits or little range to spare are compared with float64 in full at many more points.

    Args:
        stable: what is computed.
        scheme: how.
        reference: what to compare with there, by default ``stable`` itself.
    """
    values, target = stable.points.values, stable.target
    high, low = stable.points.high, stable.points.low
    error = _error_of_words if scheme.double_word else _error
    found = error(stable, scheme, values, high, low)
    if target.digits != 24 or scheme not in _WITH_SERIES:
        return found
    more, exact = _many(values, stable.defaults), (reference or stable).expression
    wide = interpret(exact, more)
    found = max(found, error(stable, scheme, more, wide, np.zeros_like(wide)) - target.budget / 8)
    if scheme.double_word and len(values) == 1 and not _ends_alike(stable, scheme, exact, more):
        return inf
    return found


def _ends_alike(stable: Stable, scheme: Scheme, exact: Expr, values: Columns) -> bool:
    """Whether the result is infinite just where the exact one is.

    Of an infinite first word the second one says nothing any more.
    """
    ((name, column),) = values.items()

    def function(at: Array) -> Array:
        return interpret(exact, {name: at})

    ends = ends_of_range(function, column, stable.target.largest)
    program = _program(stable, scheme, stored=True)
    (computed,) = run(program, ends.astype(DTYPES[program.inputs[0][1]]))
    expected = stable.target.rounded(function(ends))
    return np.array_equal(np.isinf(computed), np.isinf(expected))


def _error(stable: Stable, scheme: Scheme, values: Columns, high: Array, low: Array) -> float:
    computed = _computed(stable, scheme, values)
    return float(ulp_errors(computed, high, low, stable.target).max(initial=0.0))


def _error_of_words(
    stable: Stable, scheme: Scheme, values: Columns, high: Array, low: Array
) -> float:
    sums = _computed(stable, scheme, values, F64)
    rounded = ulp_errors(stable.target.rounded(sums), high, low, stable.target)
    errors = ulp_errors(sums, high, low, stable.target)
    errors = np.where(np.abs(high) < _TINY, np.maximum(rounded - _ROUNDED_TWICE, 0.0), errors)
    return float(errors.max(initial=0.0))


def _many(values: Columns, parameters: Collection[str]) -> Columns:
    """Numbers of every size for each input, and for parameters those that they already have."""
    draws = Draws(20240229)  # any fixed seed: choices must repeat
    exponents = np.concatenate([np.tile(np.arange(-149, 128), _EACH), np.tile(*_DENSE)])
    more = {}
    for name, column in values.items():
        if name in parameters:
            more[name] = draws.choice(sorted(set(column.tolist())), len(exponents))
        else:
            sizes = np.ldexp(draws.uniform(1, 2, len(exponents)), exponents)
            signed = sizes * draws.choice([-1.0, 1.0], len(exponents))
            more[name] = draws.shuffled(signed.astype(np.float32).astype(np.float64))
    return more


def _evaluated(stable: Stable, scheme: Scheme, expression: Expr, values: Columns) -> Array:
    """The values of another expression, before they are rounded."""
    return _computed(replace(stable, expression=expression), scheme, values, F64)


def _computed(stable: Stable, scheme: Scheme, values: Columns, kind: Type | None = None) -> Array:
    """The results at some points, as numbers of a format."""
    program = _program(stable, scheme, kind)
    columns = [
        column.astype(DTYPES[given])
        for column, (_, given) in zip(values.values(), program.inputs, strict=True)
    ]
    result: Array = run(program, *columns)[0].astype(np.float64)
    return result


def _program(
    stable: Stable, scheme: Scheme, kind: Type | None = None, stored: bool = False
) -> Program:
    """The Program of the expression.

    Args:
        stable: the expression.
        scheme: how to compute.
        kind: of the result.
        stored: whether inputs and result are float32 as tensors of it are; else inputs are exact.
    """
    inputs = dict.fromkeys(stable.points.values, scheme.compute)
    if scheme.double_word or (stored and stable.target.digits == 24):
        kind = F32 if stored else kind
        for name, column in stable.points.values.items():
            with np.errstate(over="ignore"):
                exact = np.array_equal(column.astype(np.float32), column)
            inputs[name] = F32 if exact else F64
    return _lowered(stable.expression, tuple(inputs.items()), scheme, kind, tuple(stable.defaults))


@lru_cache(maxsize=16)
def _lowered(
    expression: Expr,
    inputs: tuple[tuple[str, Type], ...],
    scheme: Scheme,
    kind: Type | None,
    scalars: tuple[str, ...],
) -> Program:
    """Kept, for the same is run at several sets of points in turn."""
    return lower((expression,), dict(inputs), scheme, kind, scalars)
