"""Who runs side by side: all compute the same, and a tutorial's Function has the right gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gradsmith.activation import activation
from gradsmith.bench import contestants as who
from gradsmith.bench.tutorial import tutorial_function, written
from gradsmith.catalogue import ENTRIES, formula_of
from gradsmith.formula.parse import parse

NAMES = [entry.name for entry in ENTRIES]
# Away from kinks, and where no formula overflows or cancels.
POINTS = (-2.3, -1.7, -0.62, -0.31, 0.21, 0.57, 1.43, 2.71)


def points(count: int) -> list[Tensor]:
    x = torch.tensor(POINTS, dtype=torch.float64)
    return [x.roll(i).clone().requires_grad_() for i in range(count)]


def results(call: Callable[..., Tensor], inputs: list[Tensor]) -> list[Tensor]:
    y = call(*inputs)
    g = torch.linspace(0.5, 2, len(POINTS), dtype=torch.float64)
    slopes = torch.autograd.grad(y, inputs, g, materialize_grads=True)
    return [y.detach(), *slopes]


@pytest.mark.parametrize("name", NAMES)
def test_all_compute_the_same(name: str) -> None:
    ours = activation(name)
    inputs = points(len(ours.inputs))
    expected = results(ours, inputs)
    everyone = who.contestants(ours, None, compiled=False)
    assert everyone[0].key == who.OURS
    assert {who.EAGER, who.TUTORIAL} <= {c.key for c in everyone}
    for contestant in everyone:
        # Each of at most some tens of operations is off by half an ULP, of values up to 8;
        # PyTorch's own have a few constants of float32, such as the sixth of hardsigmoid's slope.
        rtol = 1e-7 if contestant.key == who.BUILTIN else 1e-12
        for a, b in zip(results(contestant.fresh(), inputs), expected, strict=True):
            torch.testing.assert_close(a, b, rtol=rtol, atol=1e-14)


@pytest.mark.parametrize("name", NAMES)
def test_the_tutorials_gradient_is_that_of_differences(name: str) -> None:
    formula = formula_of(name)
    function = tutorial_function(formula)
    assert torch.autograd.gradcheck(function.apply, points(len(formula.inputs)))


@pytest.mark.parametrize(
    ("text", "parameters", "output"),
    [
        ("1/(1 + exp(-x))", {}, True),
        ("tanh(x)", {}, True),
        ("log(1 + exp(x))", {}, True),
        ("exp(a*x)", {"a": 1.5}, True),
        ("x*tanh(log(1 + exp(x)))", {}, False),
        ("where(x > 0, x, exp(x) - 1)", {}, False),  # which branch it was, the input says
        ("3*x", {}, False),
        ("a*sigmoid(b)", {}, False),
    ],
)
def test_the_output_is_saved_where_the_derivative_can_be_had_from_it(
    text: str, parameters: dict[str, float], output: bool
) -> None:
    inputs = ("a", "b") if "b" in text else ("x",)
    function = tutorial_function(parse(text, parameters, inputs))
    assert getattr(function, "saves_output") is output  # noqa: B009
    assert torch.autograd.gradcheck(function.apply, points(len(inputs)))


def test_an_input_may_be_called_y() -> None:
    function = tutorial_function(parse("1/(1 + exp(-y))", {}, ("y",)))
    assert getattr(function, "saves_output") is True  # noqa: B009
    assert torch.autograd.gradcheck(function.apply, points(1))


def test_the_formula_is_left_as_it_is_written() -> None:
    x = torch.tensor([100.0])
    assert written(parse("log(1 + exp(x))"))(x).item() == float("inf")
    assert written(parse("a*x", {"a": 3.0}))(x).item() == 300


def test_pytorchs_own_is_the_catalogues_or_what_is_given() -> None:
    def labels(*arguments: Any) -> dict[str, str]:
        return {c.key: c.label for c in who.contestants(*arguments, compiled=True)}

    mish = activation("x*tanh(log(1 + exp(x)))")
    assert labels(mish, None)[who.BUILTIN] == "torch.nn.functional.mish"
    assert labels(mish, torch.nn.Mish())[who.BUILTIN] == "Mish()"
    assert labels(mish, "torch.tanh")[who.BUILTIN] == "torch.tanh"
    assert who.BUILTIN not in labels(activation("x*sin(x)"), None)
    assert who.COMPILED in labels(mish, None)


def test_each_compiled_copy_is_compiled_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    made = torch.compile
    sizes: list[int] = []

    def counted(graph: Any, examples: list[Tensor]) -> Any:
        sizes.append(examples[0].numel())
        return graph

    def eagerly(function: Any, **options: Any) -> Any:
        return made(function, backend=counted, **options)

    monkeypatch.setattr(torch, "compile", eagerly)
    function = written(parse("x*sigmoid(b*x)", {"b": 1.5}))
    wanted = list(range(2, 22))  # more than the compiler makes of one function
    for size in wanted:
        copied = who.compiled_function(function)
        x = torch.linspace(-1, 1, size)
        for _ in range(2):
            torch.testing.assert_close(copied(x), function(x))
    assert sizes == wanted
