"""Derivatives by autograd: any order, broadcast operands, what is saved, what is left alone."""

from __future__ import annotations

import weakref
from collections.abc import Callable

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gradsmith.formula.expression import Number, Symbol
from gradsmith.formula.vocabulary import sign, where
from gradsmith.operator.pointwise import Pointwise
from tests.operator.formulas import CASES, GATE, SCALED, SCALED_TANH, SWISH, Case

# The first use of forward mode imports parts of torch that warn about other parts of torch.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")


def leaves(case: Case, *shapes: tuple[int, ...]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
        for shape, _ in zip(shapes, case.operation().operands, strict=False)
    ]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradcheck(case: Case) -> None:
    for shapes in [((3, 2), (3, 2)), ((3, 1), (2,)), ((), (2,)), ((2, 3), ())]:
        operands = leaves(case, *shapes)
        assert torch.autograd.gradcheck(
            case.operation(),
            operands,
            check_forward_ad=True,
            check_batched_grad=True,
            check_batched_forward_grad=True,
        )


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_gradgradcheck(case: Case) -> None:
    for shapes in [((2, 2), (2, 2)), ((2, 1), (2,))]:
        operands = leaves(case, *shapes)
        assert torch.autograd.gradgradcheck(
            case.operation(), operands, check_fwd_over_rev=True, check_batched_grad=True
        )


def test_derivatives_of_high_order() -> None:
    points = torch.tensor([-1.25, -0.1, 0.0, 0.7, 2.0], dtype=torch.float64, requires_grad=True)
    value = SCALED_TANH.operation()(points, 1.5)
    for order in range(1, 6):
        (value,) = torch.autograd.grad(value.sum(), points, create_graph=True)
        with mpmath.workdps(60):  # numerical differentiation: most digits are lost
            exact = [
                float(mpmath.diff(lambda t: mpmath.tanh(1.5 * t), mpmath.mpf(p), order))
                for p in points.tolist()
            ]
        # A product of up to ten factors, the last a sum whose terms cancel by up to 10:
        # under 100 roundings of the largest value.
        scale = max(map(abs, exact))
        torch.testing.assert_close(
            value.detach(),
            torch.tensor(exact, dtype=torch.float64),
            rtol=0,
            atol=100 * 1.2e-16 * scale,
        )


