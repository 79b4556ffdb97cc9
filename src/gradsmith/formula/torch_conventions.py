"""Those of torch's functions that it does not call as ``f(input, other)``, as expressions.

Each function here has PyTorch's own argument names and defaults; where PyTorch has a convention for
the derivative at a kink, the expression has the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Expr, Number
from gradsmith.formula.formula import LIBRARY, Formula
from gradsmith.formula.refusals import DRAWS, POINTWISE
from gradsmith.formula.tracer import Tracer, expression_of, is_condition, number
from gradsmith.formula.tracer import condition as truth
from gradsmith.formula.vocabulary import (
    ADD,
    DIV,
    MUL,
    NE,
    SUB,
    USABLE,
    clip,
    exp,
    log,
    maximum,
    minimum,
    ndtr,
    sqrt,
    where,
)


def apply_formula(
    shown: str, formula: Formula, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Expr:
    """A named formula applied to what it was called with, as the parser applies it.

    Raises:
        FormulaError: an argument is missing, unknown or no number.
    """
    names = formula.arguments
    if "input" in kwargs and len(formula.inputs) == 1:
        kwargs[formula.inputs[0]] = kwargs.pop("input")
    given = dict(zip(names, args, strict=False))
    wrong = [name for name in kwargs if name not in names or name in given]
    given |= kwargs
    if wrong or len(args) > len(names) or not given.keys() >= set(formula.inputs):
        raise FormulaError(f"{shown} takes ({', '.join(names)})")
    # What is at its default is left to the formula, as where it is not given at all.
    operands = {
        name: number(value)
        for name, value in given.items()
        if not isinstance(value, (int, float)) or value != formula.parameters.get(name)
    }
    known = USABLE.get(formula.name or "")
    plain = operands.keys() == set(formula.inputs)
    if known is not None and known.arity == len(operands) and plain and _is_library(formula):
        return known(*operands.values())
    return formula.applied(**operands)


def _is_library(formula: Formula) -> bool:
    return formula.name in LIBRARY and LIBRARY[formula.name]() == formula


def _library(name: str, *args: Any, **kwargs: Any) -> Expr:
    if name not in LIBRARY:
        raise FormulaError(f"no formula is called {name!r}")
    return apply_formula(name, LIBRARY[name](), args, kwargs)


def _add(input: Any, other: Any, *, alpha: Any = 1) -> Expr:
    return ADD(number(input), _scaled(other, alpha))


def _sub(input: Any, other: Any, *, alpha: Any = 1) -> Expr:
    return SUB(number(input), _scaled(other, alpha))


def _rsub(input: Any, other: Any, *, alpha: Any = 1) -> Expr:
    return SUB(number(other), _scaled(input, alpha))


def _scaled(value: Any, factor: Any) -> Expr:
    plain = not isinstance(factor, Tracer) and factor == 1
    return number(value) if plain else MUL(number(factor), number(value))


def _div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Expr:
    if rounding_mode is not None:
        raise FormulaError(f"rounding_mode={rounding_mode!r} is not supported, only None")
    return DIV(number(input), number(other))


def _where(condition: Any, input: Any, other: Any) -> Expr:
    return where(truth(condition), number(input), number(other))


def _tensor_where(input: Any, condition: Any, other: Any) -> Expr:
    return _where(condition, input, other)


def _masked_fill(input: Any, mask: Any, value: Any) -> Expr:
    return where(truth(mask), number(value), number(input))


def _max(input: Any, other: Any = None) -> Expr:
    return maximum(number(input), _elementwise(other, "maximum"))


def _min(input: Any, other: Any = None) -> Expr:
    return minimum(number(input), _elementwise(other, "minimum"))


def _elementwise(other: Any, instead: str) -> Expr:
    # torch.max(x) and torch.max(x, 0) reduce; the 0 is a dimension.
    if isinstance(other, Tracer) or hasattr(other, "numel"):
        return number(other)
    raise FormulaError(f"reduces a dimension, {POINTWISE}; write torch.{instead}(a, b)")


def _clamp(input: Any, min: Any = None, max: Any = None) -> Expr:
    """At a bound torch's derivative is 1: the bound itself belongs to the branch of x."""
    x = number(input)
    if min is None and max is None:
        raise FormulaError("needs min, max or both")
    if min is None:
        return where(x > number(max), number(max), x)
    if max is None:
        return where(x < number(min), number(min), x)
    return clip(x, number(min), number(max))


def _clamp_min(input: Any, min: Any) -> Expr:
    return _clamp(input, min=min)


def _clamp_max(input: Any, max: Any) -> Expr:
    return _clamp(input, max=max)


