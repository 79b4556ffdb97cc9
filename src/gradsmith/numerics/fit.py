"""Whether one float32 holds a number, or two of them do: for parameters, which come as float64."""

from __future__ import annotations

from ctypes import c_float
from enum import Enum
from functools import lru_cache

MODERATE = 2.0**60
"""The largest size of a number that fits float32; the smallest is its inverse."""


class Fit(Enum):
    """How float32 holds a number, far from the ends of its range."""

    ONE_WORD = 1
    TWO_WORDS = 2
    """Closely enough."""
    NONE = 3

    __hash__ = object.__hash__  # half of the time that a look-up takes


WORDS = (Fit.ONE_WORD, Fit.TWO_WORDS)


@lru_cache(maxsize=1024)
def fit(value: float) -> Fit:
    """How float32 holds a float64; calls ask for the same few again and again."""
    if value == 0:
        return Fit.ONE_WORD
    if not 1 / MODERATE <= abs(value) <= MODERATE:
        return Fit.NONE
    return Fit.ONE_WORD if c_float(value).value == value else Fit.TWO_WORDS
