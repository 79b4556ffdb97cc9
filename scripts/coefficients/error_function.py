"""Makes the coefficients of the error functions.

``generate.py`` runs this; see ``minimax.py``.
"""

from __future__ import annotations

from minimax import F32, F64, minimax, number, polynomial, rounded, worst, written
from mpmath import mp, mpf


def erfcx(x: mpf) -> mpf:
    """exp(x²)·erfc(x) for x ≥ 0."""
    if x < 100:
        with mp.extraprec(40):
            return mp.exp(x * x) * mp.erfc(x)
    term = total = mpf(1)
    for n in range(1, 12):  # the next term of this asymptotic series is below 10⁻³⁸
        term *= -(2 * n - 1) / (2 * x * x)
        total += term
    return total / (x * mp.sqrt(mp.pi))


def erf_over_x(z: mpf) -> mpf:
    """erf(x)/x for z = x²."""
    return mp.erf(mp.sqrt(z)) / mp.sqrt(z) if z > 0 else 2 / mp.sqrt(mp.pi)


def odd(name: str, degree: int, high: mpf, digits: int) -> str:
    """erf(x) = x + x·P(x²) for |x| ≤ high."""
    comment = "erf(x) = x + x (c0 + c1 x^2 + c2 x^4 + ...), in terms of x^2"
    interval = mpf(0), high**2
    return polynomial(name, comment, erf_over_x, interval, degree, digits, (mpf(1),))


def centred(name: str, degree: int, centre: mpf) -> str:
    """erf(x) = x·P(x² − centre) for x² ≤ 2·centre."""
    comment = f"erf(x) = x (c0 + c1 u + ...), u = x^2 - {name}_CENTRE"
    return number(f"{name}_CENTRE", "In the middle of the x^2 below.", centre) + polynomial(
        name, comment, lambda u: erf_over_x(u + centre), (-centre, centre), degree, F64
    )


def flattened(name: str, degree: int, centre: mpf, shift: mpf, digits: int) -> str:
    """erfcx(x) = P(s)/(x + shift) with s = (centre − x)/(centre + x).

    A shift of about √π/2 makes the numerator flat at 0, where errors of s would weigh most. Centre
    and shift are chosen among short numbers so that (centre + shift)·erfcx(centre), from which the
    first coefficient hardly differs, is close to a number of the format.
    """

    def f(s: mpf) -> mpf:
        if s <= -1:
            return 1 / mp.sqrt(mp.pi)
        x = centre * (1 - s) / (1 + s)
        return (x + shift) * erfcx(x)

    comment = f"(x + {name}_SHIFT) erfcx(x) = c0 + c1 s + ..., s = (CENTRE - x)/(CENTRE + x)"
    return (
        number(f"{name}_CENTRE", "Where s below is 0.", centre)
        + number(f"{name}_SHIFT", "Of the denominator.", shift)
        + polynomial(name, comment, f, (mpf(-1), mpf(1)), degree, digits)
    )


def divided(name: str, degree: int, high: mpf) -> str:
    """erfcx(x) = N(x)/D(x) for 0 ≤ x ≤ high, with degrees ``degree`` and ``degree + 1``.

    Found in t = (x − centre)/(x + centre), which spreads the places evenly.
    """
    centre = mpf(2)
    last = (high - centre) / (high + centre) if mp.isfinite(high) else mpf(1)

    def f(t: mpf) -> mpf:
        if t == 1:
            return 1 / (mp.sqrt(mp.pi) * centre)
        x = centre * (1 + t) / (1 - t)
        return erfcx(x) * (x + centre) / centre

    fit = minimax(f, mpf(-1), last, degree, degree + 1)
    above = [centre * c for c in unfolded(fit.above, centre)]
    below = unfolded(fit.below, centre)
    kept = [[rounded(c / below[-1], F64) for c in part] for part in (above, below)]

    def g(t: mpf) -> mpf:
        if t == 1:
            return kept[0][-1] / centre
        x = centre * (1 + t) / (1 - t)
        n, d = (mp.polyval(part[::-1], x) for part in kept)
        return n / d * (x + centre) / centre

    error = worst(f, g, mpf(-1), last)
    texts = ("the numerator of erfcx(x), lowest power first", "its denominator")
    return "".join(
        written(f"{name}_{which}", comment, part, mpf(0), high, error)
        for which, comment, part in zip(("ABOVE", "BELOW"), texts, kept, strict=True)
    )


def unfolded(coefficients: list[mpf], centre: mpf) -> list[mpf]:
    """Σ cⱼ tʲ times (x + centre)ⁿ with t = (x − centre)/(x + centre), in powers of x."""
    degree = len(coefficients) - 1
    total = [mpf(0)] * (degree + 1)
    for j, c in enumerate(coefficients):
        part = [c]
        for root in [centre] * j + [-centre] * (degree - j):
            shifted, scaled = [mpf(0), *part], [-root * p for p in part] + [mpf(0)]
            part = [a + b for a, b in zip(shifted, scaled, strict=True)]
        total = [a + b for a, b in zip(total, part, strict=True)]
    return total


def entries() -> list[str]:
    """The text of each fit and constant."""
    mp.dps = 50
    return [
        odd("ERF_F64", 11, mpf("0.75"), F64),
        odd("ERF_F32", 5, mpf("0.75"), F32),
        centred("ERF_SHORT", 22, mpf("12.25")),
        flattened("ERFCX_F64", 24, mpf(259) / 64, mpf(57) / 64, F64),
        flattened("ERFCX_F32", 11, mpf(163) / 64, mpf(29) / 32, F32),
        divided("ERFC_SHORT", 5, mpf("11.875")),
        divided("ERFCX_SHORT", 6, mpf("inf")),
    ]
