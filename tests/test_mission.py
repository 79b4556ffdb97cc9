"""What the program must at least do, with the figures that PyTorch prints at four digits.

Each row is shown for the sigmoid by its catalogue name, for the same formula as a text, for a
Python function, and for an ``autograd.Function`` written by hand, through the public API alone.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradsmith as gs
from gradsmith.formula.expression import free_symbols

FIRST, SECOND = "gradient, first call", "gradient, second call"
ZEROED = "gradient, zeroed and called again"


def sigmoid_in_python(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


class SigmoidByHand(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = 1 / (1 + torch.exp(-x))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return g * y * (1 - y)


OURS = {
    "catalogue name": "sigmoid",
    "text": "1/(1 + exp(-x))",
    "Python function": gs.activation(sigmoid_in_python),
    "autograd.Function": SigmoidByHand,
}
every_way = pytest.mark.parametrize("ours", OURS.values(), ids=OURS.keys())
as_formula = pytest.mark.parametrize("ours", list(OURS.values())[:3], ids=list(OURS)[:3])


def at_four_digits(values: Tensor) -> list[str]:
    return [f"{value:.4f}" for value in values.flatten().tolist()]


def callable_of(ours: Any) -> Callable[..., Tensor]:
    by_hand = isinstance(ours, type)
    return ours.apply if by_hand else gs.activation(ours)  # type: ignore[no-any-return]


@every_way
def test_m1_value_and_gradient_of_a_scalar_beside_the_closed_form(ours: Any) -> None:
    x = torch.tensor(1.0, requires_grad=True)
    y = callable_of(ours)(x)
    y.backward()
    assert x.grad is not None
    assert at_four_digits(y.detach()) == ["0.7311"]
    assert at_four_digits(x.grad) == ["0.1966"]
    assert at_four_digits((y * (1 - y)).detach()) == ["0.1966"]

    found = gs.compare(ours, lambda t: sigmoid_in_python(t), 1.0)
    for name, figure in (("output", "0.7311"), (FIRST, "0.1966")):
        row = found.row(name)
        assert row.exact is not None  # the closed form, evaluated exactly
        assert at_four_digits(row.ours) == at_four_digits(row.exact) == [figure]
    assert found.agrees
    assert "0.7311" in str(found)
    assert "0.1966" in str(found)


@as_formula
def test_m2_the_derivation_step_by_step(ours: Any) -> None:
    derivation = gs.derive(ours)
    rules = [step.rule for step in derivation.steps]
    power = rules.index("write as a power")
    chain = next(i for i, rule in enumerate(rules) if "chain rule" in rule)
    assert power < chain < rules.index("in terms of the output")
    assert str(derivation.steps[power].after) == "D((1 + exp(-x))**(-1), x)"
    assert str(derivation.by_output) == "y*(1 - y)"
    # Each step begins where the last one ended.
    for before, after in zip(derivation.steps, derivation.steps[1:], strict=False):
        assert before.after is after.before
    assert "y(1 - y)" in derivation.to_latex()  # typeset
    assert r"\frac{1}{1 + e^{-x}}" in derivation.to_latex()


@as_formula
def test_m3_the_chain_rule_written_out_for_several_components(ours: Any) -> None:
    derivation = gs.derive(ours)
    ends = [step.after for step in derivation.components if step.rule == "the derivative above"]
    assert [str(end) for end in ends] == [f"exp(-x_{i})/(1 + exp(-x_{i}))**2" for i in (1, 2, 3)]
    for end, figure in zip(ends, ("0.1966", "0.1050", "0.0452"), strict=True):
        (x,) = free_symbols(end)
        slope = gs.activation(str(end), inputs=(x.name,))
        point = torch.tensor(float(x.name[-1]))
        assert at_four_digits(slope(point)) == [figure]


@every_way
def test_m3_the_multivariate_form(ours: Any) -> None:
    found = gs.compare(ours, torch.sigmoid, [1.0, 2.0, 3.0], outer=torch.sum)
    output, gradient = found.row("output"), found.row(FIRST)
    for values in (output.ours, output.reference, output.exact):
        assert values is not None
        assert at_four_digits(values) == ["2.5644"]
    for values in (gradient.ours, gradient.reference, gradient.exact):
        assert values is not None
        assert at_four_digits(values) == ["0.1966", "0.1050", "0.0452"]
    assert found.agrees


@every_way
def test_m4_a_function_built_from_it(ours: Any) -> None:
    found = gs.compare(ours, torch.sigmoid, 2.0, outer=torch.square)
    assert at_four_digits(found.row("output").ours) == ["0.7758"]
    assert at_four_digits(found.row(FIRST).ours) == ["0.1850"]
    assert found.agrees


@as_formula
def test_m4_the_same_as_a_formula_of_its_own(ours: Any) -> None:
    own = gs.activation(lambda x: gs.activation(ours)(x) ** 2)
    x = torch.tensor(2.0, requires_grad=True)
    y = own(x)
    y.backward()
    assert x.grad is not None
    assert at_four_digits(y.detach()) == ["0.7758"]
    assert at_four_digits(x.grad) == ["0.1850"]
    s = torch.sigmoid(x.detach())
    assert at_four_digits(2 * s * s * (1 - s)) == ["0.1850"]
    assert at_four_digits(own.derivative()(x.detach())) == ["0.1850"]


@as_formula
def test_m5_a_custom_activation_as_a_file_of_its_own(ours: Any, tmp_path: Path) -> None:
    file = tmp_path / "emitted.py"
    source = gs.emit(ours, file, name="my_sigmoid")
    names = {node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    assert {"MySigmoidFunction", "MySigmoidGradient", "MySigmoid"} <= names
    assert "Kept for backward: x" in source  # what it saves, and why
    program = """
