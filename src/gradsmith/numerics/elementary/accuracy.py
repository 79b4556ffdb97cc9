"""How accurate an elementary function must be in the format in which it computes."""

from __future__ import annotations

from enum import Enum


class Accuracy(Enum):
    """What a result is for; the cheapest instructions that are good enough follow from it."""

    FULL = "full"
    """For a result in the format itself: about 1 ULP on the whole range, subnormals included."""

    SHORT = "short"
    """For a float64 that will be rounded to float32: relative error at most 2⁻³¹, and below
    2⁻²⁰⁰ anything that small; what exceeds 2¹⁰⁰⁰ may already be infinite.

    For a float32 that will be rounded to a half format: relative error at most 2⁻¹⁸, and 2⁻¹⁶ of
    erfc, where the result is a normal number. Functions without such a variant are accurate."""
