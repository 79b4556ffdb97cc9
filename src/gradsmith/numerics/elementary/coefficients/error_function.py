"""Coefficients of ``error_function.py``: minimax fits.

Made by ``python scripts/coefficients/generate.py error_function``: change the script that it
runs, ``error_function.py``, and not this file.
"""

from __future__ import annotations

from gradsmith.numerics.elementary.polynomial import Fit

# erf(x) = x + x (c0 + c1 x^2 + c2 x^4 + ...), in terms of x^2
# Largest relative error found: 2^-56.33.
ERF_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.06eba8214db69p-3"),
        float.fromhex("-0x1.812746b037a09p-2"),
        float.fromhex("0x1.ce2f21a044436p-4"),
        float.fromhex("-0x1.b82ce31308ad9p-6"),
        float.fromhex("0x1.565bcd25d0f34p-8"),
        float.fromhex("-0x1.c02db93b36c40p-11"),
        float.fromhex("0x1.f9a3e711ff3efp-14"),
        float.fromhex("-0x1.f4e465069e7f3p-17"),
        float.fromhex("0x1.bb004d8918582p-20"),
        float.fromhex("-0x1.6a234782e4fb0p-23"),
        float.fromhex("0x1.381d6bcfcdabfp-26"),
        float.fromhex("-0x1.217d37a618eb8p-29"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.2000000000000p-1"),
    error=float.fromhex("0x1.967e860bd27f0p-57"),
)

# erf(x) = x + x (c0 + c1 x^2 + c2 x^4 + ...), in terms of x^2
# Largest relative error found: 2^-29.16.
ERF_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.06eba80000000p-3"),
        float.fromhex("-0x1.81273a0000000p-2"),
        float.fromhex("0x1.ce2ade0000000p-4"),
        float.fromhex("-0x1.b7a9aa0000000p-6"),
        float.fromhex("0x1.4f32be0000000p-8"),
        float.fromhex("-0x1.61f9a80000000p-11"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.2000000000000p-1"),
    error=float.fromhex("0x1.c97658334a484p-30"),
)

# In the middle of the x^2 below.
ERF_SHORT_CENTRE = 12.25

# erf(x) = x (c0 + c1 u + ...), u = x^2 - ERF_SHORT_CENTRE
# Largest relative error found: 2^-41.00.
ERF_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.24923ae50c5ecp-2"),
        float.fromhex("-0x1.7e206933e13c4p-7"),
        float.fromhex("0x1.76453461a6b4bp-11"),
        float.fromhex("-0x1.970f9a18d0bf1p-15"),
        float.fromhex("0x1.cffae372e1872p-19"),
        float.fromhex("-0x1.0ebc16be745b2p-22"),
        float.fromhex("0x1.3ee2e2336c81ep-26"),
        float.fromhex("-0x1.76bb9a4511594p-30"),
        float.fromhex("0x1.b2d1f9ff48d84p-34"),
        float.fromhex("-0x1.edab43dbfe390p-38"),
        float.fromhex("0x1.1010f827b3fa0p-41"),
        float.fromhex("-0x1.2152adb87041ap-45"),
        float.fromhex("0x1.280755a0182d7p-49"),
        float.fromhex("-0x1.232cbcd0c95d7p-53"),
        float.fromhex("0x1.104e529fae9b4p-57"),
        float.fromhex("-0x1.df342a12aa108p-62"),
        float.fromhex("0x1.a120b46479a54p-66"),
        float.fromhex("-0x1.74b02fe16e34cp-70"),
        float.fromhex("0x1.161467a878350p-74"),
        float.fromhex("-0x1.1a87118bbc4eap-79"),
        float.fromhex("0x1.f929963265e4fp-84"),
        float.fromhex("-0x1.7f5e8731bb484p-87"),
        float.fromhex("0x1.99295224443f2p-92"),
        float.fromhex("0x1.2c22fd7e7ba39p-97"),
        float.fromhex("-0x1.e73378445ee26p-104"),
        float.fromhex("-0x1.ba45a900b831ep-105"),
        float.fromhex("0x1.ba779f9129473p-110"),
    ),
    low=float.fromhex("-0x1.8800000000000p+3"),
    high=float.fromhex("0x1.8800000000000p+3"),
    error=float.fromhex("0x1.004c7a57b711dp-41"),
)

# Where s below is 0.
ERFCX_F64_CENTRE = 4.046875

# Of the denominator.
ERFCX_F64_SHIFT = 0.890625

# (x + ERFCX_F64_SHIFT) erfcx(x) = c0 + c1 s + ..., s = (CENTRE - x)/(CENTRE + x)
# Largest relative error found: 2^-57.47.
ERFCX_F64 = Fit(
    coefficients=(
        float.fromhex("0x1.5689c8ac799e3p-1"),
        float.fromhex("0x1.5bffb8aa11ea1p-3"),
        float.fromhex("0x1.7f50c7a939b99p-4"),
        float.fromhex("0x1.010421cb42130p-5"),
        float.fromhex("-0x1.bc4dba8ab158ep-8"),
        float.fromhex("-0x1.62c492c607901p-6"),
        float.fromhex("-0x1.5853ef2be0dddp-6"),
        float.fromhex("-0x1.ca4c6f3422985p-7"),
        float.fromhex("-0x1.c794ef4f2a18bp-8"),
        float.fromhex("-0x1.468c7f40ab1a1p-9"),
        float.fromhex("-0x1.0d69e5c5bc323p-11"),
        float.fromhex("0x1.3d7b085453d14p-15"),
        float.fromhex("0x1.208155878d2a3p-14"),
        float.fromhex("0x1.2de12e3332b29p-16"),
        float.fromhex("-0x1.98015dc8addd1p-19"),
        float.fromhex("-0x1.91b457e29b149p-19"),
        float.fromhex("-0x1.0d4c5c7446641p-22"),
        float.fromhex("0x1.7ed4c4dd0b71fp-22"),
        float.fromhex("0x1.8190281ed1160p-24"),
        float.fromhex("-0x1.4e764ea7521b4p-25"),
        float.fromhex("-0x1.1c5b1811b4689p-26"),
        float.fromhex("0x1.0d6f9544c3445p-28"),
        float.fromhex("0x1.3a92522966c22p-29"),
        float.fromhex("-0x1.28c78c4c9f38cp-32"),
        float.fromhex("-0x1.959d0e5fd3bbbp-33"),
    ),
    low=float.fromhex("-0x1.0000000000000p+0"),
    high=float.fromhex("0x1.0000000000000p+0"),
    error=float.fromhex("0x1.714f1eaf3b2cfp-58"),
)

