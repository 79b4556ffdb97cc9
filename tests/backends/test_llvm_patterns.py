"""A condition on 16 bits, decided by integers, is the one that float32 decides.

Oracles: the interpreter, for all 65536 patterns; and for arbitrary sets the set itself.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gradsmith.backends import llvm, llvm_ir, native
from gradsmith.backends.llvm import NativeKernel, compile_program
from gradsmith.backends.llvm_patterns import Patterns, patterns, stretches
from gradsmith.numerics.builder import Builder, convert, equal, select
from gradsmith.numerics.interpreter import DTYPES, run
from gradsmith.numerics.program import BF16, BOOL, F16, F32
from tests.backends.agreement import check, less_capable

needs_llvm = pytest.mark.skipif(llvm.unavailable() is not None, reason=str(llvm.unavailable()))
KINDS = pytest.mark.parametrize("kind", [F16, BF16], ids=lambda kind: kind.label)
ALL = np.arange(2**16, dtype=np.uint16)

NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 65504.0, 2.0**-24, np.inf, -np.inf, np.nan, 3e38]),
    st.floats(width=32),
)
comparisons = st.builds(
    lambda compare, c, swapped: lambda x: compare(*((c, x) if swapped else (x, c))),
    st.sampled_from(
        [
            lambda a, b: a < b,
            lambda a, b: a <= b,
            lambda a, b: equal(b, a) if isinstance(a, float) else equal(a, b),
        ]
    ),
    NUMBERS,
    st.booleans(),
)
conditions = st.recursive(
    st.one_of(comparisons, st.just(lambda x: equal(x, x))),
    lambda inner: st.one_of(
        st.builds(lambda p, q: lambda x: p(x) & q(x), inner, inner),
        st.builds(lambda p, q: lambda x: p(x) | q(x), inner, inner),
        st.builds(lambda p, q: lambda x: p(x) ^ q(x), inner, inner),
        inner.map(lambda p: lambda x: ~p(x)),
    ),
    max_leaves=4,
)


def program(kind, condition):
    """1 where it holds, else 0, both as numbers of 16 bits."""
    b = Builder()
    x = b.input("x", kind)
    yes, no = b.constant(kind, 1), b.constant(kind, 0)
    return b.program(select(condition(convert(x, F32)), yes, no))


def in_words(way, bits):
    """What the IR says, in NumPy."""
    held = (bits & 0x7FFF if way.unsigned else bits).view(np.int16).astype(np.int32)
    inside = np.zeros(bits.shape, np.bool)
    for low, high in way.ends:
        inside |= (low <= held) & (held <= high)
    return inside != way.negated


@needs_llvm
@KINDS
@settings(max_examples=60, deadline=None)
@given(condition=conditions)
def test_a_kernel_decides_like_the_interpreter(kind, condition):
    check(compile_program(program(kind, condition)), [ALL.view(DTYPES[kind])], [(0, ALL.size)])


@KINDS
@given(condition=conditions)
def test_the_patterns_are_those_that_the_interpreter_finds(kind, condition):
    written = program(kind, condition)
    found = patterns(written, written.instructions[-1].args[0])
    (expected,) = run(written, ALL.view(DTYPES[kind]))
    assert found.number == 0
    np.testing.assert_array_equal(found.results, expected.view(np.uint16) == 1)


@given(st.lists(st.integers(0, 2**16), max_size=9).map(sorted), st.booleans(), st.booleans())
@example([], False, False)
@example([], True, True)
@example([0], False, True)
@example([2**15], True, False)
def test_every_set_is_recognised(edges, first, even):
    holds = (np.searchsorted(edges, ALL, side="right") % 2 == 1) != first
    if even:
        holds[2**15 :] = holds[: 2**15]
    np.testing.assert_array_equal(in_words(stretches(holds), ALL), holds)


@pytest.mark.parametrize(
    ("condition", "cost"),
    [
        (lambda x: x < 0.0, 3),
        (lambda x: ~equal(x, x), 2),
        (lambda x: (x <= -1.0) | (x >= 1.0), 4),
        (lambda x: (x >= -0.5) & (x <= 0.5), 2),
    ],
)
@KINDS
def test_few_instructions_do(kind, condition, cost):
    written = program(kind, condition)
    assert stretches(patterns(written, written.instructions[-1].args[0]).results).cost == cost


def test_what_depends_on_something_else_is_left_alone():
    b = Builder()
    x, y, z = b.input("x", BF16), b.input("y", BF16), b.input("z", F32)
    flag = b.input("flag", BOOL)
    a, c = convert(x, F32), convert(y, F32)
    others = [a < c, a < z, a * a < 1.0, (a < 1.0) & flag, (a < 1.0) & (c < 1.0)]
    written = b.program(*others)
    for output in written.outputs:
        assert patterns(written, output) is None
    assert isinstance(patterns(b.program(a < 1.0), b.program(a < 1.0).outputs[0]), Patterns)


@needs_llvm
@KINDS
@pytest.mark.parametrize("machine", less_capable(), ids=lambda machine: machine.cpu)
def test_a_processor_with_less_decides_the_same(machine, kind):
    for condition in (lambda x: x <= 0.0, lambda x: ~equal(x, x), lambda x: (x < -1.0) | (x > 1.5)):
        kernel = NativeKernel(program(kind, condition), machine=machine)
        check(kernel, [ALL.view(DTYPES[kind])], [(0, ALL.size)])


@needs_llvm
@KINDS
def test_nothing_is_converted(kind):
    text = llvm_ir.loop(program(kind, lambda x: (x > -1.0) & (x <= 2.0))).text
    code = native.assembly(text)
    assert "cvtph2ps" not in code
    assert "cmpps" not in code
