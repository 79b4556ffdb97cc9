"""The native part on operands that are broadcast or strided, and on the halves of one tensor.

Oracle: the Python path, bit for bit; for derivatives of higher order, finite differences.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import grad, gradcheck, gradgradcheck

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.backends import dispatch, threads
from gradsmith.operator import extension, slopes
from tests.operator.extension_calls import (
    BY_OUTPUT,
    DTYPES,
    GATED,
    WITH_NATIVE_PART,
    declined,
    drawn,
    learn,
    same,
    served,
)
from tests.operator.test_layout import laid_out

pytestmark = WITH_NATIVE_PART

GATE = gs.activation("x*sigmoid(a) + b*x", inputs=("x", "a", "b"))
SLOPE = gs.activation("where(x > 0, x, weight*x)", inputs=("x", "weight"))


def outcome(f: Any, operands: list[Any], g: Tensor | None = None) -> tuple[Tensor, ...]:
    """The value and all gradients."""
    y = f(*operands)
    leaves = [o for o in operands if isinstance(o, Tensor) and o.requires_grad]
    if g is None:
        g = torch.randn(y.shape, generator=torch.Generator().manual_seed(5)).to(y.dtype)
    return (y, *grad(y, leaves, g))


def agree(f: Any, operands: list[Any], g: Tensor | None = None) -> None:
    """Once Python has seen such a call the native part serves it, and with Python's bits."""
    for _ in range(2):
        found = outcome(f, operands, g)
    # Of more, what has no long rows is copied by PyTorch, on several threads.
    assert served(found[0]) or found[0].numel() > threads.GRAIN
    with dispatch.consulted():
        expected = outcome(f, operands, g)
    assert not served(expected[0])
    assert all(map(same, found, expected))


@pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning")
@given(st.data(), st.sampled_from(DTYPES))
@settings(max_examples=100, derandomize=True, deadline=None)
def test_any_layout_has_pythons_bits(data: st.DataObject, dtype: torch.dtype) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 70, 129]), min_size=1, max_size=3)))
    operands = [data.draw(laid_out(shape)).to(dtype).detach() for _ in range(3)]
    for operand in operands:
        operand.requires_grad_(data.draw(st.integers(0, 3)) > 0)
    operands[0].requires_grad_()
    full = torch.broadcast_shapes(*(o.shape for o in operands))
    g = data.draw(laid_out(full)).expand(full).to(dtype)
    agree(GATE, operands, g)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "weights"),
    [
        ((1000,), (1,)),
        ((1000,), ()),
        ((7, 3), (1, 1)),
        ((1,), ()),
        ((1, 1), (1,)),
        ((), (1,)),
        ((4, 16, 9), (16, 1)),
        ((4, 16, 80), (16, 1)),
        ((5, 70), (70,)),
        ((5, 7), (7,)),
        ((2, 3, 4, 5), (3, 1, 1)),
        ((3,), (2, 1)),
    ],
)
def test_slopes_of_any_shape(
    dtype: torch.dtype, shape: tuple[int, ...], weights: tuple[int, ...]
) -> None:
    x, weight = drawn(SLOPE, shape, dtype)[0], drawn(SLOPE, weights, dtype, seed=1)[0]
    agree(SLOPE, [x, weight])
    agree(SLOPE, [x.detach(), weight])
    agree(SLOPE, [x, weight.detach()])


def test_channels_last_and_transposed() -> None:
    x = torch.randn(2, 6, 5, 4).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(6, 1, 1, requires_grad=True)
    agree(SLOPE, [x, weight])
    assert SLOPE(x, weight).is_contiguous(memory_format=torch.channels_last)
    agree(SLOPE, [torch.randn(9, 80, requires_grad=True).t(), torch.randn(1, requires_grad=True)])


@pytest.mark.parametrize("value", [0.0, -0.0, 1e-70, float("inf"), float("nan"), -3.0])
def test_a_single_slope_of_any_size(value: float) -> None:
    weight = torch.tensor([value], dtype=torch.float64, requires_grad=True)
    x = torch.randn(50, dtype=torch.float64, requires_grad=True)
    for _ in range(3):
        found = outcome(SLOPE, [x, weight])
    with dispatch.consulted():
        assert all(map(same, found, outcome(SLOPE, [x, weight])))


def test_numbers_beside_broadcast_tensors() -> None:
    f = gs.activation("where(x <= 0, a*x, b*x) + c", inputs=("x", "c"), a=0.5, b=2.0)
    x, c = torch.randn(30, 4, requires_grad=True), torch.randn(4, requires_grad=True)
    agree(f, [x, c, 3.0, -0.25])


