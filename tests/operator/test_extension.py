from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, grad, gradcheck, gradgradcheck
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.backends import dispatch, folder, threads
from gradsmith.operator import building, extension

pytestmark = pytest.mark.skipif(
    extension.reason() is not None, reason=f"the native part: {extension.reason()}"
)

NATIVE = "PointwiseBackward"
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SILU = gs.activation("x*sigmoid(x)")
BY_OUTPUT = gs.activation("where(x <= 0, 0, x)")
PARAMETRIC = gs.activation("where(x <= 0, beta*x, c*x)", beta=1.5, c=-0.25)
GATED = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
LINEAR = gs.activation("2*x")
THREE = gs.activation("a*b + c", inputs=("a", "b", "c"))
ALL = (SILU, BY_OUTPUT, PARAMETRIC, GATED, LINEAR, THREE)
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (7,), (3, 5), (2, 1, 9), (40_000,))


def drawn(f: Activation, shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in f.inputs]
    return [(2 * t).to(dtype).requires_grad_() for t in made]


def learn(f: Activation, dtype: torch.dtype, *needed: bool) -> None:
    """After this the native part knows of such calls, and of their backward pass."""
    inputs = drawn(f, (3,), dtype)
    for x, need in zip(inputs, needed or [True] * len(inputs), strict=True):
        x.requires_grad_(need)
    for _ in range(2):
        y = f(*inputs)
        asked = [x for x in inputs if x.requires_grad]
        grad(y, asked, torch.ones_like(y))
        f(*[x.detach() for x in inputs])


def served(y: Tensor) -> bool:
    return y.grad_fn is not None and y.grad_fn.name() == NATIVE


def same(a: Tensor, b: Tensor) -> bool:
    """Bit for bit, but for the payload of a NaN."""
    if (a.shape, a.stride(), a.dtype) != (b.shape, b.stride(), b.dtype):
        return False
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    equal = a.detach().view(whole) == b.detach().view(whole)
    return bool((equal | (a.isnan() & b.isnan())).all())


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """A word each time that a native node asks Python."""
    asked: list[str] = []
    operation = SILU.operation

    class Watched(dict[Any, Any]):
        def __getitem__(self, key: Any) -> Any:
            asked.append("asked")
            return super().__getitem__(key)

    learn(SILU, torch.float32)
    before = operation.backwards
    object.__setattr__(operation, "backwards", Watched(before))
    yield asked
    object.__setattr__(operation, "backwards", before)


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
    for numbers in ((2.0, 0.0), (2, -0.0), (-3, 1), (float("nan"), 1.0), (2**70, 0.0)):
        y = PARAMETRIC(x, *numbers)
        assert served(y)
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
        seen.clear()
        y = SILU(x)
        y.sum().backward()
        assert x.grad is not None
        assert same(x.grad, expected)
        assert bool(seen) == (count > threads.GRAIN)


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
    for g in (upstream.t().contiguous().t(), torch._neg_view(-upstream)):
        (found,) = grad(SILU(x), x, g)
        assert found.equal(expected)
    assert seen == ["asked"]  # of the one that is negated; the other is copied


def test_the_backend_that_is_chosen_meanwhile(seen: list[str]) -> None:
    x = torch.randn(100, requires_grad=True)
    y = SILU(x)
    assert served(y)
    with dispatch.using("aten"):
        assert not served(SILU(x))
        grad(y, x, torch.ones(100))
    assert seen
    assert served(SILU(x))


def test_no_gradient_no_node() -> None:
    learn(SILU, torch.float32)
    (x,) = drawn(SILU, (4,), torch.float32)
    with torch.no_grad():
        assert SILU(x).grad_fn is None
    with torch.inference_mode():
        y = SILU(x)
        assert y.is_inference()
        assert y.grad_fn is None
    assert SILU(x.detach()).requires_grad is False
    learn(GATED, torch.float32)
    with pytest.raises(RuntimeError, match="Inference tensors cannot be saved"):
        GATED(y, x)