import sys
from pathlib import Path
sys.modules["gradsmith"] = None  # cannot be imported
namespace = {"__name__": "emitted"}
exec(Path(sys.argv[1]).read_text(encoding="utf-8"), namespace)
import torch
x = torch.tensor(1.0, requires_grad=True)
y = namespace["MySigmoid"]()(x)
(slope,) = torch.autograd.grad(y, x, create_graph=True)
(curvature,) = torch.autograd.grad(slope, x)
print(f"{y.item():.4f} {slope.item():.4f} {curvature.item():.4f}")
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(file)],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    # σ″ = σ(1 − σ)(1 − 2σ) = 0.1966·(1 − 1.4621)
    assert done.stdout.split() == ["0.7311", "0.1966", "-0.0909"]


@as_formula
def test_m5_wrapped_in_a_module(ours: Any) -> None:
    model = nn.Sequential(nn.Linear(3, 2), gs.activation(ours).module())
    y = model(torch.ones(4, 3))
    y.sum().backward()
    assert y.shape == (4, 2)
    assert model[0].weight.grad is not None


@every_way
def test_m6_beside_pytorchs_own_call_after_call(ours: Any) -> None:
    torch.manual_seed(0)
    inp = torch.randn(5)
    found = gs.compare(ours, torch.sigmoid, inp, inner=lambda t: (t + 1) ** 2)
    first = ["0.0080", "0.3322", "-0.3765", "0.2275", "-0.0423"]
    figures = {
        "output": ["0.9984", "0.6223", "0.8005", "0.9213", "0.5018"],
        FIRST: first,
        SECOND: ["0.0159", "0.6643", "-0.7530", "0.4549", "-0.0845"],
        ZEROED: first,
    }
    printed = str(found)
    for name, expected in figures.items():
        row = found.row(name)
        assert at_four_digits(row.ours) == at_four_digits(row.reference) == expected
        for figure in expected:
            assert figure in printed
    assert found.agrees
    assert found.tolerance <= 16


def test_m6_a_wrong_gradient_does_not_pass() -> None:
    class Wrong(SigmoidByHand):
        @staticmethod
        def backward(ctx: Any, g: Tensor) -> Tensor:
            (y,) = ctx.saved_tensors
            return g * y * (1 + y)

    found = gs.compare(Wrong, torch.sigmoid, torch.randn(5), inner=lambda t: (t + 1) ** 2)
    assert not found.agrees
    assert found.wrong == "ours"


@as_formula
def test_m7_the_picture(ours: Any, tmp_path: Path) -> None:
    file = tmp_path / "sigmoid.png"
    figure = gs.plot(ours, range=(-8, 8), path=file)
    assert file.read_bytes().startswith(b"\x89PNG")
    (axes,) = figure.axes
    assert axes.get_xlim() == (-8.0, 8.0)
    assert any(line.get_visible() for line in axes.get_xgridlines())
    curves = [line for line in axes.lines if len(line.get_xdata()) > 100]
    assert len(curves) == 2
    s = torch.sigmoid(torch.tensor(curves[0].get_xdata()))
    for curve, expected in zip(curves, (s, s * (1 - s)), strict=True):
        torch.testing.assert_close(torch.tensor(curve.get_ydata()), expected)
    (legend,) = figure.legends
    value, slope = (text.get_text() for text in legend.get_texts()[:2])
    assert r"\dfrac{1}{1 + e^{-x}}" in value
    assert "'(x) =" in slope


@as_formula
def test_m8_what_it_is_good_and_bad_for(ours: Any) -> None:
    p = gs.properties(ours)
    assert (p.low, p.high, p.bounded) == (0.0, 1.0, True)
    assert p.usable_as_probability
    assert (p.steepest, p.slope_at_zero) == (0.0, 0.25)  # sensitive around 0 …
    assert p.flat_left is not None  # … and flat at both ends
    assert p.flat_right is not None
    assert p.gradient_through_layers == 0.25**10  # vanishing gradient
    assert not p.zero_centred
    assert p.one_signed == "positive"
    assert p.costly["exp"] == 1
    text = str(p)
    for word in ("weights must not be so large", "same sign", "vanishing"):
        assert word in text


def test_m8_shown_on_a_small_network_in_training() -> None:
    shown = gs.study("sigmoid", against=("tanh", "relu"), steps=20)

    def ratio(name: str) -> float:
        gradients = shown.run(name, 1).gradients
        return gradients[0] / gradients[-1]

    # The gradient that reaches the first layer, against that of the last.
    assert ratio("sigmoid") < ratio("tanh") / 10
    # Saturation grows with the initial weights.
    flat = [shown.run("sigmoid", scale).flat for scale in (1, 10, 100)]
    assert flat[0] < flat[1] < flat[2]
    # Outputs of one sign give weight gradients of one sign; outputs of both signs do not.
    assert shown.run("sigmoid", 1).one_signed == 1
    assert shown.run("tanh", 1).one_signed < 1
