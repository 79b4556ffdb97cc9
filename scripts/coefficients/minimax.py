"""Minimax approximations by polynomials and quotients, with mpmath's arithmetic.

For functions that Sollya cannot take as they stand: it has no rational minimax, and takes minutes
for odd polynomials and for exp(x²)·erfc(x). By the exchange algorithm for rational functions
(Ralston, "Rational Chebyshev approximation by Remes' algorithms", Numerische Mathematik 7, 1965).
The coefficients of a polynomial are then rounded together, to a close point of the lattice of all
polynomials with coefficients of the format (Brisebarre, Chevillard, "Efficient polynomial
L-infinity approximations", ARITH 2007). The error that a module states is that of the rounded
coefficients, the largest on a fine grid.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flint import fmpz_mat
from mpmath import mp, mpf
from text import fit as fit_text
from text import number as number_text

CLAIM = "Largest relative error found: {}."
F64, F32 = 53, 24  # digits of the formats
GRID = 1200  # places at which the exchange looks for the largest errors
FINE = 3001  # places at which the rounded coefficients are judged

Real = Callable[[mpf], mpf]


@dataclass(frozen=True, slots=True)
class Quotient:
    """A numerator and a denominator, from the lowest power up; the second begins with 1."""

    above: list[mpf]
    below: list[mpf]

    def __call__(self, t: mpf) -> mpf:
        """The value at t."""
        return mp.polyval(self.above[::-1], t) / mp.polyval(self.below[::-1], t)


def minimax(
    f: Real, low: mpf, high: mpf, above: int, below: int = 0, weight: Real | None = None
) -> Quotient:
    """The quotient of polynomials of these degrees closest to f on the interval.

    Args:
        f: what to approximate.
        low: where the interval begins.
        high: where it ends.
        above: the degree of the numerator.
        below: the degree of the denominator.
        weight: by what errors are divided; f if left out.

    Raises:
        RuntimeError: the errors do not alternate often enough, or the exchange does not end.
    """
    count = above + below + 2
    grid = [(low + high - (high - low) * mp.cos(mp.pi * i / (GRID - 1))) / 2 for i in range(GRID)]
    wanted = [f(t) for t in grid]
    weights = [weight(t) for t in grid] if weight else wanted
    places = [round(i * (GRID - 1) / (count - 1)) for i in range(count)]
    for _ in range(40):
        chosen = [(grid[i], wanted[i], weights[i]) for i in places]
        fit, level = levelled(chosen, above, below)
        errors = [(fit(t) - y) / w for t, y, w in zip(grid, wanted, weights, strict=True)]
        if max(map(abs, errors)) < abs(level) * mpf("1.005"):
            return fit
        places = alternation(errors, count)
    raise RuntimeError(f"the exchange of degrees {above} and {below} does not come to rest")


def levelled(points: list[tuple[mpf, mpf, mpf]], above: int, below: int) -> tuple[Quotient, mpf]:
    """The quotient whose errors at these points are equal but for alternating signs.

    Args:
        points: place, value and weight of each.
        above: the degree of the numerator.
        below: the degree of the denominator.
    """
    count = len(points)
    level = mpf(0)
    for _ in range(60):
        matrix, right = mp.matrix(count, count), mp.matrix(count, 1)
        for i, (t, value, weight) in enumerate(points):
            signed = (-1) ** i * weight
            for j in range(above + 1):
                matrix[i, j] = t**j
            for j in range(1, below + 1):
                matrix[i, above + j] = -(value + signed * level) * t**j
            matrix[i, count - 1] = -signed
            right[i] = value
        solved = list(mp.lu_solve(matrix, right))
        before, level = level, solved[-1]
        if not below or abs(level - before) < abs(level) * mpf(10) ** -10:
            break
    return Quotient(solved[: above + 1], [mpf(1), *solved[above + 1 : -1]]), level


def alternation(errors: list[mpf], count: int) -> list[int]:
    """The places of the largest errors of alternating sign, ``count`` of them."""
    found: list[int] = []
    start = 0
    for i in range(1, len(errors) + 1):
        if i == len(errors) or (errors[i] > 0) != (errors[i - 1] > 0):
            found.append(max(range(start, i), key=lambda j: abs(errors[j])))
            start = i
    if len(found) < count:
        raise RuntimeError(f"the errors alternate {len(found)} times, {count} are needed")
    while len(found) > count:
        found.pop(0 if abs(errors[found[0]]) < abs(errors[found[-1]]) else -1)
    return found


def rounded(value: mpf, digits: int) -> mpf:
    """The nearest number of so many digits."""
    with mp.workprec(digits):
        return +value


def rounded_together(
    coefficients: list[mpf], digits: int, low: mpf, high: mpf, weight: Real
) -> list[mpf]:
    """Numbers of the format whose polynomial is close to the given one all over the interval.

    Columns of the lattice are the powers, in units of the last place of each coefficient, at as
    many places as there are coefficients; Babai's nearest plane on a reduced basis.

    Args:
        coefficients: of the polynomial, from the lowest power up.
        digits: of the format.
        low: where the interval begins.
        high: where it ends.
        weight: by what errors are divided.
    """
    count = len(coefficients)
    angles = [mp.pi * (2 * i + 1) / (2 * count) for i in range(count)]
    places = [(low + high - (high - low) * mp.cos(angle)) / 2 for angle in angles]
    values = [mp.polyval(coefficients[::-1], t) for t in places]
    weights = [1 / weight(t) for t in places]
    units = [mpf(2) ** (int(mp.floor(mp.log(abs(c), 2))) + 1 - digits) for c in coefficients]
    scale = mpf(2) ** (2 * digits + 40)
    rows = [
        [int(mp.nint(scale * unit * t**j * w)) for t, w in zip(places, weights, strict=True)]
        for j, unit in enumerate(units)
    ]
    reduced = fmpz_mat(rows).lll()
    basis = [[mpf(int(reduced[i, j])) for j in range(count)] for i in range(count)]
    rest = [scale * value * w for value, w in zip(values, weights, strict=True)]
    target = list(rest)
    orthogonal: list[list[mpf]] = []
    for row in basis:
        for other in orthogonal:
            factor = mp.fdot(row, other) / mp.fdot(other, other)
            row = [a - factor * b for a, b in zip(row, other, strict=True)]
        orthogonal.append(row)
    for row, direction in zip(reversed(basis), reversed(orthogonal), strict=True):
        steps = mp.nint(mp.fdot(rest, direction) / mp.fdot(direction, direction))
        rest = [a - steps * b for a, b in zip(rest, row, strict=True)]
    close = mp.matrix([a - b for a, b in zip(target, rest, strict=True)])
    powers = mp.matrix(rows).T
    return [
        mp.nint(multiple) * unit
        for multiple, unit in zip(mp.lu_solve(powers, close), units, strict=True)
    ]


def worst(f: Real, g: Real, low: mpf, high: mpf) -> float:
    """The largest relative error of g as an approximation of f on a fine grid, rounded up."""
    step = mp.pi / (FINE - 1)
    ts = ((low + high - (high - low) * mp.cos(step * i)) / 2 for i in range(FINE))
    return float(max(abs(g(t) / f(t) - 1) for t in ts) * mpf("1.001"))


def hexadecimal(value: mpf | float) -> str:
    """The nearest float64, as Python writes it exactly."""
    return float(value).hex()


def written(
    name: str, comment: str, coefficients: list[mpf], low: mpf, high: mpf, error: float
) -> str:
    """The text of a fit that is known."""
    ends = hexadecimal(low), hexadecimal(high), hexadecimal(error)
    return fit_text(name, comment, CLAIM, map(hexadecimal, coefficients), *ends)


def number(name: str, comment: str, value: mpf) -> str:
    """The text of a constant."""
    return number_text(name, comment, repr(float(value)))


def polynomial(
    name: str,
    comment: str,
    f: Real,
    interval: tuple[mpf, mpf],
    degree: int,
    digits: int,
    given: tuple[mpf, ...] = (),
    lowest: int = 0,
) -> str:
    """The text of a fit of f(t) = given₀ + given₁t + … + tᵏ(c₀ + c₁t + …), k being ``lowest``.

    Args:
        name: of the fit.
        comment: what it approximates.
        f: not 0 on the interval.
        interval: without 0 where k > 0.
        degree: of c₀ + c₁t + ….
        digits: of the format of the coefficients.
        given: coefficients that are not to be found.
        lowest: see above.
    """

    def rest(t: mpf) -> mpf:
        return (f(t) - mp.polyval(given[::-1], t)) / t**lowest

    def weight(t: mpf) -> mpf:
        return f(t) / t**lowest

    found = minimax(rest, *interval, degree, weight=weight).above
    kept = rounded_together(found, digits, *interval, weight)

    def whole(t: mpf) -> mpf:
        return mp.polyval(given[::-1], t) + t**lowest * mp.polyval(kept[::-1], t)

    return written(name, comment, kept, *interval, worst(f, whole, *interval))
