"""Half formats are computed in float32, with short functions and tables where these are enough.

Oracle: the formula as it stands, in ball arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.parse import parse
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.ladder import (
    PLAIN32,
    SHORT32,
    choose,
    has_table,
    schemes,
)
from gradsmith.numerics.lower import lower
from gradsmith.numerics.program import BF16, F16, F32, Op
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.tabulate import tabulated_forms
from gradsmith.numerics.target import BFLOAT16, FLOAT16, FLOAT32, FLOAT32_ALONE
from gradsmith.numerics.trial import measured
from tests.numerics.test_tabulate import FORMS

HALVES = pytest.mark.parametrize("target", [BFLOAT16, FLOAT16], ids=lambda target: target.name)
KINDS = {BFLOAT16: BF16, FLOAT16: F16}


def stable(text, target, inputs=None):
    formula = parse(text, {}, inputs=inputs) if inputs else parse(text, {})
    return stabilise(formula.expression, formula.arguments, formula.parameters, target=target)


def numbers(target, stride):
    """Numbers of the format, all exponents and both signs, as float32 and as they are stored."""
    stored = np.arange(0, 2**16, stride, dtype=np.uint32).astype(np.uint16)
    wide = (stored.astype(np.uint32) << 16).view(np.float32)
    wide = wide if target is BFLOAT16 else stored.view(np.float16).astype(np.float32)
    stored = stored if target is BFLOAT16 else stored.view(np.float16)
    return wide[np.isfinite(wide)], stored[np.isfinite(wide)]


def in_ulp(exact, values, columns, target):
    """How far values are off; 0 where they and what they should be are beyond the range."""
    found = []
    for value, *point in zip(
        values.tolist(), *(column.tolist() for column in columns), strict=True
    ):
        true = exact(*point)
        size = abs(float(true.mid()))
        if size >= target.largest:
            found.append(0.0 if value * float(true.mid()) >= target.largest**2 else math.inf)
            continue
        unit = 2.0 ** max(math.frexp(size)[1] - target.digits, target.lowest)
        found.append(abs(float((true - value).mid())) / unit)
    return np.array(found)


@HALVES
@pytest.mark.parametrize("text", ["x*sigmoid(x)", "tanh(x)", "erfc(-x)*x", "log(1 + exp(x))"])
def test_the_short_functions_are_taken(text, target):
    way = choose(stable(text, target))
    assert way.scheme is SHORT32
    assert way.error <= target.budget


@HALVES
def test_where_they_lose_too_much_the_accurate_ones_are_taken(target):
    text = "tanh(x) - 1/2" if target is BFLOAT16 else "erf(x) - tanh(x)"
    found = stable(text, target)
    if target is BFLOAT16:
        assert choose(found).scheme is PLAIN32
        assert measured(found, PLAIN32) <= target.budget < measured(found, SHORT32)
    else:
        assert choose(found).error <= target.budget < measured(found, SHORT32)


def test_what_misses_the_budget_is_not_short():
    found = stable("tanh(x) - 0.3", FLOAT16)
    way = choose(found)
    assert way.scheme is PLAIN32
    assert way.error > FLOAT16.budget
    assert measured(found, SHORT32) > FLOAT16.budget


def test_float32_is_never_short():
    for target in (FLOAT32, FLOAT32_ALONE):
        for alone in (True, False):
            assert SHORT32 not in dict(schemes(target, alone))


@HALVES
@pytest.mark.parametrize("name", FORMS)
def test_tables_are_right_in_one_word(name, target):
    found = stable(FORMS[name], target)
    (expression,) = tabulated_forms(found)
    program = lower((expression,), {"x": F32}, SHORT32)
    x, _ = numbers(target, 7)
    values = run(program, x)[0].astype(np.float64)
    exact = Evaluator(parse(FORMS[name]).expression, ("x",))
    assert in_ulp(exact, values, [x], target).max() <= target.budget
    assert measured(replace(found, expression=expression), SHORT32) <= target.budget


@HALVES
def test_beside_a_root_a_table_is_chosen(target):
    way = choose(stable(FORMS["gelu′"], target))
    if way.error > target.budget:  # what is dearer then comes into view
        way = choose(stable(FORMS["gelu′"], target.wider), in_words=True)
    assert has_table(way.stable.expression)
    assert way.scheme is SHORT32
    assert way.error <= target.budget


@HALVES
def test_what_underflows_in_a_table_keeps_its_sign(target):
    found = stable(FORMS["gelu′"], target)
    (expression,) = tabulated_forms(found)
    program = lower((expression,), {"x": F32}, SHORT32, KINDS[target])
    x = np.array([-15.0, -16.5, -1e4, -np.inf, np.inf, np.nan], np.float32)
    values = run(program, x)[0]
    wide = (values.astype(np.uint32) << 16).view(np.float32) if target is BFLOAT16 else values
    assert np.signbit(wide).tolist()[:5] == [True, True, True, True, False]
    np.testing.assert_array_equal(wide.astype(np.float32), np.float32([0, 0, 0, 0, 1, np.nan]))


DEEP = ["a*sigmoid(b)", "a*sigmoid(b)*(1 - sigmoid(b))"]


@pytest.mark.parametrize("text", DEEP)
def test_a_factor_brings_back_what_an_exponential_alone_would_lose(text):
    """With a near 1e38 a result is a normal number although σ(b) is no number of float32."""
    found = stable(text, BFLOAT16, ("a", "b"))
    assert measured(found, PLAIN32) > BFLOAT16.budget
    way = choose(found)
    assert way.scheme is SHORT32
    program = lower((way.stable.expression,), {"a": F32, "b": F32}, SHORT32)
    assert program.count(Op.CONVERT) == 0
    rng = np.random.default_rng(3)
    count = 6000
    a = np.ldexp(
        rng.choice([-1, 1], count) * rng.uniform(1, 2, count), rng.integers(-133, 127, count)
    )
    b = rng.choice([-1, 1], count) * np.exp2(rng.uniform(-8, 8, count))
    a, b = ((v.astype(np.float32).view(np.uint32) & 0xFFFF0000).view(np.float32) for v in (a, b))
    values = run(program, a, b)[0].astype(np.float64)
    exact = Evaluator(parse(text, {}, inputs=("a", "b")).expression, ("a", "b"))
    # Nothing but the exponential spans more than the range: tiny factors round as they are.
    assert in_ulp(exact, values, [a, b], BFLOAT16).max() <= BFLOAT16.budget


def test_a_choice_spares_the_guard_of_the_branch_that_it_leaves():
    text = "where(x > 0, 1, exp(x))"
    expression = stable(text, BFLOAT16).expression
    program = lower((expression,), {"x": F32}, SHORT32)
    assert program.count(Op.LT) <= 2  # the condition, and the end below
    x, _ = numbers(BFLOAT16, 11)
    values = run(program, x)[0].astype(np.float64)
    exact = Evaluator(parse(text).expression, ("x",))
    assert in_ulp(exact, values, [x], BFLOAT16).max() <= BFLOAT16.budget
    # Elsewhere it is guarded: the other branch may be taken for what is beyond.
    program = lower((parse("exp(x)").expression,), {"x": F32}, SHORT32)
    ends = np.array([-np.inf, np.inf, -1e38, 1e38, np.nan], np.float32)
    np.testing.assert_array_equal(run(program, ends)[0], np.float32([0, np.inf, 0, np.inf, np.nan]))


@pytest.mark.parametrize("text", ["exp(-2*abs(x))", "exp(-(abs(x)*abs(x)))", "exp(2*abs(x))"])
def test_the_sign_of_a_product_says_where_an_exponential_is_guarded(text):
    root = parse(text).expression
    program = lower((root,), {"x": F32}, SHORT32)
    anything = lower((parse("exp(2*x)").expression,), {"x": F32}, SHORT32)
    assert program.count(Op.LT) < anything.count(Op.LT)
    x, _ = numbers(BFLOAT16, 11)
    values = run(program, x)[0].astype(np.float64)
    limited = np.abs(x) < 1e4  # beyond, ball arithmetic takes long and all is 0 or infinite
    exact = Evaluator(root, ("x",))
    assert in_ulp(exact, values[limited], [x[limited]], BFLOAT16).max() <= BFLOAT16.budget
    assert set(values[~limited].tolist()) == {math.inf if "-" not in text else 0.0}


def test_where_nothing_keeps_the_budget_more_digits_go_before_a_smaller_error(monkeypatch):
    """That a short function is closer at the points of a sample means nothing then."""

    def by_chance(stable, scheme, reference=None, most=math.inf):
        return 1.0 if scheme is SHORT32 else 2.0

    monkeypatch.setattr("gradsmith.numerics.ladder.measured", by_chance)
    assert choose(stable("tanh(x) - 0.3", FLOAT16)).scheme is PLAIN32
