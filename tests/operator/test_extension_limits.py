"""What the native part leaves to Python, and that it leaves nothing behind."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad, grad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.backends import threads
from gradsmith.operator import extension
from tests.operator.extension_calls import (
    BY_OUTPUT,
    GATED,
    PARAMETRIC,
    SILU,
    WITH_NATIVE_PART,
    declined,
    drawn,
    learn,
    learn_numbers,
    same,
    served,
)

pytestmark = WITH_NATIVE_PART


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
    assert declined(x, x[:2], f=GATED)
    assert declined(x[:0], x[:1], f=GATED)
    # More dimensions than rows are counted in; a single element would go with any.
    assert declined(torch.ones([1] * 9 + [2]), torch.ones([2] + [1] * 9), f=GATED)
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
    module = type(extension.registered(SILU.operation))
    known, gradient = module(1, ()), module(2, ())  # type: ignore[call-arg]
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
            module(count, ())  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="1 defaults"):
        module(2, (1.0,))  # type: ignore[call-arg]


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
    # 7 inputs, the upstream gradient and 7 gradients: the backward pass is then Python's.
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
    learn_numbers(PARAMETRIC, 4.0, 0.0)
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


@pytest.mark.parametrize("number", [1e-70, -1e70, float("inf"), float("nan")])
def test_a_number_beyond_moderate_size_has_another_kernel(number: float) -> None:
    learn_numbers(PARAMETRIC, 4.0, 0.0)
    x = torch.randn(5)
    assert not declined(x, 1.5, 0.0, f=PARAMETRIC)
    assert declined(x, number, -0.25, f=PARAMETRIC)
