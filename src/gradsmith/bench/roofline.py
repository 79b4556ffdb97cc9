"""The fastest that a pass could be: as many bytes read and written, and nothing computed.

Of two tensors the bits are combined by exclusive or, which no processor waits for, whatever the
dtype; one is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


@dataclass(frozen=True, slots=True)
class Traffic:
    """How many tensors as large as the result a pass reads and writes."""

    reads: int
    writes: int


def moving(passes: Sequence[Traffic], like: Tensor, *, allocated: bool) -> Callable[[], None]:
    """A function that moves as many bytes as the passes must, one after the other.

    Each tensor written takes one or two of those to be read. Of more than two for each the rest
    is not read, so that this is never slower than what the passes need.

    Args:
        passes: what to read and write.
        like: for size and dtype.
        allocated: whether what is written is allocated anew each time, as results are, or lies
            there already.
    """
    bits = _BITS[like.dtype.itemsize]
    a, b = (like.detach().clone().view(bits) for _ in "ab")  # zeros might share one page
    steps: list[Callable[[], object]] = []
    for traffic in passes:
        for i in range(traffic.writes):
            double = traffic.reads - i - traffic.writes > 0
            single = traffic.reads - i > 0
            out = None if allocated else torch.empty_like(a)
            steps.append(_step(a, b, out, reads=2 if double else 1 if single else 0))

    def move() -> None:
        for step in steps:
            step()

    return move


def _step(a: Tensor, b: Tensor, out: Tensor | None, reads: int) -> Callable[[], object]:
    if reads == 2:
        if out is None:
            return lambda: torch.bitwise_xor(a, b)
        return lambda: torch.bitwise_xor(a, b, out=out)
    if reads == 1:
        return a.clone if out is None else lambda: out.copy_(a)
    return (lambda: torch.zeros_like(a)) if out is None else out.zero_
