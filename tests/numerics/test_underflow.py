"""Tails in which the exponential is subnormal before the product is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradsmith.formula.parse import parse
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.rewrite import rewrite
from gradsmith.numerics.rules import PRIMITIVES, STABILISE
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.underflow import split_deep_exponentials
from tests.calculus.oracle import agree, value_of
from tests.numerics.accuracy import computed, error_in_ulp

# With the points where the value is subnormal, and where only the exponential is.
TAILS = {
    "x*exp(x)": (-708.3, -715.1, -731.7, -744.3, -750.1),
    "exp(-abs(x))*(3 + x**2)/7": (709.3, -722.9, 741.1, -751.2, 755.7),
    "x*exp(-x**2)": (27.1, -27.19, 27.28),
    "exp(-2*abs(x))*x**3": (358.3, -366.1, 379.9, -380.4),
    "x*exp(-abs(x))**2": (360.3, -368.1, 373.9),
    "x/(1 + exp(-x))": (-709.9, -733.3, -747.7),
    "x*tanh(exp(x))": (-709.9, -733.3, -747.7),
}


@pytest.mark.parametrize("text", TAILS)
def test_only_the_last_multiplication_rounds_to_a_subnormal(text: str) -> None:
    written = parse(text).expression
    root = rewrite(rewrite(written, STABILISE), PRIMITIVES)
    split = split_deep_exponentials(root, {})
    assert split is not root
    plain = 0.0
    for x in TAILS[text]:
        exact = value_of(written, x=x)
        # Half a unit for the last multiplication, and that of five roundings where it is normal.
        assert error_in_ulp(computed(split, x=x), exact) <= 3, x
        plain = max(plain, error_in_ulp(computed(root, x=x), exact))
    assert plain > 4


@pytest.mark.parametrize("text", TAILS)
def test_nothing_changes_elsewhere(text: str) -> None:
    root = rewrite(rewrite(parse(text).expression, STABILISE), PRIMITIVES)
    split = split_deep_exponentials(root, {})
    x = np.array(
        [s * v for v in (0.0, 1e-300, 0.3, 1.0, 7.7, 17.1, 70.3, 190.9) for s in (1.0, -1.0)]
    )
    assert np.array_equal(interpret(split, {"x": x}), interpret(root, {"x": x}))


@pytest.mark.parametrize("x", [-650.0, -700.0, -720.0, -1200.0, 650.0, 1200.0])
def test_the_value_is_that_of_the_formula(x: float) -> None:
    # Exactly, h·h is e; what differs is e beside 1, less than 2⁻⁴³².
    for text in ("x*exp(-abs(x))/(1 + exp(-abs(x)))", "where(x > 0, x, exp(-abs(x)))*x"):
        root = parse(text).expression
        split = split_deep_exponentials(root, {})
        assert agree(value_of(split, x=x), value_of(root, x=x), 100)


@pytest.mark.parametrize(
    "text", ["exp(x) + x", "1 + exp(-abs(x))", "sin(x)", "exp(x) - exp(-x)", "x/(1 + abs(x))"]
)
def test_what_is_proportional_to_no_exponential_is_left_alone(text: str) -> None:
    root = parse(text).expression
    assert split_deep_exponentials(root, {}) is root


def test_only_the_side_that_is_proportional_is_split() -> None:
    # 1 + x²·e on the right: with h in place of e it would be another number.
    root = parse("where(x > 0, 1 + x**2, x)*where(x > 0, 1, exp(-abs(x)))").expression
    split = split_deep_exponentials(root, {})
    assert split is not root
    for x in (605.0, 700.0, 745.0, 1e5):
        assert computed(split, x=x) == computed(root, x=x)
    for x in (-710.0, -740.0):
        assert error_in_ulp(computed(split, x=x), value_of(root, x=x)) <= 1


def test_several_inputs_and_parameters() -> None:
    gate = parse("a/(1 + exp(-b))", inputs=("a", "b")).expression
    split = split_deep_exponentials(rewrite(rewrite(gate, STABILISE), PRIMITIVES), {})
    for a, b in ((-1e8, -720.0), (3.3e-5, -700.0), (1e300, -1300.0), (1.7e308, -1440.0)):
        exact = value_of(gate, a=a, b=b)
        assert error_in_ulp(computed(split, a=a, b=b), exact) <= 4, (a, b)
    written = parse("x/(1 + exp(-k*x))", {"k": 1.5}).expression
    scaled = split_deep_exponentials(rewrite(rewrite(written, STABILISE), PRIMITIVES), {"k": 1.5})
    for k, x in ((1.5, -480.0), (0.25, -2880.0), (-2.0, 360.0)):
        assert error_in_ulp(computed(scaled, k=k, x=x), value_of(written, k=k, x=x)) <= 1, (k, x)


def test_zero_and_infinity_stay_what_they_are() -> None:
    root = parse("exp(-abs(x))*2").expression
    split = split_deep_exponentials(root, {})
    far = np.array([0.0, 1e3, -1e5, 1e308, math.inf, -math.inf])
    assert np.array_equal(interpret(split, {"x": far}), interpret(root, {"x": far}))


def test_a_subnormal_input_survives_a_division_that_underflows() -> None:
    """α(eˣᐟᵅ − 1) is x for subnormal x, and x/α is 0 for large α."""
    root = parse("where(x > 0, x, alpha*(exp(x/alpha) - 1))", {"alpha": 1.0}).expression
    stable = stabilise(root, ("x", "alpha"), {"alpha": 1.0}).expression
    points = np.array([-(2.0**-1074), -3 * 2.0**-1074, 2.0**-1074])
    found = interpret(stable, {"x": points, "alpha": np.full(3, 9.0)})
    np.testing.assert_array_equal(found, points)
