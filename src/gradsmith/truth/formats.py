"""Floating-point formats as ranges of bit patterns."""

from __future__ import annotations

from dataclasses import dataclass
from math import frexp, ldexp

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Format:
    """An IEEE 754 binary format with subnormal numbers.

    The magnitude of a number is its bit pattern without the sign; magnitudes grow with the number,
    from 0 to :attr:`largest_bits`.

    Attributes:
        name: that of the dtype.
        digits: of the significand, the leading one included.
        lowest: exponent of the smallest subnormal number.
        highest: exponent of the power of two that follows the largest number.
    """

    name: str
    digits: int
    lowest: int
    highest: int

    @property
    def smallest(self) -> float:
        """The smallest subnormal number, which is the unit of all subnormal ones."""
        return ldexp(1.0, self.lowest)

    @property
    def smallest_normal(self) -> float:
        """The smallest number with all digits."""
        return ldexp(1.0, self.lowest + self.digits - 1)

    @property
    def overflow(self) -> float:
        """Numbers of at least this size round to infinity: the largest and half its unit."""
        return ldexp(2.0 - ldexp(1.0, -self.digits), self.highest - 1)

    @property
    def largest_bits(self) -> int:
        """The magnitude of the largest finite number."""
        binades = self.highest - (self.lowest + self.digits - 1)
        return ((binades + 1) << (self.digits - 1)) - 1

    def unit(self, size: float) -> float:
        """The unit in the last place of numbers of that size."""
        if size < self.smallest_normal:
            return self.smallest
        return ldexp(1.0, min(frexp(size)[1], self.highest) - self.digits)

    def value(self, bits: int) -> float:
        """The number with that magnitude."""
        field, fraction = divmod(bits, 1 << (self.digits - 1))
        if not field:
            return ldexp(fraction, self.lowest)
        return ldexp(fraction + (1 << (self.digits - 1)), field - 1 + self.lowest)

    def values(self, first: int, last: int, sign: int = 1) -> NDArray[np.float64]:
        """The numbers of the magnitudes from ``first`` to ``last``, inclusive, with that sign."""
        bits = np.arange(first, last + 1, dtype=np.int64)
        field, fraction = np.divmod(bits, 1 << (self.digits - 1))
        leading = np.where(field > 0, 1 << (self.digits - 1), 0)
        significand = sign * (fraction + leading).astype(np.float64)
        found: NDArray[np.float64] = np.ldexp(significand, np.maximum(field - 1, 0) + self.lowest)
        return found

    def binade(self, bits: int) -> int:
        """The number of the binade that a magnitude lies in; 0 holds the subnormal numbers."""
        return bits >> (self.digits - 1)

    def binade_start(self, binade: int) -> int:
        """The first magnitude of a binade."""
        return max(binade << (self.digits - 1), 1)


FLOAT32 = Format("float32", 24, -149, 128)
FLOAT16 = Format("float16", 11, -24, 16)
BFLOAT16 = Format("bfloat16", 8, -133, 128)
FORMATS = {format.name: format for format in (FLOAT32, FLOAT16, BFLOAT16)}
