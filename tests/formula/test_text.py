"""An expression's text is read back as the expression, with no more brackets than it needs."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Expr, Number, Symbol, free_symbols, substitute
from gradsmith.formula.formula import Formula
from gradsmith.formula.parse import parse
from gradsmith.formula.text import number_text, to_text
from tests.formula.expressions import NUMBERS, expressions, value

# σ is a function to a formula's text, and a variable only in what is made of formulas.
READABLE = expressions().map(lambda expression: substitute(expression, {Symbol("σ"): Symbol("y")}))


def read(text: str, expression: Expr) -> Formula:
    names = [symbol.name for symbol in free_symbols(expression)]
    try:
        return parse(text, inputs=names or ("x",))
    except FormulaError as error:
        assume("constant" not in error.message and "divides by zero" not in error.message)
        raise


@settings(derandomize=True, max_examples=120, deadline=None)
@given(READABLE)
def test_reads_back_as_the_same_value(expression: Expr) -> None:
    text = to_text(expression)
    assert value(read(text, expression).expression) == value(expression), text


@settings(derandomize=True, max_examples=120, deadline=None)
@given(READABLE)
def test_text_to_formula_to_text_changes_nothing(expression: Expr) -> None:
    formula = read(to_text(expression), expression)
    text = str(formula)
    again = read(text, formula.expression)
    assert str(again) == text


@settings(derandomize=True, max_examples=120, deadline=None)
@given(NUMBERS)
def test_a_number_is_written_exactly(number: Number) -> None:
    text, _ = number_text(number.value)
    numerator, _, denominator = text.partition("/")
    assert Fraction(numerator) / Fraction(denominator or 1) == number.value


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(3), "3"),
        (Fraction(-3), "-3"),
        (Fraction(1, 2), "1/2"),
        (Fraction(1, 3), "1/3"),
        (Fraction("0.1"), "0.1"),
        (Fraction("0.044715"), "0.044715"),
        (Fraction("-1.702"), "-1.702"),
        (Fraction("1e-10"), "1e-10"),
        (Fraction(1, 97), "1/97"),
        (Fraction("1.6732632423543772848170429916717"), "1.6732632423543772848170429916717"),
    ],
)
def test_a_number_is_written_as_people_do(number: Fraction, text: str) -> None:
    assert number_text(number)[0] == text


@pytest.mark.parametrize(
    "text",
    [
        "x*tanh(log(1 + exp(x)))",
        "x - (x - 1)",
        "x - 1 - x",
        "x/(x*x)",
        "x/x*x",
        "-x**2",
        "(-x)**2",
        "(x**x)**x",
        "x**x**x",
        "x**(-x)",
        "-(x*x)",
        "-(x + 1)",
        "--x",
        "2*(x + 1)",
        "where(x > 0, x, 0)",
        "where(x > 0 and (x < 1 or x > 2), x, -x)",
        "where(not x > 0, x, 0)",
        "where(x == 0 or x != 1 and x >= 2, x, 0)",
        "sqrt(2/pi)*x",
        "max(x, min(x, 1)) + clip(x, -1, 1)",
        "(1/2)**x",
    ],
)
def test_brackets_stand_where_they_are_needed(text: str) -> None:
    assert str(parse(text)) == text


def test_depth_is_no_limit() -> None:
    x: Expr = Symbol("x")
    for _ in range(5000):
        x = -x
    assert to_text(x) == "-" * 5000 + "x"
