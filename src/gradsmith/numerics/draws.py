"""Random numbers that are the same in every process, for what every new formula is tried on.

Python's own generator: loading NumPy's takes a tenth of the time until a first gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import numpy as np

from gradsmith.numerics.interpret import Array


class Draws:
    """What is drawn from a seed, call after call."""

    def __init__(self, seed: int) -> None:
        self._generator = Random(seed)

    def uniform(self, low: float, high: float, count: int) -> Array:
        """Numbers between two others."""
        drawn = np.array([self._generator.random() for _ in range(count)])
        spread: Array = low + (high - low) * drawn
        return spread

    def choice(self, values: Array | Sequence[float], count: int) -> Array:
        """So many of some values, each as likely as any other and as often as it comes."""
        return np.array(self._generator.choices(list(values), k=count))

    def shuffled(self, values: Array) -> Array:
        """All of them in another order."""
        return np.array(self._generator.sample(values.tolist(), len(values)))
