"""Errors in units in the last place (ULP), and what is wrong beyond any error.

The unit is that of the dtype in question at the value in question, down to the smallest subnormal.
A number v with 2ᵉ ≤ |v| < 2ᵉ⁺¹ has the unit 2ᵉ⁺¹⁻ᵖ, p being the digits of the significand: at a
power of two the unit is that of the numbers above it, the larger of the two, and just below it
that of the numbers below. Zero and all subnormal numbers have the smallest subnormal as unit.

Some results no distance describes. An infinity is right exactly where the value rounds to one,
from the largest number and half a unit on; a zero where no number of the dtype but zero is as
small as the value; NaN where there is no value. These, and a wrong sign, are told by their kind.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

RIGHT, ZERO, INFINITY, NAN, SIGN, ZERO_SIGN = range(6)
"""What can be wrong with a result, whatever its distance."""

KINDS: Final = ("right", "zero", "infinity", "nan", "sign", "sign of zero")


def unit(value: Tensor, dtype: torch.dtype, low: Tensor | None = None) -> Tensor:
    """The ULP of ``dtype`` at each value, as float64.

    Args:
        value: float64, finite or not; at infinity and NaN the unit is that of the largest number.
        dtype: a floating-point dtype.
        low: what is to be added to ``value``; it matters just below a power of two.
    """
    limits = torch.finfo(dtype)
    size = value.abs().nan_to_num(nan=limits.max).clamp(limits.smallest_normal, limits.max)
    # frexp gives a significand in [1/2, 1), so that the leading digit is worth 2^(exponent − 1).
    significand, exponent = torch.frexp(size)
    if low is not None:
        below = (significand == 0.5) & (low * value < 0) & (size > limits.smallest_normal)
        exponent = exponent - below.to(exponent.dtype)
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
    apart = ((wide - high) - low).abs() / unit(high, computed.dtype, low)
    # Infinity is right for what the dtype cannot hold.
    beyond = torch.where(overflows(high, low, computed.dtype), high.sign() * torch.inf, high)
    return _where_finite(apart, wide, beyond)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said of computed values.

    Attributes:
        error: distance from the exact value in ULP, float64; infinite where one of the two is a
            number and the other is not, NaN where the exact value is not known.
        kind: :data:`RIGHT`, or which of the other kinds it is, whatever the error.
        decided: whether the exact value is known.
    """

    error: Tensor
    kind: Tensor
    decided: Tensor


def judge(
    computed: Tensor,
    high: Tensor,
    low: Tensor,
    *,
    zero_sign: Tensor | None = None,
    decided: Tensor | None = None,
    rest: Tensor | None = None,
) -> Verdict:
    """Each computed value beside the exact one.

    * Infinity: right, with error 0, exactly if |v| ≥ largest + ½ ULP and the signs agree; a number
      where infinity is right, or infinity where a number is, is of the kind :data:`INFINITY`.
    * Zero: of the kind :data:`ZERO` if |v| is at least the smallest subnormal. Where v lies between
      half of that and that, zero is off by less than 1 ULP and only this is counted. A number where
      zero is right is of the kind :data:`ZERO` too; but next to a v that rounds to zero and is not
      zero the smallest subnormal is off by about 1 ULP, and only this is counted.
    * NaN: right exactly where there is no value, else :data:`NAN`; so is a number or an infinity
      where there is no value.
    * Sign: a number other than zero with the sign of its opposite is :data:`SIGN`. A zero whose
      sign is not that of a value that underflows, or of a zero whose sign is determined, is
      :data:`ZERO_SIGN`.

    Args:
        computed: results in their dtype.
        high: the exact values rounded to float64; infinite where the value, or its limit, is;
            NaN where there is none.
        low: what is left of the exact values.
        zero_sign: where ``high`` is zero, whether its sign bit is that of the exact value or
            limit. Left out: nowhere.
        decided: where the exact value is known. Left out: everywhere.
        rest: what ``low`` could not hold, in units of float64's smallest number. Left out: nothing.
    """
    dtype = computed.dtype
    known = torch.ones_like(high, dtype=torch.bool) if decided is None else decided
    wide = computed.double()
    infinite = overflows(high, low, dtype)
    none = high.isnan()
    size = unit(high, dtype, low)
    apart = ((wide - high) - low) / size
    if rest is not None:
        # As a tensor: a number over a tensor is the number times 1/tensor, which is infinite here.
        apart = apart - rest * (torch.full_like(size, 2.0**-1074) / size)
    apart = apart.abs()
    kind = torch.zeros_like(high, dtype=torch.uint8)

    # From the mildest to the gravest: what comes later overrides.
    certain = torch.zeros_like(known) if zero_sign is None else zero_sign
    signed = (high != 0) | certain
    opposite = computed.signbit() != high.signbit()
    kind[signed & opposite] = SIGN
    kind[(wide == 0) & signed & opposite] = ZERO_SIGN
    smallest = _smallest(dtype)
    kind[(wide == 0) & (_at_least(high, low, smallest))] = ZERO
    # A zero may stand for less than float64 holds, if its sign is that of a value.
    nothing = (high == 0) & ~certain & (dtype != torch.float64)
    least = torch.where(nothing, 0.0, smallest)
    kind[(wide.abs() > least) & ~_at_least(high, low, smallest / 2)] = ZERO
    if dtype == torch.float64:
        kind[(wide.abs() > smallest) & (high == 0) & (low == 0)] = ZERO
    wrongly_infinite = (wide.isinf() != infinite) | (wide.isinf() & opposite)
    kind[wrongly_infinite] = INFINITY
    kind[wide.isnan() != none] = NAN
    kind[(wide.isnan() & none) | ~known] = RIGHT

    apart = torch.where(wide.isinf() & infinite & ~opposite, 0.0, apart)
    lost = wide.isinf() & (wrongly_infinite | none) | high.isinf() & ~wide.isinf()
    apart = torch.where(lost | (wide.isnan() != none), torch.inf, apart)
    apart = torch.where(wide.isnan() & none, 0.0, apart)
    return Verdict(torch.where(known, apart, torch.nan), kind, known)


def overflows(high: Tensor, low: Tensor, dtype: torch.dtype) -> Tensor:
    """Whether ``high`` + ``low`` rounds to infinity: half a unit or more beyond the largest."""
    largest = torch.finfo(dtype).max
    half = math.ulp(largest) / 2 if dtype == torch.float64 else _unit_of_largest(dtype) / 2
    size, rest = high.abs(), low * high.sign()
    if dtype == torch.float64:  # the threshold itself is no float64
        return size.isinf() | ((size == largest) & (rest >= half))
    limit = largest + half
    return (size > limit) | ((size == limit) & (rest >= 0))


def _unit_of_largest(dtype: torch.dtype) -> float:
    return float(unit(torch.tensor([torch.finfo(dtype).max], dtype=torch.float64), dtype))


def _smallest(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps


def _at_least(high: Tensor, low: Tensor, size: float) -> Tensor:
    """Whether |high + low| ≥ size."""
    apart = high.abs() - size
    return (apart > 0) | ((apart == 0) & (low * high.sign() >= 0))


def _where_finite(apart: Tensor, a: Tensor, b: Tensor) -> Tensor:
    same = (a == b) & a.isinf() | (a.isnan() & b.isnan())
    apart = torch.where(a.isfinite() & b.isfinite(), apart, torch.inf)
    return torch.where(same, 0.0, apart)
