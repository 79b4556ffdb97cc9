"""The activations of ``torch.nn``, by the same names and constructor arguments, as modules of ours.

The classes are made from the catalogue's records; an entry that ``torch.nn`` does not have gets a
class in the same way. A ``state_dict`` has PyTorch's keys, so that PyTorch's own loads.

Beyond PyTorch's arguments, a class whose formula has parameters takes ``learnable``: True makes
all of them a ``torch.nn.Parameter``, names make those. Each is one number with a key in the
``state_dict``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from inspect import Parameter as Argument
from inspect import Signature, signature
from operator import itemgetter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Final

import torch
from torch import Tensor
from torch.compiler import is_dynamo_compiling
from torch.nn import Module, Parameter

from gradsmith.catalogue import CATALOGUE, ENTRIES, named
from gradsmith.catalogue.documentation import document_module
from gradsmith.catalogue.record import Entry
from gradsmith.catalogue.signatures import (
    INPLACE,
    LEARNABLE,
    OUT,
    Arguments,
    function_signature,
    input_names,
)
from gradsmith.operator.module import ActivationModule

if TYPE_CHECKING:
    from gradsmith.catalogue.functional import NamedActivation

    def __getattr__(name: str) -> type[CatalogueModule]: ...  # made from the records, below


_FROM_MODULE: Final = ("training",)  # what a function asks for and every module knows


def _shown(value: object) -> object:
    """A tensor as its number, or as its shape where it has none or several."""
    if isinstance(value, Tensor):
        return value.item() if value.dim() == 0 and not value.is_meta else list(value.shape)
    return value


def _without_self(given: Signature) -> Signature:
    return Signature(
        [p.replace(annotation=Argument.empty) for n, p in given.parameters.items() if n != "self"]
    )


def _reader(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """What gets the values of these names, None where there is none, in little time."""
    if not names:
        return lambda held: ()
    if len(names) == 1:
        return lambda held: (held.get(names[0]),)
    read = itemgetter(*names)

    def several(held: Mapping[str, Any]) -> tuple[Any, ...]:
        try:
            found: tuple[Any, ...] = read(held)
        except KeyError:
            return tuple([held.get(name) for name in names])
        return found

    return several


def _constructor(entry: Entry) -> Signature:
    """The function's arguments, less those that come with each call or with every module."""
    given = function_signature(entry).parameters
    not_ours = {*input_names(entry), OUT, *_FROM_MODULE}
    arguments = [argument for name, argument in given.items() if name not in not_ours]
    if any(argument.name in entry.parameters for argument in arguments):
        arguments.append(Argument(LEARNABLE, Argument.KEYWORD_ONLY, default=False))
    return Signature(arguments)


