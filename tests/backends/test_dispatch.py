"""Dtypes follow torch's promotion; precision is at least what was promised."""

from __future__ import annotations

import itertools

import pytest
import torch

from gradsmith.backends.dispatch import precision, result_dtype

FLOATING = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
ALL = [*FLOATING, torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize("dtype", ALL)
def test_one_tensor_gives_the_dtype_of_torchs_unary_functions(
    dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    tensor = torch.ones(shape, dtype=dtype)
    assert result_dtype([tensor]) == torch.exp(tensor).dtype


@pytest.mark.parametrize("shapes", list(itertools.product([(), (2,)], repeat=2)))
def test_two_tensors_give_the_dtype_of_torchs_binary_functions(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
) -> None:
    for left, right in itertools.product(ALL, repeat=2):
        a, b = torch.ones(shapes[0], dtype=left), torch.ones(shapes[1], dtype=right)
        assert result_dtype([a, b]) == torch.true_divide(a, b).dtype, (left, right, shapes)


def test_integers_follow_the_default_dtype() -> None:
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        assert result_dtype([torch.ones(2, dtype=torch.int64)]) == torch.float64
    finally:
        torch.set_default_dtype(before)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128, torch.float8_e4m3fn])
def test_other_dtypes_are_refused_by_name(dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match=f"{str(dtype)[6:]}.*accepted.*float32"):
        result_dtype([torch.ones(2).to(dtype)])


@pytest.mark.parametrize("dtype", FLOATING)
def test_the_compute_dtype_has_twice_the_digits_where_there_is_one(dtype: torch.dtype) -> None:
    chosen = precision(dtype, "cpu")
    assert chosen.storage == dtype
    digits = {t: torch.finfo(t).eps for t in FLOATING}
    assert dtype == torch.float64 or digits[chosen.compute] <= digits[dtype] ** 2 * 2


def test_a_device_without_float64_computes_in_float32() -> None:
    assert precision(torch.float32, "mps").compute == torch.float32
    assert precision(torch.bfloat16, "mps").compute == torch.float32
