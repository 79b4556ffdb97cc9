"""Powers: errors against ball arithmetic, special cases against C's pow."""

from __future__ import annotations

from fractions import Fraction
from math import inf, nan

import numpy as np
import pytest
from flint import arb, ctx

from gradsmith.formula import vocabulary
from gradsmith.numerics.builder import Builder, Value
from gradsmith.numerics.elementary import ELEMENTARY
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.power import integer_power, log_in_parts, power
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, F64, Type
from tests.numerics.elementary.measured import (
    SEED,
    Floats,
    computed,
    error_in_ulp,
    relative_error,
    worst,
)

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 3.0, -3.0, 2.5, -2.5, inf, -inf, nan]
SPECIAL += [1e30, -1e30, 1e-30, -1e-30, 16777215.0, -16777215.0, 1e-45, -1e-45]


def pairs(count: int, largest: float, dtype: type) -> tuple[Floats, Floats]:
    """Positive bases of all sizes and near 1, with exponents such that the power is in range."""
    rng = np.random.default_rng(SEED)
    third = count // 3
    wide = np.exp(rng.uniform(-largest, largest, third) * 0.88)
    near = 1.0 + rng.choice([-1.0, 1.0], third) * np.exp2(rng.uniform(-22, -1, third))
    x = np.concatenate([wide, near, rng.uniform(0.5, 2.0, third)]).astype(dtype)
    x = x[(x > 0) & (x != 1) & np.isfinite(x)]
    logarithm = np.log(x.astype(np.float64))
    y = (rng.uniform(-largest * 1.03, largest, x.size) / logarithm).astype(dtype)
    return x, y


def exact(x: float, y: float) -> arb:
    with ctx.workprec(300):
        return (arb(x).log() * arb(y)).exp()


def errors(x: Floats, y: Floats, values: Floats, kind: Type) -> list[float]:
    return [
        error_in_ulp(float(value), exact(float(a), float(b)), kind)
        for a, b, value in zip(x, y, values, strict=True)
    ]


def test_float64_in_full() -> None:
    x, y = pairs(20_000, 720.0, np.float64)
    found = errors(x, y, computed(power, Accuracy.FULL, x, y), F64)
    assert worst(found, x)[0] <= 0.85
    normal = np.abs(y * np.log(x)) < 700
    assert max(np.array(found)[normal]) <= 0.64


def test_the_logarithm_of_a_power() -> None:
    rng = np.random.default_rng(SEED)
    near = 1.0 + rng.choice([-1.0, 1.0], 3000) * np.exp2(rng.uniform(-52, -1, 3000))
    x = np.concatenate(
        [rng.uniform(0.7, 1.45, 6000), near, np.exp2(rng.uniform(-1074, 1024, 3000))]
    )
    builder = Builder()
    program = builder.program(*log_in_parts(builder.input("x", F64)))
    with ctx.workprec(300):
        for at, high, low in zip(x, *run(program, x), strict=True):
            true = arb(float(at)).log()
            assert abs(arb(float(high)) + arb(float(low)) - true) <= abs(true) * arb(2) ** -65
            assert float(high) == float(high) + float(low)


def test_float32_is_rounded_once() -> None:
    x, y = pairs(6000, 100.0, np.float32)
    found = errors(x, y, computed(power, Accuracy.FULL, x, y), F32)
    assert worst(found, x)[0] <= 0.5 + 2.0**-7  # 2⁻³¹ of a number is 2⁻⁷ ULP or less


def test_float64_for_a_float32_result() -> None:
    x, y = pairs(6000, 100.0, np.float64)
    values = computed(power, Accuracy.SHORT, x, y)
    every = zip(x, y, values, strict=True)
    found = [relative_error(float(v), exact(float(a), float(b))) for a, b, v in every]
    assert worst(found, x)[0] <= 2.0**-31


