"""Proposals measured for one formula: the most accurate is chosen, and repaired where it loses.

Every repair is tried only where points lose accuracy, and is kept only if the measurement says
that it helps. Where the target spares no digits, what is lost next to a root can be mended by a
series alone; so the proposals are judged elsewhere first, and the series come last.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from gradsmith.formula.expression import Call, Expr, Symbol, free_symbols, walk
from gradsmith.formula.vocabulary import (
    ADD,
    DIV,
    MUL,
    NEG,
    POW,
    SUB,
    abs_,
    maximum,
    minimum,
    sign,
    sqrt,
    where,
)
from gradsmith.numerics.compensate import compensate, compensate_whole
from gradsmith.numerics.exponentials import split_variable
from gradsmith.numerics.interpret import Array
from gradsmith.numerics.limits import Limits
from gradsmith.numerics.measure import points_of
from gradsmith.numerics.regimes import expand_near_zero, replace_near_zero
from gradsmith.numerics.rewrite import rewrite
from gradsmith.numerics.roots import expand_near_roots
from gradsmith.numerics.rules import PRIMITIVES, in_steps, with_last_tails, with_safe_tails
from gradsmith.numerics.target import Target
from gradsmith.numerics.underflow import line_near_zero, split_deep_exponentials

Repair = Callable[[Expr], Expr]
Alternatives = tuple[str, *tuple[Repair, ...]]
"""A place, and repairs of which the most helpful is made where it loses digits."""
Repairs = Callable[[Expr], Iterator[Alternatives]]
Stages = Callable[[], Iterator[list[Expr]]]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposal and what was measured of it.

    Attributes:
        symbolic: the proposal; it can be differentiated.
        expression: over functions that every backend has.
        loss: bits lost beyond what is aimed at, summed over the points.
        cost: a rough price of the evaluation.
        places: where bits are lost: near 0, far out, or in the middle.
    """

    symbolic: Expr
    expression: Expr
    loss: float
    cost: float
    places: frozenset[str]


