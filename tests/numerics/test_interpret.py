"""The float64 evaluation that judges, against mpmath; and its IEEE manners."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Function, Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.interpret import _steps, interpret
from tests.calculus.oracle import value_of
from tests.numerics.accuracy import SMALLEST_NORMAL, computed, error_in_ulp

RECORDS = list(dict.fromkeys(r for r in vars(v).values() if isinstance(r, Function)))
VALUED = [r for r in RECORDS if r.arity and not r.boolean and r is not v.where]
PLACES = {
    1: [(s * x,) for x in (1e-200, 1e-9, 0.02, 0.4, 1.0, 2.3, 5.1, 9.7) for s in (1.0, -1.0)],
    2: [(a, b) for a in (-2.5, -0.3, 0.0, 0.7, 3.0) for b in (-1.5, 0.0, 0.6, 3.0)],
    3: [(x, -1.0, 2.0) for x in (-3.0, -1.0, 0.5, 2.0, 7.0)],
}
NAMES = ("a", "b", "c")
# Computed from their definitions, which cancel or magnify: they are rewritten before use.
BY_DEFINITION = {v.sigmoid, v.softplus, v.ndtr, v.exp2, v.sech2, v.log2, v.log10}


@pytest.mark.parametrize("record", VALUED, ids=lambda record: record.name)
def test_every_function_of_the_vocabulary(record: Function) -> None:
    names = NAMES[: record.arity]
    root = record(*(Symbol(name) for name in names))
    compared = 0
    for places in PLACES[record.arity]:
        point = dict(zip(names, places, strict=True))
        exact = value_of(root, **point)
        value = computed(root, **point)
        if record in (v.product_error, v.sum_error):
            continue  # the rounding error itself, see test_compensate
        if exact is None:
            assert not math.isfinite(value) or (record is v.POW and 0.0 in places)
        elif record in BY_DEFINITION:
            assert value == pytest.approx(float(exact), rel=1e-12, abs=1e-15)
        elif abs(exact) > SMALLEST_NORMAL or exact == 0:
            compared += 1
            assert error_in_ulp(value, exact) <= 2, point
    assert compared >= 2 or record in {*BY_DEFINITION, v.product_error, v.sum_error}


def test_conditions_choose_element_by_element() -> None:
    root = parse("where(x > 0 and not x >= 2 or x == -1, x, 10*x)").expression
    x = np.array([-1.0, -0.5, 0.0, 1.0, 2.0, math.nan])
    expected = [-1.0, -5.0, 0.0, 1.0, 20.0, math.nan]
    assert np.array_equal(interpret(root, {"x": x}), expected, equal_nan=True)


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("exp(x)", 1e3, math.inf),
        ("exp(x)", -math.inf, 0.0),
        ("1/x", 0.0, math.inf),
        ("log(x)", 0.0, -math.inf),
        ("log(x)", -1.0, math.nan),
        ("x - x", math.inf, math.nan),
        ("erf(x)", -math.inf, -1.0),
        ("erfcx(x)", math.inf, 0.0),
        ("erfcx(x)", -math.inf, math.inf),
        ("erfcx(x)", math.nan, math.nan),
        ("tanh(x)", math.nan, math.nan),
        ("x**2", 1e200, math.inf),
        ("x/3", 5e-324, 0.0),
    ],
)
def test_infinities_and_nan_as_ieee_has_them(text: str, x: float, value: float) -> None:
    result = computed(parse(text).expression, x=x)
    assert result == value or (math.isnan(result) and math.isnan(value))


def test_shapes_are_broadcast_and_constants_filled_out() -> None:
    root = parse("x + 2*y", inputs=("x", "y")).expression
    x, y = np.arange(3.0)[:, None], np.arange(4.0)
    assert np.array_equal(interpret(root, {"x": x, "y": y}), x + 2 * y)
    seven = parse("0*x + 7").expression.args[1]
    assert np.array_equal(interpret(seven, {"x": x}), np.full((3, 1), 7.0))


def test_in_float32_every_step_is_rounded_to_float32() -> None:
    root = parse("(x + 1e-4*x*x)/3 - exp(x)").expression
    x = np.linspace(-3, 3, 101).astype(np.float32)  # given in float64, it is rounded first
    three, small = np.float32(3), np.float32(1e-4)
    result = interpret(root, {"x": np.linspace(-3, 3, 101)}, "float32")
    assert result.dtype == np.float32
    assert np.array_equal(result, (x + small * x * x) / three - np.exp(x))


@pytest.mark.parametrize(
    "text",
    ["sqrt(2)*x + 1/3", "where(2 < 3, x*log(5), x)", "sigmoid(1/7)*x + tanh(2)", "ndtr(x)/7"],
)
def test_an_expression_gives_the_same_however_often_and_in_whatever_precision(text: str) -> None:
    root = parse(text).expression
    several, one = np.array([0.3, -2.5, 1e-30]), np.array([0.7])
    kinds: tuple[Literal["float64", "float32"], ...] = ("float64", "float32", "float64")
    for kind in kinds:
        for x in (several, one, several):
            value = interpret(root, {"x": x}, kind)
            assert value.dtype == np.dtype(kind)
            assert value.shape == x.shape
            known = _steps(root)
            _steps.cache_clear()
            fresh = interpret(root, {"x": x}, kind)
            assert _steps(root) is not known
            assert value.tobytes() == fresh.tobytes()


def test_a_constant_does_not_widen_the_evaluation() -> None:
    x = np.linspace(-3, 3, 1001, dtype=np.float32)
    found = interpret(parse("sqrt(2)*x + log(3)").expression, {"x": x}, "float32")
    wanted = np.float32(math.sqrt(2)) * x + np.float32(math.log(3))
    assert found.tobytes() == wanted.tobytes()
    assert (wanted != (math.sqrt(2) * x.astype(np.float64) + math.log(3)).astype(np.float32)).any()
