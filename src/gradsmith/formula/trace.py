"""A Python function to :class:`Formula`: it is called once, with objects that record what is done.

The function may be written with torch's own calls; existing code needs no rewriting.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradsmith.errors import FormulaError
from gradsmith.formula.constants import refuse_excess
from gradsmith.formula.expression import Expr, Symbol, free_symbols
from gradsmith.formula.formula import Formula
from gradsmith.formula.names import check_name, given_inputs, given_names
from gradsmith.formula.tracer import Tracer, expression_of, is_condition


def trace(
    function: Callable[..., Any],
    parameters: Mapping[str, float] | None = None,
    inputs: Sequence[str] | None = None,
    name: str | None = None,
) -> Formula:
    """The formula that a function computes, as :func:`gradsmith.formula.parse.parse` gives it.

    Args:
        function: a pointwise function of tensors: operators, ``torch``, ``torch.special``,
            ``torch.nn.functional``, Tensor methods, modules and activations, in any mix. Arguments
            without a default are inputs, those with a number as default are parameters; any other
            default stays as it is.
        parameters: defaults in place of, or in addition to, those of the function.
        inputs: names of the arguments that are inputs, where it is not those without default.
        name: what to call the formula; left out, the function's name.

    Raises:
        FormulaError: no formula expresses what the function does; the message names the call and
            what to write instead.
        TypeError: a parameter's default is no number, or ``function`` cannot be called.
    """
    if not callable(function):
        raise TypeError(f"a function is traced, got {type(function).__name__}")
    own_name = _name_of(function)
    called = own_name or "the function"
    parameters, inputs = given_names(parameters or {}), given_inputs(inputs)
    plan = _plan(_arguments(function), called, parameters, inputs)
    expression = _result(function, called, plan)
    refuse_excess(expression)
    used = {symbol.name for symbol in free_symbols(expression)}
    unused = [parameter for parameter in plan.parameters if parameter not in used]
    if unused:
        raise FormulaError(f"parameter {unused[0]!r} does not occur in what {called} returns")
    if not used:
        raise FormulaError(f"{called} is constant; it returned {expression}")
    source = own_name or str(expression)
    return Formula(expression, plan.inputs, plan.parameters, source, name or own_name)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the function is called with; the order is that of its arguments."""

    inputs: tuple[str, ...]
    parameters: dict[str, float]
    positional: tuple[Any, ...]
    named: dict[str, Any]


def _name_of(function: Callable[..., Any]) -> str | None:
    name = getattr(function, "__name__", type(function).__name__)
    return None if name == "<lambda>" else name


def _arguments(function: Callable[..., Any]) -> list[inspect.Parameter]:
    import torch

    if isinstance(function, torch.nn.Module):
        function = function.forward
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except ValueError:  # one of torch's own, written in C
        return [inspect.Parameter("x", inspect.Parameter.POSITIONAL_ONLY)]
    if arguments and arguments[0].name == "input" and _is_torch(function):
        # What torch calls its input is x in a formula.
        arguments[0] = arguments[0].replace(name="x", kind=inspect.Parameter.POSITIONAL_ONLY)
    return [p for p in arguments if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def _is_torch(function: Callable[..., Any]) -> bool:
    return (getattr(function, "__module__", None) or "").partition(".")[0] == "torch"


def _plan(
    arguments: list[inspect.Parameter],
    called: str,
    parameters: dict[str, float],
    inputs: Sequence[str] | None,
) -> _Plan:
    _check_given([argument.name for argument in arguments], called, parameters, inputs or ())
    found_inputs: list[str] = []
    found_parameters: dict[str, float] = {}
    positional: list[Any] = []
    named: dict[str, Any] = {}
    for argument in arguments:
        default = parameters.get(argument.name, argument.default)
        chosen = argument.name in inputs if inputs is not None else default is argument.empty
        if chosen:
            found_inputs.append(argument.name)
        elif argument.name in parameters or _is_number(default):
            found_parameters[argument.name] = default
        elif default is argument.empty:
            raise FormulaError(
                f"argument {argument.name!r} of {called} is neither an input nor a parameter; "
                f"give its default ({argument.name}=1.0) or name it among the inputs"
            )
        value = default
        if chosen or argument.name in found_parameters:
            check_name(argument.name)
            value = Tracer(Symbol(argument.name))
        if argument.kind is argument.KEYWORD_ONLY:
            named[argument.name] = value
        else:
            positional.append(value)
    if not found_inputs:
        raise FormulaError(
            f"{called} has no input: an argument without a default, or one named by inputs=(...)"
        )
    ordered = tuple(inputs) if inputs is not None else tuple(found_inputs)
    return _Plan(ordered, found_parameters, tuple(positional), named)


def _check_given(
    names: list[str], called: str, parameters: dict[str, float], inputs: Sequence[str]
) -> None:
    for given in (*parameters, *inputs):
        if given not in names:
            takes = f"takes ({', '.join(names)})" if names else "has no arguments with names"
            raise FormulaError(f"{called} has no argument {given!r}; it {takes}")
    for given in inputs:
        if given in parameters:
            raise FormulaError(f"{given!r} is given both as an input and as a parameter")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _result(function: Callable[..., Any], called: str, plan: _Plan) -> Expr:
    from gradsmith.formula.draws import Draws

    draws = Draws()
    try:
        with draws:
            result = function(*plan.positional, **plan.named)
    except FormulaError:
        raise
    except Exception as error:
        raise FormulaError(
            f"{called} cannot be traced: it stopped with {type(error).__name__}: {error}. While it "
            "is traced its arguments are no tensors; it may use operators, torch's functions and "
            "Tensor methods on them"
        ) from error
    draws.refuse()
    if not isinstance(result, Tracer):
        given = "None; is `return` missing?" if result is None else f"a {type(result).__name__}"
        raise FormulaError(
            f"{called} must return one result computed from its inputs, it returned {given}"
        )
    expression = expression_of(result)
    if is_condition(expression):
        raise FormulaError(
            f"{called} returned the condition {expression}; write torch.where(condition, 1.0, 0.0)"
        )
    return expression
