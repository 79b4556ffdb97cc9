"""Series hold a smooth function and its derivative; what is not smooth gets none."""

from __future__ import annotations

import numpy as np
import pytest

from gradsmith.numerics.chebyshev import series_of

SMOOTH = {
    "logistic": (lambda a: 1 / (1 + np.exp(-a)), lambda a: np.exp(-a) / (1 + np.exp(-a)) ** 2),
    "wave": (lambda a: np.cos(2 * a), lambda a: -2 * np.sin(2 * a)),
    "growing": (lambda a: np.sqrt(1 + a), lambda a: 0.5 / np.sqrt(1 + a)),
}


def largest(at, values):
    return float(np.abs(values).max())


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("end", [0.75, 13.0])
def test_values_and_derivatives_are_right(name, end):
    function, derivative = SMOOTH[name]
    series = series_of(function, largest, end)
    assert series is not None
    at = np.linspace(0.0, end, 4001)
    assert np.abs(series(at) - function(at)).max() <= 2.0**-40 * np.abs(function(at)).max()
    assert np.abs(series.derivative(at) - derivative(at)).max() <= 2.0**-32
    assert series.edges[0] == 0
    assert series.edges[-1] == end
    assert (np.diff(series.edges) > 0).all()


@pytest.mark.parametrize(
    "function",
    [
        lambda a: np.abs(a - 1.1),  # a kink
        lambda a: np.where(a < 1.1, 0.0, 1.0),  # a jump
        lambda a: np.cos(400 * a),  # too quick
        lambda a: 1 / (a - 1.0),  # a pole
        lambda a: np.full_like(a, np.nan),
    ],
)
def test_what_is_not_smooth_gets_none(function):
    with np.errstate(all="ignore"):
        assert series_of(function, largest, 3.0) is None


def test_errors_may_be_as_large_as_is_said():
    """One interval serves a kink that hardly counts."""
    kink = lambda a: np.abs(a - 1.1)  # noqa: E731
    assert series_of(kink, largest, 3.0) is None
    lenient = series_of(kink, lambda at, values: 2.0**42, 3.0)
    assert lenient is not None
    assert len(lenient.edges) == 2
