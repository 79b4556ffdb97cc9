"""The elementary functions of a series, on the whole line.

Each is exact up to the balls' own radii for arguments of any size, including a :class:`Tail`; a
function of an argument next to zero keeps its relative accuracy, and so does the distance of a
saturated function from its limit.
"""

from __future__ import annotations

from flint import arb, arb_series, ctx, fmpq

from gradsmith.truth.series import (
    UNDECIDED,
    UNDEFINED,
    Missing,
    Series,
    Tail,
    add,
    collapse,
    constant,
    div,
    far,
    majorant,
    missing,
    mul,
    near,
    neg,
    power,
    reciprocal,
    sign,
    sub,
    symmetric,
    tail,
    unknown,
    with_constant,
)

_BITS_PER_UNIT = 1.4427  # of an exponent: 1/log(2)


def _is_small(u: Series) -> bool:
    """Whether u is a tail far below 1."""
    return isinstance(u, Tail) and u.scale is not None and far(u.scale[0], 2)


def _like_identity(u: Tail) -> Series:
    """f(u) for small u and any f(z) = z + a₂z² + … with all |aₖ| ≤ 1.

    f(z)/z − 1 has coefficients of at most those of w/(1 − w), w the majorant of z.
    """
    size = majorant(collapse(u))
    if not size[0] < 0.5:
        return UNDECIDED
    relative = 1 + symmetric(majorant(size / (1 - size)))
    return tail(u.scale, u.main * relative, [])


def _resolved(level: arb) -> bool:
    """Whether 1 + exp(level) at the present precision keeps half of its digits of exp(level)."""
    narrow = level.rad() < 1
    return bool(narrow and abs(level) < ctx.prec / (2 * _BITS_PER_UNIT))


def _vanishing(u: Tail) -> Tail:
    """exp(u) for u = −exp(s)·m with s ≥ 64 and m ≥ 2⁻²⁰, as 0 ± something below exp(−2⁶⁴).

    Coefficient k of exp(u) is exp(u₀) times a polynomial of degree k in u₁, u₂, … with positive
    coefficients, so that it is at most exp(u₀)·exp(k·s)·C with C the same polynomial in the
    coefficients of m·exp(s − s₀); and −exp(s)·m + k·s ≤ −2⁶⁴ for k ≤ 64.
    """
    assert u.scale is not None
    relative = with_constant(u.scale, arb(0)).exp() * u.unscaled()
    bound = with_constant(majorant(relative), arb(0)).exp()
    return Tail(constant(-(arb(2) ** 64)), symmetric(majorant(bound)))


def _is_enormous(u: Tail) -> bool:
    return bool(u.scale is not None and u.scale[0] >= 64 and abs(u.unscaled()[0]) > arb(2) ** -20)


def exp(u: Series) -> Series:
    """eᵘ."""
    if isinstance(u, arb_series):
        if near(u[0]):
            return u.exp()
        return Tail(u, constant(1)) if u[0].is_finite() else UNDECIDED
    if isinstance(u, Missing):
        return u
    if u.scale is None:
        assert u.shift is not None
        assert u.rest is not None
        if _resolved(u.shift[0]):
            return exp(u.unscaled())
        return mul(exp(u.main), add(constant(1), _like_identity(Tail(u.shift, u.rest))))
    if _is_small(u):
        return add(constant(1), expm1(u))
    plain = collapse(u)
    if plain[0].is_finite() and not plain[0].contains(0):
        return exp(plain)
    return _vanishing(u) if _is_enormous(u) and sign(u) == -1 else UNDECIDED


def expm1(u: Series) -> Series:
    """eᵘ − 1."""
    if isinstance(u, arb_series) and near(u[0]):
        return with_constant(u.exp(), u[0].expm1())
    if isinstance(u, Tail) and _is_small(u):
        return _like_identity(u)
    return sub(exp(u), constant(1))


def log(u: Series) -> Series:
    """The natural logarithm; −∞ at 0."""
    if isinstance(u, Missing):
        return u
    positive = sign(u)
    if positive != 1:
        if positive == 0 and isinstance(u, arb_series):
            return arb_series([arb.neg_inf(), *unknown()])
        return UNDEFINED if positive == -1 else UNDECIDED
    if isinstance(u, arb_series):
        return u.log()
    level = constant(0) if u.scale is None else u.scale
    if u.rest is None or u.shift is None or not u.main[0] > 0 or _resolved(u.shift[0]):
        return level + u.unscaled().log()
    if not (u.main.length() == 1 and u.main[0] == 1):
        level = level + u.main.log()
    return add(level, _like_identity(Tail(u.shift, u.rest / u.main)))


