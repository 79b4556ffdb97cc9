"""A choice made in float32 instead of float64 is the same one, to the last bit.

Oracle: the float64 itself, rounded by NumPy.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.numerics.builder import Builder, convert, equal, select
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, F64, Op

EDGES = [0.0, -0.0, 1.5, -1.5, 3.0, 0.1, 1e-45, -1e-45, 1e-38, 3e38, np.inf, -np.inf, np.nan]
INPUTS = [np.float32(column).ravel() for column in np.meshgrid(EDGES, EDGES)]
CONSTANTS = [0.0, -0.0, 1.0, 1.5, -3.0, 0.1, 1 / 3, 2.0**-140, 2.0**-160, 1e39, np.inf]

constants = st.sampled_from(CONSTANTS).map(lambda c: lambda b, x, y: b.number(F64, c))
leaves = st.one_of(
    st.sampled_from([lambda b, x, y: x, lambda b, x, y: y, lambda b, x, y: x * y]), constants
)
comparisons = st.sampled_from([lambda p, q: p < q, lambda p, q: p <= q, equal])


def both(make, first, second):
    return lambda b, x, y: make(first(b, x, y), second(b, x, y))


tests = st.recursive(
    st.builds(both, comparisons, leaves, leaves),
    lambda inner: st.one_of(
        st.builds(both, st.sampled_from([lambda p, q: p & q, lambda p, q: p | q]), inner, inner),
        inner.map(lambda test: lambda b, x, y: ~test(b, x, y)),
    ),
    max_leaves=3,
)
choices = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(
            lambda test, p, q: lambda b, x, y: select(test(b, x, y), p(b, x, y), q(b, x, y)),
            tests,
            inner,
            inner,
        ),
        st.builds(both, st.just(lambda p, q: p * q), inner, leaves),
    ),
    max_leaves=6,
)


def written(choice, kind):
    b = Builder()
    given = [b.input(name, F32) for name in "xy"]
    x, y = (convert(value, F64) for value in given)
    return b.program(convert(choice(b, x, y), kind))


@settings(derandomize=True, max_examples=500, deadline=None)
@given(choices)
def test_no_bit_changes(choice):
    with np.errstate(all="ignore"):
        (wide,) = run(written(choice, F64), *INPUTS)
        (narrow,) = run(written(choice, F32), *INPUTS)
        expected = np.broadcast_to(wide, INPUTS[0].shape).astype(np.float32)
    narrow = np.broadcast_to(narrow, expected.shape)
    np.testing.assert_array_equal(narrow, expected)
    numbers = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(narrow[numbers]), np.signbit(expected[numbers]))


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
