"""The ladder takes the cheapest way that keeps the budget, and says what it measured."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradsmith.formula.parse import parse
from gradsmith.numerics.fit import Fit, fit
from gradsmith.numerics.ladder import (
    FULL64,
    PLAIN32,
    SHORT32,
    SHORT64,
    WORDS32,
    choose,
    schemes,
)
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import BFLOAT16, FLOAT16, FLOAT32, FLOAT64
from gradsmith.numerics.trial import measured


def stable(text, target=FLOAT32, **parameters):
    formula = parse(text, parameters)
    return stabilise(formula.expression, formula.arguments, formula.parameters, target=target)


def chosen(text, target=FLOAT32, alone=False, in_words=None, **parameters):
    return choose(stable(text, target, **parameters), alone, in_words=in_words)


def test_the_cheapest_scheme_that_keeps_the_budget_is_taken():
    assert chosen("where(x > 0, x, 0.25*x)", alone=True).scheme is PLAIN32
    assert chosen("where(x > 0, x, 0.25*x)").scheme is SHORT64
    assert chosen("x*sigmoid(x)", alone=True).scheme is WORDS32
    assert chosen("log1p(x**2)*x", alone=True).scheme is SHORT64
    assert chosen("x*sigmoid(x)", FLOAT64).scheme is FULL64
    assert chosen("x*sigmoid(x)", BFLOAT16).scheme is SHORT32
    for target in (FLOAT32, FLOAT64, FLOAT16, BFLOAT16):
        way = chosen("tanh(x)", target)
        assert way.error <= target.budget, (target, way.scheme)


@pytest.mark.parametrize(
    "text", ["x/(1 + abs(x))", "1/(1 + abs(x))**2", "sigmoid(x)*(1 - sigmoid(x))"]
)
def test_divisions_are_cheaper_in_two_words(text):
    way = chosen(text, alone=True)
    assert way.scheme is WORDS32
    assert way.error <= FLOAT32.budget
    assert chosen(text).scheme is SHORT64  # with inputs of float64


def test_parameters_are_taken_in_two_words_where_that_is_allowed():
    assert chosen("x/(a + abs(x))", a=0.7, in_words=True).scheme is WORDS32
    assert chosen("x/(a + abs(x))", a=0.7).scheme is SHORT64


def test_where_nothing_keeps_the_budget_the_most_digits_are_taken():
    """∂/∂a of a·expm1(x/a) cancels to −(x/a)²/2, of which no way of computing has a digit."""
    found = stable("expm1(x/a) - x/a*exp(x/a)", a=1.0)
    assert found.error > 1e6
    for alone in (False, True):
        assert choose(found, alone=alone).scheme is FULL64
    # What two words lose here is less by the last digit of the error alone.
    assert chosen("erfc(x) - erfc(2*x)", alone=True).scheme is FULL64


def test_how_numbers_fit_float32():
    assert {fit(x) for x in (0, 0.0, -1.0, 0.25, 2.0**60, -(2.0**-60), 1 + 2.0**-23)} == {
        Fit.ONE_WORD
    }
    assert {fit(x) for x in (0.01, -1e17, 1 + 2.0**-24)} == {Fit.TWO_WORDS}
    wide = (1e-30, 2.0**-61, -(2.0**61), 10**400, math.inf, -math.inf, math.nan)
    assert {fit(x) for x in wide} == {Fit.NONE}


@pytest.mark.parametrize(
    "text", ["clip(x, -a, a)", "where(x > 0, x, a*x)", "where(x > a, x - a, 0)", "max(x, a)"]
)
@pytest.mark.parametrize("default", [0.25, 0.01])
def test_one_rounding_is_enough_beside_parameters_that_float32_holds(text, default):
    """Whatever the default, the parameter itself is exact."""
    way = chosen(text, a=default, alone=True)
    assert way.scheme is PLAIN32
    assert way.error <= 0.51
    assert chosen(text, a=default, in_words=True).scheme is not PLAIN32


@pytest.mark.parametrize(
    "text",
    [
        "1/(1 + x**2)",  # x² is infinite long before its reciprocal is 0
        "x/3 + x*0.1",  # of tiny terms the second words are lost
        "erfcx(x)/2",  # by its definition, and exp(x²) ends at 9.4
        "expm1(x)/2",  # ends at 88
    ],
)
def test_two_words_are_passed_over_where_their_range_ends(text):
    """float64 has range to spare; none of this may be taken for a sample that does not show it."""
    found = stable(text)
    assert measured(found, WORDS32) > FLOAT32.budget
    assert choose(found, alone=True).scheme is SHORT64


def test_what_has_no_instructions_in_two_words_is_computed_otherwise():
    found = stable("x*erf(x)")
    with pytest.raises(NotImplementedError, match="erf"):
        measured(found, WORDS32)
    assert choose(found, alone=True).scheme is SHORT64


def test_erfc_is_computed_in_two_words():
    for text in ("erfc(x)", "x/2*erfc(-x/sqrt(2))"):
        assert chosen(text, alone=True).scheme is WORDS32


def test_more_error_where_it_is_allowed_takes_cheaper_arithmetic():
    found = stable("1/(1 + exp(-x))")
    way = choose(found, alone=True, max_ulp=4.0)
    assert way.scheme is PLAIN32
    assert 0.51 < way.error <= 4
    assert choose(found, alone=True).scheme is not PLAIN32
    assert choose(found, alone=False, max_ulp=4.0).scheme is SHORT64
    # x·σ(x) underflows in float32 long before its values end.
    gated = stable("x*sigmoid(x)")
    assert choose(gated, alone=True, max_ulp=4.0).scheme is WORDS32


def test_only_float32_is_computed_in_two_words():
    for target in (FLOAT64, FLOAT16, BFLOAT16):
        assert all(not scheme.double_word for scheme, _ in schemes(target, True))


def test_the_error_of_two_words_is_that_of_their_sum():
    """Far below that of the rounding which follows, and not 0."""
    error = measured(stable("1/(1 + exp(-x))"), WORDS32)
    assert 2.0**-12 < error < 2.0**-27.89 * 2.0**24
    assert np.isfinite(error)


@pytest.mark.parametrize(
    "text", ["a*(1 - sigmoid(b))*sigmoid(b)", "a*sigmoid(b)", "a/(1 + abs(b))"]
)
def test_two_words_are_not_trusted_with_several_inputs(text: str) -> None:
    """a·σ(b) needs digits of σ(b) below float32's range where a is large."""
    product = parse(text, inputs=["a", "b"])
    stable = stabilise(product.expression, ("a", "b"), {}, (), FLOAT32)
    way = choose(stable, alone=True)
    assert not way.scheme.double_word
    assert way.error <= FLOAT32.budget


def test_of_what_fails_no_larger_error_is_looked_for():
    found = stable("x*sigmoid(x) - 0.3")
    most = measured(found, SHORT64)
    assert most > 1
    assert 1 < measured(found, SHORT64, most=1.0) <= most
    assert measured(found, FULL64, most=1.0) == measured(found, FULL64) <= 1
