"""How a gradient is computed is found while the value is compiled, if one is asked for then."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import gradsmith as gs
from gradsmith.backends import dispatch
from gradsmith.operator import recorded
from gradsmith.operator.pointwise import Pointwise

pytestmark = pytest.mark.skipif(
    dispatch.native_reason() is not None, reason="no native code on this machine"
)


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", "off")


def operands(dtype: torch.dtype = torch.float32, gradient: bool = True) -> Tensor:
    return torch.linspace(-3, 3, 50, dtype=dtype).requires_grad_(gradient)


def gradient_of(activation: gs.Activation, name: str = "x") -> Pointwise:
    gradient = activation.operation.gradient(name)
    assert gradient is not None
    return gradient


def test_it_is_known_before_the_backward_pass_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    activation = gs.activation("x*tanh(0.8125*x) + x/17")
    x = operands()
    y = activation(x)
    known = dict(gradient_of(activation)._computations)
    assert known
    y.sum().backward()
    assert gradient_of(activation)._computations == known
    monkeypatch.setattr(recorded, "_prepare", lambda *_: None)
    plain = gs.activation("x*tanh(0.8125*x) + x*(1/17)")
    other = operands()
    plain(other).sum().backward()
    assert x.grad is not None
    assert other.grad is not None
    # Each is within 1 ULP, which is 2⁻²³ of it at most.
    assert torch.allclose(x.grad, other.grad, rtol=2.0**-22, atol=0)


def test_of_several_inputs_each_is(monkeypatch: pytest.MonkeyPatch) -> None:
    activation = gs.activation("a*tanh(0.8125*b) + b/19", inputs=("a", "b"))
    activation(operands(), operands())
    assert gradient_of(activation, "a")._computations
    assert gradient_of(activation, "b")._computations


@pytest.mark.parametrize(
    ("dtype", "gradient"), [(torch.float32, False), (torch.float64, True)], ids=["unasked", "told"]
)
def test_where_none_is_asked_for_or_its_user_is_told_of_it_nothing_is_looked_for(
    dtype: torch.dtype, gradient: bool
) -> None:
    activation = gs.activation(f"x*tanh(0.8125*x) + x/{23 if gradient else 29}")
    activation(operands(dtype, gradient))
    assert not gradient_of(activation)._computations
