"""Comparing a native kernel with the interpreter, bit for bit."""

from __future__ import annotations

import platform
from collections.abc import Sequence

import numpy as np
import torch

from gradsmith.backends import native
from gradsmith.backends.llvm import NativeKernel
from gradsmith.numerics.builder import (
    Builder,
    Value,
    bits,
    convert,
    equal,
    fma,
    maximum,
    minimum,
    rint,
    select,
    sqrt,
)
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import BF16, BOOL, F16, F32, F64, Program, Type
from tests.backends.programs import INTEGERS, Array, values

X86 = platform.machine().lower() in ("x86_64", "amd64")
COUNT = 201
# Around the widths of vectors, and at every place of a remainder.
PIECES = [(0, n) for n in (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 129, COUNT)]
PIECES += [(1, 64), (3, 77), (5, 6), (7, 128)]


def to_torch(array: Array, kind: Type) -> torch.Tensor:
    """A tensor of the same bits."""
    if kind is BF16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array.copy())


def to_numpy(tensor: torch.Tensor) -> Array:
    """The tensor's bits, as the interpreter has them."""
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    return tensor.numpy()


def same(kind: Type, have: Array, want: Array) -> bool:
    """Whether the bits agree, where there is a number; one NaN is as good as another."""
    assert have.dtype == want.dtype
    if kind in (BOOL, *INTEGERS):
        return bool(np.array_equal(have, want))
    raw = f"u{kind.bits // 8}"
    number = (
        [(v.astype(np.uint32) << 16).view(np.float32) for v in (have, want)]
        if kind is BF16
        else [have, want]
    )
    nan = np.isnan(number[0]) & np.isnan(number[1])
    return bool(np.all(nan | (have.view(raw) == want.view(raw))))


def check(kernel: NativeKernel, arrays: Sequence[Array], pieces: Sequence[tuple[int, int]]) -> None:
    """Compares with the interpreter on pieces ``array[start : start + length]``."""
    program = kernel.program
    wanted = run(program, *arrays)
    kinds = [program.type_of(number) for number in program.outputs]
    tensors = [to_torch(a, kind) for a, (_, kind) in zip(arrays, program.inputs, strict=True)]
    size = max(array.size for array in arrays)
    wanted = [np.broadcast_to(w, size) for w in wanted]
    whole = [to_torch(np.zeros_like(w), kind) for w, kind in zip(wanted, kinds, strict=True)]
    for start, length in pieces:
        piece = slice(start, start + length)
        inputs = [
            tensor if name in kernel.scalars else tensor[piece]
            for tensor, (name, _) in zip(tensors, program.inputs, strict=True)
        ]
        for output in whole:
            output.fill_(1)
        kernel(inputs, [output[piece] for output in whole])
        for output, want, kind in zip(whole, wanted, kinds, strict=True):
            have = to_numpy(output)
            assert same(kind, have[piece], want[piece]), f"[{piece}] of\n{program}"
            around = np.concatenate([have[:start], have[start + length :]])
            untouched = to_numpy(torch.ones_like(output))[: around.size]
            assert np.array_equal(around, untouched), f"writes outside of [{piece}]\n{program}"


def check_randomly(kernel: NativeKernel, seed: int, pieces: Sequence[tuple[int, int]]) -> None:
    random = np.random.default_rng(seed)
    check(
        kernel,
        [
            values(kind, 1 if name in kernel.scalars else COUNT, random)
            for name, kind in kernel.program.inputs
        ],
        pieces,
    )


def less_capable() -> list[native.Machine]:
    """Processors of the host's kind that have less: no fused multiply-add, no half precision."""
    if not X86 or native.unavailable() is not None:
        return []
    triple = native.host().triple
    has = native.host().features.split(",")
    levels = {"x86-64": "+sse2", "x86-64-v2": "+sse4.2", "x86-64-v3": "+avx2"}
    return [native.Machine(triple, level) for level, needs in levels.items() if needs in has]


PRECISIONS = [(F64, F64)] + [(kind, inside) for kind in (F32, F16, BF16) for inside in (F64, F32)]


def polynomial(kind: Type, inside: Type) -> Program:
    """Something with a division, a square root, an exponent made of integers, and constants."""
    builder = Builder()
    given_ = builder.input("x", kind)
    x = convert(convert(given_, F32) if kind in (F16, BF16) else given_, inside)
    whole = rint(minimum(maximum(x * 1.4426950408889634, -30.0), 30.0))
    rest = fma(whole, -0.6931471805599453, x)
    p: Value = builder.number(inside, 1 / 120)
    for c in (1 / 24, 1 / 6, 0.5, 1.0, 1.0):
        p = fma(p, rest, c)
    magic, places, bias = (2**52 * 1.5, 52, 1023) if inside is F64 else (2**23 * 1.5, 23, 127)
    scale = bits((bits(whole + magic) + bias) << places)
    y = p * scale
    result = select(equal(x, x), sqrt(y) / (y + 1.0), x)
    if kind in (F16, BF16):
        return builder.program(convert(convert(result, F32), kind))
    return builder.program(convert(result, kind))
