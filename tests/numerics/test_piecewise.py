"""A table's pieces cover the function, in words as float32 sums them, and say where they cannot.

Oracle: float64, which has 2²⁵ times the digits that are asked for.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from gradsmith.numerics.elementary.table import by_index
from gradsmith.numerics.piecewise import Curve, fitted

ALLOWED = 2.0**-27.5  # of the function, by the polynomials
OF_PLACES = 2.0**-26.5  # by what rounding takes from differences with places
IN_WORDS = 2.0**-25.5  # and by float32's arithmetic on what is small

# Some 0.1 from its place a polynomial may be outside of its piece, where errors soon grow.
BESIDE = 2.0**-22


class Side:
    """A function that the whole is as large as, or ``share`` times so."""

    def __init__(self, function, slope, roots=(), end=20.0, share=1.0):
        self._function, self.slope, self.roots = function, slope, list(roots)
        self._share = share
        self.points = np.linspace(0.0, end, 400)

    def __call__(self, at):
        return self._function(at)

    def exactly(self, at):
        return self._function(at)

    def share(self, at, values):
        return self._share * np.abs(values)


LOGISTIC = (lambda a: 1 / (1 + np.exp(-a)), lambda a: np.exp(-a) / (1 + np.exp(-a)) ** 2)
ROOT = 1.2784645427610738
ROOTED = (
    lambda a: (1 + np.exp(-a) - a) / (1 + np.exp(-a)) ** 2,
    lambda a: (
        -(1 + np.exp(-a)) / (1 + np.exp(-a)) ** 2
        + 2 * np.exp(-a) * (1 + np.exp(-a) - a) / (1 + np.exp(-a)) ** 3
    ),
)


def summed(table, at):
    """What a Program computes, with exact arithmetic on all but the rest."""
    count = table.columns.shape[1]
    held = np.minimum(at, table.last) if table.last else at
    total = (held * np.float32(table.scale) + np.float32(1)).astype(np.float32)
    index = (total.view(np.int32) >> (23 - table.digits)) & (count - 1)
    rows = [np.array(by_index(column, 1.0, table.digits))[index] for column in table.columns]
    place, value, *others = rows
    t = (at - place.astype(np.float32)).astype(np.float64)
    slope, third, *seconds = (0.0, 0.0, 0.0, *others) if table.gentle else others
    rest = np.zeros_like(t)
    for column in reversed(seconds):
        rest = rest * t + column
    rest = rest.astype(np.float32).astype(np.float64)
    return value + slope * t + rest + third


@pytest.mark.parametrize("end", [13.0, 16.125, 20.0, 26.0, 40.0, 77.0, 131.0])
@pytest.mark.parametrize("case", ["logistic", "rooted"])
def test_the_pieces_cover_the_function(case, end):
    function, slope = {"logistic": LOGISTIC, "rooted": ROOTED}[case]
    side = Side(function, slope, [ROOT] if case == "rooted" else (), end)
    table = fitted([Curve([side], 1)], end)
    assert table is not None
    assert table.columns.dtype == np.float64
    assert np.array_equal(table.columns, table.columns.astype(np.float32))  # what a Program holds
    rng = np.random.default_rng(5)
    at = np.concatenate([rng.uniform(0, end, 40_000), ROOT + rng.uniform(-0.3, 0.3, 20_000)])
    at = np.unique(at.astype(np.float32))
    true = function(at.astype(np.float64))
    close = np.abs(at - ROOT) < 2.0**-20  # where float64 has no digits left of the true value
    errors = np.abs(summed(table, at) - true)[~close] / np.abs(true[~close])
    assert errors.max() <= ALLOWED + IN_WORDS


def test_a_root_is_a_place_with_second_words_alone():
    side = Side(*ROOTED, [ROOT], 131.0)
    table = fitted([Curve([side], 1)], 131.0)
    assert table is not None
    (which,) = np.flatnonzero(table.columns[1] == 0)
    place, value, slope, third, second, second_slope, *_ = table.columns[:, which]
    assert place == np.float32(ROOT)
    exact = float(ROOTED[0](np.float64(place)))
    assert value == 0
    assert second == pytest.approx(exact, rel=1e-6)
    assert slope + second_slope == pytest.approx(float(ROOTED[1](np.float64(place))), rel=1e-12)
    assert abs(third) <= abs(second) * 2.0**-23


def test_beside_a_root_nothing_outweighs_the_value():
    """Else what rounding takes from value + slope·t would not be a float32."""
    side = Side(*ROOTED, [ROOT], 131.0)
    table = fitted([Curve([side], 1)], 131.0)
    assert table is not None
    count = table.columns.shape[1]
    steps = 2**table.digits
    sums = [2.0**o * (1 + i / steps) for o in range(count // steps) for i in range(steps)]
    edges = [(s - 1) / table.scale for s in (*sums, 2.0 ** (count // steps))]
    for (low, high), row in zip(pairwise(edges), table.columns.T, strict=True):
        place, value, slope = row[:3]
        if value == 0 or abs(slope) == 1:
            continue
        for end in (low, min(high, 131.0)):
            moved = slope * (end - place)
            assert abs(moved) <= 1.02 * abs(value), (low, high)
            assert abs(value + moved) >= 0.49 * abs(value), (low, high)


def test_two_curves_share_one_index():
    growing = lambda a: np.sqrt(2 + a), lambda a: 0.5 / np.sqrt(2 + a)
    table = fitted([Curve([Side(*LOGISTIC)], 1), Curve([Side(*growing)], 1)], 20.0)
    assert table is not None
    assert table.columns.shape[1] == 32
    at = np.linspace(0, 20, 5000).astype(np.float32)
    for half, function in ((slice(0, 16), LOGISTIC[0]), (slice(16, 32), growing[0])):
        one = replace(table, columns=table.columns[:, half])
        true = function(at.astype(np.float64))
        assert (np.abs(summed(one, at) - true) / true).max() <= ALLOWED + IN_WORDS


def scaled_erfc(a):
    return np.array([math.exp(x * x / 2) * math.erfc(x / math.sqrt(2)) for x in np.atleast_1d(a)])


def test_next_to_zero_a_difference_with_a_place_is_exact_enough():
    """Of 0.1 − 0.4 rounding takes more than of 0.1; where a curve is steep that must not count."""
    unit = 1 / math.sqrt(2 * math.pi)
    factor = (  # of the derivative of GELU
        lambda a: scaled_erfc(a) / 2 - a * unit,
        lambda a: a * scaled_erfc(a) / 2 - 2 * unit,
    )
    end = float(np.float32(16.272129))
    table = fitted([Curve([Side(*factor, [0.7517915], end)], 1)], end)
    assert table is not None
    at = np.linspace(2.0**-9, table.columns[0].min(), 5000).astype(np.float32)
    true = factor[0](at.astype(np.float64))
    assert (np.abs(summed(table, at) - true) / true).max() <= ALLOWED + OF_PLACES


def test_what_has_no_table_gets_none():
    quick = Side(lambda a: 2 + np.cos(9 * a), lambda a: -9 * np.sin(9 * a), end=20.0)
    assert fitted([Curve([quick], 1)], 20.0) is None


def test_a_function_that_changes_little_within_a_piece_has_no_second_words():
    value, slope = (lambda a: 2 + LOGISTIC[0](a)), LOGISTIC[1]
    gentle = fitted([Curve([Side(value, slope, end=12.0)], 1)], 12.0)
    steep = fitted([Curve([Side(lambda a: np.exp(-a), lambda a: -np.exp(-a), end=20.0)], 1)], 20.0)
    rooted = fitted([Curve([Side(*ROOTED, [ROOT], 20.0)], 1)], 20.0)
    assert gentle is not None
    assert gentle.gentle
    largest = 0.0
    for place, entry, *others in gentle.columns.T:
        near = place + np.linspace(-0.1, 0.1, 21)
        rest = sum(c * (near - place) ** power for power, c in enumerate(others, 1))
        largest = max(largest, np.abs(rest / entry).max())
        assert np.allclose(entry + rest, value(near), rtol=BESIDE, atol=0)
    assert largest <= 1 / 12
    assert steep is None or not steep.gentle
    assert rooted is not None
    assert not rooted.gentle


def test_a_function_that_hardly_counts_may_be_far_off():
    """Where the whole is 2¹⁰ times as large, ten digits less will do: fewer columns."""
    strict = fitted([Curve([Side(*LOGISTIC, end=20.0)], 1)], 20.0)
    lenient = fitted([Curve([Side(*LOGISTIC, end=20.0, share=2.0**10)], 1)], 20.0)
    assert strict is not None
    assert lenient is not None
    assert len(lenient.columns) < len(strict.columns)
