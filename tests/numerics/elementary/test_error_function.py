"""erf, erfc and erfcx: errors in ULP with atol 0, special values, symmetry, coefficients.

Oracle: ball arithmetic. The limits are what a search over 10⁶ points and more found, rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan

import numpy as np
import pytest
from flint import arb

from gradsmith.numerics.builder import Value
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import error_function as data
from gradsmith.numerics.elementary.error_function import erf, erfc, erfcx
from gradsmith.numerics.elementary.polynomial import Fit
from gradsmith.numerics.program import F64, Op
from tests.numerics.elementary import oracle
from tests.numerics.elementary.measured import SEED, Floats, computed, written

Elementary = Callable[..., Value]
FUNCTIONS: tuple[Elementary, ...] = (erf, erfc, erfcx)
CLAIMED = {
    # function: ULP in float64, ULP in float32
    "erf": (0.92, 0.90),
    "erfc": (1.60, 1.60),
    "erfcx": (1.45, 1.50),
}
# Where a piece begins or ends, a result under- or overflows, or a clamp takes hold.
THRESHOLDS = [0.0, 0.75, 4.0, 6.0, 9.39, 9.41, 10.05, 10.5, 11.875, 26.0, 26.54, 26.64, 27.23, 27.5]
THRESHOLDS += [4.949747468305833, 5.0, 2.0**20, 2.0**30, 2.0**60, 2.0**100, 2.0**120]


def points(dtype: type, count: int = 20_000) -> Floats:
    rng = np.random.default_rng(SEED)
    several = count // 10
    groups = [oracle.any_bits(2 * several, dtype, rng)]
    groups += [rng.uniform(-size, size, several).astype(dtype) for size in (0.8, 2, 6, 11, 28)]
    signs = rng.choice([-1.0, 1.0], several)
    groups.append((signs * np.exp2(rng.uniform(-60, 0, several))).astype(dtype))
    groups.append(np.exp2(rng.uniform(0, 120, several)).astype(dtype))
    # Where erfc and erfcx leave the range.
    ends = (26.0, 27.4) if dtype is np.float64 else (9.0, 10.3)
    groups.append((signs * rng.uniform(*ends, several)).astype(dtype))
    groups.append(oracle.beside(THRESHOLDS, dtype))
    return np.concatenate(groups)


def name_of(function: Elementary) -> str:
    return function.__name__


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_float64_in_full(function: Elementary) -> None:
    exact = getattr(oracle, function.__name__)
    error, at = oracle.worst_in_ulp(function, exact, points(np.float64))
    assert error <= CLAIMED[function.__name__][0], at


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_float32(function: Elementary) -> None:
    exact = getattr(oracle, function.__name__)
    error, at = oracle.worst_in_ulp(function, exact, points(np.float32))
    assert error <= CLAIMED[function.__name__][1], at


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_float64_for_a_float32_result(function: Elementary) -> None:
    exact = getattr(oracle, function.__name__)
    error, at = oracle.worst_relative(function, exact, points(np.float64))
    assert error <= 2.0**-31, at


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
def test_erf_is_odd_to_the_last_bit(accuracy: Accuracy, dtype: type) -> None:
    x = points(dtype, 5000)
    plus, minus = computed(erf, accuracy, x), computed(erf, accuracy, -x)
    assert np.array_equal(plus, -minus)
    assert np.array_equal(np.signbit(plus), np.signbit(x))


VALUES = {
    erf: {0.0: 0.0, inf: 1.0, -inf: -1.0, 1e30: 1.0, -1e30: -1.0},
    erfc: {0.0: 1.0, inf: 0.0, -inf: 2.0, 1e30: 0.0, -1e30: 2.0},
    erfcx: {0.0: 1.0, inf: 0.0, -inf: inf, -1e30: inf},
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_special_values(function: Elementary, accuracy: Accuracy, dtype: type) -> None:
    table = VALUES[function] | {nan: nan}
    x, expected = (np.array(list(column), dtype) for column in (table, table.values()))
    values = computed(function, accuracy, x)
    if accuracy is Accuracy.SHORT:
        values[np.abs(values) < oracle.TINY] = 0.0
        values[np.abs(values - 1) < 2.0**-31] = 1.0
    number = ~np.isnan(expected)
    assert np.array_equal(np.isnan(values), ~number)
    assert np.array_equal(values[number], expected[number])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
def test_erf_keeps_the_sign_of_zero(accuracy: Accuracy, dtype: type) -> None:
    values = computed(erf, accuracy, np.array([0.0, -0.0], dtype))
    assert np.array_equal(values, [0.0, 0.0])
    assert np.array_equal(np.signbit(values), [False, True])


def test_erfc_underflows_gradually() -> None:
    # erfc(26.6) is 10⁻³⁰⁹ or so, subnormal; erfc(27.3) less than half the smallest number.
    subnormal, nothing = computed(erfc, Accuracy.FULL, np.array([26.6, 27.3]))
    assert 0 < subnormal < 2.0**-1022
    assert nothing == 0


def test_the_short_variants_are_short() -> None:
    limits = {erf: (36, 0), erfc: (40, 1), erfcx: (46, 1)}
    for function, (instructions, divisions) in limits.items():
        program = written(function, Accuracy.SHORT, F64)
        assert program.count() <= instructions, function.__name__
        assert program.count(Op.DIV) == divisions


def erf_over_x(t: arb) -> arb:
    return t.sqrt().erf() / t.sqrt()


def flattened(centre: float, shift: float) -> Callable[[arb], arb]:
    def wanted(s: arb) -> arb:
        x = centre * (1 - s) / (1 + s)
        return (x + shift) * oracle.scaled(x)

    return wanted


Approximation = tuple[Fit, Callable[[arb], arb], Callable[[arb, arb], arb]]
FITS: dict[str, Approximation] = {
    "ERF_F64": (data.ERF_F64, erf_over_x, lambda t, p: 1 + p),
    "ERF_F32": (data.ERF_F32, erf_over_x, lambda t, p: 1 + p),
    "ERF_SHORT": (
        data.ERF_SHORT,
        lambda t: erf_over_x(t + data.ERF_SHORT_CENTRE),
        lambda t, p: p,
    ),
    "ERFCX_F64": (
        data.ERFCX_F64,
        flattened(data.ERFCX_F64_CENTRE, data.ERFCX_F64_SHIFT),
        lambda t, p: p,
    ),
    "ERFCX_F32": (
        data.ERFCX_F32,
        flattened(data.ERFCX_F32_CENTRE, data.ERFCX_F32_SHIFT),
        lambda t, p: p,
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_the_error_of_a_fit_is_the_stated_one(name: str) -> None:
    fit, *approximation = FITS[name]
    assert fit.error / 2 <= oracle.error_of_fit(fit, *approximation) <= fit.error


@pytest.mark.parametrize("name", FITS)
def test_a_last_digit_of_a_leading_coefficient_matters(name: str) -> None:
    fit, *approximation = FITS[name]
    # SHORT has digits to spare: there it is the last of those that its accuracy needs.
    digits = {"F64": 51, "F32": 22, "RT": 30}[name[-3:].lstrip("O")]
    for sign in (-1, 1):
        first, *others = fit.coefficients
        changed = replace(fit, coefficients=(first * (1 + sign * 2.0**-digits), *others))
        assert oracle.error_of_fit(changed, *approximation) > fit.error


def quotient(above: Fit, below: Fit, places: list[float]) -> float:
    largest = 0.0
    for place in places:
        x = arb(place)
        parts = []
        for fit in (above, below):
            p = arb(0)
            for coefficient in reversed(fit.coefficients):
                p = p * x + arb(coefficient)
            parts.append(p)
        largest = max(largest, abs(float(parts[0] / parts[1] / oracle.erfcx(place) - 1)))
    return largest


@pytest.mark.parametrize("name", ["ERFC_SHORT", "ERFCX_SHORT"])
def test_the_error_of_a_quotient_is_the_stated_one(name: str) -> None:
    above, below = getattr(data, f"{name}_ABOVE"), getattr(data, f"{name}_BELOW")
    # Chebyshev's points in (x − 2)/(x + 2).
    last = 1.0 if above.high == inf else (above.high - 2) / (above.high + 2)
    spread = -1 + (last + 1) * (1 - np.cos(np.pi * (np.arange(600) + 0.4) / 600)) / 2
    places = [float(2 * (1 + t) / (1 - t)) for t in spread]
    assert above.error / 2 <= quotient(above, below, places) <= above.error
    first, *others = above.coefficients
    changed = replace(above, coefficients=(first * (1 + 2.0**-30), *others))
    assert quotient(changed, below, places) > above.error


def test_the_script_makes_these_coefficients() -> None:
    if not oracle.SCRIPTS.exists():
        pytest.skip("needs the source tree")
    assert oracle.is_what_the_script_makes("error_function")
