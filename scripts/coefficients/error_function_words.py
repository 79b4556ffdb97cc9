"""Makes the table that erfc in two words looks up: 1/erfcx(x), piece by piece.

``generate.py`` runs this; see ``minimax.py``. Places where numbers of the format come close to the
values wanted are searched for (Gal: "Computing elementary functions: a new approach for achieving
high accuracy and good performance", LNCS 235, 1986), so that the two coefficients that weigh
most need no second word.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from error_function import erfcx
from minimax import CLAIM, F32, hexadecimal, minimax, number, rounded, worst
from mpmath import mp, mpf
from text import fits, parts

DEGREE = 5
# The exponent of SCALE·x² + SHIFT and its next digit say which piece: pieces are so wide that the
# polynomials are about equally close, and the last one ends where exp(−x²) is less than 2⁻¹⁹¹.
SCALE, SHIFT = mpf(15) / 16, mpf(11) / 16
FIRST, LAST = mpf(1) / 2, mpf(128)
TRIED = 1 << 12  # places on either side of the middle


def inverse(x: mpf) -> mpf:
    """1/erfcx(x), which is nearly straight from x = 2 on."""
    return 1 / erfcx(x)


def ends() -> list[mpf]:
    """Where pieces begin, and where the last one ends."""
    found, power = [mpf(0)], FIRST
    while power < LAST:
        for count in (power * 3 / 2, power * 2):
            found.append(mp.sqrt((count - SHIFT) / SCALE))
        power *= 2
    return found


def shifted(coefficients: list[mpf], by: mpf) -> list[mpf]:
    """The polynomial of t + by, from the lowest power up."""
    found = list(coefficients)
    for first in range(len(found) - 1):
        for place in range(len(found) - 2, first - 1, -1):
            found[place] += by * found[place + 1]
    return found


def piece(low: mpf, high: mpf) -> tuple[mpf, list[mpf]]:
    """A place and the coefficients of a polynomial about it.

    Differences of numbers of the format from the place are exact. Only where numbers are tiny they
    are rounded to multiples of 2⁻³⁰, since the place is small.
    """
    middle = (low + high) / 2
    fit = minimax(lambda t: inverse(middle + t), low - middle, high - middle, DEGREE).above
    if low == 0:
        start, unit = mpf(1) / 80, mpf(2) ** -26
    else:
        start, unit = middle, mpf(2) ** (int(mp.floor(mp.log(high, 2))) + 1 - F32)
    reach = max(high - start, start - low)
    best, place = mp.inf, start
    with mp.workprec(70):
        for step in range(-TRIED, TRIED + 1):
            tried = unit * (mp.nint(start / unit) + step)
            value, slope = mp.polyval(fit[::-1], tried - middle, derivative=1)
            lost = abs(value - rounded(value, F32)) + reach * abs(slope - rounded(slope, F32))
            if lost < best:
                best, place = lost, tried
    return place, [rounded(c, F32) for c in shifted(fit, place - middle)]


def entries() -> list[str]:
    """The text of each constant."""
    mp.dps = 50
    places, rows = [], []
    for low, high in pairwise(ends()):
        place, coefficients = piece(low, high)

        def fit(x: mpf, place: mpf = place, kept: Sequence[mpf] = coefficients) -> mpf:
            return mp.polyval(kept[::-1], x - place)

        bounds = (hexadecimal(low), hexadecimal(high), hexadecimal(worst(inverse, fit, low, high)))
        places.append(hexadecimal(place))
        rows.append((map(hexadecimal, coefficients), *bounds))
    comment = "1/erfcx(x) = c0 + c1 r + ..., r = x - place"
    return [
        number("SCALE", "First digits of SCALE x^2 + SHIFT say which of the intervals.", SCALE),
        number("SHIFT", "See above.", SHIFT),
        parts("PLACES", "In each of the intervals below.", places),
        fits("ERFCX_INVERSE", comment, CLAIM, rows),
    ]
