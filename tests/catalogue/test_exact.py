"""Every entry, value and gradient, against the exact value of its printed formula."""

from __future__ import annotations

import math

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
                here, slope, _ = value_slope_curvature(function, {**fixed, name: x}, name)
                if not is_right(ours, here):
                    wrong.append(
                        f"{record.name}({name}={x}) is {ours}, not {mpmath.nstr(here, 20)}"
                    )
                if not is_right(ours_slope, slope):
                    exact_slope = mpmath.nstr(slope, 20)
                    wrong.append(f"{record.name}'({name}={x}) is {ours_slope}, not {exact_slope}")
    assert not wrong, "\n".join(wrong)


# Beside the roots of a derivative, where its terms cancel, and where exp or erfc is subnormal.
ADVERSARIAL: dict[str, tuple[float | None, list[float]]] = {
    "gelu": (-0.7517915246935645, [-38.55, -38.12, -37.6, -30.3, -21.7, -1.41422]),
    "gelu_tanh": (-0.7524614220710162, [-21.536, -21.3243, -20.9, -1.7206]),
    "silu": (-1.2784645427610738, [-750.4, -745.33, -743.0, -731.1, -709.9, -29.051]),
    "mish": (-1.1924312145154082, [-750.1, -745.33, -743.0, -731.1, -709.9, 355.79, 373.1]),
    "tanh": (None, [372.62431765223346, -366.2, 354.9]),
    "sigmoid": (None, [-744.7, -738.1, -712.2, 740.3]),
    "softsign": (None, [1.3e154, -1.5e154, 8.1e157, -2.2e161]),
    "softplus": (None, [-744.7, -738.1, 1.7e308]),
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_float64_beside_roots_and_in_subnormal_tails(name: str) -> None:
    record = next(entry for entry in ENTRIES if entry.name == name)
    root, points = ADVERSARIAL[name]
    if root is not None:
        nearest = [root]
        for direction in (-math.inf, math.inf):
            x = root
            for _ in range(8):
                x = math.nextafter(x, direction)
                nearest.append(x)
        points = [
            *points,
            *nearest,
            *(root * (1 + s * 2.0**-k) for k in range(2, 50) for s in (1, -1)),
        ]
    check_float64(record, dict(record.parameters), points)


@pytest.mark.parametrize("alpha", [0.6, 3.0, 17.1])
def test_float64_of_celu_with_other_parameters(alpha: float) -> None:
    record = next(entry for entry in ENTRIES if entry.name == "celu")
    check_float64(
        record, {"alpha": alpha}, [-alpha * u for u in (12.3, 372.1, 620.0, 684.86, 744.1)]
    )


def check_float64(record: Entry, parameters: dict[str, float], points: list[float]) -> None:
    function = exact(record.formula)
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    y = getattr(gs, record.name)(x, **parameters)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    wrong = []
    with mpmath.workdps(DIGITS):
        for at, *found in zip(points, y.tolist(), gradient.tolist(), strict=True):
            exactly = value_slope_curvature(function, {**parameters, "x": at}, "x")
            for order, (ours, true) in enumerate(zip(found, exactly, strict=False)):
                if not is_right(ours, true):
                    wrong.append(f"order {order} at {at!r}: {ours}, not {mpmath.nstr(true, 20)}")
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
