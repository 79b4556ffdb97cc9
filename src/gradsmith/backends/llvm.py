"""Program → native kernel: one fused loop over CPU tensors, on one thread or several.

A kernel gives the bits of :func:`gradsmith.numerics.interpreter.run` for every element, wherever
it stands in the tensor; only the sign and the payload of a NaN that arithmetic made are free. It
is compiled in about 15 ms, unless the cache on disk has it, and runs without Python's global lock.
Machine code is never unloaded; it and what LLVM leaves behind are about 0.15 MB for each Program.

Like all arithmetic of its thread, a kernel obeys ``torch.set_flush_denormal``: after that,
subnormal numbers are zero here too, and the bits are not the interpreter's any more.
"""

from __future__ import annotations

import ctypes
from collections.abc import Collection, Sequence
from typing import TypeGuard

import torch
from torch import Tensor

from gradsmith.backends import llvm_packing, threads
from gradsmith.backends.interleave import vectors_at_a_time
from gradsmith.backends.llvm_ir import ENTRY, SIZES, loop
from gradsmith.backends.llvm_worker import WORKER, task, worker
from gradsmith.backends.native import Machine, host, load, machine_code, unavailable
from gradsmith.numerics.cost import cost
from gradsmith.numerics.program import Program, Type

__all__ = ["NativeKernel", "compile_program", "unavailable"]

_DTYPES = {
    Type.F64: torch.float64,
    Type.F32: torch.float32,
    Type.F16: torch.float16,
    Type.BF16: torch.bfloat16,
    Type.I64: torch.int64,
    Type.I32: torch.int32,
    Type.BOOL: torch.bool,
}

_kernels: dict[tuple[str, frozenset[str], frozenset[str | int]], NativeKernel] = {}


def compile_program(
    program: Program, scalars: Collection[str] = (), packed: Collection[str | int] = ()
) -> NativeKernel:
    """The kernel of a Program; the same one for the same Program.

    Args:
        program: what to compute for each element.
        scalars: names of the inputs that are one value for all elements.
        packed: names of inputs and positions of outputs that are codes of two bits; see
            :mod:`~gradsmith.backends.llvm_packing`.

    Raises:
        ValueError: ``scalars`` names what is not an input, or the Program has no output.
        RuntimeError: there are no native kernels here; the message says why.
    """
    key = (program.fingerprint, frozenset(scalars), frozenset(packed))
    known = _kernels.get(key)
    if known is None:
        # Of two threads that compile the same Program, both get the kernel of the first.
        known = _kernels.setdefault(key, NativeKernel(program, key[1], packed=key[2]))
    return known


class _Slot:
    """An input or output: what may stand there."""

    __slots__ = ("dtype", "name", "packed", "scalar", "size")

    def __init__(self, name: str, kind: Type, scalar: bool = False, packed: bool = False) -> None:
        self.name = name
        self.dtype = torch.uint8 if packed else _DTYPES[kind]
        self.size = self.dtype.itemsize
        self.scalar = scalar
        self.packed = packed

    def holds(self, count: int) -> int:
        """How many elements a tensor has for that many of the kernel's."""
        if self.packed:
            return llvm_packing.size(count)
        return 1 if self.scalar else count

    def takes(self, given: object, count: int) -> TypeGuard[Tensor]:
        """Whether it is a tensor whose memory a kernel can use as it is."""
        return (
            isinstance(given, Tensor)
            and given.dtype is self.dtype
            and given.is_cpu
            and given.numel() == count
            and given.is_contiguous()
            and not given.is_neg()
        )

    def made_of(self, given: object, count: int) -> Tensor:
        """The tensor of a number, for a scalar; for all else the error."""
        name, dtype = self.name, self.dtype
        if self.scalar and isinstance(given, (int, float)):
            return torch.tensor(given, dtype=dtype)
        if not isinstance(given, Tensor):
            wanted = "a tensor or a number" if self.scalar else "a tensor"
            raise TypeError(f"{name} must be {wanted}, got {type(given).__name__}")
        if given.dtype is not dtype:
            raise TypeError(f"{name} must be of dtype {dtype}, got {given.dtype}")
        if not given.is_cpu:
            raise TypeError(f"{name} must be on the CPU, got a tensor on {given.device}")
        if given.numel() != count:
            raise ValueError(f"{name} must have {count} elements, got {given.numel()}")
        raise ValueError(f"{name} must be contiguous; call .contiguous() or .resolve_neg()")


