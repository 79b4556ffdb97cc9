"""``gradsmith.nn`` has ``torch.nn``'s classes: the same calls, the same results, the same state."""

from __future__ import annotations

import copy
import inspect
import io
import pickle
from typing import Any

import pytest
import torch

import gradsmith as gs
from gradsmith.catalogue import ENTRIES

EPS = torch.finfo(torch.float64).eps

CLASSES = [record.module for record in ENTRIES if record.module is not None]
every_class = pytest.mark.parametrize("name", CLASSES)

# Arguments of the constructor, by position or by keyword, beside the defaults.
CASES: dict[str, list[tuple[Any, ...] | dict[str, Any]]] = {
    "Threshold": [(0.5, 0.25), {"threshold": 0.5, "value": 0.25, "inplace": True}],
    "LeakyReLU": [(), (0.5,), {"negative_slope": 0.5, "inplace": True}],
    "PReLU": [(), (6,), {"num_parameters": 6, "init": 0.5}, {"dtype": torch.float64}],
    "RReLU": [(), (0.25, 0.5)],
    "Hardtanh": [(), (-2.0, 0.5), {"max_val": 2.0, "inplace": True}],
    "Softplus": [(), (2.0,), {"threshold": 1.0}],
    "ELU": [(), (2.0,), {"alpha": 0.5, "inplace": True}],
    "CELU": [(), (2.0,), {"alpha": 0.5, "inplace": True}],
    "GELU": [(), ("tanh",), {"approximate": "none"}],
    "Hardshrink": [(), (0.25,), {"lambd": 1.0}],
    "Softshrink": [(), (0.25,), {"lambd": 1.0}],
    "GLU": [(), (0,), {"dim": 1}],
    "ReLU": [(), (True,), {"inplace": True}],
}
every_case = pytest.mark.parametrize(
    ("name", "given"),
    [pytest.param(n, g, id=f"{n}-{i}") for n in CLASSES for i, g in enumerate(CASES.get(n, [()]))],
)


def made(namespace: Any, name: str, given: tuple[Any, ...] | dict[str, Any]) -> torch.nn.Module:
    factory = getattr(namespace, name)
    module = factory(**given) if isinstance(given, dict) else factory(*given)
    assert isinstance(module, torch.nn.Module)
    return module


@every_case
def test_a_module_computes_what_pytorchs_does(
    name: str, given: tuple[Any, ...] | dict[str, Any]
) -> None:
    ours, theirs = made(gs.nn, name, given).double(), made(torch.nn, name, given).double()
    # As in tests/catalogue/test_functional.py: 16 roundings of terms below 16.
    bound = 16 * EPS / 2 * 16
    for training in (True, False):
        x = torch.linspace(-4, 4, 48, dtype=torch.float64).reshape(8, 6).requires_grad_()
        z = torch.linspace(-4, 4, 48, dtype=torch.float64).reshape(8, 6).requires_grad_()
        torch.manual_seed(0)
        y = ours.train(training)(x * 1)
        torch.manual_seed(0)
        expected = theirs.train(training)(z * 1)
        assert y.shape == expected.shape
        assert (y - expected).abs().max() <= bound
        wrt = [x, *ours.parameters()], [z, *theirs.parameters()]
        gradients = [
            torch.autograd.grad(r.sum(), w) for r, w in zip((y, expected), wrt, strict=True)
        ]
        # PyTorch's 1/6 is rounded to float32.
        loss = abs(torch.tensor(1 / 6).item() - 1 / 6) if name == "Hardsigmoid" else 0.0
        for ours_g, theirs_g in zip(*gradients, strict=True):
            assert ours_g.shape == theirs_g.shape
            # A weight's gradient sums up to 48 terms of at most 4.
            assert (ours_g - theirs_g).abs().max() <= max(bound, 48 * 4 * EPS) + loss


@every_case
def test_a_module_is_written_as_pytorchs(
    name: str, given: tuple[Any, ...] | dict[str, Any]
) -> None:
    assert repr(made(gs.nn, name, given)) == repr(made(torch.nn, name, given))


@every_class
def test_the_constructor_is_pytorchs_and_learnable(name: str) -> None:
    theirs = inspect.signature(getattr(torch.nn, name)).parameters.values()
    expected = [(p.name, p.default) for p in theirs if p.kind == p.POSITIONAL_OR_KEYWORD]
    if name == "Threshold":  # PyTorch requires both
        expected[:2] = [("threshold", 0.0), ("value", 0.0)]
    if name == "Hardtanh":  # deprecated there
        expected = [(n, d) for n, d in expected if n not in ("min_value", "max_value")]
    ours = inspect.signature(getattr(gs.nn, name)).parameters.values()
    assert [(p.name, p.default) for p in ours if p.kind == p.POSITIONAL_OR_KEYWORD] == expected
    assert {p.name for p in ours if p.kind == p.KEYWORD_ONLY} <= {"learnable"}


