"""Which classes and functions of PyTorch are which activation of the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from gradsmith.catalogue import ENTRIES, Entry


@cache
def classes() -> Mapping[type[nn.Module], Entry]:
    """PyTorch's class of each entry that has one."""
    found = {
        getattr(nn, entry.module): entry
        for entry in ENTRIES
        if entry.torch is not None and entry.module is not None
    }
    return MappingProxyType(found)


@cache
def functions() -> Mapping[Any, tuple[Entry, str]]:
    """PyTorch's functions and methods: the entry of each, and its dotted name."""
    found: dict[Any, tuple[Entry, str]] = {}
    for entry in classes().values():
        for name, function in _functions(entry):
            found.setdefault(function, (entry, name))
    return MappingProxyType(found)


@cache
def methods() -> Mapping[str, Entry]:
    """Names of the methods of a tensor that are an activation."""
    prefix = "torch.Tensor."
    return MappingProxyType(
        {
            name.removeprefix(prefix): entry
            for entry in classes().values()
            for name, _ in _functions(entry)
            if name.startswith(prefix)
        }
    )


def function_of(value: Any) -> Callable[..., Any] | None:
    """PyTorch's function that a value is, alone or with arguments bound to it."""
    function = value.func if isinstance(value, partial) else value
    try:
        return function if function in functions() else None
    except TypeError:  # not hashable
        return None


def _functions(entry: Entry) -> Iterator[tuple[str, Any]]:
    """The one in ``torch.nn.functional``, those beside it, and those that write in place."""
    assert entry.torch is not None
    name = entry.torch.rpartition(".")[2]
    places: tuple[tuple[str, Any], ...] = (
        ("torch.nn.functional", nn.functional),
        ("torch", torch),
        ("torch.Tensor", Tensor),
        ("torch._C._nn", torch._C._nn),
        ("torch.ops.aten", torch.ops.aten),
    )
    for prefix, place in places:
        for spelled in (name, f"{name}_"):
            function = getattr(place, spelled, None)
            if function is None:
                continue
            yield f"{prefix}.{spelled}", function
            overload = getattr(function, "default", None) if place is torch.ops.aten else None
            if overload is not None:
                yield f"{prefix}.{spelled}.default", overload
    if entry.name == "sigmoid":
        yield "torch.special.expit", torch.special.expit
