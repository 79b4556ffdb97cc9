"""The ``autograd.Function`` that a tutorial would have its reader write, made from the formula.

Forward computes the formula as it is written. It saves the output where the derivative can be
had from that, as σ′ = y(1 − y), else the inputs; backward is the derivative in its shortest form,
in several torch operations. It knows nothing of stable forms: it is what we are compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.autograd import Function

from gradsmith.backends.aten import compile_expression
from gradsmith.calculus.derivative import derivative
from gradsmith.calculus.inverse import derivative_by_output
from gradsmith.formula.expression import Expr, Symbol, free_symbols
from gradsmith.formula.formula import Formula


def written(formula: Formula) -> Callable[..., Tensor]:
    """The formula as it is written, in torch operations; parameters stand at their defaults."""
    return _kernel(formula, formula.expression, formula.inputs)


def tutorial_function(formula: Formula) -> type[Function]:
    """The class; ``apply`` takes the inputs. Its ``saves_output`` says what it saves."""
    value = written(formula)
    by_output = _by_output(formula)
    if by_output is not None:
        name, slope = by_output
        partials = [_kernel(formula, slope, (name,))]
    else:
        slopes = [derivative(formula.expression, Symbol(name)) for name in formula.inputs]
        partials = [_kernel(formula, slope, formula.inputs) for slope in slopes]

    class TutorialFunction(Function):
        saves_output = by_output is not None

        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Tensor:
            y = value(*inputs)
            ctx.save_for_backward(*((y,) if by_output is not None else inputs))
            return y

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Any:
            saved = ctx.saved_tensors
            if len(partials) == 1:
                return g * partials[0](*saved)
            return tuple(g * partial(*saved) for partial in partials)

    return TutorialFunction


def _by_output(formula: Formula) -> tuple[str, Expr] | None:
    """The output's name and the derivative in it, where that reads nothing else that is large."""
    if len(formula.inputs) > 1:
        return None
    name = "y"
    while name in formula.arguments:
        name += "_"
    found = derivative_by_output(formula.expression, Symbol(formula.inputs[0]), Symbol(name))
    if found is None:
        return None
    read = {symbol.name for symbol in free_symbols(found)}
    return (name, found) if name in read and not read.intersection(formula.inputs) else None


def _kernel(formula: Formula, expression: Expr, tensors: tuple[str, ...]) -> Callable[..., Tensor]:
    names = (*tensors, *formula.parameters)
    kernel = compile_expression(expression, names, tuple(formula.parameters))
    defaults = tuple(formula.parameters.values())
    if not defaults:
        return kernel
    return lambda *values: kernel(*values, *defaults)
