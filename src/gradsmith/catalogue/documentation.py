"""The documentation of an activation, the same for all, from its record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from inspect import Parameter, Signature
from textwrap import fill, indent
from typing import TYPE_CHECKING

from gradsmith.catalogue.signatures import INPLACE, INPUT, LEARNABLE, OUT

if TYPE_CHECKING:
    from gradsmith.catalogue.record import Entry
    from gradsmith.formula.formula import Formula

_WIDTH = 96

_EVERYWHERE: Mapping[str, str] = {
    INPUT: "tensor of any shape and any real dtype; integers are promoted as by torch.sigmoid",
    INPLACE: "overwrite the input with the result and return it",
    OUT: "tensor that takes the result",
    LEARNABLE: "True, or the names of the parameters that become a torch.nn.Parameter",
}


def document(entry: Entry, signature: Signature, formula: Formula) -> str:
    """The docstring of the function of ``entry``."""
    from gradsmith.calculus.kinks import kinks

    found = [str(kink) for kink in kinks(formula)]
    at_defaults = " with the parameters at their defaults" if entry.parameters else ""
    listed = f"Kinks{at_defaults}:\n" + indent("\n".join(found), "    ") if found else ""
    return _document(entry, f"{entry.name}{signature}", signature, entry.torch, listed)


def document_module(entry: Entry, signature: Signature) -> str:
    """The docstring of the class of ``entry`` in :mod:`gradsmith.nn`."""
    counterpart = f"torch.nn.{entry.module}" if entry.torch else None
    function = f"As a function: gradsmith.{entry.name}"
    return _document(entry, f"{entry.module}{signature}", signature, counterpart, function)


def _document(
    entry: Entry, call: str, signature: Signature, counterpart: str | None, more: str
) -> str:
    arguments = [_argument(entry, parameter) for parameter in signature.parameters.values()]
    parts = [
        f"{entry.summary[:1].upper()}{entry.summary[1:]}.",
        f"    {call}",
        f"    f({', '.join(entry.inputs)}) = {entry.formula}",
        "Args:\n" + indent("\n".join(arguments), "    ") if arguments else "",
        more,
        *_origin(entry, counterpart),
    ]
    return "\n\n".join(part for part in parts if part)


def _argument(entry: Entry, parameter: Parameter) -> str:
    name, default = parameter.name, parameter.default
    if name in _EVERYWHERE:
        return f"{name}: {_EVERYWHERE[name]}"
    what = "parameter of the formula" if name in entry.parameters else "as in PyTorch"
    left_out = "" if default is Parameter.empty else f"; default {default!r}"
    relations = [f"{a} {relation} {b}" for a, relation, b in entry.valid if name in (a, b)]
    return f"{name}: {what}{left_out}" + "".join(f"; needs {text}" for text in relations)


def _origin(entry: Entry, counterpart: str | None) -> Iterator[str]:
    if entry.aliases:
        yield f"Also called: {', '.join(entry.aliases)}"
    if counterpart:
        options = [f"{name}={value!r}" for name, value in entry.torch_arguments.items()]
        yield f"In PyTorch: {', '.join([counterpart, *options])}"
    yield fill(f"Reference: {entry.reference}", _WIDTH, subsequent_indent="    ")
