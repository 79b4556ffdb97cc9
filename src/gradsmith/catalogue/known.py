"""Which formulas are the same one under other names, and what the catalogue and PyTorch call it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradsmith.activation import Activation
from gradsmith.catalogue import ENTRIES, Entry, formula_of
from gradsmith.formula.expression import Expr, Symbol
from gradsmith.formula.formula import Formula


def nameless(formula: Formula) -> Expr:
    """The formula with its inputs numbered and its parameters at their defaults.

    Formulas that are written alike, whatever their names, give the same object.
    """
    return formula.applied(*(Symbol(f"x_{i}") for i in range(len(formula.inputs))))


def entry_of(formula: Formula) -> Entry | None:
    """The catalogue's entry that is written like ``formula``, if there is one.

    Of several, the one of the same name; of none, the one with the fewest parameters.
    """
    wanted, inputs = nameless(formula), len(formula.inputs)
    alike = [
        e for e in ENTRIES if len(e.inputs) == inputs and nameless(formula_of(e.name)) is wanted
    ]
    named = [entry for entry in alike if formula.name in entry.names]
    return min(named or alike, key=lambda entry: len(entry.parameters), default=None)


def title(activation: Activation) -> str:
    """Its name, or that of the same formula in the catalogue, or the formula itself."""
    if activation.name is not None:
        return activation.name
    entry = entry_of(activation.formula)
    return str(activation.formula) if entry is None else entry.name


def counterpart(activation: Activation) -> Callable[..., Any] | None:
    """PyTorch's own function of the same formula, if it can be called with the input alone."""
    entry = entry_of(activation.formula)
    if entry is None or len(activation.inputs) != 1:
        return None
    function = entry.counterpart()
    if function is None:
        return None
    try:
        result = function(torch.zeros(1))
    except (TypeError, RuntimeError):
        return None  # it needs arguments that have no default in PyTorch
    return function if isinstance(result, Tensor) else None
