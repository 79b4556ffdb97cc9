"""A choice made among narrower numbers is the same one, to the last bit.

Oracle: the wider number itself, rounded by NumPy, to bfloat16 by torch.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.numerics.builder import Builder, convert, equal, select
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import BF16, F16, F32, F64, Op

EDGES = [0.0, -0.0, 1.5, -1.5, 3.0, 0.1, 1e-45, -1e-45, 1e-38, 3e38, np.inf, -np.inf, np.nan]
INPUTS = [torch.tensor(column.ravel()) for column in np.meshgrid(EDGES, EDGES)]
CONSTANTS = [0.0, -0.0, 1.0, 1.5, -3.0, 0.1, 1 / 3, 2.0**-140, 2.0**-160, 65536.0, 1e39, np.inf]
WIDE = {F32: F64, F16: F32, BF16: F32}
DTYPES = {F32: torch.float32, F16: torch.float16, BF16: torch.bfloat16}
FORMATS = pytest.mark.parametrize("kind", WIDE, ids=lambda kind: kind.label)
HALVES = pytest.mark.parametrize("kind", [F16, BF16], ids=lambda kind: kind.label)

constants = st.sampled_from(CONSTANTS).map(lambda c: lambda b, x, y: b.number(x.type, c))
inputs = st.sampled_from([lambda b, x, y: x, lambda b, x, y: y])
leaves = st.one_of(
    inputs,
    st.sampled_from([lambda b, x, y: x * y, lambda b, x, y: x - y, lambda b, x, y: x * x + y]),
    constants,
)
comparisons = st.sampled_from([lambda p, q: p < q, lambda p, q: p <= q, equal])


def both(make, first, second):
    return lambda b, x, y: make(first(b, x, y), second(b, x, y))


def chosen(test, first, second):
    return lambda b, x, y: select(test(b, x, y), first(b, x, y), second(b, x, y))


is_number = inputs.map(lambda one: lambda b, x, y: equal(one(b, x, y), one(b, x, y)))
plain = st.one_of(st.builds(both, comparisons, leaves, leaves), is_number)
compared = st.one_of(leaves, st.builds(chosen, plain, leaves, leaves))
tests = st.recursive(
    st.one_of(st.builds(both, comparisons, compared, compared), is_number),
    lambda inner: st.one_of(
        st.builds(both, st.sampled_from([lambda p, q: p & q, lambda p, q: p | q]), inner, inner),
        inner.map(lambda test: lambda b, x, y: ~test(b, x, y)),
    ),
    max_leaves=3,
)
choices = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(chosen, tests, inner, inner),
        st.builds(both, st.just(lambda p, q: p * q), inner, leaves),
    ),
    max_leaves=6,
)


def written(choice, kind, result=None):
    b = Builder()
    given = [b.input(name, kind) for name in "xy"]
    x, y = (convert(value, WIDE[kind]) for value in given)
    return b.program(convert(choice(b, x, y), result or kind))


@FORMATS
@settings(derandomize=True, max_examples=500, deadline=None)
@given(choice=choices)
def test_no_bit_changes(kind, choice):
    tensors = [column.to(DTYPES[kind]) for column in INPUTS]
    given = [t.view(torch.uint16).numpy() if kind is BF16 else t.numpy() for t in tensors]
    (wide,) = run(written(choice, kind, WIDE[kind]), *given)
    (narrow,) = run(written(choice, kind), *given)
    expected = torch.tensor(wide).to(DTYPES[kind])
    found = torch.tensor(narrow)
    found = found.view(torch.bfloat16) if kind is BF16 else found
    numbers = ~expected.isnan()
    assert torch.equal(found.isnan(), ~numbers)
    assert torch.equal(found[numbers], expected[numbers])
    assert torch.equal(found[numbers].signbit(), expected[numbers].signbit())


def operations(program):
    return [
        instruction.op.value + "." + instruction.type.label
        for instruction in program.instructions
        if instruction.op is not Op.CONST
    ]


def test_what_was_float32_is_chosen_and_compared_there():
    program = written(lambda b, x, y: select(x < 1.5, x * y, select(equal(y, 0.0), y, 2.0)), F32)
    assert "select.f64" not in operations(program)
    assert operations(program).count("convert.f32") == 1


def test_a_factor_that_was_float32_goes_into_the_choice():
    program = written(lambda b, x, y: select(x < 1.5, 1.0, x * x) * y, F32)
    assert operations(program).count("select.f32") == 1
    assert "select.f64" not in operations(program)


def test_what_cannot_be_decided_in_float32_stays():
    third = written(lambda b, x, y: select(x < 1 / 3, x * y, y), F32)
    assert "select.f64" in operations(third)
    computed = written(lambda b, x, y: select(x * y < 1.0, x, y * y), F32)
    assert "select.f64" in operations(computed)
    neither = written(lambda b, x, y: select(x < 1.0, x * y, y * y), F32)
    assert operations(neither).count("convert.f32") == 1


def test_a_product_that_float32_rounds_to_1_is_compared_before():
    x, y = np.float32([1 + 2.0**-12]), np.float32([1 - 2.0**-12 + 2.0**-24])
    assert float(x[0]) * float(y[0]) > 1.0
    assert x * y == 1.0
    program = written(lambda b, x, y: select(select(y < 2.0, x * y, y) <= 1.0, x, y), F32)
    assert run(program, x, y)[0] == y


def test_of_two_numbers_that_have_to_be_rounded_one_is_chosen_first():
    program = written(lambda b, x, y: select(x < 1.0, x * y, select(y < 1.0, x, y * y)), F32)
    assert operations(program).count("select.f64") == 2
    assert "select.f32" not in operations(program)


def test_a_number_that_is_rounded_for_several_branches_counts_once():
    program = written(lambda b, x, y: select(x < 1.0, x * y, select(y < 1.0, x, x * y)), F32)
    assert operations(program).count("select.f32") == 2


@HALVES
def test_what_came_in_16_bits_leaves_in_16_bits(kind):
    program = written(lambda b, x, y: select(x <= 0.0, 0.0, select(x < 1.5, y, x)), kind)
    assert f"convert.{kind.label}" not in operations(program)
    computed = written(lambda b, x, y: select(x <= 0.0, x * 0.1, x), kind)
    assert operations(computed).count(f"select.{kind.label}") == 1
    two = written(lambda b, x, y: select(x <= 0.0, x + 1.0, x - 1.0), kind)
    assert operations(two).count(f"convert.{kind.label}") == 1


@HALVES
def test_a_branch_for_nan_is_not_computed(kind):
    for program in (
        written(lambda b, x, y: select(~equal(x, x), x * y, select(x < 1.0, 0.0, y)), kind),
        written(lambda b, x, y: select(equal(x, x), select(x < 1.0, 0.0, y), x * y), kind),
    ):
        assert f"convert.{kind.label}" not in operations(program)


@HALVES
def test_a_factor_may_be_nan_or_1_or_a_constant(kind):
    for make in (
        lambda factor, x: select(~equal(x, x), x, factor),
        lambda factor, x: select(equal(x, x), factor, x),
    ):
        program = written(
            lambda b, x, y, make=make: make(select(x < 1.0, b.number(F32, 1.0), 0.1), x) * y, kind
        )
        assert "select.f32" not in operations(program)
        assert operations(program).count(f"convert.{kind.label}") == 1


def test_float32_that_only_halves_would_gain_by_stays():
    b = Builder()
    x, y = (b.input(name, F32) for name in "xy")
    program = b.program(select(~equal(x, x), x, select(x < 1.0, b.number(F32, 1.0), 0.1)) * y)
    assert operations(program)[-1] == "mul.f32"