def test_negative_bases() -> None:
    rng = np.random.default_rng(SEED)
    x, y = -np.exp(rng.uniform(-20, 20, 2000)), np.rint(rng.uniform(-30, 30, 2000))
    values = computed(power, Accuracy.FULL, x, y)
    magnitudes = computed(power, Accuracy.FULL, -x, y)
    assert np.array_equal(values, np.where(y % 2 == 0, magnitudes, -magnitudes))
    assert np.isnan(computed(power, Accuracy.FULL, x, y + 0.5)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
def test_special_cases_are_those_of_c(accuracy: Accuracy, dtype: type) -> None:
    x, y = (grid.ravel().astype(dtype) for grid in np.meshgrid(SPECIAL, SPECIAL))
    with np.errstate(all="ignore"):
        expected = np.power(x, y)
        if accuracy is Accuracy.SHORT and dtype is np.float64:
            # In this variant float32 is what the result is for.
            expected = expected.astype(np.float32).astype(np.float64)
        values = computed(power, accuracy, x, y)
        if accuracy is Accuracy.SHORT:
            values = values.astype(np.float32).astype(dtype)
    assert np.array_equal(np.isnan(values), np.isnan(expected))
    assert np.array_equal(np.isinf(values), np.isinf(expected))
    known = ~np.isnan(expected)
    assert np.array_equal(np.signbit(values[known]), np.signbit(expected[known]))
    finite = np.isfinite(expected)
    unit = np.spacing(np.abs(expected[finite]).astype(np.float32 if dtype is np.float32 else dtype))
    tolerance = unit if accuracy is Accuracy.FULL else np.abs(expected[finite]) * 1e-6
    assert (np.abs(values[finite] - expected[finite]) <= tolerance).all()


def test_it_is_in_the_table() -> None:
    assert ELEMENTARY[vocabulary.POW] is power


@pytest.mark.parametrize("exponent", [*range(-9, 10), 15, -31, 64])
@pytest.mark.parametrize("kind", [F64, F32])
def test_integer_powers(exponent: int, kind: Type) -> None:
    rng = np.random.default_rng(SEED)
    dtype, reach = (np.float64, 700.0) if kind is F64 else (np.float32, 70.0)
    x = np.exp(rng.uniform(-reach, reach, 1500) / max(abs(exponent), 1))
    x = (x * rng.choice([-1.0, 1.0], x.size)).astype(dtype)
    values = computed(by, Accuracy.FULL, x, extra=exponent)
    found = []
    for base, value in zip(x, np.broadcast_to(values, x.shape), strict=True):
        true = Fraction(float(base)) ** exponent
        with ctx.workprec(300):
            ball = arb(true.numerator) / arb(true.denominator)
        found.append(error_in_ulp(float(value), ball, kind))
    assert worst(found, x)[0] <= 0.5 + 1e-4


@pytest.mark.parametrize("exponent", [3, 6, 7, -2, -3, -7, 31])
def test_integer_powers_near_underflow(exponent: int) -> None:
    rng = np.random.default_rng(SEED)
    x = np.exp(rng.uniform(-760.0, -700.0, 2000) / exponent)
    values = computed(by, Accuracy.FULL, x, extra=exponent)
    found = []
    for base, value in zip(x, values, strict=True):
        with ctx.workprec(300):
            found.append(error_in_ulp(float(value), arb(float(base)) ** exponent, F64))
    assert worst(found, x)[0] <= 1.5


@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("exponent", [0, 1, -1, 2, -2, 3, -3, 4, 7, -8])
def test_integer_powers_at_special_values(exponent: int, accuracy: Accuracy) -> None:
    x = np.array([0.0, -0.0, inf, -inf, nan, 1.0, -1.0, 1e300, -1e300, 1e-300, -1e-300])
    with np.errstate(all="ignore"):
        expected = np.power(x, float(exponent))
        values = np.broadcast_to(computed(by, accuracy, x, extra=exponent), x.shape)
    assert np.array_equal(np.isnan(values), np.isnan(expected))
    known = ~np.isnan(expected)
    assert np.allclose(values[known], expected[known], rtol=1e-15, atol=0)
    assert np.array_equal(np.signbit(values[known]), np.signbit(expected[known]))


@pytest.mark.parametrize("exponent", [5, -5, 12])
def test_integer_powers_for_a_float32_result(exponent: int) -> None:
    x = np.exp(np.linspace(-7.0, 7.0, 999))
    values = computed(by, Accuracy.SHORT, x, extra=exponent)
    with ctx.workprec(300):
        found = [
            relative_error(float(value), arb(float(base)) ** exponent)
            for base, value in zip(x, values, strict=True)
        ]
    assert max(found) <= 2.0**-48


def by(x: Value, exponent: int, accuracy: Accuracy) -> Value:
    return integer_power(x, exponent, accuracy)
