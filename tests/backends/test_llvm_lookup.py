"""Tables that are looked up in: the entries, at every index, and registers in place of memory."""

from __future__ import annotations

import platform
import re
from fractions import Fraction

import numpy as np
import pytest
import torch

from gradsmith.backends import native
from gradsmith.backends.llvm import NativeKernel
from gradsmith.backends.llvm_ir import loop
from gradsmith.numerics.builder import Builder, bits, convert, lookup
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, F64, I32, Program

X86 = platform.machine().lower() in ("x86_64", "amd64")
SIZES = (1, 2, 4, 8, 16, 32, 64)
TRIPLE = "x86_64-unknown-linux-gnu"
# What is compiled here runs here: the processor is only told to do with less. Its own name would
# stand for all that such processors have, which a virtual one need not.
MACHINES = {
    "here": native.host(),
    "nothing to look up with": native.Machine(
        native.host().triple, "x86-64" if X86 else native.host().cpu
    ),
}
if X86 and "+avx2" in native.host().features.split(","):
    MACHINES["avx2"] = native.Machine(native.host().triple, "haswell", "+avx2,+fma,+f16c")


def entries(size: int) -> list[Fraction]:
    return [Fraction(3 * n - 7, 11) for n in range(size)]


def program(size: int, wide: bool = False) -> Program:
    """The entry at an index; with ``wide``, after float64 has told the vectors' length."""
    builder = Builder()
    index = builder.input("i", I32)
    entry = lookup(index, entries(size))
    if wide:
        return builder.program(convert(convert(entry, F64) * convert(bits(index), F64), F32))
    return builder.program(entry)


def test_the_entries_are_rounded_once_and_the_lowest_bits_count() -> None:
    builder = Builder()
    value = lookup(builder.input("i", I32), [Fraction(1, 3), -0.0, 2.0**-149, 1e39])
    at = np.array([0, 1, 2, 3, 4, -1, -4, 2**31 - 1], dtype=np.int32)
    (found,) = run(builder.program(value), at)
    expected = np.array([1 / 3, -0.0, 2.0**-149, np.inf], dtype=np.float32)[at & 3]
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("size", [0, 3, 12, 33])
def test_a_table_has_as_many_entries_as_a_power_of_two(size: int) -> None:
    index = Builder().input("i", I32)
    with pytest.raises(ValueError, match=f"a table of {size} entries"):
        lookup(index, entries(size))


def test_an_index_is_an_i32() -> None:
    with pytest.raises(TypeError, match=r"lookup does not take \(f32\)"):
        lookup(Builder().input("x", F32), entries(4))


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wide", [False, True])
def test_native_code_finds_the_same(machine: native.Machine, size: int, wide: bool) -> None:
    written = program(size, wide)
    kernel = NativeKernel(written, machine=machine)
    random = np.random.default_rng(size)
    for count in (1, 7, 16, 1003):  # what vectors leave over, too
        at = random.integers(-(2**31), 2**31, count).astype(np.int32)
        if wide:
            at = (at & 0x3FFFFFFF) | 0x20000000  # numbers, and no NaN
        out = torch.empty(count)
        kernel([torch.from_numpy(at)], [out])
        (expected,) = run(written, at)
        assert out.numpy().tobytes() == expected.tobytes(), count


@pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)
@pytest.mark.parametrize(
    "eights", ["0", "01", "10", "00", "-0", "0111", "1010", "0-01", "1000", "0000"]
)
def test_eights_of_zeros_are_found_without_being_looked_up(
    machine: native.Machine, eights: str
) -> None:
    """−0 is not one of them."""
    whole = {"0": [Fraction(0)] * 8, "-": [-0.0] * 8, "1": entries(8)}
    builder = Builder()
    table = [entry for eight in eights for entry in whole[eight]]
    written = builder.program(lookup(builder.input("i", I32), table))
    at = np.arange(1003, dtype=np.int32)
    out = torch.empty(len(at))
    NativeKernel(written, machine=machine)([torch.from_numpy(at)], [out])
    (expected,) = run(written, at)
    assert out.numpy().tobytes() == expected.tobytes()
    text = loop(written, lookups="avx2").beside
    called = text.count("call <8 x float> @llvm.x86.avx2.permps")
    assert called == len(eights) - eights.count("0")


@pytest.mark.skipif(not X86, reason="looks for x86 instructions")
@pytest.mark.parametrize("size", [8, 16, 32])
@pytest.mark.parametrize(
    ("features", "register"), [("+avx2,+fma", "ymm"), ("+avx512f,+avx512vl,+avx512bw", "zmm")]
)
def test_vectors_look_up_in_registers(size: int, features: str, register: str) -> None:
    machine = native.Machine(TRIPLE, "x86-64-v3", features)
    written = loop(program(size), lookups=machine.lookups)
    code = native.assembly(written.text, machine, written.beside)
    body = code.split("\nkernel.loop:")[1].split(".Lfunc_end")[0]
    instruction = r"vperm[it]2" if (size, register) == (32, "zmm") else "vperm"
    assert re.search(rf"\b{instruction}(ps|d)\b.*{register}", body)
    assert "gather" not in body
    # Put in place of its calls, and no code by itself.
    assert not re.search(r"^lookup\w*:", code, re.MULTILINE)
    calls = re.findall(r"call\S*\s+(\S+)", body)
    assert all(re.fullmatch(r"entry(@PLT)?", name) for name in calls), calls  # of what is left
