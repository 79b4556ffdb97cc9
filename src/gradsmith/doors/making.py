"""The module or function that takes the place of another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

import gradsmith.nn as catalogue_modules
from gradsmith.activation import Activation
from gradsmith.catalogue.functional import NamedActivation
from gradsmith.doors.act_layer import ActLayer, resolved
from gradsmith.doors.counterparts import classes, functions
from gradsmith.nn import CatalogueModule

Maker = Callable[[nn.Module], nn.Module]
"""Given the module that stands somewhere, the one that takes its place."""


def function(value: Any) -> Activation:
    """The activation of one tensor that a value stands for.

    Raises:
        ValueError: it takes several tensors.
    """
    made = resolved(value)
    takes_one = isinstance(made, NamedActivation) and made.entry.convention is not None
    if len(made.inputs) > 1 and not takes_one:
        raise ValueError(
            f"{made!r} takes {len(made.inputs)} tensors, {', '.join(made.inputs)}; what it is to "
            "take the place of takes one"
        )
    return made


def maker(value: Any) -> Maker:
    """What makes the modules that a value asks for.

    Raises:
        TypeError: it asks for none.
        ValueError: an activation takes several tensors.
        FormulaError: a formula cannot be read.
    """
    if isinstance(value, nn.Module):
        return lambda old: deepcopy(value)
    if isinstance(value, type) and issubclass(value, CatalogueModule):
        return partial(_with_settings_of, value)
    if isinstance(value, (type, partial, ActLayer)):
        return partial(_called, value)
    made = function(value)
    if isinstance(made, NamedActivation) and made.entry.module is not None:
        return partial(_with_settings_of, getattr(catalogue_modules, made.entry.module))
    return lambda old: made.module()


def _called(factory: Callable[[], Any], old: nn.Module) -> nn.Module:
    made = factory()
    if not isinstance(made, nn.Module):
        raise TypeError(f"{factory!r} must make a torch.nn.Module; it made a {type(made).__name__}")
    return made


def _with_settings_of(kind: type[CatalogueModule], old: nn.Module) -> nn.Module:
    entry = classes().get(type(old))
    if entry is None or entry.name != kind.entry.name:
        return kind()
    accepted = kind.__signature__.parameters
    made = kind(**{name: getattr(old, name) for name in accepted if hasattr(old, name)})
    for name, parameter in old.named_parameters(recurse=False):
        made.register_parameter(name, parameter)
    return made


def bound(made: Activation, held: Any) -> Any:
    """What an attribute is to hold in place of a function, alone or with arguments bound to it.

    None where the arguments mean nothing to the activation.
    """
    if not isinstance(held, partial):
        return made
    entry, _ = functions()[held.func]
    if isinstance(made, NamedActivation) and made.entry is entry:
        return partial(made, *held.args, **held.keywords)
    return None


def refusal(module: nn.Module) -> str:
    """Why a module cannot be swapped without losing what somebody added to it; "" if it can."""
    kept = vars(module)
    hooks = [n for n, v in kept.items() if n.endswith("_hooks") and isinstance(v, Mapping) and v]
    if hooks:
        return "it has hooks; remove them, swap, and register them on the new module"
    if is_parametrized(module):
        return "it is parametrized; remove the parametrization first"
    if "forward" in kept:
        return "its forward was replaced on the object; what that does would be lost"
    return ""


def placed(made: nn.Module, *around: nn.Module) -> nn.Module:
    """It, with tensors of its own in the dtype and on the device of the first around that has any.

    A tensor that it shares with them stays what it is.
    """
    theirs = {id(t) for module in around for t in _tensors(module)}
    own = [tensor for tensor in _tensors(made) if id(tensor) not in theirs]
    like = next((t for m in around for t in _tensors(m) if t.is_floating_point()), None)
    if own and like is not None:
        made.to(device=like.device, dtype=like.dtype)
    return made


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def described(thing: Any) -> str:
    """A module or function and where it comes from: two of one name must not look the same."""
    if isinstance(thing, partial):
        given = [*map(repr, thing.args), *(f"{n}={v!r}" for n, v in thing.keywords.items())]
        return f"{described(thing.func)}({', '.join(['…', *given])})"
    if isinstance(thing, NamedActivation):
        return f"gradsmith.{thing.name}"
    if isinstance(thing, Activation):
        return repr(thing)
    if not isinstance(thing, nn.Module):
        return functions()[thing][1]
    module = type(thing).__module__
    public = "torch.nn" if getattr(nn, type(thing).__name__, None) is type(thing) else module
    text = repr(thing)
    if module.startswith("gradsmith.operator"):
        return f"gradsmith.{text}"
    return f"{public}.{text}" if "\n" not in text else f"{public}.{type(thing).__qualname__}(…)"
