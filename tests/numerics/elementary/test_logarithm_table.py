"""log(1 + t) from a table: its entries, what says which are used, both words of the result.

Oracle: ball arithmetic. The limit is what a search over 10⁷ points found, rounded up.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from flint import arb, ctx

from gradsmith.numerics.builder import Builder
from gradsmith.numerics.double_word import DoubleWord
from gradsmith.numerics.elementary import words
from gradsmith.numerics.elementary.coefficients import logarithm_table as data
from gradsmith.numerics.elementary.logarithm_table import LARGEST_REST
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, Program
from tests.numerics.elementary import oracle
from tests.numerics.elementary.measured import SEED, Floats, worst

RELATIVE = 2.0**-28.66
COUNT = len(data.LOG1P_PLACES)
PIECES = pytest.mark.parametrize("number", range(COUNT))
BEYOND = 2.0**-20
"""By this share of itself t may be beyond the ends of its piece: the sum is rounded."""


def ends_of(number: int) -> tuple[float, float]:
    """Where a piece begins and ends: two for each power of two of the sum."""
    low, high = (2.0 ** (n // 2) * (1 + n % 2 / 2) for n in (number, number + 1))
    return (low - 1) / data.LOG1P_SCALE, (high - 1) / data.LOG1P_SCALE


def arguments(count: int = 6000) -> Floats:
    """All pieces, beside their ends and places."""
    rng = np.random.default_rng(SEED)
    ends = [ends_of(number)[0] for number in range(COUNT)]
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


@PIECES
def test_values_and_slopes_need_no_second_word(number: int) -> None:
    """What they lack of the exact ones is far below the digits that two words have."""
    low, high = ends_of(number)
    with ctx.workprec(200):
        place = arb(data.LOG1P_PLACES[number])
        value, slope = place.log1p(), 1 / (1 + place)
        lost = abs(float(value - data.LOG1P_VALUES[number]))
        lost += (high - low) / 2 * abs(float(slope - data.LOG1P_SLOPES[number]))
        assert lost <= 2.0**-32 * float(value)


@PIECES
def test_the_table_is_one_of_float32_and_without_gaps(number: int) -> None:
    low, high = ends_of(number)
    columns = data.LOG1P_PLACES, data.LOG1P_VALUES, data.LOG1P_SLOPES
    place, value, slope = (column[number] for column in columns)
    assert all(float(np.float32(c)) == c for c in (place, value, slope))
    # The polynomial in slope·distance is one for distances up to these.
    reach = max(high * (1 + BEYOND) - place, place - low * (1 - BEYOND)) * slope
    assert reach <= data.LOG1P_CURVE.high == -data.LOG1P_CURVE.low
    assert low <= place < high
    assert number < COUNT - 1 or high > 1


@PIECES
def test_the_digits_of_the_sum_say_which_piece(number: int) -> None:
    """And t is within the interval of that piece, its difference from the place exact."""
    first = np.array(1.0, np.float32).view(np.int32) >> 22
    place, (low, high) = data.LOG1P_PLACES[number], ends_of(number)
    inside = np.linspace(low, high, 1001).astype(np.float32)
    x = np.abs(np.concatenate([inside, oracle.beside([low, high], np.float32)]))
    exactly = x.astype(np.float64) * data.LOG1P_SCALE + 1
    x = x[((exactly.astype(np.float32).view(np.int32) >> 22) - first == number) & (x <= 1)]
    assert x.size > 900
    assert ((low * (1 - BEYOND) <= x) & (x <= high * (1 + BEYOND))).all()
    np.testing.assert_array_equal(x - np.float32(place), x.astype(np.float64) - place)
