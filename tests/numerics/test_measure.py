"""Errors in units in the last place, by their definition."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from gradsmith.formula.parse import parse
from gradsmith.numerics.measure import LOST, exact_values, sample, ulp_errors
from gradsmith.numerics.target import (
    BFLOAT16,
    FLOAT16,
    FLOAT32,
    FLOAT32_ALONE,
    FLOAT64,
    Target,
)
from tests.calculus.oracle import as_fraction, value_of

FORMATS = {
    FLOAT64: torch.float64,
    FLOAT32: torch.float32,
    FLOAT16: torch.float16,
    BFLOAT16: torch.bfloat16,
    FLOAT32_ALONE: torch.float32,
}
targets = pytest.mark.parametrize("target", FORMATS, ids=lambda t: f"{t.name} in {t.compute}")


def error(computed: float, high: float, low: float = 0.0, target: Target = FLOAT64) -> float:
    arrays = (np.array([value]) for value in (computed, high, low))
    return float(ulp_errors(*arrays, target)[0])


def spacing(x: float, target: Target) -> float:
    """The distance from |x| to the next larger number of the format."""
    size = torch.tensor(abs(x), dtype=FORMATS[target])
    return float(torch.nextafter(size, torch.tensor(math.inf, dtype=size.dtype)).double()) - abs(x)


@targets
@pytest.mark.parametrize("x", [1.0, -1.5, 1.9990234375, 3.0, 1024.0, 2.0**-10, -(2.0**-13)])
def test_the_unit_is_the_spacing_of_the_format(target: Target, x: float) -> None:
    if target.name == "bfloat16" and x == 1.9990234375:
        x = 1.9921875  # the last number below 2
    unit = spacing(x, target)
    for steps in (0.0, 1.0, 3.0, 100.0) if target is FLOAT64 else (0.0, 0.25, 1.0, 3.0, 100.0):
        for sign in (1, -1):
            assert error(x + sign * steps * unit, x, 0.0, target) == steps


def test_the_second_half_of_the_exact_value_counts() -> None:
    # A value between two numbers of the format: 0.3 ULP above the first, 0.7 below the second.
    assert error(1.0, 1.0, 0.3 * 2.0**-52) == pytest.approx(0.3)
    assert error(1.0 + 2.0**-52, 1.0, 0.3 * 2.0**-52) == pytest.approx(0.7)


def test_against_exact_fractions() -> None:
    rng = np.random.default_rng(3)
    high = rng.standard_normal(500) * 10.0 ** rng.integers(-290, 290, 500)
    low = high * rng.uniform(-1, 1, 500) * 2.0**-53
    computed = high * (1 + rng.integers(-9, 9, 500) * 2.0**-52)
    errors = ulp_errors(computed, high, low)
    for i in range(500):
        exact = Fraction(float(high[i])) + Fraction(float(low[i]))
        unit = Fraction(math.ulp(abs(float(high[i]))))
        assert errors[i] == pytest.approx(
            float(abs(Fraction(float(computed[i])) - exact) / unit), rel=1e-9
        )


@targets
def test_a_wrong_zero_infinity_or_nan_is_a_loss(target: Target) -> None:
    for wrong in (0.0, math.inf, -math.inf, math.nan, -1.0 if target is FLOAT64 else math.nan):
        assert error(wrong, 1.0, 0.0, target) == LOST
    assert error(math.nan, 0.0, 0.0, target) == LOST
    assert error(math.inf, 0.0, 0.0, target) == LOST
    assert error(0.0, 0.0, 0.0, target) == 0
    assert error(-0.0, 0.0, 0.0, target) == 0


@targets
def test_beyond_the_range_only_infinity_of_the_right_sign_is_right(target: Target) -> None:
    beyond = math.inf if target is FLOAT64 else 4 * target.largest
    assert error(math.inf, beyond, 0.0, target) == 0
    assert error(-math.inf, beyond, 0.0, target) == LOST
    assert error(1.0, beyond, 0.0, target) == LOST
    assert error(math.nan, beyond, 0.0, target) == LOST
    assert error(-math.inf, -beyond, 0.0, target) == 0


@pytest.mark.parametrize("target", [FLOAT32, FLOAT16, BFLOAT16])
def test_from_half_a_unit_beyond_the_largest_number_on_infinity_is_right(target: Target) -> None:
    largest = target.largest
    unit = float(target.unit(np.array(largest)))
    # Both are rounded to the largest number.
    assert error(largest - unit / 8, largest + unit / 4, 0.0, target) == 0.375
    assert error(largest - unit / 8, largest + unit / 2, 0.0, target) == LOST
    assert error(largest + unit / 4, largest + unit / 2, 0.0, target) == 0.0


def test_no_exact_value_no_error() -> None:
    for anything in (0.0, 1.0, math.inf, math.nan):
        assert error(anything, math.nan) == 0


def test_subnormals_of_float64_have_their_own_unit() -> None:
    tiny, smallest = 2.0**-1040, 2.0**-1074
    assert error(tiny + smallest, tiny) == 1
    assert error(tiny + 8 * smallest, tiny) == 8
    assert error(0.0, smallest) == 1
    assert error(0.0, 2 * smallest) == LOST
    assert error(smallest, 0.0) == 1


def test_subnormals_of_float32_have_their_own_unit() -> None:
    assert error(0.0, 2.0**-150, 0.0, FLOAT32) == 0.5
    assert error(2.0**-149, 2.0**-148, 0.0, FLOAT32) == 1
    assert error(0.0, 2.0**-140, 0.0, FLOAT32) == LOST


@pytest.mark.parametrize("target", [FLOAT32, FLOAT16, BFLOAT16], ids=lambda t: t.name)
def test_rounding_to_the_format_is_that_of_pytorch(target: Target) -> None:
    rng = np.random.default_rng(8)
    values = np.concatenate(
        [
            rng.standard_normal(2000) * 2.0 ** rng.integers(-160, 140, 2000),
            rng.standard_normal(1000) * 2.0 ** rng.integers(-30, 18, 1000),
            [0.0, -0.0, math.inf, -math.inf, 1 + 2.0**-24, 1 + 2.0**-11, 1 + 2.0**-8],
            [target.largest, -target.largest, target.largest * 1.01, 2.0**target.lowest],
            [2.0 ** (target.lowest - 1), 1.5 * 2.0**target.lowest, 65519.0, 65520.0],
        ]
    )
    ours = target.rounded(values)
    theirs = torch.from_numpy(values).to(FORMATS[target]).double().numpy()
    assert np.array_equal(ours, theirs)


def test_exact_values_are_exact_to_75_bits() -> None:
    root = parse("x*tanh(log(1 + exp(x)))").expression
    points = np.array([-600.0, -20.3, -1e-5, 1e-30, 0.7, 3.3, 50.0])
    high, low = exact_values(root, ("x",), {"x": points})
    for i, x in enumerate(points.tolist()):
        exact = as_fraction(value_of(root, digits=45, x=x))
        assert high[i] == float(exact)
        assert (
            abs(Fraction(float(high[i])) + Fraction(float(low[i])) - exact)
            <= abs(exact) * Fraction(2) ** -74
        )


def test_what_has_no_value_or_an_undecided_one_is_not_measured() -> None:
    root = parse("log(x) + where(sin(x)**2 + cos(x)**2 >= 1, 0, 1)").expression
    high, _ = exact_values(root, ("x",), {"x": np.array([-1.0, 0.5])})
    assert np.isnan(high).all()
    high, _ = exact_values(parse("exp(exp(x))").expression, ("x",), {"x": np.array([1e30])})
    assert np.isnan(high).all()


@targets
def test_samples_span_the_format_and_repeat(target: Target) -> None:
    root = parse("where(x > 2.5, x, 0)").expression
    samples = sample(root, ("x",), {}, target)
    x = samples.values["x"]
    assert np.array_equal(x, sample(root, ("x",), {}, target).values["x"])
    assert np.array_equal(x, target.rounded(x))
    assert np.isfinite(x).all()
    for place in (0.0, 2.5, -2.5, 1.0, -1.0):
        assert place in x
    size = np.abs(x[x != 0])
    assert size.min() < 2.0**target.lowest * 2**90
    assert size.max() > target.largest / 2**40
    assert (np.abs(x - 2.5) < 2.0 ** (4 - target.digits)).sum() >= 3  # beside the kink
    assert samples.errors(root).max() == 0


def test_samples_of_several_inputs_and_parameters() -> None:
    formula = parse("x*sigmoid(beta*y)", {"beta": -1.5}, ("x", "y"))
    samples = sample(formula.expression, ("x", "y", "beta"), {"beta": -1.5})
    x, y, beta = (samples.values[name] for name in ("x", "y", "beta"))
    assert len({len(x), len(y), len(beta), len(samples.high)}) == 1
    assert (x != y).mean() > 0.9
    # Parameters move, but keep their sign.
    assert (beta == -1.5).mean() > 0.5
    assert len(set(beta.tolist())) > 3
    assert (beta < 0).all()
