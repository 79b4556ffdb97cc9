"""Folding does the obvious and nothing else."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings

from gradsmith.calculus.fold import fold, join_product, join_sum
from gradsmith.formula.expression import Call, Expr, Number, Symbol, size, walk
from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, SUB, e
from tests.calculus.formulas import smooth
from tests.calculus.oracle import agree, value_of

ARITHMETIC = {ADD, SUB, MUL, DIV, NEG}

steadily = settings(derandomize=True, deadline=None, max_examples=100)


@steadily
@given(smooth())
def test_the_value_stays_and_the_formula_does_not_grow(root: Expr) -> None:
    folded = fold(root)
    assert size(folded) <= size(root)
    for x, y in ((Fraction(3, 7), Fraction(-5, 3)), (Fraction(-9, 4), Fraction(4, 5))):
        value = value_of(root, x=x, y=y)
        if value is not None:
            assert agree(value_of(folded, x=x, y=y), value)


@steadily
@given(smooth())
def test_nothing_obvious_is_left_and_a_second_time_changes_nothing(root: Expr) -> None:
    folded = fold(root)
    assert fold(folded) is folded
    for node in walk(folded):
        if not isinstance(node, Call) or node.function not in ARITHMETIC:
            continue
        numbers = [arg.value for arg in node.args if isinstance(arg, Number)]
        if node.function is DIV and node.args[1] is Number(0):
            continue  # x/0 stays, to say so later
        assert len(numbers) < len(node.args) or node.function is DIV
        assert 0 not in numbers
        assert 1 not in numbers or node.function in (ADD, SUB) or node.args[0] is Number(1)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("2*3*x", "6*x"),
        ("x*2*3", "6*x"),
        ("x*0 + 0*x", "0"),
        ("1*x/1", "x"),
        ("0 - x", "-x"),
        ("x + -x", "x - x"),
        ("-(-x)", "x"),
        ("x**1 + x**0", "x + 1"),
        ("2**10*x", "1024*x"),
        ("(1/3 + 1/6)*x", "1/2*x"),
        ("(1/x)*tanh(x)", "tanh(x)/x"),
        ("-x*-x", "x*x"),
        ("(-x)/2", "-(x/2)"),
        ("cos(-x)", "cos(x)"),
        ("-1*x", "-x"),
        # What is not obvious stays: no reordering, no factoring, no cancelling.
        ("x + x", "x + x"),
        ("x - x", "x - x"),
        ("x/x", "x/x"),
        ("y + x", "y + x"),
        ("(1 + x)*(1 - x)", "(1 + x)*(1 - x)"),
        ("0**0*x", "x"),
        ("2**100*x", "2**100*x"),
        ("2**(1/2)*x", "2**(1/2)*x"),
    ],
)
def test_by_example(text: str, folded: str) -> None:
    root = parse(text, inputs=("x", "y") if "y" in text else ("x",)).expression
    assert str(fold(root)) == folded


def test_a_division_by_zero_stays() -> None:
    x, zero = Symbol("x"), Number(0)
    for root in (Number(1) / zero, x / zero, zero**-1, x / (zero / zero)):
        assert fold(root) is root


def test_joining() -> None:
    x, zero, one = Symbol("x"), Number(0), Number(1)
    assert join_sum(x, zero) is join_sum(zero, x) is x
    assert join_product(x, one) is join_product(one, x) is x
    assert join_product(x, zero) is zero
    assert join_product(1 / x, e()) is e() / x
