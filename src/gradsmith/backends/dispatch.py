"""Which backend serves a tensor, in which precision it computes, and what dtype results.

Every choice that depends on dtype or device is in this file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

from gradsmith.backends.aten import Kernel, compile_expression
from gradsmith.formula.expression import Expr
from gradsmith.numerics.target import BFLOAT16, FLOAT16, FLOAT32, FLOAT32_ALONE, FLOAT64, Target

# Twice the digits leave a result within about half an ULP.
_TARGETS = {
    torch.float64: FLOAT64,
    torch.float32: FLOAT32,
    torch.float16: FLOAT16,
    torch.bfloat16: BFLOAT16,
}
_INTEGERS = frozenset(
    {torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64}
    | {torch.int8, torch.int16, torch.int32, torch.int64}
)
_WITHOUT_FLOAT64 = frozenset({"mps"})

ACCEPTED = "float32, float64, float16, bfloat16, integers and bool"


@dataclass(frozen=True, slots=True)
class Precision:
    """Everything is computed in ``compute`` and rounded once, at the end, to ``storage``.

    ``target`` says the same to the numerics, and what error the computation may add.
    """

    storage: torch.dtype
    compute: torch.dtype
    target: Target
    may_widen: bool = True

    @property
    def wider(self) -> Precision | None:
        """The same with more digits, where there is one."""
        target = self.target.wider
        if target is None or not self.may_widen:
            return None
        return _widened(self.storage, target)


@lru_cache(maxsize=16)
def _widened(storage: torch.dtype, target: Target) -> Precision:
    return Precision(storage, getattr(torch, target.compute), target)


def kernel(
    expression: Expr, arguments: Sequence[str], scalars: Collection[str], device: torch.device
) -> Kernel:
    """The function that computes ``expression`` on ``device``. Torch operations run on each."""
    return compile_expression(expression, arguments, scalars)


@lru_cache(maxsize=256)
def precision(storage: torch.dtype, device_type: str) -> Precision:
    """The precision for results of dtype ``storage`` on devices of this type.

    Raises:
        TypeError: gradsmith does not compute in this dtype.
    """
    target = _TARGETS.get(storage)
    if target is None:
        raise TypeError(f"no activation of {_name(storage)} tensors; accepted are {ACCEPTED}")
    if target is FLOAT32 and device_type in _WITHOUT_FLOAT64:
        target = FLOAT32_ALONE
    may_widen = device_type not in _WITHOUT_FLOAT64
    return Precision(storage, getattr(torch, target.compute), target, may_widen)


def result_dtype(tensors: Iterable[torch.Tensor]) -> torch.dtype:
    """The dtype of the result, by torch's rules of promotion.

    A 0-dimensional tensor does not widen others of its category; integers and bool become the
    default dtype, as in torch's unary functions.

    Raises:
        TypeError: a tensor is complex or of another dtype that is not computed in.
    """
    full: torch.dtype | None = None
    single: torch.dtype | None = None
    for tensor in tensors:
        dtype = tensor.dtype
        if dtype in _INTEGERS:
            continue
        if dtype not in _TARGETS:
            raise TypeError(f"no activation of {_name(dtype)} tensors; accepted are {ACCEPTED}")
        if tensor.dim():
            full = dtype if full is None else torch.promote_types(full, dtype)
        else:
            single = dtype if single is None else torch.promote_types(single, dtype)
    return full or single or torch.get_default_dtype()


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
