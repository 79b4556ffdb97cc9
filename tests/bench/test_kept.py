"""Bytes kept for backward: exact for what PyTorch is known to save."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gradsmith.activation import activation
from gradsmith.bench import run
from gradsmith.bench.kept import Kept, measure_kept
from gradsmith.bench.tutorial import tutorial_function, written
from gradsmith.catalogue import ENTRIES
from gradsmith.formula.parse import parse
from gradsmith.operator import saving

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def kept(call: Callable[..., Tensor], dtype: torch.dtype = torch.float32, inputs: int = 1) -> Kept:
    return measure_kept(call, [torch.ones(8, 6, dtype=dtype, requires_grad=True)] * inputs)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (F.mish, Kept(4, 0, 0)),
        (F.silu, Kept(4, 0, 0)),
        (F.sigmoid, Kept(0, 4, 0)),
        (F.relu, Kept(0, 4, 0)),
        (F.softplus, Kept(4, 0, 0)),
        (F.elu, Kept(4, 0, 0)),
        (lambda x: 3 * x, Kept(0, 0, 0)),
        (lambda x: x * x, Kept(4, 0, 0)),  # twice the same
        (lambda x: x * x.clone(), Kept(4, 0, 4)),
        (lambda x: x * torch.full((), 2.0), Kept(0, 0, 0)),  # a constant does not grow
        (lambda x: torch.where(x > 0, x, -x), Kept(0, 0, 1)),  # a mask of bool
        (lambda x: x.detach().repeat(2, 1)[:8] * x, Kept(0, 0, 8)),  # a view keeps the whole
        (lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))), Kept(4, 0, 12)),
        (lambda x: 1 / (1 + torch.exp(-x)), Kept(0, 0, 8)),
    ],
)
def test_what_torch_keeps(call: Callable[..., Tensor], expected: Kept) -> None:
    assert kept(call) == expected


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_grows_with_the_dtype(dtype: torch.dtype) -> None:
    assert kept(F.mish, dtype) == Kept(dtype.itemsize, 0, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_ours_is_what_the_plan_says(entry: object, dtype: torch.dtype) -> None:
    ours = activation(getattr(entry, "name"))  # noqa: B009
    xs = [torch.ones(48, dtype=dtype, requires_grad=True) for _ in ours.inputs]
    assert measure_kept(ours, xs).total == ours.save_plan(dtype=dtype).bytes_per_element


def test_the_tutorials_keeps_its_output_or_its_input() -> None:
    assert kept(tutorial_function(parse("tanh(x)")).apply) == Kept(0, 4, 0)
    assert kept(tutorial_function(parse("x*tanh(log(1 + exp(x)))")).apply) == Kept(4, 0, 0)
    assert kept(written(parse("x*tanh(log(1 + exp(x)))"))) == Kept(4, 0, 12)


def test_how_it_is_written() -> None:
    assert str(Kept(4, 0, 0)) == "4 (input)"
    assert str(Kept(0, 4, 0)) == "4 (output)"
    assert str(Kept(0, 0, 8)) == "8 (of its own)"
    assert str(Kept(4, 0, 12)) == "16 (4 input, 12 of its own)"
    assert str(Kept(0, 0, 0)) == "0"
    assert Kept(4, 2, 1).total == 7


def test_what_is_kept_of_large_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (run, saving):
        monkeypatch.setattr(module, "LARGE", 512)
    few_slopes, curved = activation("max(x, 0.21*x)"), activation("silu")
    ((label, found),) = run.kept_of_large(few_slopes, torch.float32, 512).items()
    assert found == Kept(0, 0, 0.25)
    assert str(found) == "0.25 (of its own)"
    assert label.endswith("512 elements or more")
    assert not run.kept_of_large(few_slopes, torch.float32, 511)
    assert not run.kept_of_large(curved, torch.float32, 512)