class CatalogueModule(ActivationModule):
    """An activation of the catalogue as a module; its arguments are its attributes.

    Attributes:
        entry: the record that the class is made from.
        activation: what it applies.
    """

    entry: ClassVar[Entry]
    activation: NamedActivation
    __signature__: ClassVar[Signature]
    _arguments: ClassVar[Arguments]
    _options: ClassVar[tuple[str, ...]]
    _numbers: ClassVar[staticmethod[[Mapping[str, Any]], tuple[Any, ...]]]

    def __init_subclass__(cls, *, entry: Entry | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__init__" in cls.__dict__:
            cls.__signature__ = _without_self(signature(cls.__init__))
        elif entry is not None:
            cls.__signature__ = _constructor(entry)
        if entry is not None:  # otherwise a subclass of one that has it
            cls.entry = entry
            cls.__doc__ = document_module(entry, cls.__signature__)
            cls._arguments = Arguments(cls.__name__, cls.__signature__)
            not_theirs = {*input_names(entry), OUT, INPLACE}
            given = function_signature(entry).parameters
            cls._options = tuple(name for name in given if name not in not_theirs)
            cls._numbers = staticmethod(_reader(cls._options))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        Module.__init__(self)
        self.activation = named(self.entry.name)
        learnable = kwargs.pop(LEARNABLE, False) if self._learnable() else False
        given = {**self._arguments.defaults, **self._arguments.bind(args, kwargs)}
        self.entry.check(given)
        chosen = self._chosen(learnable)
        for name, value in given.items():
            if name in chosen or isinstance(value, Tensor):
                self._set(name, value, name in chosen)
            else:
                setattr(self, name, value)

    @classmethod
    def _learnable(cls) -> list[str]:
        """The parameters that can be learned on request."""
        accepted = cls._arguments.signature.parameters
        return [name for name in cls.entry.parameters if {name, LEARNABLE} <= accepted.keys()]

    @classmethod
    def _chosen(cls, learnable: bool | str | Iterable[str]) -> set[str]:
        possible = cls._learnable()
        if isinstance(learnable, bool):
            return set(possible) if learnable else set()
        names = {learnable} if isinstance(learnable, str) else set(learnable)
        if not names <= set(possible):
            raise ValueError(
                f"{cls.__name__} can learn {', '.join(possible)}; got {LEARNABLE}={learnable!r}"
            )
        return names

    def forward(self, *inputs: Tensor, **named_inputs: Tensor) -> Tensor:
        """The activation of its input, a tensor of any shape."""
        held = self.__dict__
        quickly = not named_inputs and not held.get(INPLACE)
        if quickly and not is_dynamo_compiling():
            # What is a tensor is no attribute of the module's own.
            numbers = self._numbers(held)
            if numbers != held.get("_checked"):
                self.entry.check(dict(zip(self._options, numbers, strict=True)))
                held["_checked"] = numbers
            if self.entry.convention is None:
                result = self.activation.operation.quick(inputs + numbers)
                if result is not None:
                    return result
            elif len(inputs) == 1 and isinstance(inputs[0], Tensor):
                if None in numbers:
                    numbers = tuple([getattr(self, name) for name in self._options])
                return self.activation.conventionally(*inputs, *numbers)
        names = self.activation.arguments.names[len(input_names(self.entry)) :]
        if self.entry.convention is not None:  # it aligns by itself what needs it
            options = {name: getattr(self, name) for name in names}
        else:
            tensors = (*inputs, *named_inputs.values())
            options = {name: self._aligned(name, tensors) for name in names}
        return self.activation(*inputs, **named_inputs, **options)

    def extra_repr(self) -> str:
        """The arguments, written as ``torch.nn`` writes them, and which of them are learnable."""
        shown = {name: _shown(getattr(self, name)) for name in self._arguments.names}
        theirs = getattr(torch.nn, self.entry.module or "", None) if self.entry.torch else None
        if theirs is not None:
            text = str(theirs.extra_repr(SimpleNamespace(**shown)))
        else:
            text = ", ".join(f"{name}={value!r}" for name, value in shown.items())
        chosen = [name for name in self.learnable if name in self._learnable()]
        return f"{text}, {LEARNABLE}={chosen}" if chosen else text


class PReLU(CatalogueModule, entry=CATALOGUE["prelu"]):
    def __init__(
        self,
        num_parameters: int = 1,
        init: float = 0.25,
        device: torch.device | str | int | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        Module.__init__(self)
        self.activation = named(self.entry.name)
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(torch.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Give the weight its initial value."""
        torch.nn.init.constant_(self.weight, self.init)

    def extra_repr(self) -> str:
        """The number of weights."""
        return f"num_parameters={self.num_parameters}"


def class_of(entry: Entry) -> type[CatalogueModule]:
    """A new class for ``entry``, called ``entry.module``."""
    if entry.module is None:
        raise ValueError(f"the entry {entry.name!r} names no class")
    contents = {"__module__": __name__, "__qualname__": entry.module}
    return type(entry.module, (CatalogueModule,), contents, entry=entry)


__all__ = ["CatalogueModule"]
for _entry in ENTRIES:
    if _entry.module is not None:
        globals().setdefault(_entry.module, class_of(_entry))
        __all__ += [_entry.module]
del _entry
