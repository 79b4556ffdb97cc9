"""Stable expressions against exact derivatives, on points that the module itself does not use.

The oracle reads the formula's text by itself (see :mod:`tests.numerics.jets`); neither our
derivatives nor our exact evaluation takes part.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import pytest

from gradsmith.calculus.derivative import differentiate
from gradsmith.formula.expression import Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.measure import POSITIVE
from gradsmith.numerics.stabilise import Stable, stabilise
from gradsmith.numerics.target import FLOAT32, FLOAT64, Target
from tests.calculus.oracle import Real, agree, as_fraction, value_of
from tests.numerics.accuracy import error_in_ulp, ulp
from tests.numerics.jets import derivatives

X = Symbol("x")

# Formulas as papers print them; those that lose everything when computed as they stand first.
NAIVE = [
    "1/(1+exp(-x))",
    "log(1+exp(x))",
    "x*tanh(log(1+exp(x)))",
    "x/(1+exp(-x))",
    "exp(x)-1",
    "1+erf(x)",
    "1-sigmoid(x)",
    "1-tanh(x)**2",
    "x-tanh(x)",
]
PUBLISHED = [
    "x/2*(1+erf(x/sqrt(2)))",  # GELU
    "0.5*x*(1+tanh(sqrt(2/pi)*(x+0.044715*x**3)))",  # its approximation
    "x*sigmoid(1.702*x)",  # and the quick one
    "(x+sqrt(x**2+4))/2",  # Squareplus
    "x*erf(log(1+exp(x)))",  # SERF
    "x*log(1+1/(1+exp(-x)))",  # Logish
    "x*tanh(exp(x))",  # TanhExp
    "atan(exp(x))*x",  # ArcTan-Exp
    "x/(1+abs(x))",  # Softsign
    "x/(1+abs(x))**2",
    "x/(1+x**2)",
    "exp(-x**2)",  # Gaussian
    "x*exp(-x**2/2)",
    "(sqrt(x**2+1)-1)/2+x",  # bent identity
    "where(x>=0, x, x/sqrt(1+x**2))",  # ISRLU
    "x/sqrt(1+0.5*x**2)",  # ISRU
    "1-(1+0.5*exp(x))**-2",  # Aranda-Ordaz
    "log(cosh(x))",
    "tanh(x)*log(1+exp(x))",
    "x/(1+exp(-x))**2",
    "1/(1+exp(-x))-1/2",
    "where(x>0, x, exp(x)-1)",  # ELU
    "x*atan(x)",
    "log(1/(1+exp(-x)))",
    "1/(1+2**(-x))",
]
# exp(-2·eˣ) magnifies the rounding of eˣ by 2·eˣ, up to 700; eˣ itself would need more digits.
OUT_OF_REACH = {("x*tanh(exp(x))", 2)}
KINKED_AT_ZERO = {text for text in PUBLISHED if "abs" in text or "where" in text}

# A few roundings: the module's own budget is 4 ULP on its own points, and between its points the
# errors of the same roundings are up to half as large again. A derivative is a longer expression,
# the second one twice as long as the first.
WITHIN = (6.0, 6.0, 10.0)
LARGER = 1.5

SIZES = [
    *np.geomspace(1.1e-300, 3e-9, 7),
    *np.geomspace(1.3e-8, 0.31, 19),
    *np.linspace(0.333, 12.3, 37),
    *np.geomspace(13.1, 742, 23),
    # Not where 1/x² is subnormal: any order of the operations loses digits there.
    *(1.1e3, 7e5, 3e10, 5e25, 2e48, 3e63, 8e88, 8e123, 2e149, 3e184, 1.7e305),
]
_DICE = np.random.default_rng(11)
POINTS = sorted(
    float(sign * size * _DICE.uniform(0.99, 1.01)) for size in SIZES for sign in (1, -1)
)


def test_the_points_are_others_than_those_that_the_module_judges_by() -> None:
    assert not {abs(x) for x in POINTS} & set(POSITIVE)
    assert len(POINTS) > 190


@cache
def exact(text: str) -> list[list[Real] | None]:
    return [derivatives(text, x) for x in POINTS]


@cache
def stable(text: str, order: int, target: Target = FLOAT64) -> Stable:
    """As the operator asks for it: the derivative of the stable form is an alternative."""
    root = parse(text).expression
    for _ in range(order):
        root = differentiate(root, X)
    others = []
    if order:
        others.append(differentiate(stable(text, order - 1, target).symbolic, X))
    return stabilise(root, ("x",), {}, others, target)


def roots(values: list[Real]) -> list[float]:
    """Where the values change their sign, other than at 0."""
    found = []
    for i in range(len(POINTS) - 1):
        a, b = values[i], values[i + 1]
        if POINTS[i] * POINTS[i + 1] > 0 and a is not None and b is not None and a * b < 0:
            found.append((POINTS[i] + POINTS[i + 1]) / 2)
    return found


def errors(text: str, order: int) -> list[tuple[float, float]]:
    """(error in ULP, point), the largest first.

    Near a root r other than 0 the input's own rounding moves the value by x·f′(x)·2⁻⁵³, so that
    there the error is counted in ULP of x·f′(x); at 0, which is exact, it is counted as always.
    """
    reference = exact(text)
    values = [None if r is None else r[order] for r in reference]
    zeros = roots(values)
    computed = interpret(stable(text, order).expression, {"x": np.array(POINTS)}).tolist()
    found = []
    for x, value, r in zip(POINTS, computed, reference, strict=True):
        if r is None:
            continue
        true, slope = as_fraction(r[order]), as_fraction(r[order + 1])
        error = error_in_ulp(value, r[order])
        if math.isfinite(value) and any(abs(x - zero) <= abs(x) / 2 for zero in zeros):
            error = float(
                abs(Fraction(value) - true) / ulp(max(abs(true), abs(slope * Fraction(x))))
            )
        elif math.isfinite(value) and abs(true) < Fraction(2) ** -1010:
            # Held to an absolute error there: a factor of the product is subnormal already.
            error = min(error, float(abs(Fraction(value) - true) * 2**1062))
        found.append((error, x))
    return sorted(found, reverse=True)


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("text", NAIVE + PUBLISHED)
def test_value_and_derivatives_are_accurate_between_the_modules_own_points(
    text: str, order: int
) -> None:
    worst, at = errors(text, order)[0]
    if (text, order) in OUT_OF_REACH:
        assert stable(text, order).error > WITHIN[order], "and the measurement says so"
        return
    assert worst <= WITHIN[order], at
    assert worst <= LARGER * max(stable(text, order).error, FLOAT64.budget), at


@pytest.mark.parametrize("text", NAIVE)
def test_as_it_stands_the_formula_or_its_derivatives_would_not_do(text: str) -> None:
    root = parse(text).expression
    losses = []
    for order in (0, 1, 2):
        computed = interpret(root, {"x": np.array(POINTS)}).tolist()
        reference = exact(text)
        losses += [
            error_in_ulp(value, r[order])
            for value, r in zip(computed, reference, strict=True)
            if r is not None and abs(r[order]) > 1e-300
        ]
        root = differentiate(root, X)
    assert max(losses) > 2.0**40


LIMITS: list[tuple[str, Any, Any]] = [
    # (formula, its limits at -inf and +inf, those of its derivative)
    ("1/(1+exp(-x))", (0.0, 1.0), (0.0, 0.0)),
    ("log(1+exp(x))", (0.0, math.inf), (0.0, 1.0)),
    ("x*tanh(log(1+exp(x)))", (0.0, math.inf), (0.0, 1.0)),
    ("x/(1+exp(-x))", (0.0, math.inf), (0.0, 1.0)),
    ("exp(x)-1", (-1.0, math.inf), (0.0, math.inf)),
    ("1+erf(x)", (0.0, 2.0), (0.0, 0.0)),
    ("1-tanh(x)**2", (0.0, 0.0), (0.0, 0.0)),
    ("x-tanh(x)", (-math.inf, math.inf), (1.0, 1.0)),
    ("x/2*(1+erf(x/sqrt(2)))", (0.0, math.inf), (0.0, 1.0)),
    ("(x+sqrt(x**2+4))/2", (0.0, math.inf), (0.0, 1.0)),
    ("x/(1+abs(x))", (-1.0, 1.0), (0.0, 0.0)),
    ("x*exp(-x**2/2)", (0.0, 0.0), (0.0, 0.0)),
    ("log(cosh(x))", (math.inf, math.inf), (-1.0, 1.0)),
    ("where(x>0, x, exp(x)-1)", (-1.0, math.inf), (0.0, 1.0)),
    ("x/(1+x**2)", (0.0, 0.0), (0.0, 0.0)),
    ("max(x, 0)", (0.0, math.inf), (0.0, 1.0)),
    ("where(x > 1, x, 0.1)", (0.1, math.inf), (0.0, 1.0)),
]


@pytest.mark.parametrize(("text", "values", "slopes"), LIMITS)
def test_infinity_gives_the_limit_and_nan_gives_nan(
    text: str, values: tuple[float, float], slopes: tuple[float, float]
) -> None:
    for order, expected in ((0, values), (1, slopes)):
        ends = {"x": np.array([-math.inf, math.inf, math.nan])}
        result = interpret(stable(text, order).expression, ends)
        assert tuple(result[:2]) == expected
        assert math.isnan(result[2])


@pytest.mark.parametrize("text", [*NAIVE, *PUBLISHED[:4]])
def test_in_float32_value_and_slope_are_within_one_ulp_next_to_the_roots_as_well(
    text: str,
) -> None:
    for order in (0, 1):
        reference = exact(text)
        places = [float(np.float32(x)) for x in POINTS if 1e-40 < abs(x) < 1e38]
        for zero in roots([None if r is None else r[order] for r in reference]):
            places += beside_root(text, order, zero)
        expression = stable(text, order, FLOAT32).expression
        computed = FLOAT32.rounded(interpret(expression, {"x": np.array(places)}))
        for x, value in zip(places, computed.tolist(), strict=True):
            r = derivatives(text, x)
            assert r is not None
            true = as_fraction(r[order])
            if abs(true) < Fraction(2) ** 128:
                unit = Fraction(2) ** max(math.frexp(float(true))[1] - 24, -149)
                assert abs(Fraction(value) - true) <= unit, (order, x)


def beside_root(text: str, order: int, near: float) -> list[float]:
    """The float32 numbers on both sides of a root, by bisection of the exact values."""

    def sign(x: float) -> bool:
        r = derivatives(text, x)
        assert r is not None
        return bool(r[order] > 0)

    low, high = np.float32(near * 0.8), np.float32(near * 1.25)
    below = sign(float(low))
    if sign(float(high)) == below:
        return []
    while np.nextafter(low, high) != high:
        middle = np.float32((float(low) + float(high)) / 2)
        low, high = (middle, high) if sign(float(middle)) == below else (low, middle)
    return [float(low), float(high)]


def test_parameters_may_take_other_values_later() -> None:
    for text, parameters, others in (
        ("x*sigmoid(beta*x)", {"beta": 1.5}, [{"beta": 0.2}, {"beta": 7.0}]),
        ("where(x > 0, x, a*(exp(x)-1))", {"a": 1.0}, [{"a": 0.3}, {"a": 5.0}]),
        ("log(1+exp(beta*x))/beta", {"beta": 1.0}, [{"beta": 0.1}, {"beta": 20.0}]),
    ):
        formula = parse(text, parameters)
        root = formula.expression
        for order in (0, 1):
            expression = stabilise(root, formula.arguments, parameters).expression
            for values in (parameters, *others):
                for x in (-30.7, -3.1, -0.013, 1e-9, 0.7, 4.4, 61.0):
                    r = derivatives(text, x, **values)
                    assert r is not None
                    point = {n: np.array([v]) for n, v in {"x": x, **values}.items()}
                    value = float(interpret(expression, point)[0])
                    near = order == 1 and "sigmoid" in text and -3 < x * values["beta"] < -0.5
                    assert near or error_in_ulp(value, r[order]) <= 8, (text, order, x, values)
            root = differentiate(root, X)


def test_several_inputs() -> None:
    formula = parse("a*sigmoid(b) + log(1 + exp(b))*1", inputs=("a", "b"))
    result = stabilise(formula.expression, formula.arguments, {})
    a = np.array([1.5, -2.0, 1e200, 3.0])
    b = np.array([-800.0, 750.0, -40.0, 1000.0])
    values = interpret(result.expression, {"a": a, "b": b})
    assert values[0] == 0
    assert values[1] == 748
    assert values[2] == pytest.approx(1e200 * math.exp(-40), rel=1e-15)
    assert values[3] == 1003
    for name in ("a", "b"):
        point = {"a": np.array([0.5]), "b": np.array([0.5])} | {name: np.array([math.nan])}
        assert math.isnan(interpret(result.expression, point)[0])


def test_a_formula_without_inputs_and_a_constant() -> None:
    assert stabilise(parse("2*a", {"a": 1.5}).expression, ("a",), {"a": 1.5}).error <= 1
    assert stabilise(parse("0*x + 1/3").expression, ("x",), {}).error <= 1


def test_the_worst_point_is_reported() -> None:
    # Near 1e308 no order of operations makes sin's argument more accurate.
    result = stabilise(parse("sin(3.7*x)").expression, ("x",), {})
    assert result.error > 2.0**40
    assert abs(result.at["x"]) > 1e15
    assert result.target is FLOAT64


def test_the_symbolic_form_is_equal_and_can_be_differentiated() -> None:
    for text in (*NAIVE, *PUBLISHED):
        if text in KINKED_AT_ZERO:
            continue
        root = parse(text).expression
        slope = differentiate(stable(text, 0).symbolic, X)
        for x in (-4.25, -0.5, 1.75, 30.0):
            assert agree(value_of(stable(text, 0).symbolic, x=x), value_of(root, x=x))
            assert agree(value_of(slope, x=x), value_of(differentiate(root, X), x=x))
