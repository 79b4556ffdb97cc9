"""Distances in ULP count floating-point numbers; NumPy and the numbers' bits are the oracle."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.truth import ulp

DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
VALUES = [0.0, 5e-324, 1e-45, 1e-40, 3e-8, 1e-5, 0.1, 0.25, 0.99, 1.0, 1.5, 2.0, 3.0, 1e3, 6e4]


def successor(x: torch.Tensor) -> torch.Tensor:
    """The next larger number; bit patterns of positive numbers are ordered like the numbers."""
    kind = {2: torch.int16, 4: torch.int32, 8: torch.int64}[x.element_size()]
    return (x.view(kind) + 1).view(x.dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_unit_is_the_distance_to_the_next_number(dtype: torch.dtype) -> None:
    x = torch.tensor(VALUES, dtype=torch.float64).to(dtype)
    expected = successor(x).double() - x.double()
    assert torch.equal(ulp.unit(x.double(), dtype), expected)
    assert torch.equal(ulp.unit(-x.double(), dtype), expected)


@settings(derandomize=True, max_examples=200)
@given(st.floats(-(2.0**127), 2.0**127, width=32))  # the largest have no next number
def test_the_unit_of_float32_is_numpys_spacing(value: float) -> None:
    found = ulp.unit(torch.tensor([value], dtype=torch.float64), torch.float32)
    assert found.item() == np.spacing(np.float32(abs(value)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_a_difference_counts_the_numbers_in_between(dtype: torch.dtype, steps: int) -> None:
    x = torch.tensor([1.25, 1e-3, 300.0], dtype=torch.float64).to(dtype)
    y = x
    for _ in range(steps):
        y = successor(y)
    assert torch.equal(ulp.difference(x, y), torch.full((3,), float(steps), dtype=torch.float64))
    assert torch.equal(ulp.difference(-y, -x), ulp.difference(x, y))


def test_what_is_no_number_on_one_side_is_infinitely_far() -> None:
    inf, nan = torch.inf, torch.nan
    a = torch.tensor([inf, -inf, nan, inf, nan, 1.0, inf])
    b = torch.tensor([inf, -inf, nan, -inf, 1.0, inf, 3e38])
    assert ulp.difference(a, b).tolist() == [0, 0, 0, inf, inf, inf, inf]


def test_the_error_is_measured_against_the_exact_value() -> None:
    third = torch.tensor([1 / 3], dtype=torch.float64)
    rest = torch.tensor([1 / 3 * 2**-54], dtype=torch.float64)  # 1/3 = third + rest, nearly
    # 1/3 in float64 is 0.010101…01 in binary: what is cut off is 1/3 of the last place.
    assert ulp.error(third, third, rest).item() == pytest.approx(1 / 3, rel=1e-9)
    rounded = third.float()  # in float32 the next digits are 0101…, the neighbour above is nearer
    assert ulp.error(rounded, third, rest).item() == pytest.approx(1 / 3, rel=1e-6)
    assert ulp.error(successor(rounded), third, rest).item() == pytest.approx(4 / 3, rel=1e-6)


def test_infinity_is_right_for_what_the_dtype_cannot_hold() -> None:
    high = torch.tensor([1e39, 3e38, -1e39], dtype=torch.float64)
    zero = torch.zeros_like(high)
    computed = torch.tensor([torch.inf, torch.inf, torch.inf])
    assert ulp.error(computed, high, zero).tolist() == [0, torch.inf, torch.inf]
