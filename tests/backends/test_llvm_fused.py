"""The processor's a·b + c against the interpreter's, which is exact by construction: equal bits."""

from __future__ import annotations

import numpy as np
import pytest

from gradsmith.backends import native
from gradsmith.numerics.interpreter import Array, fma
from gradsmith.numerics.quick import quick_fma

pytestmark = pytest.mark.skipif(native.unavailable() is not None, reason=str(native.unavailable()))

SPECIAL = np.array(
    [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 5e-324, -5e-324, 2.0**-1022, 1.7e308, -1.7e308]
)


def equal(a: Array, b: Array) -> bool:
    return np.array_equal(np.where(np.isnan(a), 7.0, a).view(np.int64),
                          np.where(np.isnan(b), 7.0, b).view(np.int64))  # fmt: skip


def triples(count: int) -> list[Array]:
    """Of all sizes; a third such that the product nearly cancels; and all of the special ones."""
    generator = np.random.default_rng(5)
    of_any_bits = generator.integers(0, 2**64, (3, count), dtype=np.uint64).view(np.float64)
    near = generator.standard_normal((3, count)) * 2.0 ** generator.integers(-30, 30, (3, count))
    near[2] = -near[0] * near[1] * (1 + generator.integers(-2, 3, count) * 2.0**-52)
    special = np.array(np.meshgrid(SPECIAL, SPECIAL, SPECIAL)).reshape(3, -1)
    return list(np.concatenate([of_any_bits, near, special], axis=1))


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_it_is_rounded_once() -> None:
    a, b, c = triples(2000)
    assert equal(quick_fma()(a, b, c), fma(a, b, c))


def test_numbers_are_taken_for_all() -> None:
    a, one, other = np.linspace(-3, 3, 101), np.array(1 + 2.0**-40), np.array(-1 - 2.0**-40)
    for given in ((a, one, other), (one, a, one), (one, other, a), (a, a, one)):
        assert equal(quick_fma()(*given), fma(*given))


@pytest.mark.parametrize(
    "given",
    [
        (np.array(3.0), np.array(5.0), np.array(7.0)),
        (np.ones((2, 3)), np.ones((2, 3)), np.ones((2, 3))),
        (np.ones(4), np.ones((2, 1)), np.ones(4)),
        (np.arange(8.0)[::2], np.ones(4), np.ones(4)),
        (np.empty(0), np.empty(0), np.empty(0)),
        (np.ones(3, np.float32), np.ones(3, np.float32), np.array(2.0**-24, np.float32)),
    ],
    ids=["numbers", "matrices", "of two shapes", "with gaps", "none", "float32"],
)
def test_what_lies_otherwise_is_computed_all_the_same(given: tuple[Array, Array, Array]) -> None:
    found, expected = quick_fma()(*given), fma(*given)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert found.tolist() == expected.tolist()
