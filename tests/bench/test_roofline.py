"""The roofline moves as many bytes as are asked for, and computes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gradsmith.bench.roofline import Traffic, moving

# What each operation reads and writes, in tensors of the size; empty ones are not touched.
COSTS = {"copy_": (1, 1), "clone": (1, 1), "bitwise_xor": (2, 1), "zero_": (0, 1)}


class Counting(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.moved, self.allocated = [0, 0], 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        name = function.overloadpacket.__name__
        result = function(*args, **kwargs)
        if name == "zeros_like":
            self.allocated += 1
            name = "zero_"
        elif name == "clone" or (name == "bitwise_xor" and "out" not in kwargs):
            self.allocated += 1
        for i, count in enumerate(COSTS[name]):
            self.moved[i] += count
        return result


def counted(move: Callable[[], None]) -> tuple[list[int], int]:
    with Counting() as mode:
        move()
    return mode.moved, mode.allocated


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("allocated", [True, False])
@pytest.mark.parametrize(("reads", "writes"), [(1, 1), (2, 1), (3, 2), (4, 2), (2, 2), (1, 2)])
def test_as_many_tensors_are_read_and_written(
    dtype: torch.dtype, allocated: bool, reads: int, writes: int
) -> None:
    move = moving([Traffic(reads, writes)], torch.ones(5, dtype=dtype), allocated=allocated)
    assert counted(move) == ([reads, writes], writes if allocated else 0)


def test_passes_come_one_after_the_other() -> None:
    move = moving([Traffic(1, 1), Traffic(2, 1)], torch.ones(5), allocated=True)
    assert counted(move) == ([3, 2], 2)


def test_it_is_never_more_than_is_needed() -> None:
    assert counted(moving([Traffic(5, 1)], torch.ones(5), allocated=False)) == ([2, 1], 0)
