"""Short functions of float32, for results of a half format: errors on their whole range.

Oracle: ball arithmetic. Limits are the error of the fit and the roundings that follow, added up.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import inf

import numpy as np
import pytest
from flint import arb

from gradsmith.numerics.builder import Value, clamped
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import exponential, logarithm
from gradsmith.numerics.elementary.coefficients import short_table as data
from gradsmith.numerics.elementary.error_function import erf, erfc
from gradsmith.numerics.elementary.exponential import exp, expm1
from gradsmith.numerics.elementary.hyperbolic import tanh
from gradsmith.numerics.elementary.logarithm import log, log1p
from gradsmith.numerics.elementary.polynomial import Fit
from gradsmith.numerics.elementary.power import integer_power
from gradsmith.numerics.elementary.short_table import erfcx
from gradsmith.numerics.program import F32
from tests.numerics.elementary import oracle
from tests.numerics.elementary.measured import (
    EXACT,
    SEED,
    Floats,
    as_float32,
    computed,
    exact,
    points,
    relative_error,
    worst,
    written,
)

Elementary = Callable[..., Value]
CLAIMED, CLAIMED_OF_ERFC = 2.0**-18, 2.0**-16
SMALLEST_NORMAL = 2.0**-126
UNIT = 2.0**-24  # half of the last place, at most, relative to the number
# What log 2 as a float32 lacks, and how often at most: for 2⁻¹⁴⁹, and 64 more that are left aside.
LN2_LOST = abs(float(np.float32(exponential.LN2_SHORT)) - exponential.LN2_SHORT)
REDUCED = 190 * LN2_LOST + 2.0**-26
# Horner's rule for |r| ≤ 0.35: 1 + 0.35 + 0.35² + …, and a product.
SUM = 1.6 * UNIT


def of_pieces(fits: tuple[Fit, ...]) -> float:
    """The largest error of a fit, and what rounding takes from the sum of its terms at the end."""
    found = []
    for fit in fits:
        sizes = [abs(c) * fit.high**n for n, c in enumerate(fit.coefficients)]
        value = abs(sum(c * fit.high**n for n, c in enumerate(fit.coefficients)))
        # A term of power n is rounded in n sums.
        rounded = sum((n + 1) * size for n, size in enumerate(sizes)) / value * UNIT
        found.append(fit.error + (rounded if fit.low > 0 else 4 * UNIT))
    return max(found)


EXP = exponential.EXP_SHORT_F32.error + REDUCED + SUM
LIMITS = {
    exp: EXP,
    # 2ᵏr·p beside 2ᵏeʳ − 1 is largest for k = 1, and eˣ beside eˣ − 1 at r = ±log(2)/2, k = 0.
    expm1: 1.5 * (exponential.EXPM1_SHORT_F32.error + SUM) + 3.5 * REDUCED + 2 * UNIT,
    # log 2 is at most twice log x where k is not 0.
    log: logarithm.LOG_SHORT_F32.error + 2 * LN2_LOST / 0.69 + SUM + 2 * UNIT,
    log1p: logarithm.LOG_SHORT_F32.error + 2 * LN2_LOST / 0.69 + SUM + 4 * UNIT,
    tanh: of_pieces(data.TANH),
    erf: of_pieces(data.ERF),
    # x² ≤ 87.4 where the result is normal, and is rounded within 2⁶ and 2⁷ units of 2⁻²⁴.
    erfc: of_pieces(data.ERFCX) + EXP + 64 * UNIT + UNIT,
}


def true(function: Elementary, x: float) -> arb:
    return exact(function.__name__, x) if function.__name__ in EXACT else ERRORS[function](x)


ERRORS = {erf: oracle.erf, erfc: oracle.erfc}


def arguments(function: Elementary) -> Floats:
    rng = np.random.default_rng(SEED)
    if function.__name__ in EXACT:
        x = as_float32(points(function.__name__, 12_000))
        x = np.concatenate([x, as_float32(rng.uniform(-106, 90, 4000))])
        if function in (log, log1p):
            x = x[x > (0 if function is log else -1)]
        return x
    ends = [fit.low for fit in (*data.ERF, *data.ERFCX)]
    groups = [
        rng.uniform(-12, 12, 6000),
        rng.choice([-1.0, 1.0], 2000) * np.exp2(rng.uniform(-130, 3, 2000)),
        oracle.beside(ends, np.float32),
        oracle.any_bits(1000, np.float32, rng),
    ]
    return as_float32(np.concatenate(groups))


def errors(function: Elementary, x: Floats, values: Floats) -> list[float]:
    """Relative ones of normal results; of others in the unit that they have, less its rounding."""
    found = []
    for at, y in zip(x, values, strict=True):
        value, wanted = float(y), true(function, float(at))
        if abs(wanted) >= arb(2) ** 128 * (1 - arb(2) ** -20):
            found.append(0.0 if abs(value) > 2.0**127.9 and (value > 0) == (wanted > 0) else inf)
        elif abs(wanted) < SMALLEST_NORMAL:
            apart = abs(float(arb(value) - wanted))
            found.append(max(apart - 2.0**-149, 0.0) / SMALLEST_NORMAL)
        else:
            found.append(relative_error(value, wanted))
    return found


@pytest.mark.parametrize("function", LIMITS, ids=lambda function: function.__name__)
def test_errors_are_those_of_the_fit_and_the_roundings(function: Elementary) -> None:
    assert LIMITS[function] <= (CLAIMED_OF_ERFC if function is erfc else CLAIMED)
    x = arguments(function)
    found = errors(function, x, computed(function, Accuracy.SHORT, x))
    assert worst(found, x)[0] <= LIMITS[function], worst(found, x)
    # And so short that it shows.
    assert worst(found, x)[0] > 2.0**-23 - UNIT


def of_minus_size(x: Value, accuracy: Accuracy) -> Value:
    """An exponential that only falls."""
    return exp(-abs(x), accuracy)


def of_moderate(x: Value, accuracy: Accuracy) -> Value:
    """An exponential that is not small."""
    return exp(clamped(x, -40.0, 100.0), accuracy)


def minus_one_of_minus_size(x: Value, accuracy: Accuracy) -> Value:
    return expm1(-abs(x), accuracy)


def of_exponential(x: Value, accuracy: Accuracy) -> Value:
    """The logarithm of 1 and a number up to 1."""
    return log1p(abs(clamped(x, -1.0, 1.0)), accuracy)


@pytest.mark.parametrize(
    ("known", "function", "inner", "limit"),
    [
        (of_minus_size, exp, lambda x: -abs(x), EXP),
        (of_moderate, exp, lambda x: np.clip(x, -40, 100), EXP),
        (minus_one_of_minus_size, expm1, lambda x: -abs(x), LIMITS[expm1]),
        (
            of_exponential,
            log1p,
            lambda x: abs(np.clip(x, -1, 1)),
            logarithm.LOG1P_SHORT_F32.error + 4 * UNIT,
        ),
    ],
)
def test_what_is_known_of_the_argument_spares_instructions_and_no_accuracy(
    known: Elementary, function: Elementary, inner: Callable[[Floats], Floats], limit: float
) -> None:
    rng = np.random.default_rng(SEED)
    x = np.concatenate([arguments(exp), as_float32(rng.uniform(-1, 1, 2000))])
    found = errors(function, inner(x), computed(known, Accuracy.SHORT, x))
    assert worst(found, x)[0] <= limit, worst(found, x)
    more = known is of_moderate or known is of_exponential
    assert written(known, Accuracy.SHORT, F32).count() < (
        written(function, Accuracy.SHORT, F32).count() + more * 3
    )


@pytest.mark.parametrize("function", LIMITS, ids=lambda function: function.__name__)
def test_it_takes_fewer_instructions_than_the_accurate_one(function: Elementary) -> None:
    short, full = (
        written(function, accuracy, F32).count() for accuracy in (Accuracy.SHORT, Accuracy.FULL)
    )
    assert short < full


def test_the_range_of_a_power_is_that_of_its_result() -> None:
    x = np.array([1e13, -1e13, 2.0**-42, 1e-30, inf, 0.0], np.float32)
    values = computed(_inverse_cube, Accuracy.SHORT, x).astype(np.float64)
    with np.errstate(all="ignore"):
        wanted = x.astype(np.float64) ** -3.0
    assert abs(values[:3] - wanted[:3]).max(where=abs(wanted[:3]) < 1, initial=0) <= 2 * 2.0**-149
    assert values[2] == 2.0**126
    assert values[3:].tolist() == [inf, 0.0, inf]


def _inverse_cube(x: Value, accuracy: Accuracy) -> Value:
    return integer_power(x, -3, accuracy)


def test_odd_functions_end_at_one_and_erfcx_stays() -> None:
    x = np.array([7.0, -7.5, 1e30, -inf], np.float32)
    for function in (tanh, erf):
        assert computed(function, Accuracy.SHORT, x).tolist() == [1.0, -1.0, 1.0, -1.0]
    assert computed(erfc, Accuracy.SHORT, x).tolist()[1:] == [2.0, 0.0, 2.0]
    tails = computed(_erfcx, Accuracy.SHORT, np.array([10.91, 11.0, 1e30, inf], np.float32))
    assert len(set(tails.tolist())) == 1


def _erfcx(x: Value, accuracy: Accuracy) -> Value:
    return erfcx(abs(x))


TABLES = {
    "TANH": (data.TANH, data.TANH_SCALE, lambda x: x.tanh()),
    "ERF": (data.ERF, data.ERF_SCALE, lambda x: x.erf()),
    "ERFCX": (data.ERFCX, data.ERFCX_SCALE, lambda x: (x * x).exp() * x.erfc()),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_errors_of_the_pieces_are_the_stated_ones(name: str) -> None:
    fits, _, function = TABLES[name]
    for fit in fits:
        found = oracle.error_of_fit(fit, function, lambda _, p: p)
        assert fit.error / 2 <= found <= fit.error, fit


@pytest.mark.parametrize("name", TABLES)
def test_the_digits_of_the_sum_say_which_piece(name: str) -> None:
    fits, scale, _ = TABLES[name]
    assert fits[0].low == 0
    assert all(one.high > other.low > one.low for one, other in pairwise(fits))
    ends = np.array([fit.low for fit in fits])
    inside = np.linspace(0, fits[-1].high * (1 - 2.0**-20), 30_000)
    x = as_float32(np.abs(np.concatenate([inside, oracle.beside(ends.tolist(), np.float32)])))
    x = x[x <= np.float32(fits[-1].high * (1 - 2.0**-20))]
    total = (x.astype(np.float64) * scale + 1).astype(np.float32)
    number = (total.view(np.int32) >> 20) - (np.float32(1).view(np.int32) >> 20)
    assert number.min() == 0
    assert number.max() == len(fits) - 1
    for at, which in zip(x, number, strict=True):
        assert fits[which].low <= at <= fits[which].high
