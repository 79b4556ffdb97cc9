"""How many threads a kernel gets; tests/operator/test_layout.py has the bits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch

from gradsmith.backends import dispatch, threads
from gradsmith.backends.llvm import compile_program
from gradsmith.numerics.builder import Builder, Value
from gradsmith.numerics.elementary.exponential import exp
from gradsmith.numerics.program import F32, Program

pytestmark = pytest.mark.skipif(
    dispatch.native_reason() is not None, reason="no native code on this machine"
)


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def program(times: int) -> Program:
    """So many exponentials."""
    builder = Builder()
    y: Value = builder.input("x", F32)
    for _ in range(times):
        y = exp(-abs(y))
    return builder.program(-y)


def test_what_moves_memory_alone_is_split_where_pytorch_splits() -> None:
    assert threads.grain(0.0) == threads.GRAIN
    assert threads.count(threads.GRAIN) == 1
    assert threads.count(threads.GRAIN + 1) == 2
    assert threads.count(100 * threads.GRAIN) == torch.get_num_threads()


def test_the_longer_an_element_takes_the_fewer_are_split() -> None:
    kernels = [compile_program(program(times)) for times in (0, 1, 2, 4)]
    assert all(above.grain > below.grain for above, below in pairwise(kernels))
    # As long as PyTorch takes for its own number, to a factor that covers what is not estimated.
    assert kernels[0].grain > 0.9 * threads.GRAIN
    assert 0.2 * threads.GRAIN < kernels[1].grain < 0.8 * threads.GRAIN


def test_a_kernel_is_run_by_threads_from_its_own_number_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernel = compile_program(program(3))
    started = []

    def run(worker: int, task: int, count: int, really: object = threads.run) -> None:
        started.append(count)
        assert callable(really)
        really(worker, task, count)

    monkeypatch.setattr(threads, "run", run)
    for count, expected in ((kernel.grain, []), (kernel.grain + 1, [2])):
        x = torch.linspace(-9, 9, count)
        found, alone = torch.empty_like(x), torch.empty_like(x)
        kernel([x], [found])
        assert started == expected
        kernel.raw(count, x.data_ptr(), alone.data_ptr())
        assert torch.equal(found, alone)


def test_a_forked_child_computes_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    assert threads.count(10 * threads.GRAIN) == 2
    monkeypatch.setattr(threads, "_forked", True)
    assert threads.count(10 * threads.GRAIN) == 1
    assert "forked" in (threads.unavailable() or "")
