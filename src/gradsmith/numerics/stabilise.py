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
from dataclasses import dataclass

import numpy as np

from gradsmith.calculus.simplify import simplify
from gradsmith.formula.expression import Call, Expr, Symbol, free_symbols, walk
from gradsmith.formula.vocabulary import (
    ADD,
    DIV,
    MUL,
    NE,
    NEG,
    OR,
    POW,
    SUB,
    abs_,
    maximum,
    minimum,
    sign,
    sqrt,
    where,
)
from gradsmith.numerics.compensate import compensate
from gradsmith.numerics.exponentials import split_exponential, split_variable
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.limits import Limits
from gradsmith.numerics.measure import sample
from gradsmith.numerics.regimes import expand_near_zero, replace_near_zero
from gradsmith.numerics.rewrite import rewrite
from gradsmith.numerics.rules import PRIMITIVES, STABILISE, in_steps, spread, with_safe_tails
from gradsmith.numerics.target import FLOAT64, Target


@dataclass(frozen=True, slots=True)
class Stable:
    """A stable expression and what was measured of it.

    Attributes:
        expression: over functions that every backend has.
        symbolic: the same before safe functions were spelled out; it can be differentiated.
        error: the largest error found before the final rounding, in ULP of the target.
        at: where it was found, one number per argument.
        target: the format and precision that it was found for.
    """

    expression: Expr
    symbolic: Expr
    error: float
    at: Mapping[str, float]
    target: Target


@dataclass(frozen=True, slots=True)
class _Candidate:
    symbolic: Expr
    expression: Expr
    loss: float  # bits lost beyond the budget, summed over the points
    cost: float
    places: frozenset[str]  # where bits are lost: near 0, far out, or in the middle


def stabilise(
    root: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    alternatives: Iterable[Expr] = (),
    target: Target = FLOAT64,
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
    """
    judge = _Judge(root, arguments, defaults, target)
    best: _Candidate | None = None
    for stage in _stages(dict.fromkeys((root, *alternatives))):
        best = judge.choose(stage, best)
        if best.loss == 0:
            break
    assert best is not None
    if best.loss > 0:
        best = judge.repaired(best)
    expression = _with_nan(judge.with_limits(best.expression), arguments, defaults)
    errors = judge.points.errors(expression)
    worst = int(np.argmax(errors))
    at = {name: float(column[worst]) for name, column in judge.points.values.items()}
    return Stable(expression, best.symbolic, float(errors[worst]), at, target)


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


class _Judge:
    """Measures proposals for one formula."""

    def __init__(
        self,
        root: Expr,
        arguments: Sequence[str],
        defaults: Mapping[str, float],
        target: Target,
    ) -> None:
        self.points = sample(root, arguments, defaults, target)
        self._target = target
        self._root = root
        self._inputs = [Symbol(name) for name in arguments if name not in defaults]
        self._limits = Limits(root, arguments, defaults, target)
        sizes = [np.abs(self.points.values[x.name]) for x in self._inputs]
        size = np.max(sizes, axis=0) if sizes else np.ones(self.points.high.shape)
        self._places = {
            "near": size < 0.5,
            "middle": (size > 0.5) & (size < 1e6),
            "far": size > 1e6,
        }

    def choose(self, proposals: Iterable[Expr], best: _Candidate | None) -> _Candidate:
        """The cheapest of the most accurate ones, ``best`` of an earlier choice included."""
        candidates = [self.candidate(proposal) for proposal in dict.fromkeys(proposals)]
        if best is not None:
            candidates.append(best)
        least = min(candidate.loss for candidate in candidates)
        return min((c for c in candidates if c.loss <= least + 1.0), key=lambda c: c.cost)

    def candidate(self, symbolic: Expr, expression: Expr | None = None) -> _Candidate:
        """``expression``, by default ``symbolic`` itself, over primitives and measured."""
        primitive = rewrite(symbolic if expression is None else expression, PRIMITIVES)
        lost = self._lost_bits(primitive)
        if lost.any():
            held = self._limits.held(primitive)
            if held is not primitive and (better := self._lost_bits(held)).sum() < lost.sum():
                primitive, lost = held, better
        places = frozenset(place for place, inside in self._places.items() if lost[inside].any())
        return _Candidate(symbolic, primitive, float(lost.sum()), cost(primitive), places)

    def _lost_bits(self, expression: Expr) -> Array:
        """log₂ of the error at each point, in units of the budget."""
        budget = self._target.budget
        lost: Array = np.log2(np.maximum(self.points.errors(expression), budget) / budget)
        return lost

    def repaired(self, best: _Candidate) -> _Candidate:
        """``best`` after every repair that the measurement found to help."""
        repairs: list[tuple[str, Callable[[Expr], Expr]]] = [
            ("far", in_steps),
            # Not of the expression: there the input may be held already.
            ("far", lambda node: self._split_variable(node, best.symbolic)),
            ("far", with_safe_tails),
            ("middle", compensate),
            ("middle", lambda node: compensate(with_safe_tails(node))),
            ("near", lambda node: expand_near_zero(node, self._target)),
            ("near", self._series_of_all),
        ]
        for place, repair in repairs:
            if place not in best.places:
                continue
            repaired = repair(best.expression)
            if repaired is not best.expression:
                candidate = self.candidate(best.symbolic, repaired)
                if candidate.loss < best.loss - 1.0:
                    best = candidate
        return best

    def _series_of_all(self, node: Expr) -> Expr:
        if len(self._inputs) != 1 or set(free_symbols(self._root)) != set(self._inputs):
            return node
        (x,) = self._inputs
        at = np.abs(self.points.values[x.name])
        reach = float(at[(self._lost_bits(node) > 0) & self._places["near"]].max())
        return replace_near_zero(node, self._root, x, reach, self._target)

    def _split_variable(self, node: Expr, symbolic: Expr) -> Expr:
        split = split_variable(symbolic, self._inputs[0]) if len(self._inputs) == 1 else None
        return node if split is None else split

    def with_limits(self, expression: Expr) -> Expr:
        """``expression`` held at its limits if it does not reach them by itself."""
        return expression if self._limits.reached_by(expression) else self._limits.held(expression)


_COSTS = {ADD: 1.0, SUB: 1.0, MUL: 1.0, DIV: 4.0, NEG: 0.5, POW: 2.0, sqrt: 5.0, where: 1.5}
_CHEAP = frozenset({abs_, sign, maximum, minimum})


def cost(root: Expr) -> float:
    """A rough price of evaluating ``root``: an addition is 1, an exponential about 12."""
    total = 0.0
    for node in walk(root):
        if isinstance(node, Call) and node.args and free_symbols(node):
            function = node.function
            price = 1.0 if function.boolean or function in _CHEAP else 12.0
            total += _COSTS.get(function, price)
    return total


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
