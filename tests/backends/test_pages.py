"""Large results lie on large pages: what Linux itself says of the memory of the process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.backends import dispatch, pages
from gradsmith.operator import extension

TAKES_PART = Path("/sys/kernel/mm/transparent_hugepage/enabled")

pytestmark = [
    pytest.mark.skipif(
        not sys.platform.startswith("linux") or not TAKES_PART.exists(),
        reason="no large pages on this machine",
    ),
    pytest.mark.skipif(dispatch.native_reason() is not None, reason="no native code here"),
]

COUNT = 2**25 // 4
"""Numbers that glibc maps by themselves (``DEFAULT_MMAP_THRESHOLD_MAX``): all pages are new."""


@pytest.fixture(params=["native", "python"])
def sigmoid(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Activation:
    if request.param == "python":
        monkeypatch.setattr(extension, "_loaded", lambda: "not wanted")
        # An operation asks for the native part once: one that nobody else has used.
        return gs.activation("3/(3 + exp(-x))")
    if extension.reason() is not None:
        pytest.skip("the native part is not built")
    return gs.activation("1/(1 + exp(-x))")


def is_asked_for(tensor: Tensor) -> bool:
    """Whether the mapping that its middle lies in has the flag of MADV_HUGEPAGE."""
    at, inside = tensor.data_ptr() + tensor.nbytes // 2, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
            inside = int(found[1], 16) <= at < int(found[2], 16)
        elif inside and line.startswith("VmFlags:"):
            return "hg" in line.split()
    raise AssertionError(f"nothing is mapped at {at:#x}")


def gradient(of: Callable[..., Tensor], x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(of(x), x, torch.ones_like(x))[0]


def test_large_results_and_gradients_get_large_pages(sigmoid: Activation) -> None:
    x = torch.linspace(-5, 5, COUNT)
    assert not is_asked_for(x)
    y = sigmoid(x)
    assert is_asked_for(y)
    assert is_asked_for(gradient(sigmoid, x))
    assert torch.equal(y[:1000], sigmoid(x[:1000]))
    assert torch.equal(y[-1000:], sigmoid(x[-1000:]))
    rows = sigmoid(x.view(64, -1)[:, ::2].repeat(1, 2).t())
    assert is_asked_for(rows)


@pytest.mark.parametrize("native", [True, False])
def test_results_that_hold_a_large_page_get_it(native: bool, tmp_path: Path) -> None:
    """In a process of its own, in which every result is mapped by itself, and so is not of memory
    that was asked for before."""
    if native and extension.reason() is not None:
        pytest.skip("the native part is not built")
    environment = dict(os.environ, MALLOC_MMAP_THRESHOLD_=str(2**16))
    if not native:
        environment[extension.VARIABLE] = str(tmp_path)
    said = subprocess.run(
        [sys.executable, "-c", _SIZES],
        env=environment,
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split() == ["False", "True", "True"], said.stderr


_SIZES = """
import torch
import gradsmith as gs
from gradsmith.backends.pages import LARGE
from test_pages import is_asked_for

sigmoid = gs.activation("1/(1 + exp(-x))")
for size in (LARGE - 4, LARGE, 2 * LARGE):
    print(is_asked_for(sigmoid(torch.zeros(size // 4))))
"""


def test_what_cannot_be_had_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_request", lambda: None)
    x = torch.empty(COUNT)
    assert pages.advised(x) is x
    assert not is_asked_for(x)
