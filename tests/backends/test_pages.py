"""Large results lie on large pages: what Linux itself says of the memory of the process."""

from __future__ import annotations

import re
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

COUNT = pages.LARGE // 4


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


def test_smaller_ones_do_not(sigmoid: Activation) -> None:
    y = sigmoid(torch.linspace(-5, 5, COUNT // 2))
    assert not is_asked_for(y)


def test_what_cannot_be_had_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "_request", lambda: None)
    x = torch.empty(COUNT)
    assert pages.advised(x) is x
    assert not is_asked_for(x)
