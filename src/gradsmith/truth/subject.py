"""What can stand on either side of a comparison, made callable and given a name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import nn
from torch.autograd import Function

from gradsmith.activation import Activation, activation
from gradsmith.formula.formula import Formula

_SPACES = {
    "torch.nn.functional": torch.nn.functional,
    "torch.special": torch.special,
    "torch.nn": torch.nn,
    "torch": torch,
}
_SHOWN = 60  # characters of a formula that has no name


@dataclass(frozen=True, slots=True)
class Subject:
    """One side of a comparison.

    Attributes:
        name: what to call it.
        call: the function itself.
        activation: what it is, where it is one of ours.
    """

    name: str
    call: Callable[..., Any]
    activation: Activation | None = None


Comparable = Subject | Activation | Formula | str | nn.Module | type[Function] | Callable[..., Any]
"""An activation, a formula or its text, a catalogue name, a dotted name of PyTorch's own such as
``"torch.nn.functional.mish"``, an ``nn.Module``, an ``autograd.Function``, or any function of a
tensor; a :class:`Subject` to give one of them another name."""


def subject(thing: Comparable) -> Subject:
    """``thing`` as one side of a comparison. A callable is run as it is, not traced.

    Raises:
        FormulaError: a text is neither a formula nor a name that is known.
        TypeError: it is none of :data:`Comparable`.
    """
    if isinstance(thing, Subject):
        return thing
    if isinstance(thing, str) and thing.strip().startswith("torch."):
        thing = _of_torch(thing.strip())
    if isinstance(thing, (str, Formula)):
        thing = activation(thing)
    if isinstance(thing, Activation):
        return Subject(thing.name or _shortened(str(thing)), thing, thing)
    if isinstance(thing, type) and issubclass(thing, Function):
        return Subject(thing.__qualname__, thing.apply)
    if isinstance(thing, type) and issubclass(thing, nn.Module):
        raise TypeError(f"a module is compared, not its class; write {thing.__qualname__}(…)")
    if callable(thing):
        return Subject(_name(thing), thing)
    raise TypeError(
        "compared are activations, formulas, catalogue names, names in torch, nn.Modules, "
        f"autograd.Functions and functions of a tensor; got {type(thing).__name__}"
    )


def _of_torch(dotted: str) -> Any:
    space, _, name = dotted.rpartition(".")
    found = getattr(_SPACES.get(space), name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found()
    if found is None or not callable(found):
        raise TypeError(f"PyTorch has no function or module {dotted!r} in {', '.join(_SPACES)}")
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


@cache
def _torch_names() -> dict[int, str]:
    return {
        id(value): f"{space}.{name}"
        for space, module in _SPACES.items()
        for name, value in vars(module).items()
        if callable(value) and not name.startswith("_")
    }


def _name(function: Callable[..., Any]) -> str:
    if isinstance(function, nn.Module):
        inside = function.extra_repr()
        return f"{type(function).__name__}({_shortened(inside)})"
    if isinstance(function, partial):
        given = [*map(repr, function.args), *(f"{k}={v!r}" for k, v in function.keywords.items())]
        return _shortened(f"{_name(function.func)}(…, {', '.join(given)})")
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, Function):
        return owner.__qualname__
    known = _torch_names().get(id(function))
    name = known or getattr(function, "__name__", type(function).__name__)
    return "the function given" if name == "<lambda>" else str(name)
