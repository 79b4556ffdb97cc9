"""What users hold: a formula that can be called on tensors, differentiated and put into a model.

Everything that looks at an activation takes one, a catalogue name, a formula or a function;
:func:`resolve` makes them one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from inspect import Parameter, Signature, getdoc
from typing import Any, NoReturn, overload

import torch
from torch import Tensor

from gradsmith.calculus.derivative import derivative
from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Expr, Symbol
from gradsmith.formula.formula import LIBRARY, Formula
from gradsmith.formula.names import canonical, given_inputs, given_names, misread
from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import USABLE
from gradsmith.numerics.target import FLOAT32
from gradsmith.operator.contract import told
from gradsmith.operator.module import ActivationModule, refuse_script
from gradsmith.operator.pointwise import Pointwise
from gradsmith.operator.saving import AUTO, CHOICES, SavePlan

_CONTRACT = 1.0  # ULP of float32
_SHOWN = 100  # characters of a formula in a repr


class Activation:
    """A formula as a differentiable function of tensors.

    Call it with its inputs, which broadcast against each other; parameters follow by position or
    by name and may be numbers or tensors. Values and gradients of any order are those of the
    formula, computed in a wider dtype and rounded once. It cannot be changed, and two activations
    are equal if their formulas are.

    Args:
        formula: what it computes.
        name: what it is called; left out, the formula's own name.
        doc: a description for the reader.
        max_ulp: the error in units in the last place that a float32 result may have, 1 or more.
        save: "auto", or "output" to keep the output for backward whatever that costs in accuracy.

    Attributes:
        formula: what it computes.
        name: what it is called, or None.
        doc: a description for the reader.
        max_ulp: the error that a float32 result may have.
        save: "auto" or "output".
        operation: what computes it; its ``gradient`` is the backward pass.
    """

    formula: Formula
    name: str | None
    doc: str
    operation: Pointwise
    __name__: str
    __signature__: Signature

    max_ulp: float
    save: str
    _defaults: tuple[float, ...]
    _derived: tuple[Activation, str, int] | None

    def __init__(
        self,
        formula: Formula,
        name: str | None = None,
        doc: str = "",
        max_ulp: float = _CONTRACT,
        save: str = AUTO,
        *,
        _derived: tuple[Activation, str, int] | None = None,
    ) -> None:
        if not isinstance(formula, Formula):
            raise TypeError(f"an Activation is made of a Formula, got {type(formula).__name__}")
        if "out" in formula.arguments:
            raise FormulaError("'out' is an argument of every call; choose another name")
        if not (isinstance(max_ulp, (int, float)) and max_ulp >= _CONTRACT):
            raise ValueError(f"max_ulp is a number of at least {_CONTRACT:g}, got {max_ulp!r}")
        if save not in CHOICES:
            raise ValueError(f"save is one of {', '.join(map(repr, CHOICES))}; got {save!r}")
        name = name or formula.name
        label = name or "activation"
        self.__dict__.update(
            formula=formula,
            name=name,
            doc=doc,
            max_ulp=float(max_ulp),
            save=save,
            operation=Pointwise(
                formula.expression,
                formula.arguments,
                (),
                formula.parameters,
                _origin(_derived),
                float(max_ulp),
                save,
            ),
            _defaults=tuple(formula.parameters.values()),
            _derived=_derived,
            __name__=label,
            __qualname__=label,
            __signature__=_signature(formula),
        )

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"an {type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"an {type(self).__name__} cannot be changed")

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors it is applied to."""
        return self.formula.inputs

    @property
    def parameters(self) -> Mapping[str, float]:
        """Names and defaults of everything else in the formula."""
        return self.formula.parameters

    @property
    def expression(self) -> Expr:
        """The formula, as it was written."""
        return self.formula.expression

    def save_plan(
        self, needed: Iterable[str] | None = None, dtype: torch.dtype = torch.float32
    ) -> SavePlan:
        """What a call keeps for backward if the inputs (or ``needed``) require a gradient."""
        return self.operation.save_plan(None if needed is None else tuple(needed), dtype)

    def __call__(
        self, *inputs: Tensor | float, out: Tensor | None = None, **parameters: Tensor | float
    ) -> Tensor:
        """Apply it.

        Args:
            inputs: the input tensors of any floating or integer dtype, shapes that broadcast;
                then, if by position, parameters.
            out: a tensor to write the result to, as torch's unary functions have it.
            parameters: numbers or tensors in place of the defaults; gradients flow to tensors.

        Raises:
            TypeError: an argument is missing, unknown or of a kind that is not accepted.
            ValueError: shapes do not broadcast, or tensors are on different devices.
        """
        if not parameters and out is None and not torch.compiler.is_dynamo_compiling():
            result = self.operation.quick(inputs + self._defaults)
            if result is not None:
                return result
        operands: Sequence[Any] = inputs
        if parameters or len(inputs) != len(self.operation.operands):
            operands = self._bound(inputs, parameters)
        for name, operand in zip(self.inputs, operands, strict=False):
            if not isinstance(operand, Tensor):
                return self._not_a_tensor(name, operand, inputs, parameters)
        return self.operation(*operands, out=out)

    def _bound(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        names = self.formula.arguments
        given = dict(zip(names, args, strict=False))
        unknown = [name for name in named if name not in names]
        if unknown:  # it may be another spelling, which only what is not written in a call can be
            named = given_names(named)
            unknown = [name for name in named if name not in names]
        twice = [name for name in named if name in given]
        missing = [name for name in self.inputs if name not in given and name not in named]
        if len(args) > len(names):
            raise TypeError(f"{self._usage()} takes {len(names)} arguments, got {len(args)}")
        for wrong, what in ((unknown, "no argument"), (twice, "got twice"), (missing, "needs")):
            if wrong:
                raise TypeError(f"{self._usage()}: {what} {', '.join(wrong)}")
        values = {**self.parameters, **given, **named}
        return [values[name] for name in names]

    def _usage(self) -> str:
        return f"{self.__name__}{self.__signature__}"

    def _not_a_tensor(
        self, name: str, operand: object, inputs: tuple[Any, ...], parameters: dict[str, Any]
    ) -> Tensor:
        # What stands for a tensor while a function is traced decides itself what the call means.
        if hasattr(type(operand), "__torch_function__"):
            relevant = (operand, *inputs, *parameters.values())
            handle = torch.overrides.handle_torch_function
            handled: Tensor = handle(self, relevant, *inputs, **parameters)
            return handled
        kind = type(operand).__name__
        raise TypeError(f"{self._usage()}: {name} must be a torch.Tensor, got {kind}")

    def derivative(self, wrt: str | None = None, order: int = 1) -> Activation:
        """The derivative, itself an activation of the same inputs and parameters.

        Args:
            wrt: name of an input or a parameter; left out, the first input.
            order: how often to differentiate.

        Raises:
            ValueError: there is no such name, or the order is negative.
            TypeError: the order is not an integer.
        """
        wrt = self.inputs[0] if wrt is None else canonical(wrt)
        if wrt not in self.formula.arguments:
            has = ", ".join(self.formula.arguments)
            raise ValueError(f"{self.__name__} has no input or parameter {wrt!r}; it has {has}")
        if not isinstance(order, int) or isinstance(order, bool):
            raise TypeError(f"the order of a derivative is an integer, got {order!r}")
        if order == 0:
            return self
        expression = derivative(self.expression, Symbol(wrt), order)
        by = "" if wrt == self.inputs[0] and len(self.inputs) == 1 else f"_{wrt}"
        name = f"{self.name or 'f'}{_primes(order)}{by}"
        formula = Formula(expression, self.inputs, self.parameters, str(expression), name)
        return Activation(formula, max_ulp=self.max_ulp, _derived=(self, wrt, order))

    def module(
        self, learnable: bool | str | Iterable[str] = (), **parameters: float | Tensor
    ) -> ActivationModule:
        """An ``nn.Module`` that applies it.

        Args:
            learnable: names of the parameters to be learned, or True for all.
            parameters: values in place of the defaults; see :class:`ActivationModule`.
        """
        return ActivationModule(self, learnable, **parameters)

    def __prepare_scriptable__(self) -> NoReturn:
        refuse_script(self.name or str(self.formula))

    def __repr__(self) -> str:
        text = str(self.formula)
        text = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
        defaults = "".join(f", {name}={value!r}" for name, value in self.parameters.items())
        label = f"{self.name}: " if self.name else ""
        return f"Activation({label}{text}{defaults})"

    def __str__(self) -> str:
        return str(self.formula)

    def _repr_latex_(self) -> str:
        return self.formula._repr_latex_()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Activation):
            return NotImplemented
        return self._meaning == other._meaning

    def __hash__(self) -> int:
        return hash(self._meaning)

    @property
    def _meaning(self) -> tuple[Formula, float, str]:
        return self.formula, self.max_ulp, self.save

    def __reduce__(self) -> tuple[Callable[..., Activation], tuple[Any, ...]]:
        if self._derived is not None:
            return Activation.derivative, self._derived
        return type(self), (self.formula, self.name, self.doc, self.max_ulp, self.save)

    def __copy__(self) -> Activation:
        return self

    def __deepcopy__(self, memo: object) -> Activation:
        return self


