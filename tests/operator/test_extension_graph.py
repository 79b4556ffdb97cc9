"""A node of the native part is as good a citizen of autograd's graph as PyTorch's own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, grad

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.backends import dispatch, threads
from tests.operator.extension_calls import (
    BY_OUTPUT,
    GATED,
    LINEAR,
    NATIVE,
    SILU,
    WITH_NATIVE_PART,
    declined,
    drawn,
    learn,
    same,
    served,
)

pytestmark = WITH_NATIVE_PART


@pytest.mark.parametrize("f", [SILU, BY_OUTPUT, GATED, LINEAR], ids=str)
def test_hooks_see_what_is_saved(f: Activation) -> None:
    learn(f, torch.float32)
    inputs = drawn(f, (5,), torch.float32)
    packed: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        packed.append(tensor)
        return tensor.double() * 2  # neither dtype nor value

    def unpack(tensor: Tensor) -> Tensor:
        return (tensor / 2).float()

    y = f(*inputs)
    plan = f.save_plan()
    expected = grad(y, inputs, torch.ones(5))
    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        y = f(*inputs)
    assert served(y)
    assert len(packed) == len(plan.saved)
    assert all(map(same, grad(y, inputs, torch.ones(5)), expected))


def test_unpacking_may_give_another_layout() -> None:
    learn(SILU, torch.float32)
    x = torch.randn(3, 4, requires_grad=True)
    (expected,) = grad(SILU(x), x, torch.ones(3, 4))
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: t.detach(), lambda t: t.t().contiguous().t()
    ):
        y = SILU(x)
    assert served(y)
    assert grad(y, x, torch.ones(3, 4))[0].equal(expected)


def test_hooks_on_tensors_and_nodes() -> None:
    learn(SILU, torch.float32)
    (x,) = drawn(SILU, (5,), torch.float32)
    (expected,) = grad(SILU(x), x, 3 * torch.ones(5))
    y = SILU(x)
    y.retain_grad()
    y.register_hook(lambda g: 3 * g)
    ran = []
    assert y.grad_fn is not None
    y.grad_fn.register_hook(lambda inputs, outputs: ran.append("after"))
    y.grad_fn.register_prehook(lambda outputs: ran.append("before"))
    y.backward(torch.ones(5))
    assert x.grad is not None
    assert same(x.grad, expected)
    assert ran == ["before", "after"]
    assert y.grad is not None
    assert y.grad.tolist() == [3.0] * 5


def test_the_node_looks_like_pytorchs_own() -> None:
    learn(SILU, torch.float32)
    (x,) = drawn(SILU, (5,), torch.float32)
    node = SILU(x).grad_fn
    assert node is not None
    assert type(node).__name__ == node.name() == NATIVE
    ((accumulate, position),) = node.next_functions
    assert accumulate.variable is x
    assert position == 0


def test_an_expanded_upstream_gradient(seen: list[str]) -> None:
    for count in (1000, 2 * threads.GRAIN):
        x = torch.randn(count, requires_grad=True)
        (expected,) = grad(SILU(x), x, torch.ones(count))
        for _ in range(2):  # there is a kernel after the first
            seen.clear()
            x.grad = None
            y = SILU(x)
            y.sum().backward()
            assert x.grad is not None
            assert same(x.grad, expected)
        assert not seen


def test_no_upstream_gradient() -> None:
    learn(SILU, torch.float32)
    (x,) = drawn(SILU, (5,), torch.float32)

    class Stops(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: Any, g: Tensor) -> None:
            return None

    for context in (nullcontext(), dispatch.consulted()):
        with context:
            y = Stops.apply(SILU(x))
            assert grad(y, x, torch.ones(5), allow_unused=True) == (None,)


def test_an_odd_upstream_gradient_goes_to_python(seen: list[str]) -> None:
    x = torch.randn(4, 6, requires_grad=True)
    upstream = torch.randn(4, 6)
    (expected,) = grad(SILU(x), x, upstream)
    assert not seen
    (copied,) = grad(SILU(x), x, upstream.t().contiguous().t())
    assert copied.equal(expected)
    assert not seen
    (found,) = grad(SILU(x), x, torch._neg_view(-upstream))
    # torch's own operations in float64: both are within 1 ULP, and next to each other at most.
    torch.testing.assert_close(found, expected, rtol=2.0**-23, atol=0)
    assert seen == ["asked"]


def test_the_backend_that_is_chosen_meanwhile(seen: list[str]) -> None:
    x = torch.randn(100, requires_grad=True)
    y = SILU(x)
    assert served(y)
    with dispatch.using("aten"):
        assert not served(SILU(x))
        grad(y, x, torch.ones(100))
    assert seen
    assert served(SILU(x))


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_forward_over_backward(seen: list[str]) -> None:
    x = torch.randn(5, requires_grad=True)
    y = SILU(x)
    assert served(y)
    with forward_ad.dual_level():
        g = forward_ad.make_dual(torch.ones(5), torch.full((5,), 2.0))
        (found,) = grad(y, x, g)
        tangent = forward_ad.unpack_dual(found).tangent
    assert tangent is not None
    expected = 2 * SILU.derivative()(x.detach())
    torch.testing.assert_close(tangent, expected, rtol=1e-6, atol=0)


def test_batches_of_upstream_gradients(seen: list[str]) -> None:
    x = torch.randn(5, requires_grad=True)
    y = SILU(x)
    rows = torch.randn(3, 5)
    (found,) = grad(y, x, rows, is_grads_batched=True, retain_graph=True)
    assert seen
    for row, expected in zip(found, rows, strict=True):
        torch.testing.assert_close(row, grad(y, x, expected, retain_graph=True)[0])


def test_fake_tensors() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    learn(SILU, torch.float32)
    with FakeTensorMode() as mode:
        x = mode.from_tensor(torch.randn(3, requires_grad=True))
        assert type(SILU(x)) is type(x)
    assert declined(x)


def test_checkpointing() -> None:
    from torch.utils.checkpoint import checkpoint

    x = torch.randn(6, requires_grad=True)
    for f in (SILU, BY_OUTPUT):
        learn(f, torch.float32)
        (expected,) = grad(f(f(x)).sum(), x)
        y = checkpoint(lambda v, f=f: f(f(v)), x, use_reentrant=False)
        assert same(grad(y.sum(), x)[0], expected)


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
def test_anomalies_are_told_where_they_began() -> None:
    f = gs.activation("log(x)")
    learn(f, torch.float32)
    x = torch.zeros(3, requires_grad=True)
    with torch.autograd.detect_anomaly():
        y = f(x)
        assert served(y)
        with (
            pytest.warns(UserWarning, match=r"(?s)Traceback of forward call.*y = f\(x\)"),
            pytest.raises(RuntimeError, match=f"'{NATIVE}' returned nan"),
        ):
            y.backward(torch.zeros(3))


def test_profiles_show_it() -> None:
    learn(SILU, torch.float32)
    (x,) = drawn(SILU, (4,), torch.float32)
    with torch.autograd.profiler.profile() as profile:
        SILU(x).sum().backward()
    names = {event.name for event in profile.function_events}
    assert any(name == "Pointwise" for name in names)
    assert any(NATIVE in name for name in names)
