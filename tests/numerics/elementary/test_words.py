"""Functions in two words, on the whole range of float32. Oracle: ball arithmetic.

The limits are what a search over far more points found, rounded up; see ``test_accuracy``.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from gradsmith.numerics.builder import Builder
from gradsmith.numerics.double_word import DoubleWord, number, rounded
from gradsmith.numerics.double_word_arithmetic import add, divide, multiply
from gradsmith.numerics.elementary import words
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, F64, Program, Type
from tests.numerics.elementary.measured import (
    SEED,
    Floats,
    as_float32,
    error_in_ulp,
    exact,
    float32_numbers,
    points,
    relative_error,
    worst,
)

InWords = Callable[[DoubleWord], DoubleWord]
FUNCTIONS: tuple[InWords, ...] = (words.exp, words.expm1, words.log, words.log1p, words.tanh)
# What float32 rounds: searches over 10⁷ points found as much, rounded up.
RELATIVE = {
    "exp": 2.0**-27.89,
    "expm1": 2.0**-28.8,
    "log": 2.0**-29.0,
    "log1p": 2.0**-28.6,
    "tanh": 2.0**-28.4,
}
# Of smaller numbers the second word is subnormal, or nothing.
TINY = 2.0**-100
# Rounded to 24 digits, then to those of a subnormal number.
TWICE = 0.76


def name_of(function: InWords) -> str:
    return function.__name__


@cache
def written(function: InWords, kind: Type, upper: float = np.inf) -> Program:
    """The function of a float32 that is known not to exceed ``upper``."""
    builder = Builder()
    x = DoubleWord(builder.input("x", F32), range=(-np.inf, upper))
    return builder.program(rounded(function(x), kind))


def arguments(function: InWords, count: int = 8000) -> Floats:
    x = as_float32(points(function.__name__, count))
    if function in (words.log, words.log1p):
        x = x[x > (0 if function is words.log else -1)]
    return x[x <= 88] if function is words.expm1 else x


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_relative_error(function: InWords) -> None:
    x = arguments(function)
    (values,) = run(written(function, F64), x)
    errors = []
    for at, y in zip(x, values, strict=True):
        true = exact(function.__name__, float(at))
        within = abs(true) > TINY and abs(true) < 2.0**128
        errors.append(relative_error(float(y), true) if within else 0.0)
    assert worst(errors, x)[0] <= RELATIVE[function.__name__], worst(errors, x)


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_rounded_results(function: InWords) -> None:
    x = arguments(function)
    (values,) = run(written(function, F32), x)
    errors = []
    for at, y in zip(x, values, strict=True):
        true = exact(function.__name__, float(at))
        error = error_in_ulp(float(y), true, F32)
        errors.append(error if abs(true) > TINY else error - TWICE)
    limit = 0.5 + RELATIVE[function.__name__] * 2.0**24
    assert worst(errors, x)[0] <= limit, worst(errors, x)


@pytest.mark.parametrize("function", [words.exp, words.expm1], ids=name_of)
def test_where_the_argument_is_known_not_to_be_positive(function: InWords) -> None:
    x = arguments(function)
    x = x[x <= 0]
    (values,) = run(written(function, F64, 0.0), x)
    errors = [
        relative_error(float(y), exact(function.__name__, float(at))) if at > -110 and at else 0.0
        for at, y in zip(x, values, strict=True)
    ]
    assert worst(errors, x)[0] <= RELATIVE[function.__name__], worst(errors, x)


def test_log1p_between_zero_and_one() -> None:
    builder = Builder()
    x = DoubleWord(builder.input("x", F32), range=(0.0, 1.0))
    program = builder.program(rounded(words.log1p(x), F64))
    rng = np.random.default_rng(SEED)
    at = np.concatenate([rng.uniform(0, 1, 3000), np.exp2(rng.uniform(-70, 0, 1000)), [1, 0.5]])
    at = at.astype(np.float32)
    (values,) = run(program, at)
    errors = [
        relative_error(float(y), exact("log1p", float(x))) for x, y in zip(at, values, strict=True)
    ]
    assert worst(errors, at)[0] <= RELATIVE["log1p"], worst(errors, at)


def test_what_is_infinite_is_so_times_numbers() -> None:
    """Whatever is written in place of both words: once, twice, and of a quotient of it."""
    builder = Builder()
    x, g = (DoubleWord(builder.input(name, F32)) for name in "xg")
    e = words.exp(x)
    third = number(builder, Fraction(1, 3))
    results = [multiply(e, g), multiply(multiply(e, third), g), multiply(divide(e, third), g)]
    program = builder.program(*map(rounded, results))
    at = np.array([89.0, 100.0, 3e38, np.inf], np.float32)
    for factor in (1.0, -1e-3, 3e38):
        with np.errstate(over="ignore", invalid="ignore"):
            found = run(program, at, np.full_like(at, factor))
        for column in found:
            assert column.tolist() == [np.copysign(np.inf, factor)] * 4


def test_exp_next_to_its_end() -> None:
    """There 2ᵏ is out of range before eˣ is: what is left of x is twice as large, and what that
    is rounded by."""
    x = np.linspace(88.6, 88.72, 500).astype(np.float32)
    (values,) = run(written(words.exp, F64), x)
    errors = [
        relative_error(float(y), exact("exp", float(at))) for at, y in zip(x, values, strict=True)
    ]
    assert worst(errors, x)[0] <= 2 * RELATIVE["exp"], worst(errors, x)


@pytest.mark.parametrize("span", [(-np.inf, np.inf), (-80.0, 100.0), (-np.inf, 50.0), (-30.0, 0.0)])
def test_one_plus_exp(span: tuple[float, float]) -> None:
    """Its second word too: what the sum rounds is a part of it, but for 2⁻³⁰ of a large one."""
    builder = Builder()
    x = DoubleWord(builder.input("x", F32), range=span)
    one = number(builder, Fraction(1))
    total = add(one, words.exp(x))
    program = builder.program(rounded(total, F64), rounded(divide(one, total), F64))
    rng = np.random.default_rng(SEED)
    low, high = max(span[0], -105.0), min(span[1], 125.0)
    at = np.concatenate(
        [
            rng.uniform(low, high, 3000),
            rng.uniform(-2, 0, 1000),
            rng.uniform(low, min(high, 21), 1000),
        ]
    )
    at = at.astype(np.float32)
    total_of, inverse = run(program, at)
    with np.errstate(over="ignore"):
        expected = 1 + np.exp(at.astype(np.float64))
    limit = np.where(at > 0.7 * 20, RELATIVE["exp"] + 2.0**-30, RELATIVE["exp"])
    assert (np.abs(total_of / expected - 1) <= limit).all()
    seen = expected < 2.0**100
    assert (np.abs(inverse * expected - 1) <= limit)[seen].all()


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_a_second_word_of_the_argument_is_not_lost(function: InWords) -> None:
    """Three quarters of the unit that separates float32 numbers change what is found."""
    builder = Builder()
    high, low = (builder.input(name, F32) for name in ("high", "low"))
    program = builder.program(rounded(function(DoubleWord(high, low)), F64))
    rng = np.random.default_rng(SEED)
    sizes = np.exp2(rng.uniform(-8, 3, 2000)) * (1 if function is words.log else -0.9 / 8)
    x = sizes.astype(np.float32)
    rest = (x * rng.uniform(-(2.0**-24), 2.0**-24, x.size)).astype(np.float32)
    (values,) = run(program, x, rest)
    wide = x.astype(np.float64) + rest.astype(np.float64)
    errors = [
        relative_error(float(y), exact(function.__name__, float(at)))
        for at, y in zip(wide, values, strict=True)
        if function is not words.log or abs(at - 1) > 0.1
    ]
    assert max(errors) <= RELATIVE[function.__name__]


@pytest.mark.parametrize("function", FUNCTIONS, ids=name_of)
def test_from_end_to_end(function: InWords) -> None:
    """Wrong zeros, infinities, NaNs and signs, over all exponents."""
    x = float32_numbers(stride=40_009)
    if function is words.expm1:
        x = x[~(x > 88)]
    with np.errstate(all="ignore"):
        true = getattr(np, function.__name__)(x.astype(np.float64)).astype(np.float32)
        (values,) = run(written(function, F32), x)
        np.testing.assert_array_equal(np.isnan(values), np.isnan(true))
        defined = ~np.isnan(true)
        np.testing.assert_array_equal(np.signbit(values[defined]), np.signbit(true[defined]))
        near = np.abs(values.view(np.int32).astype(np.int64) - true.view(np.int32))
    assert near[defined].max() <= 1


def test_what_an_exponential_leaves_of_what_is_looked_up() -> None:
    """Tables that it is multiplied with rely on that; it is no more than needed."""
    builder = Builder()
    x = DoubleWord(builder.input("x", F32), range=(-130.0, 0.0))
    program = builder.program(*words.factors_of_exp(x, 1.0))
    at = np.random.default_rng(SEED).uniform(-130, 0, 100_000).astype(np.float32)
    largest = np.abs(run(program, at)[1]).max()
    assert 0.99 * words.LARGEST_EXPM1 < largest <= words.LARGEST_EXPM1


@pytest.mark.parametrize("rate", [1.0, -1.0, -0.5, -8.0])
def test_factors_of_an_exponential_at_a_rate(rate: float) -> None:
    """Also of two words, and from 0 to where nothing is left."""
    builder = Builder()
    high, low = builder.input("high", F32), builder.input("low", F32)
    span = sorted((0.0, words.NOTHING / rate))
    x = DoubleWord(high, low, (span[0], span[1]))
    program = builder.program(*words.factors_of_exp(x, rate))
    rng = np.random.default_rng(SEED)
    at = rng.uniform(*(0.999 * end for end in span), 50_000).astype(np.float32)
    rest = (at * rng.uniform(-(2.0**-25), 2.0**-25, at.shape)).astype(np.float32)
    power, p = (y.astype(np.float64) for y in run(program, at, rest))
    true = np.exp(rate * (at.astype(np.float64) + rest))
    normal = true > 2.0 ** -(126 + 64)
    computed = power * (1 + p) * 2.0**-64
    # Roundings of r and of eʳ − 1, which are below 2⁻⁴, and what the polynomial lacks.
    assert np.abs(computed / true - 1)[normal].max() <= 2 * 2.0**-29 + 2.0**-32
    ends = np.array([words.NOTHING + words.HALF_STEP * f for f in (-0.5, 0.0, 0.5)]) / rate
    nothing, _ = run(program, ends.astype(np.float32), np.zeros(3, np.float32))
    assert np.array_equal(nothing, np.zeros(3))