def _origin(derived: tuple[Activation, str, int] | None) -> tuple[Pointwise, Symbol] | None:
    """What a derivative is the derivative of: its stable form is one proposal for the numerics."""
    if derived is None:
        return None
    of, wrt, order = derived
    return of.derivative(wrt, order - 1).operation, Symbol(wrt)


def _signature(formula: Formula) -> Signature:
    either = Parameter.POSITIONAL_OR_KEYWORD
    arguments = [Parameter(name, either) for name in formula.inputs]
    arguments += [Parameter(n, either, default=d) for n, d in formula.parameters.items()]
    return Signature([*arguments, Parameter("out", Parameter.KEYWORD_ONLY, default=None)])


def _primes(order: int) -> str:
    return ("", "′", "″", "‴")[order] if order < 4 else f"⁽{str(order).translate(_SUPERSCRIPT)}⁾"


_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")

Resolvable = Activation | Formula | str | Callable[..., Any]
"""What every verb takes: an activation, a catalogue name, a formula's text, or a function."""


@overload
def activation(
    formula: Resolvable,
    *,
    inputs: Sequence[str] | None = None,
    name: str | None = None,
    max_ulp: float | None = None,
    save: str | None = None,
    **parameters: float,
) -> Activation: ...


@overload
def activation(
    formula: None = None,
    *,
    inputs: Sequence[str] | None = None,
    name: str | None = None,
    max_ulp: float | None = None,
    save: str | None = None,
    **parameters: float,
) -> Callable[[Callable[..., Any]], Activation]: ...


