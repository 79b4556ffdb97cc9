"""The oracle against mpmath, which differentiates the text by itself, and the derivative rules."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from flint import arb
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gradsmith.calculus.derivative import derivative, differentiate
from gradsmith.calculus.exact import Evaluator
from gradsmith.catalogue import ENTRIES, formula_of
from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Expr, Symbol
from gradsmith.formula.formula import Formula
from gradsmith.formula.parse import parse
from gradsmith.truth.oracle import Oracle
from tests.calculus.formulas import X, Y, piecewise, smooth
from tests.numerics.jets import derivatives

ONE_INPUT = [entry.name for entry in ENTRIES if len(entry.inputs) == 1]

# Small and large, tails and ends of them, kinks among them.
MAGNITUDES = [2.0**-149, 1e-30, 1e-5, 0.1, 0.5, 0.75, 1.0, 2.5, 3.0, 5.0, 6.0, 17.0, 25.0]
MAGNITUDES += [38.0, 89.0, 104.0, 700.0, 1e4, 1e10, 3e38, 1e300]
GRID = [0.0] + [sign * size for size in MAGNITUDES for sign in (-1.0, 1.0)]

TEXTS = [
    "x/(1 + exp(-x))",
    "x*tanh(log(1 + exp(x)))",
    "x*(1 + erf(x/sqrt(2)))/2",
    "x - tanh(x)",
    "x/(1 + abs(x))",
    "log(1/(1 + exp(-x)))",
    "x*atan(x)",
    "sqrt(1 + x**2) - 1",
    "exp(-x**2)",
    "x*sin(x)",
    "sinh(x) - asinh(x)",
    "erfc(x)*exp(x)",
    "1 - tanh(x)**2",
    "x*tanh(exp(x))",
    "where(x > 0, x, exp(x) - 1)",
]


def exact_sum(found: arb) -> Fraction:
    mantissa, exponent = found.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


@pytest.mark.parametrize("text", TEXTS)
def test_values_and_derivatives_are_those_of_mpmath(text: str) -> None:
    oracle = Oracle(parse(text))
    for x in (-40.0, -7.5, -1.25, -0.3, -1e-5, 1e-7, 0.4, 1.5, 6.0, 33.0):
        expected = derivatives(text, x)
        assert expected is not None
        for order in range(4):
            with mpmath.workdps(60):
                ours = oracle.ball(order, x).mid().man_exp()
                value = mpmath.mpf(int(ours[0])) * mpmath.mpf(2) ** int(ours[1])
                error = abs(value - expected[order])
                # mpmath's own accuracy is 30 digits and 1e-330.
                assert (
                    error <= abs(expected[order]) * mpmath.mpf(10) ** -20 + mpmath.mpf(10) ** -330
                )


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("name", ONE_INPUT)
def test_the_derivative_rules_give_the_same_over_the_catalogue(name: str, order: int) -> None:
    formula = formula_of(name)
    oracle = Oracle(formula)
    rules = Evaluator(derivative(formula.applied(X), X, order), ("x",))
    for x in GRID:
        ours, theirs = oracle.ball(order, x), rules(x)
        assert ours.overlaps(theirs), (x, ours, theirs)
        assert ours.rel_accuracy_bits() >= 80 or abs(ours) < 2.0**-1074


def agree_with_the_rules(root: Expr, order: int, at: float) -> None:
    # Nothing simplified: exp(log(x)) has no value at −1, though x has.
    by_rules = root
    for _ in range(order):
        by_rules = differentiate(by_rules, X)
    theirs = Evaluator(by_rules, ("x", "y"))(at, 0.75)
    assume(theirs.is_finite() and theirs.rel_accuracy_bits() >= 60)
    assume(Evaluator(root, ("x", "y"))(at, 0.75).is_finite())
    ours = Oracle(Formula(root, ("x", "y"))).ball(order, at, 0.75)
    assert not ours.is_nan()
    assert ours.overlaps(theirs), (ours, theirs)


@given(smooth(), st.sampled_from([-2.5, -1.0, -0.3, 0.2, 1.0, 1.75, 6.0]), st.integers(0, 2))
@settings(max_examples=300)
def test_the_derivative_rules_give_the_same_of_random_formulas(root, at, order) -> None:
    agree_with_the_rules(root, order, at)


@given(piecewise(), st.sampled_from([-3.0, -2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0]), st.integers(0, 1))
@settings(max_examples=300)
def test_kinks_follow_the_convention(root, at, order) -> None:
    agree_with_the_rules(root, order, at)


@pytest.mark.parametrize(
    ("text", "x", "slope"),
    [
        ("abs(x)", 0.0, 0.0),
        ("sign(x)*x", 0.0, 0.0),
        ("relu(x)", 0.0, 0.0),
        ("max(x, 0)", 0.0, 0.5),
        ("min(2*x, 5*x)", 0.0, 3.5),
        ("clip(x, -1, 1)", 1.0, 1.0),
        ("clip(x, -1, 1)", -1.0, 1.0),
        ("where(x >= 3, x, 0)", 3.0, 1.0),
        ("where(x > 3, x, 0)", 3.0, 0.0),
        ("heaviside(x)*x", 0.0, 0.5),
        ("x**1.5", 0.0, 0.0),
        ("(-2)**2*x**3", -1.0, 12.0),
    ],
)
def test_slopes_at_kinks(text: str, x: float, slope: float) -> None:
    assert Oracle(parse(text)).ball(1, x) == slope


def values(text: str, order: int, *inputs: float):
    return Oracle(parse(text)).exact(order, {"x": np.array(inputs)})


@pytest.mark.parametrize("text", ["x/(1 + exp(-x))", "x/2*(1 + erf(x/sqrt(2)))", "x - tanh(x)"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_high_and_low_hold_a_hundred_bits(text: str, order: int) -> None:
    inputs = [-30.0, -1.0, -1e-3, 0.7, 1.278, 5.0]
    found = values(text, order, *inputs)
    for x, high, low in zip(inputs, found.high, found.low, strict=True):
        ball = exact_sum(Oracle(parse(text)).ball(order, x, bits=200))
        assert high == float(ball)
        assert abs(Fraction(high) + Fraction(low) - ball) <= abs(ball) / 2**100


def test_infinite_inputs_give_the_limit() -> None:
    cases = {
        "x/(1 + exp(-x))": (math.inf, -0.0),
        "tanh(x)": (1.0, -1.0),
        "log(1/(1 + exp(-x)))": (-0.0, -math.inf),
        "sqrt(1 + x**2) - x": (0.0, math.inf),
        "atan(x)": (math.pi / 2, -math.pi / 2),
        "log(1 + x**2)": (math.inf, math.inf),
        "1/log(2 + x**2)": (0.0, 0.0),
        "exp(-x**2)": (0.0, 0.0),
        "exp(exp(-x)*2)*x": (math.inf, -math.inf),
    }
    for text, expected in cases.items():
        found = values(text, 0, math.inf, -math.inf)
        assert found.high.tolist() == list(expected), text
        assert np.signbit(found.high).tolist() == np.signbit(expected).tolist(), text
        assert found.decided.all()


@pytest.mark.parametrize("text", ["sin(x)", "tan(x)", "x*cos(x)", "exp(sin(x))", "1 + sin(2*x)"])
def test_what_oscillates_has_no_limit(text: str) -> None:
    found = values(text, 0, math.inf, -math.inf)
    assert np.isnan(found.high).all()
    assert found.decided.all()


@pytest.mark.parametrize("text", ["sin(x)/x", "exp(-x)*cos(x)", "sin(x)/log(x)"])
def test_what_oscillates_less_and_less_is_not_taken_for_it(text: str) -> None:
    found = values(text, 0, math.inf)
    assert found.high[0] == 0 or not found.decided[0]


def test_what_has_no_value_is_nan_and_decided() -> None:
    for text, x in [("log(x)", -1.0), ("1/(x - 1)", 1.0), ("sqrt(x)", -4.0), ("x**0.5", -1.0)]:
        found = values(text, 0, x, math.nan)
        assert np.isnan(found.high).all()
        assert found.decided.all()


@pytest.mark.parametrize(
    ("text", "order", "x", "exact"),
    [
        ("1/x", 0, (0.0, -0.0), (math.inf, -math.inf)),
        ("1/x", 1, (0.0, -0.0), (-math.inf, -math.inf)),
        ("1/(x - 1)**2", 0, (1.0,), (math.inf,)),
        ("sqrt(x)", 1, (0.0, -0.0), (math.inf, math.inf)),
        ("sqrt(x - 2)", 2, (2.0,), (-math.inf,)),
        ("log(x)", 1, (0.0,), (math.inf,)),
        ("sin(x)/x", 0, (0.0, -0.0), (1.0, 1.0)),
        ("sin(x)/x", 2, (0.0,), (-1 / 3,)),
        ("1/(x - 1)", 1, (1.0,), (-math.inf,)),
    ],
)
def test_where_there_is_no_value_the_sides_say_the_limit(
    text: str, order: int, x: tuple[float, ...], exact: tuple[float, ...]
) -> None:
    found = values(text, order, *x)
    assert found.decided.all()
    assert found.high.tolist() == pytest.approx(list(exact), rel=1e-15)


def test_a_negative_number_has_powers_with_whole_exponents() -> None:
    found = values("x**x", 0, -3.0, -5001.0, -6.5)
    assert found.high[0] == -1 / 27
    assert found.high[1] == 0
    assert np.signbit(found.high[1])
    assert np.isnan(found.high[2])
    assert found.decided.all()
    # Beside them it has none, and so no derivative.
    slopes = values("x**x", 1, -3.0, -5001.0)
    assert np.isnan(slopes.high).all()
    assert slopes.decided.all()


def test_among_subnormal_numbers_nothing_of_the_value_is_lost() -> None:
    for x in (-708.5, -720.0, -740.0, -744.9, -745.2):
        found = values("exp(x)", 0, x)
        with mpmath.workprec(400):
            in_smallest = mpmath.mpf(2) ** 1074
            parts = (mpmath.mpf(float(part[0])) for part in (found.high, found.low))
            exact = mpmath.exp(x) * in_smallest
            assert abs(sum(parts) * in_smallest + float(found.rest[0]) - exact) < 2.0**-50


def test_signed_zeros_follow_the_limit() -> None:
    found = values("x - tanh(x)", 0, 0.0, -0.0)
    assert np.signbit(found.high).tolist() == [False, True]
    assert found.sign_known.all()
    found = values("exp(x) - 1", 0, 0.0, -0.0)
    assert np.signbit(found.high).tolist() == [False, True]
    found = values("1 - tanh(x)**2 - 1", 0, 0.0, -0.0)
    assert np.signbit(found.high).tolist() == [True, True]
    # Identically zero on the left: no sign is the right one there.
    found = values("relu(x)", 0, 0.0, -0.0)
    assert found.sign_known.tolist() == [True, False]


@pytest.mark.parametrize(
    ("text", "order", "x", "negative"),
    [
        ("x/(1 + exp(-x))", 0, -3e38, True),
        ("log(1 + exp(x))", 0, -3e38, False),
        ("log(1/(1 + exp(-x)))", 0, 3e38, True),
        ("x*(1 + erf(x/sqrt(2)))/2", 0, -1e30, True),
        ("tanh(x)", 1, 1e30, False),
        ("1 - tanh(x)**2", 1, 1e30, True),
        ("x*tanh(log(1 + exp(x)))", 2, 1e30, True),
    ],
)
def test_what_underflows_keeps_its_sign(text, order, x, negative) -> None:
    found = values(text, order, x)
    assert found.high[0] == 0
    assert bool(np.signbit(found.high[0])) is negative
    assert found.sign_known[0]


def test_a_value_beyond_float64_is_infinite() -> None:
    assert values("exp(x)*x", 0, 1e30, 800.0).high.tolist() == [math.inf, math.inf]
    assert values("sinh(x)", 1, -1e300).high.tolist() == [math.inf]


def test_parameters_and_what_is_differentiated_in() -> None:
    formula = parse("log(1 + exp(beta*x))/beta", parameters={"beta": 1.0})
    assert abs(Oracle(formula, {"beta": 2.0}).ball(0, 0.0) - arb(2).log() / 2) < 1e-15
    in_beta = Oracle(formula, wrt="beta")
    assert in_beta.arguments == ("x", "beta")
    rules = Evaluator(derivative(formula.expression, Symbol("beta")), ("x", "beta"))
    assert in_beta.ball(1, 0.7, 1.5).overlaps(rules(0.7, 1.5))
    gate = Oracle(parse("a/(1 + exp(-b))", inputs=("a", "b")), wrt="b")
    found = gate.exact(1, {"a": np.array([2.0, 1.0]), "b": np.array([0.0, math.inf])})
    assert found.high.tolist() == [0.5, 0.0]


def test_arguments_are_checked() -> None:
    formula = parse("x*y", inputs=("x", "y"))
    with pytest.raises(FormulaError, match="'z'"):
        Oracle(formula, wrt="z")
    with pytest.raises(FormulaError, match="'x'"):
        Oracle(formula, {"x": 1.0})
    with pytest.raises(ValueError, match="order"):
        Oracle(formula).ball(-1, 1.0, 2.0)
    with pytest.raises(ValueError, match="x, y"):
        Oracle(formula).ball(0, 1.0)


def test_y_is_a_constant_of_the_series() -> None:
    assert Oracle(Formula(X * Y, ("x", "y"))).ball(1, 2.0, 3.0) == 3