def _heaviside(input: Any, values: Any) -> Expr:
    x = number(input)
    return where(x > 0, 1, where(x < 0, 0, number(values)))


def _lerp(input: Any, end: Any, weight: Any) -> Expr:
    start = number(input)
    return start + number(weight) * (number(end) - start)


def _addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Expr:
    return number(input) + _scaled(tensor1, value) * number(tensor2)


def _addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Expr:
    return number(input) + _scaled(tensor1, value) / number(tensor2)


def _logit(input: Any, eps: Any = None) -> Expr:
    x = number(input)
    x = x if eps is None else clip(x, number(eps), 1 - number(eps))
    return log(x / (1 - x))


def _logaddexp(input: Any, other: Any) -> Expr:
    return log(exp(number(input)) + exp(number(other)))


def _hypot(input: Any, other: Any) -> Expr:
    return sqrt(number(input) ** 2 + number(other) ** 2)


def _log_ndtr(input: Any) -> Expr:
    return log(ndtr(number(input)))


def _gelu(input: Any, approximate: str = "none") -> Expr:
    if approximate not in ("none", "tanh"):
        raise FormulaError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return _library("gelu" if approximate == "none" else "gelu_tanh", input)


def _softplus(input: Any, beta: Any = 1.0, threshold: Any = 20.0) -> Expr:
    # PyTorch's threshold guards exp from overflow; from its default on it changes no more than
    # rounding does, and the exact function is meant.
    if not isinstance(threshold, Tracer) and threshold >= 20:
        if not isinstance(beta, Tracer) and beta == 1:
            return USABLE["softplus"](number(input))
        return _library("softplus", input, beta=beta)
    return _library("softplus_threshold", input, beta=beta, threshold=threshold)


def _rrelu(input: Any, lower: Any = 1 / 8, upper: Any = 1 / 3, training: bool = False) -> Expr:
    if training:
        raise FormulaError(f"{DRAWS}; call it with training=False")
    return _library("rrelu", input, slope=(lower + upper) / 2)


def _dropout(input: Any, p: float = 0.5, training: bool = True) -> Expr:
    if training:
        raise FormulaError(f"{DRAWS}; apply it outside of the activation")
    return number(input)


def _glu(input: Any, dim: int = -1) -> NoReturn:
    raise FormulaError("depends on the shape; write a * torch.sigmoid(b) with two inputs a, b")


def _same(input: Any) -> Expr:
    return number(input)


def _clone(input: Any, *, memory_format: Any = None) -> Expr:
    return number(input)


def _type_as(input: Any, other: Any) -> Expr:
    return number(input)


def _to(input: Any, *args: Any, **kwargs: Any) -> Expr:
    import torch

    for given in (*args, *kwargs.values()):
        if isinstance(given, torch.dtype) and given not in (torch.float32, torch.float64):
            raise FormulaError(f"{given} rounds; a formula is exact, leave the conversion out")
    return number(input)


def _bool(input: Any) -> Expr:
    test = isinstance(input, Tracer) and is_condition(expression_of(input))
    return truth(input) if test else NE(number(input), 0)


def _zeros_like(input: Any, **_: Any) -> Expr:
    return Number(0)


def _ones_like(input: Any, **_: Any) -> Expr:
    return Number(1)


def _full_like(input: Any, fill_value: Any, **_: Any) -> Expr:
    return number(fill_value)


CONVENTIONS: dict[str, Callable[..., Expr]] = {
    "add": _add,
    "sub": _sub,
    "subtract": _sub,
    "rsub": _rsub,
    "div": _div,
    "divide": _div,
    "where": _where,
    "Tensor.where": _tensor_where,
    "masked_fill": _masked_fill,
    "max": _max,
    "min": _min,
    "clamp": _clamp,
    "clip": _clamp,
    "clamp_min": _clamp_min,
    "clamp_max": _clamp_max,
    "heaviside": _heaviside,
    "lerp": _lerp,
    "addcmul": _addcmul,
    "addcdiv": _addcdiv,
    "logit": _logit,
    "logaddexp": _logaddexp,
    "hypot": _hypot,
    "log_ndtr": _log_ndtr,
    "gelu": _gelu,
    "softplus": _softplus,
    "rrelu": _rrelu,
    "glu": _glu,
    "dropout": _dropout,
    "alpha_dropout": _dropout,
    "feature_dropout": _dropout,
    "positive": _same,
    "contiguous": _clone,
    "clone": _clone,
    "float": _clone,
    "double": _clone,
    "type_as": _type_as,
    "to": _to,
    "bool": _bool,
    "zeros_like": _zeros_like,
    "ones_like": _ones_like,
    "full_like": _full_like,
}
