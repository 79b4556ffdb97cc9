"""Series near 0: where a difference cancels, and nowhere else."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Number, Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.regimes import expand_near_zero, order_of_zero, replace_near_zero
from gradsmith.numerics.target import FLOAT64
from tests.calculus.oracle import value_of
from tests.numerics.accuracy import computed, error_in_ulp

SMALL = [1e-300, 1e-150, 1e-60, 1e-30, 1e-12, 1e-8, 3e-5, 0.0007, 0.013, 0.09, 0.21, 0.47, 0.83]
POINTS = [s * x for x in SMALL for s in (1, -1)]

CANCELLING = [
    "x - tanh(x)",
    "sin(x) - x",
    "x - atan(x)",
    "exp(x) - 1 - x",
    "x - log(1 + x)",
    "cosh(x) - 1",
    "log(cosh(x))",
    "erf(x) - 2*x/sqrt(pi)",
    "asinh(x) - x",
    "sinh(x) - x - x**3/6",
    "cos(x) - 1 + x**2/2",
]


@pytest.mark.parametrize("text", CANCELLING)
def test_accurate_near_zero_where_the_plain_difference_is_not(text: str) -> None:
    root = parse(text).expression
    series = expand_near_zero(root)
    assert series is not root
    plain = 0.0
    for x in POINTS:
        exact = value_of(root, x=x)
        if abs(exact) > 2.0**-1000:
            # Half an ULP for the coefficients, one for x**k, one for Horner's last steps: the
            # terms fall off quickly inside the radius. Outside, a difference may lose a factor 4.
            assert error_in_ulp(computed(series, x=x), exact) <= 6, x
            plain = max(plain, error_in_ulp(computed(root, x=x), exact))
    assert plain > 2**20


@pytest.mark.parametrize("text", CANCELLING)
def test_outside_its_radius_nothing_changes(text: str) -> None:
    root = parse(text).expression
    series = expand_near_zero(root)
    for x in (1.25, -1.25, 3.0, -7.0, 40.0):
        if value_of(root, x=x) is not None:
            assert computed(series, x=x) == computed(root, x=x)


@pytest.mark.parametrize(
    "text", ["x + tanh(x)", "1 + x", "exp(x) + 1", "cos(x) - x", "log(2 + x)", "x**2 - 3", "y - x"]
)
def test_what_does_not_cancel_near_zero_is_left_alone(text: str) -> None:
    root = parse(text, inputs=("x", "y") if "y" in text else ("x",)).expression
    assert expand_near_zero(root) is root


def test_as_a_function_of_what_vanishes() -> None:
    # β·x and |x| are what the difference is a function of, whatever β is.
    root = parse("(k*x - tanh(k*x))/k", {"k": 1.5}).expression
    series = expand_near_zero(root)
    assert series is not root
    for k in (0.3, 1.5, -8.0):
        exact = value_of(root, x=1e-5, k=k)
        assert error_in_ulp(computed(series, x=1e-5, k=k), exact) <= 8


def test_the_series_of_a_whole_function() -> None:
    x = Symbol("x")
    root = parse("(sin(x) - x)/x**3 + tanh(x)**2/6").expression
    series = replace_near_zero(root, root, x, 0.3, FLOAT64)
    assert series is not root
    for place in POINTS:
        if abs(place) < 0.4:
            exact = value_of(root, x=place)
            assert error_in_ulp(computed(series, x=place), exact) <= 4, place
    assert (
        replace_near_zero(root, parse("x*y", inputs=("x", "y")).expression, x, 0.3, FLOAT64) is root
    )
    # A kink at 0 has no series.
    kinked = parse("abs(x) - x/2").expression
    assert replace_near_zero(kinked, kinked, x, 0.3, FLOAT64) is kinked


def test_the_coefficients_are_those_of_the_taylor_series_in_front() -> None:
    # Interpolation at Chebyshev points comes close to 1/3 only because the order is right.
    text = str(expand_near_zero(parse("x - tanh(x)").expression))
    leading = text.split("x**3*(")[1].split(" ")[0]
    assert Number(Fraction(leading)).value == Fraction(1 / 3)


@pytest.mark.parametrize(
    ("text", "order"),
    [("x**3*cos(x)", 3), ("expm1(x)", 1), ("exp(-1/x)", None), ("exp(-1/x**2)", None)],
)
def test_the_order_of_a_zero(text: str, order: int | None) -> None:
    assert order_of_zero(Evaluator(parse(text).expression, ("x",))) == order