@pytest.mark.parametrize("count", [100, threads.GRAIN + 100])
def test_rows_on_several_threads(count: int) -> None:
    rows = torch.randn(count // 100, 150)[:, :100].requires_grad_()
    weight = torch.randn(100, requires_grad=True)
    before = torch.get_num_threads()
    g = torch.randn(rows.shape)
    found = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            agree(SLOPE, [rows, weight], g)
            found.append(outcome(SLOPE, [rows, weight], g)[:2])
    finally:
        torch.set_num_threads(before)
    assert all(same(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_derivatives_of_broadcast_operands() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, generator=generator, dtype=torch.float64, requires_grad=True)
    for f in (SLOPE, GATED):
        agree(f, [x, weight])
        assert gradcheck(f, [x, weight], check_batched_grad=True)
        assert gradgradcheck(f, [x, weight], check_batched_grad=True)


def test_a_compiled_backward_pass_knows_the_shapes() -> None:
    from torch._dynamo import compiled_autograd

    x = torch.randn(16, 16, requires_grad=True)
    for weights in ((1,), (16,), (16, 1), (1, 16)):
        weight = torch.randn(weights, requires_grad=True)
        agree(SLOPE, [x, weight])
        y = SLOPE(x, weight)
        expected = grad(y, weight, torch.ones(16, 16), retain_graph=True)[0]
        with compiled_autograd._enable(torch.compile(backend="eager")):
            y.backward(torch.ones(16, 16))
        assert weight.grad is not None
        torch.testing.assert_close(weight.grad, expected, rtol=1e-5, atol=1e-5)
    torch._dynamo.reset()


# The halves of one tensor.


def glu(x: Tensor, dim: int = -1) -> Tensor:
    return gs.glu(x, dim)


HALVED = (((8,), 0), ((6, 64), 1), ((6, 64), 0), ((5, 200), -1), ((2, 4, 3), 1), ((4, 1, 8), 1))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("shape", "dim"), [(s, d) for s, d in HALVED if s[d] % 2 == 0])
def test_halves_have_pythons_bits(shape: tuple[int, ...], dim: int, dtype: torch.dtype) -> None:
    x = (2 * torch.randn(shape, generator=torch.Generator().manual_seed(1))).to(dtype)
    agree(lambda v: glu(v, dim), [x.requires_grad_()])
    half = outcome(lambda v: glu(v, dim), [x])[0].shape
    agree(lambda v: glu(v, dim), [x], torch.ones(()).to(dtype).expand(half))
    agree(
        lambda v: glu(v, dim),
        [x],
        torch.randn(half[::-1]).to(dtype).permute(*range(len(half))[::-1]),
    )
    plain = glu(x.detach(), dim)
    with dispatch.consulted():
        assert same(plain, glu(x.detach(), dim))


def node_of(y: Tensor) -> Any:
    assert y.grad_fn is not None
    return y.grad_fn


def test_halves_are_one_node() -> None:
    x = torch.randn(6, 10, requires_grad=True)
    agree(glu, [x])
    ((accumulate, _),) = node_of(glu(x)).next_functions
    assert accumulate.variable is x
    packed: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        glu(x)
    assert len(packed) == 1
    for other in (x.t(), x.expand(3, 6, 10), torch.randn(6, 20)[:, ::2].requires_grad_()):
        y = glu(other)
        assert len(node_of(y).next_functions) == 2  # whose gradient is laid out as PyTorch does
    y = glu(x * 1)
    held = x * 1
    y = glu(held)
    with torch.no_grad():
        held.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_large_halves() -> None:
    for shape in ((3, 2 * threads.GRAIN), (threads.GRAIN, 6)):
        x = torch.randn(shape, requires_grad=True)
        with dispatch.consulted():
            expected = outcome(glu, [x])
        for _ in range(3):
            assert all(map(same, outcome(glu, [x]), expected))


@pytest.mark.parametrize("kept", ["inputs", "nothing", "output"])
def test_halves_of_other_operations(kept: str) -> None:
    f: Activation = {
        "inputs": GATED,
        "nothing": gs.activation("a - 2*b", inputs=("a", "b")),
        "output": gs.activation("exp(a + b)", inputs=("a", "b")),
    }[kept]
    x = torch.randn(4, 10, requires_grad=True)

    def halved(x: Tensor) -> Tensor:
        result = f.operation.quick_halves(x, 1)
        return f(*x.split_with_sizes([5, 5], 1)) if result is None else result

    agree(halved, [x])
    (found,) = grad(halved(x).square().sum(), x, create_graph=True)
    (expected,) = grad(f(*x.chunk(2, 1)).square().sum(), x)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-6, atol=0)


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")
def test_derivatives_of_halves() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    agree(glu, [x])
    assert gradcheck(glu, [x], check_batched_grad=True, check_forward_ad=True)
    assert gradgradcheck(glu, [x], check_batched_grad=True)