def log1p(u: Series) -> Series:
    """log(1 + u)."""
    if isinstance(u, arb_series) and u[0] > -1:
        return with_constant((1 + u).log(), u[0].log1p())
    if isinstance(u, Tail) and _is_small(u):
        return _like_identity(u)
    return log(add(constant(1), u))


def sqrt(u: Series) -> Series:
    """The square root."""
    if isinstance(u, Missing):
        return u
    positive = sign(u)
    if positive != 1:
        if positive == 0 and isinstance(u, arb_series):
            return arb_series([arb(0), *unknown()]) if u.length() else u
        return UNDEFINED if positive == -1 else UNDECIDED
    if isinstance(u, arb_series):
        return u.sqrt()
    root = u.unscaled().sqrt()
    return root if u.scale is None else tail(u.scale / 2, root, [])


def pow_(a: Series, b: Series) -> Series:
    """aᵇ: repeated multiplication for a whole number b, else exp(b·log(a))."""
    gone = missing(a, b)
    if gone is not None:
        return gone
    if isinstance(b, arb_series) and not isinstance(a, Missing):
        whole = b[0].unique_fmpz() if b[0].is_integer() else None
        if whole is not None and (abs(whole) <= 4096 or sign(a) == -1):
            if abs(whole) <= 4096:
                result = power(a, int(whole))
            else:  # of a positive number by its logarithm
                size = pow_(neg(a), constant(b[0]))
                result = mul(constant(-1 if int(whole) % 2 else 1), size)
            if b.length() <= 1 or sign(a) == 1:
                return result if b.length() <= 1 else exp(mul(b, log(a)))
            # (−2)³ has a value, but no derivative in the exponent.
            if isinstance(result, arb_series):
                return arb_series([result[0], *unknown()])
        if b.length() == 1 and 2 * b[0] == 1:
            return sqrt(a)
        if sign(a) == 0 and isinstance(a, arb_series):
            return _power_of_zero(a, b)
    return exp(mul(b, log(a)))


def _power_of_zero(a: arb_series, b: arb_series) -> Series:
    """0ᵇ for b > 0: the derivatives are zero up to the last below b."""
    if not b[0] > 0:
        return UNDEFINED if b[0] < 0 else UNDECIDED
    if b.length() > 1:
        return arb_series([arb(0), *unknown()])
    if not a.length():
        return a
    zeros = sum(1 for k in range(ctx.cap) if b[0] > k)
    return arb_series([*[arb(0)] * zeros, *[arb.nan()] * (ctx.cap - zeros)])


def sin(u: Series) -> Series:
    """The sine."""
    if isinstance(u, Tail):
        return _like_identity(u) if _is_small(u) else sin(collapse(u))
    if isinstance(u, Missing) or not u[0].is_finite():
        return missing(u) or UNDECIDED
    return u.sin()


def cos(u: Series) -> Series:
    """The cosine."""
    if isinstance(u, Missing):
        return u
    u = collapse(u)
    return u.cos() if u[0].is_finite() else UNDECIDED


def tan(u: Series) -> Series:
    """The tangent."""
    return div(sin(u), cos(u))


def _half() -> arb_series:
    return constant(arb(fmpq(1, 2)))


def sinh(u: Series) -> Series:
    """(eᵘ − e⁻ᵘ)/2."""
    if isinstance(u, Tail) and _is_small(u):
        return _like_identity(u)
    result = mul(sub(exp(u), exp(neg(u))), _half())
    if isinstance(u, arb_series) and isinstance(result, arb_series):
        return with_constant(result, u[0].sinh())
    return result


def cosh(u: Series) -> Series:
    """(eᵘ + e⁻ᵘ)/2."""
    result = mul(add(exp(u), exp(neg(u))), _half())
    if isinstance(u, arb_series) and isinstance(result, arb_series):
        return with_constant(result, u[0].cosh())
    return result


