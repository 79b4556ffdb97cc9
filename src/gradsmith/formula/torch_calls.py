"""What each of torch's functions and Tensor methods means as an expression.

A function is looked up, in this order, in :mod:`gradsmith.formula.torch_conventions`, in the
vocabulary by the ``torch`` names of its records, and among the named formulas, which have PyTorch's
names and arguments.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Any, NoReturn

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import FUNCTIONS, Expr, Function
from gradsmith.formula.formula import LIBRARY, Formula
from gradsmith.formula.refusals import CUT, NO_PROPERTIES, REASON_OF
from gradsmith.formula.torch_conventions import CONVENTIONS, apply_formula
from gradsmith.formula.tracer import condition, number
from gradsmith.formula.vocabulary import LOGIC, USABLE

_SYNONYMS = ({"input", "self"}, {"other", "exponent"})


def call(function: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Expr:
    """The call of one of torch's functions, or of an activation, as an expression.

    Raises:
        FormulaError: no formula expresses it; the message names the call and what to write.
    """
    formula = getattr(function, "formula", None)
    if isinstance(formula, Formula):
        return apply_formula(formula.name or "the activation", formula, args, dict(kwargs))
    shown = _public_name(function)
    name = shown.rpartition(".")[2]
    kwargs = _without_options(shown, kwargs)
    convention = CONVENTIONS.get(shown, CONVENTIONS.get(name))
    if convention is not None:
        return _of_convention(shown, convention, args, kwargs)
    known = _by_torch_name().get(name, USABLE.get(name))
    if known is not None and len(args) + len(kwargs) == known.arity:
        return _of_vocabulary(shown, known, args, kwargs)
    if name in LIBRARY:
        return apply_formula(shown, LIBRARY[name](), args, kwargs)
    if known is not None:
        raise FormulaError(f"{shown} takes {known.arity} argument(s), got {len(args)}")
    _refuse(shown, name)


def method(name: str) -> Any:
    """The Tensor method of that name.

    Raises:
        FormulaError: it is no method but a property.
        AttributeError: tensors have none of that name.
    """
    import torch

    function = getattr(torch.Tensor, name)
    if callable(function):
        return function
    raise FormulaError(f"x.{name} cannot be traced: it {CUT if name == 'data' else NO_PROPERTIES}")


@cache
def _by_torch_name() -> dict[str, Function]:
    """Every record of the vocabulary by the last part of each of its torch names."""
    return {
        name.rpartition(".")[2]: function
        for function in FUNCTIONS.values()
        for name in function.torch
    }


@cache
def _public_names() -> dict[int, str]:
    import torch

    return {
        id(value): f"{space.__name__}.{name}"
        for space in (torch.nn.functional, torch.special, torch)
        for name, value in vars(space).items()
        if callable(value) and not name.startswith("_")
    }


def _public_name(function: Any) -> str:
    """``torch.nn.functional.logsigmoid`` for what calls itself ``log_sigmoid``."""
    name = getattr(function, "__name__", type(function).__name__)
    return _public_names().get(id(function), f"Tensor.{name}")


def _without_options(shown: str, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments without those that do not concern the value."""
    rest = dict(kwargs)
    if rest.pop("inplace", False):
        raise FormulaError(f"{shown}: inplace=True changes a tensor in place; leave it out")
    if rest.pop("out", None) is not None:
        raise FormulaError(f"{shown}: out= writes into a tensor; use the value it returns")
    return rest


def _of_convention(
    shown: str, convention: Callable[..., Expr], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Expr:
    if "self" in kwargs:
        kwargs["input"] = kwargs.pop("self")
    signature = inspect.signature(convention)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        accepted = ", ".join(
            str(p.replace(annotation=p.empty)) for p in signature.parameters.values()
        )
        raise FormulaError(f"{shown} takes ({accepted}): {error}") from None
    try:
        return convention(*bound.args, **bound.kwargs)
    except FormulaError as error:
        raise FormulaError(f"{shown}: {error.message}") from None


def _of_vocabulary(
    shown: str, function: Function, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Expr:
    operands = list(args)
    for names in _SYNONYMS[len(args) : function.arity]:
        given = [kwargs.pop(name) for name in names & kwargs.keys()]
        operands.extend(given)
    if kwargs or len(operands) != function.arity:
        raise FormulaError(f"{shown} takes {function.arity} argument(s), got {[*kwargs]}")
    read = condition if function in LOGIC else number
    try:
        return function(*(read(operand) for operand in operands))
    except FormulaError as error:
        raise FormulaError(f"{shown}: {error.message}") from None


def _refuse(shown: str, name: str) -> NoReturn:
    if name.endswith("_") and not name.startswith("_"):
        raise FormulaError(
            f"{shown} changes a tensor in place; write {name[:-1]}, which makes a new one"
        )
    if name in REASON_OF:
        raise FormulaError(f"{shown} cannot be traced: it {REASON_OF[name]}")
    accepted = sorted({*_by_torch_name(), *(n for n in CONVENTIONS if "." not in n), *LIBRARY})
    near = get_close_matches(name, accepted, n=1, cutoff=0.6)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise FormulaError(
        f"{shown} is not part of a formula{hint} Accepted are operators, {', '.join(accepted)}"
    )
