"""``gs.replace``: what it swaps, what it leaves, and that it tells of both."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradsmith as gs
from gradsmith.errors import FormulaError
from tests.doors import models
from tests.doors.models import Block, Hidden, line

BOTH = {nn.GELU: "gelu", nn.ReLU: "relu"}


def places(report: gs.Replacement) -> set[str]:
    return {name for swap in report.swapped for name in swap.names}


def calls(report: gs.Replacement, seen: bool) -> set[tuple[str, int]]:
    assert all(call.file == models.__file__ for call in report.calls)
    return {(call.function, call.line) for call in report.calls if call.seen is seen}


# Which rule speaks of what.


def test_a_class_means_that_class_alone() -> None:
    class Shifted(nn.GELU):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x + 1)

    model = nn.Sequential(nn.GELU(), Shifted(), nn.ReLU6())
    report = gs.replace(model, {nn.GELU: "mish", nn.Hardtanh: "tanh"})
    assert places(report) == {"0"}
    # PyTorch's ReLU6 is a Hardtanh, and not the one that a rule for Hardtanh means.
    assert [left.names for left in report.left] == [("1",), ("2",)]
    assert not report.complete
    assert report.unused == ("Hardtanh",)


def test_names_patterns_and_modules_go_before_classes() -> None:
    model = nn.ModuleDict({name: nn.GELU() for name in ("a", "ab", "b", "c")})
    rules = {
        nn.GELU: "gelu",
        "a*": "silu",
        "ab": "mish",
        model["b"]: "tanh",
    }
    gs.replace(model, rules)
    kinds = [type(module).__name__ for module in model.values()]
    assert kinds == ["SiLU", "Mish", "Tanh", "GELU"]
    assert all(type(module).__module__ == "gradsmith.nn" for module in model.values())


def test_a_module_in_several_places_is_swapped_by_one() -> None:
    shared = nn.PReLU()
    block = nn.Sequential(shared)
    model = nn.Sequential(shared, block, block, nn.ModuleList([shared]))
    report = gs.replace(model, {nn.PReLU: "prelu"})
    assert model[0] is model[1][0] is model[3][0]
    assert type(model[0]) is gs.nn.PReLU
    assert places(report) == {"0", "1.0", "2.0", "3.0"}


def test_what_is_inside_of_what_goes_is_not_swapped() -> None:
    model = nn.Sequential(nn.Sequential(nn.GELU(), nn.ReLU()))
    report = gs.replace(model, {"0": "silu", nn.GELU: "gelu", nn.ReLU: "relu"})
    assert places(report) == {"0"}
    assert type(model[0]) is gs.nn.SiLU


def test_without_rules_everything_that_the_catalogue_has() -> None:
    model = nn.Sequential(Block(), nn.Softplus(2.0), nn.Softmax(-1))
    x = torch.randn(3, 4)
    expected = model(x)
    report = gs.replace(model)
    assert places(report) == {"0.relu", "0.gelu", "0.function", "0.bound", "1"}
    assert not report.unused
    # PyTorch's own float32 is up to 1e-6 off where these are not.
    torch.testing.assert_close(model(x), expected, rtol=1e-5, atol=1e-6)


# What takes the place.


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x*tanh(x)", "ActivationModule"),
        (gs.nn.SiLU, "SiLU"),
        (partial(gs.nn.LeakyReLU, 0.3), "LeakyReLU"),
        (gs.act_layer("x*sigmoid(beta*x)", beta=2.0, learnable=True), "ActivationModule"),
        (nn.Softsign(), "Softsign"),
        (lambda x: x * torch.sigmoid(x), "ActivationModule"),
        (gs.silu, "SiLU"),
    ],
)
def test_values_of_every_kind(value: Any, expected: str) -> None:
    model = nn.Sequential(nn.ReLU(), nn.ReLU())
    gs.replace(model, {nn.ReLU: value})
    assert [type(module).__name__ for module in model] == [expected] * 2
    assert model[0] is not model[1]


def test_learned_parameters_go_on_and_others_are_told_of() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.PReLU(4), nn.PReLU(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    report = gs.replace(model, {"1": "prelu", "2": "silu"})
    before = model[1].weight.detach().clone()
    model(torch.randn(3, 4)).sum().backward()
    optimizer.step()
    assert not torch.equal(model[1].weight, before)
    assert [swap.note != "" for swap in report.swapped] == [False, True]
    assert "weight" in str(report.swapped[1])


def test_dtype_device_and_training_are_those_around_it() -> None:
    model = nn.Sequential(nn.Linear(2, 2, device="meta", dtype=torch.bfloat16), nn.ReLU()).eval()
    made = gs.activation("x*sigmoid(beta*x)", beta=1.0).module(learnable=True)
    gs.replace(model, {nn.ReLU: made})
    assert (model[1].beta.device.type, model[1].beta.dtype) == ("meta", torch.bfloat16)
    assert not model[1].training
    assert (made.beta.device.type, made.beta.dtype) == ("cpu", torch.float32), "it was a pattern"
    assert made.training


def test_a_copy_leaves_the_model_alone() -> None:
    model = nn.Sequential(Block(), nn.PReLU())
    before = copy.deepcopy(model)
    report = gs.replace(model, {model[1]: "prelu", **BOTH, F.gelu: "gelu"}, copy=True)
    assert repr(model) == repr(before)
    assert model[0].function is F.gelu
    assert report.model is not model
    assert report.model[1].weight is not model[1].weight
    assert places(report) == {"0.relu", "0.gelu", "0.function", "0.bound", "1"}


def test_a_bound_argument_goes_along_or_the_function_stays() -> None:
    model = nn.Sequential(Block())
    gs.replace(model, {F.gelu: "gelu"})
    x = torch.randn(5)
    assert torch.equal(model[0].bound(x), gs.gelu(x, approximate="tanh"))
    other = nn.Sequential(Block())
    report = gs.replace(other, {F.gelu: "mish"})
    assert places(report) == {"0.function"}
    assert [left.names for left in report.left] == [("0.bound",)]


# What stays as it is.


def hooked(module: nn.Module) -> None:
    module.register_forward_hook(lambda m, args, y: y + 1)


def patched(module: nn.Module) -> None:
    module.forward = lambda x: x  # type: ignore[method-assign]


def parametrized(module: nn.Module) -> None:
    nn.utils.parametrize.register_parametrization(module, "weight", nn.Softplus())


@pytest.mark.parametrize("change", [hooked, patched, parametrized])
def test_what_was_added_to_a_module_is_not_lost(change: Any) -> None:
    model = nn.Sequential(nn.PReLU(), nn.PReLU())
    change(model[0])
    report = gs.replace(model, {"0": "prelu", "1": "prelu"})
    assert places(report) == {"1"}
    assert [left.names for left in report.left] == [("0",)]
    assert type(model[0]) is not gs.nn.PReLU


def test_a_transformers_fused_inference_does_not_bring_the_old_one_back() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, activation=nn.GELU(), batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    x, padding = torch.randn(2, 3, 8), torch.tensor([[False, False, True], [False] * 3])
    gs.replace(model, {nn.GELU: "x*0"})
    with torch.no_grad():  # where PyTorch takes its fused path
        fused = model(x, src_key_padding_mask=padding)
    plain = model(x, src_key_padding_mask=padding)
    torch.testing.assert_close(fused[~padding], plain[~padding])
    gs.replace(model, {"*.activation": "relu"})
    assert not torch.allclose(model(x), plain)


# Calls that stay.


def test_calls_are_read_in_the_source() -> None:
    report = gs.replace(nn.Sequential(Block(), Block()), BOTH)
    assert calls(report, seen=True) == set()
    assert calls(report, seen=False) == {
        ("torch.nn.functional.gelu", line("direct")),
        ("torch.nn.functional.gelu", line("helper")),
        ("torch.Tensor.relu", line("method")),
        ("torch.relu", line("not reached")),
    }
    assert all(call.modules == ("0", "1") for call in report.calls)
    assert [left.names for left in report.left] == [
        (f"{i}.{name}",) for i in (0, 1) for name in ("function", "bound")
    ]
    assert not report.observed


def test_calls_are_seen_in_a_run() -> None:
    report = gs.replace(nn.Sequential(Block()), BOTH, inputs=torch.randn(3, 4))
    assert calls(report, seen=True) == {
        ("torch.nn.functional.gelu", line("direct")),
        ("torch.nn.functional.gelu", line("helper")),
        ("torch.Tensor.relu", line("method")),
        ("torch.nn.functional.gelu", line("of attributes")),
    }
    assert calls(report, seen=False) == {("torch.relu", line("not reached"))}
    rules = {F.gelu: "gelu", **BOTH}
    swapped = gs.replace(nn.Sequential(Block()), rules, inputs=torch.randn(3, 4))
    assert calls(report, seen=True) - calls(swapped, seen=True) == {
        ("torch.nn.functional.gelu", line("of attributes"))
    }


def test_a_run_finds_what_no_reader_can() -> None:
    model = nn.Sequential(nn.Linear(4, 4), Hidden("gelu"))
    assert gs.replace(model, {nn.GELU: "gelu"}).complete
    before = copy.deepcopy(model.state_dict())
    report = gs.replace(model, {nn.GELU: "gelu"}, inputs=(torch.randn(3, 4),))
    assert calls(report, seen=True) == {("torch.nn.functional.gelu", line("by name"))}
    assert [call.modules for call in report.calls] == [("1",)]
    assert "by name" in report.calls[0].source
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_a_run_leaves_the_random_numbers_alone() -> None:
    model = nn.Sequential(Hidden("gelu"))
    x = torch.ones(3, 4)
    state = torch.random.get_rng_state()
    gs.replace(model, {nn.GELU: "gelu"}, inputs={"input": x})
    assert torch.equal(torch.random.get_rng_state(), state)


def test_other_functions_and_modules_are_nobodys_business() -> None:
    report = gs.replace(nn.Sequential(Block(), nn.Sigmoid()), {nn.Tanh: "tanh"})
    assert report.complete
    assert report.swapped == ()


def test_a_model_that_cannot_run_is_as_it_was() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Sequential(layer, nn.GELU())
    before = repr(model), layer.activation_relu_or_gelu
    with pytest.raises(AssertionError, match="embedding dimension of 8, but got 7"):
        gs.replace(model, {nn.GELU: "silu", F.relu: "relu"}, inputs=torch.randn(2, 3, 7))
    assert (repr(model), layer.activation_relu_or_gelu) == before
    assert layer.activation is F.relu


# The report, and what is refused.


def test_the_report_says_it_all() -> None:
    report = gs.replace(nn.Sequential(Block()), BOTH, inputs=torch.randn(3, 4))
    text = repr(report)
    assert str(report) == text
    for part in (
        "2 places swapped",
        "0.gelu: torch.nn.GELU(approximate='tanh') → gradsmith.nn.GELU(approximate='tanh')",
        "2 places left",
        "the key torch.nn.functional.gelu swaps it",
        "5 functional calls not swapped",
        f"models.py:{line('direct')} in 0: x = F.gelu(x)",
        f"models.py:{line('not reached')} in 0 (in the source)",
    ):
        assert part in text
    with pytest.raises(AttributeError):
        report.left = ()  # type: ignore[misc]


@pytest.mark.parametrize(
    ("model", "rules", "error", "message"),
    [
        (nn.GELU, {nn.GELU: "gelu"}, TypeError, "torch.nn.Module of Python, got type"),
        (nn.GELU(), {nn.GELU: "gelu"}, ValueError, "the model itself fits 'GELU'"),
        (nn.Sequential(nn.GELU()), {"act": "gelu"}, ValueError, "no module .* called 'act'"),
        (nn.Sequential(nn.GELU()), {"1*": "gelu"}, ValueError, "no module .* called"),
        (nn.Sequential(nn.GELU()), {nn.GELU(): "gelu"}, ValueError, "not in the model"),
        (nn.Sequential(nn.GELU()), {torch.exp: "gelu"}, TypeError, "what to replace is"),
        (nn.Sequential(nn.GELU()), {int: "gelu"}, TypeError, "what to replace is"),
        (nn.Sequential(nn.GELU()), {nn.GELU: "gelo"}, FormulaError, "did you mean 'gelu'"),
        (nn.Sequential(nn.GELU()), {nn.GELU: 1.0}, TypeError, "got float"),
        (nn.Sequential(nn.GELU()), {nn.GELU: dict}, TypeError, "must make a torch.nn.Module"),
        (nn.Sequential(nn.GELU()), {nn.GELU: gs.activation("a*b", inputs=("a", "b"))}, ValueError,
         "takes 2 tensors"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(
    model: Any, rules: Any, error: type[Exception], message: str
) -> None:
    before = repr(model)
    with pytest.raises(error, match=message):
        gs.replace(model, rules)
    assert repr(model) == before


# act_layer.


def test_act_layer_learns_in_each_module_for_itself() -> None:
    layer = gs.act_layer("x*sigmoid(beta*x)", learnable=True, beta=2.0)
    one, other = layer(), layer(inplace=True)
    assert one.beta.item() == other.beta.item() == 2.0
    assert one.beta is not other.beta
    assert repr(layer) == "act_layer('x*sigmoid(beta*x)', learnable=True, beta=2.0)"


def test_inplace_is_a_permission() -> None:
    assert gs.act_layer("silu")(inplace=True).inplace is True
    assert gs.act_layer("silu")().inplace is False
    assert gs.act_layer("silu", inplace=True)().inplace is True
    assert not hasattr(gs.act_layer("gelu")(inplace=True), "inplace")


@pytest.mark.parametrize(
    ("formula", "given", "error", "message"),
    [
        ("silu", {"beta": 1.0}, TypeError, "SiLU takes"),
        ("celu", {"alpha": 0.0}, ValueError, "alpha != 0"),
        ("x*sigmoid(beta*x)", {"gamma": 1.0}, FormulaError, "unknown name 'beta'"),
        (gs.activation("x*sigmoid(b*x)", b=1.0), {"c": 1.0}, TypeError, "no parameter 'c'"),
    ],
)
def test_act_layer_refuses_at_once(
    formula: Any, given: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gs.act_layer(formula, **given)
