"""Exponents carried to twice the precision, against exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import product_error, sum_error
from gradsmith.numerics.compensate import compensate
from gradsmith.numerics.interpret import interpret
from tests.calculus.oracle import agree, value_of
from tests.numerics.accuracy import SMALLEST_NORMAL, computed, error_in_ulp

POINTS = [s * x for x in (1e-200, 1e-9, 0.3, 1.7, 3.3, 6.1, 9.9, 13.7, 19.3, 26.1, 37.7)
          for s in (1, -1)]  # fmt: skip

# Each exponent is rounded: plain float64 loses |exponent| times the rounding.
EXPONENTS = [
    "exp(-x**2)",
    "exp(-x**2/2)",
    "exp(x*x)",
    "exp(-x**2/3)",
    "exp(-(x/sqrt(2))**2)",
    "exp(1.702*x)",
    "exp(-0.1*x**3)",
    "exp(x**4/1000)",
    "exp(-abs(1.1*x))",
    "exp(x/pi - x**2)",
    "exp(-(x + 0.1)**2)",
    "exp2(1.1*x)",
    "exp2(-x**2)",
]


@pytest.mark.parametrize("text", EXPONENTS)
def test_the_value_stays_and_float64_computes_it_to_two_ulp(text: str) -> None:
    root = parse(text).expression
    compensated = compensate(root)
    assert compensated is not root
    worst_plain = 0.0
    for x in POINTS:
        exact = value_of(root, x=x)
        if not SMALLEST_NORMAL < abs(exact) < 1 / SMALLEST_NORMAL:
            continue
        # exp(low) is 1 + low up to low²/2, and low is up to 700 ULP of 1.
        assert agree(value_of(compensated, x=x), exact, 26), x
        # exp within one ULP, 1 + low and the product half an ULP each.
        assert error_in_ulp(computed(compensated, x=x), exact) <= 2, x
        worst_plain = max(worst_plain, error_in_ulp(computed(root, x=x), exact))
    assert worst_plain > 4


@pytest.mark.parametrize("text", ["exp(x)", "exp(-x)", "exp(2*x)", "exp(-abs(x)/4)", "x*tanh(x)"])
def test_an_exact_exponent_is_left_alone(text: str) -> None:
    root = parse(text).expression
    assert compensate(root) is root


def test_beyond_the_range_there_is_no_nan() -> None:
    for text in ("exp(-x**2)", "exp(x**2)", "exp(x/3)", "exp(-abs(0.7*x))"):
        compensated = compensate(parse(text).expression)
        far = np.array([1e3, -1e3, 1e5, -1e5, 1e160, -1e160, 1e308, -1e308, math.inf, -math.inf])
        plain = interpret(parse(text).expression, {"x": far})
        result = interpret(compensated, {"x": far})
        over = (plain == 0) | np.isinf(plain)
        assert over.sum() >= 4
        assert np.array_equal(result[over], plain[over])
        assert not np.isnan(result).any()


def test_inside_other_functions() -> None:
    root = parse("x*sigmoid(x)*exp(-x**2/2) + exp(x)", {}).expression
    compensated = compensate(root)
    assert "product_error" in str(compensated)
    for x in (-3.1, 0.4, 5.7):
        assert agree(value_of(compensated, x=x), value_of(root, x=x), 26)


def test_the_error_terms_are_exact() -> None:
    rng = np.random.default_rng(5)
    a, b = (rng.standard_normal(300) * 10.0 ** rng.integers(-12, 12, 300) for _ in range(2))
    x, y = parse("x + y", inputs=("x", "y")).expression.args
    values = {"x": a, "y": b}
    product, total = (interpret(f(x, y), values) for f in (product_error, sum_error))
    for i in range(300):
        p, q = Fraction(float(a[i])), Fraction(float(b[i]))
        assert Fraction(float(product[i])) == p * q - Fraction(float(a[i] * b[i]))
        assert Fraction(float(total[i])) == p + q - Fraction(float(a[i] + b[i]))


def test_the_error_of_a_float32_product_is_exact_as_well() -> None:
    rng = np.random.default_rng(6)
    a, b = (rng.standard_normal(300).astype(np.float32) for _ in range(2))
    x, y = parse("x + y", inputs=("x", "y")).expression.args
    error = interpret(product_error(x, y), {"x": a, "y": b}, "float32")
    assert error.dtype == np.float32
    for i in range(300):
        exact = Fraction(float(a[i])) * Fraction(float(b[i]))
        assert Fraction(float(error[i])) == exact - Fraction(float(a[i] * b[i]))
