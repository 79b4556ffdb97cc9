"""The derivative from the stored output: as accurate as it says, or refused.

Oracle: mpmath's derivative of the formula at the input, beside the form evaluated at the output
rounded to the format.
"""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from gradsmith.formula.expression import Symbol, free_symbols
from gradsmith.formula.parse import parse
from gradsmith.numerics.by_output import from_output
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.target import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Target

TARGETS = (FLOAT64, FLOAT32, FLOAT16, BFLOAT16)
LOSES_NOTHING = (
    "relu(x)",
    "where(x <= 0, 0, where(x >= 6, 6, x))",
    "where(abs(x) > 1/2, x, 0)",
    "where(x > 0, x, x/8)",
)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("text", LOSES_NOTHING)
def test_a_piecewise_linear_function_loses_nothing(text: str, target: Target) -> None:
    formula = parse(text)
    found = from_output(formula.expression, formula.inputs, {}, "y", target)
    assert found is not None
    assert found.error == 0
    assert free_symbols(found.expression) == (Symbol("y"),)


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("text", ["sigmoid(x)", "tanh(x)", "x/(1 + abs(x))"])
def test_a_function_that_saturates_loses_everything(text: str, target: Target) -> None:
    formula = parse(text)
    found = from_output(formula.expression, formula.inputs, {}, "y", target)
    assert found is not None
    assert found.error > 40


def test_an_output_that_does_not_tell_a_kink_apart_is_no_substitute() -> None:
    """max(x, 0)′ is 1/2 at 0, where the output is what it is for every negative input."""
    formula = parse("max(x, 0)")
    found = from_output(formula.expression, formula.inputs, {}, "y", FLOAT32)
    assert found is not None
    assert found.error > 2.0**20


def test_the_error_is_that_of_the_rounded_output() -> None:
    """log(1 + exp(x))′ = 1 − e⁻ʸ: half an ULP of y is at most half an ULP of the derivative."""
    formula = parse("log(1 + exp(x))")
    found = from_output(formula.expression, formula.inputs, {}, "y", FLOAT32)
    assert found is not None
    assert 0.3 < found.error <= 0.5
    with mpmath.workdps(40):
        x = mpmath.mpf(found.at)
        y = np.array([float(np.float32(float(mpmath.log1p(mpmath.exp(x)))))])
        exact = 1 / (1 + mpmath.exp(-x))
        computed = float(interpret(found.expression, {"y": y})[0])
        unit = mpmath.mpf(2) ** (int(mpmath.floor(mpmath.log(exact, 2))) - 23)
        assert float(abs(computed - exact) / unit) == pytest.approx(found.error, rel=1e-6)


def test_there_is_none_where_none_was_found() -> None:
    for text in ("x*sigmoid(x)", "x*tanh(log(1 + exp(x)))"):
        formula = parse(text)
        assert from_output(formula.expression, formula.inputs, {}, "y", FLOAT32) is None
    two = parse("a*b", inputs=["a", "b"])
    assert from_output(two.expression, two.inputs, {}, "y", FLOAT32) is None
