"""A pointwise operation by native code, for tensors in the memory of the CPU.

The Program's bits depend on nothing but the numbers: layouts that the loop does not walk are
brought into one that it does, so that strided, broadcast and contiguous tensors give the same.
Whatever records or transforms torch's own calls (a compiler, a tracer, a wrapper subclass) must
see torch's own calls, and is not served here.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import byref, c_double
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradsmith.backends import dispatch
from gradsmith.backends.dispatch import Precision
from gradsmith.backends.llvm import NativeKernel
from gradsmith.formula.expression import free_symbols

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise

_PLAIN = (Tensor, torch.nn.Parameter)

Kind = torch.dtype | None
"""The dtype of a tensor operand; None for a number."""


def serves(operands: Sequence[Any]) -> bool:
    """Whether these operands are in plain memory and nobody looks on."""
    for operand in operands:
        if isinstance(operand, Tensor) and not (
            type(operand) in _PLAIN
            and operand.device.type == "cpu"
            and operand.layout is torch.strided
            and operand.dtype in dispatch.NATIVE_TYPES
            and not operand.is_neg()
            and torch._C._has_storage(operand)  # not the batch of an older vmap
        ):
            return False
    return not (
        torch._C._len_torch_dispatch_stack()
        or torch._C._are_functorch_transforms_active()
        or torch._C._get_tracing_state()
    )


@dataclass(frozen=True, slots=True)
class Kernel:
    """Compiled code and the operands that it reads, by their positions."""

    code: NativeKernel
    reads: tuple[int, ...]


def compiled(
    operation: Pointwise,
    kinds: tuple[Kind, ...],
    singles: tuple[bool, ...],
    precision: Precision,
) -> Kernel | None:
    """The kernel for operands of these dtypes; None where a function has no instructions.

    Args:
        operation: what to compute.
        kinds: of each operand.
        singles: which of them are one value for all elements.
        precision: of the result.
    """
    try:
        return _compiled(operation, kinds, singles, precision)
    except (NotImplementedError, RuntimeError):  # no instructions, or LLVM cannot do it here
        return None


def _compiled(
    operation: Pointwise,
    kinds: tuple[Kind, ...],
    singles: tuple[bool, ...],
    precision: Precision,
) -> Kernel:
    target, scheme = operation.scheme_for(precision, all(k is torch.float32 for k in kinds))
    expression = operation.expression_for(target)
    needed = {symbol.name for symbol in free_symbols(expression)}
    reads = tuple(i for i, name in enumerate(operation.operands) if name in needed)
    inputs = {operation.operands[i]: kinds[i] for i in reads}
    scalars = [operation.operands[i] for i in reads if singles[i]]
    code = dispatch.native_kernel(expression, inputs, scalars, scheme, precision.storage)
    return Kernel(code, reads)


def run(kernel: Kernel, operands: Sequence[Any], shape: torch.Size, storage: torch.dtype) -> Tensor:
    """The result of one call, a new tensor laid out like the operands."""
    full = [o for o in operands if isinstance(o, Tensor) and o.shape == shape]
    like = next((t for t in full if _is_dense(t)), full[0] if full else None)
    if like is None:
        result = torch.empty(shape, dtype=storage)
    else:
        result = torch.empty_like(like, dtype=storage)
    count = prod(shape)
    if count == 0:
        return result
    addresses: list[Any] = []
    kept = []  # what an address is taken of must outlive the call
    for position in kernel.reads:
        operand = operands[position]
        if isinstance(operand, Tensor):
            # One element is read once for the whole loop; the rest lie as the result does.
            if operand.numel() != 1 and not _lies_like(operand, result):
                operand = torch.empty_like(result, dtype=operand.dtype).copy_(operand)
            kept.append(operand)
            addresses.append(operand.data_ptr())
        else:
            addresses.append(byref(c_double(operand)))
    kernel.code.raw(count, *addresses, result.data_ptr())
    return result


def _is_dense(tensor: Tensor) -> bool:
    return tensor.is_contiguous() or bool(torch.ops.aten.is_non_overlapping_and_dense(tensor))


def _lies_like(operand: Tensor, result: Tensor) -> bool:
    return operand.shape == result.shape and operand.stride() == result.stride()
