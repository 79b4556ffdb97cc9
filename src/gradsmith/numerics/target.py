"""What a result is rounded to, what it is computed in, and the error that the computing may add."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

_MANY = 50.0  # roundings that fit into the budget


@dataclass(frozen=True, slots=True)
class Target:
    """A storage format and the precision of the computation behind it.

    Attributes:
        name: of the storage format.
        compute: the precision in which everything is computed, rounded once at the end.
        digits: binary digits of the storage format's significand.
        lowest: exponent of its smallest subnormal, 2**lowest.
        largest: its largest finite number.
        budget: the error, in ULP of the storage format, that the computation may add to that
            of the final rounding.
        floor: exponent of the smallest unit in which errors are counted.
        wider: the same format computed in more precision, for what misses the budget.
    """

    name: str
    compute: Literal["float64", "float32"]
    digits: int
    lowest: int
    largest: float
    budget: float
    floor: int
    wider: Target | None = None

    def rounded(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The numbers of the storage format nearest to ``values``; ±inf beyond its range."""
        if self.digits == 53:
            return values
        with np.errstate(all="ignore"):
            exponent = np.maximum(np.frexp(values)[1] - self.digits, self.lowest)
            near: NDArray[np.float64] = np.ldexp(np.rint(np.ldexp(values, -exponent)), exponent)
            return np.where(np.abs(near) > self.largest, np.copysign(np.inf, near), near)

    def unit(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The unit in the last place of finite numbers; that of zero is the smallest."""
        exponent = np.where(values == 0, self.floor, np.frexp(values)[1] - self.digits)
        smallest: NDArray[np.float64] = np.ldexp(1.0, np.maximum(exponent, self.floor))
        return smallest

    @property
    def slack(self) -> float:
        """How many times the rounding error of the computation fits into the budget."""
        spare = {"float64": 53, "float32": 24}[self.compute] - self.digits
        return self.budget * 2.0**spare

    @property
    def spares(self) -> bool:
        """Whether the computation has digits to spare, so that the budget takes many roundings."""
        return self.slack > _MANY

    @property
    def aim(self) -> float:
        """The largest error that a few points may show: many others show a larger one.

        Where digits are spared the errors are few roundings and far below the budget.
        """
        return self.budget if self.spares else 0.57 * self.budget


FLOAT64 = Target("float64", "float64", 53, -1074, float(np.finfo(np.float64).max), 4.0, -1074)
FLOAT32 = Target("float32", "float64", 24, -149, float(np.finfo(np.float32).max), 0.05, -149)
_WIDE16 = Target("float16", "float64", 11, -24, 65504.0, 0.01, -24)
FLOAT16 = Target("float16", "float32", 11, -24, 65504.0, 0.01, -24, _WIDE16)
_BFLOAT16_MAX = 3.3895313892515355e38
_WIDE_B16 = Target("bfloat16", "float64", 8, -133, _BFLOAT16_MAX, 0.01, -133)
BFLOAT16 = Target("bfloat16", "float32", 8, -133, _BFLOAT16_MAX, 0.01, -133, _WIDE_B16)
# Where a device has no float64, float32 carries no spare digits: a few roundings show.
FLOAT32_ALONE = Target("float32", "float32", 24, -149, float(np.finfo(np.float32).max), 4.0, -137)

TARGETS = (FLOAT64, FLOAT32, FLOAT16, BFLOAT16, FLOAT32_ALONE, _WIDE16, _WIDE_B16)
