"""Other people's code: models that exist, and what their libraries take for an activation."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradsmith as gs
from gradsmith.catalogue import CATALOGUE
from tests.citizen.feature import Feature
from tests.citizen.subjects import Subject

# What a class is made with in tests; anything but the defaults.
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "threshold": {"threshold": 0.5, "value": 0.25},
    "leaky_relu": {"negative_slope": 0.125},
    "prelu": {"num_parameters": 6, "init": 0.5},
    "rrelu": {"lower": 0.25, "upper": 0.25},
    "hardtanh": {"min_val": -1.0, "max_val": 1.5},
    "softplus": {"beta": 1.5},
    "elu": {"alpha": 1.25},
    "celu": {"alpha": 1.25},
    "gelu": {"approximate": "tanh"},
    "hardshrink": {"lambd": 0.25},
    "softshrink": {"lambd": 0.25},
    "glu": {"dim": 0},
}


def takes_one(subject: Subject) -> bool:
    """Whether a module of it takes one tensor."""
    return len(subject.inputs) == 1 or subject.name == "glu"


def of_torch(subject: Subject) -> bool:
    """Whether ``torch.nn`` has a class of it."""
    return subject.own is None and CATALOGUE[subject.name].module is not None


def _torchs(subject: Subject) -> nn.Module:
    kind = getattr(nn, CATALOGUE[subject.name].module or "")
    made: nn.Module = kind(**_ARGUMENTS.get(subject.name, {}))
    return made


def replaces_torchs(subject: Subject) -> None:
    """``{torch.nn.X: "x"}``: a class of the same name and settings, and the same numbers."""
    torchs = _torchs(subject)
    model = nn.Sequential(nn.Linear(3, 6), torchs).double().eval()
    before, parameters = copy.deepcopy(model), list(model.parameters())
    report = gs.replace(model, {type(torchs): subject.name})
    assert report.complete
    assert report.model is model
    assert [swap.names for swap in report.swapped] == [("1",)]
    assert type(model[1]) is getattr(gs.nn, type(torchs).__name__)
    assert repr(model[1]) == repr(torchs)
    assert not model[1].training
    assert all(p is q for p, q in zip(model.parameters(), parameters, strict=True))
    x = torch.linspace(-3, 3, 12, dtype=torch.float64).reshape(4, 3)
    # PyTorch's softplus is cut over at a threshold, which costs it 2.1e-9.
    torch.testing.assert_close(model(x), before(x), rtol=1e-13, atol=3e-9)


def replaces_another(subject: Subject) -> str | None:
    """In the place of something else, in a copy, with parameters of its own beside the others."""
    model = nn.Sequential(nn.Linear(3, 6), nn.Softmax(-1)).double()
    if not takes_one(subject):
        with pytest.raises(ValueError, match="takes one") as refused:
            gs.replace(model, {nn.Softmax: subject.activation})
        assert type(model[1]) is nn.Softmax
        return str(refused.value)
    report = gs.replace(model, {"1": subject.module(learnable=True)}, copy=True)
    assert type(model[1]) is nn.Softmax
    assert report.complete
    made = report.model[1]
    assert all(p.dtype is torch.float64 for p in made.parameters())
    inner = report.model[0](torch.linspace(-3, 3, 12, dtype=torch.float64).reshape(4, 3))
    halves = inner.chunk(2, -1) if subject.name == "glu" else (inner,)
    torch.testing.assert_close(made(inner), subject.reference(*halves), rtol=1e-12, atol=1e-12)
    return None


class _Holder(nn.Module):
    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.function(x)
        return result


def replaces_functions(subject: Subject) -> None:
    """``{torch.nn.functional.x: "x"}`` where a module holds it; without that key it is told."""
    function = getattr(nn.functional, CATALOGUE[subject.name].torch.rpartition(".")[2])
    model = nn.Sequential(_Holder(function))
    told = gs.replace(model, {type(_torchs(subject)): subject.name})
    assert [left.names for left in told.left] == [("0.function",)]
    assert model[0].function is function
    report = gs.replace(model, {function: subject.name})
    assert [swap.names for swap in report.swapped] == [("0.function",)]
    assert model[0].function is getattr(gs, subject.name)


def makes_layers(subject: Subject) -> None:
    """``act_layer()``: a module of its own for each block, with ``inplace`` or without."""
    given = dict(subject.parameters)
    if subject.name == "prelu":
        given = {"init": given["weight"]}
    if subject.name == "rrelu":
        given = dict.fromkeys(("lower", "upper"), given["slope"])
    layer = gs.act_layer(subject.activation, **given)
    expected = subject(*subject.tensors(shape=(4, 6)))
    for made in (layer(), layer(inplace=True), pickle.loads(pickle.dumps(layer))()):
        inputs = subject.tensors(shape=(4, 6))
        whole = (torch.cat(inputs, -1),) if subject.name == "glu" else inputs
        assert torch.equal(made.double().eval()(*whole), expected)
    assert layer() is not layer()


FEATURES = (
    Feature("replace: its class of torch.nn", "doors", replaces_torchs, of_torch),
    Feature("replace: another module", "doors", replaces_another),
    Feature("replace: a function held", "doors", replaces_functions, of_torch),
    Feature("act_layer", "doors", makes_layers),
)
