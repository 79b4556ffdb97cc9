"""The native part and the Python path give the same bits, to any order of derivative."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch.autograd import grad, gradcheck, gradgradcheck

from gradsmith.activation import Activation
from gradsmith.backends import dispatch
from gradsmith.numerics.fit import Fit, fit
from tests.operator.extension_calls import (
    ALL,
    BY_OUTPUT,
    DTYPES,
    GATED,
    PARAMETRIC,
    SHAPES,
    SILU,
    THREE,
    WITH_NATIVE_PART,
    drawn,
    learn,
    same,
    served,
)

pytestmark = WITH_NATIVE_PART


@pytest.mark.parametrize("f", ALL, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_and_gradients_have_pythons_bits(f: Activation, dtype: torch.dtype) -> None:
    learn(f, dtype)
    for shape in SHAPES:
        inputs = drawn(f, shape, dtype, seed=len(shape))
        g = drawn(f, shape, dtype, seed=9)[0].detach()
        y = f(*inputs)
        found = grad(y, inputs, g)
        assert served(y)
        plain = f(*[x.detach() for x in inputs])
        with dispatch.consulted():
            expected = f(*inputs)
            assert not served(expected)
            gradients = grad(expected, inputs, g)
        assert same(y, expected)
        assert same(plain, expected)
        assert all(map(same, found, gradients))


@pytest.mark.parametrize("needed", [(True, False), (False, True)])
def test_only_some_inputs_need_a_gradient(needed: tuple[bool, bool]) -> None:
    learn(GATED, torch.float32, *needed)
    inputs = [
        x.requires_grad_(n) for x, n in zip(drawn(GATED, (5,), torch.float32), needed, strict=True)
    ]
    y = GATED(*inputs)
    assert served(y)
    y.backward(torch.ones(5))
    with dispatch.consulted():
        again = [x.detach().requires_grad_(n) for x, n in zip(inputs, needed, strict=True)]
        GATED(*again).backward(torch.ones(5))
    for x, other, need in zip(inputs, again, needed, strict=True):
        assert (x.grad is not None) == need
        assert not need or same(x.grad, other.grad)


def test_only_some_gradients_are_asked_for() -> None:
    learn(THREE, torch.float64)
    inputs = drawn(THREE, (6,), torch.float64)
    every = grad(THREE(*inputs), inputs, torch.ones(6, dtype=torch.float64))
    for x, expected in zip(inputs, every, strict=True):
        (found,) = grad(THREE(*inputs), x, torch.ones(6, dtype=torch.float64))
        assert same(found, expected)


def test_numbers_in_place_of_defaults() -> None:
    learn(PARAMETRIC, torch.float32)
    (x,) = drawn(PARAMETRIC, (9,), torch.float32)
    wide = (float("nan"), 1.0), (2**70, 0.0)
    for numbers in ((2.0, 0.0), (2, -0.0), (-3, 1), (0.1, 0.0), (0.1, -0.3), *wide):
        grad(PARAMETRIC(x, *numbers), x, torch.ones(9))  # how they fit decides which kernel
        y = PARAMETRIC(x, *numbers)
        assert served(y) == (Fit.NONE not in map(fit, numbers))  # others are Python's
        (found,) = grad(y, x, torch.ones(9))
        with dispatch.consulted():
            expected = PARAMETRIC(x, *numbers)
            (gradient,) = grad(expected, x, torch.ones(9))
        assert same(y, expected)
        assert same(found, gradient)
    with pytest.raises(OverflowError):
        PARAMETRIC(x, 10**400, 0.0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
@pytest.mark.parametrize("f", ALL, ids=str)
def test_derivatives_of_first_and_second_order(f: Activation) -> None:
    learn(f, torch.float64)
    generator = torch.Generator().manual_seed(3)
    inputs = [
        torch.rand(6, generator=generator, dtype=torch.float64).add(0.3).requires_grad_()
        for _ in f.inputs
    ]
    assert served(f(*inputs))
    assert gradcheck(f, inputs, check_batched_grad=True, check_forward_ad=True)
    assert gradgradcheck(f, inputs, check_batched_grad=True)


def test_third_derivative() -> None:
    learn(SILU, torch.float64)
    x = torch.linspace(-2, 2, 5, dtype=torch.float64, requires_grad=True)
    found = SILU(x)
    for _ in range(3):
        (found,) = grad(found.sum(), x, create_graph=True)
    expected = SILU.derivative(order=3)(x.detach())
    torch.testing.assert_close(found.detach(), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("f", [SILU, BY_OUTPUT], ids=str)
def test_what_is_kept_must_not_be_modified(f: Activation) -> None:
    learn(f, torch.float32)
    (x,) = drawn(f, (4,), torch.float32)
    held = x * 1
    y = f(held)
    assert served(y)
    kept = y if f is BY_OUTPUT else held
    kept.data_ptr()
    with torch.no_grad():
        kept.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_the_result_may_be_modified_where_it_is_not_kept() -> None:
    learn(SILU, torch.float32)
    (x,) = drawn(SILU, (4,), torch.float32)
    (expected,) = grad(SILU(x), x, 2 * torch.ones(4))
    (found,) = grad(SILU(x).mul_(2), x, torch.ones(4))
    assert same(found, expected)


@pytest.mark.parametrize("f", [SILU, BY_OUTPUT], ids=str)
def test_a_graph_is_used_once_unless_it_is_retained(f: Activation) -> None:
    learn(f, torch.float32)
    (x,) = drawn(f, (4,), torch.float32)
    y = f(x)
    assert served(y)
    first = grad(y, x, torch.ones(4), retain_graph=True)
    assert same(grad(y, x, torch.ones(4))[0], first[0])
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        grad(y, x, torch.ones(4))


def test_memory_is_given_back_with_the_graph() -> None:
    learn(SILU, torch.float32)
    held = torch.randn(4, requires_grad=True) * 1
    gone = weakref.ref(held)
    y = SILU(held)
    assert served(y)
    del held
    assert gone() is not None
    y.sum().backward()
    assert gone() is None
