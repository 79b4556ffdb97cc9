"""Distances in units in the last place (ULP): how many floating-point numbers lie in between.

The unit is that of the dtype in question at the value in question, down to the smallest subnormal;
a difference of 1 ULP is the smallest that there is. What should be a number and is NaN or infinite
is infinitely far off.
"""

from __future__ import annotations

import torch
from torch import Tensor


def unit(value: Tensor, dtype: torch.dtype) -> Tensor:
    """The ULP of ``dtype`` at each value, as float64.

    Args:
        value: float64, finite or not; at infinity and NaN the unit is that of the largest number.
        dtype: a floating-point dtype.
    """
    limits = torch.finfo(dtype)
    size = value.abs().nan_to_num(nan=limits.max).clamp(limits.smallest_normal, limits.max)
    # frexp gives a significand in [1/2, 1), so that the leading digit is worth 2^(exponent − 1).
    _, exponent = torch.frexp(size)
    return torch.ldexp(torch.full_like(size, limits.eps / 2), exponent)


def difference(a: Tensor, b: Tensor) -> Tensor:
    """|a − b| in ULP of their dtype, at the larger of the two, as float64.

    Both infinite with one sign, or both NaN, is no difference.
    """
    wide_a, wide_b = a.double(), b.double()
    apart = (wide_a - wide_b).abs() / unit(torch.maximum(wide_a.abs(), wide_b.abs()), a.dtype)
    return _where_finite(apart, wide_a, wide_b)


def error(computed: Tensor, high: Tensor, low: Tensor) -> Tensor:
    """|computed − (high + low)| in ULP of the dtype of ``computed``, at the exact value.

    Args:
        computed: what was computed.
        high: the exact value rounded to float64; NaN where there is none.
        low: the exact value minus ``high``.
    """
    wide = computed.double()
    apart = ((wide - high) - low).abs() / unit(high, computed.dtype)
    # Infinity is right for what the dtype cannot hold.
    return _where_finite(apart, wide, high.to(computed.dtype).double())


def _where_finite(apart: Tensor, a: Tensor, b: Tensor) -> Tensor:
    same = (a == b) & a.isinf() | (a.isnan() & b.isnan())
    apart = torch.where(a.isfinite() & b.isfinite(), apart, torch.inf)
    return torch.where(same, 0.0, apart)
