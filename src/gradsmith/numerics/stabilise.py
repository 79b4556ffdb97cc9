"""Expression to stable expression: propose, measure, keep what is best.

Three kinds of rewriting propose equal expressions: the rule table, exact simplification, and the
split of exponential quotients. Each proposal is evaluated in float64 on points over the whole
range and compared with the exact value of the formula as the user wrote it; the most accurate one
wins, and among equals the cheapest. Where points remain that lose accuracy, repairs are tried in
turn and kept if the measurement says so.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from gradsmith.calculus.simplify import simplify
from gradsmith.formula.expression import Expr, Symbol
from gradsmith.formula.vocabulary import NE, OR, where
from gradsmith.numerics.constants_inward import constants_inward
from gradsmith.numerics.exponentials import split_exponential
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.judge import Judge
from gradsmith.numerics.measure import Samples, points_of
from gradsmith.numerics.rewrite import rewrite
from gradsmith.numerics.rules import STABILISE, close_terms, spread
from gradsmith.numerics.separable import at_one, factors, of_other_factor, with_own_factor
from gradsmith.numerics.target import FLOAT64, Target
from gradsmith.numerics.zeros import with_signs


@dataclass(frozen=True, slots=True)
class Stable:
    """A stable expression and what was measured of it.

    Attributes:
        root: the formula as it was written, or its derivative.
        expression: over functions that every backend has.
        symbolic: the same before safe functions were spelled out; it can be differentiated.
        error: the largest error found before the final rounding, in ULP of the target.
        at: where it was found, one number per argument.
        target: the format and precision that it was found for.
        arguments: all inputs and parameters.
        defaults: the parameters' defaults.
        in_format: whether parameters are judged at numbers of the target's format alone.
    """

    root: Expr
    expression: Expr
    symbolic: Expr
    error: float
    at: Mapping[str, float]
    target: Target
    arguments: tuple[str, ...]
    defaults: Mapping[str, float]
    in_format: bool = False

    @property
    def points(self) -> Samples:
        """What it is judged on."""
        return points_of(self.root, self.arguments, self.defaults, self.target, self.in_format)

    @property
    def gate(self) -> tuple[Symbol, Stable] | None:
        """An input and the stable form of the rest, where it is their product; else None."""
        wide, found = of_other_factor(self.target), factors(self.expression, self.defaults)
        if wide is None or found is None:
            return None
        a, rest = found
        symbolic = factors(self.symbolic, self.defaults)
        names = tuple(name for name in self.arguments if name != a.name)
        other = replace(
            self,
            root=at_one(self.root, a),
            expression=rest,
            symbolic=rest if symbolic is None else symbolic[1],
            at={name: self.at[name] for name in names},
            target=wide,
            arguments=names,
        )
        return a, other


def stabilise(
    root: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    alternatives: Iterable[Expr] = (),
    target: Target = FLOAT64,
    multiplied: bool = False,
) -> Stable:
    """The most accurate expression found that equals ``root``.

    Args:
        root: the formula as it was written, or its derivative.
        arguments: all its inputs and parameters.
        defaults: the parameters' defaults; what is not in here is an input.
        alternatives: expressions known to equal ``root``, for instance the derivative of the
            stable form of what ``root`` is the derivative of.
        target: what the result is rounded to and computed in. Spare digits make a cheaper
            expression good enough.
        multiplied: whether the result is multiplied by anything that its format has a number for,
            as a derivative is by an upstream gradient.
    """
    alternatives = tuple(alternatives)
    gate = _gate(root, arguments, defaults, alternatives, target)
    if gate is not None and gate.error <= target.budget:
        return gate
    judged = (of_other_factor(target) or target) if multiplied else target
    judge = Judge(root, arguments, defaults, judged, multiplied)
    starts = tuple(dict.fromkeys((root, *alternatives)))
    best = judge.best_of(_remembered(_stages(starts)))
    limited = judge.with_limits(best.expression)
    signed = with_signs(limited, root, arguments, defaults, target)
    expression = _with_nan(constants_inward(signed), arguments, defaults)
    return _judged(root, expression, best.symbolic, arguments, defaults, target)


def _judged(
    root: Expr,
    expression: Expr,
    symbolic: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    target: Target,
) -> Stable:
    points = points_of(root, arguments, defaults, target)
    errors = points.errors(expression)
    worst = int(np.argmax(errors))
    at = {name: float(column[worst]) for name, column in points.values.items()}
    error, named = float(errors[worst]), tuple(arguments)
    return Stable(root, expression, symbolic, error, at, target, named, defaults)


def _gate(
    root: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    alternatives: Iterable[Expr],
    target: Target,
) -> Stable | None:
    """An input times the stable form of the rest, where the formula is such a product."""
    wide = of_other_factor(target)
    if wide is None or (found := with_own_factor(root, arguments, defaults)) is None:
        return None
    a, rest = found
    others = [name for name in arguments if name != a.name]
    alone = [at_one(form, a) for form in alternatives]
    inner = stabilise(rest, others, defaults, alone, wide)
    forms = a * inner.expression, a * inner.symbolic
    return _judged(root, *forms, arguments, defaults, target)


def _stages(starts: Iterable[Expr]) -> Iterator[list[Expr]]:
    """Proposals, the quick ones first: a later stage is made only if an earlier one fails."""
    starts = list(dict.fromkeys(form for start in starts for form in (start, spread(start))))
    quick = [rewrite(start, STABILISE) for start in starts]
    split = [form for start in starts if (form := split_exponential(start)) is not None]
    yield [*quick, *(rewrite(form, STABILISE) for form in split)]
    yield [rewrite(simplify(start), STABILISE) for start in starts]
    tidied = [simplify(form) for form in quick]
    outermost = [rewrite(start, STABILISE, outermost=True) for start in starts]
    yield [*tidied, *(rewrite(form, STABILISE) for form in tidied), *outermost]
    closer = [form for start in starts for form in close_terms(start)]
    yield [*closer, *(rewrite(form, STABILISE) for form in closer)]


def _remembered(stages: Iterator[list[Expr]]) -> Callable[[], Iterator[list[Expr]]]:
    """The same from the start whenever it is called; what was made is not made again."""
    made: list[list[Expr]] = []

    def again() -> Iterator[list[Expr]]:
        yield from made
        for stage in stages:
            made.append(stage)
            yield stage

    return again


def _with_nan(expression: Expr, arguments: Sequence[str], defaults: Mapping[str, float]) -> Expr:
    """NaN in, NaN out: a comparison with NaN is false and would pick a branch."""
    lost = []
    for name in arguments:
        if name in defaults:
            continue
        values = {n: np.array([defaults.get(n, 0.75)]) for n in arguments}
        values[name] = np.array([math.nan])
        if not np.isnan(interpret(expression, values))[0]:
            lost.append(Symbol(name))
    if not lost:
        return expression
    test: Expr = NE(lost[0], lost[0])
    total: Expr = lost[0]
    for symbol in lost[1:]:
        test, total = OR(test, NE(symbol, symbol)), total + symbol
    return where(test, total, expression)
