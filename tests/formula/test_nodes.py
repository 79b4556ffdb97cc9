"""Expressions as data: what comes back is the very same tree."""

from __future__ import annotations

import json
from fractions import Fraction

import pytest
from hypothesis import given

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Number, Symbol
from gradsmith.formula.nodes import of_nodes, to_nodes
from tests.formula.expressions import expressions


@given(expressions(), expressions())
def test_what_comes_back_is_the_same_tree(first, second):
    data = json.loads(json.dumps(to_nodes(first, second)))
    back = of_nodes(data)
    assert back[0] is first
    assert back[1] is second


def test_numbers_and_quotients_are_told_apart():
    two_thirds = Number(Fraction(2, 3))
    quotient = Call(v.DIV, (Number(2), Number(3)))
    assert of_nodes(to_nodes(two_thirds)) == (two_thirds,)
    assert of_nodes(to_nodes(quotient)) == (quotient,)
    for value in (Fraction(-1, 2**1074), Fraction(2**1000 + 1), Fraction(0)):
        assert of_nodes(to_nodes(Number(value)))[0] is Number(value)


def test_a_shared_part_is_written_once():
    x = Symbol("x")
    part = v.exp(x)
    for _ in range(60):
        part = part + part
    data = to_nodes(part)
    assert len(data) == 2 + 60 + 1
    assert of_nodes(data) == (part,)


def test_what_only_gradsmith_writes_comes_back_too():
    x = Symbol("x")
    lost = v.product_error(x, v.sum_error(x, Number(3)))
    assert of_nodes(to_nodes(v.where(v.LT(x, 1), lost, v.erfcx(x))))[0].args[1] is lost


@pytest.mark.parametrize(
    "data",
    [
        [],
        "text",
        [["0x1", "0x0"], [0]],
        [["0x1", "many"], [0]],
        [["nothing", [0]], [0]],
        ["x", ["exp", [1]], [1]],
        ["x", ["exp", [-1]], [1]],
        ["x", ["exp", [0, 0]], [1]],
        ["x", ["exp"], [1]],
        ["x", [3]],
        ["x", 0],
        [None, [0]],
    ],
)
def test_other_data_is_refused(data):
    with pytest.raises(ValueError, match="not the"):
        of_nodes(data)
