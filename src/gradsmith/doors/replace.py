"""``gradsmith.replace``: other activations in a model that exists.

A model holds its activations as modules, which can be swapped, as functions in attributes, which
can too, and as calls in its code, which cannot. Whoever asks for another activation must learn of
those that stayed: so the answer is a report of what was swapped and what was not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from gradsmith.activation import Resolvable
from gradsmith.doors.calls import functional_calls
from gradsmith.doors.counterparts import classes, functions
from gradsmith.doors.plan import planned, rule
from gradsmith.doors.replacement import Replacement

Key = type[nn.Module] | nn.Module | str | Callable[..., Any]
Value = Resolvable | nn.Module | type[nn.Module] | Callable[[], nn.Module]
Inputs = Tensor | tuple[Any, ...] | Mapping[str, Any]


def replace(
    model: nn.Module,
    rules: Mapping[Key, Value] | None = None,
    *,
    copy: bool = False,
    inputs: Inputs | None = None,
) -> Replacement:
    """Swap activations of a model, and say which could not be.

    Args:
        model: a model of any kind.
        rules: what is swapped for what; left out, each of PyTorch's activations that the catalogue
            has, for that. A key is

            * a class of modules: each module that is of this very class; of a subclass, it is
              reported, since a subclass may compute something else;
            * the name of a module in the model, ``"encoder.0.act"``, or a pattern, ``"*.act"``;
            * a module of the model;
            * a function such as ``torch.nn.functional.gelu``: wherever a module holds it as an
              attribute, alone or as ``functools.partial``.

            Of several that fit, a module goes before a name, a name before a pattern and that
            before a class. A value is

            * what :func:`gradsmith.activation` takes: a catalogue name, a formula, an activation,
              a function. Where it is the activation that stood there, its settings are kept, and
              its parameters are the same objects as before, so that optimizers go on;
            * a module, of which every place gets a copy of its own;
            * a class of modules, or :func:`functools.partial` or :func:`gradsmith.act_layer` of
              something, called without arguments.
        copy: swap in a deep copy; ``model`` stays as it is.
        inputs: with what to call the model to see which functional calls it makes: a tensor, a
            tuple of arguments, or keyword arguments. It runs once, in training mode if it is;
            buffers and random numbers are afterwards as before. Left out, the functional calls
            are looked for in the source of the model's classes alone.

    Returns:
        the report; its ``model`` is the model with the new activations.

    A new module is in training mode if the old one was, and tensors of its own are of the dtype
    and on the device of those around it. A module that stands in several places is swapped by one
    that does. A module with hooks, a parametrization or a ``forward`` of its own is left alone and
    reported.

    Raises:
        TypeError: the model is no module, or a key or a value is none of the above.
        ValueError: a name or a module is not in the model, an activation takes several tensors, or
            the model itself is to be swapped.
        Exception: what the model raises when it is called with ``inputs``. Whatever is raised, the
            model is as it was.
    """
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise TypeError(f"model must be a torch.nn.Module of Python, got {type(model).__name__}")
    memo: dict[int, Any] = {}
    changed = deepcopy(model, memo) if copy else model
    given = _everything() if rules is None else rules
    # In a copy, a module that is named by itself is another one.
    plan = planned(changed, [rule(memo.get(id(key), key), v) for key, v in given.items()])
    swapped = tuple(step.swap for step in plan.steps)
    places = [(name, step.new) for step in plan.steps for name in step.names]
    new = [step.new for step in plan.steps if isinstance(step.new, nn.Module)]
    run = None if inputs is None else lambda: _called(changed, inputs)
    before: list[Callable[[], None]] = []
    try:
        for name, module in places:
            before.append(_put(changed, name, module))
        calls, unread = functional_calls(changed, plan.wanted, new, run)
    except BaseException:
        for undo in reversed(before):
            undo()
        raise
    unused = () if rules is None else tuple(plan.unused)
    return Replacement(
        changed, swapped, tuple(plan.left), calls, unused, unread, inputs is not None
    )


def _everything() -> dict[Any, str]:
    found: dict[Any, str] = {kind: entry.name for kind, entry in classes().items()}
    found |= {f: entry.name for f, (entry, name) in functions().items() if ".functional." in name}
    return found


def _called(model: nn.Module, inputs: Inputs) -> Any:
    if isinstance(inputs, Mapping):
        return model(**inputs)
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


def _put(model: nn.Module, name: str, new: Any) -> Callable[[], None]:
    """Let the model hold something else under a name; what undoes it."""
    parent, _, attribute = name.rpartition(".")
    holder = model.get_submodule(parent)
    changes = [(holder, attribute, new)]
    if isinstance(holder, nn.TransformerEncoderLayer):
        # In inference it may compute its own ReLU or GELU, whichever it was made with, and an
        # encoder above it may hand it what only that takes.
        changes.append((holder, "activation_relu_or_gelu", 0))
        encoders = [m for m in model.modules() if isinstance(m, nn.TransformerEncoder)]
        changes += [(encoder, "use_nested_tensor", False) for encoder in encoders]
    before = [(owner, key, getattr(owner, key)) for owner, key, _ in changes]

    def undo() -> None:
        for owner, key, value in before:
            setattr(owner, key, value)

    for owner, key, value in changes:
        setattr(owner, key, value)
    return undo