def activation(
    formula: Resolvable | None = None,
    *,
    inputs: Sequence[str] | None = None,
    name: str | None = None,
    max_ulp: float | None = None,
    save: str | None = None,
    **parameters: float,
) -> Activation | Callable[[Callable[..., Any]], Activation]:
    """An activation from a formula; also a decorator of a function that computes one.

    Args:
        formula: text such as ``"x * sigmoid(beta*x)"``, a catalogue name such as ``"mish"``, a
            :class:`Formula`, an :class:`Activation`, or a Python function written with torch's
            own calls. Left out, the result is a decorator.
        inputs: names of the input tensors, where the formula leaves that open.
        name: what to call it.
        max_ulp: the error in units in the last place that a float32 result may have: 1, or more
            where that is enough and speed is worth it. Left out: 1, or that of the activation.
        save: what is kept for backward. "auto", where left out: what the numerical contract
            needs, at least cost. "output": the output, as PyTorch's sigmoid and tanh do, which
            costs no memory where the next layer keeps it, and accuracy where the function
            saturates; ``save_plan()`` says how much.
        parameters: default of each parameter.

    Raises:
        FormulaError: the formula cannot be read, or has no such parameter.
        TypeError: the formula is of another type.
        ValueError: ``max_ulp`` is less than 1, or there is no such ``save``.

    Warns:
        AccuracyWarning: no expression was found whose float32 result keeps the numerical
            contract everywhere; it names the input, the error and the budget.
    """
    if formula is None:
        return lambda function: activation(
            function, inputs=inputs, name=name, max_ulp=max_ulp, save=save, **parameters
        )
    inputs, parameters = given_inputs(inputs), given_names(parameters)
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name= is what to call it, a text, got {name!r}")
    allowed = _CONTRACT if max_ulp is None else max_ulp
    chosen = AUTO if save is None else save
    if isinstance(formula, str):
        bare = formula.strip()
        if bare in LIBRARY:
            changed = _changed(LIBRARY[bare](), inputs, name, parameters)
            return _saving(Activation(changed, max_ulp=allowed, save=chosen))
        made = _from_text(formula, inputs, name, parameters)
        return _checked(Activation(made, max_ulp=allowed, save=chosen))
    if isinstance(formula, Activation):
        changed = _changed(formula.formula, inputs, name, parameters)
        allowed = formula.max_ulp if max_ulp is None else max_ulp
        chosen = formula.save if save is None else save
        if changed is formula.formula and (allowed, chosen) == (formula.max_ulp, formula.save):
            return formula
        return _saving(Activation(changed, None, formula.doc, allowed, chosen))
    if isinstance(formula, Formula):
        changed = _changed(formula, inputs, name, parameters)
        return _saving(Activation(changed, max_ulp=allowed, save=chosen))
    if callable(formula):
        from gradsmith.formula.trace import trace

        traced = trace(formula, parameters=parameters or None, inputs=inputs, name=name)
        return _checked(Activation(traced, None, getdoc(formula) or "", allowed, chosen))
    raise TypeError(
        "an activation is made of a text, a catalogue name, a Formula, an Activation or a "
        f"function; got {type(formula).__name__}"
    )


