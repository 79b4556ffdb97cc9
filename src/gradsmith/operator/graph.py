"""How an operation enters a graph that torch.compile captures."""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradsmith.backends.dispatch import Precision

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise

_CODES: list[CodeType] = []


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

            # The compiler tells functions apart by the identity of their code: that of another
            # operation, or where that of a forgotten one was, would be taken for this one.
            pointwise.__code__ = pointwise.__code__.replace(co_name=f"pointwise_{len(_CODES)}")
            _CODES.append(pointwise.__code__)
            registered = torch.compiler.allow_in_graph(pointwise)
            object.__setattr__(operation, "graph_call", registered)

    # What torch.compiler.assume_constant_result does, without importing the compiler: the front
    # end runs this function instead of following it.
    enter_graph._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return enter_graph


def constant_or_tensor(operand: Any, precision: Precision, device: torch.device) -> Any:
    """The operand, in place of a number that a graph leaves open a tensor that holds it.

    As a constant of the graph it would be compiled anew for each of its values. Of all ways to
    make it a tensor, this is one that the compiler does not take for a constant.
    """
    if not isinstance(operand, torch.SymFloat):
        return operand
    number: Any = operand  # which torch's annotations do not know as one
    return torch.ones((), dtype=precision.compute, device=device) * number
