"""Operands of different shape, dtype and device: brought together, and their gradients back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import copysign, inf

import torch
from torch import Tensor

from gradsmith.backends.dispatch import Precision

_FLOAT32_MAX = float(torch.finfo(torch.float32).max)


def common_shape(tensors: Mapping[str, Tensor]) -> torch.Size:
    """The shape that the tensors broadcast to.

    Raises:
        ValueError: there is none.
    """
    shapes = [tensor.shape for tensor in tensors.values()]
    if all(same_shape(shape, shapes[0]) for shape in shapes):
        return shapes[0]
    try:
        return torch.Size(torch.broadcast_shapes(*shapes))
    except RuntimeError:
        given = ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
        raise ValueError(f"these shapes do not broadcast: {given}") from None


def same_shape(a: torch.Size, b: torch.Size) -> bool:
    """Whether two shapes are equal; in a graph, whether they are for all that it leaves open.

    A size that depends on data, such as that of ``x[x > 0]``, must not be compared while a graph
    is traced. Two of them that may differ are taken as different: that is slower and never wrong.
    """
    if not torch._C._len_torch_dispatch_stack():
        return a == b
    return len(a) == len(b) and all(_is_known(m == n) for m, n in zip(a, b, strict=True))


def _is_known(condition: bool | torch.SymBool) -> bool:
    if isinstance(condition, bool):
        return condition
    from torch.fx.experimental.symbolic_shapes import guard_or_false  # there if it is a SymBool

    return guard_or_false(condition)


def common_device(tensors: Mapping[str, Tensor]) -> torch.device:
    """The device of the result. A 0-dimensional CPU tensor goes with any other.

    Raises:
        ValueError: the tensors are on different devices.
    """
    devices = {tensor.device for tensor in tensors.values()}
    if len(devices) > 1:
        devices = {t.device for t in tensors.values() if t.dim() or t.device.type != "cpu"}
    if len(devices) > 1:
        given = ", ".join(f"{name} on {t.device}" for name, t in tensors.items())
        raise ValueError(f"the operands are on different devices: {given}")
    return devices.pop()


def converted(operand: Tensor | float, precision: Precision) -> Tensor | float:
    """The operand as the computation takes it; a view of itself where nothing changes."""
    if not isinstance(operand, Tensor):
        # Torch refuses to convert a Python number that the dtype cannot hold.
        too_large = precision.compute is torch.float32 and abs(operand) > _FLOAT32_MAX
        return copysign(inf, operand) if too_large else operand
    if operand.dtype is precision.compute:
        return operand
    if not operand.dtype.is_floating_point:
        operand = operand.to(torch.promote_types(operand.dtype, precision.storage))
    strides = operand.stride()
    # What a graph leaves open is no number here; there, the compiler converts nothing twice.
    repeated = [
        type(n) is int and type(stride) is int and n > 1 and stride == 0
        for n, stride in zip(operand.shape, strides, strict=True)
    ]
    if not any(repeated):
        return operand.to(precision.compute)
    # An expanded tensor, such as the gradient of a sum: converted once, then expanded again.
    shape = operand.shape
    for dim, is_repeated in enumerate(repeated):
        if is_repeated:
            operand = operand.narrow(dim, 0, 1)
    return operand.to(precision.compute).expand(shape)


def spread(
    result: Tensor, shape: torch.Size, device: torch.device, tensors: Iterable[Tensor]
) -> Tensor:
    """A result that does not depend on all operands, as a new tensor of the full shape."""
    like = next((t for t in tensors if same_shape(t.shape, shape) and t.device == device), None)
    if like is None:
        return result.to(device).expand(shape).clone()
    return torch.empty_like(like, dtype=result.dtype).copy_(result)


def summed_to(gradient: Tensor, shape: torch.Size) -> Tensor:
    """The gradient of a broadcast operand: summed over the dimensions that were broadcast."""
    extra = gradient.dim() - len(shape)
    dims = list(range(extra))
    sizes = zip(shape, gradient.shape[extra:], strict=True)
    dims += [
        extra + i for i, (n, m) in enumerate(sizes) if _is_known(n == 1) and not _is_known(m == 1)
    ]
    return gradient.sum(dims, keepdim=True).reshape(shape) if dims else gradient
