"""What two processes do with DTensors; the tests run these in both of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor

import gradsmith as gs

BILINEAR = gs.activation("u*v/2 * (1 + erf(v))", inputs=("u", "v"))


def mesh(*shape: int) -> DeviceMesh:
    return init_device_mesh("cpu", shape)


def numbers(*shape: int) -> torch.Tensor:
    count = torch.Size(shape).numel()
    return torch.linspace(-3, 3, count, dtype=torch.float64).reshape(shape)


def together(
    shapes: Sequence[Sequence[int]], placements: Sequence[Sequence[Any]]
) -> tuple[Any, ...]:
    """Where the result of two operands lies, after making sure that it is the right one."""
    whole = [numbers(*shape) for shape in shapes]
    grid = mesh(2, 1) if len(placements[0]) == 2 else mesh(2)
    spread = [distribute_tensor(w, grid, list(p)) for w, p in zip(whole, placements, strict=True)]
    y, expected = BILINEAR(*spread), BILINEAR(*whole)
    assert isinstance(y, DTensor)
    assert y.shape == expected.shape
    assert y.stride() == expected.stride()
    assert torch.equal(y.full_tensor(), expected)
    return tuple(y.placements)


def channels_last() -> None:
    """The strides that the result states are those that its parts have."""
    whole = numbers(4, 3, 2, 5).to(memory_format=torch.channels_last)
    part = whole.chunk(2)[torch.distributed.get_rank()]
    y = gs.silu(DTensor.from_local(part, mesh(2), [Shard(0)]))
    assert y.stride() == whole.stride()
    assert torch.equal(y.full_tensor(), gs.silu(whole))
    assert y.to_local().is_contiguous(memory_format=torch.channels_last)


def native_code_computes() -> None:
    """Bit for bit what a plain tensor gives in float32, which torch's own operations do not."""
    x = torch.linspace(-8, 8, 4096)
    y = gs.mish(distribute_tensor(x, mesh(2), [Shard(0)])).full_tensor()
    assert torch.equal(y, gs.mish(x))
    assert not torch.equal(y, torch.nn.functional.mish(x))


def refusals() -> list[str]:
    """The errors of operands that do not go together."""
    x = distribute_tensor(numbers(4, 3), mesh(2), [Shard(0)])
    swish = gs.activation("x*sigmoid(beta*x)", beta=1.0)
    beta = torch.tensor(2.0, dtype=torch.float64)
    assert torch.equal(swish(x, beta).full_tensor(), swish(numbers(4, 3), beta))
    other = distribute_tensor(numbers(4, 3), mesh(2, 1), [Shard(0), Replicate()])
    found = []
    for wrong in (
        lambda: swish(x, beta.clone().requires_grad_()),
        lambda: BILINEAR(x, numbers(4, 3)),
        lambda: BILINEAR(x, other),
        lambda: BILINEAR(x, distribute_tensor(numbers(4, 2), mesh(2), [Shard(0)])),
    ):
        try:
            wrong()
        except (TypeError, ValueError) as error:
            found.append(f"{type(error).__name__}: {error}")
    return found
