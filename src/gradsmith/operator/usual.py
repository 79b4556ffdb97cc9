"""Parameters at their defaults: the call that is made most, with kernels of its own.

A kernel that takes a parameter as a number must be right for every number. One for the defaults
alone has them in its code: a product with 1 is none, a bound that float32 holds costs nothing, and
of 0.01 both words are known. It is compiled when first needed, as any other, and serves calls in
which every parameter is a number and its default. Nothing else changes with it: names, gradients
and what is kept for them are those of the operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import copysign
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from gradsmith.calculus.derivative import derivative
from gradsmith.formula.expression import Expr, Number, Symbol, substitute

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise

USUAL: Final = "usual"
"""Stands for a number that is a default among others, where kernels are chosen."""

Defaults = tuple[float | None, ...]
"""Of each operand; None where it has none. Empty where no operand has one."""

NUMBERS = frozenset({float, int})
"""The types of what is not a tensor."""

_known: WeakKeyDictionary[Pointwise, Pointwise] = WeakKeyDictionary()


def is_usual(operands: Sequence[Any], defaults: Defaults) -> bool:
    """Whether every parameter is a number and its default, and nothing else is a number."""
    if not defaults:
        return False
    for operand, default in zip(operands, defaults, strict=True):
        if default is None:
            if type(operand) in NUMBERS:
                return False
        elif type(operand) not in NUMBERS or not _is(operand, default):
            return False
    return True


def _is(number: float, default: float) -> bool:
    return number == default and copysign(1, number) == copysign(1, default)


def at_defaults(operation: Pointwise) -> Pointwise:
    """The operation in its inputs and factors alone; its parameters are their defaults."""
    found = _known.get(operation)
    if found is None:
        found = _known[operation] = _made(operation)
    return found


def _made(operation: Pointwise) -> Pointwise:
    values: dict[Expr, Expr] = {Symbol(n): Number(d) for n, d in operation.defaults.items()}
    arguments = [name for name in operation.arguments if name not in operation.defaults]
    core, origin = substitute(operation.core, values), None
    if operation.origin is not None:
        of, symbol = operation.origin
        if symbol.name not in of.defaults:
            # What is left of the formula is differentiated anew: there is less of it.
            origin = at_defaults(of), symbol
            core = derivative(origin[0].core, symbol)
    return type(operation)(
        core, arguments, operation.factors, None, origin, operation.max_ulp, operation.save
    )
