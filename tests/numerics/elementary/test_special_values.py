"""Values at zeros, infinities and NaN, at poles and thresholds, the same in every variant."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan, ulp

import numpy as np
import pytest

from gradsmith.formula import vocabulary
from gradsmith.numerics.builder import Value
from gradsmith.numerics.elementary import ELEMENTARY
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.exponential import exp, expm1
from gradsmith.numerics.elementary.hyperbolic import asinh, cosh, sinh, tanh
from gradsmith.numerics.elementary.logarithm import log, log1p
from gradsmith.numerics.elementary.power import absolute, sign, square_root
from tests.numerics.elementary.measured import computed

VALUES: dict[Callable[..., Value], dict[float, float]] = {
    exp: {0.0: 1.0, inf: inf, -inf: 0.0, 1e30: inf, -1e30: 0.0},
    expm1: {0.0: 0.0, inf: inf, -inf: -1.0, 1e30: inf, -1e30: -1.0},
    log: {0.0: -inf, 1.0: 0.0, inf: inf, -inf: nan, -1.0: nan, -1e-30: nan},
    log1p: {0.0: 0.0, -1.0: -inf, inf: inf, -inf: nan, -1.5: nan, -1e30: nan},
    tanh: {0.0: 0.0, inf: 1.0, -inf: -1.0, 1e30: 1.0},
    sinh: {0.0: 0.0, inf: inf, -inf: -inf, 1e30: inf, -1e30: -inf},
    cosh: {0.0: 1.0, inf: inf, -inf: inf, 1e30: inf, -1e30: inf},
    asinh: {0.0: 0.0, inf: inf, -inf: -inf},
    square_root: {0.0: 0.0, 4.0: 2.0, inf: inf, -1.0: nan},
    absolute: {0.0: 0.0, -2.0: 2.0, -inf: inf},
    sign: {0.0: 0.0, 3.0: 1.0, -0.5: -1.0, inf: 1.0, -inf: -1.0},
}
ODD = {expm1, log1p, tanh, sinh, asinh, square_root, sign}
"""Their value at −0 is −0."""


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("function", VALUES, ids=lambda function: function.__name__)
def test_special_values(function: Callable[..., Value], accuracy: Accuracy, dtype: type) -> None:
    table = VALUES[function] | {nan: nan}
    x = np.array([*table, -0.0], dtype)
    expected = np.array([*table.values(), -0.0 if function in ODD else table[0.0]], dtype)
    values = computed(function, accuracy, x)
    nowhere = np.isnan(expected)
    assert np.array_equal(np.isnan(values), nowhere)
    assert np.array_equal(values[~nowhere], expected[~nowhere])
    assert np.array_equal(np.signbit(values[~nowhere]), np.signbit(expected[~nowhere]))


def test_subnormal_arguments_are_kept() -> None:
    x = np.array([5e-324, -5e-324, 2.2250738585072014e-308, 1.5e-310, -1e-320])
    for function in (expm1, log1p, tanh, sinh, asinh):
        assert np.array_equal(computed(function, Accuracy.FULL, x), x), function.__name__
        near = np.array([1e-45, -1e-45, 1e-40, 1.1754944e-38], np.float32)
        assert np.array_equal(computed(function, Accuracy.FULL, near), near), function.__name__


# The last argument with a finite result, and the first whose result is 0, by exact arithmetic.
OVERFLOW = {exp: 709.782712893384, expm1: 709.782712893384, sinh: 710.4758600739439}
OVERFLOW |= {cosh: 710.4758600739439}
UNDERFLOW = -745.1332191019412


@pytest.mark.parametrize("function", OVERFLOW, ids=lambda function: function.__name__)
def test_overflow_begins_where_it_must(function: Callable[..., Value]) -> None:
    last = OVERFLOW[function]
    finite, infinite = computed(function, Accuracy.FULL, np.array([last, last + ulp(last)]))
    assert np.isfinite(finite)
    assert infinite == inf


def test_underflow_begins_where_it_must() -> None:
    x = np.array([UNDERFLOW, UNDERFLOW + ulp(UNDERFLOW)])
    assert computed(exp, Accuracy.FULL, x).tolist() == [0.0, 5e-324]


def test_the_table_names_functions_of_the_vocabulary() -> None:
    expected = {
        vocabulary.exp: exp,
        vocabulary.expm1: expm1,
        vocabulary.log: log,
        vocabulary.log1p: log1p,
        vocabulary.tanh: tanh,
        vocabulary.sinh: sinh,
        vocabulary.cosh: cosh,
        vocabulary.asinh: asinh,
        vocabulary.sqrt: square_root,
        vocabulary.abs_: absolute,
        vocabulary.sign: sign,
    }
    assert {key: ELEMENTARY[key] for key in expected} == expected
    with pytest.raises(TypeError):
        ELEMENTARY[vocabulary.exp] = log  # type: ignore[index]
