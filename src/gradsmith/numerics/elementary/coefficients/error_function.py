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
# Largest relative error found: 2^-32.18.
ERF_SHORT = Fit(
    coefficients=(
        float.fromhex("0x1.24923ae53f7d1p-2"),
        float.fromhex("-0x1.7e20697022746p-7"),
        float.fromhex("0x1.764533d204ffdp-11"),
        float.fromhex("-0x1.970f75ce7b152p-15"),
        float.fromhex("0x1.cffb018cfa361p-19"),
        float.fromhex("-0x1.0ebf4ccd1b83dp-22"),
        float.fromhex("0x1.3ee1ea7366dbap-26"),
        float.fromhex("-0x1.7678db51e0feap-30"),
        float.fromhex("0x1.b2d40be33bc20p-34"),
        float.fromhex("-0x1.f0a8bf79117ccp-38"),
        float.fromhex("0x1.1044e1a4f66fap-41"),
        float.fromhex("-0x1.16f0001db3d9cp-45"),
        float.fromhex("0x1.256e3493f726bp-49"),
        float.fromhex("-0x1.50f4bfca79250p-53"),
        float.fromhex("0x1.1fa548e485e44p-57"),
        float.fromhex("-0x1.b6f3d09da6860p-63"),
        float.fromhex("0x1.38b2d82872507p-66"),
        float.fromhex("-0x1.a29edcd313c8fp-69"),
        float.fromhex("0x1.eb489062e83f9p-74"),
        float.fromhex("0x1.56822e32cd31ep-78"),
        float.fromhex("-0x1.ea2db3eddba81p-84"),
        float.fromhex("-0x1.9c7ffb0024ce4p-86"),
        float.fromhex("0x1.d5ec86c7cb777p-91"),
    ),
    low=float.fromhex("-0x1.8800000000000p+3"),
    high=float.fromhex("0x1.8800000000000p+3"),
    error=float.fromhex("0x1.c51423c6bfcfap-33"),
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
# Largest relative error found: 2^-33.01.
ERFC_SHORT_ABOVE = Fit(
    coefficients=(
        float.fromhex("0x1.ad3c563be50ebp+5"),
        float.fromhex("0x1.36c25fe2c4947p+6"),
        float.fromhex("0x1.b4f8b44a72e26p+5"),
        float.fromhex("0x1.626c482fde70cp+4"),
        float.fromhex("0x1.4a48cc44b4b0ap+2"),
        float.fromhex("0x1.20dd65117ff31p-1"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.7c00000000000p+3"),
    error=float.fromhex("0x1.fcc92749999c8p-34"),
)

# its denominator
# Largest relative error found: 2^-33.01.
ERFC_SHORT_BELOW = Fit(
    coefficients=(
        float.fromhex("0x1.ad3c563cba11bp+5"),
        float.fromhex("0x1.1476fc6952634p+7"),
        float.fromhex("0x1.39e41ede6fc24p+7"),
        float.fromhex("0x1.957fb1318ef21p+6"),
        float.fromhex("0x1.3e1b5f7fc48a5p+5"),
        float.fromhex("0x1.24b49d1e8a6cdp+3"),
        float.fromhex("0x1.0000000000000p+0"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("0x1.7c00000000000p+3"),
    error=float.fromhex("0x1.fcc92749999c8p-34"),
)

# the numerator of erfcx(x), lowest power first
# Largest relative error found: 2^-35.14.
ERFCX_SHORT_ABOVE = Fit(
    coefficients=(
        float.fromhex("0x1.ea66ceac5188fp+6"),
        float.fromhex("0x1.acbe21e515338p+7"),
        float.fromhex("0x1.6bd767470c307p+7"),
        float.fromhex("0x1.749c09eff98e2p+6"),
        float.fromhex("0x1.e2dec8e3bb3ffp+4"),
        float.fromhex("0x1.7a671c619d8e0p+2"),
        float.fromhex("0x1.20dd75044a653p-1"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("inf"),
    error=float.fromhex("0x1.d04185664917cp-36"),
)

# its denominator
# Largest relative error found: 2^-35.14.
ERFCX_SHORT_BELOW = Fit(
    coefficients=(
        float.fromhex("0x1.ea66ceac1a0d8p+6"),
        float.fromhex("0x1.60b609d56050dp+8"),
        float.fromhex("0x1.c94fe8a6e5fe4p+8"),
        float.fromhex("0x1.5cb07ba43a02cp+8"),
        float.fromhex("0x1.54b24ef454bf2p+7"),
        float.fromhex("0x1.afeebeed8d5e0p+5"),
        float.fromhex("0x1.4f59c972d5716p+3"),
        float.fromhex("0x1.0000000000000p+0"),
    ),
    low=float.fromhex("0x0.0p+0"),
    high=float.fromhex("inf"),
    error=float.fromhex("0x1.d04185664917cp-36"),
)
