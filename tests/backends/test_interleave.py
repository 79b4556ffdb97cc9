"""How many vectors are computed at a time, and that the bits do not depend on it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradsmith.backends import dispatch, native
from gradsmith.backends.interleave import FEW, MANY, vectors_at_a_time
from gradsmith.backends.llvm import NativeKernel
from gradsmith.backends.llvm_ir import loop
from gradsmith.numerics.builder import Builder, Value, convert, fma
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import BF16, F32, F64, Program, Type


def chain(length: int, kind: Type = F32, beside: int = 0) -> Program:
    """That many operations one after the other, and others for which nothing waits."""
    builder = Builder()
    given = builder.input("x", F32)
    x = convert(given, kind)
    value = x
    for _ in range(length):
        value = fma(value, x, 0.5)
    others: list[Value] = [x * (k + 2) for k in range(beside)]
    return builder.program(value, *others)


def test_a_long_chain_needs_company_and_a_broad_or_short_one_has_it() -> None:
    assert vectors_at_a_time(chain(12), False) == MANY
    assert vectors_at_a_time(chain(11), False) == FEW  # 44 cycles
    assert vectors_at_a_time(chain(12, beside=18), False) == MANY  # 30 operations, 48 cycles
    assert vectors_at_a_time(chain(12, beside=19), False) == FEW
    assert vectors_at_a_time(chain(20, beside=99), False) == MANY  # 80 cycles
    assert vectors_at_a_time(chain(19, beside=99), False) == FEW
    assert vectors_at_a_time(chain(40, F64, beside=11), False) == MANY  # 164 cycles, 105 operations
    assert vectors_at_a_time(chain(40, F64, beside=12), False) == FEW


def test_wide_vectors_are_few() -> None:
    assert vectors_at_a_time(chain(40), True) == FEW


def test_halves_are_long_chains() -> None:
    builder = Builder()
    x = convert(builder.input("x", BF16), F32)
    value = x
    for _ in range(10):
        value = fma(value, x, 0.5)
    assert vectors_at_a_time(builder.program(convert(value, BF16)), False) == MANY


def test_the_loop_says_so() -> None:
    assert '"llvm.loop.interleave.count", i32 8' in loop(chain(3), vectors=8).text
    assert '"llvm.loop.interleave.count", i32 4' in loop(chain(3)).text


@pytest.mark.skipif(dispatch.native_reason() is not None, reason="no native code here")
@pytest.mark.parametrize("count", [1, 7, 8, 31, 33, 63, 64, 65, 100, 127, 128, 1000])
def test_the_bits_are_the_interpreters_whatever_is_left_over(count: int) -> None:
    program = chain(16)
    narrow = native.Machine(native.host().triple, native.host().cpu, _without_wide())
    assert vectors_at_a_time(program, narrow.wide) == MANY
    kernel = NativeKernel(program, machine=narrow)
    x = torch.linspace(-1.5, 1.5, count)
    found = torch.empty(count)
    kernel([x], [found])
    (expected,) = run(program, x.numpy())
    np.testing.assert_array_equal(found.numpy().view(np.int32), expected.view(np.int32))


def _without_wide() -> str:
    features = native.host().features.split(",")
    return ",".join(f for f in features if not f.startswith(("+avx512", "-prefer-256")))
