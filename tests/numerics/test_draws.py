"""Samples that repeat: what is drawn from a seed."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from gradsmith.numerics.draws import Draws


def test_a_seed_says_all() -> None:
    """These are the numbers of Python's Mersenne Twister, which it promises to keep."""
    draws = Draws(20240229)
    first = draws.uniform(0.0, 1.0, 3)
    assert np.array_equal(first, Draws(20240229).uniform(0.0, 1.0, 3))
    assert not np.array_equal(first, draws.uniform(0.0, 1.0, 3))
    assert not np.array_equal(first, Draws(7).uniform(0.0, 1.0, 3))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.0, 5.0), (6.0, 40.0)])
def test_uniform_numbers_fill_their_interval(low: float, high: float) -> None:
    drawn = Draws(1).uniform(low, high, 4000)
    assert drawn.shape == (4000,)
    assert drawn.min() >= low
    assert drawn.max() < high
    # Five standard deviations of a mean of 4000.
    assert abs(drawn.mean() - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * 4000)


def test_choices_are_of_what_there_is() -> None:
    drawn = Draws(2).choice((0.25, 0.6, 1.7), 300)
    assert drawn.shape == (300,)
    assert set(drawn.tolist()) == {0.25, 0.6, 1.7}


def test_what_is_shuffled_is_all_there_in_another_order() -> None:
    values = np.arange(50.0)
    shuffled = Draws(3).shuffled(values)
    assert np.array_equal(np.sort(shuffled), values)
    assert not np.array_equal(shuffled, values)
    assert np.array_equal(values, np.arange(50.0))


def test_a_first_gradient_loads_no_other_generator() -> None:
    code = """
import os, sys, tempfile
os.environ["GRADSMITH_CACHE_DIR"] = tempfile.mkdtemp()
import torch
from gradsmith import activation
loaded = set(sys.modules)
x = torch.linspace(-5, 5, 100, requires_grad=True)
activation("x/2 * (1 + erf(x/sqrt(3)))")(x).sum().backward()
print(sorted({"numpy.random", "numpy.ma", "sympy"} & (set(sys.modules) - loaded)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
