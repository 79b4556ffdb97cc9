"""Coefficients of ``hyperbolic.py``: minimax fits, made by Sollya.

Made by ``python scripts/coefficients/generate.py hyperbolic``: change the script that it
runs, ``hyperbolic.sollya``, and not this file.
"""

from __future__ import annotations

from gradsmith.numerics.elementary.polynomial import Fit

# sinh(r) = r + r^3 (c0 + c1 r^2 + ...)
# Made by Sollya's fpminimax; relative error below 2^-61.67, proven by its supnorm.
SINH_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.5555555555559p-3"),
        float.fromhex("0x1.111111110f658p-7"),
        float.fromhex("0x1.a01a01b0011ddp-13"),
        float.fromhex("0x1.71ddf81804668p-19"),
        float.fromhex("0x1.af5f19159ec9ep-26"),
    ),
    low=float.fromhex("-0x1.62e42fefa501dp-2"),
    high=float.fromhex("0x1.62e42fefa501dp-2"),
    error=float.fromhex("0x1.41e31e1348p-62"),
)

# cosh(r) = 1 + r^2 (c0 + c1 r^2 + ...)
# Made by Sollya's fpminimax; relative error below 2^-58.04, proven by its supnorm.
COSH_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.000000000000bp-1"),
        float.fromhex("0x1.555555555026cp-5"),
        float.fromhex("0x1.6c16c1853b93cp-10"),
        float.fromhex("0x1.a0199797dd0e2p-16"),
        float.fromhex("0x1.28af6ea53e12dp-22"),
    ),
    low=float.fromhex("-0x1.62e42fefa501dp-2"),
    high=float.fromhex("0x1.62e42fefa501dp-2"),
    error=float.fromhex("0x1.f180f227edp-59"),
)

# sinh(r) = r + r^3 (c0 + c1 r^2 + ...)
# Made by Sollya's fpminimax; relative error below 2^-34.13, proven by its supnorm.
SINH_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.555556p-3"),
        float.fromhex("0x1.110fe2p-7"),
        float.fromhex("0x1.a28f4cp-13"),
    ),
    low=float.fromhex("-0x1.62e592d3d38e9p-2"),
    high=float.fromhex("0x1.62e592d3d38e9p-2"),
    error=float.fromhex("0x1.d40b3e6cd7p-35"),
)

# cosh(r) = 1 + r^2 (c0 + c1 r^2 + ...)
# Made by Sollya's fpminimax; relative error below 2^-33.21, proven by its supnorm.
COSH_F32 = Fit(
    coefficients=(
        float.fromhex("0x1p-1"),
        float.fromhex("0x1.5554e4p-5"),
        float.fromhex("0x1.6d5148p-10"),
    ),
    low=float.fromhex("-0x1.62e592d3d38e9p-2"),
    high=float.fromhex("0x1.62e592d3d38e9p-2"),
    error=float.fromhex("0x1.bb0b921d37p-34"),
)

# sinh(r) = r + r^3 (c0 + c1 r^2 + ...)
# Made by Sollya's fpminimax; relative error below 2^-49.37, proven by its supnorm.
SINH_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.5555555552254p-3"),
        float.fromhex("0x1.1111112137d8p-7"),
        float.fromhex("0x1.a0199bf48214cp-13"),
        float.fromhex("0x1.72da4c1b92278p-19"),
    ),
    low=float.fromhex("-0x1.62e42fefa501dp-2"),
    high=float.fromhex("0x1.62e42fefa501dp-2"),
    error=float.fromhex("0x1.8d6c669257p-50"),
)

# cosh(r) = 1 + r^2 (c0 + c1 r^2 + ...)
# Made by Sollya's fpminimax; relative error below 2^-45.93, proven by its supnorm.
COSH_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.ffffffffeeac7p-2"),
        float.fromhex("0x1.555555816d9fdp-5"),
        float.fromhex("0x1.6c163630491cbp-10"),
        float.fromhex("0x1.a174062276a3cp-16"),
    ),
    low=float.fromhex("-0x1.62e42fefa501dp-2"),
    high=float.fromhex("0x1.62e42fefa501dp-2"),
    error=float.fromhex("0x1.0be68b9ecap-46"),
)
