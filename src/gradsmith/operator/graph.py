"""How an operation enters a graph that torch.compile captures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise


def graph_entrance(operation: Pointwise) -> Callable[[], None]:
    """For torch.compile: make the operation one node of the graph that is being captured.

    The compiler's front end cannot follow the search for a stable expression. As a function that
    it puts into the graph unseen, the operation is traced by the next stage, which runs it: the
    generated torch calls are fused like any others. Registering that function imports the
    compiler, which takes seconds, so it is done when the front end comes by.
    """

    def enter_graph() -> None:
        if operation.graph_call is None:

            def pointwise(*operands: Any, out: Tensor | None = None) -> Tensor:
                return operation.run(operands, out)

            registered = torch.compiler.allow_in_graph(pointwise)
            object.__setattr__(operation, "graph_call", registered)

    # What torch.compiler.assume_constant_result does, without importing the compiler: the front
    # end runs this function instead of following it.
    enter_graph._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return enter_graph
