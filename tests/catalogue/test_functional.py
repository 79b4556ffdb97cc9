"""``gradsmith.<name>`` agrees with ``torch.nn.functional.<name>``, at the kinks exactly."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gradsmith as gs
from gradsmith.catalogue import CATALOGUE, ENTRIES, Entry
from tests.catalogue.cases import KINKS, cases, value_and_gradient

EPS = torch.finfo(torch.float64).eps

# PyTorch's derivative of hardsigmoid is 1/6 rounded to float32, whatever the dtype.
PYTORCH_LOSES_IN_FLOAT64 = {"hardsigmoid": abs(torch.tensor(1 / 6).item() - 1 / 6)}


@cases()
def test_values_and_gradients_are_pytorchs_where_pytorch_is_right(
    record: Entry, given: dict[str, Any]
) -> None:
    # Up to 4 in magnitude none of PyTorch's formulas overflows or has lost its tail; they do
    # cancel, so that what they guarantee is an error relative to the terms, not to the result.
    # The terms are at most 2·exp(2) < 16 (CELU's, for the parameters of the cases), and no formula
    # has more than 16 operations on the way: 16 roundings, each of half an ULP of at most 16.
    x = torch.linspace(-4, 4, 1602, dtype=torch.float64)
    counterpart = record.counterpart()
    assert counterpart is not None
    y, gradient = value_and_gradient(getattr(gs, record.name), x, **given)
    expected, expected_gradient = value_and_gradient(counterpart, x, **given)
    assert y.dtype == expected.dtype
    assert y.shape == expected.shape
    bound = 16 * EPS / 2 * 16
    assert (y - expected).abs().max() <= bound
    bound += PYTORCH_LOSES_IN_FLOAT64.get(record.name, 0.0)
    assert (gradient - expected_gradient).abs().max() <= bound


def test_the_kinks_below_are_all_there_are() -> None:
    pieces = {
        e.name for e in ENTRIES if re.search(r"where|abs|relu|sign\(|min|max|clip", e.formula)
    }
    assert pieces | {"softplus"} == set(KINKS)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@cases(only=KINKS)
def test_at_a_kink_and_beside_it_the_gradient_is_pytorchs(
    record: Entry, given: dict[str, Any], dtype: torch.dtype
) -> None:
    kinks = torch.tensor(KINKS[record.name](given), dtype=dtype)
    inf = torch.tensor(torch.inf, dtype=dtype)
    x = torch.cat([kinks, -kinks, kinks.nextafter(inf), kinks.nextafter(-inf)])
    given = {k: v.to(dtype) if isinstance(v, Tensor) else v for k, v in given.items()}
    counterpart = record.counterpart()
    assert counterpart is not None
    y, gradient = value_and_gradient(getattr(gs, record.name), x, **given)
    expected, expected_gradient = value_and_gradient(counterpart, x, **given)
    # Each side rounds a value that both have; a piece that is taken on the wrong side differs by
    # far more.
    ulp = expected.abs().nextafter(inf) - expected.abs()
    assert torch.all((y - expected).abs() <= 2 * ulp)
    bound = 2 * (expected_gradient.abs().nextafter(inf) - expected_gradient.abs())
    bound += PYTORCH_LOSES_IN_FLOAT64.get(record.name, 0.0)
    assert torch.all((gradient - expected_gradient).abs() <= bound)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("name", "x", "derivative"),
    [
        ("relu", 0.0, 0.0),
        ("threshold", 0.0, 0.0),
        ("leaky_relu", 0.0, 0.01),
        ("rrelu", 0.0, 11 / 48),
        ("relu6", 0.0, 0.0),
        ("relu6", 6.0, 0.0),
        ("hardtanh", -1.0, 0.0),
        ("hardtanh", 1.0, 0.0),
        ("hardsigmoid", -3.0, 0.0),
        ("hardsigmoid", 3.0, 0.0),
        ("hardswish", -3.0, 0.0),
        ("hardswish", 3.0, 1.0),
        ("softsign", 0.0, 1.0),
        ("elu", 0.0, 1.0),
        ("celu", 0.0, 1.0),
        ("selu", 0.0, 1.7580993408473768),
        ("hardshrink", -0.5, 0.0),
        ("hardshrink", 0.5, 0.0),
        ("softshrink", -0.5, 0.0),
        ("softshrink", 0.5, 0.0),
    ],
)
def test_the_derivative_at_a_kink_is_exactly_the_convention(
    name: str, x: float, derivative: float, dtype: torch.dtype
) -> None:
    counterpart = CATALOGUE[name].counterpart()
    if name == "threshold":
        counterpart = F.relu
    assert counterpart is not None
    at = torch.tensor([x, x], dtype=dtype)
    _, gradient = value_and_gradient(getattr(gs, name), at)
    _, expected = value_and_gradient(counterpart, at)
    assert gradient.tolist() == [torch.tensor(derivative, dtype=dtype).item()] * 2
    # PyTorch multiplies SELU's two constants after rounding them: 1 ULP in float64.
    ulp = torch.finfo(dtype).eps if name == "selu" else 0.0
    assert (gradient - expected).abs().max() <= ulp


@cases()
def test_nan_comes_out_as_nan_and_infinities_as_the_limit(
    record: Entry, given: dict[str, Any]
) -> None:
    if record.name == "glu":
        pytest.skip("two inputs: the limit depends on both")
    function = getattr(gs, record.name)
    given = {k: v.double() if isinstance(v, Tensor) else v for k, v in given.items()}
    assert function(torch.tensor([torch.nan], dtype=torch.float64), **given).isnan().all()
    # Beyond 1e4 nothing but straight pieces is left, in float64 to the last digit but for
    # softsign's 1/x.
    far = torch.tensor([-1e9, 1e9], dtype=torch.float64)
    limit = function(torch.tensor([-torch.inf, torch.inf], dtype=torch.float64), **given)
    assert not limit.isnan().any()
    grows = function(far, **given).abs() > 1e5
    assert torch.equal(limit.isinf(), grows)
    close = (limit - function(far, **given)).abs() <= 2e-9
    assert torch.all(close | grows)


@cases()
def test_gradcheck_and_gradgradcheck(record: Entry, given: dict[str, Any]) -> None:
    """Numerical differences of the formula, away from its kinks, in every tensor argument."""
    tensors = {n: v.clone().requires_grad_() for n, v in given.items() if isinstance(v, Tensor)}
    numbers = {n: v for n, v in given.items() if n not in tensors}
    x = torch.tensor([[-3.3, -1.7, -0.6, -0.1], [0.1, 0.6, 1.7, 3.3]], dtype=torch.float64)

    def function(x: Tensor, *others: Tensor) -> Tensor:
        named_tensors = dict(zip(tensors, others, strict=True))
        y = getattr(gs, record.name)(x, **named_tensors, **numbers)
        assert isinstance(y, Tensor)
        return y

    arguments = (x.requires_grad_(), *tensors.values())
    assert torch.autograd.gradcheck(function, arguments)
    assert torch.autograd.gradgradcheck(function, arguments)
