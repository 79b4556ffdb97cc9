"""Where a formula is not smooth, and what its derivative is there by convention."""

from __future__ import annotations

import math
from dataclasses import dataclass

from flint import arb

from gradsmith.calculus.derivative import differentiate
from gradsmith.calculus.exact import Evaluator
from gradsmith.calculus.simplify import simplify, tidy_condition
from gradsmith.formula.expression import (
    Call,
    Expr,
    Number,
    Symbol,
    as_expr,
    rebuild,
    substitute,
    walk,
    with_args,
)
from gradsmith.formula.formula import Formula
from gradsmith.formula.vocabulary import (
    COMPARISONS,
    abs_,
    sign,
    where,
)

_NEAR = 2.0**-50  # distance, relative to the kink's size, at which the one-sided slopes are read
_SMOOTH = 1e-9  # smaller jumps are the curvature over that distance


@dataclass(frozen=True, slots=True)
class Kink:
    """A point where the derivative jumps.

    Attributes:
        at: the point.
        left, right: the slopes on either side.
        derivative: the derivative at the point itself, by the formula's convention.
        variable: the input that the point is a value of.
        jump: height by which the value itself jumps, 0 for a continuous function.
    """

    at: float
    left: float
    right: float
    derivative: float
    jump: float = 0.0
    variable: str = "x"

    def __str__(self) -> str:
        text = f"{self.variable} = {self.at:g}: slope {self.left:g} on the left, "
        text += f"{self.right:g} on the right, derivative {self.derivative:g} by convention"
        return text + (f"; the value jumps by {self.jump:g}" if self.jump else "")


def kinks(formula: Formula, wrt: str | None = None) -> tuple[Kink, ...]:
    """The kinks of a formula in one of its inputs, parameters at their defaults.

    Found from the formula's conditions that are linear in the input; a condition on a nonlinear
    expression is not solved for its boundary.
    """
    x = Symbol(wrt or formula.inputs[0])
    constants: dict[Expr, Expr] = {
        Symbol(name): as_expr(value) for name, value in formula.parameters.items() if name != x.name
    }
    root = substitute(formula.expression, constants)
    if len({s for s in walk(root) if isinstance(s, Symbol)} - {x}) > 0:
        return ()
    value, slope = (Evaluator(e, (x.name,)) for e in (root, differentiate(root, x)))
    found = []
    for at in sorted(_boundaries(root, x)):
        step = arb(at) * _NEAR if at else arb(_NEAR)
        left, right = (slope(arb(at) + s * abs(step)) for s in (-1, 1))
        low, high = (value(arb(at) + s * abs(step)) for s in (-1, 1))
        middle = slope(at)
        jump = float((high - low).mid())
        kink = Kink(
            at,
            _tidy(left),
            _tidy(right),
            _tidy(middle),
            jump if abs(jump) > _SMOOTH else 0.0,
            x.name,
        )
        slopes = (kink.left, kink.right, kink.derivative)
        if kink.jump or max(slopes) > min(slopes) + _SMOOTH:
            found.append(kink)
    return tuple(found)


def _tidy(ball: arb) -> float:
    # The slopes are read a tiny step away: 1 − 10⁻¹⁵ is 1.
    value = float(ball.mid())
    return round(value, 12) + 0.0 if math.isfinite(value) else value


def _boundaries(root: Expr, x: Symbol) -> set[float]:
    found = set()
    # Simplified, a condition on another conditional value is one on x: max(x + 3, 0) < 6.
    for node in walk(simplify(rebuild(root, _spell)), simplify(differentiate(root, x))):
        if not (isinstance(node, Call) and node.function in COMPARISONS):
            continue
        test = tidy_condition(node)
        if isinstance(test, Call) and test.args[0] is x and isinstance(test.args[1], Number):
            found.add(float(test.args[1].value))
    return found


def _spell(node: Expr, args: tuple[Expr, ...]) -> Expr:
    node = with_args(node, args)
    if isinstance(node, Call) and node.function is abs_:
        (u,) = node.args
        return where(u > 0, u, -u)
    if isinstance(node, Call) and node.function is sign:
        (u,) = node.args
        return where(u > 0, 1, where(u < 0, -1, 0))
    return node
