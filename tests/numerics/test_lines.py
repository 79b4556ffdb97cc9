"""Lines in one operation are the same functions, and 0 where those are.

Oracle: rational arithmetic with the expression itself.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Call, Number, Symbol, walk
from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, SUB, sqrt
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.ladder import SHORT64, choose
from gradsmith.numerics.lines import with_lines
from gradsmith.numerics.lower import lower
from gradsmith.numerics.program import F32, Op
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import FLOAT32
from tests.numerics.accuracy import float32_errors

DIGITS = 53
X, Y = Symbol("x"), Symbol("y")

EXACT = {
    ADD: lambda a, b: a + b,
    SUB: lambda a, b: a - b,
    MUL: lambda a, b: a * b,
    DIV: lambda a, b: a / b,
    NEG: lambda a: -a,
}


def expression(text):
    return parse(text, {}, ["x", "y"]).expression


def exactly(node, values):
    """The value in rational numbers; of a square root any number does that is always the same."""
    if isinstance(node, Number):
        return node.value
    if isinstance(node, Symbol):
        return values[node.name]
    of = [exactly(arg, values) for arg in node.args]
    return of[0] ** 2 + 1 if node.function is sqrt else EXACT[node.function](*of)


def operations(root):
    return sum(isinstance(node, Call) for node in walk(root))


numbers = st.integers(-9, 9).filter(bool).map(Number)
lines = st.recursive(
    st.sampled_from([X, sqrt(Y), X, Number(3), Number(Fraction(1, 3)), Number(-1)]),
    lambda inner: st.one_of(
        st.builds(ADD, inner, inner),
        st.builds(SUB, inner, inner),
        st.builds(MUL, inner, numbers),
        st.builds(MUL, numbers, inner),
        st.builds(DIV, inner, numbers),
        st.builds(NEG, inner),
        st.builds(MUL, inner, inner),
    ),
    max_leaves=8,
)
inputs = st.fractions(-50, 50, max_denominator=64)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(root=lines, x=inputs, y=inputs)
def test_the_function_is_the_same_to_nearly_all_digits(root, x, y):
    values = {"x": x, "y": y}
    lined = with_lines(root, DIGITS)
    # Each of eight leaves may move by 2⁻⁴⁷ of what it is part of: a few digits make room for roots.
    size = exactly(positive(root), {"x": abs(x), "y": abs(y)})
    assert abs(exactly(lined, values) - exactly(root, values)) <= 8 * size * Fraction(1, 2**46)
    assert operations(lined) <= operations(root) + 1  # a − b·u is written with a product
    assert with_lines(lined, DIGITS) is lined


def positive(node):
    """The expression with no sign that makes anything cancel."""
    if isinstance(node, Number):
        return Number(abs(node.value))
    if isinstance(node, Symbol):
        return node
    args = tuple(positive(arg) for arg in node.args)
    if node.function is NEG:
        return args[0]
    return Call(ADD if node.function is SUB else node.function, args)


@pytest.mark.parametrize(
    ("text", "lined"),
    [
        ("x*(x + 4)/8", "x*(1/8*x + 1/2)"),
        ("(x + 3 + x)*2*y", "(4*x + 6)*y"),
        ("2*(x - 1) + x*4", "6*x + -2"),
        ("-(x + 1)*y", "(-1*x + -1)*y"),
        ("x/4 + 1", "1/4*x + 1"),
        ("(x + 1)/sqrt(y)*0.5", "(1/2*x + 1/2)/sqrt(y)"),
        ("(2*x)*(y + 1)*3", "6*x*(y + 1)"),
        ("sqrt((x + 2)/4)", "sqrt(1/4*x + 1/2)"),
    ],
)
def test_what_is_spared(text, lined):
    assert str(with_lines(expression(text), DIGITS)) == lined


@pytest.mark.parametrize(
    "text",
    [
        *("x", "-x", "2*x", "x/3", "3 - x", "x + 1", "x - x", "0*x + 1", "x + 2*y", "x*y/3"),
        *("x*(x + 1) + 2", "x/(x + 3)/6", "1 - 2/(1 + exp(x))", "where((x + 3)/6 > 0, 1, 0)"),
    ],
)
def test_what_stays(text):
    root = expression(text)
    assert with_lines(root, DIGITS) is root


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    root=st.floats(-300, 300, width=16).filter(bool),
    divisor=st.integers(3, 1000),
    digits=st.sampled_from([24, 53]),
)
def test_the_line_is_0_at_a_root_that_the_format_holds(root, divisor, digits):
    line = with_lines((X - Number(root)) / divisor, digits)
    assert exactly(line, {"x": Fraction(root)}) == 0
    kind = {24: np.float32, 53: np.float64}[digits]
    for number in (node for node in walk(line) if isinstance(node, Number)):
        assert Fraction(float(kind(number.value))) == number.value
    # The slope loses as many digits as the root has, 11 at most, and the one that it is rounded to.
    (slope,) = (node.args[0].value for node in walk(line) if getattr(node, "function", 0) is MUL)
    assert abs(slope * divisor - 1) <= Fraction(1, 2 ** (digits - 11 - 1))


@pytest.mark.parametrize(
    "text", ["x*(x + 3)/6*where(x > 1, x, 1)", "(x - 1.5)*(x + 1)/3", "x/7 + 2"]
)
def test_a_way_with_lines_is_right_beside_their_roots(text):
    formula = parse(text, {})
    stable = stabilise(formula.expression, formula.arguments, {}, target=FLOAT32)
    way = choose(stable, alone=True)
    assert way.scheme is SHORT64
    program = lower([way.stable.expression], {"x": F32}, way.scheme, F32)
    plain = lower([stable.expression], {"x": F32}, way.scheme, F32)
    assert sum(i.op is not Op.CONST for i in program.instructions) < sum(
        i.op is not Op.CONST for i in plain.instructions
    )
    near = [np.float32(at).view(np.int32) + np.arange(-40, 41) for at in (-3, -1, 1.5, -14, 0.5)]
    x = np.concatenate(near).astype(np.int32).view(np.float32)
    exact = Evaluator(formula.expression, ("x",))
    (values,) = run(program, x)
    assert float32_errors(values, [exact(at) for at in x.tolist()]).max() <= 0.5 + FLOAT32.budget
