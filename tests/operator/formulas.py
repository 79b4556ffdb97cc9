"""Formulas that are accurate as they are written, each with its composition in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from gradsmith.formula.parse import parse
from gradsmith.operator.pointwise import Pointwise


@dataclass(frozen=True)
class Case:
    text: str
    composed: Callable[..., Tensor]
    inputs: tuple[str, ...] = ("x",)
    parameters: Mapping[str, float] = field(default_factory=dict)

    def operation(self) -> Pointwise:
        return operation(self.text, self.inputs, **self.parameters)


def operation(text: str, inputs: tuple[str, ...] = ("x",), **parameters: float) -> Pointwise:
    return _parsed(text, inputs, tuple(parameters.items()))


@cache
def _parsed(
    text: str, inputs: tuple[str, ...], parameters: tuple[tuple[str, float], ...]
) -> Pointwise:
    formula = parse(text, dict(parameters), inputs)
    return Pointwise(formula.expression, formula.arguments, (), formula.parameters)


SWISH = Case("x*sigmoid(x)", lambda x: x * torch.sigmoid(x))
SCALED_TANH = Case("tanh(beta*x)", lambda x, beta: torch.tanh(beta * x), parameters={"beta": 1.5})
GATE = Case("a*sigmoid(b)", lambda a, b: a * torch.sigmoid(b), inputs=("a", "b"))
CUBE = Case("x**3", lambda x: x**3)
SCALED = Case("c*x*tanh(x)", lambda x, c: c * x * torch.tanh(x), parameters={"c": 0.5})
CASES = {case.text: case for case in (SWISH, SCALED_TANH, GATE, CUBE, SCALED)}
