"""The plan says exactly what the gradients read."""

from __future__ import annotations

import pickle

import pytest
import torch

import gradsmith as gs
from gradsmith.backends import dispatch
from gradsmith.errors import FormulaError
from gradsmith.operator.saving import OUTPUT, SavePlan, plan
from tests.operator.formulas import GATE, SCALED_TANH, SWISH, operation


def test_the_union_of_what_the_gradients_read_in_the_order_of_the_call() -> None:
    made = plan({"b": ("c", "a"), "a": ("c",)}, ("a", "b", "c"), ("c",), itemsize=2)
    assert made.saved == ("a", "c")
    assert made.bytes_per_element == 2  # c is a parameter
    assert made.reason == (
        "the gradient with respect to b reads a, c; the gradient with respect to a reads c"
    )


def test_plans_of_operations() -> None:
    assert SWISH.operation().save_plan() == SavePlan(
        ("x",), 4, "the gradient with respect to x reads x"
    )
    assert GATE.operation().save_plan().saved == ("a", "b")
    assert GATE.operation().save_plan(["a"]).saved == ("b",)
    assert GATE.operation().save_plan(dtype=torch.bfloat16).bytes_per_element == 4
    both = SCALED_TANH.operation().save_plan()
    assert (both.saved, both.bytes_per_element) == (("x", "beta"), 4)


def test_nothing_is_kept_where_nothing_is_read() -> None:
    linear = operation("3*x + 1").save_plan()
    assert (linear.saved, linear.bytes_per_element) == ((), 0)
    assert linear.reason == "the gradient is constant in every operand"
    assert operation("sign(x)").save_plan().saved == ()
    assert SWISH.operation().save_plan([]) == SavePlan((), 0, "no operand needs a gradient")


def test_an_upstream_gradient_is_kept_for_the_second_backward_pass() -> None:
    gradient = SWISH.operation().gradient("x")
    assert gradient is not None
    assert gradient.save_plan().saved == ("x", "g")
    assert gradient.save_plan(["g"]).saved == ("x",)


def test_a_plan_is_printable_and_frozen() -> None:
    made = SWISH.operation().save_plan()
    assert str(made) == "saves x (4 bytes/element): the gradient with respect to x reads x"
    assert "saves nothing" in str(operation("x + 1").save_plan())
    with pytest.raises(AttributeError):
        made.saved = ()  # type: ignore[misc]


def kept_by(activation: gs.Activation, x: torch.Tensor) -> tuple[list[torch.Tensor], torch.Tensor]:
    """The tensors that the graph of one call holds, and the call's result."""
    kept: list[torch.Tensor] = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = activation(x)
    return kept, y


@pytest.mark.parametrize("backend", ["llvm", "aten"])
@pytest.mark.parametrize("formula", ["relu", "relu6", "where(x > 0, x, x/8)"])
def test_the_output_is_kept_where_that_loses_nothing(formula: str, backend: str) -> None:
    activation = gs.activation(formula)
    assert activation.save_plan().saved == (OUTPUT,)
    x = torch.tensor([-2.0, -0.0, 0.0, 1e-45, 0.5, 6.0, 7.0, torch.inf, torch.nan])
    with dispatch.using(backend):
        kept, y = kept_by(activation, x.requires_grad_())
        assert [tensor.data_ptr() for tensor in kept] == [y.data_ptr()]
        (found,) = torch.autograd.grad(y.sum(), x)
        expected = activation.derivative()(x.detach())
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def test_the_input_is_kept_where_the_output_does_not_tell() -> None:
    for formula in ("max(x, 0)", "abs(x)", "hardsigmoid", "leaky_relu", "sigmoid", "softplus"):
        assert OUTPUT not in gs.activation(formula).save_plan().saved, formula


def test_an_output_changed_in_place_is_noticed() -> None:
    x = torch.randn(5, requires_grad=True)
    y = gs.activation("relu")(x)
    y += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_the_output_can_be_asked_for_and_says_what_it_costs() -> None:
    sigmoid = gs.activation("sigmoid", save="output")
    assert "all digits are lost" in str(sigmoid.save_plan())
    x = torch.tensor([0.0, 1.0, 17.0], requires_grad=True)
    kept, y = kept_by(sigmoid, x)
    assert [tensor.data_ptr() for tensor in kept] == [y.data_ptr()]
    (found,) = torch.autograd.grad(y.sum(), x)
    assert torch.equal(found, (y * (1 - y)).detach())
    assert sigmoid != gs.activation("sigmoid")
    assert pickle.loads(pickle.dumps(sigmoid)) == sigmoid
    assert gs.activation(sigmoid).save == "output"


@pytest.mark.parametrize("name", ["elu", "softplus", "tanh"])
def test_gradients_from_the_output_are_right_to_second_order(name: str) -> None:
    activation = gs.activation(name, save="output")
    x = torch.randn(8, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    x.requires_grad_()
    assert OUTPUT in activation.save_plan().saved
    assert torch.autograd.gradcheck(activation, x)
    assert torch.autograd.gradgradcheck(activation, x)


def test_what_cannot_be_kept_is_refused_when_it_is_asked_for() -> None:
    with pytest.raises(FormulaError, match="was not found in terms of the output"):
        gs.activation("x*sigmoid(x)", save="output")
    with pytest.raises(FormulaError, match=r"is for one input; a\*b has a, b"):
        gs.activation("a*b", inputs=["a", "b"], save="output")
    with pytest.raises(ValueError, match="save is one of 'auto', 'output'; got 'mask'"):
        gs.activation("relu", save="mask")
