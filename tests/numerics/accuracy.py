"""The error of a float64 evaluation against an exact value, in units in the last place."""

from __future__ import annotations

import math
from collections.abc import Iterable
from fractions import Fraction

import numpy as np
from flint import arb

from gradsmith.formula.expression import Expr
from gradsmith.numerics.interpret import Array, interpret
from tests.calculus.oracle import Real, as_fraction

LOST = 2.0**53
SMALLEST_NORMAL = 2.0**-1022


def computed(root: Expr, **point: float) -> float:
    with np.errstate(all="ignore"):
        return float(interpret(root, {name: np.array([x]) for name, x in point.items()})[0])


def ulp(exact: Fraction) -> Fraction:
    """The spacing of float64 at ``exact``: exact for numbers between two powers of two."""
    exponent = math.frexp(float(exact))[1] - 53 if exact else -1074
    return Fraction(2) ** max(exponent, -1074)


def float32_errors(values: Array, trues: Iterable[arb]) -> Array:
    """In ULP of float32; 0 where value and exact value are both beyond its range."""
    found = []
    for value, true in zip(values.astype(np.float64).tolist(), trues, strict=True):
        size = abs(float(true.mid()))
        unit = 2.0 ** max(math.frexp(size)[1] - 24, -149)
        overflows = size >= 2.0**128 and math.isinf(value) and value * true.mid() > 0
        found.append(0.0 if overflows else abs(float((true - value).mid() / unit)))
    return np.array(found)


def error_in_ulp(value: float, exact: Real) -> float:
    """|value − exact| in ULP; :data:`LOST` for a wrong zero, infinity or NaN.

    Beyond the range of float64 an infinity of the right sign is exact.
    """
    true = as_fraction(exact)
    if abs(true) >= Fraction(2) ** 1024:
        return 0.0 if value == (math.inf if true > 0 else -math.inf) else LOST
    if not math.isfinite(value) or (value == 0 and abs(true) > Fraction(2) ** -1075):
        return LOST
    return min(float(abs(Fraction(value) - true) / ulp(true)), LOST)
