"""Exponents carried to twice the precision, against exact arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from gradsmith.formula.expression import Expr, Function, Symbol
from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import product_error, sum_error
from gradsmith.numerics.compensate import compensate, compensate_whole
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.pairs import SLOPES
from tests.calculus.oracle import agree, as_fraction, value_of
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


@pytest.mark.parametrize("alpha", [0.6, 3.0, -7.7])
def test_the_rounding_of_a_quotient_is_corrected(alpha: float) -> None:
    root = parse("exp(x/alpha)", {"alpha": 0.6}).expression
    compensated = compensate(root)
    worst_plain = 0.0
    for size in (0.7, 33.3, 100.1, 372.0, 401.7, 410.9157569360141):
        x = -math.copysign(size, alpha)
        exact = value_of(root, x=x, alpha=alpha)
        if abs(exact) > SMALLEST_NORMAL:
            assert error_in_ulp(computed(compensated, x=x, alpha=alpha), exact) <= 2, x
            worst_plain = max(worst_plain, error_in_ulp(computed(root, x=x, alpha=alpha), exact))
    assert worst_plain > 4


def test_the_argument_of_erfc_is_corrected() -> None:
    root = parse("erfc(x/sqrt(2))").expression
    compensated = compensate(root)
    worst_plain = 0.0
    for x in (0.3, 0.98, 1.41422, 3.3, 7.87, 11.1, 20.2, 30.9, 36.9):
        exact = value_of(root, x=x)
        # The C library's erfc is within an ULP; the correction adds a rounding.
        assert error_in_ulp(computed(compensated, x=x), exact) <= 2, x
        worst_plain = max(worst_plain, error_in_ulp(computed(root, x=x), exact))
    assert worst_plain > 100
    assert computed(compensated, x=1e5) == 0
    assert computed(compensated, x=-math.inf) == 2


ARITHMETIC = [
    "(1 + x)*(1 + x)*(1 + x)*(1 + x)*(1 + x)*(1 + x)",
    "x*x*x*x - 2*x*x + 1/3",
    "sqrt(x*x + 1)/(x - 7) + sqrt(x*x + 2)",
    "where(x > 0, x/3, x*7.1)/(3 + abs(x/7))",
]
FUNCTIONS = [
    "1/(1 + exp(-abs(x))) - x/(3 + x*x)",
    "x*(x/7 - (x/7 - 1)*(1 - tanh(x)**2))",
    "(sin(x/3) + 1/3)*(cos(x/7)/3 + 1/7)*log(x*x/3 + 2)",
]
WHOLE = [*ARITHMETIC, *FUNCTIONS]


def all_errors(text: str, form: Expr) -> list[float]:
    root = parse(text).expression
    points = np.random.default_rng(11).uniform(-4, 4, 300).tolist()
    return sorted(error_in_ulp(computed(form, x=x), value_of(root, x=x)) for x in points)


@pytest.mark.parametrize("text", ARITHMETIC)
def test_arithmetic_is_rounded_as_if_once(text: str) -> None:
    root = parse(text).expression
    # Half an ULP, and the low part's own roundings, magnified where terms cancel.
    assert all_errors(text, compensate_whole(root))[-1] <= 0.5 + 2.0**-20
    assert all_errors(text, root)[-1] > 1


@pytest.mark.parametrize("text", WHOLE)
def test_correcting_the_sums_helps_and_correcting_everything_helps_more(text: str) -> None:
    root = parse(text).expression
    plain, sums, whole = (
        all_errors(text, form)[150]
        for form in (root, compensate_whole(root, products=False), compensate_whole(root))
    )
    # A function's own rounding stays.
    assert whole <= 0.8 * plain
    assert whole <= sums <= 1.1 * plain


@pytest.mark.parametrize("function", SLOPES, ids=lambda function: function.name)
def test_low_parts_go_through_a_function_by_its_derivative(function: Function) -> None:
    x = Symbol("x")
    slope = SLOPES[function](x, function(x))
    for place in (0.13, 0.9, 2.3, 7.7):
        step = Fraction(1, 2**100)
        at = Fraction(place)
        above, below = (value_of(function(x), digits=80, x=at + s * step) for s in (1, -1))
        numeric = (as_fraction(above) - as_fraction(below)) / (2 * step)
        # The constants of the table are float64, and a correction needs a few digits.
        assert abs(as_fraction(value_of(slope, x=at)) / numeric - 1) < Fraction(1, 10**12), place


@pytest.mark.parametrize("text", WHOLE)
def test_beyond_the_range_the_correction_is_left_out(text: str) -> None:
    root = parse(text).expression
    far = np.array([1e150, -1e160, 1e200, 1e308, -math.inf, math.inf])
    plain = interpret(root, {"x": far})
    for products in (True, False):
        found = interpret(compensate_whole(root, products=products), {"x": far})
        assert np.array_equal(np.isnan(found), np.isnan(plain))
        assert np.array_equal(np.isinf(found), np.isinf(plain))


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
