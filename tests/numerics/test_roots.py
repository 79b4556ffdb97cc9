"""Series about roots: accurate however close the root is, and nowhere else than near it."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from flint import arb

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.measure import brackets
from gradsmith.numerics.roots import expand_near_roots, places_of_roots
from gradsmith.numerics.target import FLOAT32_ALONE, FLOAT64
from tests.calculus.oracle import value_of
from tests.numerics.accuracy import computed, error_in_ulp

X = Symbol("x")
# Two points around each root that is meant, and whether the formula is even, odd or neither.
FORMULAS = {
    "exp(x) - 2": [(0.5, 0.9)],
    "(1 + x*(1 - tanh(x)))/(1 + exp(-x))": [(-2.0, -0.2)],
    "x**3 - 3*x + 1": [(0.1, 1.0), (1.1, 2.0), (-2.5, -1.5)],
    "(x**2 - 2)*exp(-x**2)": [(1.0, 2.0), (-2.0, -1.0)],
    "log(x) - 3": [(15.0, 25.0)],
    "tanh(x) - x/2": [(1.0, 3.0), (-3.0, -1.0)],
}


def root_of(text: str, low: float, up: float) -> mpmath.mpf:
    expression = parse(text).expression
    with mpmath.workdps(60):
        a, b = mpmath.mpf(low), mpmath.mpf(up)
        below = value_of(expression, x=low) > 0
        for _ in range(180):
            middle = (a + b) / 2
            at = mpmath.mpf(0) + eval_mp(text, middle)
            a, b = (middle, b) if (at > 0) == below else (a, middle)
        return a


def eval_mp(text: str, x: mpmath.mpf) -> mpmath.mpf:
    names = {n: getattr(mpmath, n) for n in ("exp", "tanh", "cos", "log")}
    return eval(text, {**names, "x": x})


def around(root: float) -> list[float]:
    points = [root]
    for direction in (-math.inf, math.inf):
        x = root
        for _ in range(6):
            x = math.nextafter(x, direction)
            points.append(x)
    return points + [root * (1 + s * 2.0**-k) for k in range(4, 52) for s in (1, -1)]


@pytest.mark.parametrize("text", FORMULAS)
def test_within_4_ulp_however_close_to_the_root(text: str) -> None:
    root = parse(text).expression
    series = expand_near_roots(root, root, X, FORMULAS[text], FLOAT64)
    assert series is not root
    plain = 0.0
    for low, up in FORMULAS[text]:
        for x in around(float(root_of(text, low, up))):
            exact = value_of(root, digits=60, x=x)
            assert error_in_ulp(computed(series, x=x), exact) <= 4, x
            plain = max(plain, error_in_ulp(computed(root, x=x), exact))
    assert plain > 100


@pytest.mark.parametrize("text", FORMULAS)
def test_far_from_the_roots_nothing_changes(text: str) -> None:
    root = parse(text).expression
    series = expand_near_roots(root, root, X, FORMULAS[text], FLOAT64)
    x = np.array([5.1, 9.3, 44.7, -33.1])
    expected = interpret(root, {"x": x})
    assert np.array_equal(interpret(series, {"x": x}), expected, equal_nan=True)


def test_where_the_formula_has_no_value_there_is_none() -> None:
    root = parse("log(x) - 3").expression
    series = expand_near_roots(root, root, X, [(15.0, 25.0)], FLOAT64)
    assert np.isnan(interpret(series, {"x": np.array([-20.0, -20.1, -1e300])})).all()


def test_no_root_no_series() -> None:
    root = parse("exp(x) + 1").expression
    assert expand_near_roots(root, root, X, [], FLOAT64) is root


def test_a_pole_is_not_taken_for_a_root() -> None:
    root = parse("1/(exp(x) - 2)").expression
    assert expand_near_roots(root, root, X, [(0.5, 0.9)], FLOAT64) is root


def test_a_root_that_needs_nothing_gets_nothing() -> None:
    root = parse("x - 3").expression
    assert expand_near_roots(root, root, X, [(2.5, 3.7)], FLOAT64) is root


def test_a_formula_with_parameters_stays_as_it_is() -> None:
    root = parse("exp(k*x) - 2", {"k": 1.5}).expression
    assert expand_near_roots(root, root, X, [(0.1, 0.9)], FLOAT64) is root


def test_where_everything_is_computed_in_float32() -> None:
    root = parse("exp(x) - 2").expression
    series = expand_near_roots(root, root, X, [(0.5, 0.9)], FLOAT32_ALONE)
    x = np.float32(math.log(2))
    points = np.array([x, np.nextafter(x, np.float32(1)), np.nextafter(x, np.float32(0))])
    found = interpret(series, {"x": points}, "float32")
    for place, value in zip(points.tolist(), found.tolist(), strict=True):
        exact = float(value_of(root, digits=60, x=place))
        assert abs(value - exact) <= 4 * 2.0 ** (math.frexp(exact)[1] - 24)


def test_brackets_are_sign_changes_nearest_to_0_first() -> None:
    xs = np.array([-9.0, -2.0, -1.0, 0.0, 3.0, 5.0, 7.0])
    values = np.array([1.0, -1.0, 2.0, math.nan, 1.0, -1.0, -3.0])
    assert brackets(xs, values) == [(-2.0, -1.0), (3.0, 5.0), (-9.0, -2.0)]


def test_a_root_is_found_in_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halving would take one for each of some 170 bits."""
    asked: list[float] = []
    call = Evaluator.__call__

    def counted(self: Evaluator, *values: float, bits: int = 80) -> arb:
        asked.append(bits)
        return call(self, *values, bits=bits)

    monkeypatch.setattr(Evaluator, "__call__", counted)
    for text, pairs in FORMULAS.items():
        root = parse(text).expression
        asked.clear()
        places = places_of_roots(root, X, tuple(pairs))
        assert len(asked) <= 25 * len(pairs)
        for place, pair in zip(places[: len(pairs)], pairs, strict=True):  # beyond: 0 itself
            exact = root_of(text, *pair)
            with mpmath.workdps(60):
                mantissa, exponent = map(int, place.man_exp())
                error = abs(mpmath.ldexp(mantissa, exponent) - exact)
                assert error < abs(exact) * mpmath.mpf(2) ** -150
