"""What one input only multiplies is judged by itself: a gate is right beside its roots too.

Oracle: the formula as it stands, in ball arithmetic.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.calculus.derivative import differentiate
from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.ladder import FULL64, PLAIN32, SHORT64, choose
from gradsmith.numerics.lower import lower
from gradsmith.numerics.program import F32
from gradsmith.numerics.separable import of_other_factor, with_own_factor
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import FLOAT32
from tests.numerics.accuracy import float32_errors

A, B, C = map(Symbol, "abc")
GATES = {
    "swiglu": ("b*sigmoid(b)", -1.2784645),
    "geglu": ("b/2*erfc(-b/sqrt(2))", -0.7517916),
    "mish": ("b*tanh(log(1 + exp(b)))", -1.1924312),
    "of a difference": ("(exp(b) - 3)", None),
}


def expression(text):
    return parse(text, {}, ["a", "b", "c"]).expression


def stable(root, arguments=("a", "b")):
    return stabilise(root, arguments, {}, target=FLOAT32)


def errors(root, way, a, b):
    """In ULP of float32; 0 where value and exact value are both beyond its range."""
    program = lower((way.stable.expression,), {"a": F32, "b": F32}, way.scheme, F32)
    (computed,) = run(program, a, b)
    exact = Evaluator(root, ("a", "b"))
    return float32_errors(computed, map(exact, a.tolist(), b.tolist()))


def sizes(rng, count, low=-149, high=127):
    signed = np.ldexp(rng.uniform(1, 2, count), rng.integers(low, high, count))
    return (signed * rng.choice([-1, 1], count)).astype(np.float32)


@pytest.mark.parametrize("name", ["swiglu", "geglu", "mish"])
def test_the_gradient_of_a_gate_is_right_beside_its_root(name):
    gate, place = GATES[name]
    root = differentiate(expression(f"a*{gate}"), B)
    way = choose(stable(root), alone=True)
    start = int(np.float32(place).view(np.int32))
    b = np.arange(start - 300, start + 300, dtype=np.int32).view(np.float32)
    a = np.random.default_rng(2).normal(size=b.shape).astype(np.float32)
    assert errors(root, way, a, b).max() <= 0.5 + 0.25


@pytest.mark.parametrize("name", GATES)
def test_it_is_right_where_one_factor_is_huge_and_the_other_is_nothing(name):
    root = expression(f"a*{GATES[name][0]}")
    way = choose(stable(root), alone=True)
    assert way.scheme in (SHORT64, FULL64)
    rng = np.random.default_rng(5)
    huge, deep = sizes(rng, 400, 60), rng.uniform(-170, -60, 400).astype(np.float32)
    a = np.concatenate([huge, sizes(rng, 1500), rng.normal(size=400).astype(np.float32)])
    b = np.concatenate([deep, sizes(rng, 1500, -149, 9), rng.normal(size=400).astype(np.float32)])
    assert errors(root, way, a, b).max() <= 0.5 + 0.1


@pytest.mark.parametrize(
    ("text", "factor", "rest"),
    [
        ("a*sigmoid(b)", A, "sigmoid(b)"),
        ("b*tanh(b)*a + a*b**2", A, "b*tanh(b) + b**2"),
        ("sin(a)*b", B, "sin(a)"),
        ("exp(a)*b*c - b*c**2", B, "exp(a)*c - c**2"),
        ("where(b > 0, a*b, a)", A, "where(b > 0, b, 1)"),
    ],
)
def test_the_factor_is_found(text, factor, rest):
    arguments = ("a", "b", "c") if "c" in text else ("a", "b")
    found = with_own_factor(expression(text), arguments, {})
    assert found == (factor, expression(rest))


@pytest.mark.parametrize(
    "text",
    ["a + b", "a*b + 1", "a**2*exp(b)", "where(a > 0, a*b**2, a)", "abs(a)*exp(b)", "a*exp(a*b)"],
)
def test_there_is_none(text):
    assert with_own_factor(expression(text), ("a", "b"), {}) is None


def test_a_parameter_is_no_factor_and_needs_no_splitting():
    assert with_own_factor(expression("a*tanh(b)"), ("a", "b"), {"a": 1.0}) is None


def test_of_many_factors_as_many_are_taken_as_there_is_range_for():
    target, levels = FLOAT32, 0
    while (wider := of_other_factor(target)) is not None:
        target, levels = wider, levels + 1
        assert target.largest < 1e300
    assert levels == 2
    names = ("a", "b", "c", "d", "x")
    root = parse("a*b*c*d*tanh(x)", {}, names).expression
    found = stabilise(root, names, {}, target=FLOAT32)
    assert choose(found, alone=True).error <= 0.5


def test_one_rounding_stays_one():
    assert choose(stable(expression("a*max(b, 0)")), alone=True).scheme is PLAIN32


@settings(max_examples=10, deadline=None, derandomize=True)
@given(scale=st.decimals("0.4", "3", places=2))
def test_any_gate_has_a_gradient_that_is_right_beside_its_root(scale):
    root = differentiate(expression(f"a*b/(1 + exp(-{scale}*b))"), B)
    way = choose(stable(root), alone=True)
    place = np.float32(-1.2784645427610738 / float(scale))
    start = int(place.view(np.int32))
    b = np.arange(start - 60, start + 60, dtype=np.int32).view(np.float32)
    assert errors(root, way, np.full_like(b, 1.375), b).max() <= 0.5 + 0.25
