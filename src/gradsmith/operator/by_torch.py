"""A pointwise operation by torch's own operations: on any device, and under whatever looks on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradsmith.backends import dispatch, spelling
from gradsmith.backends.dispatch import Precision
from gradsmith.formula.expression import free_symbols
from gradsmith.operator.broadcast import (
    common_device,
    common_shape,
    converted,
    same_shape,
    spread,
)
from gradsmith.operator.by_shards import are_distributed, computed_by_shards

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
    if are_distributed(operands):
        return computed_by_shards(operation, operands, precision)
    if torch._C._get_tracing_state() is not None:
        return _without_derivative(_traced(operation, operands, precision))
    result = _computed(operation, operands, precision)
    return _without_derivative(result) if torch.compiler.is_exporting() else result


def _traced(operation: Pointwise, operands: Sequence[Any], precision: Precision) -> Tensor:
    from torch.jit._trace import TracerWarning

    with warnings.catch_warnings():
        # Which shapes are equal is so for every input that broadcasts in the same way.
        warnings.simplefilter("ignore", TracerWarning)
        return _computed(operation, operands, precision)


def _computed(operation: Pointwise, operands: Sequence[Any], precision: Precision) -> Tensor:
    precision = sufficient(operation, precision)
    named = zip(operation.operands, operands, strict=True)
    tensors = {name: operand for name, operand in named if isinstance(operand, Tensor)}
    shape = common_shape(tensors)
    device = common_device(tensors)
    are_tensors = tuple(isinstance(operand, Tensor) for operand in operands)
    kernel, read = _kernel(operation, are_tensors, device, precision)
    result = kernel(*(converted(operands[i], precision) for i in read))
    if not same_shape(result.shape, shape) or result.device != device:
        result = spread(result, shape, device, tensors.values())
    return result.to(precision.storage)


def _without_derivative(result: Tensor) -> Tensor:
    """For exported graphs, which autograd differentiates as they are, operation by operation.

    A stable expression is not to be differentiated: 1/(1 + exp(-|x|)) has another slope at 0 than
    the sigmoid. This operation of torch's, a copy, has no derivative, and says so; compilers
    remove it. ONNX has no gradients.
    """
    if spelling.is_exporting_onnx():
        return result
    copied: Tensor = torch.ops.aten.copy(result, result)
    return copied


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
    calls = dispatch.calls(device)
    key = (are_tensors, calls, precision.target)
    if key not in operation.by_torch:
        expression = operation.expression_for(precision.target)
        needed = {symbol.name for symbol in free_symbols(expression)}
        read = [i for i, name in enumerate(operation.operands) if name in needed]
        if not any(are_tensors[i] for i in read):
            read.append(are_tensors.index(True))  # whose dtype and device a constant takes
        names = [operation.operands[i] for i in read]
        scalars = [operation.operands[i] for i in read if not are_tensors[i]]
        kernel = dispatch.kernel(expression, names, scalars, calls)
        operation.by_torch[key] = kernel, tuple(read)
    return operation.by_torch[key]