def test_halves_in_a_compiled_backward_pass() -> None:
    from torch._dynamo import compiled_autograd

    x = torch.randn(4, 4, requires_grad=True)
    for dim in (0, 1):
        agree(lambda v, dim=dim: glu(v, dim), [x])
        y = glu(x, dim)
        (expected,) = grad(y, x, torch.ones(y.shape), retain_graph=True)
        x.grad = None
        with compiled_autograd._enable(torch.compile(backend="eager")):
            y.backward(torch.ones(y.shape))
        torch.testing.assert_close(x.grad, expected, rtol=1e-6, atol=1e-7)
    torch._dynamo.reset()


def test_what_cannot_be_halved_here() -> None:
    operation, known = GATED.operation, GATED.operation.call
    learn(GATED, torch.float32)
    known = extension.registered(operation)
    x = torch.randn(4, 6)
    assert known.halves(operation, x, 1) is not None
    refused: list[tuple[Any, ...]] = [(x, 2), (x, -3), (x[:3], 0), (x[:0], 0), (x.t(), 0)]
    refused += [(x, 2**70), (x, None), (x, 1.0), (None, 0), (x.to(torch.int32), 0), (x,)]
    refused += [(torch.randn([2] + [1] * 8), 0), (x.to_sparse(), 0)]
    for arguments in refused:
        assert known.halves(operation, *arguments) is None
    with dispatch.consulted():
        assert known.halves(operation, x, 1) is None
    one = extension.registered(BY_OUTPUT.operation)
    assert one.halves(BY_OUTPUT.operation, x, 1) is None


# Random slopes.


@pytest.fixture
def seeded() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.mark.usefixtures("seeded")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_random_slopes_are_pytorchs(dtype: torch.dtype) -> None:
    x = torch.randn(3000).to(dtype)
    for part in (x, x[:1], x[:0], x[::2], x.view(50, 60), x.view(50, 60).t(), x.fill_(-1)):
        for bounds in ((0.1, 0.37), (-1.0, 1.0), (0.25, 0.25), (0, 1)):
            torch.manual_seed(3)
            found, after = gs.rrelu(part, *bounds, training=True), torch.get_rng_state()
            with dispatch.consulted():
                torch.manual_seed(3)
                expected = gs.rrelu(part, *bounds, training=True)
            assert same(found, expected)
            assert torch.equal(after, torch.get_rng_state())
    assert slopes._chosen == [extension.slopes()]


@pytest.mark.usefixtures("seeded")
def test_a_native_part_that_draws_otherwise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    x = -torch.ones(5)
    torch.manual_seed(1)
    expected = gs.rrelu(x, training=True)
    for wrong in (
        lambda x, lower, upper: torch.full_like(x, lower),
        lambda x, lower, upper: None,
        lambda x, lower, upper: (slopes._by_torch(x, lower, upper), torch.rand(1))[0],
    ):
        monkeypatch.setattr(extension, "slopes", lambda wrong=wrong: wrong)
        monkeypatch.setattr(slopes, "_chosen", [slopes._first])
        torch.manual_seed(1)
        assert torch.equal(gs.rrelu(x, training=True), expected)
        assert slopes._chosen == [slopes._never]


def test_nothing_of_a_broadcast_call_leaks() -> None:
    x, weight = torch.randn(200, requires_grad=True), torch.randn(1, requires_grad=True)

    def often() -> int:
        for _ in range(300):
            outcome(SLOPE, [x, weight])
            outcome(glu, [x])
            grad(glu(x).sum(), x, create_graph=True)
            grad(SLOPE(x, weight).sum(), weight, create_graph=True)
        gc.collect()
        return len(gc.get_objects())

    before = often()
    assert often() - before < 50  # what other tests left may go meanwhile


def test_a_single_element_is_taken_as_the_number_that_it_is() -> None:
    f = gs.activation("where(x > 0, x, 3*b*x)", b=1.5)
    learn(f, torch.float32)
    x = torch.randn(5)
    assert declined(x, torch.tensor([2.5]), f=f)  # the default has a kernel of its own
    f(x, 4.0)
    assert not declined(x, torch.tensor([2.5]), f=f)
    assert not declined(x, torch.tensor([1.5]), f=f)
    assert declined(x, torch.tensor([1e-30]), f=f)  # for this there is no kernel yet
    assert declined(x, torch.tensor([2.5]).double(), f=f)
