"""Models that reach their activations in every way there is; tests look for the marked lines."""

from __future__ import annotations

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.functional import silu


def helper(x: Tensor) -> Tensor:
    return F.gelu(x)  # helper


class Block(nn.Module):
    """Modules, functions in attributes, calls in its code and in what it calls."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.relu = nn.ReLU()
        self.gelu = nn.GELU("tanh")
        self.function = F.gelu
        self.bound = functools.partial(F.gelu, approximate="tanh")

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.linear(x))
        x = F.gelu(x)  # direct
        x = helper(x)
        x = x.relu()  # method
        if x.sum() > 1e9:
            x = torch.relu(x)  # not reached
        return self.bound(self.function(self.gelu(silu(x))))  # of attributes


class Hidden(nn.Module):
    """Calls a function that only its instance knows."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.norm = nn.BatchNorm1d(4)
        self.dropout = nn.Dropout()

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = getattr(F, self.name)(self.dropout(self.norm(x)))  # by name
        return result


def line(mark: str) -> int:
    """The line of this file that ends in that mark."""
    with open(__file__, encoding="utf-8") as file:
        return 1 + next(i for i, text in enumerate(file) if text.rstrip().endswith(f"# {mark}"))
