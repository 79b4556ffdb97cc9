"""Codes of two bits: what one kernel writes, another reads; they lie as the module says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradsmith.backends import llvm, llvm_packing, native
from gradsmith.backends.llvm import NativeKernel, compile_program
from gradsmith.numerics.builder import Builder, Value, equal, select
from gradsmith.numerics.program import F32, F64, Program, bits_of_number
from tests.backends.agreement import less_capable

pytestmark = pytest.mark.skipif(llvm.unavailable() is not None, reason=str(llvm.unavailable()))

LENGTHS = (1, 31, 32, 33, 63, 64, 65, 127, 2047, 2048, 2049, 5000)


def _codes(x: Value, builder: Builder) -> Value:
    """3 above 1, 2 above 0, else 1; 0 for NaN."""
    codes = [builder.constant(F32, bits_of_number(F32, c)) for c in range(4)]
    zero, one = codes[:2]
    chosen = select(x > one, codes[3], select(x > zero, codes[2], one))
    return select(equal(x, x), chosen, zero)


def writing() -> Program:
    """x → 2·x, and its code."""
    builder = Builder()
    x = builder.input("x", F32)
    return builder.program(x + x, _codes(x, builder))


def reading() -> Program:
    """Codes and g → g·code."""
    builder = Builder()
    code = builder.input("code", F32)
    g = builder.input("g", F32)
    return builder.program(code * g)


def drawn(length: int, seed: int) -> torch.Tensor:
    x = torch.randn(length, generator=torch.Generator().manual_seed(seed)) + 0.5
    x[::5] = torch.nan
    return x


def expected(x: torch.Tensor) -> torch.Tensor:
    code = 1 + (x > 0).int() + (x > 1).int()
    return torch.where(x.isnan(), 0, code)


def planes(packed: torch.Tensor, length: int) -> np.ndarray:
    """The codes, read as the module describes them."""
    words = packed.numpy().reshape(-1, 2, 8)
    low, high = (np.unpackbits(words[:, k].ravel(), bitorder="little") for k in (0, 1))
    assert not low[length:].any(), "behind the end there are no codes"
    assert not high[length:].any()
    return low[:length] + 2 * high[:length]


@pytest.mark.parametrize("number", [1, 2])
@given(st.integers(1, 200_000), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
@example(2**16, 0)
def test_what_is_written_is_read_at_any_length(number: int, length: int, seed: int) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        round_trip(
            compile_program(writing(), packed=(1,)),
            compile_program(reading(), packed=("code",)),
            length,
            seed,
        )
    finally:
        torch.set_num_threads(before)


def round_trip(write: NativeKernel, read: NativeKernel, length: int, seed: int) -> None:
    x = drawn(length, seed)
    twice, packed = torch.empty(length), torch.empty(llvm_packing.size(length), dtype=torch.uint8)
    packed.fill_(0xFF)
    write([x], [twice, packed])
    codes = expected(x)
    torch.testing.assert_close(twice, 2 * x, rtol=0, atol=0, equal_nan=True)
    assert np.array_equal(planes(packed, length), codes.numpy())
    g, product = torch.rand(length) + 1, torch.empty(length)
    read([packed, g], [product])
    wanted = torch.where(codes == 0, torch.nan, codes * g)
    torch.testing.assert_close(product, wanted, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("machine", less_capable(), ids=lambda machine: machine.cpu)
def test_a_processor_with_less_gives_the_same_codes(machine: native.Machine) -> None:
    write = NativeKernel(writing(), machine=machine, packed=frozenset({1}))
    read = NativeKernel(reading(), machine=machine, packed=frozenset({"code"}))
    for length in LENGTHS:
        round_trip(write, read, length, length)


def test_tensors_that_are_too_short_or_of_another_dtype_are_refused() -> None:
    write = compile_program(writing(), packed=(1,))
    assert "output 1: uint8" in repr(write)
    x, twice = torch.ones(65), torch.empty(65)
    with pytest.raises(ValueError, match="output 1 must have 32 elements, got 16"):
        write([x], [twice, torch.empty(16, dtype=torch.uint8)])
    with pytest.raises(TypeError, match=r"output 1 must be of dtype torch\.uint8"):
        write([x], [twice, torch.empty(65)])


def test_packed_kernels_are_not_those_that_are_not() -> None:
    assert compile_program(writing(), packed=(1,)) is compile_program(writing(), packed=(1,))
    assert compile_program(writing(), packed=(1,)) is not compile_program(writing())


def test_codes_of_a_program_in_float64() -> None:
    builder = Builder()
    x = builder.input("x", F64)
    one, two = (builder.constant(F64, bits_of_number(F64, c)) for c in (1, 2))
    program = builder.program(x, select(x > one, two, one))
    x64 = torch.linspace(0, 2, 100, dtype=torch.float64)
    out, packed = torch.empty_like(x64), torch.empty(32, dtype=torch.uint8)
    compile_program(program, packed=(1,))([x64], [out, packed])
    assert np.array_equal(planes(packed, 100), 1 + (x64 > 1).int().numpy())
