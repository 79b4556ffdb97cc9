"""Quotients of which one is chosen are one quotient of what is chosen, to the last bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsmith.formula.parse import parse
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.fewer_divisions import with_fewer_divisions
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.program import F64, Op

NUMBERS = st.floats(-1e300, 1e300) | st.sampled_from([0.0, -0.0, np.inf, -np.inf, np.nan])
CHOSEN = [
    "where(x > 0, x/(1 + y), y/(2 + x))",
    "where(x > 0, where(y > x, x/y, 1/x), y/(x + 1))",
    "1 + where(x <= y, (x + 1)/y**2, x/y**2)",
]
KEPT = [
    "where(x > 0, x/y, y)",
    "where(x > 0, x/3, y/5)",  # no divisions
    "where(x > 0, x/y, y/x) + x/y",  # one is there anyway
]


def expression(text):
    return parse(text, {}, ["x", "y"]).expression


def divisions(text, accuracy=Accuracy.FULL):
    program = lower([expression(text)], {"x": F64, "y": F64}, Scheme(F64, accuracy))
    return program.count(Op.DIV)


@pytest.mark.parametrize("text", CHOSEN)
@given(x=NUMBERS, y=NUMBERS)
def test_the_value_is_the_same_to_the_last_bit(text, x, y):
    before = expression(text)
    (after,) = with_fewer_divisions([before])
    values = {"x": np.array([x]), "y": np.array([y])}
    with np.errstate(all="ignore"):
        expected, found = interpret(before, values), interpret(after, values)
    assert np.isnan(expected[0]) if np.isnan(found[0]) else found.tobytes() == expected.tobytes()


def test_there_is_one_division():
    assert [divisions(text) for text in CHOSEN] == [1, 1, 1]


@pytest.mark.parametrize("text", KEPT)
def test_nothing_changes_where_none_would_be_spared(text):
    before = expression(text)
    assert with_fewer_divisions([before]) == [before]


def test_quotients_by_the_same_share_a_reciprocal_where_digits_are_spared():
    text = "x/(1 + y**2) + sqrt(y/(1 + y**2))"
    assert divisions(text) == 2
    assert divisions(text, Accuracy.SHORT) == 1
    # One quotient alone is divided: that rounds once.
    assert (
        lower([expression("x/y")], {"x": F64, "y": F64}, Scheme(F64, Accuracy.SHORT)).count(Op.MUL)
        == 0
    )


def test_the_reciprocal_itself_is_not_multiplied():
    program = lower(
        [expression("1/(1 + y**2)"), expression("x/(1 + y**2)")],
        {"x": F64, "y": F64},
        Scheme(F64, Accuracy.SHORT),
    )
    x, y = np.array([3.0]), np.array([0.7])
    first, second = run(program, x, y)
    assert program.count(Op.DIV) == 1
    assert program.count(Op.MUL) == 2  # y², and by x
    assert abs(first[0] - 1 / (1 + 0.7**2)) < 1e-15
    assert abs(second[0] - 3 / (1 + 0.7**2)) < 1e-15
