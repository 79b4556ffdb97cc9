"""Coefficients of ``circular.py``: minimax fits.

Made by ``python scripts/coefficients/generate.py circular``: change the script that it
runs, ``circular.py``, and not this file.
"""

from __future__ import annotations

from gradsmith.numerics.elementary.polynomial import Fit

# sin(r) = r + r^3 (c0 + c1 r^2 + ...), in terms of r^2
# Largest relative error found: 2^-57.88.
SIN_F64 = Fit(
    coefficients=(
        float.fromhex("-0x1.5555555555548p-3"),
        float.fromhex("0x1.111111110f74ap-7"),
        float.fromhex("-0x1.a01a019beec6ap-13"),
        float.fromhex("0x1.71de355bbc85ep-19"),
        float.fromhex("-0x1.ae5e51c2ea357p-26"),
        float.fromhex("0x1.5d8d6c594b777p-33"),
    ),
    low=float.fromhex("0x1.0000000000000p-20"),
    high=float.fromhex("0x1.3bd3f4165f2d3p-1"),
    error=float.fromhex("0x1.160ae272d6074p-58"),
)

# cos(r) = 1 - r^2/2 + r^4 (c0 + c1 r^2 + ...), in terms of r^2
# Largest relative error found: 2^-63.54.
COS_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.555555555554bp-5"),
        float.fromhex("-0x1.6c16c16c1505bp-10"),
        float.fromhex("0x1.a01a019c9ae6cp-16"),
        float.fromhex("-0x1.27e4f7fcb2579p-22"),
        float.fromhex("0x1.1ee9e4b9df677p-29"),
        float.fromhex("-0x1.8fabab7978e35p-37"),
    ),
    low=float.fromhex("0x1.0000000000000p-20"),
    high=float.fromhex("0x1.3bd3f4165f2d3p-1"),
    error=float.fromhex("0x1.5f069d6484ef2p-64"),
)

# sin(r) = r + r^3 (c0 + c1 r^2 + ...), in terms of r^2
# Largest relative error found: 2^-27.86.
SIN_F32 = Fit(
    coefficients=(
        float.fromhex("-0x1.5555460000000p-3"),
        float.fromhex("0x1.11077e0000000p-7"),
        float.fromhex("-0x1.9956ba0000000p-13"),
    ),
    low=float.fromhex("0x1.0000000000000p-20"),
    high=float.fromhex("0x1.3bd3f4165f2d3p-1"),
    error=float.fromhex("0x1.1977efe72e59dp-28"),
)

# cos(r) = 1 - r^2/2 + r^4 (c0 + c1 r^2 + ...), in terms of r^2
# Largest relative error found: 2^-32.97.
COS_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.55554a0000000p-5"),
        float.fromhex("-0x1.6c0c280000000p-10"),
        float.fromhex("0x1.99e82e0000000p-16"),
    ),
    low=float.fromhex("0x1.0000000000000p-20"),
    high=float.fromhex("0x1.3bd3f4165f2d3p-1"),
    error=float.fromhex("0x1.04b01dd67614bp-33"),
)

# sin(pi t) = t (c0 + c1 t^2 + ...), in terms of t^2
# Largest relative error found: 2^-43.86.
SIN_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.921fb54442b5fp+1"),
        float.fromhex("-0x1.4abbce6247edbp+2"),
        float.fromhex("0x1.466bc66dc8287p+1"),
        float.fromhex("-0x1.32d2c96c70441p-1"),
        float.fromhex("0x1.5076fea23b3a3p-4"),
        float.fromhex("-0x1.e297d05838036p-8"),
        float.fromhex("0x1.d4ec72c9de699p-12"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.0000200001000p-2"),
    error=float.fromhex("0x1.1989905282035p-44"),
)

# sin(pi/2 t) = t (c0 + c1 t^2 + ...), in terms of t^2
# Largest relative error found: 2^-47.64.
SIN_QUARTER_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.921fb54442cf8p+0"),
        float.fromhex("-0x1.4abbce625777ap-1"),
        float.fromhex("0x1.466bc670fa5e3p-4"),
        float.fromhex("-0x1.32d2c627fe65fp-8"),
        float.fromhex("0x1.5071be0c1a7cap-13"),
        float.fromhex("-0x1.dd4e0a5119f4ap-19"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.0000200001000p-2"),
    error=float.fromhex("0x1.49164652991dep-48"),
)

