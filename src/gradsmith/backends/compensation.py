"""What one addition or multiplication loses to rounding, as a tensor of its own.

Generated code calls these functions, and a stand-alone file contains their source: they need
nothing but torch. Each operation must be rounded by itself, in the operands' dtype.
"""

from __future__ import annotations

from collections.abc import Callable

import torch


def product_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The error of the rounded a·b, exactly (Dekker); 0 where it is not finite."""
    product = a * b
    splitter = {
        torch.float64: 2.0**27 + 1,
        torch.float32: 2.0**12 + 1,
        torch.float16: 2.0**6 + 1,
        torch.bfloat16: 2.0**4 + 1,
    }[product.dtype]
    # Veltkamp: each operand as a sum of two halves whose products are exact.
    a_scaled, b_scaled = splitter * a, splitter * b
    a_high = a_scaled - (a_scaled - a)
    b_high = b_scaled - (b_scaled - b)
    a_low, b_low = a - a_high, b - b_high
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return torch.where(torch.isfinite(error), error, 0.0)


def sum_error(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The error of the rounded a + b, exactly (Knuth); 0 where it is not finite."""
    total = a + b
    b_kept = total - a
    error = (a - (total - b_kept)) + (b - b_kept)
    return torch.where(torch.isfinite(error), error, 0.0)


HELPERS: dict[str, Callable[..., torch.Tensor]] = {
    "product_error": product_error,
    "sum_error": sum_error,
}
"""What generated code may call besides torch; each needs torch alone."""
