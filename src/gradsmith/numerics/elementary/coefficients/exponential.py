"""Coefficients of ``exponential.py``: minimax fits, made by Sollya.

Made by ``python scripts/coefficients/generate.py exponential``: change the script that it
runs, ``exponential.sollya``, and not this file.
"""

from __future__ import annotations

from gradsmith.numerics.elementary.polynomial import Fit

# log(2) in two parts; 11 bits of an exponent times the first are exact.
LN2_F64 = (
    float.fromhex("0x1.62e42fefa38p-1"),
    float.fromhex("0x1.ef35793c7673p-45"),
)

# log(2) in two parts; 9 bits of an exponent times the first are exact.
LN2_F32 = (
    float.fromhex("0x1.62e4p-1"),
    float.fromhex("0x1.7f7d1cp-20"),
)

# log(2) in one float64.
LN2_SHORT = float.fromhex("0x1.62e42fefa39efp-1")

# 1/log(2).
LOG2_E_F64 = float.fromhex("0x1.71547652b82fep0")

# 1/log(2).
LOG2_E_F32 = float.fromhex("0x1.715476p0")

# exp(r) = 1 + r + r^2 (c0 + c1 r + ...)
# Made by Sollya's fpminimax; relative error below 2^-57.86, proven by its supnorm.
EXP_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.000000000000ap-1"),
        float.fromhex("0x1.55555555554fep-3"),
        float.fromhex("0x1.55555555506cp-5"),
        float.fromhex("0x1.1111111126b37p-7"),
        float.fromhex("0x1.6c16c18475a18p-10"),
        float.fromhex("0x1.a01a012fec2f7p-13"),
        float.fromhex("0x1.a0199963c9dap-16"),
        float.fromhex("0x1.71df18fbc7306p-19"),
        float.fromhex("0x1.28adf7a18786ep-22"),
        float.fromhex("0x1.ad92c7dc3b951p-26"),
    ),
    low=float.fromhex("-0x1.62e42fefa501dp-2"),
    high=float.fromhex("0x1.62e42fefa501dp-2"),
    error=float.fromhex("0x1.19475b05b9p-58"),
)

# exp(r) - 1 = r + r^2/2 + r^3 (c0 + c1 r + ...)
# Made by Sollya's fpminimax; relative error below 2^-61.47, proven by its supnorm.
EXPM1_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.5555555555559p-3"),
        float.fromhex("0x1.555555555554ap-5"),
        float.fromhex("0x1.111111110f657p-7"),
        float.fromhex("0x1.6c16c16c1c0d1p-10"),
        float.fromhex("0x1.a01a01b001948p-13"),
        float.fromhex("0x1.a01a01872c147p-16"),
        float.fromhex("0x1.71ddf816ea24bp-19"),
        float.fromhex("0x1.27e521cebe6bep-22"),
        float.fromhex("0x1.af5f1ac73ab41p-26"),
        float.fromhex("0x1.1f0413a4f224ap-29"),
    ),
    low=float.fromhex("-0x1.62e42fefa501dp-2"),
    high=float.fromhex("0x1.62e42fefa501dp-2"),
    error=float.fromhex("0x1.7074d875c2p-62"),
)

# exp(r) = 1 + r + r^2 (c0 + c1 r + ...)
# Made by Sollya's fpminimax; relative error below 2^-28.18, proven by its supnorm.
EXP_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.fffffap-2"),
        float.fromhex("0x1.555492p-3"),
        float.fromhex("0x1.555a26p-5"),
        float.fromhex("0x1.12397cp-7"),
        float.fromhex("0x1.694c82p-10"),
    ),
    low=float.fromhex("-0x1.62e592d3d38e9p-2"),
    high=float.fromhex("0x1.62e592d3d38e9p-2"),
    error=float.fromhex("0x1.c51b54d9bp-29"),
)

# exp(r) - 1 = r + r^2/2 + r^3 (c0 + c1 r + ...)
# Made by Sollya's fpminimax; relative error below 2^-30.89, proven by its supnorm.
EXPM1_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.555556p-3"),
        float.fromhex("0x1.5554f2p-5"),
        float.fromhex("0x1.11100cp-7"),
        float.fromhex("0x1.6d4116p-10"),
        float.fromhex("0x1.a22dc8p-13"),
    ),
    low=float.fromhex("-0x1.62e592d3d38e9p-2"),
    high=float.fromhex("0x1.62e592d3d38e9p-2"),
    error=float.fromhex("0x1.1373694668p-31"),
)

