"""erf, erfc and erfcx(x) = exp(x²)·erfc(x): on the whole range, and relatively accurate in tails.

Everything but erf near 0 comes from erfcx of x ≥ 0, which is smooth all the way to its tail
1/(√π·x): a polynomial in (c − x)/(c + x), which maps that half-axis to an interval, divided by
x + ½√π or so (the idea of Shepherd, Laframboise: "Chebyshev approximation of (1 + 2x) exp(x²)
erfc x in 0 ≤ x < ∞", Mathematics of Computation 36, 1981). Then erfc(x) = exp(−x²)·erfcx(x), with
x² in two parts, and what holds for negative x is erfc(−x) = 2 − erfc(x).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from gradsmith.numerics.builder import Value, fma, minimum, select, two_sum, with_sign_of
from gradsmith.numerics.elementary import short_table
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.coefficients import error_function as data
from gradsmith.numerics.elementary.coefficients.exponential import EXP_F32, EXP_F64
from gradsmith.numerics.elementary.exponential import exp
from gradsmith.numerics.elementary.polynomial import Fit, horner
from gradsmith.numerics.elementary.reduction import (
    LAYOUTS,
    power_of_two,
    reduce,
    scaled_in_steps,
)
from gradsmith.numerics.program import F32, F64, Type


@dataclass(frozen=True, slots=True)
class _Constants:
    """What the three functions need of a format.

    Attributes:
        erf: of erf(x) = x + x·P(x²), for x² up to where the fit ends.
        erfcx: of (x + shift)·erfcx(x) = P(s), s = (centre − x)/(centre + x).
        centre: see above.
        shift: see above.
        exp: of exp(r) = 1 + r + r²·P(r).
        one: from here on erf(x) rounds to 1.
        nothing: from here on erfc(x) rounds to 0.
        infinite: here 2·exp(x²) exceeds the largest number, and x² ≤ log(2)·(bias + 1.5).
        far: from here on x + shift is x, and s is −1.
    """

    erf: Fit
    erfcx: Fit
    centre: float
    shift: float
    exp: Fit
    one: float
    nothing: float
    infinite: float
    far: float


_CONSTANTS: dict[Type, _Constants] = {
    F64: _Constants(
        data.ERF_F64,
        data.ERFCX_F64,
        data.ERFCX_F64_CENTRE,
        data.ERFCX_F64_SHIFT,
        EXP_F64,
        one=6.0,
        nothing=27.5,
        infinite=26.64,
        far=2.0**60,
    ),
    F32: _Constants(
        data.ERF_F32,
        data.ERFCX_F32,
        data.ERFCX_F32_CENTRE,
        data.ERFCX_F32_SHIFT,
        EXP_F32,
        one=4.0,
        nothing=10.5,
        infinite=9.39,
        far=2.0**30,
    ),
}

# From here on erf(x) is 1 up to 2⁻³⁷.
_SHORT_LAST = sqrt(data.ERF_SHORT_CENTRE + data.ERF_SHORT.high)
# exp(−x²) is still a normal number here, and erfc(x) far below 2⁻²⁰⁰.
_SHORT_NOTHING = 26.0
# From here on erfcx(x) is 1/(√π·x) up to 2⁻⁴¹, and here powers of x are far from overflow.
_SHORT_FAR = 2.0**20
_ONE_OVER_SQRT_PI = 0.5641895835477563


def erf(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """2/√π times the integral of exp(−t²) from 0 to x; odd to the last bit."""
    if accuracy is Accuracy.SHORT:
        return _erf_short(x) if x.type is F64 else short_table.erf(x)
    constants = _CONSTANTS[x.type]
    near = fma(horner(x * x, constants.erf.coefficients), x, x)
    size = abs(x)
    exponent, mantissa = _tail(minimum(size, constants.one), LAYOUTS[x.type].bias)
    far = with_sign_of(fma(mantissa, -power_of_two(exponent), 1.0), x)
    return select(size < sqrt(constants.erf.high), near, far)


def erfc(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """1 − erf(x), without the cancellation that this suffers for x > 0."""
    if accuracy is Accuracy.SHORT:
        return _erfc_short(x)
    size = minimum(abs(x), _CONSTANTS[x.type].nothing)
    exponent, mantissa = _tail(size, 2 * LAYOUTS[x.type].bias)
    tail = scaled_in_steps(mantissa, exponent)
    return select(x < 0.0, 2.0 - tail, tail)


def erfcx(x: Value, accuracy: Accuracy = Accuracy.FULL) -> Value:
    """exp(x²)·erfc(x): falls like 1/(√π·x), and grows like 2·exp(x²) for x → −∞."""
    if x.type is F64 and accuracy is Accuracy.SHORT:
        return _erfcx_short(x)
    constants = _CONSTANTS[x.type]
    size = abs(x)
    is_far = size > constants.far
    high, low = _scaled_tail(size, select(is_far, constants.far, size))
    # At infinity the rest of the quotient is no number.
    low = select(size < float("inf"), low, 0.0)

    # 2·exp(x²) − erfcx(|x|), in quarters of 2·exp(x²), which may exceed the largest power of two.
    exponent, excess = _exp_of_square(
        minimum(size, constants.infinite), LAYOUTS[x.type].bias - 1, sign=1.0
    )
    scale = power_of_two(exponent)
    total = 1.0 + excess
    rest = excess - (total - 1.0)
    quarter = fma(total, scale, high * -0.25) + fma(rest, scale, low * -0.25)
    return select(x < 0.0, quarter * 4.0, high + low)


def _tail(size: Value, offset: int) -> tuple[Value, Value]:
    """erfc(size) as 2ᵏ times a number of size about 1; first k + offset as :func:`reduce` does."""
    high, low = _scaled_tail(size, size)
    exponent, excess = _exp_of_square(size, offset, sign=-1.0)
    return exponent, high + fma(high, excess, fma(low, excess, low))


def _scaled_tail(size: Value, held: Value) -> tuple[Value, Value]:
    """erfcx(size) as a sum whose second part is the smaller one.

    Args:
        size: not negative.
        held: the same, or large and finite where that is larger still.
    """
    constants = _CONSTANTS[size.type]
    first, *others = constants.erfcx.coefficients
    s = (constants.centre - held) / (constants.centre + held)
    varying = s * horner(s, others)
    above = varying + first
    above_rest = varying - (above - first)
    below, below_rest = two_sum(size, size.builder.number(size.type, constants.shift))
    inverse = 1.0 / below
    high = above * inverse
    missing = fma(-high, below, above) + fma(-high, below_rest, above_rest)
    return high, missing * inverse


def _exp_of_square(size: Value, offset: int, sign: float) -> tuple[Value, Value]:
    """exp(±size²) as 2ᵏ(1 + excess): k + offset as :func:`reduce` returns it, and the excess."""
    square = size * size
    rest = fma(size, size, -square)
    if sign < 0:
        square, rest = -square, -rest
    exponent, r, error = reduce(square, offset, rest)
    fit = _CONSTANTS[size.type].exp
    return exponent, r + fma(r * r, horner(r, fit.coefficients), error)


def _erf_short(x: Value) -> Value:
    u = fma(x, x, -data.ERF_SHORT_CENTRE)
    y = x * horner(u, data.ERF_SHORT.coefficients)
    one = x.builder.number(F64, 1.0)
    return select(abs(x) > _SHORT_LAST, with_sign_of(one, x), y)


def _erfc_short(x: Value) -> Value:
    # Not of the size that is held: derivatives share this exponential.
    falling = exp(-(x * x), Accuracy.SHORT)
    if x.type is F32:
        tail = short_table.erfcx(abs(x)) * falling
    else:
        size = minimum(abs(x), _SHORT_NOTHING)
        above = horner(size, data.ERFC_SHORT_ABOVE.coefficients)
        below = horner(size, data.ERFC_SHORT_BELOW.coefficients)
        tail = above * falling / below
    return select(x < 0.0, 2.0 - tail, tail)


def _erfcx_short(x: Value) -> Value:
    size = abs(x)
    above = horner(size, data.ERFCX_SHORT_ABOVE.coefficients)
    below = horner(size, data.ERFCX_SHORT_BELOW.coefficients)
    is_far = size > _SHORT_FAR
    tail = select(is_far, _ONE_OVER_SQRT_PI, above) / select(is_far, size, below)
    return select(x < 0.0, fma(exp(x * x, Accuracy.SHORT), 2.0, -tail), tail)
