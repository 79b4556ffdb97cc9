"""Formulas of which something happens far from 0: points are there, and results are right."""

from __future__ import annotations

import math
import warnings

import mpmath
import numpy as np
import pytest
import torch

import gradsmith as gs
from gradsmith.formula.parse import parse
from gradsmith.numerics.landmarks import landmarks
from gradsmith.numerics.measure import POSITIVE
from tests.printed import spacing

LINE = np.array([s * v for v in POSITIVE for s in (1.0, -1.0)])
# Each with where something happens, and how wide that is.
FORMULAS = {
    "exp(-(x - 100)**2)": (100, 1.0),
    "exp(-(x - 50)**4)": (50, 1.0),
    "x*exp(-(x + 100)**2)": (-100, 1.0),
    "exp(-(x - 1000)**2)": (1000, 1.0),
    "cos(5*x)*exp(-(x - 50)**2)": (50, 1.0),
    "exp(-(x + 77)**2) + exp(-(x - 77)**2)": (-77, 1.0),
    "exp(-((x - 3)/0.05)**2)": (3, 0.05),
    "x + exp(-((x - 3)/0.05)**2)": (3, 0.05),
    "erf(x - 100)": (100, 1.0),
    "erfc(x - 50)": (50, 1.0),
    "tanh(20*(x - 7))": (7, 0.05),
    "sigmoid(50*(x - 20))": (20, 0.02),
    "1/(1 + (x - 1000)**2)": (1000, 1.0),
    "exp(-(x**2 - 400)**2)": (20, 0.03),
}
CONTEXT = {"sigmoid": lambda u: 1 / (1 + mpmath.exp(-u))} | {
    name: getattr(mpmath, name) for name in ("exp", "cos", "erf", "erfc", "tanh")
}


def exact(formula: str, x: float, order: int) -> mpmath.mpf:
    with mpmath.workdps(60):

        def value(u: mpmath.mpf) -> mpmath.mpf:
            return eval(formula, {"x": u, **CONTEXT})

        step = mpmath.mpf(10) ** -25
        return mpmath.diff(value, x, h=step) if order else value(mpmath.mpf(x))


@pytest.mark.parametrize("formula", FORMULAS)
def test_values_and_gradients_are_within_1_ulp(formula: str) -> None:
    centre, width = FORMULAS[formula]
    x = (centre + width * torch.linspace(-4, 4, 97)).requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = gs.activation(formula)(x)
        y.sum().backward()
    assert x.grad is not None
    for order, found in enumerate((y.tolist(), x.grad.tolist())):
        for at, got in zip(x.tolist(), found, strict=True):
            wanted = exact(formula, at, order)
            assert abs(got - wanted) <= spacing(wanted, 24, -149), (at, order, got)


def test_every_origin_and_the_widths_of_all_parts_around_it() -> None:
    found = landmarks(parse("800*(3 - x)*exp(-400*(3 - x)**2)").expression, "x", {}, LINE)
    assert 3.0 in found
    inside = sorted(400 * (x - 3) ** 2 for x in found if x > 3)
    for wanted in (0.02, 1.8, 17.3, 87):
        assert any(math.isclose(wanted, got, rel_tol=0.2) for got in inside), wanted
    beside = sorted(3 - x for x in found if x < 3)
    assert any(math.isclose(0.9, got, rel_tol=0.2) for got in beside)


def test_parameters_have_their_defaults() -> None:
    root = parse("tanh(a*x - b)", {"a": 2.0, "b": 14.0}).expression
    assert 7.0 in landmarks(root, "x", {"a": 2.0, "b": 14.0}, LINE)


@pytest.mark.parametrize(
    "formula", ["x*sigmoid(x)", "exp(-x**2)", "log(1 + exp(x))", "x/(1 + abs(x))"]
)
def test_what_happens_at_0_has_points_already(formula: str) -> None:
    assert landmarks(parse(formula).expression, "x", {}, LINE) == []


def test_parts_may_overflow() -> None:
    root = parse("sinh(x)/cosh(x/2) + exp(x - 1000) - exp(x**2 - 9)").expression
    assert all(map(math.isfinite, landmarks(root, "x", {}, LINE)))
