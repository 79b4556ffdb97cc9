"""Functions found to be a limit plus an exponential times a table, and those that are not.

Oracle: the formula as it stands, in ball arithmetic.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Symbol
from gradsmith.formula.nodes import of_nodes, to_nodes
from gradsmith.formula.parse import parse
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.ladder import FULL64, SHORT64, WORDS32, Way, choose, has_table
from gradsmith.numerics.lower import lower
from gradsmith.numerics.program import F32
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.tabulate import tabulated_forms
from gradsmith.numerics.target import BFLOAT16, FLOAT32
from gradsmith.numerics.trial import measured
from tests.numerics.accuracy import float32_errors

SIGMOID = "1/(1 + exp(-x))"
FORMS = {
    "silu′": f"{SIGMOID}*(1 + x*(1 - {SIGMOID}))",
    "gelu": "x/2*erfc(-x/sqrt(2))",
    "gelu′": "erfc(-x/sqrt(2))/2 + x*exp(-x**2/2)/sqrt(2*pi)",
    "mirrored gelu": "x/2*erfc(x/sqrt(2))",
    "mirrored gelu′": "erfc(x/sqrt(2))/2 - x*exp(-x**2/2)/sqrt(2*pi)",
    "steep gelu": "x/2*erfc(-300*x)",
    "wide gelu": "x/2*erfc(-x/8)",
    "mish": "x*tanh(log(1 + exp(x)))",
    "scaled silu′": "sigmoid(1.702*x)*(1 + 1.702*x*(1 - sigmoid(1.702*x)))",
    "hermite": "(1 - x**2)*exp(-x**2/2)",
    "two sides": "log(1 + exp(x/2))/(1 + exp(x/2))",
}
BEYOND_ROUNDING = 0.3
"""In ULP: what the table may add, and what the two words of a result still lose."""


def stable(text, target=FLOAT32, **parameters):
    formula = parse(text, parameters)
    return stabilise(formula.expression, formula.arguments, formula.parameters, target=target)


def with_table(text):
    """The form as a way of computing, whether or not another one is cheaper."""
    found = stable(text)
    (expression,) = tabulated_forms(found)
    formed = replace(found, expression=expression)
    return Way(WORDS32, formed, measured(formed, WORDS32, found))


def errors(text, expression, xs, upstream=None):
    """In ULP of float32, of the value times an upstream gradient; 0 where both are nothing."""
    inputs = {"x": F32} if upstream is None else {"x": F32, "g": F32}
    root = expression if upstream is None else expression * Symbol("g")
    given = [xs] if upstream is None else [xs, upstream]
    (computed,) = run(lower((root,), inputs, WORDS32, F32), *given)
    exact = Evaluator(parse(text).expression, ("x",))
    factors = np.ones_like(xs) if upstream is None else upstream
    pairs = zip(xs.tolist(), factors.tolist(), strict=True)
    return float32_errors(computed, (exact(x) * g for x, g in pairs))


def inputs(count=4000):
    rng = np.random.default_rng(11)
    groups = [
        rng.uniform(-8, 8, count),
        rng.uniform(-110, 110, count // 4),
        np.ldexp(rng.uniform(1, 2, count), rng.integers(-149, 20, count)) * rng.choice([-1, 1]),
    ]
    return np.concatenate(groups).astype(np.float32)


@pytest.mark.parametrize("name", ["gelu", "gelu′"])
def test_it_is_chosen(name):
    way = choose(stable(FORMS[name]), alone=True)
    assert way.scheme is WORDS32
    assert has_table(way.stable.expression)


@pytest.mark.parametrize("name", FORMS)
def test_it_is_right(name):
    way = with_table(FORMS[name])
    assert way.error <= 0.25
    found = errors(FORMS[name], way.stable.expression, inputs())
    # A subnormal result is rounded to 24 digits, then to those it has.
    assert np.quantile(found, 0.9) <= 0.5 + BEYOND_ROUNDING / 2
    assert found.max() <= 0.5 + BEYOND_ROUNDING


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("silu′", -1.2784645),
        ("gelu′", -0.7517916),
        ("mirrored gelu′", 0.7517916),
        ("hermite", 1.0),
    ],
)
def test_beside_a_root_digits_are_left(name, place):
    way = with_table(FORMS[name])
    start = int(np.float32(place).view(np.int32))
    close = np.arange(start - 300, start + 300, dtype=np.int32).view(np.float32)
    near = (place + np.linspace(-0.6, 0.6, 2000)).astype(np.float32)
    xs = np.concatenate([close[close != 1.0], near[near != 1.0]])
    assert errors(FORMS[name], way.stable.expression, xs).max() <= 0.5 + BEYOND_ROUNDING


@pytest.mark.parametrize("name", ["silu′", "gelu", "mish"])
def test_products_with_upstream_gradients_of_any_size_are_right(name):
    way = with_table(FORMS[name])
    rng = np.random.default_rng(3)
    xs = rng.uniform(-12, 12, 3000).astype(np.float32)
    sizes = np.ldexp(rng.uniform(1, 2, 3000), rng.integers(-140, 127, 3000))
    upstream = (sizes * rng.choice([-1.0, 1.0], 3000)).astype(np.float32)
    found = errors(FORMS[name], way.stable.expression, xs, upstream)
    assert found.max() <= 0.5 + BEYOND_ROUNDING


@pytest.mark.parametrize(
    ("name", "below", "above"),
    [
        ("silu′", -0.0, 1.0),
        ("gelu", -0.0, math.inf),
        ("mirrored gelu", -math.inf, 0.0),
        ("mish", -0.0, math.inf),
        ("hermite", -0, -0),
    ],
)
def test_infinities_and_nan(name, below, above):
    way = with_table(FORMS[name])
    program = lower((way.stable.expression,), {"x": F32}, WORDS32, F32)
    xs = np.array([-math.inf, math.inf, math.nan], np.float32)
    computed = run(program, xs)[0]
    assert computed[0] == below
    assert computed[1] == above
    assert math.isnan(computed[2])
    assert np.signbit(computed[0])  # what underflows here is negative


@pytest.mark.parametrize("name", ["silu′", "gelu′", "hermite"])
def test_far_out_upstream_gradients_of_any_size_find_nothing(name):
    """There f is below 2⁻¹⁹⁰, of which no upstream gradient makes anything but what is wrong."""
    way = with_table(FORMS[name])
    root = way.stable.expression * Symbol("g")
    program = lower((root,), {"x": F32, "g": F32}, WORDS32, F32)
    xs = -np.geomspace(140, 3e38, 100).astype(np.float32)
    for g in (1.0, 1e30, -3e38):
        computed = run(program, xs, np.full_like(xs, g))[0]
        assert not computed.any()
        assert (np.signbit(computed) == (g > 0)).all()


def test_infinite_upstream_gradients_stay_infinite():
    way = with_table(FORMS["silu′"])
    root = way.stable.expression * Symbol("g")
    program = lower((root,), {"x": F32, "g": F32}, WORDS32, F32)
    xs = np.array([-100.0, -5.0, -1.0, 0.0, 1.0, 50.0], np.float32)
    for g in (math.inf, -math.inf):
        computed = run(program, xs, np.full_like(xs, g))[0]
        assert np.array_equal(computed, g * np.array([-1, -1, 1, 1, 1, 1]))


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("name", ["gelu", "mirrored gelu", "mish"])
def test_zeros_keep_their_sign(name, zero):
    way = with_table(FORMS[name])
    program = lower((way.stable.expression,), {"x": F32}, WORDS32, F32)
    (computed,) = run(program, np.array([zero], np.float32))[0]
    assert computed == 0
    assert np.signbit(computed) == np.signbit(zero)


@pytest.mark.parametrize(
    "text",
    [
        "x/(1 + abs(x))",  # no exponential
        "exp(x)/(2 + x**2)",  # which grows
        "x*exp(-sin(x)**2)",  # and one that does not fall
        "exp(-x**2)*cos(40*x)",  # too quick
        "where(x < 1.5, exp(x), 2)*exp(-x**2)",  # a jump
        "where(x < 0, exp(x), 1 + exp(-x))",  # one at 0
        "exp(-x**2)*log(x)",  # not defined on both sides
        "log(1 + exp(x))",  # grows like x
        "x - tanh(x)",  # a zero that no limit at infinity fits
        "2/(1 + exp(x)) - 3/4*exp(-abs(x))",  # of which most cancels
    ],
)
def test_what_has_no_such_form_gets_none(text):
    assert list(tabulated_forms(stable(text))) == []


def test_several_inputs_and_parameters_get_none():
    formula = parse("y*exp(-x**2)", inputs=("x", "y"))
    two = stabilise(formula.expression, formula.arguments, formula.parameters, target=FLOAT32)
    assert list(tabulated_forms(two)) == []
    assert list(tabulated_forms(stable("x*sigmoid(b*x)", b=1.5))) == []
    assert list(tabulated_forms(stable("x*sigmoid(1.5*x)"))) != []


def test_it_is_found_again_from_the_cache():
    """The same tree from its nodes: a plan that was kept."""
    expression = with_table(FORMS["silu′"]).stable.expression
    assert of_nodes(to_nodes(expression)) == (expression,)


def test_other_ways_of_computing_do_not_know_it():
    expression = with_table(FORMS["silu′"]).stable.expression
    for scheme in (SHORT64, FULL64):
        with pytest.raises(NotImplementedError, match="tabulated"):
            lower((expression,), {"x": F32}, scheme, F32)


def test_none_is_made_where_what_is_cheaper_serves(monkeypatch):
    def forbidden(stable):
        raise AssertionError(stable.root)
        yield

    monkeypatch.setattr("gradsmith.numerics.ladder.tabulated_forms", forbidden)
    for text in ("x*sigmoid(x)", "1/(1 + exp(-x))", "where(x > 0, x, 0.1*x)"):
        assert not has_table(choose(stable(text), alone=True).stable.expression)
    choose(stable(FORMS["silu′"]))  # with float64 there are no two words


def test_a_half_format_takes_it_where_float32_has_too_little_range():
    target = BFLOAT16.wider
    way = choose(stable(FORMS["gelu′"], target), in_words=True)
    assert has_table(way.stable.expression)
    assert way.error <= target.budget


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    scale=st.decimals("0.3", "3", places=2),
    outer=st.sampled_from(
        [
            "({c})*(1 + {u}*(1 - ({c})))",
            "x*({c})",
            "x*(1 - ({c}))",
            "({c})*(1 - ({c}))",
            "({c}) - 3/10",
        ]
    ),
    core=st.sampled_from(["1/(1 + exp(-({u})))", "erfc(-({u}))/2", "(1 + tanh({u}))/2"]),
)
def test_any_such_form_is_within_what_it_was_measured_to_be(scale, outer, core):
    u = f"{scale}*x"
    text = outer.format(c=core.format(u=u), u=u)
    found = stable(text)
    for expression in tabulated_forms(found):
        error = measured(replace(found, expression=expression), WORDS32, found)
        xs = inputs(800)
        lost = errors(text, expression, xs)
        # Results that are subnormal are rounded twice.
        assert lost.max() <= max(0.5 + error / 0.8, 0.5) + 0.27, (text, error)
