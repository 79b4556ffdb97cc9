"""Makes the coefficients of sine, cosine and inverse tangent.

``generate.py`` runs this; see ``minimax.py``.
"""

from __future__ import annotations

from collections.abc import Callable

from minimax import F32, F64, number, polynomial, rounded
from mpmath import mp, mpf

LOW = mpf(2) ** -20  # where intervals begin that cannot begin at 0


def over_x(f: Callable[[mpf], mpf], slope: mpf) -> Callable[[mpf], mpf]:
    """f(x)/x in terms of z = x²; f is odd and has that slope at 0."""
    return lambda z: f(mp.sqrt(z)) / mp.sqrt(z) if z else slope


def parts(name: str, comment: str, value: mpf, digits: int) -> str:
    """Two numbers of the format whose sum is the value."""
    first = rounded(value, digits)
    return number(f"{name}_HIGH", comment, first) + number(
        f"{name}_LOW", "What that lacks.", rounded(value - first, digits)
    )


def entries() -> list[str]:
    """The text of each fit and constant."""
    mp.dps = 50
    one = mpf(1)
    # Angles are reduced to ±π/4, and for SHORT to ±π/2 or ±π/4, up to a rounding error.
    eighth = (mp.pi / 4 * (1 + mpf(2) ** -20)) ** 2
    half = (mpf("0.5") * (1 + mpf(2) ** -20)) ** 2
    sin, cos, atan = over_x(mp.sin, one), lambda z: mp.cos(mp.sqrt(z)), over_x(mp.atan, one)
    sin_pi = over_x(lambda t: mp.sin(mp.pi * t), mp.pi)
    sin_quarter = over_x(lambda t: mp.sin(mp.pi / 2 * t), mp.pi / 2)
    sine = "sin(r) = r + r^3 (c0 + c1 r^2 + ...), in terms of r^2"
    cosine = "cos(r) = 1 - r^2/2 + r^4 (c0 + c1 r^2 + ...), in terms of r^2"
    inverse = "atan(r) = r + r^3 (c0 + c1 r^2 + ...), in terms of r^2"
    return [
        polynomial("SIN_F64", sine, sin, (LOW, eighth), 5, F64, (one,), 1),
        polynomial("COS_F64", cosine, cos, (LOW, eighth), 5, F64, (one, -one / 2), 2),
        polynomial("SIN_F32", sine, sin, (LOW, eighth), 2, F32, (one,), 1),
        polynomial("COS_F32", cosine, cos, (LOW, eighth), 2, F32, (one, -one / 2), 2),
        polynomial(
            "SIN_SHORT",
            "sin(pi t) = t (c0 + c1 t^2 + ...), in terms of t^2",
            sin_pi,
            (mpf(0), half),
            6,
            F64,
        ),
        polynomial(
            "SIN_QUARTER_SHORT",
            "sin(pi/2 t) = t (c0 + c1 t^2 + ...), in terms of t^2",
            sin_quarter,
            (mpf(0), half),
            5,
            F64,
        ),
        polynomial(
            "COS_QUARTER_SHORT",
            "cos(pi/2 t) = c0 + c1 t^2 + ..., in terms of t^2",
            lambda z: mp.cos(mp.pi / 2 * mp.sqrt(z)),
            (mpf(0), half),
            5,
            F64,
        ),
        polynomial("ATAN_F64", inverse, atan, (LOW, one), 19, F64, (one,), 1),
        polynomial("ATAN_F32", inverse, atan, (LOW, one), 8, F32, (one,), 1),
        polynomial(
            "ATAN_SHORT",
            "atan(r) = r (c0 + c1 r^2 + ...), in terms of r^2",
            atan,
            (mpf(0), one),
            13,
            F64,
        ),
        parts("HALF_PI_F64", "pi/2 to 53 digits.", mp.pi / 2, F64),
        parts("HALF_PI_F32", "pi/2 to 24 digits.", mp.pi / 2, F32),
    ]
