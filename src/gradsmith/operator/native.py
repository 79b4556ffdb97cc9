"""A pointwise operation by native code, for tensors in the memory of the CPU.

The Program's bits depend on nothing but the numbers: whatever the layout, they are the same.
Whatever records or transforms torch's own calls (a compiler, a tracer, a wrapper subclass) must
see torch's own calls, and is not served here.

What a call costs besides its elements decides how fast small tensors are. So a kernel is looked up
once for each combination of dtypes, and the common case, contiguous tensors of one shape, asks
nothing that it need not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradsmith.backends import dispatch, pages
from gradsmith.backends.dispatch import Precision
from gradsmith.numerics.fit import Fit, fit
from gradsmith.operator.broadcast import common_shape
from gradsmith.operator.kernels import Kernel, lookup
from gradsmith.operator.layout import Layout, arrange, empty_result, is_dense
from gradsmith.operator.usual import NUMBERS, Defaults, is_usual

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise

_PLAIN = frozenset({Tensor, torch.nn.Parameter})
_DTYPES = frozenset(dispatch.NATIVE_TYPES)

Pattern = tuple[torch.dtype, int]
"""The dtype of all tensors, and a digit for each operand: of a number how it fits, else 0.
Where all parameters are their defaults it is :data:`_AT_DEFAULTS` in place of the digits."""

_AT_DEFAULTS = -1
_DIGIT = len(Fit)  # larger than any digit of a pattern

_keys = torch._C._dispatch_keys
# What a plain CPU tensor may have; more than that has one of another device or layout, a nested
# one, a batch, a view that negates, a zero without memory. One question for them all.
_PLAIN_KEYS = (
    torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
    | torch._C.DispatchKeySet(torch._C.DispatchKey.ADInplaceOrView)
    | torch._C.DispatchKeySet(torch._C.DispatchKey.AutogradCPU)
    | torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastCPU)
)
_BEYOND_PLAIN = ~_PLAIN_KEYS.raw_repr()
_modes = torch._C._len_torch_dispatch_stack
_transforms = torch._C._are_functorch_transforms_active
_tracing = torch._C._get_tracing_state


def unwatched() -> bool:
    """Whether native code may be used: nobody looks on, and it was not chosen otherwise."""
    return not (
        _modes() or _transforms() or _tracing() is not None or dispatch.CHOSEN.get() != "llvm"
    )


def plain(operand: Any) -> bool:
    """Whether it is nothing but numbers in the memory of the CPU, of a dtype that is served."""
    return (
        type(operand) in _PLAIN
        and not _keys(operand).raw_repr() & _BEYOND_PLAIN
        and operand.dtype in _DTYPES
    )


def serves(operands: Sequence[Any]) -> bool:
    """Whether a kernel may compute these operands."""
    return unwatched() and all(plain(o) for o in operands if isinstance(o, Tensor))


def pattern(operands: Sequence[Any], defaults: Defaults = ()) -> Pattern | None:
    """The key to the kernel for contiguous plain tensors of one shape and dtype among numbers.

    The numbers are of moderate size, so that one kernel serves all that fit alike.
    Most calls are such; None for all others. Each question is asked once, and no function of ours
    is called for it but where there are numbers.

    Args:
        operands: of a call.
        defaults: theirs; left out, no kernel is for these alone.
    """
    dtype = shape = None
    numbers = 0
    place = 1
    for operand in operands:
        if type(operand) in NUMBERS:
            how = fit(operand)
            if how is Fit.NONE:
                return None
            numbers += place * how.value
        elif type(operand) not in _PLAIN or _keys(operand).raw_repr() & _BEYOND_PLAIN:
            return None
        else:
            if dtype is None:
                dtype, shape = operand.dtype, operand.shape
                if dtype not in _DTYPES:
                    return None
            elif operand.dtype is not dtype or operand.shape != shape:
                return None
            if not operand.is_contiguous():
                return None
        place *= _DIGIT
    if dtype is None:
        return None
    if numbers and is_usual(operands, defaults):
        numbers = _AT_DEFAULTS
    return dtype, numbers


def with_singles_as_numbers(operands: Sequence[Any]) -> Sequence[Any]:
    """The same operands, single elements among larger tensors as numbers: a learned slope, say.

    Args:
        operands: plain tensors and numbers.
    """
    dims = max((o.dim() for o in operands if isinstance(o, Tensor) and o.numel() != 1), default=-1)
    return [
        o.item() if isinstance(o, Tensor) and o.numel() == 1 and o.dim() <= dims else o
        for o in operands
    ]


def common_dtype(operands: Sequence[Any]) -> torch.dtype | None:
    """The one dtype of plain tensors among plain numbers; None where anything is otherwise."""
    dtype: torch.dtype | None = None
    for operand in operands:
        if type(operand) in NUMBERS:
            continue
        if not plain(operand):
            return None
        if dtype is None:
            dtype = operand.dtype
        elif dtype is not operand.dtype:
            return None
    return dtype


def quick_with_singles(operation: Pointwise, operands: Sequence[Any]) -> Tensor | None:
    """:func:`quick`, where the operands have a pattern once single elements are numbers."""
    operands = with_singles_as_numbers(operands)
    known = pattern(operands)
    return None if known is None else quick(operation, operands, known)


def quick(operation: Pointwise, operands: Sequence[Any], known: Pattern) -> Tensor | None:
    """:func:`run` for operands that have a :func:`pattern`, their dtype that of the result."""
    kernel = operation.native.get(known)
    if kernel is None:
        precision = dispatch.precision(known[0], "cpu")
        kernel = lookup(operation, operands, None, precision, known[1] == _AT_DEFAULTS)
        if kernel is None:
            return None
        operation.native[known] = kernel
    return results(kernel, operands, known)[0]


def results(
    kernel: Kernel, operands: Sequence[Any], known: Pattern, count: int = 1
) -> list[Tensor]:
    """What a kernel makes of operands that have a pattern: as many tensors as it has outputs."""
    if known[1]:
        first = next(operand for operand in operands if isinstance(operand, Tensor))
        # What an address is taken of must outlive the call.
        held = [kernel.address_of(operands[i]) for i in kernel.reads]
        addresses = [address for address, _ in held]
    else:
        first = operands[0]
        addresses = [operands[i].data_ptr() for i in kernel.reads]
    if count == 1:
        made = [torch.empty_like(first)]
        addresses.append(made[0].data_ptr())
    else:
        made = [torch.empty_like(first) for _ in range(count)]
        addresses += [result.data_ptr() for result in made]
    number = first.numel()
    if number <= kernel.code.grain:
        kernel.raw(number, *addresses)
    else:
        for result in made:
            pages.advised(result)
        kernel.code.over(number, addresses)
    return made


def run(
    operation: Pointwise, operands: Sequence[Any], precision: Precision, out: Tensor | None = None
) -> Tensor | None:
    """The result of one call; None where a function of the operation has no instructions.

    Args:
        operation: what to compute.
        operands: plain tensors that broadcast, and numbers.
        precision: of the result.
        out: a tensor that :func:`may_write_to`; left out, a new one laid out like the operands.
    """
    shape = _common_shape(operation, operands)
    result = empty_result(operands, shape, precision.storage) if out is None else out
    if result.numel() == 0:
        return result
    operands, layout = arrange(operands, result)
    usual = is_usual(operands, operation.usual)
    kernel = lookup(operation, operands, layout.singles, precision, usual)
    if kernel is None:
        return None
    fill(kernel, operands, layout, [result])
    return result


def fill(
    kernel: Kernel, operands: Sequence[Any], layout: Layout, results: Sequence[Tensor]
) -> None:
    """Writes a kernel's results, which all lie alike, for operands that lie as described."""
    read = [operands[i] for i in kernel.reads]
    held = [kernel.address_of(operand) for operand in read]
    addresses = [address for address, _ in held]
    addresses += [result.data_ptr() for result in results]
    strides = [
        [(o.itemsize if isinstance(o, Tensor) else 0) * stride for stride in layout.strides[i]]
        for o, i in zip(read, kernel.reads, strict=True)
    ]
    strides += [[result.itemsize * stride for stride in layout.strides[-1]] for result in results]
    count = results[0].numel()
    kernel.code.over(count, addresses, layout.row, layout.sizes, strides)


def may_write_to(
    out: Tensor, operation: Pointwise, operands: Sequence[Any], storage: torch.dtype
) -> bool:
    """Whether a kernel may write its result there: as large, dense, and no operand in part."""
    if not (plain(out) and out.dtype is storage and is_dense(out)):
        return False
    if out.shape != _common_shape(operation, operands):
        return False
    memory = out.untyped_storage().data_ptr()
    for operand in operands:
        if isinstance(operand, Tensor) and operand.untyped_storage().data_ptr() == memory:
            same = operand.data_ptr() == out.data_ptr() and operand.stride() == out.stride()
            if not (same and operand.shape == out.shape and operand.dtype is out.dtype):
                return False
    return True


def _common_shape(operation: Pointwise, operands: Sequence[Any]) -> torch.Size:
    named = zip(operation.operands, operands, strict=True)
    return common_shape({name: o for name, o in named if isinstance(o, Tensor)})
