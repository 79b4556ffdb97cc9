"""Parameters at their defaults: kernels of their own, which nothing but time tells from others.

Oracle: the same formula with the numbers written into it, which has no parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import grad

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.backends import dispatch
from gradsmith.operator import extension
from gradsmith.operator.usual import at_defaults, is_usual
from tests.operator.extension_calls import same

pytestmark = pytest.mark.skipif(
    dispatch.native_reason() is not None, reason="no native code on this machine"
)

# With parameters, and with the exact values of their defaults in place of these.
THREE_TENTHS = "(-{}/{})".format(*(0.3).as_integer_ratio())
PAIRS = [
    (gs.activation("a*x*sigmoid(b*x)", a=1.0, b=1.0), "1*x*sigmoid(1*x)"),
    (gs.activation("where(x > 0, x, s*x)", s=0.375), "where(x > 0, x, 3/8*x)"),
    (gs.activation("where(x > t, x, c*(exp(x) - 1))", t=0.0, c=1.0), "where(x > 0, x, exp(x) - 1)"),
    (gs.activation("log(1 + exp(b*x))/b", b=1.0), "log(1 + exp(x))"),
    (gs.activation("k*tanh(x/k)", k=-0.3), f"{THREE_TENTHS}*tanh(x/{THREE_TENTHS})"),
]
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SLOPE = gs.activation("where(x > 0, x, s*x) + v", s=0.1, v=0.0)


def values_and_gradients(call: Callable[[Tensor], Tensor], x: Tensor) -> list[Tensor]:
    """Of zeroth to second order."""
    leaf = x.detach().clone().requires_grad_()
    y = call(leaf)
    (first,) = grad(y.sum(), leaf)
    (recorded,) = grad(call(leaf).sum(), leaf, create_graph=True)
    (second,) = grad(recorded.sum(), leaf)
    with torch.no_grad():
        return [call(x), y.detach(), first, recorded.detach(), second]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("parametric", "text"), PAIRS)
def test_defaults_are_as_good_as_written_into_the_formula(
    parametric: Activation, text: str, dtype: torch.dtype
) -> None:
    fixed = gs.activation(text)
    x = torch.linspace(-20, 20, 4001, dtype=torch.float64).to(dtype)
    for _ in range(2):  # by Python, then by the native part
        found = values_and_gradients(parametric, x)
        assert all(map(same, found, values_and_gradients(fixed, x)))


def test_the_kernel_reads_no_numbers() -> None:
    f, _ = PAIRS[0]
    x = torch.randn(10)
    f(x)
    kernels = [k for k in f.operation.native.values() if k is not None]
    assert any([n for n, _ in k.code.program.inputs] == ["x"] for k in kernels)
    f(x, 2.0)
    kernels = [k for k in f.operation.native.values() if k is not None]
    assert any([n for n, _ in k.code.program.inputs] == ["x", "a", "b"] for k in kernels)


@pytest.mark.parametrize("native", [True, False])
def test_bits_do_not_depend_on_how_the_call_is_made(
    native: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An operation asks for the native part once: ones that nobody else has used.
    f = gs.activation(f"where(x > 0, x, s*(exp(x) - 1)) + {2 + native}*v", s=1.0, v=0.0)
    if native and extension.reason() is not None:
        pytest.skip("the native part is not built")
    if not native:
        monkeypatch.setattr(extension, "_loaded", lambda: "not wanted")
    x = torch.randn(60, 70, generator=torch.Generator().manual_seed(1))
    expected = values_and_gradients(f, x)
    calls: list[Callable[[Tensor], Tensor]] = [
        lambda x: f(x, 1.0, 0.0),
        lambda x: f(x, 1, v=0),
        lambda x: f(x.t()).t(),
        lambda x: torch.stack([f(row) for row in x]),
        lambda x: f(torch.stack([x, x], -1)[..., 0]),
        lambda x: f(torch.cat([x, x], 1)[:, 70:]),
        f.module(),
    ]
    for call in calls:
        assert all(map(same, values_and_gradients(call, x), expected))
    out = torch.empty_like(x)
    assert same(f(x, out=out), expected[0])


def test_other_numbers_are_taken_as_they_are() -> None:
    x = torch.tensor([-3.0, -0.0, 0.0, 2.0])
    assert SLOPE(x).tolist() == pytest.approx([-0.3, 0.0, 0.0, 2.0], rel=1e-7)
    assert SLOPE(x, 0.5).tolist() == [-1.5, 0.0, 0.0, 2.0]
    assert SLOPE(x, v=4.0).tolist() == pytest.approx([3.7, 4.0, 4.0, 6.0], rel=1e-7)
    assert SLOPE(x, torch.tensor(0.1)).tolist() == pytest.approx([-0.3, 0.0, 0.0, 2.0], rel=1e-7)


def test_a_learned_parameter_that_has_its_default_learns() -> None:
    module = SLOPE.module(learnable=["s"])
    x = torch.tensor([-3.0, 2.0])
    module(x).sum().backward()
    assert module.s.grad.item() == -3.0


@pytest.mark.parametrize(
    ("operands", "usual"),
    [
        ((torch.ones(2), 0.1, 0.0), True),
        ((torch.ones(2), 0.1, 0), True),
        ((torch.ones(2), 0.1, -0.0), False),
        ((torch.ones(2), 0.2, 0.0), False),
        ((torch.ones(2), torch.tensor(0.1), 0.0), False),
        ((1.0, 0.1, 0.0), False),
        ((torch.ones(2), float("nan"), 0.0), False),
    ],
)
def test_what_is_usual(operands: tuple[Any, ...], usual: bool) -> None:
    assert is_usual(operands, SLOPE.operation.usual) is usual
    assert not is_usual(operands[:1], ())


def test_derivatives_at_defaults_are_derivatives_of_what_is_left() -> None:
    operation = SLOPE.operation
    left = at_defaults(operation)
    assert left.operands == ("x",)
    assert not left.defaults
    assert at_defaults(operation) is left
    gradient = operation.gradient("x")
    assert gradient is not None
    at = at_defaults(gradient)
    assert at.operands == ("x", "g")
    assert at.origin is not None
    assert at.origin[0] is left
    by_slope = operation.gradient("s")
    assert by_slope is not None
    assert at_defaults(by_slope).origin is None
