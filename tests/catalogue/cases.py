"""The calls that the catalogue's tests make of every entry, and helpers that they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gradsmith.catalogue import ENTRIES

every_entry = pytest.mark.parametrize("record", ENTRIES, ids=lambda record: record.name)

# What a call needs besides the input, and more cases than the defaults.
CASES: dict[str, list[dict[str, Any]]] = {
    "threshold": [{"threshold": 0.5, "value": 0.25}, {"threshold": -1.0, "value": 2.0}],
    "leaky_relu": [{}, {"negative_slope": 0.5}, {"negative_slope": -0.5}],
    "prelu": [{"weight": torch.tensor([0.25], dtype=torch.float64)}],
    "rrelu": [{}, {"lower": -0.5, "upper": 0.25}],
    "hardtanh": [{}, {"min_val": -2.0, "max_val": 0.5}, {"min_val": 0.5, "max_val": 0.5}],
    "softplus": [{}, {"beta": 2.0}, {"beta": -1.5}, {"beta": 2.0, "threshold": 1.0}],
    "softplus_threshold": [{}, {"beta": 2.0, "threshold": 1.0}],
    "elu": [{}, {"alpha": 2.0}, {"alpha": -0.5}],
    "celu": [{}, {"alpha": 2.0}, {"alpha": -2.0}],
    "gelu": [{}, {"approximate": "tanh"}],
    "hardshrink": [{}, {"lambd": 0.25}, {"lambd": 0.0}, {"lambd": -1.0}],
    "softshrink": [{}, {"lambd": 0.25}, {"lambd": 0.0}],
    "glu": [{}, {"dim": 0}],
}

# Where the derivative or the function jumps; every other entry is smooth.
KINKS: dict[str, Callable[[dict[str, Any]], list[float]]] = {
    "threshold": lambda given: [given["threshold"]],
    "relu": lambda given: [0.0],
    "leaky_relu": lambda given: [0.0],
    "prelu": lambda given: [0.0],
    "rrelu": lambda given: [0.0],
    "relu6": lambda given: [0.0, 6.0],
    "hardtanh": lambda given: [given.get("min_val", -1.0), given.get("max_val", 1.0)],
    "hardsigmoid": lambda given: [-3.0, 3.0],
    "hardswish": lambda given: [-3.0, 3.0],
    "softsign": lambda given: [0.0],
    "softplus_threshold": lambda given: [given.get("threshold", 20.0) / given.get("beta", 1.0)],
    # With PyTorch's default threshold ours is exact, and has no kink.
    "softplus": lambda given: [t / given["beta"] for n, t in given.items() if n == "threshold"],
    "elu": lambda given: [0.0],
    "celu": lambda given: [0.0],
    "selu": lambda given: [0.0],
    "hardshrink": lambda given: [-given.get("lambd", 0.5), given.get("lambd", 0.5)],
    "softshrink": lambda given: [-given.get("lambd", 0.5), given.get("lambd", 0.5)],
}


def cases(only: dict[str, Any] | None = None) -> Any:
    """One test for each entry with each choice of its arguments."""
    listed = [
        pytest.param(record, given, id=f"{record.name}-{i}")
        for record in ENTRIES
        if only is None or record.name in only
        for i, given in enumerate(CASES.get(record.name, [{}]))
    ]
    return pytest.mark.parametrize(("record", "given"), listed)


def value_and_gradient(f: Callable[..., Tensor], x: Tensor, **given: Any) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    y = f(x, **given)
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    return y.detach(), gradient