# Broadcast operands.


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([1, 3]), max_size=3), st.lists(st.sampled_from([1, 3]), max_size=3))
def test_gradients_of_broadcast_operands_are_summed_back(one: list[int], other: list[int]) -> None:
    for case in (GATE, SCALED):
        mine = leaves(case, tuple(one), tuple(other))
        theirs = [t.detach().clone().requires_grad_() for t in mine]
        got, expected = case.operation()(*mine), case.composed(*theirs)
        upstream = torch.linspace(-1, 2, got.numel(), dtype=torch.float64).reshape(got.shape)
        for a, b in zip(
            torch.autograd.grad(got, mine, upstream),
            torch.autograd.grad(expected, theirs, upstream),
            strict=True,
        ):
            assert a.shape == b.shape
            # At most 27 terms of size 10 and less, each a few roundings off.
            torch.testing.assert_close(a, b, rtol=0, atol=27 * 10 * 8 * 2.3e-16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_parameters_gradient_is_summed_in_a_wider_dtype(dtype: torch.dtype) -> None:
    # 2**16 ones: in bfloat16 the running sum would stop at 256.
    points = torch.ones(2**16, dtype=dtype)
    scale = torch.tensor(2.0**-13, dtype=dtype, requires_grad=True)
    x, c = Symbol("x"), Symbol("c")
    op = Pointwise(c * x, ("x", "c"), (), {"c": 1.0})
    op(points, scale).backward(torch.full_like(points, 2.0**-10))
    assert scale.grad is not None
    assert scale.grad.dtype == dtype
    assert scale.grad.item() == 2.0**6


def test_a_gradient_may_read_a_parameter_only() -> None:
    x, c = Symbol("x"), Symbol("c")
    op = Pointwise(c * x, ("x", "c"), (), {"c": 1.0})
    points = torch.randn(4, 3, requires_grad=True)
    for scale in (2.5, torch.tensor(2.5), torch.tensor([1.0, 2.0, 3.0])):
        (gradient,) = torch.autograd.grad(op(points, scale).sum(), points)
        assert torch.equal(gradient, torch.broadcast_to(torch.as_tensor(scale), (4, 3)))


def test_each_gradient_has_the_dtype_and_device_of_its_operand() -> None:
    points = torch.randn(4, 3, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.rand(3, requires_grad=True)
    scalar = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    values = SCALED_TANH.operation()(points, weight)
    assert values.dtype == torch.float32
    values.sum().backward()
    SCALED_TANH.operation()(points, scalar).sum().backward()
    for operand in (points, weight, scalar):
        assert operand.grad is not None
        assert operand.grad.dtype == operand.dtype
        assert operand.grad.shape == operand.shape


def test_half_precision_gradients_of_mixed_operands_are_exact_to_half_an_ulp() -> None:
    # x is bfloat16, the rest float32: the gradient goes to bfloat16 from float64.
    points = torch.linspace(-4, 4, 257).to(torch.bfloat16).requires_grad_()
    weight = torch.full((257,), 0.7, requires_grad=True)
    SCALED_TANH.operation()(points, weight).sum().backward()
    wide = points.detach().double().requires_grad_()
    torch.tanh(weight.detach().double() * wide).sum().backward()
    assert points.grad is not None
    assert wide.grad is not None
    assert torch.equal(points.grad, wide.grad.to(torch.bfloat16))


def test_only_what_needs_a_gradient_gets_one() -> None:
    a, b = torch.randn(3), torch.randn(3, requires_grad=True)
    values = GATE.operation()(a, b)
    values.sum().backward()
    assert a.grad is None
    assert b.grad is not None
    assert GATE.operation()(a, b.detach()).grad_fn is None


def test_an_integer_operand_beside_a_differentiable_one() -> None:
    counts, weight = torch.arange(4), torch.rand(4, requires_grad=True)
    CASES["a*sigmoid(b)"].operation()(counts, weight).sum().backward()
    assert weight.grad is not None
    expected = counts * (s := torch.sigmoid(weight.detach().double())) * (1 - s)
    torch.testing.assert_close(weight.grad, expected.float(), rtol=2e-7, atol=0)


# Derivatives that vanish.


def test_a_vanishing_derivative_is_zeros_not_missing() -> None:
    op = Pointwise(sign(Symbol("x")), ("x",))
    assert op.gradient("x") is None
    points = torch.randn(3, requires_grad=True)
    (gradient,) = torch.autograd.grad(op(points).sum(), points)
    assert torch.equal(gradient, torch.zeros(3))
    _, tangent = torch.func.jvp(op, (points.detach(),), (torch.ones(3),))
    assert torch.equal(tangent, torch.zeros(3))


def test_a_zero_branch_stops_an_infinite_upstream_gradient_as_in_torch() -> None:
    x = Symbol("x")
    op = Pointwise(where(x > 0, x, Number(0)), ("x",))
    for upstream in (float("inf"), float("nan")):
        points = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
        theirs = points.detach().clone().requires_grad_()
        op(points).backward(torch.full((3,), upstream))
        torch.relu(theirs).backward(torch.full((3,), upstream))
        torch.testing.assert_close(points.grad, theirs.grad, rtol=0, atol=0, equal_nan=True)


# What is kept.


def saved_by(call: Callable[[], Tensor]) -> list[Tensor]:
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        call()
    return kept


def test_the_callers_own_tensors_are_saved_and_no_others() -> None:
    a, b = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    (kept,) = saved_by(lambda: SWISH.operation()(a))
    assert kept.data_ptr() == a.data_ptr()
    kept_two = saved_by(lambda: GATE.operation()(a, b))
    assert [t.data_ptr() for t in kept_two] == [a.data_ptr(), b.data_ptr()]
    # ∂/∂a = σ(b) does not read a.
    (kept,) = saved_by(lambda: GATE.operation()(a, b.detach()))
    assert kept.data_ptr() == b.data_ptr()
    half = torch.randn(3, dtype=torch.bfloat16, requires_grad=True)
    (kept,) = saved_by(lambda: SWISH.operation()(half))
    assert kept.dtype == torch.bfloat16


def test_a_linear_operation_keeps_nothing_alive() -> None:
    x = Symbol("x")
    op = Pointwise(x * 3 + 1, ("x",))
    leaf = torch.randn(3, requires_grad=True)
    inner = leaf * 2
    alive = weakref.ref(inner)
    values = op(inner)
    del inner
    assert alive() is None
    values.sum().backward()
    assert torch.equal(leaf.grad, torch.full((3,), 6.0)) if leaf.grad is not None else False


def test_a_saved_tensor_that_was_overwritten_is_noticed() -> None:
    leaf = torch.randn(3, requires_grad=True)
    inner = leaf * 1
    values = SWISH.operation()(inner)
    inner.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        values.sum().backward()


def test_the_result_may_be_overwritten() -> None:
    points = torch.randn(3, dtype=torch.float64, requires_grad=True)
    values = SWISH.operation()(points)
    values.mul_(2)
    values.sum().backward()
    expected = torch.func.grad(lambda t: 2 * SWISH.composed(t).sum())(points.detach())
    torch.testing.assert_close(points.grad, expected, rtol=1e-14, atol=1e-15)


def test_operands_and_upstream_gradient_are_never_written_to() -> None:
    a = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(3, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    before = [t.detach().clone() for t in (a, b, upstream)]
    first = torch.autograd.grad(GATE.operation()(a, b), (a, b), upstream, create_graph=True)
    torch.autograd.grad(first[0].sum() + first[1].sum(), (a, b, upstream))
    assert all(torch.equal(t, kept) for t, kept in zip((a, b, upstream), before, strict=True))


def test_backward_twice_accumulates() -> None:
    points = torch.randn(3, requires_grad=True)
    values = SWISH.operation()(points).sum()
    values.backward(retain_graph=True)
    assert points.grad is not None
    once = points.grad.clone()
    values.backward()
    assert torch.equal(points.grad, 2 * once)


def test_checkpointing_recomputes_the_same() -> None:
    points = torch.randn(5, requires_grad=True)
    again = torch.utils.checkpoint.checkpoint(SWISH.operation(), points, use_reentrant=False)
    (got,) = torch.autograd.grad(again.sum(), points)
    (expected,) = torch.autograd.grad(SWISH.operation()(points).sum(), points)
    assert torch.equal(got, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_leaves_the_precision_alone(dtype: torch.dtype) -> None:
    points = torch.linspace(-3, 3, 31, requires_grad=True)
    with torch.autocast("cpu", dtype):
        values = SWISH.operation()(points)
        (inside,) = torch.autograd.grad(values.sum(), points)
    assert values.dtype == torch.float32
    assert torch.equal(values, SWISH.operation()(points))
    (outside,) = torch.autograd.grad(SWISH.operation()(points).sum(), points)
    assert torch.equal(inside, outside)
