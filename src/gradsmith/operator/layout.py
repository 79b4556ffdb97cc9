"""How operands of any shape and stride lie beside the result of a pointwise operation.

A kernel walks rows: stretches in which the result has no gaps and each operand either has none or
is one and the same element. Most calls are one such row. Slices, channels-last tensors beside
others, and broadcast operands are many; what does not fit, such as every second element or the
transpose of another operand, is copied into the result's layout first, where a copy costs one more
pass and gathering single elements would cost more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from gradsmith.backends.pages import advised

SHORTEST = 64
"""Elements below which a row costs more to begin than to copy: finding where it starts takes a
division for each outer dimension, and what is left over behind the last vector goes one by one."""
WHOLE = 16
"""Rows of a multiple of this leave nothing over, and pay from the first multiple on."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What a kernel needs to know of how its operands lie.

    Attributes:
        singles: which of them are one element within a row.
        row: elements of a row.
        sizes: of the dimensions that rows are counted in, the last one changing fastest.
        strides: of each operand, then of the result, in elements for each of ``sizes``.
    """

    singles: tuple[bool, ...]
    row: int
    sizes: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]


Lie = tuple[torch.Size, tuple[int, ...]] | None
"""Shape and strides of an operand; None for a number."""


def empty_result(operands: Sequence[Any], shape: torch.Size, storage: torch.dtype) -> Tensor:
    """A new tensor laid out like the operands, as torch's own functions choose it.

    Args:
        operands: tensors that broadcast to ``shape``, and numbers.
        shape: of the result.
        storage: its dtype.
    """
    full = [o for o in operands if isinstance(o, Tensor) and o.shape == shape]
    like = next((tensor for tensor in full if is_dense(tensor)), full[0] if full else None)
    if like is None:
        return advised(torch.empty(shape, dtype=storage))
    return advised(torch.empty_like(like, dtype=storage))


def is_dense(tensor: Tensor) -> bool:
    """Whether its elements lie without gaps and each once, in whatever order."""
    return tensor.is_contiguous() or bool(torch.ops.aten.is_non_overlapping_and_dense(tensor))


def arrange(operands: Sequence[Any], result: Tensor) -> tuple[Sequence[Any], Layout]:
    """Operands that broadcast to a result without gaps, or copies of them, and their rows."""
    shape, strides = result.shape, result.stride()
    layout = _rows(tuple([_lie(operand) for operand in operands]), shape, strides)
    if layout is None:
        operands = [_like(operand, result) for operand in operands]
        layout = _rows(tuple([_lie(operand) for operand in operands]), shape, strides)
        assert layout is not None, "tensors of one layout are one row"
    return operands, layout


def _lie(operand: Any) -> Lie:
    return (operand.shape, operand.stride()) if isinstance(operand, Tensor) else None


def _like(operand: Any, result: Tensor) -> Any:
    """A copy that lies as the result does, unless it is one element or lies so already."""
    if not isinstance(operand, Tensor) or operand.numel() == 1:
        return operand
    if operand.shape == result.shape and operand.stride() == result.stride():
        return operand
    return torch.empty_like(result, dtype=operand.dtype).copy_(operand)


@lru_cache(maxsize=4096)  # a training loop repeats the layouts of its layers
def _rows(lies: tuple[Lie, ...], shape: torch.Size, result: tuple[int, ...]) -> Layout | None:
    """The rows, if there are any that are long enough to be worth it."""
    strides = [_expanded(lie, shape) for lie in lies]
    known = [s for s in strides if s is not None] + [result]
    walked = sorted((dim for dim, size in enumerate(shape) if size > 1), key=lambda d: -result[d])
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in known]
    for dim in walked:
        size = shape[dim]
        if sizes and all(s[-1] == of[dim] * size for s, of in zip(steps, known, strict=True)):
            sizes[-1] *= size
            for s, of in zip(steps, known, strict=True):
                s[-1] = of[dim]
        else:
            sizes.append(size)
            for s, of in zip(steps, known, strict=True):
                s.append(of[dim])
    row = sizes.pop() if sizes else 1
    inner = [s.pop() if s else 0 for s in steps]
    if row > 1 and any(step not in (0, 1) for step in inner):
        return None
    if sizes and row < SHORTEST and row % WHOLE:
        return None
    moves = iter(inner)
    singles = tuple(s is None or next(moves) == 0 for s in strides)
    rest = iter(steps)
    each = [(0,) * len(sizes) if s is None else tuple(next(rest)) for s in strides]
    return Layout(singles, row, tuple(sizes), (*each, tuple(next(rest))))


def _expanded(lie: Lie, shape: torch.Size) -> tuple[int, ...] | None:
    """Strides once the operand is expanded to the shape."""
    if lie is None:
        return None
    own, strides = lie
    missing = (0,) * (len(shape) - len(own))
    return missing + tuple(0 if n == 1 else s for n, s in zip(own, strides, strict=True))
