"""Held where the value has reached its limit, and nowhere before."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradsmith.formula.parse import parse
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.limits import Limits
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import FLOAT16, FLOAT32
from tests.calculus.oracle import value_of
from tests.numerics.accuracy import computed, error_in_ulp

FORMULAS = [
    ("x*exp(-x**2)", 0.0, 0.0),
    ("x/(1 + abs(x))", 1.0, -1.0),
    ("x*exp(x)/(1 + exp(x))", None, 0.0),
    ("sinh(x)/cosh(x)", 1.0, -1.0),
    ("x*exp(-abs(x))", 0.0, 0.0),
    ("x**2*exp(-x)", 0.0, None),
]


@pytest.mark.parametrize(("text", "above", "below"), FORMULAS)
def test_infinity_and_the_way_there_give_the_limit(
    text: str, above: float | None, below: float | None
) -> None:
    root = parse(text).expression
    limits = Limits(root, ("x",), {})
    held = limits.held(root)
    if None not in (above, below):
        assert limits.reached_by(held)
    for sign, limit in ((1, above), (-1, below)):
        if limit is None:
            continue
        far = sign * np.array([1e3, 1e8, 1e30, 1e160, 1e200, 1e308, math.inf])
        values = interpret(held, {"x": far})
        for x, value in zip(far.tolist()[:-1], values.tolist(), strict=False):
            exact = value_of(root, x=x)
            assert not math.isnan(value)
            assert error_in_ulp(value, exact) <= 2 or abs(value - float(exact)) < 1e-300
        assert values[-1] == limit


@pytest.mark.parametrize(("text", "above", "below"), FORMULAS)
def test_nothing_changes_before(text: str, above: float | None, below: float | None) -> None:
    root = parse(text).expression
    held = Limits(root, ("x",), {}).held(root)
    for x in np.linspace(-7.9, 7.9, 80).tolist():
        assert computed(held, x=x) == computed(root, x=x)


@pytest.mark.parametrize(
    "text", ["tanh(x)", "x", "x*atan(x)", "1/(1 + exp(-x))", "sin(x)", "log(x)"]
)
def test_what_gets_there_by_itself_is_left_alone(text: str) -> None:
    root = parse(text).expression
    assert Limits(root, ("x",), {}).held(root) is root


def test_several_inputs_have_no_limit() -> None:
    root = parse("x*exp(-y**2)", inputs=("x", "y")).expression
    limits = Limits(root, ("x", "y"), {})
    assert limits.values == {}
    assert limits.reached_by(root)
    assert limits.held(root) is root


def test_with_parameters_the_value_at_every_finite_input_stays() -> None:
    # Where x·σ(βx) has settled depends on β, which may change later.
    formula = parse("x*exp(beta*x)/(1 + exp(beta*x))", {"beta": 1.5})
    limits = Limits(formula.expression, ("x", "beta"), {"beta": 1.5})
    held = limits.held(formula.expression)
    for beta in (1.5, 1e-3, 40.0):
        for x in (-1e3, -50.0, 3.0):
            point = {"x": x, "beta": beta}
            plain = computed(formula.expression, **point)
            assert computed(held, **point) == plain or math.isnan(plain)
    assert computed(held, x=-math.inf, beta=1.5) == 0


def test_the_limits_themselves() -> None:
    limits = Limits(parse("x*exp(-x)").expression, ("x",), {}).values
    assert limits == {1: 0.0, -1: -math.inf}
    formula = parse("a*tanh(x)", {"a": 3.0})
    assert Limits(formula.expression, ("x", "a"), {"a": 3.0}).values == {1: 3.0, -1: -3.0}


def test_a_limit_that_no_number_of_the_format_is_far_enough_for() -> None:
    """x/(1 + |x|) is 1 at infinity, and below the largest number of float16 by more than noise."""
    root = parse("x/(1 + abs(x))").expression
    stable = stabilise(root, ("x",), {}, target=FLOAT16).expression
    points = np.array([np.inf, -np.inf, 65504.0])
    found = interpret(stable, {"x": points}, "float32").tolist()
    assert found[:2] == [1.0, -1.0]
    assert found[2] == np.float32(65504) / np.float32(65505)


def test_what_is_multiplied_is_held_where_no_factor_makes_anything_of_it() -> None:
    root = parse("x*exp(x)").expression
    held = Limits(root, ("x",), {}, FLOAT32, multiplied=True).held(root)
    for x in (-130.0, -150.0, -190.0):
        assert computed(held, x=x) == computed(root, x=x)
        assert computed(Limits(root, ("x",), {}, FLOAT32).held(root), x=x) != computed(root, x=x)
    far = [computed(held, x=x) for x in (-300.0, -1e30, -math.inf)]
    assert all(abs(value) < 2.0**-277 for value in far)


def test_it_is_not_held_where_its_pieces_are_out_of_range() -> None:
    """cosh(3·x) is infinite at 256, but not at 128."""
    root = parse("x*sinh(3*x)/cosh(3*x)**2").expression
    held = Limits(root, ("x",), {}, FLOAT32, multiplied=True).held(root)
    for x in np.geomspace(1, 1e38, 400).tolist():
        assert not math.isnan(computed(held, x=x))
        assert not math.isnan(computed(held, x=-x))