# cos(pi/2 t) = c0 + c1 t^2 + ..., in terms of t^2
# Largest relative error found: 2^-43.79.
COS_QUARTER_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.ffffffffffdb1p-1"),
        float.fromhex("-0x1.3bd3cc9bd0993p+0"),
        float.fromhex("0x1.03c1f073cd557p-2"),
        float.fromhex("-0x1.55d3b972661bep-6"),
        float.fromhex("0x1.e1e761313a38bp-11"),
        float.fromhex("-0x1.a0d8ac0c30248p-16"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.0000200001000p-2"),
    error=float.fromhex("0x1.27f07793a4cb9p-44"),
)

# atan(r) = r + r^3 (c0 + c1 r^2 + ...), in terms of r^2
# Largest relative error found: 2^-57.57.
ATAN_F64 = Fit(
    coefficients=(
        float.fromhex("-0x1.5555555555526p-2"),
        float.fromhex("0x1.99999999955d4p-3"),
        float.fromhex("-0x1.2492492380071p-3"),
        float.fromhex("0x1.c71c717ffff8ap-4"),
        float.fromhex("-0x1.745d11b22d7ccp-4"),
        float.fromhex("0x1.3b1366c894dbdp-4"),
        float.fromhex("-0x1.110e52b3cb3edp-4"),
        float.fromhex("0x1.e1bbb97b00a86p-5"),
        float.fromhex("-0x1.ae5ec9bf4fa8ap-5"),
        float.fromhex("0x1.82dc04d8a2af5p-5"),
        float.fromhex("-0x1.59a7217308d7ap-5"),
        float.fromhex("0x1.2c34d4eef5648p-5"),
        float.fromhex("-0x1.ea0ecc1186fd2p-6"),
        float.fromhex("0x1.685685f90dcc0p-6"),
        float.fromhex("-0x1.c7c0b5232c7d3p-7"),
        float.fromhex("0x1.d7fef4df674f9p-8"),
        float.fromhex("-0x1.7a81fc124d86dp-9"),
        float.fromhex("0x1.b461b6afd344fp-11"),
        float.fromhex("-0x1.3f9001f85278ap-13"),
        float.fromhex("0x1.bc7e282909aebp-17"),
    ),
    low=float.fromhex("0x1.0000000000000p-20"),
    high=float.fromhex("0x1.0000000000000p+0"),
    error=float.fromhex("0x1.588bda5f79c65p-58"),
)

# atan(r) = r + r^3 (c0 + c1 r^2 + ...), in terms of r^2
# Largest relative error found: 2^-28.50.
ATAN_F32 = Fit(
    coefficients=(
        float.fromhex("-0x1.55553e0000000p-2"),
        float.fromhex("0x1.9991e80000000p-3"),
        float.fromhex("-0x1.2420d60000000p-3"),
        float.fromhex("0x1.c090f40000000p-4"),
        float.fromhex("-0x1.581a640000000p-4"),
        float.fromhex("0x1.da710c0000000p-5"),
        float.fromhex("-0x1.fe21d00000000p-6"),
        float.fromhex("0x1.64eb620000000p-7"),
        float.fromhex("-0x1.d4e42a0000000p-10"),
    ),
    low=float.fromhex("0x1.0000000000000p-20"),
    high=float.fromhex("0x1.0000000000000p+0"),
    error=float.fromhex("0x1.695bc2d401b83p-29"),
)

# atan(r) = r (c0 + c1 r^2 + ...), in terms of r^2
# Largest relative error found: 2^-39.28.
ATAN_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.fffffffffcb6bp-1"),
        float.fromhex("-0x1.5555554ae88b7p-2"),
        float.fromhex("0x1.999994182f36dp-3"),
        float.fromhex("-0x1.2491b5b7dedadp-3"),
        float.fromhex("0x1.c70c38cd9b17cp-4"),
        float.fromhex("-0x1.73d2ade2de032p-4"),
        float.fromhex("0x1.380a5ec153c7cp-4"),
        float.fromhex("-0x1.05386f42bf1efp-4"),
        float.fromhex("0x1.9f2d2e1bc6873p-5"),
        float.fromhex("-0x1.236c95df4d769p-5"),
        float.fromhex("0x1.4b45e3e9d4189p-6"),
        float.fromhex("-0x1.138d34b574ae2p-7"),
        float.fromhex("0x1.230fc36316729p-9"),
        float.fromhex("-0x1.20d4794fc398fp-12"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.0000000000000p+0"),
    error=float.fromhex("0x1.a52a219651758p-40"),
)

# pi/2 to 53 digits.
HALF_PI_F64_HIGH = 1.5707963267948966

# What that lacks.
HALF_PI_F64_LOW = 6.123233995736766e-17

# pi/2 to 24 digits.
HALF_PI_F32_HIGH = 1.5707963705062866

# What that lacks.
HALF_PI_F32_LOW = -4.371138828673793e-08
