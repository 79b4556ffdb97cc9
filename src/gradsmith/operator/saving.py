"""What an operation keeps for its backward pass, and why: no more than the gradients read.

Usually that is inputs. Where the gradient can be had from the output without losing accuracy, it
is the output, which the layer that follows often keeps anyway: then it costs nothing. Of a large
input whose derivative has few values, two bits say which it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

OUTPUT = "the output"
"""What stands for the output among the names of what is kept; no operand can be called so."""

MASK = "a mask"
"""Stands for it among the names of what is kept; see :mod:`~gradsmith.operator.masked`."""

LARGE = 2**22
"""Elements from which on a mask is kept: 16 MiB of float32, more than a processor's cache. There
it saves time as well, a fifth and more; below, it takes longer to write than what it replaces."""

AUTO, BY_OUTPUT = "auto", "output"
CHOICES = (AUTO, BY_OUTPUT)
"""Keep what the numerical contract needs; or the output, whatever that costs in accuracy."""


@dataclass(frozen=True, slots=True)
class SavePlan:
    """What is kept between forward and backward.

    Attributes:
        saved: names of the operands that are kept, in the order of the call; last, if it is kept,
            :data:`OUTPUT`. They are the caller's own tensors and the result, not copies. Or
            :data:`MASK`.
        bytes_per_element: bytes kept alive per element of the result. Parameters are not counted:
            their size does not grow with the input's.
        reason: one sentence for the reader.
        note: what keeping the output costs in accuracy, where it is kept.
        large: what is kept instead of a dense CPU tensor of :data:`LARGE` elements or more, where
            that is something else.
    """

    saved: tuple[str, ...]
    bytes_per_element: float
    reason: str
    note: str = ""
    large: SavePlan | None = None

    def __str__(self) -> str:
        return f"saves {self._kept()}" + (
            f"; from {LARGE:,} elements on {self.large._kept()}" if self.large else ""
        )

    def _kept(self) -> str:
        what = ", ".join(self.saved) or "nothing"
        reason = f"{self.reason}, {self.note}" if self.note else self.reason
        return f"{what} ({self.bytes_per_element:g} bytes/element): {reason}"


def plan(
    reads: Mapping[str, Collection[str]],
    operands: Sequence[str],
    parameters: Collection[str] = (),
    itemsize: int = 4,
    note: str = "",
) -> SavePlan:
    """The least that serves all gradients.

    Args:
        reads: for each operand that needs a gradient, what its gradient reads: operands, and
            :data:`OUTPUT`.
        operands: all operands, in the order of the call.
        parameters: those of them that are not as large as the result.
        itemsize: bytes of one element of an operand.
        note: what keeping the output costs.
    """
    needed = {name for names in reads.values() for name in names}
    saved = tuple(name for name in (*operands, OUTPUT) if name in needed)
    full = [name for name in saved if name not in parameters]
    return SavePlan(saved, itemsize * len(full), _reason(reads, saved), note)


def _reason(reads: Mapping[str, Collection[str]], saved: Sequence[str]) -> str:
    if not reads:
        return "no operand needs a gradient"
    if not saved:
        which = "the gradient is" if len(reads) == 1 else "the gradients are"
        return f"{which} constant in every operand"
    parts = []
    for name, names in reads.items():
        listed = ", ".join(n for n in saved if n in names) or "nothing"
        parts.append(f"the gradient with respect to {name} reads {listed}")
    return "; ".join(parts)
