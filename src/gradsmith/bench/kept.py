"""What a call keeps for its backward pass, measured: bytes per element, and whose they are.

Counted is every storage that the graph holds on to, once, whole and only if it grows with the
input. The caller's own tensors are told apart from the rest: the input often lives on anyway, the
output too where the next layer keeps its input, but what is neither is there for this op alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes per element of the result that the graph keeps alive.

    Attributes:
        input: in the storage of the inputs.
        output: in the storage of the result.
        own: in storages that nobody else holds.
    """

    input: float
    output: float
    own: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.input + self.output + self.own

    def __str__(self) -> str:
        parts = [("input", self.input), ("output", self.output), ("of its own", self.own)]
        held = [(what, size) for what, size in parts if size]
        if not held:
            return "0"
        if len(held) == 1:
            return f"{self.total:g} ({held[0][0]})"
        return f"{self.total:g} ({', '.join(f'{size:g} {what}' for what, size in held)})"


def measure_kept(call: Callable[..., Tensor], inputs: Sequence[Tensor]) -> Kept:
    """What ``call(*inputs)`` keeps, found with saved-tensor hooks.

    What a hand-written function stores on its context by itself, past ``save_for_backward``, is
    seen by no hook.

    Args:
        call: a function of the inputs.
        inputs: tensors that require a gradient where one is wanted.
    """
    stored: dict[int, Tensor] = {}  # keeps them alive, so that no address is used twice

    def pack(tensor: Tensor) -> Tensor:
        stored.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = call(*inputs)
    theirs = {x.untyped_storage().data_ptr() for x in inputs}
    sizes = {"input": 0.0, "output": 0.0, "own": 0.0}
    for address, tensor in stored.items():
        whose = "own"
        if address in theirs:
            whose = "input"
        elif address == y.untyped_storage().data_ptr():
            whose = "output"
        # In whole bits: a storage of fixed size, as that of a constant, is none per element.
        sizes[whose] += 8 * tensor.untyped_storage().nbytes() // max(1, y.numel()) / 8
    return Kept(**sizes)
