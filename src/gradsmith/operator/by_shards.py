"""A pointwise operation on DTensors: each process computes its own shard.

The result is sharded as the operands are. What does not lie like them is brought there before,
so that what one process computes needs nothing of another; sums that are still pending (``Partial``
placements) are added up first, since f(a + b) is not f(a) + f(b). Gradients are operations of the
same kind, so that backward of any order comes here as well; the sum over what was broadcast, such
as the gradient of a learned parameter, is torch's own and leaves a pending sum.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradsmith.backends.dispatch import Precision
from gradsmith.operator.broadcast import common_shape

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor
    from torch.distributed.tensor.placement_types import Placement

    from gradsmith.operator.pointwise import Pointwise


def are_distributed(operands: Iterable[Any]) -> bool:
    """Whether a DTensor is among them. Where nobody has imported DTensor, there is none."""
    module = sys.modules.get("torch.distributed.tensor")
    return module is not None and any(isinstance(o, module.DTensor) for o in operands)


def computed_by_shards(
    operation: Pointwise, operands: Sequence[Any], precision: Precision
) -> Tensor:
    """The result of one call.

    Args:
        operation: what to compute.
        operands: DTensors of one device mesh, which broadcast, and numbers; a tensor of one
            element that needs no gradient may be a plain one.
        precision: of the result.

    Raises:
        TypeError: a plain tensor is among them.
        ValueError: shapes do not broadcast, or the device meshes differ.
    """
    from torch.distributed.tensor import DTensor

    named = dict(zip(operation.operands, operands, strict=True))
    shape = common_shape({n: o for n, o in named.items() if isinstance(o, Tensor)})
    distributed = {n: o for n, o in named.items() if isinstance(o, DTensor)}
    mesh = _common_mesh(distributed)
    for name, operand in named.items():
        if isinstance(operand, Tensor) and name not in distributed:
            _check_plain(name, operand, next(iter(distributed)))
    placements = _placements(list(distributed.values()), shape, mesh)
    locals_ = [
        _local(o, shape, mesh, placements) if isinstance(o, DTensor) else o for o in operands
    ]
    result = operation.evaluate(locals_, precision)
    return DTensor.from_local(
        result, mesh, placements, run_check=False, shape=shape, stride=_strides(result, shape)
    )


def _common_mesh(distributed: dict[str, DTensor]) -> DeviceMesh:
    meshes = {name: tensor.device_mesh for name, tensor in distributed.items()}
    first = next(iter(meshes.values()))
    if any(mesh != first for mesh in meshes.values()):
        given = ", ".join(f"{name} on {mesh}" for name, mesh in meshes.items())
        raise ValueError(f"the operands are distributed over different device meshes: {given}")
    return first


def _check_plain(name: str, operand: Tensor, distributed: str) -> None:
    """What is the same in every process for sure goes with a DTensor; nothing else does."""
    if operand.numel() == 1 and not operand.requires_grad:
        return
    learned = " that requires a gradient" if operand.requires_grad else ""
    raise TypeError(
        f"{distributed} is a DTensor and {name} a plain tensor of shape {tuple(operand.shape)}"
        f"{learned}; make it a DTensor with torch.distributed.tensor.distribute_tensor or "
        "distribute_module"
    )


def _placements(tensors: Sequence[DTensor], shape: torch.Size, mesh: DeviceMesh) -> list[Placement]:
    """How the result is distributed: as what is sharded most, by others where that is not."""
    from torch.distributed.tensor import Replicate

    found: list[Any] = [Replicate()] * mesh.ndim
    ranked = sorted(tensors, key=lambda t: (-sum(p.is_shard() for p in t.placements), -t.numel()))
    for tensor in ranked:
        own = [_of_result(placement, tensor, shape) for placement in tensor.placements]
        taken = {placement.dim for placement in found if placement.is_shard()}
        for axis, placement in enumerate(own):
            # Two axes of the mesh may share a dimension only in the order of one operand.
            if placement is not None and found[axis].is_replicate() and placement.dim not in taken:
                found[axis] = placement
    return found


def _of_result(placement: Placement, tensor: DTensor, shape: torch.Size) -> Any:
    """The sharding of an operand as one of the result; None where it has none to pass on."""
    if not placement.is_shard():
        return None
    return _moved(placement, len(shape) - tensor.dim(), tensor.shape, shape)


def _moved(placement: Any, by: int, whence: torch.Size, to: torch.Size) -> Any:
    """A sharding of the same dimension where others precede it or are missing; or None."""
    from torch.distributed.tensor import Shard

    dim = placement.dim + by
    if dim < 0 or whence[placement.dim] != to[dim]:
        return None
    if by == 0:
        return placement
    return Shard(dim) if type(placement) is Shard else None


def _local(
    tensor: DTensor, shape: torch.Size, mesh: DeviceMesh, placements: Sequence[Placement]
) -> Tensor:
    """The part of an operand that this process needs for its part of the result."""
    from torch.distributed._functional_collectives import AsyncCollectiveTensor
    from torch.distributed.tensor import Replicate

    by = tensor.dim() - len(shape)
    moved = [_moved(p, by, shape, tensor.shape) if p.is_shard() else p for p in placements]
    needed = [Replicate() if placement is None else placement for placement in moved]
    if list(tensor.placements) != needed:
        tensor = tensor.redistribute(mesh, needed)
    local = tensor.to_local()
    return local.wait() if isinstance(local, AsyncCollectiveTensor) else local


def _strides(local: Tensor, shape: torch.Size) -> tuple[int, ...]:
    """Of the whole result: dense, its dimensions in memory in the order of a shard's."""
    strides = [0] * len(shape)
    step = 1
    for dim in sorted(range(len(shape)), key=lambda d: (local.stride(d), -d)):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)
