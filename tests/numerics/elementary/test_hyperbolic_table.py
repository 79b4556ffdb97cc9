"""tanh from a table: each polynomial, what says which is used, and both words of the result.

Oracle: ball arithmetic. The limits are what a search over 10⁷ points found, rounded up.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from math import inf, nan

import numpy as np
import pytest
from flint import arb, ctx

from gradsmith.numerics.builder import Builder
from gradsmith.numerics.double_word import DoubleWord, Range, rounded
from gradsmith.numerics.elementary import words
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import hyperbolic_table as data
from gradsmith.numerics.elementary.hyperbolic import tanh
from gradsmith.numerics.elementary.polynomial import Fit
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, Program
from tests.numerics.elementary import oracle
from tests.numerics.elementary.measured import (
    SEED,
    Floats,
    as_float32,
    computed,
    error_in_ulp,
    exact,
    worst,
)

RELATIVE = 2.0**-28.4
# In ULP, before the sum is rounded to one word.
BEFORE_ROUNDING = 0.030
PIECES = pytest.mark.parametrize("number", range(len(data.TANH)))


def arguments(count: int = 6000) -> Floats:
    """Of both signs: all pieces, beside their ends and places, and beyond."""
    rng = np.random.default_rng(SEED)
    signs = rng.choice([-1.0, 1.0], count)
    groups = [
        signs * rng.uniform(0, 12, count),
        signs * rng.uniform(0, 1.5, count),
        signs * np.exp2(rng.uniform(-12, 0, count)),
        oracle.beside([*data.TANH_PLACES, *(fit.low for fit in data.TANH)], np.float32),
        oracle.any_bits(count // 8, np.float32, rng),
    ]
    return as_float32(np.concatenate(groups))


@cache
def pair(low: bool = False, span: Range = (-inf, inf), sound: bool = True) -> Program:
    """The Program of both words."""
    builder = Builder()
    high = builder.input("high", F32)
    x = DoubleWord(high, builder.input("low", F32) if low else None, span, sound=sound)
    result = words.tanh(x)
    assert result.low is not None
    return builder.program(result.high, result.low)


def errors(columns: tuple[Floats, ...], values: tuple[Floats, ...]) -> list[float]:
    """Relative errors of high + low, where the second word is not subnormal."""
    found = []
    for *x, high, low in zip(*columns, *values, strict=True):
        if abs(high) < 2.0**-100:
            found.append(0.0)
            continue
        with ctx.workprec(200):
            at = sum(map(arb, map(float, x)), arb(0))
            true = arb(at.mid()).tanh() if abs(at) < 100 else arb(1 if at > 0 else -1)
            found.append(abs(float((arb(float(high)) + arb(float(low))) / true - 1)))
    return found


def test_both_words() -> None:
    x = arguments()
    high, low = run(pair(), x)
    found = errors((x,), (high, low))
    assert worst(found, x)[0] <= RELATIVE, worst(found, x)
    in_ulp = [
        error_in_ulp(float(y), exact("tanh", float(at)), F32)
        for at, y in zip(x, high.astype(np.float64) + low, strict=True)
    ]
    assert worst(in_ulp, x)[0] <= BEFORE_ROUNDING, worst(in_ulp, x)


def test_the_first_word_is_the_nearest_and_the_one_of_float32() -> None:
    x = arguments()
    high, low = run(pair(), x)
    np.testing.assert_array_equal((high.astype(np.float64) + low).astype(np.float32), high)
    builder = Builder()
    program = builder.program(rounded(words.tanh(DoubleWord(builder.input("x", F32)))))
    for values in (computed(tanh, Accuracy.FULL, x), run(program, x)[0]):
        np.testing.assert_array_equal(values.view(np.int32), high.view(np.int32))


@pytest.mark.parametrize("sound", [True, False])
def test_a_second_word_of_the_argument_is_not_lost(sound: bool) -> None:
    """Three quarters of the unit that separates float32 numbers change what is found."""
    x = arguments()
    rest = x * np.random.default_rng(SEED).uniform(-(2.0**-24), 2.0**-24, x.size)
    with np.errstate(under="ignore"):
        rest = rest.astype(np.float32)
    found = errors((x, rest), run(pair(True, sound=sound), x, rest))
    assert worst(found, x)[0] <= RELATIVE, worst(found, x)


@pytest.mark.parametrize("low", [inf, -inf, nan])
def test_what_is_no_second_word_is_passed_over(low: float) -> None:
    """Where the first one is infinite an unsound number may have any."""
    at = np.array([inf, -inf], np.float32)
    high, rest = run(pair(True, sound=False), at, np.full_like(at, low))
    assert high.tolist() == [1.0, -1.0]
    assert rest.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("span", [(0.0, inf), (5e-324, inf), (0.0, 3.0), (-2.0, 11.0)])
def test_what_is_known_of_the_argument_changes_no_value(span: Range) -> None:
    x = arguments()
    x = x[(x >= span[0]) & (x <= span[1])]
    for given, plain in zip(run(pair(span=span), x), run(pair(), x), strict=True):
        np.testing.assert_array_equal(given, plain)


def test_the_range_is_known() -> None:
    builder = Builder()
    x = builder.input("x", F32)
    for span in ((-inf, inf), (0.0, 1.0), (5e-324, 3.0), (-2.0, -1.0)):
        low, high = words.tanh(DoubleWord(x, range=span)).range
        assert (low, high) == pytest.approx(np.tanh(span), rel=1e-15)
        assert (low > 0) == (span[0] > 0)


def test_it_is_odd_and_never_above_one_nor_falls() -> None:
    ends = [fit.low for fit in data.TANH[1:]]
    x = np.sort(np.abs(np.concatenate([arguments(), oracle.beside(ends, np.float32)])))
    high, low = run(pair(), x)
    opposite, other = run(pair(), -x)
    np.testing.assert_array_equal(opposite.view(np.int32), (-high).view(np.int32))
    np.testing.assert_array_equal(other, -low)
    total = high.astype(np.float64) + low
    assert total.max() == 1.0
    # Not across the ends of pieces either, within what a result may be off.
    assert (np.diff(total) >= -RELATIVE * total[1:]).all()


def test_it_ends_at_one() -> None:
    x = np.array([11.0, 11.5, 1e30, inf], np.float32)
    high, low = run(pair(), x)
    assert high.tolist() == [1.0] * 4
    assert low.tolist() == [0.0] * 4


def error_of(number: int, value: float) -> float:
    """The largest relative error of a piece with that value at its place."""
    fit, place = data.TANH[number], data.TANH_PLACES[number]
    slope = float(np.float32(value**2 - 1))
    bend = float(np.float32(value * slope))
    about = Fit(fit.coefficients[1:], place - fit.high, place - fit.low, fit.error)
    return oracle.error_of_fit(
        about,
        lambda t: (arb(place) - t).tanh(),
        lambda t, p: arb(value) + arb(slope) * t + t * t * (bend + t * p),
    )


@PIECES
def test_the_error_of_a_fit_is_the_stated_one(number: int) -> None:
    fit = data.TANH[number]
    assert fit.error / 2 <= error_of(number, fit.coefficients[0]) <= fit.error


@PIECES
@pytest.mark.parametrize("beyond", [0.0, 2.0])
def test_a_last_digit_of_a_value_matters(number: int, beyond: float) -> None:
    fit = data.TANH[number]
    changed = float(np.nextafter(np.float32(fit.coefficients[0]), np.float32(beyond)))
    assert number == 0 or error_of(number, changed) > 8 * fit.error


def test_the_table_is_one_of_float32_and_without_gaps() -> None:
    assert data.TANH[0].low == 0
    assert all(one.high > other.low > one.low for one, other in pairwise(data.TANH))
    for fit, place in zip(data.TANH, data.TANH_PLACES, strict=True):
        assert all(float(np.float32(c)) == c for c in (place, *fit.coefficients))


@PIECES
def test_the_digits_of_the_sum_say_which_piece(number: int) -> None:
    """And x is within the interval of that piece, its difference from the place exact."""
    first = np.array(data.TANH_OFFSET, np.float32).view(np.int32) >> 21
    fit = data.TANH[number]
    inside = np.linspace(fit.low, fit.high, 1001).astype(np.float32)
    x = np.abs(np.concatenate([inside, oracle.beside([fit.low, fit.high], np.float32)]))
    exactly = x.astype(np.float64) * data.TANH_SCALE + data.TANH_OFFSET
    x = x[(exactly.astype(np.float32).view(np.int32) >> 21) - first == number]
    x = x[x <= data.TANH[-1].high]
    assert x.size > 900
    assert ((fit.low <= x) & (x <= fit.high)).all()
    place = data.TANH_PLACES[number]
    np.testing.assert_array_equal(np.float32(place) - x, place - x.astype(np.float64))