def resolve(thing: Resolvable) -> Activation:
    """The activation that ``thing`` stands for; the one entry of every verb.

    Args:
        thing: an activation, a catalogue name, a formula's text, a formula or a function.

    Raises:
        FormulaError: the text cannot be read.
        TypeError: it is none of these.
    """
    return activation(thing)


def _from_text(
    text: str, inputs: Sequence[str] | None, name: str | None, parameters: Mapping[str, float]
) -> Formula:
    bare = text.strip()
    called = bare.isidentifier() and misread(bare) is None
    if called and inputs is None and canonical(bare) not in {"x", *USABLE, *parameters}:
        # As a formula it would be the identity of an input of that name, which nobody means.
        near = get_close_matches(bare, LIBRARY, n=1, cutoff=0.6)
        hint = f"did you mean {near[0]!r}?" if near else "write a formula such as 'x*sigmoid(x)'"
        raise FormulaError(f"no activation is called {bare!r}; {hint}")
    return parse(text, parameters, inputs, name)


def _checked(made: Activation) -> Activation:
    """Say now where the float32 value or first derivative will miss the contract of 1 ULP."""
    for what, operation in _value_and_derivatives(made):
        stable = operation.stable_for(FLOAT32)
        told(f"the {what} of ", stable, made.max_ulp, of=made.formula)
    return _saving(made)


def _saving(made: Activation) -> Activation:
    """Say now if the derivative cannot be had from the output, where that is asked for."""
    if made.save != AUTO:
        _ = made.operation.output_form
    return made


def _value_and_derivatives(made: Activation) -> list[tuple[str, Pointwise]]:
    found = [("value", made.operation)]
    for name in made.inputs:
        gradient = made.operation.gradient(name)
        if gradient is not None and gradient.arguments:  # a constant is what it is
            found.append((f"derivative in {name}", gradient))
    return found


def _changed(
    formula: Formula,
    inputs: Sequence[str] | None,
    name: str | None,
    parameters: Mapping[str, float],
) -> Formula:
    called = formula.name or str(formula)
    if inputs is not None and tuple(inputs) != formula.inputs:
        raise FormulaError(f"the inputs of {called} are {formula.inputs}, not {tuple(inputs)}")
    unknown = [key for key in parameters if key not in formula.parameters]
    if unknown:
        has = ", ".join(formula.parameters) or "none"
        raise FormulaError(f"{called} has no parameter {unknown[0]!r}; its parameters: {has}")
    if not parameters and name is None:
        return formula
    merged = {**formula.parameters, **parameters}
    return replace(formula, parameters=merged, name=name or formula.name)