class NativeKernel:
    """Computes a Program for every element of some tensors; see :func:`compile_program`.

    Several threads may call it at once. ``machine`` is for code that makes do with less than the
    processor has.

    Attributes:
        program: what it computes.
        grain: elements from which on another thread pays.
        scalars: names of the inputs that are one value for all elements.
        packed: which inputs, by name, and outputs, by position, are codes of two bits: tensors of
            uint8, as long as :func:`~gradsmith.backends.llvm_packing.size` says. A kernel that
            has some computes one row; ``raw`` takes a byte for each code, :meth:`over` the bits.
        raw: the C function ``(n, input addresses..., output addresses...)``, which checks
            nothing: ``n`` consecutive elements stand at each address, of a scalar one. It runs
            on the calling thread.
    """

    __slots__ = (
        "_shared_worker",
        "_slots",
        "_worker",
        "grain",
        "packed",
        "program",
        "raw",
        "scalars",
    )

    def __init__(
        self,
        program: Program,
        scalars: frozenset[str] = frozenset(),
        machine: Machine | None = None,
        packed: frozenset[str | int] = frozenset(),
    ) -> None:
        names = [name for name, _ in program.inputs]
        unknown = sorted(scalars.difference(names))
        if unknown:
            raise ValueError(f"no input is called {unknown[0]!r}; there are {', '.join(names)}")
        if not program.outputs:
            raise ValueError("the program has no output")
        reason = unavailable()
        if reason is not None:
            raise RuntimeError(reason)
        self.program = program
        self.grain = threads.grain(cost(program, scalars))
        self.scalars = scalars
        self.packed = packed
        self._slots = [
            _Slot(name, kind, name in scalars, name in packed) for name, kind in program.inputs
        ]
        kinds = [program.type_of(number) for number in program.outputs]
        self._slots += [
            _Slot(f"output {i}", kind, packed=i in packed) for i, kind in enumerate(kinds)
        ]
        machine = machine or host()
        steps = [0 if name in scalars else SIZES[kind] for name, kind in program.inputs]
        steps += [SIZES[kind] for kind in kinds]
        written = loop(
            program,
            scalars,
            packed=packed,
            native_half=machine.converts_half,
            lookups=machine.lookups,
            vectors=vectors_at_a_time(program, machine.wide),
        )
        codes = [k for k, slot in enumerate(self._slots) if slot.packed]
        beside = written.beside + worker(ENTRY, steps, len(program.inputs), codes)
        code = machine_code(written.text, machine, beside)
        entry, self._shared_worker = load(code, (ENTRY, WORKER))
        pointers = [ctypes.c_void_p] * len(steps)
        # Functions of this kind release the global lock while they run.
        self.raw = ctypes.CFUNCTYPE(None, ctypes.c_int64, *pointers)(entry)
        self._worker = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._shared_worker)

    def __repr__(self) -> str:
        written = [
            f"{'scalar ' * slot.scalar}{slot.name}: {str(slot.dtype).removeprefix('torch.')}"
            for slot in self._slots
        ]
        count = len(self.program.inputs)
        return f"NativeKernel({', '.join(written[:count])} -> {', '.join(written[count:])})"

    @property
    def addresses(self) -> tuple[int, int]:
        """Of :attr:`raw`, and of the function that several threads run at once."""
        return ctypes.cast(self.raw, ctypes.c_void_p).value or 0, self._shared_worker

    def __call__(self, inputs: Sequence[Tensor | float], outputs: Sequence[Tensor]) -> None:
        """Computes every element of the outputs. Autograd does not learn of it.

        Args:
            inputs: contiguous CPU tensors of the outputs' number of elements; for a scalar a
                tensor of one element, or a number, which is rounded to the input's dtype.
            outputs: contiguous CPU tensors to write into. One may be an input (in place), else
                none may share memory with another tensor.

        Raises:
            TypeError: a dtype or device is wrong, or something is not a tensor, or is missing.
            ValueError: a tensor has another length, is not contiguous, or shares memory.
        """
        program = self.program
        if len(inputs) != len(program.inputs) or len(outputs) != len(program.outputs):
            raise TypeError(
                f"{self} takes {len(program.inputs)} inputs and {len(program.outputs)} outputs, "
                f"got {len(inputs)} and {len(outputs)}"
            )
        first: object = outputs[0]
        if not isinstance(first, Tensor):
            raise TypeError(f"output 0 must be a tensor, got {type(first).__name__}")
        length = first.numel()
        tensors: list[Tensor] = []
        addresses: list[int] = []
        ends: list[int] = []
        for slot, given in zip(self._slots, (*inputs, *outputs), strict=True):
            count = slot.holds(length)
            tensor = given if slot.takes(given, count) else slot.made_of(given, count)
            tensors.append(tensor)  # what was made here has to live until the end
            address = tensor.data_ptr()
            addresses.append(address)
            ends.append(address + count * slot.size)
        for written in range(len(inputs), len(tensors)):
            start, end = addresses[written], ends[written]
            for other in range(written):
                if start < ends[other] and addresses[other] < end:
                    same = start == addresses[other] and end == ends[other]
                    if not same or other >= len(inputs):
                        raise self._shared(written, other)
        self.over(length, addresses)

    def over(
        self,
        count: int,
        addresses: Sequence[int],
        row: int = 0,
        sizes: Sequence[int] = (),
        strides: Sequence[Sequence[int]] = (),
    ) -> None:
        """Computes ``count`` elements in rows, on as many threads as pay; checks nothing.

        Args:
            count: of all elements.
            addresses: of the first element of each input, then of each output.
            row: elements of one row, which lie without gaps; left out, all.
            sizes: of the dimensions that rows are counted in, the last one changing fastest.
            strides: for each of ``addresses``, the bytes between neighbours in each of ``sizes``.
        """
        number = threads.count(count, self.grain)
        if number == 1 and not sizes and not self.packed:
            self.raw(count, *addresses)
            return
        identify = threads.identify() if number > 1 else (0, 0)
        numbers = task(count, addresses, row or max(count, 1), sizes, strides, identify)
        block = (ctypes.c_int64 * len(numbers))(*numbers)
        if number == 1:
            self._worker(ctypes.addressof(block))
        else:
            threads.run(self._shared_worker, ctypes.addressof(block), number)

    def _shared(self, written: int, other: int) -> ValueError:
        return ValueError(
            f"{self._slots[written].name} shares memory with {self._slots[other].name}; "
            "an output may only be an input itself, element for element"
        )
