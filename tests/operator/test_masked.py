"""A mask in place of a large input: the same bits, less memory, right under autograd's features.

What is large is made small here. An input with gaps is kept as ever, and is what is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import forward_ad, grad, gradgradcheck
from torch.utils.checkpoint import checkpoint

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.backends import dispatch, llvm, llvm_packing
from gradsmith.bench.kept import measure_kept
from gradsmith.operator import saving
from gradsmith.operator.masked import MaskedFunction, mask_of
from gradsmith.operator.saving import LARGE, MASK

pytestmark = [
    pytest.mark.skipif(llvm.unavailable() is not None, reason=str(llvm.unavailable())),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
]

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
SMALL = 64
NAMES = ("leaky_relu", "hardtanh", "hardsigmoid", "hardshrink", "softshrink", "threshold")
FORMULAS = (*NAMES, "max(x, 0.1*x)", "clip(2*x + 1, -1, 2)", "where(x < -2, 3, 2*x)")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "LARGE", SMALL)
        yield


def made(formula: str, **parameters: float) -> Activation:
    """An operation of its own, which no other test has asked what it keeps."""
    return gs.activation(formula, max_ulp=1.0 + 2**-40, **parameters)


def special(count: int, dtype: torch.dtype, seed: int) -> Tensor:
    x = 2 * torch.randn(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    # Kinks, and what surrounds them, among the rest.
    known = [torch.nan, torch.inf, -torch.inf, 0.0, -0.0, 0.5, -0.5, 1, -1, 3, -3, 1e-45, -2, 2]
    x[: len(known)] = torch.tensor(known[:count], dtype=torch.float64)
    return x[torch.randperm(count, generator=torch.Generator().manual_seed(seed))].to(dtype)


def with_gaps(x: Tensor) -> Tensor:
    return torch.stack([x, x], -1)[..., 0]


def same_bits(have: Tensor, want: Tensor) -> bool:
    assert (have.dtype, have.shape) == (want.dtype, want.shape)
    integers = INTEGERS[have.itemsize]
    equal = have.contiguous().view(integers) == want.contiguous().view(integers)
    return bool((equal | (have.isnan() & want.isnan())).all())


def is_masked(y: Tensor) -> bool:
    return y.grad_fn is not None and y.grad_fn.name() == f"{MaskedFunction.__name__}Backward"


def passes(f: Activation, x: Tensor, g: Tensor, **given: Any) -> tuple[Tensor, Tensor, bool]:
    x = x.detach().requires_grad_()
    y = f(x, **given)
    return y.detach(), grad(y, x, g)[0], is_masked(y)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("formula", FORMULAS)
def test_the_bits_are_those_without_a_mask(formula: str, dtype: torch.dtype) -> None:
    f = made(formula)
    for count in (SMALL, 65, 1000, 70_001):
        x, g = special(count, dtype, count), special(count, dtype, count + 1)
        *have, masked = passes(f, x, g)
        *want, otherwise = passes(f, with_gaps(x), g)
        assert (masked, otherwise) == (True, False)
        assert all(map(same_bits, have, want))


@given(st.sampled_from(FORMULAS), st.integers(SMALL, 3000), st.sampled_from(DTYPES), st.data())
@settings(max_examples=60, deadline=None)
def test_of_any_layout(formula: str, count: int, dtype: torch.dtype, data: st.DataObject) -> None:
    f = made(formula)
    rows = data.draw(st.integers(1, 5))
    lies, comes = (data.draw(st.sampled_from(("rows", "columns"))) for _ in range(2))
    upstream = data.draw(st.sampled_from(("full", "one", "row")))
    x, g = (special(rows * count, dtype, seed).view(rows, count) for seed in (1, 2))
    x = x.t().contiguous().t() if lies == "columns" else x
    g = {"full": g, "one": g[:1, :1].expand_as(g), "row": g[:1].expand_as(g)}[upstream]
    g = g.t().contiguous().t() if comes == "columns" and upstream == "full" else g
    *have, masked = passes(f, x, g)
    *want, _ = passes(f, with_gaps(x), g.contiguous())
    assert masked
    assert all(map(same_bits, have, want))
    assert have[1].stride() == x.stride()


@pytest.mark.parametrize("numbers", [{"threshold": 0.25, "value": 7}, {"threshold": -1e-300}])
def test_numbers_for_parameters(numbers: dict[str, float]) -> None:
    f = made("threshold")
    x, g = special(500, torch.float32, 3), special(500, torch.float32, 4)
    *have, masked = passes(f, x, g, **numbers)
    *want, _ = passes(f, with_gaps(x), g, **numbers)
    assert masked
    assert all(map(same_bits, have, want))


def test_values_that_are_the_same_at_the_defaults() -> None:
    f = made("where(x > 0, a*x, b*x)", a=1.0, b=1.0)
    x, g = special(500, torch.float32, 3), special(500, torch.float32, 4)
    for parameters in ({}, {"a": 2.0}, {"a": 2.0, "b": -1.0}):
        *have, _ = passes(f, x, g, **parameters)
        *want, _ = passes(f, with_gaps(x), g, **parameters)
        assert all(map(same_bits, have, want)), parameters


def test_what_is_kept_is_two_bits_an_element() -> None:
    f = made("hardtanh")
    kept: list[Tensor] = []
    x = torch.randn(640, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = f(x)
    assert [(t.dtype, t.nbytes) for t in kept] == [(torch.uint8, 160), (torch.float32, 0)]
    assert llvm_packing.size(640) == 160
    assert measure_kept(f, [x]).total == 0.25
    inner = torch.randn(640, requires_grad=True) * 1
    alive = ref(inner)
    y = f(inner)
    del inner
    assert alive() is None, "the input is let go"
    y.sum().backward()


def test_the_plan_says_so() -> None:
    plan = made("leaky_relu").save_plan()
    assert plan.saved == ("x", "negative_slope")
    assert plan.large is not None
    assert (plan.large.saved, plan.large.bytes_per_element) == ((MASK,), 0.25)
    written = f"from {saving.LARGE:,} elements on a mask (0.25 bytes/element): the gradient with"
    assert written in str(plan)
    assert "has 2 values, and two bits say which" in str(plan)
    assert gs.activation("leaky_relu").save_plan(["x", "negative_slope"]).large is None
    for formula in ("relu", "silu", "2*x", "sign(x)"):
        assert gs.activation(formula).save_plan().large is None, formula


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("formula", "parameters"),
    [
        ("where(x > 0, b*x, -b*x)", {"b": 0.3}),
        ("where(x > 0, x/b, x)", {"b": 3.0}),
        ("where(x > 0, 2*b*x, x)", {"b": 3.0}),
        ("where(x == 1, 5*x, 2*x)", {}),
        ("relu(x) - 2*relu(-x)", {}),
        ("abs(x)", {}),
        ("x*sign(x)", {}),
        ("softplus(x)", {}),
    ],
)
def test_what_the_plan_says_is_done(
    formula: str, parameters: dict[str, float], dtype: torch.dtype
) -> None:
    f = made(formula, **parameters)
    x = torch.randn(500).to(dtype).requires_grad_()
    assert is_masked(f(x)) == (f.save_plan(dtype=dtype).large is not None)


def test_values_of_which_parameters_are_a_part() -> None:
    f = made("where(x > 0, x/b, -b*x)", b=3.0)
    x, g = special(500, torch.float32, 3), special(500, torch.float32, 4)
    *have, masked = passes(f, x, g)
    *want, _ = passes(f, with_gaps(x), g)
    assert masked
    assert all(map(same_bits, have, want))


def test_other_calls_keep_what_they_kept() -> None:
    f = made("leaky_relu")
    x = torch.randn(500, requires_grad=True)
    assert is_masked(f(x))
    slope = torch.full((), 0.1, requires_grad=True)
    assert not is_masked(f(x, negative_slope=slope))
    assert not is_masked(f(x, negative_slope=torch.full((500,), 0.1)))
    assert not is_masked(f(x[: SMALL - 1]))
    assert not is_masked(f(with_gaps(x)))
    assert f(x.detach()).grad_fn is None
    with dispatch.using("aten"):
        assert not is_masked(f(x))
    four = "where(x < 0, x, where(x < 1, 2*x, where(x < 2, 3*x, 4*x)))"
    assert not is_masked(gs.activation(four)(x))


def test_small_ones_first_and_large_ones_after() -> None:
    f = made("softshrink", lambd=0.3)
    few, many = (torch.randn(n, requires_grad=True) for n in (10, 1000))
    for x in (few, few, few, many, few, many):
        y = f(x)
        assert is_masked(y) == (x is many)
        (found,) = grad(y.sum(), x)
        assert torch.equal(found, (x.abs() > 0.3).float())


@pytest.mark.parametrize("formula", FORMULAS)
def test_gradients_of_gradients(formula: str) -> None:
    f = made(formula)
    x = special(100, torch.float64, 5).nan_to_num(0.3, 5, -5).requires_grad_()
    g = special(100, torch.float64, 6).nan_to_num(0.4, 6, -6).requires_grad_()
    y = f(x)
    (first,) = grad(y, x, g, create_graph=True)
    assert is_masked(y)
    assert same_bits(first.detach(), passes(f, with_gaps(x), g.detach())[1])
    second, across = grad(first.sum(), (x, g), create_graph=True)
    assert not second.any(), "zero, and there"
    assert torch.equal(across, passes(f, x, torch.ones_like(x))[1])
    away = torch.linspace(-4.07, 4.09, 80, dtype=torch.float64).requires_grad_()
    assert gradgradcheck(f, away)


def test_a_graph_goes_twice_and_accumulates() -> None:
    f = made("leaky_relu")
    x = torch.randn(300, requires_grad=True)
    y = f(x)
    y.backward(torch.ones(300), retain_graph=True)
    once = x.grad.clone() if x.grad is not None else None
    y.backward(torch.ones(300))
    assert once is not None
    assert torch.equal(x.grad, 2 * once)
    with pytest.raises(RuntimeError, match="a second time"):
        y.backward(torch.ones(300))


def test_no_upstream_gradient_is_none() -> None:
    f = made("hardtanh")
    x, w = torch.randn(300, requires_grad=True), torch.ones(1, requires_grad=True)
    y = torch.autograd.graph.get_gradient_edge(f(x))
    assert y.node is not None
    assert grad(w.sum(), [w, x], allow_unused=True)[1] is None


def test_batches_of_upstream_gradients() -> None:
    f = made("hardshrink")
    x, g = torch.randn(300, requires_grad=True), torch.randn(4, 300)
    (batched,) = grad(f(x), x, g, is_grads_batched=True)
    for row, upstream in zip(batched, g, strict=True):
        assert same_bits(row, passes(f, x, upstream)[1])


def test_an_upstream_gradient_with_a_tangent() -> None:
    f = made("hardsigmoid")
    x, g, t = torch.randn(300, requires_grad=True), torch.randn(300), torch.randn(300)
    y = f(x)
    with forward_ad.dual_level():
        (product,) = grad(y, x, forward_ad.make_dual(g, t))
        primal, tangent = forward_ad.unpack_dual(product)
    assert same_bits(primal, passes(f, x, g)[1])
    assert tangent is not None
    assert same_bits(tangent, passes(f, x, t)[1])


def test_hooks_checkpoints_and_changes_in_place() -> None:
    f = made("leaky_relu")
    x, g = torch.randn(300, requires_grad=True), torch.randn(300)
    wanted = passes(f, x, g)[1]
    with torch.autograd.graph.save_on_cpu():
        y = f(x)
    assert torch.equal(grad(y, x, g)[0], wanted)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(), torch.from_numpy):
        y = f(x)
    assert torch.equal(grad(y, x, g)[0], wanted)
    y = checkpoint(lambda x: f(f(x)), x, use_reentrant=False)
    once = f(x)
    assert torch.equal(grad(y, x, g)[0], grad(f(once), x, g)[0])
    inner = x * 1
    y = f(inner)
    inner.zero_()  # neither input nor output is needed any more
    y.zero_()
    assert torch.equal(grad(y, x, g)[0], torch.zeros(300))
    inner = x * 1
    y = f(inner)
    inner.zero_()
    assert torch.equal(grad(y, x, g)[0], wanted)


def test_another_dtype_of_the_upstream_gradient_is_torchs_business() -> None:
    f = made("leaky_relu")
    x = torch.randn(300, requires_grad=True)
    with pytest.raises(RuntimeError):
        grad(f(x), x, torch.ones(301))
    layer = torch.nn.Linear(10, 30)
    with torch.autocast("cpu", torch.bfloat16):
        f(layer(torch.randn(20, 10))).float().sum().backward()
    assert layer.weight.grad is not None


def test_flat_parts_stop_infinite_upstream_gradients() -> None:
    f = made("hardtanh")
    x = torch.full((100,), 5.0, requires_grad=True)
    assert torch.equal(grad(f(x), x, torch.full((100,), torch.inf))[0], torch.zeros(100))


def test_a_really_large_one() -> None:
    f = gs.activation("max(x, 0.3*x)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saving, "LARGE", LARGE)
        mask = mask_of(f.operation)
    assert mask is not None
    assert mask.least == LARGE
    assert not mask.serves([torch.empty(LARGE - 1, requires_grad=True)])
    assert mask.serves([torch.empty(LARGE, requires_grad=True)])
