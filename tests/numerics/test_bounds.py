"""Bounds hold for every number that a Program computes, and spare what they can."""

from __future__ import annotations

import operator
from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.numerics.bounds import UNKNOWN
from gradsmith.numerics.builder import (
    Builder,
    Value,
    clamped,
    convert,
    maximum,
    minimum,
    select,
)
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.exponential import exp
from gradsmith.numerics.elementary.logarithm import log1p
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, F64, Op

NUMBERS = (0.0, -0.0, 1.0, -1.5, 3e-310, -(2.0**-149), 7e37, -1e308, inf, -inf, nan)
STEPS = {
    "neg": lambda a, b, c: -a,
    "abs": lambda a, b, c: abs(a),
    "square": lambda a, b, c: a * a,
    "product": lambda a, b, c: a * b,
    "sum": lambda a, b, c: a + b,
    "larger": lambda a, b, c: maximum(a, b),
    "smaller": lambda a, b, c: minimum(a, b),
    "held": lambda a, b, c: clamped(a, -c, c),
    "chosen": lambda a, b, c: select(a < b, a, -b),
    "exchanged": lambda a, b, c: select(a < b, b, a),
    "number": lambda a, b, c: a.builder.number(a.type, c),
    "exp": lambda a, b, c: exp(a, Accuracy.SHORT),
}


@pytest.mark.parametrize("kind", [F64, F32])
@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(sorted(STEPS)),
            st.integers(0, 9),
            st.integers(0, 9),
            st.sampled_from([0.0, 0.75, 2.0, 1e30]),
        ),
        min_size=1,
        max_size=7,
    )
)
def test_no_number_is_outside_its_bounds(kind, steps):
    builder = Builder()
    values = [builder.input("x", kind), builder.input("y", kind)]
    for name, first, second, number in steps:
        a, b = values[first % len(values)], values[second % len(values)]
        values.append(STEPS[name](a, b, number))
    dtype = np.float64 if kind is F64 else np.float32
    with np.errstate(all="ignore"):
        line = np.array(NUMBERS).astype(dtype)
    x, y = (grid.ravel() for grid in np.meshgrid(line, line))
    bounds = [value.bounds for value in values]
    for (low, high), column in zip(bounds, run(builder.program(*values), x, y), strict=True):
        numbers = column[~np.isnan(column)].astype(np.float64)
        assert (numbers >= low).all(), (low, numbers.min())
        assert (numbers <= high).all(), (high, numbers.max())


def test_what_bounds_show():
    builder = Builder()
    x = builder.input("x", F64)
    assert x.bounds == UNKNOWN
    assert (-abs(x)).bounds == (-inf, 0.0)
    assert clamped(x, -3.0, 2.0).bounds == (-3.0, 2.0)
    assert (clamped(x, -3.0, 2.0) * clamped(x, -3.0, 2.0)).bounds == (0.0, 9.0)
    assert exp(-abs(x), Accuracy.SHORT).bounds == (0.0, 1.0)
    assert convert(builder.number(F32, 0.5), F64).bounds == (0.5, 0.5)


def test_guards_are_written_only_where_they_are_needed():
    def count(argument, write):
        builder = Builder()
        x = builder.input("x", F64)
        return builder.program(write(argument(x))).count(Op.SELECT)

    def short(x):
        return exp(x, Accuracy.SHORT)

    assert count(lambda x: x, short) == 2
    assert count(lambda x: -abs(x), short) == 1
    assert count(lambda x: clamped(x, -20.0, 20.0), short) == 2  # those of the argument
    assert count(lambda x: x, lambda x: maximum(maximum(x, 1.0), 0.0)) == 1
    far = count(lambda x: x, lambda x: log1p(x, Accuracy.SHORT))
    assert count(lambda x: -abs(x), lambda x: log1p(short(x), Accuracy.SHORT)) == 1 < far


def test_a_square_and_a_size_do_not_see_a_sign():
    builder = Builder()
    x = builder.input("x", F64)
    assert ((-x) * (-x)).number == (x * x).number
    assert (abs(x) * abs(x)).number == (x * x).number
    assert abs(-x).number == abs(x).number == abs(abs(x)).number
    assert ((-x) * x).number != (x * x).number


def test_a_value_of_a_derived_class_is_compared_from_either_side():
    class Derived(Value):
        pass

    builder = Builder()
    x = builder.input("x", F32)
    narrowed = Derived(builder, x.number, x.type)
    one = builder.number(F32, 1.0)
    for relation in (operator.lt, operator.le, operator.gt, operator.ge):
        assert relation(narrowed, one).number == relation(x, one).number
        assert relation(one, narrowed).number == relation(one, x).number
        assert relation(narrowed, 1.0).number == relation(x, one).number
