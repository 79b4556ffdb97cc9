"""The value and the derivatives of a subject, as its users get them.

The value is that of a call, the first derivative that of a backward pass with upstream gradient 1,
the second that of a backward pass through the first. What a subject does not have is reported, and
never replaced by something else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gradsmith.formula.formula import Formula
from gradsmith.operator.pointwise import Pointwise
from gradsmith.operator.saving import OUTPUT
from gradsmith.truth.subject import Subject

_NAMES = ("value", "derivative", "second derivative")
_PROBES = (-2.5, -0.75, 0.3, 1.25)  # ordinary inputs, at which to see what there is


@dataclass(frozen=True, slots=True)
class Quantity:
    """The value or one of the derivatives.

    Attributes:
        order: 0 for the value, 1 and 2 for derivatives.
        wrt: the input that it is a derivative in; None for the value.
    """

    order: int
    wrt: str | None = None

    def name(self, several: bool = False) -> str:
        """Such as "second derivative in a"; the input is named if there are several."""
        place = f" in {self.wrt}" if several and self.wrt is not None else ""
        return _NAMES[self.order] + place


def quantities(formula: Formula, orders: Sequence[int], wrt: str | None) -> tuple[Quantity, ...]:
    """What is certified: of each order, for each input or for ``wrt`` alone.

    Raises:
        TypeError: ``orders`` is no sequence.
        ValueError: an order is not 0, 1 or 2, or the formula has no such input.
    """
    if wrt is not None and wrt not in formula.inputs:
        raise ValueError(f"wrt is one of the inputs {', '.join(formula.inputs)}, not {wrt!r}")
    if not isinstance(orders, Sequence):
        raise TypeError(f"orders is a sequence such as (0, 1), got {orders!r}")
    wrong = [order for order in orders if type(order) is not int or order not in (0, 1, 2)]
    if wrong or not orders:
        given = ", ".join(map(repr, wrong)) or "none"
        raise ValueError(f"orders are among 0, 1 and 2; got {given}")
    names = formula.inputs if wrt is None else (wrt,)
    found = [Quantity(0)] if 0 in orders else []
    found += [Quantity(order, name) for order in (1, 2) if order in orders for name in names]
    return tuple(found)


class Evaluation:
    """Computes quantities of a subject.

    Args:
        subject: what is called.
        formula: its inputs, and its parameters with the values that they have. A subject that is
            not ours is called with tensors for the inputs alone.
        asked: what to compute.
        dtype: of inputs and results.
        identically_zero: quantities that are zero everywhere, which need no graph.

    Attributes:
        unavailable: why each quantity that cannot be had cannot be had.

    Raises:
        ValueError: the subject cannot be called with tensors of this dtype, or its result has
            another shape or dtype.
    """

    def __init__(
        self,
        subject: Subject,
        formula: Formula,
        asked: Sequence[Quantity],
        dtype: torch.dtype,
        identically_zero: Sequence[Quantity] = (),
    ) -> None:
        self._subject, self._asked, self._dtype = subject, tuple(asked), dtype
        self._names, self._parameters = formula.inputs, formula.parameters
        self._zero = frozenset(identically_zero)
        self.unavailable: dict[Quantity, str] = {}
        probes = [torch.tensor(_PROBES, dtype=dtype) for _ in self._names]
        try:
            self(*probes)
        except (RuntimeError, TypeError, NotImplementedError) as error:
            name = str(dtype).removeprefix("torch.")
            tensors = " and ".join(f"a {name} tensor for {of}" for of in self._names)
            message = f"{subject.name} cannot be called with {tensors}: {_first_line(error)}"
            raise ValueError(message) from error

    def __call__(self, *columns: Tensor) -> dict[Quantity, Tensor]:
        """The quantities that are available, for inputs of one shape."""
        activation = self._subject.activation
        if activation is None:
            return self._by_autograd(self._subject.call, columns)
        if OUTPUT in activation.save_plan().saved:
            return self._by_autograd(
                lambda *xs: activation(*xs, *self._parameters.values()), columns
            )
        with torch.no_grad():
            return {quantity: self._ours(quantity, columns) for quantity in self._asked}

    def _ours(self, quantity: Quantity, columns: Sequence[Tensor]) -> Tensor:
        # Backward and double backward run the operation's own gradients, with upstream gradient 1.
        assert self._subject.activation is not None
        operation: Pointwise | None = self._subject.activation.operation
        for _ in range(quantity.order):
            if operation is not None:
                read = quantity.wrt in operation.arguments
                operation = operation.gradient(quantity.wrt or "") if read else None
        if operation is None:
            return torch.zeros_like(columns[0])
        values: dict[str, Tensor | float] = {
            **self._subject.activation.parameters,
            **self._parameters,
            **dict(zip(self._names, columns, strict=True)),
        }
        # A tensor, as autograd gives it: a number might be computed in another way.
        ones = torch.ones_like(columns[0]) if quantity.order else 1.0
        operands = [values.get(name, ones) for name in operation.operands]
        return operation(*operands).expand_as(columns[0])

    def _by_autograd(
        self, call: Callable[..., Any], columns: Sequence[Tensor]
    ) -> dict[Quantity, Tensor]:
        differentiated = any(quantity.order for quantity in self._asked)
        # Copies: a function that works in place must not change what it is judged by.
        leaves = [column.detach().clone().requires_grad_(differentiated) for column in columns]
        value = call(*leaves)
        self._check(value, columns[0])
        found: dict[Quantity, Tensor] = {}
        for quantity in self._asked:
            if quantity in self.unavailable:
                continue
            result = value
            try:
                for order in range(1, quantity.order + 1):
                    leaf = leaves[self._names.index(quantity.wrt or "")]
                    # A graph only where it is needed: with one, torch takes other formulas.
                    result = self._gradient(result, leaf, order, quantity)
            except (RuntimeError, NotImplementedError) as error:
                self.unavailable[quantity] = _first_line(error)
                continue
            found[quantity] = result.detach()
        return found

    def _gradient(self, result: Tensor, leaf: Tensor, order: int, quantity: Quantity) -> Tensor:
        gradient = None
        if result.requires_grad:
            (gradient,) = torch.autograd.grad(
                result,
                leaf,
                torch.ones_like(result),
                create_graph=order < quantity.order,
                retain_graph=True,
                allow_unused=True,
            )
        if gradient is not None:
            return gradient
        if quantity in self._zero:  # the derivative of a constant has no graph, and needs none
            return torch.zeros_like(leaf)
        what = "the result" if order == 1 else "the first derivative"
        raise RuntimeError(f"{what} has no gradient")

    def _check(self, value: object, x: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise ValueError(f"{self._subject.name} returned a {type(value).__name__}, no tensor")
        if value.shape != x.shape or value.dtype != x.dtype:
            raise ValueError(
                f"{self._subject.name} made {tuple(value.shape)} {value.dtype} of "
                f"{tuple(x.shape)} {x.dtype}; certified are functions element by element"
            )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].strip()