# Where s below is 0.
ERFCX_F32_CENTRE = 2.546875

# Of the denominator.
ERFCX_F32_SHIFT = 0.90625

# (x + ERFCX_F32_SHIFT) erfcx(x) = c0 + c1 s + ..., s = (CENTRE - x)/(CENTRE + x)
# Largest relative error found: 2^-27.02.
ERFCX_F32 = Fit(
    coefficients=(
        float.fromhex("0x1.6ea3ba0000000p-1"),
        float.fromhex("0x1.b085100000000p-3"),
        float.fromhex("0x1.c656dc0000000p-5"),
        float.fromhex("-0x1.a525540000000p-6"),
        float.fromhex("-0x1.21317c0000000p-5"),
        float.fromhex("-0x1.0641ba0000000p-6"),
        float.fromhex("-0x1.75878a0000000p-10"),
        float.fromhex("0x1.c5c3960000000p-10"),
        float.fromhex("0x1.d425d80000000p-12"),
        float.fromhex("-0x1.a374aa0000000p-13"),
        float.fromhex("-0x1.c5a73e0000000p-15"),
        float.fromhex("0x1.47b2040000000p-16"),
    ),
    low=float.fromhex("-0x1.0000000000000p+0"),
    high=float.fromhex("0x1.0000000000000p+0"),
    error=float.fromhex("0x1.f77e1ca71ac98p-28"),
)

# the numerator of erfcx(x), lowest power first
# Largest relative error found: 2^-39.14.
ERFC_SHORT_ABOVE = Fit(
    coefficients=(
        float.fromhex("0x1.7d1a51e810595p+7"),
        float.fromhex("0x1.3694435cc34a3p+8"),
        float.fromhex("0x1.f0c4172a62603p+7"),
        float.fromhex("0x1.de5f63e4beddap+6"),
        float.fromhex("0x1.21a407a1bcbf3p+5"),
        float.fromhex("0x1.a35d7427942dbp+2"),
        float.fromhex("0x1.20dd76afcfe85p-1"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.7c00000000000p+3"),
    error=float.fromhex("0x1.d1c8a425fa5b3p-40"),
)

# its denominator
# Largest relative error found: 2^-39.14.
ERFC_SHORT_BELOW = Fit(
    coefficients=(
        float.fromhex("0x1.7d1a51e80da59p+7"),
        float.fromhex("0x1.06cbf43314c44p+9"),
        float.fromhex("0x1.45733a2eed63bp+9"),
        float.fromhex("0x1.d7ce0a5b0f49bp+8"),
        float.fromhex("0x1.b390dc7ff1c4dp+7"),
        float.fromhex("0x1.02afd390f9b53p+6"),
        float.fromhex("0x1.73a71c4fb41a4p+3"),
        float.fromhex("0x1.0000000000000p+0"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.7c00000000000p+3"),
    error=float.fromhex("0x1.d1c8a425fa5b3p-40"),
)

# the numerator of erfcx(x), lowest power first
# Largest relative error found: 2^-40.48.
ERFCX_SHORT_ABOVE = Fit(
    coefficients=(
        float.fromhex("0x1.aed7645dcbba2p+8"),
        float.fromhex("0x1.a02da9451aa9cp+9"),
        float.fromhex("0x1.8913b2dc6c881p+9"),
        float.fromhex("0x1.cb071d9fbe302p+8"),
        float.fromhex("0x1.6308652921404p+7"),
        float.fromhex("0x1.6c1d839406f56p+5"),
        float.fromhex("0x1.cefe97784122ap+2"),
        float.fromhex("0x1.20dd750428e8ap-1"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("inf"),
    error=float.fromhex("0x1.6f39fa4d2fb6ap-41"),
)

# its denominator
# Largest relative error found: 2^-40.48.
ERFCX_SHORT_BELOW = Fit(
    coefficients=(
        float.fromhex("0x1.aed7645dccedbp+8"),
        float.fromhex("0x1.49a09614fd828p+10"),
        float.fromhex("0x1.ccc5cf8213ad1p+10"),
        float.fromhex("0x1.8214d4d511dccp+10"),
        float.fromhex("0x1.aab890a217887p+9"),
        float.fromhex("0x1.410d0391e77a8p+8"),
        float.fromhex("0x1.44b05375e41f2p+6"),
        float.fromhex("0x1.9a5174f8db5fbp+3"),
        float.fromhex("0x1.0000000000000p+0"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("inf"),
    error=float.fromhex("0x1.6f39fa4d2fb6ap-41"),
)