# exp(r) = 1 + r + r^2 (c0 + c1 r + c2 r^2), for steps of log(2)/8
# Made by Sollya's fpminimax; relative error below 2^-32.15, proven by its supnorm.
EXP_STEP_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.fffffap-2"),
        float.fromhex("0x1.555c7ap-3"),
        float.fromhex("0x1.55cb64p-5"),
    ),
    low=float.fromhex("-0x1.633ce8fb9f87ep-5"),
    high=float.fromhex("0x1.633ce8fb9f87ep-5"),
    error=float.fromhex("0x1.cd00c0f886p-33"),
)

# exp(r) - 1 = r + r^2 (c0 + c1 r + ...), for steps of log(2)/8
# Made by Sollya's fpminimax; relative error below 2^-34.96, proven by its supnorm.
EXPM1_STEP_F32 = Fit(
    coefficients=(
        float.fromhex("0x1p-1"),
        float.fromhex("0x1.555556p-3"),
        float.fromhex("0x1.555a2p-5"),
        float.fromhex("0x1.10fa0ap-7"),
    ),
    low=float.fromhex("-0x1.633ce8fb9f87ep-5"),
    high=float.fromhex("0x1.633ce8fb9f87ep-5"),
    error=float.fromhex("0x1.0817ee2571p-35"),
)

# exp(r) = c0 + c1 r + ..., exact at 0
# Made by Sollya's fpminimax; relative error below 2^-34.31, proven by its supnorm.
EXP_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1p0"),
        float.fromhex("0x1.00000000e55ap0"),
        float.fromhex("0x1.00000042449cap-1"),
        float.fromhex("0x1.55555350f47fep-3"),
        float.fromhex("0x1.555481be971b3p-5"),
        float.fromhex("0x1.11130aef74f9ap-7"),
        float.fromhex("0x1.6d9555e8fa71cp-10"),
        float.fromhex("0x1.9e8ee2460597cp-13"),
    ),
    low=float.fromhex("-0x1.62e42fefa501dp-2"),
    high=float.fromhex("0x1.62e42fefa501dp-2"),
    error=float.fromhex("0x1.9bfa789827p-35"),
)

# exp(r) - 1 = r (c0 + c1 r + ...)
# Made by Sollya's fpminimax; relative error below 2^-32.00, proven by its supnorm.
EXPM1_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.00000000224d1p0"),
        float.fromhex("0x1.0000002812e9dp-1"),
        float.fromhex("0x1.555554c60a098p-3"),
        float.fromhex("0x1.5554adb6918d8p-5"),
        float.fromhex("0x1.1111a674851cfp-7"),
        float.fromhex("0x1.6d748014ee336p-10"),
        float.fromhex("0x1.a019e8a8c9204p-13"),
    ),
    low=float.fromhex("-0x1.62e42fefa501dp-2"),
    high=float.fromhex("0x1.62e42fefa501dp-2"),
    error=float.fromhex("0x1.003c12c1dfp-32"),
)

# exp(r) = c0 + c1 r + ..., exact at 0
# Made by Sollya's fpminimax; relative error below 2^-23.37, proven by its supnorm.
EXP_SHORT_F32 = Fit(
    coefficients=(
        float.fromhex("0x1p0"),
        float.fromhex("0x1.fffff6p-1"),
        float.fromhex("0x1.fffdc6p-2"),
        float.fromhex("0x1.555a8p-3"),
        float.fromhex("0x1.573a1cp-5"),
        float.fromhex("0x1.0f9fa6p-7"),
    ),
    low=float.fromhex("-0x1.62e592d3d38e9p-2"),
    high=float.fromhex("0x1.62e592d3d38e9p-2"),
    error=float.fromhex("0x1.8be598881ep-24"),
)

# exp(r) - 1 = r (c0 + c1 r + ...)
# Made by Sollya's fpminimax; relative error below 2^-21.12, proven by its supnorm.
EXPM1_SHORT_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.fffffep-1"),
        float.fromhex("0x1.fffe5ep-2"),
        float.fromhex("0x1.5556dap-3"),
        float.fromhex("0x1.570a7p-5"),
        float.fromhex("0x1.1104ep-7"),
    ),
    low=float.fromhex("-0x1.62e592d3d38e9p-2"),
    high=float.fromhex("0x1.62e592d3d38e9p-2"),
    error=float.fromhex("0x1.d6cc314503p-22"),
)
