"""Constants that put a root where it is: silu′ in short float64, without a series.

Next to a root of 1 + x + eˣ the terms cancel, and a quick exponential is wrong by more than what is
left. But on both sides it is wrong by nearly the same. With that taken from the 1, the sum is 0
where it has to be, and right beside it; elsewhere nothing shows a change by 2⁻³⁶. Which constant to
change, and by how much, follows from what is computed at one number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import isfinite

import numpy as np

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import (
    Call,
    Expr,
    Number,
    free_symbols,
    substitute,
    walk,
    with_args,
)
from gradsmith.formula.vocabulary import ADD, SUB
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.roots import Evaluate, Rings, places_of_roots, reaches
from gradsmith.numerics.stabilise import Stable

ALLOWED = 0.25
"""The error, in ULP, that may be left of it beside a root: of the few numbers next to that, float64
itself holds no more digits of the constant and of the sum."""
_MOST = Fraction(1, 2**28)
"""The largest change, as a share of the constant: more would show elsewhere."""
_STEP = Fraction(1, 2**20)
"""Of a constant, to see how much the value follows it."""


def with_exact_roots(stable: Stable, evaluate: Evaluate) -> Expr | None:
    """The stable expression with constants such that what is computed loses nothing beside roots.

    None where it has more than one input, no root beside which ``evaluate`` loses digits, or one
    where no constant helps.
    """
    symbols = free_symbols(stable.root)
    if len(symbols) != 1:
        return None
    (x,) = symbols
    exact = Evaluator(stable.root, (x.name,))
    places = places_of_roots(stable.root, x, tuple(stable.points.brackets(x.name)))
    expression, seen = stable.expression, []
    for place, reach in reaches(places):
        rings = Rings(stable.root, x, place, reach, stable.target, evaluate)
        seen.append(rings)
        if rings.most_wrong(expression) <= ALLOWED:
            continue
        near = stable.target.rounded(np.array([float(place.mid())]))

        def value(changed: Expr, at: Array = near) -> float:
            return float(evaluate(changed, {x.name: at})[0])

        tuned = _tuned(expression, float(exact(near[0]).mid()), value)
        expression = min(tuned, key=rings.most_wrong, default=expression)
        # What is right beside one root may be wrong beside another one.
        if any(rings.most_wrong(expression) > ALLOWED for rings in seen):
            return None
    return None if expression is stable.expression else expression


def _tuned(expression: Expr, exact: float, value: Callable[[Expr], float]) -> Iterator[Expr]:
    """The expression with one constant changed such that it has the exact value."""
    before = value(expression)
    if not isfinite(exact - before):
        return
    lacks = Fraction(exact) - Fraction(before)
    for node in walk(expression):
        if not (isinstance(node, Call) and node.function in (ADD, SUB)):
            continue
        for i, constant in enumerate(node.args):
            known = 0.0 if free_symbols(constant) else float(interpret(constant, {}))
            if not (known and isfinite(known)):
                continue
            near, step = Fraction(known), abs(Fraction(known)) * _STEP
            follows = value(_changed(expression, node, i, near + step)) - before
            if follows and isfinite(follows):
                by = lacks / Fraction(follows) * step
                if abs(by) <= _MOST * abs(near):
                    yield _changed(expression, node, i, near + by)


def _changed(expression: Expr, node: Call, i: int, constant: Fraction) -> Expr:
    """The expression with another constant in one of its sums."""
    args = list(node.args)
    args[i] = Number(Fraction(float(constant)))
    return substitute(expression, {node: with_args(node, tuple(args))})
