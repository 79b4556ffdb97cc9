"""Distances in ULP count floating-point numbers; NumPy and the numbers' bits are the oracle."""

from __future__ import annotations

import math

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


# Just below a power of two, and the edges of the format.


def exact(value: float, low: float = 0.0) -> tuple[torch.Tensor, torch.Tensor]:
    return (torch.tensor([v], dtype=torch.float64) for v in (value, low))  # type: ignore[return-value]


@pytest.mark.parametrize("dtype", DTYPES)
def test_at_a_power_of_two_the_unit_is_the_larger_below_it_the_smaller(dtype: torch.dtype) -> None:
    eps = torch.finfo(dtype).eps
    one, zero = exact(1.0)
    below = torch.tensor([-1e-30], dtype=torch.float64)
    assert ulp.unit(one, dtype, zero).item() == eps
    assert ulp.unit(one, dtype, below).item() == eps / 2
    assert ulp.unit(-one, dtype, -below).item() == eps / 2
    assert ulp.unit(one, dtype, -below).item() == eps


def judged(
    computed: float,
    high: float,
    low: float = 0.0,
    dtype: torch.dtype = torch.float32,
    zero_sign: bool | None = None,
) -> tuple[float, str]:
    known = None if zero_sign is None else torch.tensor([zero_sign])
    whole = high + low
    if whole and math.isfinite(whole):  # the sum, rounded and what is left
        high, low = whole, (high - whole) + low
    found = ulp.judge(torch.tensor([computed], dtype=dtype), *exact(high, low), zero_sign=known)
    return found.error.item(), ulp.KINDS[int(found.kind)]


@pytest.mark.parametrize("dtype", DTYPES)
def test_infinity_is_right_from_half_a_unit_beyond_the_largest_on(dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max
    half = ulp.unit(torch.tensor([largest], dtype=torch.float64), dtype).item() / 2
    tiny = half * 2.0**-40
    for sign in (1.0, -1.0):
        inf = sign * torch.inf
        assert judged(inf, sign * largest, sign * half, dtype) == (0.0, "right")
        assert judged(inf, sign * largest, sign * (half - tiny), dtype) == (torch.inf, "infinity")
        assert judged(sign * largest, sign * largest, sign * half, dtype)[1] == "infinity"
        near = judged(sign * largest, sign * largest, sign * (half - tiny), dtype)
        assert near == (pytest.approx(0.5), "right")
        assert judged(-inf, sign * largest, sign * half, dtype)[1] == "infinity"
        assert judged(inf, inf, 0.0, dtype) == (0.0, "right")
        assert judged(-inf, inf, 0.0, dtype) == (torch.inf, "infinity")
        assert judged(sign * largest, inf, 0.0, dtype) == (torch.inf, "infinity")


@pytest.mark.parametrize("dtype", DTYPES)
def test_zero_is_wrong_for_what_is_at_least_the_smallest_subnormal(dtype: torch.dtype) -> None:
    limits = torch.finfo(dtype)
    smallest = limits.smallest_normal * limits.eps
    assert judged(0.0, smallest, 0.0, dtype) == (1.0, "zero")
    assert judged(0.0, limits.smallest_normal, 0.0, dtype) == (1 / limits.eps, "zero")
    assert judged(-0.0, -smallest, 0.0, dtype) == (1.0, "zero")
    if dtype != torch.float64:  # which holds nothing smaller
        assert judged(0.0, smallest, -smallest / 4, dtype) == (0.75, "right")
        assert judged(0.0, smallest / 2, 0.0, dtype) == (0.5, "right")
        assert judged(0.0, smallest / 1e30, 0.0, dtype)[1] == "right"
        assert judged(smallest, 0.0, 0.0, dtype) == (1.0, "zero")
        assert judged(smallest, smallest / 8, 0.0, dtype) == (0.875, "right")
        assert judged(-smallest, smallest / 8, 0.0, dtype) == (1.125, "sign")
    assert judged(1.0, 0.0, 0.0, dtype)[1] == "zero"
    assert judged(3 * smallest, smallest / 8, 0.0, dtype)[1] == "zero"
    assert judged(0.0, 0.0, 0.0, dtype) == (0.0, "right")


def test_subnormals_have_the_smallest_subnormal_as_unit() -> None:
    smallest = 2.0**-149
    assert judged(5 * smallest, 3.25 * smallest) == (1.75, "right")
    assert judged(-smallest, 0.25 * smallest) == (1.25, "sign")


def test_the_sign_of_a_zero_follows_a_value_that_underflows_or_a_limit() -> None:
    assert judged(0.0, -1e-60)[1] == "sign of zero"
    assert judged(-0.0, -1e-60)[1] == "right"
    assert judged(-0.0, 0.0)[1] == "right"  # nothing is known of this zero's sign
    assert judged(-0.0, 0.0, zero_sign=True)[1] == "sign of zero"
    assert judged(0.0, -0.0, zero_sign=True)[1] == "sign of zero"
    assert judged(-0.0, -0.0, zero_sign=True)[1] == "right"


def test_nan_is_right_where_there_is_no_value_and_nowhere_else() -> None:
    nan, inf = torch.nan, torch.inf
    assert judged(nan, nan) == (0.0, "right")
    assert judged(nan, 1.0) == (inf, "nan")
    assert judged(nan, inf) == (inf, "nan")
    assert judged(1.0, nan) == (inf, "nan")
    assert judged(inf, nan) == (inf, "nan")


def test_a_wrong_sign_is_one_whatever_the_distance() -> None:
    assert judged(-1.0, 1.0) == (2 / 2**-23, "sign")
    assert judged(torch.inf, -1.0)[1] == "infinity"


def test_what_is_not_known_is_not_judged() -> None:
    found = ulp.judge(-torch.ones(1), *exact(2.0), decided=torch.tensor([False]))
    assert found.error.isnan().item()
    assert ulp.KINDS[int(found.kind)] == "right"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_correct_rounding_is_never_off_by_more_than_half(dtype: torch.dtype) -> None:
    # Between every two neighbours of the format; rounding to nearest is the oracle.
    whole = torch.arange(0, 2**16).to(torch.int16).view(dtype)
    whole = whole[whole.isfinite()].double().unique()
    for part in (0.25, 0.5, 0.75):
        between = whole[:-1] + (whole[1:] - whole[:-1]) * part
        found = ulp.judge(between.to(dtype), between, torch.zeros_like(between))
        assert found.error.max().item() <= 0.5
        assert not found.kind.any()
    beside = ulp.judge(whole[1:].to(dtype), whole[:-1], torch.zeros_like(whole[1:]))
    assert beside.error.min().item() >= 0.5  # below a power of two a step down is half a unit


def test_what_float64_cannot_hold_counts_in_units_of_its_smallest_number() -> None:
    smallest = 2.0**-1074
    computed = torch.tensor([3.0, 3.0, 2.0**54], dtype=torch.float64) * smallest
    high = torch.tensor([2.0, 2.0, 2.0**54], dtype=torch.float64) * smallest
    low = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64) * smallest
    rest = torch.tensor([-0.25, 0.5, 0.5], dtype=torch.float64)
    assert ulp.judge(computed, high, low, rest=rest).error.tolist() == [0.25, 0.5, 0.125]
