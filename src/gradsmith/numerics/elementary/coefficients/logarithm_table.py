"""Coefficients of ``logarithm_table.py``: minimax fits, made by Sollya.

Made by ``python scripts/coefficients/generate.py logarithm_table``: change the script that it
runs, ``logarithm_table.sollya``, and not this file.
"""

from __future__ import annotations

from gradsmith.numerics.elementary.polynomial import Fit

# The exponent of SCALE*t + 1 and the next digit say which piece.
LOG1P_SCALE = float.fromhex("0x1.dfcp3")

# One in each of the pieces.
LOG1P_PLACES = (
    float.fromhex("0"),
    float.fromhex("0x1.9a01ecp-5"),
    float.fromhex("0x1.99bca8p-4"),
    float.fromhex("0x1.555f94p-3"),
    float.fromhex("0x1.117bbcp-2"),
    float.fromhex("0x1.99c2aap-2"),
    float.fromhex("0x1.33a09ep-1"),
    float.fromhex("0x1.bbfa96p-1"),
)

# log(1 + place).
LOG1P_VALUES = (
    float.fromhex("0"),
    float.fromhex("0x1.9013bep-5"),
    float.fromhex("0x1.8683d6p-4"),
    float.fromhex("0x1.3bbc22p-3"),
    float.fromhex("0x1.e4c832p-3"),
    float.fromhex("0x1.58a982p-2"),
    float.fromhex("0x1.e1d15ep-2"),
    float.fromhex("0x1.3fb2d2p-1"),
)

# 1/(1 + place).
LOG1P_SLOPES = (
    float.fromhex("0x1p0"),
    float.fromhex("0x1.e7989p-1"),
    float.fromhex("0x1.d170bep-1"),
    float.fromhex("0x1.b6d98cp-1"),
    float.fromhex("0x1.9414aap-1"),
    float.fromhex("0x1.6dac62p-1"),
    float.fromhex("0x1.3fd548p-1"),
    float.fromhex("0x1.12371cp-1"),
)

# log(1 + z) = z + z^2 (c0 + c1 z + ...), z = distance from the place * slope
# Made by Sollya's fpminimax; relative error below 2^-33.16, proven by its supnorm.
LOG1P_CURVE = Fit(
    coefficients=(
        float.fromhex("-0x1p-1"),
        float.fromhex("0x1.555556p-2"),
        float.fromhex("-0x1.fffe4cp-3"),
        float.fromhex("0x1.9995e8p-3"),
        float.fromhex("-0x1.580a5ep-3"),
        float.fromhex("0x1.27cd7p-3"),
    ),
    low=float.fromhex("-0x1.56ab91f8470c9p-4"),
    high=float.fromhex("0x1.56ab91f8470c9p-4"),
    error=float.fromhex("0x1.c9b66603f6p-34"),
)
