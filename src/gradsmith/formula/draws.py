"""What draws random numbers while a function is traced.

A number that torch draws from tensors of its own would be a constant of the formula, frozen at
whatever it was that once. torch marks every operation that draws, so that no list of names is kept.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gradsmith.errors import FormulaError
from gradsmith.formula.refusals import DRAWS


class Draws(TorchDispatchMode):
    """Within it, the first operation that draws random numbers is kept in mind."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.first: str | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run the operation as it is."""
        if self.first is None and torch.Tag.nondeterministic_seeded in func.tags:
            name = str(func).split(".")[1]
            self.first = f"torch.{name}" if hasattr(torch, name) else f"Tensor.{name}"
        return func(*args, **(kwargs or {}))

    def refuse(self) -> None:
        """Refuse what was traced if anything was drawn.

        Raises:
            FormulaError: names the operation.
        """
        if self.first is not None:
            raise FormulaError(
                f"{self.first} cannot be traced: it {DRAWS}; draw outside of the function and "
                "make what is drawn an input"
            )
