"""Modules: parameters as numbers, buffers or learnable, and all that torch.nn modules can do."""

from __future__ import annotations

import io
import pickle
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import nn

from gradsmith.activation import activation
from gradsmith.operator.module import ActivationModule

SWISH = activation("x*sigmoid(beta*x)", beta=1.0, name="swish")
SCALED = activation("a*tanh(b*x)", a=2.0, b=0.5)
GATE = activation("u*sigmoid(v)", inputs=("u", "v"))


def test_numbers_are_attributes_that_can_be_set() -> None:
    module = SCALED.module(b=3)
    assert (module.a, module.b) == (2.0, 3.0)
    assert list(module.parameters()) == []
    assert module.state_dict() == {}
    x = torch.randn(4)
    assert torch.equal(module(x), SCALED(x, 2.0, 3.0))
    module.a = 5.0
    assert torch.equal(module(x), SCALED(x, 5.0, 3.0))


@pytest.mark.parametrize("learnable", [True, "beta", ["beta"], ("beta",)])
def test_learnable_numbers_become_0_dimensional_parameters(learnable: object) -> None:
    module = SWISH.module(learnable=learnable, beta=1.25)
    (parameter,) = module.parameters()
    assert parameter is module.beta
    assert (parameter.shape, parameter.dtype, parameter.item()) == ((), torch.float32, 1.25)
    module(torch.randn(8)).sum().backward()
    assert parameter.grad is not None
    assert module.learnable == ("beta",)


def test_only_the_named_parameters_are_learned() -> None:
    module = SCALED.module(learnable="b")
    assert dict(module.named_parameters()).keys() == {"b"}
    assert module.a == 2.0


def test_the_default_dtype_is_followed() -> None:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert SWISH.module(learnable=True).beta.dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_a_given_tensor_is_copied_to_a_buffer_or_a_parameter() -> None:
    given = torch.tensor([1.0, 2.0])
    fixed, learned = SWISH.module(beta=given), SWISH.module(learnable=True, beta=given)
    assert list(fixed.state_dict()) == ["beta"]
    assert not list(fixed.parameters())
    assert isinstance(learned.beta, nn.Parameter)
    given.zero_()
    assert fixed.beta.tolist() == learned.beta.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("shape", [(5, 3), (5, 3, 2), (2, 3, 4, 5)])
def test_one_value_per_channel_goes_with_dimension_1_as_in_prelu(shape: tuple[int, ...]) -> None:
    slopes = torch.tensor([0.1, 0.2, 0.3])
    formula = activation("where(x > 0, x, weight*x)", weight=0.25)
    module, theirs = formula.module(learnable=True, weight=slopes), nn.PReLU(3)
    theirs.weight.data.copy_(slopes)
    x = torch.randn(shape)
    torch.testing.assert_close(module(x), theirs(x), rtol=1.2e-7, atol=0)
    module(x).sum().backward()
    theirs(x).sum().backward()
    torch.testing.assert_close(module.weight.grad, theirs.weight.grad, rtol=1e-5, atol=1e-6)


def test_a_single_value_goes_with_any_input() -> None:
    module = SWISH.module(learnable=True, beta=torch.tensor([1.0]))
    for shape in [(), (3,), (2, 3, 4)]:
        assert module(torch.randn(shape)).shape == shape


def test_values_that_are_not_one_per_channel_are_refused() -> None:
    module = SWISH.module(beta=torch.ones(4))
    for shape in [(4,), (2, 3), (2, 3, 4)]:
        with pytest.raises(ValueError, match=r"beta has 4 values.*channel.*got.*\("):
            module(torch.randn(shape))


def test_a_module_of_several_inputs() -> None:
    u, v = torch.randn(3), torch.randn(3)
    assert torch.equal(GATE.module()(u, v), GATE(u, v))


def test_state_dict_round_trip() -> None:
    source, target = SWISH.module(learnable=True, beta=3.0), SWISH.module(learnable=True)
    file = io.BytesIO()
    torch.save(source.state_dict(), file)
    file.seek(0)
    target.load_state_dict(torch.load(file))
    assert target.beta.item() == 3.0


def test_pickle_deepcopy_and_torch_save_keep_everything(tmp_path: Path) -> None:
    module = SCALED.module(learnable="b", a=7.0)
    torch.save(module, tmp_path / "module.pt")
    x = torch.randn(4)
    for copy in (
        pickle.loads(pickle.dumps(module)),
        deepcopy(module),
        torch.load(tmp_path / "module.pt", weights_only=False),
    ):
        assert torch.equal(copy(x), module(x))
        assert copy.b is not module.b
        assert copy.activation == module.activation


def test_modules_move_and_convert_as_any_other() -> None:
    model = nn.Sequential(nn.Linear(3, 4), SWISH.module(learnable=True)).double()
    assert model[1].beta.dtype == torch.float64
    assert model(torch.randn(2, 3).double()).dtype == torch.float64
    assert model.to("meta")[1].beta.is_meta
    repr(model)


def test_repr_says_what_is_learned() -> None:
    assert repr(SWISH.module()) == "ActivationModule(swish, beta=1.0)"
    learned = SCALED.module(learnable="b", b=torch.ones(3))
    assert repr(learned) == ("ActivationModule(a*tanh(b*x), a=2.0, b=[3 values], learnable=('b',))")


def test_wrong_parameters_are_refused() -> None:
    with pytest.raises(TypeError, match="no parameter 'gamma'; its parameters are beta"):
        SWISH.module(gamma=1.0)
    with pytest.raises(TypeError, match="no parameter 'gamma'"):
        SWISH.module(learnable=["gamma"])
    with pytest.raises(TypeError, match="'beta'; it has none"):
        GATE.module(learnable="beta")
    with pytest.raises(TypeError, match="beta must be a number or a tensor, got str"):
        SWISH.module(beta="1")
    with pytest.raises(TypeError, match=r"floating-point tensor, got torch\.int64"):
        SWISH.module(beta=torch.tensor(1))
    with pytest.raises(ValueError, match=r"'training'.*rename"):
        ActivationModule(activation("x*training", training=1.0))


def test_a_model_with_it_trains() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(1, 16), SWISH.module(learnable=True), nn.Linear(16, 1))
    x = torch.linspace(-2, 2, 64)[:, None]
    target = torch.sin(2 * x)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(150):
        optimizer.zero_grad()
        loss = ((model(x) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 20
    assert model[1].beta.item() != 1.0
