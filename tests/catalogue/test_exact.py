"""Every entry, value and gradient, against the exact value of its printed formula."""

from __future__ import annotations

import mpmath
import pytest
import torch

import gradsmith as gs
from gradsmith.catalogue import ENTRIES, Entry
from tests.printed import DIGITS, GRID, exact, is_right, spacing, value_slope_curvature

# A point of the grid at which an entry jumps.
DISCONTINUITIES = {"softplus_threshold": (20.0,)}

every_entry = pytest.mark.parametrize("record", ENTRIES, ids=lambda record: record.name)


@every_entry
def test_float64_values_and_gradients_on_the_whole_range(record: Entry) -> None:
    function = exact(record.formula)
    fixed = dict(record.parameters) | dict.fromkeys(record.inputs, 1.5)
    points = [x for x in GRID if x not in DISCONTINUITIES.get(record.name, ())]
    wrong = []
    for name in record.inputs:
        columns = {n: [fixed[n]] * len(points) for n in record.inputs} | {name: points}
        tensors = [torch.tensor(columns[n], dtype=torch.float64) for n in record.inputs]
        moved = tensors[record.inputs.index(name)].requires_grad_()
        y = getattr(gs, record.name)(*tensors)
        (gradient,) = torch.autograd.grad(y.sum(), moved)
        with mpmath.workdps(DIGITS):
            for x, ours, ours_slope in zip(points, y.tolist(), gradient.tolist(), strict=True):
                at = mpmath.mpf(x)
                exactly = value_slope_curvature(function, {**fixed, name: x}, name)
                here, slope, curvature = exactly
                if not is_right(ours, at, here, slope):
                    wrong.append(
                        f"{record.name}({name}={x}) is {ours}, not {mpmath.nstr(here, 20)}"
                    )
                if not is_right(ours_slope, at, slope, curvature):
                    exact_slope = mpmath.nstr(slope, 20)
                    wrong.append(f"{record.name}'({name}={x}) is {ours_slope}, not {exact_slope}")
    assert not wrong, "\n".join(wrong)


@every_entry
def test_float32_values_and_gradients_are_within_1_ulp(record: Entry) -> None:
    function = exact(record.formula)
    fixed = dict(record.parameters) | dict.fromkeys(record.inputs, 1.5)
    largest = torch.finfo(torch.float32).max
    points = [x for x in GRID if 1e-38 < abs(x) < 1e38]
    points = [x for x in points if x not in DISCONTINUITIES.get(record.name, ())]
    for name in record.inputs:
        columns = {n: [fixed[n]] * len(points) for n in record.inputs} | {name: points}
        tensors = [torch.tensor(columns[n], dtype=torch.float32) for n in record.inputs]
        moved = tensors[record.inputs.index(name)].requires_grad_()
        y = getattr(gs, record.name)(*tensors)
        (gradient,) = torch.autograd.grad(y.sum(), moved)
        with mpmath.workdps(DIGITS):
            for x, *found in zip(moved.tolist(), y.tolist(), gradient.tolist(), strict=True):
                exactly = value_slope_curvature(function, {**fixed, name: x}, name)
                for ours, true in zip(found, exactly[:2], strict=True):
                    if abs(true) <= largest:
                        error = abs(mpmath.mpf(ours) - true)
                        assert error <= spacing(true, 24, -149), (record.name, x, ours)