class Judge:
    """Measures proposals for one formula.

    Args:
        root: the formula as it was written, or its derivative.
        arguments: all its inputs and parameters.
        defaults: the parameters' defaults; what is not in here is an input.
        target: what the result is rounded to and computed in.
        multiplied: whether it is multiplied by anything that the format has a number for.
    """

    def __init__(
        self,
        root: Expr,
        arguments: Sequence[str],
        defaults: Mapping[str, float],
        target: Target,
        multiplied: bool = False,
    ) -> None:
        self.points = points_of(root, arguments, defaults, target)
        self._everywhere = np.ones(self.points.high.shape, dtype=bool)
        self._judged = self._everywhere
        self._gain = 1.0 if target.spares else 0.1  # bits that a repair must save
        self._lost: dict[Expr, Array] = {}
        self._target = target
        self._root = root
        self._defaults = defaults
        self._inputs = [Symbol(name) for name in arguments if name not in defaults]
        columns = [self.points.values[x.name] for x in self._inputs]
        known = {}
        if len(columns) == 1 and not defaults:
            known = dict(zip(columns[0].tolist(), self.points.high.tolist(), strict=True))
        self._limits = Limits(root, arguments, defaults, target, known, multiplied)
        sizes = [np.abs(column) for column in columns]
        size = np.max(sizes, axis=0) if sizes else np.ones(self.points.high.shape)
        self._places = {
            "near": size < 0.5,
            "middle": (size > 0.5) & (size < 1e6),
            "far": size > 1e6,
        }

    def best_of(self, stages: Stages) -> Candidate:
        """The best proposal with its repairs; a later stage is made only if an earlier one fails.

        First the one that loses least is repaired; then, while anything is lost, the one that
        loses least away from where a series can mend it: beside roots, and near 0.
        """
        best: Candidate | None = None
        for left_out in self._left_out():
            self._judged = ~left_out
            chosen = self._chosen(stages)
            for repairs in self._repairs_of_target():
                self._judged = ~left_out
                found = self._repaired(self._remeasured(chosen), repairs)
                self._judged = self._everywhere
                found = self._repaired(self._remeasured(found), self._series)
                best = found if best is None else self._better(best, found)
                if best.loss < self._gain:  # no other could be so much better
                    return best
        assert best is not None
        return best

    def _left_out(self) -> list[Array]:
        """For each attempt the points that do not count until the series come."""
        nothing = ~self._everywhere
        if free_symbols(self._root) != tuple(self._inputs):
            return [nothing]
        near = self._places["near"]
        if self._target.spares:
            return [nothing, near]
        beside = self.points.beside
        return [beside, beside | near, nothing]

    def _repairs_of_target(self) -> tuple[Repairs, ...]:
        if self._target.spares:
            return (self._repairs_with_spare_digits,)
        sums = partial(self._compensating_repairs, products=False)
        return self._repairs, sums, partial(self._compensating_repairs, products=True)

    def _remeasured(self, candidate: Candidate) -> Candidate:
        return self.candidate(candidate.symbolic, candidate.expression)

    def _better(self, cheap: Candidate, dear: Candidate) -> Candidate:
        return dear if dear.loss < cheap.loss - self._gain else cheap

    def _chosen(self, stages: Stages) -> Candidate:
        best: Candidate | None = None
        for stage in stages():
            best = self._choose(stage, best)
            if best.loss == 0:
                break
        assert best is not None
        return best

    def _after(self, best: Candidate, *repairs: Repair) -> Candidate:
        """``best`` after the most helpful of ``repairs``, if the measurement says that any is."""
        repaired = dict.fromkeys(repair(best.expression) for repair in repairs)
        candidates = [
            self.candidate(best.symbolic, expression)
            for expression in repaired
            if expression is not best.expression
        ]
        least = min((candidate.loss for candidate in candidates), default=math.inf)
        if not least < best.loss - self._gain:
            return best
        return min((c for c in candidates if c.loss <= least + self._gain), key=lambda c: c.cost)

    def _choose(self, proposals: Iterable[Expr], best: Candidate | None) -> Candidate:
        """The cheapest of the most accurate ones, ``best`` of an earlier choice included."""
        candidates = [self.candidate(proposal) for proposal in dict.fromkeys(proposals)]
        if best is not None:
            candidates.append(best)
        least = min(candidate.loss for candidate in candidates)
        return min((c for c in candidates if c.loss <= least + 1.0), key=lambda c: c.cost)

    def candidate(self, symbolic: Expr, expression: Expr | None = None) -> Candidate:
        """``expression``, by default ``symbolic`` itself, over primitives and measured."""
        primitive = rewrite(symbolic if expression is None else expression, PRIMITIVES)
        lost = self._lost_bits(primitive)
        if lost.any():
            held = self._limits.held(primitive)
            if held is not primitive and (better := self._lost_bits(held)).sum() < lost.sum():
                primitive, lost = held, better
        places = frozenset(place for place, inside in self._places.items() if lost[inside].any())
        return Candidate(symbolic, primitive, float(lost.sum()), cost(primitive), places)

    def _lost_bits(self, expression: Expr) -> Array:
        """log₂ of the error at each point, in units of what is aimed at."""
        if expression not in self._lost:  # several attempts measure the same proposals
            errors = self.points.errors(expression)
            self._lost[expression] = np.log2(np.maximum(errors / self._target.aim, 1.0))
        return np.where(self._judged, self._lost[expression], 0.0)

    def _repaired(self, best: Candidate, repairs: Repairs) -> Candidate:
        """``best`` after every repair that the measurement found to help."""
        if best.loss > 0:
            for place, *alternatives in repairs(best.symbolic):
                if place in best.places or (place == "anywhere" and best.loss > 0):
                    best = self._after(best, *alternatives)
        return best

    def _repairs_with_spare_digits(self, symbolic: Expr) -> Iterator[Alternatives]:
        yield "far", in_steps
        # Not of the expression: there the input may be held already.
        yield "far", lambda node: self._split_variable(node, symbolic)
        yield "far", with_safe_tails
        yield "middle", compensate
        yield "middle", lambda node: compensate(with_safe_tails(node))
        yield from self._series(symbolic)

    def _repairs(self, symbolic: Expr) -> Iterator[Alternatives]:
        deep = self._deep_exponentials
        yield from self._far(symbolic)
        yield "middle", compensate, lambda node: deep(compensate(with_last_tails(node)))
        yield "near", lambda node: expand_near_zero(node, self._target)
        yield "near", self._line_near_zero
        yield "anywhere", deep

    def _compensating_repairs(self, symbolic: Expr, *, products: bool) -> Iterator[Alternatives]:
        def whole(node: Expr) -> Expr:
            return self._deep_exponentials(compensate_whole(node, products=products))

        yield from self._far(symbolic)
        yield "anywhere", whole, lambda node: whole(with_last_tails(node))
        yield "near", lambda node: expand_near_zero(node, self._target)

    def _far(self, symbolic: Expr) -> Iterator[Alternatives]:
        yield "far", in_steps
        yield "far", lambda node: self._split_variable(node, symbolic)
        yield "far", with_last_tails, lambda _: with_last_tails(symbolic)

    def _series(self, _: Expr) -> Iterator[Alternatives]:
        yield "near", lambda node: expand_near_zero(node, self._target)
        yield "near", self._series_of_all
        if not self._target.spares:
            yield "anywhere", self._series_at_roots

    def _series_of_all(self, node: Expr) -> Expr:
        if len(self._inputs) != 1 or set(free_symbols(self._root)) != set(self._inputs):
            return node
        (x,) = self._inputs
        at = np.abs(self.points.values[x.name])
        reach = float(at[(self._lost_bits(node) > 0) & self._places["near"]].max())
        return replace_near_zero(node, self._root, x, reach, self._target)

    def _deep_exponentials(self, node: Expr) -> Expr:
        return split_deep_exponentials(node, self._defaults, self._target)

    def _line_near_zero(self, node: Expr) -> Expr:
        return line_near_zero(node, self._root, self._inputs[0]) if len(self._inputs) == 1 else node

    def _series_at_roots(self, node: Expr) -> Expr:
        if len(self._inputs) != 1:
            return node
        (x,) = self._inputs
        pairs = self.points.brackets(x.name)
        return expand_near_roots(node, self._root, x, pairs, self._target)

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
