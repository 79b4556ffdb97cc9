"""A derivative computed from the stored output instead of the input: where that keeps accuracy.

The output that is kept is rounded, and a layer that follows often keeps it anyway. relu′ loses
nothing by it; σ′ = y(1 − y) loses all digits where y rounds to 1. So each form is measured: from
the exact output, rounded to the format, against the exact derivative.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from gradsmith.calculus.derivative import derivative
from gradsmith.calculus.inverse import derivative_by_output
from gradsmith.formula.expression import (
    Call,
    Expr,
    Symbol,
    free_symbols,
    rebuild,
    substitute,
    with_args,
)
from gradsmith.formula.vocabulary import COMPARISONS, EQ, where
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.measure import exact_values, sample, ulp_errors
from gradsmith.numerics.rewrite import rewrite
from gradsmith.numerics.rules import PRIMITIVES, STABILISE
from gradsmith.numerics.target import Target


@dataclass(frozen=True, slots=True)
class ByOutput:
    """The derivative in terms of the output.

    Attributes:
        expression: over the output and the parameters; of NaN it may be anything.
        error: the largest error found, in ULP of the format, before the final rounding.
        at: the input where it was found.
    """

    expression: Expr
    error: float
    at: float


def from_output(
    root: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    output: str,
    target: Target,
) -> ByOutput | None:
    """The most accurate form of ∂root/∂input that reads the output in place of the input.

    None where no form was found, or there are several inputs.

    Args:
        root: the formula as it was written.
        arguments: its input and its parameters.
        defaults: the parameters' defaults, at which it is measured.
        output: a name for the output.
        target: the format in which the output is kept.
    """
    inputs = [name for name in arguments if name not in defaults]
    if len(inputs) != 1:
        return None
    x, y = Symbol(inputs[0]), Symbol(output)
    found = derivative_by_output(root, x, y)
    if found is None:
        return None
    points = sample(derivative(root, x), arguments, defaults, target)
    kept = {
        **{name: points.values[name] for name in defaults},
        output: target.rounded(exact_values(root, arguments, points.values)[0]),
    }
    best: ByOutput | None = None
    forms = [form for form in _without_input(found, root, x, y) if x not in free_symbols(form)]
    stabler = [rewrite(form, STABILISE) for form in forms]
    for form in dict.fromkeys([*forms, *stabler]):
        # NaN in, NaN out: a comparison with NaN is false and would pick a branch.
        guarded = where(EQ(y, y), rewrite(form, PRIMITIVES), y)
        computed = interpret(guarded, kept, target.compute)
        errors = ulp_errors(computed, points.high, points.low, target)
        worst = int(np.argmax(errors))
        if best is None or errors[worst] < best.error:
            best = ByOutput(form, float(errors[worst]), float(points.values[x.name][worst]))
    return best


def _without_input(form: Expr, root: Expr, x: Symbol, y: Symbol) -> Iterator[Expr]:
    """Forms whose conditions ask the output instead; whether they ask the same is measured."""
    if x not in free_symbols(form):
        yield form
        return
    yield _conditions(form, x, {x: y})
    yield rebuild(form, lambda node, args: _mapped(with_args(node, args), root, x, y))


def _conditions(form: Expr, x: Symbol, values: dict[Expr, Expr]) -> Expr:
    def replace(node: Expr, args: tuple[Expr, ...]) -> Expr:
        node = with_args(node, args)
        is_comparison = isinstance(node, Call) and node.function in COMPARISONS
        return substitute(node, values) if is_comparison else node

    return rebuild(form, replace)


def _mapped(node: Expr, root: Expr, x: Symbol, y: Symbol) -> Expr:
    """``x < c`` as ``y < f(c)``."""
    if not (isinstance(node, Call) and node.function in COMPARISONS and x in node.args):
        return node
    sides = [y if arg is x else substitute(root, {x: arg}) for arg in node.args]
    return with_args(node, tuple(sides))