def tanh(u: Series) -> Series:
    """±(1 − 2e/(1 + e)) with e = exp(−2|u|)."""
    if isinstance(u, Missing):
        return u
    if isinstance(u, arb_series) and near(2 * u[0]):
        return _tanh_near(u)
    if isinstance(u, Tail) and _is_small(u):
        return _like_identity(u)
    side = sign(u)
    if side is None:
        return UNDECIDED
    small = exp(mul(constant(-2 * side), u))
    if small is UNDECIDED and isinstance(u, Tail) and _is_enormous(u):
        small = _vanishing(Tail(u.scale, -u.unscaled()))
    distance = div(mul(constant(2), small), add(constant(1), small))
    return mul(constant(side), sub(constant(1), distance))


def _tanh_near(u: arb_series) -> arb_series:
    side = -1 if u[0].mid() < 0 else 1
    # 2/(1 + e) − 1 has e once: its derivatives keep their relative accuracy.
    y = side * (2 / (1 + (-2 * side * u).exp()))
    return with_constant(y, u[0].tanh())


def atan(u: Series) -> Series:
    """The inverse tangent."""
    if isinstance(u, Missing):
        return u
    if isinstance(u, Tail) and _is_small(u):
        return _like_identity(u)
    if isinstance(u, Tail):
        enormous = u.scale is not None and far(-u.scale[0], 2)
        u = u if enormous else collapse(u)
    side = sign(u)
    if side is not None and (isinstance(u, Tail) or abs(u[0]) > 8):
        return sub(constant(side * arb.pi() / 2), atan(reciprocal(u)))
    if isinstance(u, Tail) or not u[0].is_finite():
        return UNDECIDED
    return u.atan()


def asinh(u: Series) -> Series:
    """The inverse hyperbolic sine, ∫ u′/√(1 + u²)."""
    if isinstance(u, Missing):
        return u
    if isinstance(u, Tail):
        if _is_small(u):
            return _like_identity(u)
        side = sign(u)
        if side is None:
            return UNDECIDED
        size = mul(constant(side), u)
        root = sqrt(add(constant(1), power(size, 2)))
        return mul(constant(side), log(add(size, root)))
    if not u[0].is_finite():
        return UNDECIDED
    slope = u.derivative() * (1 + u * u).rsqrt()
    return with_constant(slope.integral(), u[0].asinh())


def erf(u: Series) -> Series:
    """The error function."""
    if isinstance(u, Missing):
        return u
    if isinstance(u, Tail) and _is_small(u):
        return mul(constant(2 / arb.pi().sqrt()), _like_identity(u))
    u = collapse(u)
    if _saturates(u[0]):
        return sub(constant(1), erfc(u)) if u[0] > 0 else sub(erfc(-u), constant(1))
    return u.erf() if u[0].is_finite() else UNDECIDED


def erfc(u: Series) -> Series:
    """1 − erf(u)."""
    if isinstance(u, Missing):
        return u
    if isinstance(u, Tail) and _is_small(u):
        return sub(constant(1), erf(u))
    u = collapse(u)
    if _saturates(u[0]):
        return Tail(-u * u, _erfcx(u)) if u[0] > 0 else sub(constant(2), erfc(-u))
    return u.erfc() if u[0].is_finite() else UNDECIDED


def _saturates(at: arb) -> bool:
    """Whether erfc(|u|) keeps its exponent apart: over an interval earlier than at a point."""
    return bool(abs(at) > (16 if _is_narrow(at) else 4))


def _is_narrow(at: arb) -> bool:
    return bool(at.rad() < abs(at.mid()) * arb(2) ** -20)


def _erfcx(u: arb_series) -> arb_series:
    """exp(u²)·erfc(u) for u > 4.

    As (2/√π) ∫₀^∞ exp(−t² − 2ut) dt its coefficient j in u is (−1)ʲ/j! times the same integral with
    (2t)ʲ; since 1 − t² ≤ exp(−t²) ≤ 1 it lies between 1/(√π uʲ⁺¹) and (1 − (j+1)(j+2)/(4u²)) of it.
    """
    at = u[0]
    if _is_narrow(at) and at < arb(2) ** (ctx.prec // 4):
        return u.erfc() * (u * u).exp()
    low, high = at.lower(), at.upper()
    outer = []
    for j in range(ctx.cap):
        full = arb(1).union(1 - (j + 1) * (j + 2) / (4 * low * low))
        # A ball's power is much wider than the powers of its ends.
        power_of_at = (low ** (j + 1)).union(high ** (j + 1))
        outer.append((-1) ** j * full / (arb.pi().sqrt() * power_of_at))
    inner = with_constant(u, arb(0))
    result = constant(0)
    for coefficient in reversed(outer):
        result = result * inner + coefficient
    return result
