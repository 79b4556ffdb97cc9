"""Rounding errors are exact, by rational arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.backends.compensation import product_error, sum_error

DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


# Products and their errors stay inside float16's range: exactness is claimed there only.
MODERATE = st.floats(2.0**-3, 2.0**3) | st.floats(-(2.0**3), -(2.0**-3))


@pytest.mark.parametrize("dtype", DTYPES)
@settings(derandomize=True, deadline=None, max_examples=200)
@given(MODERATE, MODERATE)
def test_value_and_error_together_are_exact(dtype: torch.dtype, p: float, q: float) -> None:
    a, b = torch.tensor(p, dtype=dtype), torch.tensor(q, dtype=dtype)
    exact_a, exact_b = Fraction(a.item()), Fraction(b.item())
    error = product_error(a, b)
    assert error.dtype == dtype
    assert Fraction((a * b).item()) + Fraction(error.item()) == exact_a * exact_b
    error = sum_error(a, b)
    assert error.dtype == dtype
    assert Fraction((a + b).item()) + Fraction(error.item()) == exact_a + exact_b


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.floats(min_value=1e-140, max_value=1e140), st.floats(min_value=-1e140, max_value=-1e-140))
def test_exact_over_a_wide_range_of_float64(p: float, q: float) -> None:
    a, b = torch.tensor([p, q], dtype=torch.float64)
    assert Fraction((a * b).item()) + Fraction(product_error(a, b).item()) == Fraction(
        p
    ) * Fraction(q)
    assert Fraction((a + b).item()) + Fraction(sum_error(a, b).item()) == Fraction(p) + Fraction(q)


@pytest.mark.parametrize("error", [product_error, sum_error])
@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_where_nothing_is_finite(
    error: Callable[..., torch.Tensor], dtype: torch.dtype
) -> None:
    largest = torch.finfo(dtype).max
    special = torch.tensor([math.inf, -math.inf, math.nan, largest, -largest], dtype=dtype)
    got = error(special[:, None], special[None, :])
    total = special[:, None] * special if error is product_error else special[:, None] + special
    assert not got.isnan().any()
    assert (got[~total.isfinite()] == 0).all()
    assert got.isfinite().all()
