"""What is said of NaNs holds for those that the processor makes, and rounding keeps every NaN.

Oracle: the interpreter's values, whose NaNs are this processor's.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.backends import llvm
from gradsmith.backends.llvm import compile_program
from gradsmith.backends.short_nans import short_nans
from gradsmith.numerics.builder import Builder, bits, convert, lookup, select, sqrt
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import BF16, F16, F32, F64, Program
from tests.backends.agreement import to_torch
from tests.backends.programs import programs, values

CUT = {F32: (np.uint32, 16), F64: (np.uint64, 45)}


def nans_end_in_zeros(array, kind):
    unsigned, places = CUT[kind]
    nans = array[np.isnan(array)].view(unsigned)
    return not (nans & unsigned(2**places - 1)).any()


@given(programs(), st.integers(0, 2**32 - 1))
@settings(max_examples=300, deadline=None)
def test_they_end_in_zeros(program, seed):
    random = np.random.default_rng(seed)
    numbers = [n for n, i in program.numbered() if i.type in CUT]
    every = Program(program.inputs, program.instructions, tuple(numbers))
    arrays = [values(kind, 300, random) for _, kind in program.inputs]
    with np.errstate(all="ignore"):
        results = run(every, *arrays)
    short = short_nans(program)
    for number, result in zip(numbers, results, strict=True):
        assert number not in short or nans_end_in_zeros(result, program.type_of(number))


def test_what_comes_from_bfloat16_is_known():
    b = Builder()
    x = convert(b.input("x", BF16), F32)
    power = bits(bits(x) << 23)
    known = [x * 3.0 - x, sqrt(x), convert(convert(x, F64) / 3.0, F32), select(x < 1.0, -x, power)]
    known += [lookup(bits(x), [0.5, 2.0]), x * lookup(bits(x), [0.5, 2.0])]
    program = b.program(*known)
    assert short_nans(program).issuperset(program.outputs)


def test_of_other_numbers_nothing_is_known():
    b = Builder()
    x, h, w = b.input("x", F32), b.input("h", F16), b.input("w", F64)
    half = convert(h, F32)
    program = b.program(half, x + half, convert(w, F32), bits(bits(half) << 8), -x)
    assert not short_nans(program).intersection(program.outputs)
    assert short_nans(program, packed=["x"]) == {0, program.outputs[-1]}


NANS = np.array(
    [0x7F800001, 0x7FFFFFFF, 0x7FC0FFFF, 0x7F80FFFF, 0xFF800001, 0xFFFFFFFF, 0xFFFF8000],
    np.uint32,
).view(np.float32)


@pytest.mark.skipif(llvm.unavailable() is not None, reason=str(llvm.unavailable()))
@pytest.mark.parametrize("wide", [F32, F64], ids=lambda kind: kind.label)
def test_no_nan_becomes_a_number(wide):
    b = Builder()
    x = b.input("x", wide)
    program = b.program(convert(convert(x, F32), BF16))
    given = np.repeat(NANS, 9)
    if wide is F64:
        given = given.view(np.uint32).astype(np.uint64)
        given = (given >> 31 << 63 | (given & 0x7FFFFFFF) << 29 | 0x7FF << 52).view(np.float64)
    result = to_torch(np.zeros(given.size, np.uint16), BF16)
    compile_program(program)([to_torch(given, wide)], [result])
    assert result.isnan().all()
