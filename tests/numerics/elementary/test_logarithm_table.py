"""log(1 + t) from a table: each polynomial, what says which is used, both words of the result.

Oracle: ball arithmetic. The limit is what a search over 10⁷ points found, rounded up.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from flint import arb, ctx

from gradsmith.numerics.builder import Builder
from gradsmith.numerics.double_word import DoubleWord
from gradsmith.numerics.elementary import words
from gradsmith.numerics.elementary.coefficients import logarithm_table as data
from gradsmith.numerics.elementary.logarithm_table import LARGEST_REST
from gradsmith.numerics.elementary.polynomial import Fit
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, Program
from tests.numerics.elementary import oracle
from tests.numerics.elementary.measured import SEED, Floats, worst

RELATIVE = 2.0**-29.7
PIECES = pytest.mark.parametrize("number", range(len(data.LOG1P)))


def arguments(count: int = 6000) -> Floats:
    """All pieces, beside their ends and places."""
    rng = np.random.default_rng(SEED)
    ends = [fit.low for fit in data.LOG1P]
    groups = [
        rng.uniform(0, 1, count),
        np.exp2(rng.uniform(-100, 0, count)),
        np.abs(oracle.beside([*data.LOG1P_PLACES, *ends, 1.0], np.float32)),
    ]
    x = np.concatenate(groups).astype(np.float32)
    return x[(x <= 1) & ((x == 0) | (x > 2.0**-100))]


@cache
def pair(low: bool) -> Program:
    """The Program of both words."""
    builder = Builder()
    high = builder.input("high", F32)
    x = DoubleWord(high, builder.input("low", F32) if low else None, (0.0, 1.0))
    result = words.log1p(x)
    assert result.low is not None
    return builder.program(result.high, result.low)


@pytest.mark.parametrize("low", [False, True])
def test_both_words(low: bool) -> None:
    """Of an argument in two words the second one is up to half of a unit of the first."""
    x = arguments()
    rest = np.zeros_like(x)
    if low:
        sizes = np.random.default_rng(SEED).uniform(-(2.0**-24), 2.0**-24, x.size)
        rest = (x * np.where(x == 1, -abs(sizes), sizes)).astype(np.float32)
    columns = (x, rest) if low else (x,)
    high, second = run(pair(low), *columns)
    found = []
    for at, more, y, z in zip(x, rest, high, second, strict=True):
        with ctx.workprec(200):
            true = (arb(float(at)) + arb(float(more))).log1p()
            total = arb(float(y)) + arb(float(z))
            found.append(0.0 if at == 0 and total == 0 else abs(float(total / true - 1)))
    assert worst(found, x)[0] <= RELATIVE, worst(found, x)
    assert (np.abs(second) <= LARGEST_REST * np.abs(high)).all()


def test_zeros_keep_their_sign_and_nan_is_nan() -> None:
    high, low = run(pair(False), np.array([0.0, -0.0, np.nan], np.float32))
    assert np.signbit(high).tolist()[:2] == [False, True]
    assert high.tolist()[:2] == low.tolist()[:2] == [0.0, 0.0]
    assert np.isnan(high[2])


def error_of(number: int, value: float) -> float:
    """The largest relative error of a piece with that value at its place."""
    fit, place = data.LOG1P[number], data.LOG1P_PLACES[number]
    _, slope, *curve = fit.coefficients
    about = Fit(tuple(curve), fit.low - place, fit.high - place, fit.error)
    return oracle.error_of_fit(
        about,
        lambda d: (arb(place) + d).log1p(),
        lambda d, p: arb(value) + arb(slope) * d + d * d * p,
    )


@PIECES
def test_the_error_of_a_fit_is_the_stated_one(number: int) -> None:
    fit = data.LOG1P[number]
    assert fit.error / 2 <= error_of(number, fit.coefficients[0]) <= fit.error


@PIECES
def test_a_last_digit_of_a_value_matters(number: int) -> None:
    fit = data.LOG1P[number]
    for beyond in (0.0, 2.0):
        changed = float(np.nextafter(np.float32(fit.coefficients[0]), np.float32(beyond)))
        assert number == 0 or error_of(number, changed) > 4 * fit.error


def test_the_table_is_one_of_float32_and_without_gaps() -> None:
    assert data.LOG1P[0].low == 0
    assert data.LOG1P[-1].high > 1
    assert all(one.high > other.low > one.low for one, other in pairwise(data.LOG1P))
    for fit, place in zip(data.LOG1P, data.LOG1P_PLACES, strict=True):
        assert fit.low <= place <= fit.high
        assert all(float(np.float32(c)) == c for c in (place, *fit.coefficients))


@PIECES
def test_the_digits_of_the_sum_say_which_piece(number: int) -> None:
    """And t is within the interval of that piece, its difference from the place exact."""
    first = np.array(1.0, np.float32).view(np.int32) >> 21
    fit, place = data.LOG1P[number], data.LOG1P_PLACES[number]
    inside = np.linspace(fit.low, fit.high, 1001).astype(np.float32)
    x = np.abs(np.concatenate([inside, oracle.beside([fit.low, fit.high], np.float32)]))
    exactly = x.astype(np.float64) * data.LOG1P_SCALE + 1
    x = x[((exactly.astype(np.float32).view(np.int32) >> 21) - first == number) & (x <= 1)]
    assert x.size > 900
    assert ((fit.low <= x) & (x <= fit.high)).all()
    np.testing.assert_array_equal(x - np.float32(place), x.astype(np.float64) - place)
