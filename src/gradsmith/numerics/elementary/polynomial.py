"""A polynomial with floating-point coefficients, and the instructions that evaluate it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradsmith.numerics.builder import Operand, Value, fma

_LONG = 7  # coefficients


@dataclass(frozen=True, slots=True)
class Fit:
    """Coefficients of an approximation, with what is known of its error.

    Attributes:
        coefficients: from the lowest power up; each is a number of the format it was made for.
        low: where the interval of validity begins.
        high: where it ends.
        error: the largest relative error on the interval that Sollya found, of the whole
            approximation that the comment above the fit names.
    """

    coefficients: tuple[float, ...]
    low: float
    high: float
    error: float


def horner(x: Value, coefficients: Sequence[Operand]) -> Value:
    """c₀ + c₁x + c₂x² + … by Horner's rule: one fused multiply-add for each coefficient.

    The fewest instructions there can be, of which each waits for the last.
    """
    *rest, total = coefficients
    result = total if isinstance(total, Value) else x.builder.number(x.type, total)
    for coefficient in reversed(rest):
        result = fma(result, x, coefficient)
    return result


def by_squares(x: Value, coefficients: Sequence[Operand]) -> Value:
    """The same as p(x²) + x·q(x²), where two chains of half the length go side by side.

    A processor looks only so far ahead: from seven coefficients on it finds too little else to do
    while one chain waits. x² is one instruction more, unless it is there.
    """
    if len(coefficients) < _LONG:
        return horner(x, coefficients)
    square = x * x
    return fma(x, horner(square, coefficients[1::2]), horner(square, coefficients[::2]))
