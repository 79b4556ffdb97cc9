"""What the matrix runs over: the whole catalogue, and formulas of a user's own.

Each subject stands beside a composition of plain torch operations. That is the oracle: autograd,
forward mode and the transforms of ``torch.func`` derive from it what the subject must give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from math import pi, sqrt
from typing import Any

import torch
from torch import Tensor, nn, where

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.catalogue import ENTRIES, named


@dataclass(frozen=True, eq=False)
class Subject:
    """An activation and what to compare it with.

    Attributes:
        name: what tests and tables call it.
        composed: the same of plain torch operations, accurate in float64 at the sampled points;
            it takes the inputs, then the parameters.
        parameters: what the parameters are in tests; not what they are by default, which is often
            0 or 1 and would hide a factor. The name is that of the keyword in a call.
        own: text of the formula; left out, the catalogue's of that name.
        inputs: names of the inputs.
    """

    name: str
    composed: Callable[..., Tensor]
    parameters: Mapping[str, float] = field(default_factory=dict)
    own: str | None = None
    inputs: tuple[str, ...] = ("x",)

    def __repr__(self) -> str:
        return self.name

    @property
    def activation(self) -> Activation:
        """What is tested: ``gs.<name>``, or ``gs.activation(own)``."""
        return _activation(self)

    def __call__(self, *operands: Tensor) -> Tensor:
        """The activation of the inputs, and of parameters as tensors if they follow."""
        return self._call(self.activation, operands)

    def reference(self, *operands: Tensor) -> Tensor:
        """What ``__call__`` must give: the composition, of the same operands."""
        given = operands[len(self.inputs) :] or tuple(self.parameters.values())
        return self.composed(*operands[: len(self.inputs)], *given)

    def _call(self, function: Callable[..., Any], operands: tuple[Tensor, ...]) -> Tensor:
        given = operands[len(self.inputs) :] or tuple(self.parameters.values())
        named_parameters = dict(zip(self.parameters, given, strict=True))
        result: Tensor = function(*operands[: len(self.inputs)], **named_parameters)
        return result

    def tensors(
        self,
        dtype: torch.dtype = torch.float64,
        shape: tuple[int, ...] = (4, 3),
        requires_grad: bool = False,
        device: str = "cpu",
        seed: int = 0,
    ) -> tuple[Tensor, ...]:
        """Inputs of that shape: odd multiples of 1/16 from −5 to 8, exact in every dtype.

        No kink of any subject is nearer than 1/16.
        """
        generator = torch.Generator().manual_seed(seed)
        drawn = [torch.randint(-40, 64, shape, generator=generator) for _ in self.inputs]
        made = [(whole.double() / 8 + 1 / 16).to(device, dtype) for whole in drawn]
        return tuple(tensor.requires_grad_(requires_grad) for tensor in made)

    def operands(
        self,
        dtype: torch.dtype = torch.float64,
        shape: tuple[int, ...] = (4, 3),
        requires_grad: bool = False,
        parameter_shape: tuple[int, ...] = (),
        seed: int = 0,
    ) -> tuple[Tensor, ...]:
        """:meth:`tensors`, then the parameters as tensors, a little different in each element."""
        made = []
        for value in self.parameters.values():
            one = torch.full(parameter_shape, value, dtype=torch.float64)
            spread = torch.arange(one.numel(), dtype=torch.float64).reshape(parameter_shape) / 64
            made.append((one + spread).to(dtype).requires_grad_(requires_grad))
        return (*self.tensors(dtype, shape, requires_grad, seed=seed), *made)

    def module(self, learnable: bool = True) -> nn.Module:
        """It as a module; its parameters, where they can be learned, in the order of the call.

        ``reference(*inputs, *module.parameters())`` is what it must give.
        """
        if self.name == "prelu":
            return gs.nn.PReLU(init=self.parameters["weight"])
        if self.name == "rrelu":  # bounds are numbers
            slope = self.parameters["slope"]
            return gs.nn.RReLU(lower=slope, upper=slope).eval()
        whole = self.own is None and len(self.inputs) == 1  # GLU's class takes one tensor
        if whole and (entry := named(self.name).entry).module is not None:
            options = {"learnable": learnable} if self.parameters else {}
            made: nn.Module = getattr(gs.nn, entry.module)(**self.parameters, **options)
            return made
        return self.activation.module(learnable=learnable, **self.parameters)


@cache
def _activation(subject: Subject) -> Activation:
    if subject.own is None:
        return named(subject.name)
    parameters = dict(subject.parameters)
    return gs.activation(subject.own, inputs=subject.inputs, name=subject.name, **parameters)


def _gelu_tanh(x: Tensor) -> Tensor:
    return x * torch.sigmoid(2 * sqrt(2 / pi) * (x + 0.044715 * x**3))  # (1 + tanh u)/2 is σ(2u)


def _softplus(x: Tensor, beta: Any = 1.0) -> Tensor:
    return torch.log1p(torch.exp(beta * x)) / beta


def _hardtanh(x: Tensor, low: Any = -1.0, high: Any = 1.0) -> Tensor:
    return where(x <= low, low, where(x >= high, high, x))


def _elu(x: Tensor, alpha: Any, scale: float = 1.0, inner: Any = 1.0) -> Tensor:
    return scale * where(x > 0, x, alpha * torch.expm1(x / inner))


def _leaky(x: Tensor, slope: Any) -> Tensor:
    return where(x > 0, x, slope * x)


def _softshrink(x: Tensor, lambd: Any) -> Tensor:
    return where(x < -lambd, x + lambd, where(x <= lambd, x * 0.0, x - lambd))


_CATALOGUE = (
    Subject(
        "threshold",
        lambda x, threshold, value: where(x <= threshold, value, x),
        {"threshold": 0.5, "value": 0.25},
    ),
    Subject("relu", lambda x: where(x <= 0, 0.0, x)),
    Subject("leaky_relu", _leaky, {"negative_slope": 0.125}),
    Subject("prelu", _leaky, {"weight": 0.25}),
    Subject("rrelu", _leaky, {"slope": 0.25}),
    Subject("relu6", lambda x: where(x <= 0, 0.0, where(x >= 6, 6.0, x))),
    Subject("hardtanh", _hardtanh, {"min_val": -1.0, "max_val": 1.5}),
    Subject("hardsigmoid", lambda x: _hardtanh((x + 3) / 6, 0.0, 1.0)),
    Subject("hardswish", lambda x: x * _hardtanh((x + 3) / 6, 0.0, 1.0)),
    Subject("sigmoid", torch.sigmoid),
    Subject("logsigmoid", lambda x: -_softplus(-x)),
    Subject("tanh", torch.tanh),
    Subject("softsign", lambda x: x / (1 + x.abs())),
    Subject("softplus", _softplus, {"beta": 1.5}),
    Subject(
        "softplus_threshold",
        lambda x, beta, threshold: where(beta * x > threshold, x, _softplus(x, beta)),
        {"beta": 2.0, "threshold": 1.0},
    ),
    Subject("elu", _elu, {"alpha": 1.25}),
    Subject("celu", lambda x, alpha: _elu(x, alpha, inner=alpha), {"alpha": 1.25}),
    Subject("selu", lambda x: _elu(x, 1.6732632423543772, 1.0507009873554805)),
    Subject("gelu", lambda x: x / 2 * torch.erfc(-x / sqrt(2))),
    Subject("gelu_tanh", _gelu_tanh),
    Subject("silu", lambda x: x * torch.sigmoid(x)),
    Subject("mish", lambda x: x * torch.tanh(_softplus(x))),
    Subject(
        "hardshrink",
        lambda x, lambd: where((x >= -lambd) & (x <= lambd), 0.0, x),
        {"lambd": 0.5},
    ),
    Subject("softshrink", _softshrink, {"lambd": 0.25}),
    Subject("tanhshrink", lambda x: x - torch.tanh(x)),
    Subject("glu", lambda a, b: a * torch.sigmoid(b), inputs=("a", "b")),
)

_OWN = (
    Subject("own: one input", lambda x: x * torch.tanh(torch.exp(x)), own="x * tanh(exp(x))"),
    Subject(
        "own: parameter",
        lambda x, beta: x * torch.sigmoid(beta * x),
        {"beta": 1.25},
        own="x / (1 + exp(-beta*x))",
    ),
    Subject(
        "own: two inputs",
        lambda u, v: u * v / 2 * torch.erfc(-v / sqrt(2)),
        own="u * v/2 * (1 + erf(v/sqrt(2)))",
        inputs=("u", "v"),
    ),
    Subject(
        "own: two inputs, parameter",
        lambda u, v, beta: u * v * torch.sigmoid(beta * v),
        {"beta": 0.75},
        own="u * v * sigmoid(beta*v)",
        inputs=("u", "v"),
    ),
)

SUBJECTS: Mapping[str, Subject] = {subject.name: subject for subject in (*_CATALOGUE, *_OWN)}

assert {entry.name for entry in ENTRIES} == {subject.name for subject in _CATALOGUE}
