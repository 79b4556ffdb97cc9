"""What the tests of certificates share: which inputs, and one process without a bar."""

from __future__ import annotations

from typing import Any

import torch

from gradsmith.truth.inputs import bits_of

ALONE: dict[str, Any] = {"processes": 1, "progress": False}


def pattern(x: float, dtype: torch.dtype = torch.float32) -> int:
    return int(bits_of(torch.tensor([x], dtype=dtype))[0], 16)


def between(low: float, high: float, count: int = 64) -> range:
    """About ``count`` float32 patterns from ``low`` to ``high``, both of one sign."""
    first, last = sorted((pattern(low), pattern(high)))
    return range(first, last + 1, max(1, (last - first) // count))


def at(x: float) -> range:
    return range(pattern(x), pattern(x) + 1)


SMALL = range(pattern(1.0), pattern(1.0) + 1000)
