"""Errors on the whole range, in ULP of the result, with atol 0. Oracle: ball arithmetic.

The limits are proven nowhere; they are what a search over far more points than are tested here
found, rounded up. Sums of the possible rounding errors stay below 1 ULP.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gradsmith.numerics.builder import Value
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.exponential import exp, expm1
from gradsmith.numerics.elementary.hyperbolic import asinh, cosh, sinh, tanh
from gradsmith.numerics.elementary.logarithm import log, log1p
from gradsmith.numerics.program import F32, F64
from tests.numerics.elementary.measured import (
    SEED,
    as_float32,
    computed,
    error_in_ulp,
    exact,
    float32_numbers,
    points,
    relative_error,
    worst,
)

Elementary = Callable[..., Value]
FUNCTIONS: tuple[Elementary, ...] = (exp, expm1, log, log1p, tanh, sinh, cosh, asinh)
CLAIMED = {
    # function: ULP in float64, ULP in float32
    "exp": (0.79, 0.985),
    "expm1": (0.76, 0.76),
    "log": (0.75, 0.73),
    "log1p": (0.76, 0.77),
    "tanh": (0.65, 0.53),
    "sinh": (0.82, 0.985),
    "cosh": (0.79, 0.72),
    "asinh": (0.93, 0.90),
}
SHORT_ERROR = 2.0**-31
# What is smaller may be anything of that size, what is larger may be infinite.
TINY, HUGE = 2.0**-200, 2.0**1000


def name_of(function: Elementary) -> str:
    return function.__name__


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_float64_in_full(function: Elementary) -> None:
    x = points(function.__name__)
    values = computed(function, Accuracy.FULL, x)
    errors = [
        error_in_ulp(float(y), exact(function.__name__, float(at)), F64)
        for at, y in zip(x, values, strict=True)
    ]
    assert worst(errors, x)[0] <= CLAIMED[function.__name__][0], worst(errors, x)


def test_exp_of_normal_size() -> None:
    # A subnormal result is rounded once more, which is most of the error that is claimed above.
    x = np.random.default_rng(SEED).uniform(-700.0, 700.0, 20_000)
    values = computed(exp, Accuracy.FULL, x)
    errors = [
        error_in_ulp(float(y), exact("exp", float(at)), F64)
        for at, y in zip(x, values, strict=True)
    ]
    assert worst(errors, x)[0] <= 0.63


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_float64_for_a_float32_result(function: Elementary) -> None:
    x = points(function.__name__)
    # No intermediate result of a float32 computation is an argument below that.
    x = x[np.abs(x) > TINY]
    values = computed(function, Accuracy.SHORT, x)
    errors = []
    for at, y in zip(x, values, strict=True):
        true = exact(function.__name__, float(at))
        if abs(true) < TINY:
            errors.append(0.0 if abs(y) < 2 * TINY else np.inf)
        elif abs(true) > HUGE:
            errors.append(0.0 if abs(y) > HUGE / 2 and (y > 0) == bool(true > 0) else np.inf)
        else:
            errors.append(relative_error(float(y), true))
    assert worst(errors, x)[0] <= SHORT_ERROR, worst(errors, x)


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_float32(function: Elementary) -> None:
    x = as_float32(points(function.__name__, 8000))
    if function in (log, log1p):
        x = x[x > (0 if function is log else -1)]
    values = computed(function, Accuracy.FULL, x)
    errors = [
        error_in_ulp(float(y), exact(function.__name__, float(at)), F32)
        for at, y in zip(x, values, strict=True)
    ]
    assert worst(errors, x)[0] <= CLAIMED[function.__name__][1], worst(errors, x)


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_float32_from_end_to_end(function: Elementary) -> None:
    x = float32_numbers(stride=5003)
    with np.errstate(all="ignore"):
        # NumPy's float64 functions are good to 4 ULP of float64, 2⁻²⁷ ULP of float32.
        true = getattr(np, {"asinh": "arcsinh"}.get(function.__name__, function.__name__))(
            x.astype(np.float64)
        )
        values = computed(function, Accuracy.FULL, x).astype(np.float64)
        unit = np.exp2(np.maximum(np.frexp(true)[1] - 24, -149).astype(np.float64))
        beyond = np.abs(true) >= 2.0**128
        errors = np.abs(np.where(np.isinf(values), np.copysign(2.0**128, values), values) - true)
        errors = np.where(beyond, np.where(np.isinf(values), 0.0, np.inf), errors / unit)
    undefined = np.isnan(true)
    assert np.array_equal(np.isnan(values), undefined)
    errors = errors[~undefined]
    assert errors.max() <= CLAIMED[function.__name__][1], x[~undefined][errors.argmax()]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("function", [tanh, sinh, asinh, expm1, log1p, cosh], ids=name_of)
def test_symmetry_is_exact(function: Elementary, accuracy: Accuracy, dtype: type) -> None:
    with np.errstate(over="ignore"):
        x = np.abs(points("sinh", 8000)).astype(dtype)
    plus, minus = computed(function, accuracy, x), computed(function, accuracy, -x)
    if function is cosh:
        assert np.array_equal(plus, minus)
    elif function in (tanh, sinh, asinh):
        assert np.array_equal(plus, -minus)
    else:
        defined = ~np.isnan(minus)
        assert np.array_equal(np.signbit(plus), np.signbit(x))
        assert np.array_equal(np.signbit(minus[defined]), np.signbit(-x[defined]))


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
def test_no_value_leaves_the_range_of_its_function(accuracy: Accuracy, dtype: type) -> None:
    with np.errstate(over="ignore"):
        x = points("sinh").astype(dtype)
    assert np.abs(computed(tanh, accuracy, x)).max() == 1.0
    assert computed(exp, accuracy, x).min() >= 0.0
    assert computed(expm1, accuracy, x).min() == -1.0
    assert computed(cosh, accuracy, x).min() >= 1.0 - SHORT_ERROR
