"""Coefficients of ``logarithm.py``: minimax fits, made by Sollya.

Made by ``python scripts/coefficients/generate.py logarithm``: change the script that it
runs, ``logarithm.sollya``, and not this file.
"""

from __future__ import annotations

from gradsmith.numerics.elementary.polynomial import Fit

# log(1 + f) = f - f^2/2 + f^3 (c0 + c1 f + ...)
# Made by Sollya's fpminimax; relative error below 2^-59.17, proven by its supnorm.
LOG_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.555555555554ap-2"),
        float.fromhex("-0x1.0000000000157p-2"),
        float.fromhex("0x1.999999999c724p-3"),
        float.fromhex("-0x1.555555552c09p-3"),
        float.fromhex("0x1.24924922a1953p-3"),
        float.fromhex("-0x1.0000000d28d6dp-3"),
        float.fromhex("0x1.c71c730bc2fefp-4"),
        float.fromhex("-0x1.9999967a6fcf7p-4"),
        float.fromhex("0x1.745cde700767cp-4"),
        float.fromhex("-0x1.55554b05788b6p-4"),
        float.fromhex("0x1.3b191464f530bp-4"),
        float.fromhex("-0x1.249d88eb91731p-4"),
        float.fromhex("0x1.10d29f24a508bp-4"),
        float.fromhex("-0x1.fded7ed108383p-5"),
        float.fromhex("0x1.e2a85c17cbd6ep-5"),
        float.fromhex("-0x1.d95a7a13c9695p-5"),
        float.fromhex("0x1.cfa4fa0f62733p-5"),
        float.fromhex("-0x1.82d8a799ff8ap-5"),
        float.fromhex("0x1.b3d9d6c68ef4p-6"),
        float.fromhex("-0x1.d0b92f071ca6cp-8"),
    ),
    low=float.fromhex("-0x1.0000000004p-2"),
    high=float.fromhex("0x1.0000000002p-1"),
    error=float.fromhex("0x1.c6997ecd07p-60"),
)

# log(1 + f) = f - f^2/2 + f^3 (c0 + c1 f + ...)
# Made by Sollya's fpminimax; relative error below 2^-30.01, proven by its supnorm.
LOG_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.55555ap-2"),
        float.fromhex("-0x1.00006ep-2"),
        float.fromhex("0x1.99975ep-3"),
        float.fromhex("-0x1.5519ccp-3"),
        float.fromhex("0x1.246456p-3"),
        float.fromhex("-0x1.04af5p-3"),
        float.fromhex("0x1.df10fep-4"),
        float.fromhex("-0x1.74d5d8p-4"),
        float.fromhex("0x1.33c88p-5"),
    ),
    low=float.fromhex("-0x1.00004p-2"),
    high=float.fromhex("0x1.00002p-1"),
    error=float.fromhex("0x1.fd149b8124p-31"),
)

# log(1 + f) = f - f^2/2 + f^3/3 + f^4 (c0 + c1 f + ...)
# Made by Sollya's fpminimax; relative error below 2^-32.35, proven by its supnorm.
LOG_WORDS = Fit(
    coefficients=(
        float.fromhex("-0x1.00000cp-2"),
        float.fromhex("0x1.999a9cp-3"),
        float.fromhex("-0x1.554fa2p-3"),
        float.fromhex("0x1.244f48p-3"),
        float.fromhex("-0x1.001264p-3"),
        float.fromhex("0x1.d18e84p-4"),
        float.fromhex("-0x1.ae0a94p-4"),
        float.fromhex("0x1.47397p-4"),
        float.fromhex("-0x1.03aa54p-5"),
    ),
    low=float.fromhex("-0x1.00004p-2"),
    high=float.fromhex("0x1.00002p-1"),
    error=float.fromhex("0x1.90aec9760ap-33"),
)

# 1/(1 + f) = c0 + c1 f + ..., for the derivative
# Made by Sollya's fpminimax; relative error below 2^-9.17, proven by its supnorm.
RECIPROCAL_WORDS = Fit(
    coefficients=(
        float.fromhex("0x1.ffd052p-1"),
        float.fromhex("-0x1.04d092p0"),
        float.fromhex("0x1.0d3a74p0"),
        float.fromhex("-0x1.66f8a2p-1"),
    ),
    low=float.fromhex("-0x1.00004p-2"),
    high=float.fromhex("0x1.00002p-1"),
    error=float.fromhex("0x1.c80d50a4afp-10"),
)

