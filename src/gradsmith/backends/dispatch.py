"""Which backend serves a tensor, in which precision it computes, and what dtype results.

Every choice that depends on dtype or device is in this file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from ctypes import c_int64
from dataclasses import dataclass
from functools import cache, lru_cache
from threading import Lock

import torch

from gradsmith.backends import llvm, spelling
from gradsmith.backends.aten import Kernel, compile_expression
from gradsmith.formula.expression import Expr
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.program import BF16, F16, F32, F64, Type
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

NATIVE_TYPES: dict[torch.dtype, Type] = {
    torch.float64: F64,
    torch.float32: F32,
    torch.float16: F16,
    torch.bfloat16: BF16,
}
BACKENDS = ("llvm", "aten")
"""What computes on the CPU: native code, or torch's own operations, which run everywhere."""

CHOSEN: ContextVar[str] = ContextVar("backend", default=BACKENDS[0])
"""Which of them, in this context; :func:`using` sets it."""

OTHERWISE = c_int64(0)
"""How many contexts may have chosen; while there are none, nobody needs to ask for
:data:`CHOSEN`, and native code need not ask Python."""

_counting = Lock()

ACCEPTED = "float32, float64, float16, bfloat16, integers and bool"


@dataclass(frozen=True, slots=True, eq=False)
class Precision:
    """Everything is computed in ``compute`` and rounded once, at the end, to ``storage``.

    ``target`` says the same to the numerics, and what error the computation may add. There is one
    object for each: they are compared, and looked up with each call, by identity.
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
        return _precision(self.storage, getattr(torch, target.compute), target, True)

    def stored_as(self, storage: torch.dtype) -> Precision:
        """The same computation with results of another dtype."""
        if storage is self.storage:
            return self
        return _precision(storage, self.compute, self.target, self.may_widen)


@cache
def _precision(
    storage: torch.dtype, compute: torch.dtype, target: Target, may_widen: bool
) -> Precision:
    return Precision(storage, compute, target, may_widen)


def calls(device: torch.device) -> object:
    """What the code of a kernel calls as ``torch``, here and now."""
    if spelling.is_exporting_onnx():
        return spelling.FOR_ONNX
    return spelling.FOR_GRAPH if device.type == "cpu" and spelling.is_traced() else torch


def kernel(
    expression: Expr, arguments: Sequence[str], scalars: Collection[str], calls: object
) -> Kernel:
    """The function that computes ``expression`` by torch's operations, which run on any device.

    Args:
        expression: over ``arguments``.
        arguments: names of its operands, in their order.
        scalars: those of them that are Python numbers.
        calls: what :func:`calls` gave.
    """
    # The exporter to ONNX writes a number beside a tensor in float32.
    lift = calls is spelling.FOR_ONNX
    return compile_expression(expression, arguments, scalars, calls, lift)


@contextmanager
def using(backend: str) -> Iterator[None]:
    """Within this context, compute with ``backend``.

    Raises:
        ValueError: there is no such backend.
    """
    if backend not in BACKENDS:
        raise ValueError(f"no backend is called {backend!r}; there are {', '.join(BACKENDS)}")
    with consulted():
        token = CHOSEN.set(backend)
        try:
            yield
        finally:
            CHOSEN.reset(token)


@contextmanager
def consulted() -> Iterator[None]:
    """Within this context, every call in every thread asks for :data:`CHOSEN`."""
    with _counting:
        OTHERWISE.value += 1
    try:
        yield
    finally:
        with _counting:
            OTHERWISE.value -= 1


def native_reason() -> str | None:
    """Why there is no native code in this context; None where there is."""
    if CHOSEN.get() != "llvm":
        return "torch's own operations were chosen"
    return llvm.unavailable()


def backend() -> str:
    """What computes on the CPU in this context, one of :data:`BACKENDS`."""
    return "llvm" if native_reason() is None else "aten"


def native_kernel(
    expressions: Sequence[Expr],
    inputs: Mapping[str, torch.dtype | None],
    scalars: Collection[str],
    scheme: Scheme,
    storage: torch.dtype,
    short: Collection[str] = (),
    packed: Collection[str | int] = (),
) -> llvm.NativeKernel:
    """Native code for ``expressions``, one result each.

    Args:
        expressions: over ``inputs``.
        inputs: the dtype of each tensor; None for what comes as a Python number.
        scalars: those of them that are one value for all elements.
        scheme: how to compute.
        storage: the dtype of the results.
        short: which of the Python numbers are exact in float32.
        packed: which inputs, of dtype float32, and results, by position, are codes of two bits.
    """
    kinds = {n: F64 if dtype is None else NATIVE_TYPES[dtype] for n, dtype in inputs.items()}
    results = [F32 if i in packed else NATIVE_TYPES[storage] for i in range(len(expressions))]
    program = lower(expressions, kinds, scheme, results, scalars, short)
    return llvm.compile_program(program, scalars, packed)


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
    return _precision(storage, getattr(torch, target.compute), target, may_widen)


def in_autocast(device_type: str) -> bool:
    """Whether ``torch.autocast`` is on for devices of this type."""
    amp = torch.amp
    return amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)


def result_dtype(tensors: Iterable[torch.Tensor]) -> torch.dtype:
    """The dtype of the result, by torch's rules of promotion.

    A 0-dimensional tensor does not widen others of its category; integers and bool become the
    default dtype, as in torch's unary functions.

    Raises:
        TypeError: a tensor is complex or of another dtype that is not computed in, or is not dense.
    """
    full: torch.dtype | None = None
    single: torch.dtype | None = None
    for tensor in tensors:
        if tensor.layout is not torch.strided or tensor.is_nested:
            _check_layout(tensor)
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


def _check_layout(tensor: torch.Tensor) -> None:
    if tensor.layout is torch.jagged:
        return
    kind, way = f"a tensor of layout {tensor.layout}", "to_dense() makes one"
    if tensor.is_nested:
        kind, way = "a nested tensor of layout torch.strided", "layout=torch.jagged is accepted too"
    raise TypeError(f"no activation of {kind}; accepted are dense tensors, {way}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
