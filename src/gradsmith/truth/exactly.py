"""The exact output and gradients of a compared chain ``outer(f(inner(x)))``, where it is a formula.

The chain is read as one formula, and that formula evaluated as it stands; nothing of how either
side computes goes into it. A chain that is no formula has no exact values, which is no error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import Parameter, Signature
from math import fsum
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradsmith.activation import Activation
from gradsmith.errors import FormulaError
from gradsmith.formula.formula import Formula
from gradsmith.formula.trace import trace
from gradsmith.truth.oracle import Oracle
from gradsmith.truth.subject import Subject

FIRST = "gradient, first call"
SECOND = "gradient, second call"
ZEROED = "gradient, zeroed and called again"
SCALED = "gradient, upstream gradient not 1"

_SUMMED_AT_MOST = 1000  # elements of which an exact sum is taken

Split = tuple[Tensor, Tensor]
"""Exact values as the sum of two float64 tensors, the second below the first's last place."""

Exact = Callable[[Tensor], Split]
"""The exact values of a row at the given flat indices."""


@dataclass(frozen=True, slots=True)
class Chain:
    """What both sides of a comparison should compute.

    Attributes:
        formula: ``outer(f(inner(x)))``, without a final sum.
        summed: whether the output is the sum over all elements.
    """

    formula: Formula
    summed: bool = False


def applied(
    side: Subject,
    inner: Callable[[Tensor], Tensor] | None,
    outer: Callable[[Tensor], Tensor] | None,
    parameters: Mapping[str, Any],
) -> Callable[..., Any]:
    """One side's whole chain as a function of its inputs."""

    def compute(*inputs: Any) -> Any:
        operands = inputs if inner is None else (inner(inputs[0]), *inputs[1:])
        result = side.call(*operands, **parameters)
        return result if outer is None else outer(result)

    return compute


def chain(
    ours: Subject,
    reference: Subject | None,
    inner: Callable[[Tensor], Tensor] | None,
    outer: Callable[[Tensor], Tensor] | None,
    parameters: Mapping[str, Any],
) -> Chain | None:
    """What is to be computed, read from the first that says so: a formula, then the reference."""
    sides = [side for side in (ours, reference) if side is not None]
    # A formula says what is meant; of two functions the reference does.
    sides = [s for s in sides if s.activation] or sides[::-1]
    summed = outer is torch.sum
    for side in sides:
        formula = _formula(side, inner, None if summed else outer, parameters)
        if formula is not None:
            return Chain(formula, summed)
    return None


def _formula(
    side: Subject,
    inner: Callable[[Tensor], Tensor] | None,
    outer: Callable[[Tensor], Tensor] | None,
    parameters: Mapping[str, Any],
) -> Formula | None:
    if type(side.activation) is Activation and inner is None and outer is None and not parameters:
        return side.activation.formula
    compute = applied(side, inner, outer, parameters)
    names = side.activation.inputs if side.activation else ("x",)
    either = Parameter.POSITIONAL_OR_KEYWORD
    signature = Signature([Parameter(name, either) for name in names])
    compute.__signature__ = signature  # type: ignore[attr-defined]
    try:
        return trace(compute)
    except (FormulaError, TypeError):
        return None


def rows(
    chain: Chain,
    points: Mapping[str, Tensor],
    output: Tensor,
    upstream: Callable[[Tensor], Tensor],
) -> dict[str, Exact]:
    """For each row its exact values, computed where they are asked for.

    Empty if the formula has other inputs than ``points``, or shapes that make a gradient a sum.
    """
    formula = chain.formula
    first = next(iter(points.values()))
    shape = torch.Size() if chain.summed else first.shape
    alike = all(x.shape == first.shape for x in points.values()) and output.shape == shape
    if len(formula.inputs) != len(points) or not alike:
        return {}
    columns = {
        name: x.detach().double().flatten().cpu()
        for name, x in zip(formula.inputs, points.values(), strict=True)
    }
    value = _evaluated(Oracle(formula), 0, columns)
    found: dict[str, Exact] = {"output": _summed(value, first.numel()) if chain.summed else value}
    g = upstream(output).double().flatten().cpu()
    for name, key in zip(formula.inputs, points, strict=True):
        slopes = _evaluated(Oracle(formula, wrt=name), 1, columns)
        suffix = "" if len(points) == 1 else f", with respect to {key}"
        found[FIRST + suffix] = found[ZEROED + suffix] = slopes
        found[SECOND + suffix] = _scaled(slopes, torch.tensor([2.0]))
        found[SCALED + suffix] = _scaled(slopes, g)
    return found


def _evaluated(oracle: Oracle, order: int, columns: Mapping[str, Tensor]) -> Exact:
    known: dict[int, tuple[float, float]] = {}

    def at(indices: Tensor) -> Split:
        new = [i for i in indices.tolist() if i not in known]
        values = {name: np.array([float(x[i]) for i in new]) for name, x in columns.items()}
        exact = oracle.exact(order, values)
        both = zip(exact.high.tolist(), exact.low.tolist(), strict=True)
        known.update(zip(new, both, strict=True))
        pairs = [known[i] for i in indices.tolist()]
        columns_of = torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2)
        return columns_of[:, 0], columns_of[:, 1]

    return at


def _scaled(exact: Exact, factor: Tensor) -> Exact:
    def at(indices: Tensor) -> Split:
        high, low = exact(indices)
        by = factor[indices] if factor.numel() > 1 else factor
        return high * by + 0.0, low * by + 0.0  # no negative zeros

    return at


def _summed(exact: Exact, count: int) -> Exact:
    def at(indices: Tensor) -> Split:
        if count > _SUMMED_AT_MOST:
            unknown = torch.full(indices.shape, torch.nan, dtype=torch.float64)
            return unknown, unknown
        high, low = exact(torch.arange(count))
        total = fsum([*high.tolist(), *low.tolist()])
        rest = fsum([*high.tolist(), *low.tolist(), -total])
        return (
            torch.full(indices.shape, total, dtype=torch.float64),
            torch.full(indices.shape, rest, dtype=torch.float64),
        )

    return at
