"""Gates: of a·silu(b) the second factor is looked at by itself.

A formula of several inputs is judged on a sample of their combinations, in which nothing shows what
happens beside a root: there are too few points on any line. Where one input only multiplies a
function of the others, that function is judged instead, with all that is known of one input: its
roots, series about them, constants that put them right.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import frexp, ldexp

from flint import arb

from gradsmith.calculus.exact import Evaluator, isnan_ball
from gradsmith.calculus.terms import ONE
from gradsmith.formula.expression import Call, Expr, Symbol, free_symbols, rebuild, with_args
from gradsmith.formula.vocabulary import MUL
from gradsmith.numerics.target import Target

_FACTORS = (-2.625, 0.375, 19.0)
"""All of them floats, so that products with them are exact."""
_OTHERS = (-3.7, -0.83, 0.29, 1.6)
_BITS = 200
_FARTHEST = 600
"""The largest exponent of such a number: twice that many are more than float64 has."""


def of_other_factor(target: Target) -> Target | None:
    """What the second factor is made for: any number whose product with one of the format is one.

    None where the computation has no range to spare for that.
    """
    if target.compute != "float64" or target.digits != 24:
        return None
    top = frexp(target.largest)[1]
    if top - target.lowest > _FARTHEST:
        return None
    lowest, largest = target.lowest - top, ldexp(target.largest, -target.lowest)
    return replace(target, lowest=lowest, floor=lowest, largest=largest)


def with_own_factor(
    root: Expr, arguments: Sequence[str], defaults: Mapping[str, float]
) -> tuple[Symbol, Expr] | None:
    """An input a and an expression h without it, where the formula is a·h; None where none is."""
    inputs = [name for name in arguments if name not in defaults and _depends(root, name)]
    if len(inputs) < 2:
        return None
    exact = Evaluator(root, arguments)
    for name in inputs:
        h = at_one(root, Symbol(name))
        others = [n for n in arguments if n != name]
        of_others = Evaluator(h, others)
        pairs = [
            (exact(*point, bits=_BITS), point[arguments.index(name)], of_others(*rest, bits=_BITS))
            for point, rest in _points(arguments, name, defaults)
        ]
        if all(_equal(whole, factor * other) for whole, factor, other in pairs):
            return Symbol(name), h
    return None


def at_one(root: Expr, factor: Symbol) -> Expr:
    """The formula where the factor is 1, without products with that."""

    def shorter(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node is factor:
            return ONE
        if isinstance(node, Call) and node.function is MUL and ONE in args:
            return args[0] if args[1] is ONE else args[1]
        return with_args(node, args)

    return rebuild(root, shorter)


def _depends(root: Expr, name: str) -> bool:
    return Symbol(name) in free_symbols(root)


def _points(
    arguments: Sequence[str], name: str, defaults: Mapping[str, float]
) -> Iterator[tuple[list[float], list[float]]]:
    """Values of all arguments, and the same without the one that may be a factor."""
    inputs = [n for n in arguments if n not in defaults and n != name]
    for factor, first in product(_FACTORS, range(len(_OTHERS))):
        turned = {n: _OTHERS[(first + i) % len(_OTHERS)] for i, n in enumerate(inputs)}
        values = {**defaults, **turned, name: factor}
        yield [values[n] for n in arguments], [values[n] for n in arguments if n != name]


def _equal(a: arb, b: arb) -> bool:
    """Whether they are the same to many digits, or both no numbers."""
    return isnan_ball(a) == isnan_ball(b) and (isnan_ball(a) or bool(a.overlaps(b)))


def factors(expression: Expr, parameters: Collection[str]) -> tuple[Symbol, Expr] | None:
    """The input and the rest of what :func:`with_own_factor` split."""
    if not (isinstance(expression, Call) and expression.function is MUL):
        return None
    a, rest = expression.args
    apart = isinstance(a, Symbol) and a.name not in parameters and not _depends(rest, a.name)
    others = {symbol.name for symbol in free_symbols(rest)}.difference(parameters)
    return (a, rest) if isinstance(a, Symbol) and apart and others else None
