"""A quick way of computing keeps the budget with series where it has too few digits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import mpmath
import numpy as np
import pytest

from gradsmith.formula.parse import parse
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.ladder import FULL64, SHORT64, Way, choose
from gradsmith.numerics.lower import lower
from gradsmith.numerics.program import F32
from gradsmith.numerics.shortfall import with_series
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import FLOAT32
from gradsmith.numerics.trial import evaluated, measured

CASES = {
    # Terms cancel next to a root; short functions leave too few digits there.
    "1/(1 + exp(-x))*(1 + x*(1 - 1/(1 + exp(-x))))": ("root", -1.2784645),
    "erfc(-x/sqrt(2))/2 + x*exp(-x**2/2)/sqrt(2*pi)": ("root", -0.7517916),
    "exp(x) - 3": ("root", 1.0986123),
    "log(x) - 1": ("root", 2.7182817),
    # And next to a zero of the third order at 0.
    "x - tanh(x)": ("zero", 0.0),
}


def stable(text):
    formula = parse(text)
    return stabilise(formula.expression, formula.arguments, formula.parameters, target=FLOAT32)


def beside(place, count=3000):
    """Numbers of float32 at all distances from a place, its neighbours among them."""
    generator = np.random.default_rng(5)
    distances = np.ldexp(generator.uniform(1, 2, count), generator.integers(-40, 0, count))
    near = place + distances * generator.choice([-1.0, 1.0], count)
    start = np.array(place, np.float32).view(np.int32) + (2**20 if place == 0 else 0)
    neighbours = np.arange(start - 200, start + 200, dtype=np.int32).view(np.float32)
    return np.unique(np.concatenate([near.astype(np.float32), neighbours]))


def exact(text, xs):
    """The formula as it stands, with 200 digits."""
    names = {n: getattr(mpmath, n) for n in ("exp", "erfc", "log", "tanh", "sqrt", "pi")}
    with mpmath.workdps(200):
        return [eval(text, names, {"x": mpmath.mpf(float(x))}) for x in xs]


def errors(text, way):
    xs = beside(CASES[text][1])
    program = lower((way.stable.expression,), {"x": F32}, way.scheme, F32)
    computed = run(program, xs)[0].astype(np.float64)
    found = []
    for value, true in zip(computed, exact(text, xs), strict=True):
        size = abs(float(true))
        unit = 2.0 ** max(np.frexp(size)[1] - 24, -149)
        found.append(abs(float((mpmath.mpf(float(value)) - true) / unit)))
    return np.array(found)


def mended(found):
    """The way with series, whether or not another one is cheaper."""
    expression = with_series(found, partial(evaluated, found, SHORT64))
    formed = replace(found, expression=expression)
    return Way(SHORT64, formed, measured(formed, SHORT64, found))


@pytest.mark.parametrize("text", CASES)
def test_a_short_way_with_series_is_within_the_budget_beside_the_place(text):
    way = mended(stable(text))
    assert way.error <= FLOAT32.budget
    assert errors(text, way).max() <= 0.5 + 2 * FLOAT32.budget


@pytest.mark.parametrize("text", CASES)
def test_without_its_series_it_is_not(text):
    found = stable(text)
    way = mended(found)
    assert way.stable.expression is not found.expression
    assert measured(found, way.scheme) > FLOAT32.budget


@pytest.mark.parametrize("text", ["x - tanh(x)", "erfc(-x)/2 + x*exp(-x**2)"])
def test_it_is_taken_where_no_constant_makes_up_for_what_is_lost(text):
    found = stable(text)
    way = choose(found)
    assert way.scheme is SHORT64
    assert way.error <= FLOAT32.budget
    assert way.stable.expression is mended(found).stable.expression
    assert not way.particular


def test_the_series_is_no_wider_than_what_is_lost():
    """Where nothing is lost none is made, and far from the place everything stays as it is."""
    found = stable("exp(x)/2")
    assert choose(found, alone=True).stable is found
    found = stable("exp(x) - 3")
    way = mended(found)
    far = np.array([-80.0, -2.0, 0.5, 2.0, 30.0], np.float32)
    with_it, without = (
        run(lower((one.expression,), {"x": F32}, way.scheme, F32), far)[0]
        for one in (way.stable, found)
    )
    assert np.array_equal(with_it, without)


def test_parameters_and_several_inputs_are_left_alone():
    formula = parse("exp(a*x) - 3", {"a": 1.5})
    found = stabilise(formula.expression, formula.arguments, formula.parameters, target=FLOAT32)

    def wrong(expression, values):
        return np.zeros_like(found.points.high)

    assert with_series(found, wrong) is found.expression
    assert choose(found, alone=True).scheme in (FULL64, SHORT64)
