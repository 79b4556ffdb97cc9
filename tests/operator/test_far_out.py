"""Upstream gradients so large that they make something of a derivative no float32 can hold.

Oracle: the derivative of the formula as it stands, in ball arithmetic.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradsmith as gs
from gradsmith.calculus.derivative import differentiate
from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Symbol
from tests.numerics.accuracy import float32_errors

ACTIVATIONS = (
    *("sigmoid", "tanh", "logsigmoid", "silu", "gelu", "gelu_tanh", "mish", "tanhshrink"),
    *("x*sigmoid(0.3*x)*exp(-abs(x))", "sigmoid(-3*x)", "x/cosh(1.25*x)", "x*(1 + erf(1.25*x))/2"),
)
HELD = 2.0**-160
"""Two float32 hold an exponential times 2⁶⁴: far below this they lose its digits, and it."""


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_far_out_a_gradient_is_right_or_too_small_to_hold(name: str) -> None:
    rng = np.random.default_rng(5)
    sizes = np.concatenate([rng.uniform(3, 25, 400), rng.uniform(60, 230, 400), [1e4, 1e30, 3e38]])
    xs = np.concatenate([sizes, -sizes]).astype(np.float32)
    upstream = np.ldexp(rng.uniform(1, 2, xs.size), rng.integers(40, 90, xs.size))
    upstream = upstream.astype(np.float32)
    x = torch.tensor(xs, requires_grad=True)
    activation = gs.activation(name)
    (found,) = torch.autograd.grad(activation(x), x, torch.from_numpy(upstream))
    slope = Evaluator(differentiate(activation.formula.expression, Symbol("x")), ("x",))
    slopes = [slope(at) for at in xs.tolist()]
    products = [f * g for f, g in zip(slopes, upstream.tolist(), strict=True)]
    errors = float32_errors(found.numpy(), products)
    held = np.array([abs(float(f.mid())) >= HELD for f in slopes])
    assert errors[held].max() <= 1
    sizes = np.array([abs(float(p.mid())) for p in products])
    assert (np.abs(found.numpy()) <= 1.001 * sizes + 2.0**-149)[~held].all()