@every_case
def test_state_pickle_and_deepcopy(name: str, given: tuple[Any, ...] | dict[str, Any]) -> None:
    ours, theirs = made(gs.nn, name, given), made(torch.nn, name, given)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.uniform_(0.0, 1.0)
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    ours.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(ours.state_dict())
    saved = io.BytesIO()
    torch.save(ours, saved)
    saved.seek(0)
    copies = [
        copy.deepcopy(ours),
        pickle.loads(pickle.dumps(ours)),
        torch.load(saved, weights_only=False),
    ]
    dtype = next((p.dtype for p in ours.parameters()), torch.float32)
    for other in copies:
        assert type(other) is type(ours)
        assert repr(other) == repr(ours)
        x = torch.linspace(-4, 4, 36, dtype=dtype).reshape(6, 6)
        assert torch.equal(other.eval()(x.clone()), ours.eval()(x.clone()))


@pytest.mark.parametrize("name", ["LeakyReLU", "ELU", "CELU", "Softplus", "Hardtanh", "Softshrink"])
def test_learnable_parameters_are_learned(name: str) -> None:
    module = getattr(gs.nn, name)(learnable=True).double()
    names = [key for key, _ in module.named_parameters()]
    assert names == list(module.state_dict()) == list(module.entry.parameters)
    assert f"learnable={names}" in repr(module)
    x = torch.linspace(-4, 4, 50, dtype=torch.float64)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3)
    before = module(x).square().mean()
    before.backward()
    optimizer.step()
    assert module(x).square().mean() < before
    for parameter in module.parameters():
        assert parameter.grad is not None
        assert parameter.shape == ()
    again = getattr(gs.nn, name)(learnable=True).double()
    again.load_state_dict(module.state_dict())
    assert torch.equal(again(x), module(x))


def test_learnable_by_name() -> None:
    assert [n for n, _ in gs.nn.Hardtanh(learnable="max_val").named_parameters()] == ["max_val"]
    both = gs.nn.Threshold(1.0, 2.0, learnable=("threshold", "value"))
    assert [n for n, _ in both.named_parameters()] == ["threshold", "value"]
    assert not list(gs.nn.ELU(learnable=False).parameters())
    with pytest.raises(ValueError, match="ELU can learn alpha; got learnable='beta'"):
        gs.nn.ELU(learnable="beta")
    for name in ("ReLU", "RReLU", "PReLU", "GELU", "Sigmoid"):
        with pytest.raises(TypeError, match=r"learnable"):
            getattr(gs.nn, name)(learnable=True)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: gs.nn.ReLU(slope=1), r"ReLU takes \(inplace=False\), got \(slope=…\)"),
        (lambda: gs.nn.Sigmoid(1), r"Sigmoid takes \(\), got \(int\)"),
        (lambda: gs.nn.Hardtanh(1.0, -1.0), "hardtanh needs min_val <= max_val"),
        (lambda: gs.nn.RReLU(0.5, 0.25), "rrelu needs lower <= upper"),
    ],
)
def test_a_bad_constructor_call_is_refused(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_in_place_overwrites_and_otherwise_nothing_is_overwritten() -> None:
    x = torch.linspace(-4, 4, 9)
    original = x.clone()
    gs.nn.ReLU()(x)
    assert torch.equal(x, original)
    assert gs.nn.ReLU(inplace=True)(x) is x
    assert torch.equal(x, original.clamp(min=0))


def test_rrelu_is_random_in_training_only() -> None:
    module = gs.nn.RReLU()
    x = -torch.ones(100)
    assert not torch.equal(module(x), module(x))
    assert torch.equal(module.eval()(x), module(x))


def test_a_model_of_pytorch_trains_the_same_with_ours() -> None:
    """float64, so that 20 steps do not amplify the rounding to where it would matter."""

    def train(namespace: Any) -> list[float]:
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Linear(3, 8), namespace.Mish(), torch.nn.Linear(8, 8), namespace.PReLU(8),
            torch.nn.Linear(8, 8), namespace.GLU(), torch.nn.Linear(4, 1), namespace.Softplus(),
        ).double()  # fmt: skip
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
        x = torch.randn(32, 3, dtype=torch.float64)
        losses = []
        for _ in range(20):
            optimizer.zero_grad()
            loss = (model(x) - x.square().sum(1, keepdim=True)).square().mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    ours, theirs = train(gs.nn), train(torch.nn)
    assert theirs[-1] < theirs[0]
    # Rounding of 1e-16, amplified by at most a factor of 10 per step would still be seen; SGD at
    # this rate contracts.
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_a_subclass_keeps_the_arguments_of_its_parent() -> None:
    class Steep(gs.nn.LeakyReLU):
        def __init__(self) -> None:
            super().__init__(0.5, learnable=True)

    module = Steep()
    assert torch.equal(module(torch.tensor([-2.0, 2.0])), torch.tensor([-1.0, 2.0]))
    assert [name for name, _ in module.named_parameters()] == ["negative_slope"]
    assert str(inspect.signature(Steep)) == "()"
