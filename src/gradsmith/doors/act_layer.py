"""``gradsmith.act_layer``: what libraries of models take for an activation.

They ask for something to call whenever a block needs its own module: ``act_layer()``, and often
``act_layer(inplace=True)``, whether the activation can work in place or not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torch import nn

import gradsmith.nn as catalogue_modules
from gradsmith.activation import Activation, Resolvable
from gradsmith.activation import activation as made_of
from gradsmith.catalogue import CATALOGUE, named
from gradsmith.catalogue.functional import NamedActivation
from gradsmith.catalogue.signatures import INPLACE, LEARNABLE
from gradsmith.operator.module import ActivationModule


def act_layer(
    activation: Resolvable, *, learnable: bool | str | Iterable[str] = (), **parameters: Any
) -> ActLayer:
    """What makes a new module of an activation whenever it is called.

    Args:
        activation: a catalogue name, a formula, an activation or a function.
        learnable: names of the parameters that each module learns for itself, or True for all.
        parameters: values in place of the defaults; of an activation of the catalogue, the
            arguments of its class in :mod:`gradsmith.nn`.

    Returns:
        a callable for timm's ``act_layer=``, or as a value of transformers' ``ACT2FN``. It takes
        ``inplace``, a permission that is used where the module has it.

    Raises:
        FormulaError: the formula cannot be read.
        TypeError: there is no such parameter.
        ValueError: a parameter has a value for which the activation is not defined.
    """
    # What is new here learns its parameters' defaults here.
    is_new = isinstance(activation, str) and activation.strip() not in CATALOGUE
    numbers: dict[str, Any] = {n: v for n, v in parameters.items() if isinstance(v, (int, float))}
    made = made_of(activation, **numbers) if is_new else resolved(activation)
    chosen = learnable if isinstance(learnable, (bool, str)) else tuple(learnable)
    layer = ActLayer(made, chosen, MappingProxyType(dict(parameters)))
    layer()  # a parameter that cannot be is told now
    return layer


def resolved(thing: Resolvable) -> Activation:
    """The activation, the catalogue's own where it is one of its names."""
    if isinstance(thing, str) and thing.strip() in CATALOGUE:
        return named(thing.strip())
    return made_of(thing)


@dataclass(frozen=True, slots=True)
class ActLayer:
    """Makes modules of one activation; :func:`gradsmith.act_layer` makes it.

    Attributes:
        activation: of what.
        learnable: what each module learns.
        parameters: values in place of the defaults.
    """

    activation: Activation
    learnable: bool | str | tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __call__(self, inplace: bool = False) -> nn.Module:
        """A new module.

        Args:
            inplace: whether it may overwrite its input.
        """
        made = self.activation
        if not isinstance(made, NamedActivation) or made.entry.module is None:
            return ActivationModule(made, self.learnable, **self.parameters)
        kind = getattr(catalogue_modules, made.entry.module)
        accepted = kind.__signature__.parameters
        given = dict(self.parameters)
        if INPLACE in accepted and inplace:
            given.setdefault(INPLACE, True)
        if self.learnable:
            given[LEARNABLE] = self.learnable
        module: nn.Module = kind(**given)
        return module

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self.parameters.items())
        learned = f", learnable={self.learnable!r}" if self.learnable else ""
        return f"act_layer({self.activation.name or str(self.activation)!r}{learned}{given})"

    def __reduce__(self) -> tuple[type[ActLayer], tuple[Any, ...]]:
        return type(self), (self.activation, self.learnable, dict(self.parameters))