# log(1 + f) = f (c0 + c1 f + ...)
# Made by Sollya's fpminimax; relative error below 2^-33.19, proven by its supnorm.
LOG_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.000000002665cp0"),
        float.fromhex("-0x1.0000001c64ba4p-1"),
        float.fromhex("0x1.5555541cf0bc5p-2"),
        float.fromhex("-0x1.ffffa6b80599fp-3"),
        float.fromhex("0x1.999a31be29562p-3"),
        float.fromhex("-0x1.556952302b0c3p-3"),
        float.fromhex("0x1.24912ecd4219p-3"),
        float.fromhex("-0x1.fc567548cee7ep-4"),
        float.fromhex("0x1.c36d10e8eb753p-4"),
        float.fromhex("-0x1.bdb1731a31e1cp-4"),
        float.fromhex("0x1.b7a92e97ec169p-4"),
        float.fromhex("-0x1.ea4b9e92b957fp-5"),
    ),
    low=float.fromhex("-0x1.2bec33301c867p-2"),
    high=float.fromhex("0x1.a827999fd2f32p-2"),
    error=float.fromhex("0x1.c0b1fc0b87p-34"),
)

# log(1 + t) = t (c0 + c1 t + ...), for t from 0 to 1
# Made by Sollya's fpminimax; relative error below 2^-32.98, proven by its supnorm.
LOG1P_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.fffffffefc946p-1"),
        float.fromhex("-0x1.fffffda6de63dp-2"),
        float.fromhex("0x1.5554e12d5ea0fp-2"),
        float.fromhex("-0x1.ffee3ea8159bap-3"),
        float.fromhex("0x1.98e3b10cba974p-3"),
        float.fromhex("-0x1.50f475a530b24p-3"),
        float.fromhex("0x1.12f9c9c45a2b7p-3"),
        float.fromhex("-0x1.9eb1cd7e1d42p-4"),
        float.fromhex("0x1.062d212ed7ddcp-4"),
        float.fromhex("-0x1.ee58dd9ec82afp-6"),
        float.fromhex("0x1.2990b7c88a456p-7"),
        float.fromhex("-0x1.4fb3b9077ae63p-10"),
    ),
    low=float.fromhex("0"),
    high=float.fromhex("0x1p0"),
    error=float.fromhex("0x1.04671c2d62p-33"),
)

# log(1 + f) = f (c0 + c1 f + ...)
# Made by Sollya's fpminimax; relative error below 2^-22.46, proven by its supnorm.
LOG_SHORT_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.fffffep-1"),
        float.fromhex("-0x1.00007ap-1"),
        float.fromhex("0x1.5559f8p-2"),
        float.fromhex("-0x1.ff62bcp-3"),
        float.fromhex("0x1.978962p-3"),
        float.fromhex("-0x1.6142p-3"),
        float.fromhex("0x1.4c5a94p-3"),
        float.fromhex("-0x1.9e7af4p-4"),
    ),
    low=float.fromhex("-0x1.2bec733018867p-2"),
    high=float.fromhex("0x1.a827d99fcef32p-2"),
    error=float.fromhex("0x1.739276fd9cp-23"),
)

# log(1 + t) = t (c0 + c1 t + ...), for t from 0 to 1
# Made by Sollya's fpminimax; relative error below 2^-19.58, proven by its supnorm.
LOG1P_SHORT_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.ffffd6p-1"),
        float.fromhex("-0x1.ffddf4p-2"),
        float.fromhex("0x1.530b64p-2"),
        float.fromhex("-0x1.e1625cp-3"),
        float.fromhex("0x1.31a6dap-3"),
        float.fromhex("-0x1.100c04p-4"),
        float.fromhex("0x1.cf881ep-7"),
    ),
    low=float.fromhex("0"),
    high=float.fromhex("0x1.00001p0"),
    error=float.fromhex("0x1.565a6b0364p-20"),
)

# 1/3 in two parts.
THIRD = (
    float.fromhex("0x1.5555555555555p-2"),
    float.fromhex("0x1.5555555555555p-56"),
)

# 1/3 in two parts.
THIRD_F32 = (
    float.fromhex("0x1.555556p-2"),
    float.fromhex("-0x1.555556p-27"),
)

# atanh(s) = s + s^3/3 + s^5 (c0 + c1 s^2 + ...)
# Made by Sollya's fpminimax; relative error below 2^-73.48, proven by its supnorm.
ATANH_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.9999999999996p-3"),
        float.fromhex("0x1.2492492492f4bp-3"),
        float.fromhex("0x1.c71c71c597992p-4"),
        float.fromhex("0x1.745d1828c4e4cp-4"),
        float.fromhex("0x1.3b1364f225651p-4"),
        float.fromhex("0x1.112068f42eceap-4"),
        float.fromhex("0x1.de3e6bf345a15p-5"),
        float.fromhex("0x1.eabdb28271485p-5"),
    ),
    low=float.fromhex("-0x1.5f619980cc337p-3"),
    high=float.fromhex("0x1.5f619980cc337p-3"),
    error=float.fromhex("0x1.704840cc87p-74"),
)
