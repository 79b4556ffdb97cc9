"""x = k·log 2 + r with an integer k and |r| ≤ log(2)/2, and powers 2ᵏ made of bits.

No instruction converts between numbers and integers. Adding 1.5·2⁵² (of float32: 1.5·2²³) to a
number rounds it to an integer and leaves that in its lowest bits, in two's complement; shifted up
to where the exponent stands, they are a power of two. r is found in steps (Cody, Waite: "Software
Manual for the Elementary Functions", 1980, chapter 6): with a first part of log 2 whose products
with k are exact, then with the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradsmith.numerics.builder import Value, bits, fma, unsigned_shift
from gradsmith.numerics.elementary.coefficients import exponential as data
from gradsmith.numerics.program import F32, F64, Type


@dataclass(frozen=True, slots=True)
class Layout:
    """Where a format keeps what, and its constants of the reduction.

    Attributes:
        places: stored digits of the significand, below the exponent.
        bias: what is added to the exponent.
        log2_e: 1/log 2.
        ln2: log 2 in two parts.
    """

    places: int
    bias: int
    log2_e: float
    ln2: tuple[float, float]

    @property
    def shifter(self) -> float:
        """The number that, added to a smaller one, rounds it to an integer."""
        return 1.5 * 2.0**self.places


LAYOUTS: dict[Type, Layout] = {
    F64: Layout(52, 1023, data.LOG2_E_F64, data.LN2_F64),
    F32: Layout(23, 127, data.LOG2_E_F32, data.LN2_F32),
}


def power_of_two(exponent: Value) -> Value:
    """2ᵏ, of an integer with k + bias in its lowest bits: 12 of I64, 9 of I32.

    0 for k = −bias, and +∞ for the k after the largest.
    """
    return bits(exponent << LAYOUTS[exponent.type.same_size_integer].places)


def reduce(x: Value, offset: int, rest: Value | None = None) -> tuple[Value, Value, Value]:
    """k, r and what r lacks, of x + rest.

    Args:
        x: of moderate size: k must fit into the digits above.
        offset: is added to k.
        rest: small beside 1 wherever it matters.

    Returns:
        An integer that holds k + offset in its lowest bits, r as a number, and the difference
        between the exact r and that number.
    """
    layout = LAYOUTS[x.type]
    shifted, k = _multiple(x, offset)
    high, low = layout.ln2
    first = fma(k, -high, x)  # exact: x and the product are close, and both are multiples of 2⁻⁴³
    second = k * -low if rest is None else fma(k, -low, rest)
    r = first + second
    return bits(shifted), r, (first - r) + second


def reduce_quickly(x: Value, offset: int) -> tuple[Value, Value]:
    """The same k and r as of :func:`reduce`, with an absolute error of some 2⁻⁵³·k in r."""
    shifted, k = _multiple(x, offset)
    return bits(shifted), fma(k, -data.LN2_SHORT, x)


def _multiple(x: Value, offset: int) -> tuple[Value, Value]:
    layout = LAYOUTS[x.type]
    shifter = layout.shifter + offset
    shifted = fma(x, layout.log2_e, shifter)
    return shifted, shifted - shifter


def scaled_in_steps(y: Value, exponent: Value) -> Value:
    """y·2ᵏ for any k from twice the smallest exponent to twice the largest, rounded once.

    Args:
        y: of size about 1.
        exponent: k + 2·bias in its lowest bits.
    """
    half = unsigned_shift(exponent, 1)  # the bits above are those of a positive number
    return y * power_of_two(half) * power_of_two(exponent - half)
