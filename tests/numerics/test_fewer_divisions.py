"""Quotients of which one is chosen are one quotient; a logistic is one without a choice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsmith.formula.expression import Call, walk
from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import where
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.fewer_divisions import with_fewer_choices, with_fewer_divisions
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


LOGISTIC = "where({u} >= 0, 1, exp(-abs({v})))/(1 + exp(-abs({v})))"


@pytest.mark.parametrize(("u", "v"), [("x", "x"), ("-x", "x"), ("x*y", "x*y"), ("x", "-x")])
@given(x=st.floats(-300, 300), y=st.floats(-2, 2))
def test_a_logistic_needs_no_choice(u, v, x, y):
    """The same function: each rounds few times, and exp magnifies what −u rounds by no factor."""
    before = expression(LOGISTIC.format(u=u, v=v))
    (after,) = with_fewer_choices([before])
    assert not any(isinstance(node, Call) and node.function is where for node in walk(after))
    values = {"x": np.array([x]), "y": np.array([y])}
    np.testing.assert_allclose(
        interpret(after, values), interpret(before, values), rtol=8 * 2.0**-53, atol=0
    )


@pytest.mark.parametrize(
    "text",
    [
        LOGISTIC.format(u="x", v="y"),  # of something else
        LOGISTIC.format(u="x", v="x") + "+ exp(-abs(x))",  # the exponential is needed anyway
        LOGISTIC.format(u="x", v="x") + "*(1 + exp(-abs(x)))",
        "where(x >= 0, 1, exp(-abs(x)))/(2 + exp(-abs(x)))",
        "where(x >= 1, 1, exp(-abs(x)))/(1 + exp(-abs(x)))",
        "where(x <= 0, 1, exp(-abs(x)))/(1 + exp(-abs(x)))",
        "where(x >= 0, 2, exp(-abs(x)))/(1 + exp(-abs(x)))",
    ],
)
def test_other_choices_stay(text):
    before = expression(text)
    assert with_fewer_choices([before]) == [before]


@pytest.mark.parametrize("part", ["exp(-abs(x))", "1 + exp(-abs(x))"])
def test_a_choice_stays_where_a_part_of_it_is_a_result_too(part):
    before = [expression(LOGISTIC.format(u="x", v="x")), expression(part)]
    assert with_fewer_choices(before) == before
