"""Storage formats, and that spare digits of the computation buy a cheaper expression."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.formula.parse import parse
from gradsmith.numerics.judge import cost
from gradsmith.numerics.measure import LOST, ulp_errors
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT32_ALONE,
    FLOAT64,
    TARGETS,
    Target,
)

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}
every_target = pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.name}-{t.compute}")


@every_target
def test_figures_of_the_format(target: Target) -> None:
    info = torch.finfo(DTYPES[target.name])
    assert target.largest == info.max
    assert 2.0 ** (1 - target.digits) == info.eps
    assert 2.0**target.lowest == info.smallest_normal * info.eps


@every_target
@settings(max_examples=300)
@given(st.floats(allow_nan=False))
def test_rounded_is_torchs_rounding(target: Target, value: float) -> None:
    ours = target.rounded(np.array([value]))[0]
    torchs = torch.tensor(value, dtype=torch.float64).to(DTYPES[target.name]).double().item()
    assert ours == torchs


@every_target
def test_errors_are_counted_in_units_of_the_format(target: Target) -> None:
    one = np.array([1.0])
    unit = 2.0 ** (1 - target.digits)
    error = ulp_errors(one + 2 * unit, one, np.zeros(1), target)
    assert error[0] == 2.0


def test_a_result_beyond_the_format_must_overflow() -> None:
    high = np.array([1e39, -1e39, 1e39, 1e39])
    computed = np.array([np.inf, -1e300, 1e38, -np.inf])
    errors = ulp_errors(computed, high, np.zeros(4), FLOAT32)
    assert errors.tolist() == [0.0, 0.0, LOST, LOST]


def test_zero_for_what_the_format_holds_is_lost() -> None:
    high = np.array([1e-44, 1e-46])
    errors = ulp_errors(np.zeros(2), high, np.zeros(2), FLOAT32)
    assert errors[0] == LOST
    assert errors[1] < 1


@pytest.mark.parametrize(
    "text", ["x/2*(1 + erf(x/sqrt(2)))", "x - tanh(x)", "x*exp(-x**2)", "log(cosh(x))"]
)
def test_spare_digits_buy_a_cheaper_expression(text: str) -> None:
    root = parse(text).expression
    exact, spare = (stabilise(root, ("x",), {}, (), target) for target in (FLOAT64, FLOAT32))
    assert exact.error <= FLOAT64.budget
    assert spare.error <= FLOAT32.budget
    assert cost(spare.expression) < cost(exact.expression)


@pytest.mark.parametrize("target", [FLOAT32, FLOAT16, BFLOAT16], ids=lambda t: t.name)
@pytest.mark.parametrize(
    "text",
    ["x*tanh(log(1 + exp(x)))", "x/(1 + exp(-x))", "x - tanh(x)", "1 - tanh(x)**2", "1 + erf(x)"],
)
def test_budget_is_kept(text: str, target: Target) -> None:
    assert stabilise(parse(text).expression, ("x",), {}, (), target).error <= target.budget


def test_float32_alone_is_held_to_a_few_roundings() -> None:
    found = stabilise(parse("x*tanh(log(1 + exp(x)))").expression, ("x",), {}, (), FLOAT32_ALONE)
    assert found.error <= FLOAT32_ALONE.budget


@pytest.mark.parametrize("threshold", ["0.1", "1/3", "0.5", "-2.7"])
def test_a_threshold_that_is_no_float_is_no_loss(threshold: str) -> None:
    """Torch compares with the float64 next to 0.1; that one number is not held against it."""
    root = parse(f"where(x > {threshold}, x, 0)").expression
    for target in (FLOAT64, FLOAT32, BFLOAT16):
        assert stabilise(root, ("x",), {}, (), target).error == 0


@every_target
def test_anything_but_zero_for_zero_is_an_error(target: Target) -> None:
    """Also for a value that underflows: it is zero, and 2⁻¹⁰ of the smallest unit is not wrong."""
    zero = np.zeros(1)
    smallest = 2.0**target.floor
    assert ulp_errors(zero + 3 * smallest, zero, zero, target)[0] == 3
    assert ulp_errors(zero + smallest / 1024, zero, zero, target)[0] < 0.01
