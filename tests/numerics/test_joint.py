"""Gradients in one Program share an exponential where that is cheaper, and keep their budgets.

Oracle: ball arithmetic with the derivative itself.
"""

from __future__ import annotations

import numpy as np
import pytest

from gradsmith.calculus.derivative import differentiate
from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Call, Number, Symbol, free_symbols, walk
from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import exp
from gradsmith.numerics import joint
from gradsmith.numerics.cost import cost
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.joint import shared_forms
from gradsmith.numerics.ladder import FULL64, SHORT64, WORDS32, choose
from gradsmith.numerics.lower import lower
from gradsmith.numerics.program import F32
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import FLOAT32
from tests.numerics.accuracy import float32_errors

INPUTS = ("a", "b")
# One rounding, and what a constant that puts a root in its place may leave beside it.
MOST = 0.5 + 0.25


def gradients(text):
    """Of both inputs: the derivative, its stable form, and what it is computed by in float64."""
    formula = parse(text, {}, INPUTS)
    roots = [differentiate(formula.expression, Symbol(name)) for name in INPUTS]
    stables = [stabilise(root, read_by(root), {}, target=FLOAT32) for root in roots]
    return roots, stables, [in_float64(stable) for stable in stables]


def read_by(root):
    return sorted(symbol.name for symbol in free_symbols(root))


def in_float64(stable):
    way = choose(stable, alone=True)
    return way.stable.expression if way.scheme is SHORT64 else stable.expression


def exponentials(forms):
    return {node for node in walk(*forms) if isinstance(node, Call) and node.function is exp}


def price(forms):
    return cost(lower(forms, dict.fromkeys(INPUTS, F32), SHORT64, F32))


@pytest.mark.parametrize(
    "text", ["a*sigmoid(b)", "a*b*sigmoid(b)", "a*b*sigmoid(1.7*b)", "a/(1 + exp(-3*b))"]
)
def test_gates_have_one_exponential_and_every_digit(text):
    roots, stables, own = gradients(text)
    forms = shared_forms(stables, own, SHORT64)
    assert len(exponentials(own)) == 2 or price(forms) < price(own)
    assert len(exponentials(forms)) == 1
    assert price(forms) <= price(own)
    program = lower(forms, dict.fromkeys(INPUTS, F32), SHORT64, F32)
    rng = np.random.default_rng(11)
    roots_of_silu = [-1.2784645427610738 / scale for scale in (1, 1.7)]
    near = [np.float32(root).view(np.int32) + np.arange(-50, 50) for root in roots_of_silu]
    b = np.concatenate(
        [
            np.concatenate(near).astype(np.int32).view(np.float32),
            rng.normal(size=300).astype(np.float32),
            rng.uniform(-170, 170, 300).astype(np.float32),
        ]
    )
    huge = np.ldexp(rng.uniform(1, 2, b.shape), rng.integers(-126, 127, b.shape))
    for a in (rng.normal(size=b.shape).astype(np.float32), huge.astype(np.float32)):
        for root, values in zip(roots, run(program, a, b), strict=True):
            exact = Evaluator(root, INPUTS)
            values = np.broadcast_to(values, b.shape)
            assert float32_errors(values, map(exact, a.tolist(), b.tolist())).max() <= MOST


@pytest.mark.parametrize("text", ["a*tanh(b)", "a*erf(b)", "b*sigmoid(a) + a", "a*max(b, 0)"])
def test_what_gains_nothing_stays(text):
    _, stables, own = gradients(text)
    forms = shared_forms(stables, own, SHORT64)
    assert price(forms) <= price(own)
    if len(exponentials(own)) < 2:
        assert all(form is given for form, given in zip(forms, own, strict=True))


def test_without_range_to_spare_each_keeps_its_own():
    _, stables, own = gradients("a*sigmoid(b)")
    for scheme in (WORDS32, FULL64):
        assert shared_forms(stables, own, scheme) == own
    assert shared_forms(stables[:1], own[:1], SHORT64) == own[:1]


def test_a_form_that_misses_the_budget_is_not_taken(monkeypatch):
    _, stables, own = gradients("a*sigmoid(b)")
    assert shared_forms(stables, own, SHORT64) != own
    # As if the exponential of the one could be held so early that it shows.
    monkeypatch.setattr(joint, "held_at", lambda scheme, target: 3)
    assert shared_forms(stables, own, SHORT64) == own


def test_too_many_combinations_are_not_tried(monkeypatch):
    _, stables, own = gradients("a*sigmoid(b)")
    monkeypatch.setattr(joint, "_MOST", 8)
    assert shared_forms(stables, own, SHORT64) == own
    assert Number(0) not in own
