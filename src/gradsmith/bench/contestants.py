"""Who runs side by side: ours, PyTorch's own, and what a user would write otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from types import FunctionType
from typing import Any, Final

import torch
from torch import Tensor

from gradsmith.activation import Activation
from gradsmith.bench.tutorial import tutorial_function, written
from gradsmith.catalogue.known import counterpart
from gradsmith.truth.subject import Comparable, subject

OURS: Final = "ours"
BUILTIN: Final = "builtin"
EAGER: Final = "eager"
COMPILED: Final = "compiled"
TUTORIAL: Final = "tutorial"
COPY: Final = "copy"
FRESH_COPY: Final = "fresh copy"

LABELS: Final = {
    OURS: "gradsmith",
    EAGER: "the formula, eager",
    COMPILED: "the formula, torch.compile",
    TUTORIAL: "autograd.Function",
    COPY: "moving as many bytes",
    FRESH_COPY: "the same, into new memory",
}
"""What the table calls them; PyTorch's own has its own name."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One function of the inputs that computes the activation.

    Attributes:
        key: which of the above it is.
        label: what the table calls it.
        fresh: makes the function anew; called once for each size and number of threads.
    """

    key: str
    label: str
    fresh: Callable[[], Callable[..., Tensor]]


def contestants(
    activation: Activation, against: Comparable | None, compiled: bool
) -> list[Contestant]:
    """All that there are for an activation, ours first.

    Args:
        activation: what is timed.
        against: what takes the place of PyTorch's own function.
        compiled: whether ``torch.compile`` takes part.
    """
    formula = activation.formula
    found = [_always(OURS, activation)]
    rival = counterpart(activation) if against is None else against
    if rival is not None:
        other = subject(rival)
        found.append(_always(BUILTIN, other.call, other.name))
    eager = written(formula)
    found.append(_always(EAGER, eager))
    if compiled:
        label = LABELS[COMPILED]
        found.append(Contestant(COMPILED, label, lambda: compiled_function(written(formula))))
    found.append(_always(TUTORIAL, tutorial_function(formula).apply))
    return found


def _always(key: str, call: Callable[..., Any], label: str | None = None) -> Contestant:
    return Contestant(key, label or LABELS[key], lambda: call)


_serial = count()


def compiled_function(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """``torch.compile`` of a copy of ``function``, for the sizes that it is called with.

    The compiler keeps what it compiled with a function's code and gives up on a function after a
    few sizes: each copy has code of its own.
    """
    assert isinstance(function, FunctionType)
    code = function.__code__.replace(co_name=f"pointwise_{next(_serial)}")
    copied = FunctionType(code, function.__globals__, None, None, function.__closure__)
    made: Callable[..., Tensor] = torch.compile(copied, dynamic=False, fullgraph=True)
    return made
