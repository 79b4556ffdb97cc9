"""``Piece``: the exact values over a range of floats, to within a proven margin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["polynomial", "zero", "overflow", "undefined", "points"]

ROUNDOFF = 2.0**-53


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Piece:
    """What is known of the exact values v(x) at a range of floats of one sign.

    Attributes:
        sign: of the inputs, 1 or −1.
        first_bits: the smallest magnitude, as a bit pattern without the sign.
        last_bits: the largest, inclusive.
        kind: ``polynomial``: |v(x) − reference(x)| ≤ margin. ``zero``: the same with the reference
            0, identically zero where the margin is 0. ``overflow``: v rounds to an infinity.
            ``undefined``: there is no value. ``points``: nothing is known; ask the oracle.
        centre: c of the polynomial Σ pₖ·((x − c)/s)ᵏ.
        scale: s, a power of two.
        coefficients: p₀, p₁, …
        margin: absolute, with the rounding errors of :meth:`reference` counted in.
        unit: the ULP of the format at the exact values of the piece.
        unit_exact: if not, the values are within a few margins of a power of two, and ``unit`` is
            that of the numbers below it, so that an error in units may come out twice too large.
        value_sign: the sign of all values, which a zero that they round to has; 0 if not known.
    """

    sign: int
    first_bits: int
    last_bits: int
    kind: Kind
    centre: float = 0.0
    scale: float = 1.0
    coefficients: Floats = field(default_factory=lambda: np.zeros(0))
    margin: float = 0.0
    unit: float = 0.0
    unit_exact: bool = True
    value_sign: int = 0

    def __len__(self) -> int:
        return self.last_bits - self.first_bits + 1

    def reference(self, x: Floats) -> Floats:
        """The exact values at inputs of the piece, to within ``margin``.

        Args:
            x: float64, blocks of about 2¹⁵ numbers being the fastest.

        Returns:
            float64: ±0 with the sign of the values where they are known to be next to zero, ±∞
            where they round to it, NaN where there is none or it is not known.
        """
        if self.kind == "polynomial":
            return horner(self.coefficients, (x - self.centre) * (1 / self.scale))
        if self.kind == "zero":
            return np.full_like(x, np.copysign(0.0, self.value_sign))
        return np.full_like(x, self.value_sign * np.inf if self.kind == "overflow" else np.nan)


def horner(coefficients: Floats, t: Floats) -> Floats:
    """Σ coefficients[k]·tᵏ."""
    if len(coefficients) == 1:
        return np.full_like(t, coefficients[0])
    result: Floats = t * coefficients[-1]
    for coefficient in coefficients[-2:0:-1]:
        result += coefficient
        result *= t
    result += coefficients[0]
    return result


def horner_error(coefficients: Floats, reach: float) -> float:
    """A bound on what rounding makes of :func:`horner` at t = (x − c)/s with |t| ≤ ``reach``.

    A coefficient pₖ takes part in k products with t, each of which and each t is rounded (x − c is
    not always exact, the division by a power of two is), and in k + 1 sums: its share of the error
    is at most |pₖ||t|ᵏ·γ(3k + 1), with γ(n) = n·u/(1 − n·u), u = 2⁻⁵³. The last term covers
    products that underflow.
    """
    sizes = np.abs(coefficients) * reach ** np.arange(len(coefficients))
    count = 3.0 * np.arange(len(coefficients)) + 1
    bound = float((sizes * count).sum()) * ROUNDOFF * (1 + 1e-9)
    return 0.0 if len(coefficients) == 1 else bound + 2.0**-1000
