"""The known activations, each one formula with its reference.

Adding one is adding a record to a family's file: the function ``gradsmith.<name>``, the class in
:mod:`gradsmith.nn`, the name that other formulas may call, the documentation and the tests that run
over the whole catalogue follow from it. Importing this package reads no formula and does not
import torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache, partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from gradsmith.catalogue import gated, rectified, shrinkage, sigmoidal, smooth
from gradsmith.catalogue.record import Entry, by_name
from gradsmith.formula.formula import LIBRARY, Formula

if TYPE_CHECKING:
    from gradsmith.catalogue.functional import NamedActivation

__all__ = ["CATALOGUE", "ENTRIES", "Entry", "entry", "formula_of", "named"]

_FAMILIES: Final = (rectified, sigmoidal, smooth, shrinkage, gated)

ENTRIES: Final[tuple[Entry, ...]] = tuple(e for family in _FAMILIES for e in family.ENTRIES)
"""Every entry, family by family."""

CATALOGUE: Final[Mapping[str, Entry]] = MappingProxyType(by_name(ENTRIES))
"""Every entry by its name and by each of its aliases."""


def entry(name: str) -> Entry:
    """The entry of that name or alias.

    Raises:
        ValueError: the catalogue has none; the message suggests a near name.
    """
    if name in CATALOGUE:
        return CATALOGUE[name]
    near = get_close_matches(name, CATALOGUE, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(sorted(CATALOGUE))}"
    raise ValueError(f"the catalogue has no activation {name!r}; {hint}")


def formula_of(name: str) -> Formula:
    """The formula of the entry of that name or alias, read at the first call.

    Raises:
        ValueError: the catalogue has no such entry.
    """
    return _formula(entry(name).name)


@cache
def _formula(name: str) -> Formula:
    return CATALOGUE[name].parsed()


def named(name: str) -> NamedActivation:
    """The activation of that name or alias, the same object at every call.

    Raises:
        ValueError: the catalogue has no such entry.
    """
    return _activation(entry(name).name)


@cache
def _activation(name: str) -> NamedActivation:
    from gradsmith.catalogue.functional import NamedActivation

    return NamedActivation(CATALOGUE[name])


# Any formula may call an entry, be it of the user or of the catalogue.
LIBRARY.update({name: partial(formula_of, name) for name in CATALOGUE})