class Logged(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls.append(str(func))
        return func(*args, **(kwargs or {}))


class Wrapped(Tensor):
    pass


def declined(*operands: Any, f: Activation = SILU) -> bool:
    """Whether the native part leaves this call to Python."""
    call = f.operation.call
    assert call is not None
    return call(f.operation, tuple(operands)) is None


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
def test_it_serves_what_it_is_for() -> None:
    learn(SILU, torch.float32)
    x = torch.randn(3)
    assert not declined(x)
    assert not declined(torch.nn.Parameter(x))
    assert not declined(torch.randn(2, 1, 3).to(memory_format=torch.contiguous_format))
    with torch.autocast("cpu", torch.bfloat16):
        assert not declined(x)
    with torch.autograd.detect_anomaly(check_nan=False):
        assert not declined(x)


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x.as_subclass(Wrapped),
        lambda x: x.to("meta"),
        lambda x: x.to_sparse(),
        lambda x: x[::2],
        lambda x: torch._neg_view(x),
        lambda x: x.to(torch.int32),
        lambda x: x.to(torch.complex64),
        lambda x: torch._efficientzerotensor(3),
        lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
        lambda x: x.numpy(),
        lambda x: x.tolist(),
        lambda x: True,
        lambda x: 1.0,
        lambda x: None,
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_it_passes_by_what_is_not_plain(make: Callable[[Tensor], Any]) -> None:
    learn(SILU, torch.float32)
    assert declined(make(torch.randn(3)))


def test_it_passes_by_what_is_not_alike() -> None:
    learn(GATED, torch.float32)
    x = torch.randn(3, 2)
    assert declined(x, f=GATED)
    assert declined(x, x, x, f=GATED)
    assert declined(x, x.double(), f=GATED)
    assert declined(x, x[0], f=GATED)
    assert declined(x, x.t(), f=GATED)
    assert declined(1.0, 2.0, f=GATED)
    call = GATED.operation.call
    assert call is not None
    assert call(GATED.operation, [x, x]) is None  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:`torch.jit.:DeprecationWarning")
def test_it_passes_by_whoever_looks_on() -> None:
    learn(SILU, torch.float32)
    x = torch.randn(3)
    with Logged() as log:
        assert declined(x)
        SILU(x)
    assert log.calls
    with TorchFunctionMode():
        assert declined(x)
    with forward_ad.dual_level():
        assert declined(x)
        dual = forward_ad.make_dual(x, torch.ones(3))
        tangent = forward_ad.unpack_dual(SILU(dual)).tangent
    torch.testing.assert_close(tangent, SILU.derivative()(x), rtol=0, atol=0)
    with torch._C._AutoDispatchBelowAutograd():
        assert declined(x)
    seen_inside = []
    torch.vmap(lambda v: seen_inside.append(declined(x)) or SILU(v))(x.view(3, 1))
    torch.func.grad(lambda v: seen_inside.append(declined(x)) or SILU(v).sum())(x)
    torch.jit.trace(lambda v: seen_inside.append(declined(x)) or v + 0, x, check_trace=False)
    assert seen_inside == [True] * 3
    assert not declined(x)


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


def test_nothing_leaks() -> None:
    learn(SILU, torch.float32)
    operation = SILU.operation
    known = operation.call
    x = torch.randn(64, requires_grad=True)
    g = torch.ones(64)

    def often(count: int) -> None:
        for _ in range(count):
            y = SILU(x)
            grad(y, x, g)
            SILU(x)  # a graph that is never used
            grad(SILU(x), x, g, create_graph=True)

    def amount() -> tuple[int, int, int]:
        gc.collect()
        return sys.getrefcount(operation), sys.getrefcount(known), len(gc.get_objects())

    often(100)
    before, memory = amount(), _resident()
    often(3000)
    after = amount()
    assert all(a <= b for a, b in zip(after[:2], before[:2], strict=True))
    assert abs(after[2] - before[2]) < 50
    assert _resident() - memory < 2**22  # 9000 tensors of 256 bytes alone would be half of that


def _resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_graph_keeps_its_operation_alive() -> None:
    learn(SILU, torch.float32)
    operation = SILU.operation
    x = torch.randn(4, requires_grad=True)
    before = sys.getrefcount(operation)
    y = SILU(x)
    assert served(y)
    assert sys.getrefcount(operation) == before + 1
    y.sum().backward()
    assert sys.getrefcount(operation) == before + 1
    del y
    assert sys.getrefcount(operation) == before


def test_what_is_registered_goes_with_its_operation() -> None:
    module = type(SILU.operation.call)
    known, gradient = module(1), module(2)  # type: ignore[call-arg]
    before = sys.getrefcount(gradient)
    needs = (True,)
    held = sys.getrefcount(needs)
    assert known.plan(1, needs, (0,), [(0, gradient, (0,))])
    assert known.plan(1, needs, (0,), [(0, gradient, (0,))])  # what is there stays
    assert sys.getrefcount(gradient) == before + 1
    del known
    assert sys.getrefcount(gradient) == before
    assert sys.getrefcount(needs) == held
    nowhere = [(0, None, (1,))], [(1, None, ())], [(9, None, ())]
    for kept, terms in (((5,), []), *(((0,), terms) for terms in nowhere)):
        with pytest.raises(ValueError, match="operand"):
            gradient.plan(1, needs, kept, terms)
    for count in (0, 9):
        with pytest.raises(ValueError, match="1 to 8 operands"):
            module(count)  # type: ignore[call-arg]


def test_more_operands_than_it_takes() -> None:
    names = "abcdfghij"
    f = gs.activation("*".join(names), inputs=tuple(names))
    inputs = [torch.full((3,), 1.0 + i, requires_grad=True) for i in range(9)]
    for _ in range(2):
        y = f(*inputs)
        assert not served(y)
        y.sum().backward()
    assert y.tolist() == [362880.0] * 3


def test_more_pointers_than_it_takes() -> None:
    # 7 inputs, the upstream gradient and 7 gradients: each is then computed by itself.
    names = "abcdfgh"
    f = gs.activation("*".join(names), inputs=tuple(names))
    learn(f, torch.float32)
    inputs = [torch.full((3,), 1.0 + i, requires_grad=True) for i in range(7)]
    y = f(*inputs)
    assert served(y)
    found = grad(y, inputs, torch.ones(3))
    assert [v.tolist() for v in found] == [[5040.0 / (1 + i)] * 3 for i in range(7)]


def test_several_threads() -> None:
    for f in (SILU, GATED):
        learn(f, torch.float32)
    inputs = drawn(GATED, (5000,), torch.float32)
    g = torch.ones(5000)
    expected = [grad(GATED(*inputs), inputs, g), grad(SILU(inputs[0]), inputs[:1], g)]
    wrong: list[object] = []

    def work() -> None:
        try:
            for _ in range(100):
                found = [grad(GATED(*inputs), inputs, g), grad(SILU(inputs[0]), inputs[:1], g)]
                for some, others in zip(found, expected, strict=True):
                    wrong.extend(None for a, b in zip(some, others, strict=True) if not same(a, b))
        except BaseException as error:
            wrong.append(error)

    started = [threading.Thread(target=work) for _ in range(4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert wrong == []


def test_several_threads_share_one_graph() -> None:
    learn(SILU, torch.float32)
    x = torch.randn(500, requires_grad=True)
    y = SILU(x)
    assert served(y)
    (expected,) = grad(y, x, torch.ones(500), retain_graph=True)
    found: list[Tensor] = []

    def work() -> None:
        for create in (False, True) * 20:
            found.extend(grad(y, x, torch.ones(500), retain_graph=True, create_graph=create))

    started = [threading.Thread(target=work) for _ in range(4)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()
    assert len(found) == 160
    assert all(same(each, expected) for each in found)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    learn(SILU, torch.float32)
    x = torch.randn(5 * threads.GRAIN + 3, requires_grad=True)
    g = torch.randn_like(x)
    before = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            y = SILU(x)
            results.append((y.detach(), *grad(y, x, g)))
    finally:
        torch.set_num_threads(before)
    assert all(same(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_after_a_fork() -> None:
    learn(SILU, torch.float32)
    x = torch.randn(3 * threads.GRAIN)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        bits = SILU(x).numpy().tobytes()
        child = os.fork()
        if child == 0:  # OpenMP's threads are not here: to call them would wait forever
            signal.alarm(60)
            os._exit(0 if SILU(x).numpy().tobytes() == bits else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        torch.set_num_threads(before)


def test_activations_are_copied_and_pickled_as_before() -> None:
    learn(SILU, torch.float32)
    x = torch.randn(4, requires_grad=True)
    assert copy.deepcopy(SILU) is SILU
    assert pickle.loads(pickle.dumps(SILU)).operation is SILU.operation
    assert served(pickle.loads(pickle.dumps(SILU))(x))


def test_compiled_code_goes_by_torchs_own_calls() -> None:
    learn(SILU, torch.float32)
    x = torch.randn(16, requires_grad=True)
    compiled = torch.compile(SILU, backend="aot_eager", fullgraph=True)
    y = compiled(x)
    assert not served(y)
    torch.testing.assert_close(y, SILU(x), rtol=1e-6, atol=1e-7)
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_a_compiled_backward_pass() -> None:
    from torch._dynamo import compiled_autograd

    operands = {
        SILU: drawn(SILU, (16,), torch.float32),
        BY_OUTPUT: drawn(BY_OUTPUT, (16,), torch.float32),
        GATED: drawn(GATED, (16,), torch.float32),
    }
    calls: list[tuple[Callable[..., Tensor], list[Tensor]]] = list(operands.items())
    # The same node but for a number that is kept: the graph of one must not serve the other.
    calls += [(lambda x, b=b: PARAMETRIC(x, b, 0.0), operands[SILU]) for b in (1.0, 2.0, 3.0)]
    learn(PARAMETRIC, torch.float32)
    for f, inputs in calls:
        if isinstance(f, Activation):
            learn(f, torch.float32)
        y = f(*inputs)
        assert served(y)
        expected = grad(y, inputs, torch.ones(16), retain_graph=True)
        for x in inputs:
            x.grad = None
        with compiled_autograd._enable(torch.compile(backend="eager")):
            y.backward(torch.ones(16))
        for x, gradient in zip(inputs, expected, strict=True):
            assert x.grad is not None
            torch.testing.assert_close(x.grad, gradient, rtol=1e-6, atol=1e-7)
    torch._dynamo.reset()


def run(code: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


_USE = """
import torch, gradsmith as gs
f = gs.activation("x*sigmoid(x)")
x = torch.linspace(-2, 2, 5, requires_grad=True)
for _ in range(3):
    y = f(x)
    kept = torch.autograd.grad(y, x, torch.ones(5), retain_graph=True)
print(y.grad_fn.name(), [v.hex() for t in (y, *kept) for v in t.tolist()])
"""


def test_a_process_may_end_while_a_graph_is_alive() -> None:
    assert run(_USE).startswith(NATIVE)


@pytest.mark.parametrize("value", ["0", "off", "", "/nowhere"])
def test_without_it_the_bits_are_the_same(value: str) -> None:
    with_it, without = run(_USE), run(_USE, **{extension.VARIABLE: value})
    assert with_it.partition(" ")[0] != without.partition(" ")[0]
    assert with_it.partition(" ")[2] == without.partition(" ")[2]


_REASON = "from gradsmith.operator import extension; print(extension.reason())"


def _library() -> tuple[str, bytes]:
    where = extension.directory()
    assert not isinstance(where, str)
    with folder.opened(where) as opened:
        (name,) = [n for n, _ in opened.files() if n.startswith(extension.key())]
        return name, opened.read(name, 2**28)


def test_a_library_that_cannot_be_trusted_is_not_loaded(tmp_path: Any) -> None:
    name, content = _library()
    where = tmp_path / "extension"
    where.mkdir(mode=0o700)
    library = where / name
    used = {extension.VARIABLE: str(where)}
    assert "not built" in run(_REASON, **used)
    library.write_bytes(content)
    library.chmod(0o600)
    assert run(_REASON, **used) == "None\n"
    library.chmod(0o620)
    assert "others may write" in run(_REASON, **used)
    library.chmod(0o600)
    where.chmod(0o770)
    assert "others may write" in run(_REASON, **used)
    where.chmod(0o700)
    library.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "not built" in run(_REASON, **used)
    library.unlink()
    library.symlink_to(tmp_path / name)
    (tmp_path / name).write_bytes(content)
    assert "not built" in run(_REASON, **used)


def test_what_is_no_library_is_a_reason(tmp_path: Any) -> None:
    where = tmp_path / "extension"
    where.mkdir(mode=0o700)
    name = extension.library_name(b"nonsense")
    (where / name).write_bytes(b"nonsense")
    (where / name).chmod(0o600)
    assert run(_REASON, **{extension.VARIABLE: str(where)}).startswith("cannot be loaded")


def test_the_import_does_not_load_it() -> None:
    code = "import sys, gradsmith; print('gradsmith_call' in open('/proc/self/maps').read())"
    assert run(code) == "False\n"


def test_why_it_is_not_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(building.BuildError, match="'no-such-compiler', as CXX says"):
        building.build()
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'call.cpp:1: what is this' >&2\nexit 1\n")
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(building.BuildError, match=r"(?s)does not compile.*what is this"):
        building.build()
    monkeypatch.setenv(extension.VARIABLE, "off")
    with pytest.raises(building.BuildError, match="turns it off"):
        building.build()
