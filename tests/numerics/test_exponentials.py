"""Quotients of exponentials and of powers, split where they overflow."""

from __future__ import annotations

import pytest

from gradsmith.formula.expression import Expr, Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.exponentials import split_exponential, split_variable
from gradsmith.numerics.rewrite import rewrite
from gradsmith.numerics.rules import PRIMITIVES
from tests.calculus.oracle import agree, value_of
from tests.numerics.accuracy import SMALLEST_NORMAL, computed, error_in_ulp

SMALL = (1e-300, 1e-30, 1e-9, 1e-4, 0.03, 0.4, 1.3, 2.7, 5.9, 11.0, 19.0, 34.0, 61.0, 130.0, 300.0)
NEAR = [s * m for m in SMALL for s in (1, -1)]
FAR = [*NEAR, *(s * m for m in (690.0, 708.0, 735.0, 2000.0) for s in (1, -1))]

# Each is a quotient of exponentials that overflows on one side or cancels near 0.
QUOTIENTS = [
    "1/(1+exp(-x))",
    "exp(x)/(1+exp(x))",
    "exp(-x)/(1+exp(-x))**2",
    "(exp(x)-exp(-x))/(exp(x)+exp(-x))",
    "tanh(x)",
    "1 - tanh(x)**2",
    "x*sigmoid(x)",
    "x*tanh(log(1+exp(x)))",
    "(exp(x)-1)/(exp(x)+1)",
    "1/cosh(x)",
    "sinh(x)/cosh(x)**2",
    "x/(1+exp(-1.702*x))",
    "3*exp(2*x)/(2+exp(2*x))",
    "1/(1+2**(-x))",
    "exp2(x)/(1+exp2(x))",
    "where(x > 1, 2, 3)*sigmoid(x)",
]


def expression(text: str) -> Expr:
    return parse(text, inputs=("x", "y") if "y" in text else ("x",)).expression


@pytest.mark.parametrize("text", QUOTIENTS)
def test_the_split_form_is_equal(text: str) -> None:
    root = expression(text)
    split = split_exponential(root)
    assert split is not None
    for x in (*FAR, 0.0):
        assert agree(value_of(split, x=x), value_of(root, x=x)), x


@pytest.mark.parametrize(
    "text", [text for text in QUOTIENTS if "1.7" not in text and "2" not in text]
)
def test_the_split_form_is_accurate_over_the_whole_range(text: str) -> None:
    root = expression(text)
    split = split_exponential(root)
    assert split is not None
    primitive = rewrite(split, PRIMITIVES)
    for x in FAR:
        exact = value_of(root, x=x)
        if abs(exact) > SMALLEST_NORMAL:
            # Two polynomials in t of a degree up to 4 and a division: a dozen roundings of half
            # an ULP, and those of exp, which is within one.
            assert error_in_ulp(computed(primitive, x=x), exact) <= 8, x


@pytest.mark.parametrize(
    "text", ["x", "x**2/(1+x)", "sin(x)", "log(1+exp(x))", "exp(x)**30", "erf(x)", "1/(x-x)"]
)
def test_what_is_no_quotient_of_exponentials_is_left_alone(text: str) -> None:
    assert split_exponential(expression(text)) is None


def test_one_form_serves_both_sides_of_an_even_function() -> None:
    for text in ("1 - tanh(x)**2", "1/cosh(x)", "exp(-x)/(1+exp(-x))**2"):
        assert "where" not in str(split_exponential(expression(text)))


POWERS = [
    "x/(1+x**2)",
    "x**3/(1+x**2)",
    "(1+x)/(2+x**4)",
    "x**2/(3+x**2)**2",
    "1/(1+x**2)**2",
    "(1-x)**2*x/(x**2+1)",
]


@pytest.mark.parametrize("text", POWERS)
def test_a_large_variable_does_not_overflow_where_the_quotient_fits(text: str) -> None:
    root, x = expression(text), Symbol("x")
    split = split_variable(root, x)
    assert split is not None
    points = (*NEAR, *(s * 10.0**k for k in (3, 20, 90, 160, 250, 300) for s in (1, -1)))
    for point in points:
        exact = value_of(root, x=point)
        assert agree(value_of(split, x=point), exact), point
        if abs(exact) > SMALLEST_NORMAL:
            assert error_in_ulp(computed(split, x=point), exact) <= 8, point


def test_only_quotients_in_the_variable_are_split() -> None:
    x = Symbol("x")
    for text in ("x**2 + 1", "tanh(x)", "1/(1 + tanh(x))", "x/3"):
        assert split_variable(expression(text), x) is None
    assert split_variable(expression("x/(1 + y**2)"), x) is None
    assert split_variable(expression("x/(1 + y**2)"), Symbol("y")) is not None
    assert split_variable(expression("1/(x - x)"), x) is None
