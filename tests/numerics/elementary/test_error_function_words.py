"""erfc in two words: errors on the whole range, both words of the argument, special values.

Oracle: ball arithmetic. The limits are what a search over 10⁶ points found, rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf, nan

import numpy as np
import pytest
from flint import arb, ctx

from gradsmith.numerics.builder import Builder
from gradsmith.numerics.double_word import DoubleWord, rounded
from gradsmith.numerics.elementary.coefficients import error_function_words as data
from gradsmith.numerics.elementary.error_function_words import erfc
from gradsmith.numerics.elementary.polynomial import Fit
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, F64
from tests.numerics.elementary import oracle
from tests.numerics.elementary.measured import (
    SEED,
    Floats,
    as_float32,
    error_in_ulp,
    float32_numbers,
    worst,
)

# What float32 rounds, in the exponential for the most part.
RELATIVE = 2.0**-27.8
ASIDE = 2.0**64
# Of what is smaller, times 2⁶⁴, the second word is subnormal.
TINY = 2.0**-160
# Rounded to 24 digits, then to those of a subnormal number.
TWICE = 0.76

InWords = Callable[[DoubleWord], DoubleWord]


def leaning(x: DoubleWord) -> DoubleWord:
    found = erfc(x).leaning
    assert found is not None
    return found()


WAYS = pytest.mark.parametrize("way", [erfc, leaning], ids=lambda way: way.__name__)


@cache
def pair(way: InWords, low: bool, sound: bool = False, span: tuple[float, float] = (-inf, inf)):
    """The Program of both words, times 2⁶⁴."""
    builder = Builder()
    high = builder.input("high", F32)
    x = DoubleWord(high, builder.input("low", F32) if low else None, span, sound=sound)
    result = way(x)
    assert result.factor == 1 / ASIDE
    return builder.program(result.high, result.low)


def errors(columns: tuple[Floats, ...], values: tuple[Floats, ...]) -> list[float]:
    """Relative errors of high + low, of what is not too small."""
    found = []
    for *x, high, low in zip(*columns, *values, strict=True):
        with ctx.workprec(200):
            true = sum(map(arb, map(float, x)), arb(0)).erfc()
            got = (arb(float(high)) + arb(float(low))) / arb(ASIDE)
            found.append(abs(float(got / true - 1)) if true > TINY else 0.0)
    return found


def arguments(count: int = 8000) -> Floats:
    rng = np.random.default_rng(SEED)
    several = count // 8
    groups = [rng.uniform(-size, size, several) for size in (0.3, 1, 4, 11)]
    groups += [rng.uniform(3, 10.5, several), oracle.any_bits(several, np.float32, rng)]
    groups.append(rng.choice([-1.0, 1.0], several) * np.exp2(rng.uniform(-60, 0, several)))
    places = [*data.PLACES, *(fit.low for fit in data.ERFCX_INVERSE), 2.0**-30, 11.506, 11.65]
    groups.append(oracle.beside(places, np.float32))
    return as_float32(np.concatenate(groups))


@WAYS
def test_relative_error(way: InWords) -> None:
    x = arguments()
    found = errors((x,), run(pair(way, False), x))
    assert worst(found, x)[0] <= RELATIVE, worst(found, x)


@WAYS
@pytest.mark.parametrize("sound", [False, True])
def test_a_second_word_of_the_argument_is_not_lost(way: InWords, sound: bool) -> None:
    """Three quarters of the unit that separates float32 numbers change what is found."""
    x = arguments()
    rest = x * np.random.default_rng(SEED).uniform(-(2.0**-24), 2.0**-24, x.size)
    with np.errstate(under="ignore"):
        rest = rest.astype(np.float32)
    found = errors((x, rest), run(pair(way, True, sound), x, rest))
    assert worst(found, x)[0] <= RELATIVE, worst(found, x)


def test_where_the_argument_is_not_negative() -> None:
    x = np.abs(arguments())
    found = errors((x,), run(pair(erfc, False, span=(0.0, inf)), x))
    assert worst(found, x)[0] <= RELATIVE, worst(found, x)


def test_second_words_of_leaning_numbers_are_positive() -> None:
    x = arguments()
    rest = x * np.random.default_rng(SEED).choice([-(2.0**-24), 2.0**-24], x.size)
    high, low = run(pair(leaning, True), x, rest.astype(np.float32))
    assert (low[x < 10.5] > 0).all()
    assert ((low > 0) | (high == 0)).all()
    np.testing.assert_array_equal(low[high == 0], 0)


@pytest.mark.parametrize("low", [inf, -inf, nan, 3e38])
@pytest.mark.parametrize("way", [erfc, leaning])
def test_what_is_no_second_word_is_passed_over(way: InWords, low: float) -> None:
    """Where the first one is infinite or far out an unsound number may have any, at 0 NaN."""
    at = np.array([inf, -inf, 1e30, -1e30, *([0.0] * (low != low))], np.float32)
    expected = np.array([0.0, 2.0, 0.0, 2.0, 1.0])[: at.size]
    high, rest = run(pair(way, True), at, np.full_like(at, low))
    total = (high.astype(np.float64) + rest) / ASIDE
    np.testing.assert_allclose(total, expected, rtol=RELATIVE, atol=0)


@pytest.mark.parametrize("kind", [F32, F64])
def test_rounded_results_from_end_to_end(kind) -> None:
    builder = Builder()
    program = builder.program(rounded(erfc(DoubleWord(builder.input("x", F32))), kind))
    x = np.concatenate(
        [float32_numbers(stride=100_003), arguments(), oracle.beside([10.0], np.float32)]
    )
    (values,) = run(program, x)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(x))
    found = []
    for at, y in zip(x, values, strict=True):
        if np.isnan(at):
            found.append(0.0)
            continue
        true = oracle.erfc(float(at))
        error = error_in_ulp(float(np.float32(y)), true, F32)
        found.append(error if true > 2.0**-125 else error - TWICE + 0.5)
        assert not np.signbit(y)
    assert worst(found, x)[0] <= 0.5 + RELATIVE * 2.0**24, worst(found, x)


def test_it_never_rises() -> None:
    """Not across the ends of the pieces either, within what a result may be off."""
    ends = np.array([fit.low for fit in data.ERFCX_INVERSE[1:]], np.float32)
    beside = np.sort(oracle.beside(list(ends), np.float32))
    high, low = run(pair(erfc, False), beside)
    total = high.astype(np.float64) + low
    assert (np.diff(total) <= RELATIVE * total[1:]).all()


@pytest.mark.parametrize("number", range(len(data.ERFCX_INVERSE)))
def test_the_error_of_a_fit_is_the_stated_one(number: int) -> None:
    fit, place = data.ERFCX_INVERSE[number], data.PLACES[number]
    about = Fit(fit.coefficients, fit.low - place, fit.high - place, fit.error)
    found = oracle.error_of_fit(about, lambda t: 1 / oracle.scaled(t + arb(place)), lambda t, p: p)
    assert fit.error / 2 <= found <= fit.error


def test_the_table_is_one_of_float32_and_without_gaps() -> None:
    assert [fit.low for fit in data.ERFCX_INVERSE[1:]] == [
        fit.high for fit in data.ERFCX_INVERSE[:-1]
    ]
    for fit, place in zip(data.ERFCX_INVERSE, data.PLACES, strict=True):
        assert fit.low < place < fit.high
        assert all(float(np.float32(c)) == c for c in (place, *fit.coefficients))


@pytest.mark.parametrize("number", range(len(data.ERFCX_INVERSE)))
def test_the_digits_of_the_square_say_which_piece(number: int) -> None:
    """And what is left of x is exact, so that neighbours differ by the unit between them."""
    fit = data.ERFCX_INVERSE[number]
    x = np.linspace(fit.low, fit.high, 1001).astype(np.float32)
    x = x[(x > fit.low) & (x < fit.high)]
    first = data.SCALE * x.astype(np.float64) ** 2 + data.SHIFT
    assert set((first.astype(np.float32).view(np.int32) >> 22) - (0x3F000000 >> 22)) <= {
        number - 1,
        number,
        number + 1,
    }
    rest = x - np.float32(data.PLACES[number])
    exact = x.astype(np.float64) - data.PLACES[number]
    assert np.abs(rest - exact).max() <= (2.0**-31 if number == 0 else 0.0)


def test_the_coefficients_are_what_the_script_makes() -> None:
    if not oracle.SCRIPTS.exists():
        pytest.skip("needs the source tree")
    assert oracle.is_what_the_script_makes("error_function_words")
