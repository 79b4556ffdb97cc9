"""A pointwise operation by torch's own operations: on any device, and under whatever looks on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradsmith.backends import dispatch
from gradsmith.backends.dispatch import Precision
from gradsmith.formula.expression import free_symbols
from gradsmith.operator.broadcast import common_device, common_shape, converted, spread

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise

TorchKernel = tuple[Callable[..., Tensor], tuple[int, ...]]
"""The function that computes, and which operands it takes."""


def computed_by_torch(
    operation: Pointwise, operands: Sequence[Any], precision: Precision
) -> Tensor:
    """The result of one call.

    Args:
        operation: what to compute.
        operands: tensors that broadcast, and numbers.
        precision: of the result; where it misses the budget of the operation, a wider one is used.

    Raises:
        ValueError: shapes do not broadcast, or devices differ.
    """
    precision = sufficient(operation, precision)
    named = zip(operation.operands, operands, strict=True)
    tensors = {name: operand for name, operand in named if isinstance(operand, Tensor)}
    shape = common_shape(tensors)
    device = common_device(tensors)
    are_tensors = tuple(isinstance(operand, Tensor) for operand in operands)
    kernel, read = _kernel(operation, are_tensors, device, precision)
    result = kernel(*(converted(operands[i], precision) for i in read))
    if result.shape != shape or result.device != device:
        result = spread(result, shape, device, tensors.values())
    return result.to(precision.storage)


def sufficient(operation: Pointwise, precision: Precision) -> Precision:
    """``precision``, or a wider one where that misses the budget for this operation."""
    wider = precision.wider
    if wider is None or not free_symbols(operation.core):
        return precision
    # Measured with NumPy's functions; torch's may differ by as much again.
    target = precision.target
    return precision if 2 * operation.stable_for(target).error <= target.budget else wider


def _kernel(
    operation: Pointwise,
    are_tensors: tuple[bool, ...],
    device: torch.device,
    precision: Precision,
) -> TorchKernel:
    key = (are_tensors, device.type, precision.target)
    if key not in operation.by_torch:
        expression = operation.expression_for(precision.target)
        needed = {symbol.name for symbol in free_symbols(expression)}
        read = [i for i, name in enumerate(operation.operands) if name in needed]
        if not any(are_tensors[i] for i in read):
            read.append(are_tensors.index(True))  # whose dtype and device a constant takes
        names = [operation.operands[i] for i in read]
        scalars = [operation.operands[i] for i in read if not are_tensors[i]]
        kernel = dispatch.kernel(expression, names, scalars, device)
        operation.by_torch[key] = kernel, tuple(read)
    return operation.by_torch[key]
