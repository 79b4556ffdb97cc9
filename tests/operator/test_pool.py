"""Memory of large results: it comes back, is nobody else's meanwhile, and grows for a reason."""

from __future__ import annotations

import copy
import pickle
import random
import resource
import subprocess
import sys
import threading

import pytest
import torch
from torch import Tensor

import gradsmith as gs
from gradsmith.backends import pages
from gradsmith.operator import extension

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only on Linux"),
    pytest.mark.skipif(extension.reason() is not None, reason="the native part is not built"),
]

COUNT = pages.LARGE // 4  # of float32
LARGE_PAGE = 2**21


@pytest.fixture(autouse=True, scope="module")
def known() -> None:
    """What is called for the first time goes by Python, and gets memory from PyTorch."""
    for shape in ((4,), (2, 2, 2, 2)):
        x = torch.randn(shape, requires_grad=True)
        for activation in (gs.relu, gs.silu, gs.glu):
            activation(x.detach())
            activation(x).sum().backward()
    gs.silu(torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last))
    gs.silu(torch.randn(3, 2).t())


def said(code: str) -> tuple[list[str], str]:
    """What a new process prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.split(), done.stderr


def test_the_memory_of_a_large_result_is_used_again() -> None:
    x = torch.linspace(-4, 4, COUNT)
    first = gs.relu(x)
    address = first.data_ptr()
    assert address % LARGE_PAGE == 0
    assert gs.relu(x).data_ptr() != address
    del first
    again = [gs.relu(x), gs.relu(x)]
    assert address in {y.data_ptr() for y in again}
    assert all(torch.equal(y, x.clamp_min(0)) for y in again)


def test_memory_serves_for_what_is_a_little_smaller() -> None:
    large = gs.relu(torch.zeros(9 * COUNT))
    address = large.data_ptr()
    del large
    fits = gs.relu(torch.ones(8 * COUNT + 1))
    assert fits.data_ptr() == address
    assert fits.min() == fits.max() == 1


@pytest.mark.parametrize("size", [pages.KEPT // 4, pages.KEPT // 4 + 1, LARGE_PAGE // 4, 2**20 - 1])
def test_so_it_is_from_one_mebibyte_on(size: int) -> None:
    y = gs.relu(torch.ones(size))
    assert y.data_ptr() % LARGE_PAGE == 0
    assert y.min() == y.max() == 1


def test_smaller_results_come_from_pytorch() -> None:
    assert gs.relu(torch.zeros(pages.KEPT // 4 - 1)).data_ptr() % LARGE_PAGE


def test_a_view_keeps_it() -> None:
    x = torch.linspace(-4, 4, COUNT)
    part = gs.relu(x)[COUNT // 2 :]
    wanted = part.clone()
    others = [gs.relu(-x) for _ in range(3)]
    assert torch.equal(part, wanted)
    assert len(others) == 3


def test_results_that_live_at_once_share_nothing() -> None:
    draw = random.Random(20261123)
    alive: list[tuple[Tensor, float]] = []
    for step in range(120):
        if alive and draw.random() < 0.5:
            tensor, value = alive.pop(draw.randrange(len(alive)))
            assert tensor.min() == tensor.max() == value
        size = draw.choice([COUNT, COUNT + 1, 2 * COUNT])
        alive.append((gs.relu(torch.full((size,), float(step))), float(step)))
        alive = alive[-12:]
    assert all(tensor.min() == tensor.max() == value for tensor, value in alive)


def test_it_is_a_tensor_like_others() -> None:
    y = gs.relu(torch.linspace(-4, 4, COUNT))
    wanted = y.tolist()[:: COUNT // 7]
    array = gs.relu(torch.linspace(-4, 4, COUNT)).numpy()
    for other in (copy.deepcopy(y), pickle.loads(pickle.dumps(y)), array):
        assert other.tolist()[:: COUNT // 7] == wanted
    y.untyped_storage().resize_(8 * COUNT)
    assert y.tolist()[:: COUNT // 7] == wanted
    y.resize_(3 * COUNT)
    assert y[:COUNT].tolist()[:: COUNT // 7] == wanted
    y.resize_(COUNT)
    y.share_memory_()
    assert y.is_shared()
    assert y.tolist()[:: COUNT // 7] == wanted


def test_it_may_have_any_strides() -> None:
    x = torch.randn(8, 16, 128, 128).to(memory_format=torch.channels_last)
    y = gs.silu(x)
    assert y.data_ptr() % LARGE_PAGE == 0
    assert y.stride() == x.stride()
    assert torch.equal(y.contiguous(), gs.silu(x.contiguous()))
    turned = gs.silu(torch.randn(2048, 1024).t())
    assert turned.stride() == (1, 1024)


def test_gradients_and_halves_lie_in_it() -> None:
    x = torch.randn(2, 2 * COUNT, requires_grad=True)
    y = gs.glu(x)
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert y.data_ptr() % LARGE_PAGE == gradient.data_ptr() % LARGE_PAGE == 0


def test_passes_find_their_memory_where_they_left_it() -> None:
    x = torch.randn(COUNT, requires_grad=True)
    g = torch.randn(COUNT)
    silu = gs.activation("silu")

    def faults(passes: int) -> int:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(passes):
            torch.autograd.grad(silu(x), x, g)
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    faults(3)
    # New memory of 4 MiB is 1024 pages, or two large ones.
    assert faults(50) < 50


_GROWTH = """
import gc, torch
import gradsmith as gs

def mapped():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * 4096

gs.relu(torch.zeros(2**20))
gc.collect()
before = mapped()
for size in range(2**20, 2**24, 2**19):
    gs.relu(torch.zeros(1).expand(size))
print((mapped() - before) / 2**20)
"""


def test_what_is_kept_is_no_more_than_was_ever_used_at_once() -> None:
    (megabytes,), _ = said(_GROWTH)
    # The largest of them takes 62 MiB, all of them a thousand.
    assert float(megabytes) <= 62 + 8


_FORKED = """
import os
import torch
import gradsmith as gs
torch.set_num_threads(1)  # those of PyTorch do not survive a fork
y = gs.relu(torch.zeros(2**21))
pid = os.fork()
z = gs.relu(torch.ones(2**21))
assert y.sum() == 0 and z.sum() == 2**21
if pid:
    assert os.waitpid(pid, 0)[1] == 0
else:
    os._exit(0)
print("right")
"""


def test_a_forked_process_has_its_own() -> None:
    assert said(_FORKED) == (["right"], "")


def test_several_threads_at_once() -> None:
    wrong: list[int] = []

    def work(seed: int) -> None:
        x = torch.full((COUNT + seed % 2 * COUNT,), float(seed))
        for _ in range(20):
            y = gs.relu(x)
            z = gs.relu(y)
            if not (y.min() == z.max() == seed):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_process_may_end_with_results_in_hand() -> None:
    code = "import torch, gradsmith as gs; y = gs.relu(torch.ones(2**22)); print(len(y))"
    assert said(code) == ([str(2**22)], "")
