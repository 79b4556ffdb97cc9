"""The arguments of each activation, in PyTorch's names and order, from its record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from inspect import Parameter, Signature, signature
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradsmith.catalogue.record import Entry

INPUT = "input"
INPLACE = "inplace"
OUT = "out"
LEARNABLE = "learnable"


def input_names(entry: Entry) -> tuple[str, ...]:
    """What a call's tensors are called: PyTorch calls a single one ``input``."""
    single = entry.convention is not None or len(entry.inputs) == 1
    return (INPUT,) if single else entry.inputs


def function_signature(entry: Entry) -> Signature:
    """``(input, *parameters, inplace=False, *, out=None)``, as ``torch.nn.functional`` has it.

    ``inplace`` is there where PyTorch has it. ``out`` is PyTorch's for its unary functions only;
    here every activation has it.
    """
    either = Parameter.POSITIONAL_OR_KEYWORD
    if entry.convention is not None:
        arguments = list(signature(entry.convention).parameters.values())
    else:
        arguments = [Parameter(name, either) for name in input_names(entry)]
        arguments += [Parameter(n, either, default=d) for n, d in entry.parameters.items()]
    if entry.inplace:
        arguments.append(Parameter(INPLACE, either, default=False))
    bare = [argument.replace(annotation=Parameter.empty) for argument in arguments]
    return Signature([*bare, Parameter(OUT, Parameter.KEYWORD_ONLY, default=None)])


@dataclass(frozen=True)
class Arguments:
    """Binds a call's arguments to names, quicker than :meth:`inspect.Signature.bind`.

    Attributes:
        function: what to call the function in an error.
        signature: as :func:`function_signature` gives it.
    """

    function: str
    signature: Signature
    names: tuple[str, ...] = field(init=False)
    required: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        positional = [p for p in self.signature.parameters.values() if p.kind != p.KEYWORD_ONLY]
        required = frozenset(p.name for p in positional if p.default is Parameter.empty)
        object.__setattr__(self, "names", tuple(p.name for p in positional))
        object.__setattr__(self, "required", required)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """The arguments that may be left out."""
        parameters = self.signature.parameters
        return {n: parameters[n].default for n in self.names if n not in self.required}

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """What was given, by name; defaults are not filled in.

        Raises:
            TypeError: an argument is missing, unknown or given twice.
        """
        bound = dict(zip(self.names, args, strict=False))
        wrong = [name for name in kwargs if name not in self.names or name in bound]
        bound |= kwargs
        if wrong or len(args) > len(self.names) or not self.required <= bound.keys():
            given = ", ".join([*(type(a).__name__ for a in args), *(f"{k}=…" for k in kwargs)])
            raise TypeError(f"{self.function} takes {self.signature}, got ({given})")
        return bound
