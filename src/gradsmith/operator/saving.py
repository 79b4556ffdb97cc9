"""What an operation keeps for its backward pass, and why: no more than the gradients read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SavePlan:
    """What is kept between forward and backward.

    Attributes:
        saved: names of the operands that are kept, in the order of the call. They are the
            caller's own tensors, not copies.
        bytes_per_element: bytes kept alive per element of the result. Parameters are not counted:
            their size does not grow with the input's.
        reason: one sentence for the reader.
    """

    saved: tuple[str, ...]
    bytes_per_element: int
    reason: str

    def __str__(self) -> str:
        what = ", ".join(self.saved) or "nothing"
        return f"saves {what} ({self.bytes_per_element} bytes/element): {self.reason}"


def plan(
    reads: Mapping[str, Collection[str]],
    operands: Sequence[str],
    parameters: Collection[str] = (),
    itemsize: int = 4,
) -> SavePlan:
    """The least that serves all gradients.

    Args:
        reads: for each operand that needs a gradient, the operands that its gradient reads.
        operands: all operands, in the order of the call.
        parameters: those of them that are not as large as the result.
        itemsize: bytes of one element of an operand.
    """
    needed = {name for names in reads.values() for name in names}
    saved = tuple(name for name in operands if name in needed)
    full = [name for name in saved if name not in parameters]
    return SavePlan(saved, itemsize * len(full), _reason(reads, saved))


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
