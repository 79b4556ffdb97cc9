"""One record per known activation: everything the package says and does about it follows from here.

A record is plain data and costs nothing to make: importing the catalogue reads no formula and does
not import torch.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from gradsmith.catalogue.conventions import Convention
    from gradsmith.formula.formula import Formula

Relation = Literal["<", "<=", ">", ">=", "!="]

_RELATIONS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "!=": operator.ne,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An activation of the catalogue.

    Attributes:
        name: what it is called, as in ``torch.nn.functional`` where that has it.
        formula: the formula as its source prints it. Which side of a kink carries the equality
            sign decides the derivative there, since ``where`` is differentiated branch by branch.
        reference: where it comes from: authors, title, venue, year, arXiv id.
        summary: one line for the reader.
        inputs: names of the tensors of the formula.
        parameters: name and default of everything else in the formula, in the order of the call.
        valid: relations between arguments of the call, or one and a number, that must hold.
        aliases: other names that are in use for the same function.
        torch: dotted name of PyTorch's own function, or None where PyTorch has none.
        torch_arguments: what PyTorch's function must be given to be this one.
        module: name of the class in :mod:`gradsmith.nn`, which is also that of ``torch.nn`` where
            ``torch`` is given; None for a variant that the class of another entry offers.
        inplace: whether PyTorch's function takes ``inplace``.
        convention: how PyTorch calls it, where that is not ``f(input, *parameters)``.
        variants: names of the other entries that the convention chooses from.
    """

    name: str
    formula: str
    reference: str
    summary: str
    inputs: tuple[str, ...] = ("x",)
    parameters: Mapping[str, float] = field(default_factory=dict)
    valid: tuple[tuple[str, Relation, str | float], ...] = ()
    aliases: tuple[str, ...] = ()
    torch: str | None = None
    torch_arguments: Mapping[str, Any] = field(default_factory=dict)
    module: str | None = None
    inplace: bool = False
    convention: Convention | None = None
    variants: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # A record is shared by everyone who asks for it.
        object.__setattr__(self, "parameters", MappingProxyType(dict(self.parameters)))
        object.__setattr__(self, "torch_arguments", MappingProxyType(dict(self.torch_arguments)))

    @property
    def names(self) -> tuple[str, ...]:
        """The name, then the aliases."""
        return (self.name, *self.aliases)

    def parsed(self) -> Formula:
        """The formula, read anew; :func:`gradsmith.catalogue.formula_of` keeps what it read."""
        from gradsmith.formula.parse import parse

        return parse(self.formula, parameters=self.parameters, inputs=self.inputs, name=self.name)

    def counterpart(self) -> Callable[..., Any] | None:
        """PyTorch's own function, called as PyTorch calls it, or None where it has none."""
        if self.torch is None:
            return None
        module, _, name = self.torch.rpartition(".")
        function: Callable[..., Any] = getattr(import_module(module), name)
        return partial(function, **self.torch_arguments) if self.torch_arguments else function

    def check(self, arguments: Mapping[str, Any]) -> None:
        """Refuse arguments for which the formula is not what its name says.

        Tensors are not looked at: that would wait for the device at every call.

        Raises:
            ValueError: a relation of ``valid`` does not hold.
        """
        for name, relation, bound in self.valid:
            left = arguments.get(name)
            right = arguments.get(bound) if isinstance(bound, str) else bound
            numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
            if numbers and not _RELATIONS[relation](left, right):
                given = f"{name}={left}" + (f" and {bound}={right}" if bound != right else "")
                raise ValueError(f"{self.name} needs {name} {relation} {bound}, got {given}")


def by_name(entries: Iterable[Entry]) -> dict[str, Entry]:
    """The entries by every one of their names.

    Raises:
        ValueError: two entries share a name.
    """
    table: dict[str, Entry] = {}
    for entry in entries:
        for name in entry.names:
            if table.setdefault(name, entry) is not entry:
                raise ValueError(f"two entries of the catalogue are called {name!r}")
    return table
