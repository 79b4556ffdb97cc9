"""The network that :mod:`gradsmith.show.study` trains, its data, and what is measured on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from time import perf_counter
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from gradsmith.activation import Activation
from gradsmith.calculus.properties import SATURATED

DEPTH = 4  # hidden layers: enough for a slope of 1/4 to vanish, few enough for a few seconds
WIDTH = 32
SAMPLES = 256
RATE, MOMENTUM = 0.05, 0.9

_NOISE = 0.03
_PROBED = 16  # samples whose own gradients are looked at
_STEEP_WITHIN = 8.0  # the steepest slope is looked for on −8…8
_TIMED = 25  # steps of each activation, of which the fastest counts
_PLAIN: Final[dict[str, Any]] = {"dtype": torch.float32, "device": "cpu"}  # whatever the defaults


class Training:
    """Two spirals, a multilayer perceptron that tells them apart, and gradient descent.

    Everything random comes from the seed; the global generator is left alone.

    Args:
        activation: of the hidden layers; one of several inputs gets as many features from each.
        scale: factor on the initial weights of the hidden layers.
        seed: of the data and of the initial weights.
    """

    def __init__(self, activation: Activation, scale: float, seed: int) -> None:
        generator = torch.Generator("cpu").manual_seed(seed)
        self.points, self.labels = _spirals(generator)
        self.activation = activation
        count = len(activation.inputs)
        # He et al. 2015, arXiv:1502.01852: standard deviation sqrt(2/fan in) for hidden layers.
        hidden = [
            _normal((WIDTH * count, fan), scale * math.sqrt(2 / fan), generator)
            for fan in (2, *[WIDTH] * (DEPTH - 1))
        ]
        self.weights = [*hidden, _normal((1, WIDTH), math.sqrt(1 / WIDTH), generator)]
        self.biases = [torch.zeros_like(weight[:, 0]) for weight in self.weights]
        parameters = [*self.weights, *self.biases]
        for parameter in parameters:
            parameter.requires_grad_()
        self._optimiser = torch.optim.SGD(parameters, lr=RATE, momentum=MOMENTUM)

    def logits(self, x: Tensor) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """The logits, and what each layer's activation was given."""
        given: list[tuple[Tensor, ...]] = []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            given.append(linear(x, weight, bias).chunk(len(self.activation.inputs), -1))
            x = self.activation(*given[-1])
        return linear(x, self.weights[-1], self.biases[-1])[:, 0], given

    def step(self) -> float:
        """One step of gradient descent on all samples; the loss before it, inf for a NaN."""
        self._optimiser.zero_grad()
        loss = binary_cross_entropy_with_logits(self.logits(self.points)[0], self.labels)
        loss.backward()
        self._optimiser.step()
        return _or_inf(loss)

    def outcome(self) -> tuple[float, float]:
        """The loss, inf for a NaN, and the share of samples told right."""
        with torch.no_grad():
            logits, _ = self.logits(self.points)
            loss = binary_cross_entropy_with_logits(logits, self.labels)
            right = (logits > 0) == (self.labels > 0)
        return _or_inf(loss), right.double().mean().item()

    def gradients(self) -> tuple[float, ...]:
        """Root mean square of each layer's weight gradients in the last step."""
        gradients = [w.grad for w in self.weights if w.grad is not None]
        return tuple(_or_inf(gradient.square().mean().sqrt()) for gradient in gradients)

    def flat(self) -> float | None:
        """Share of units, over all samples, with a slope under 1 % of the steepest.

        A unit of several inputs is flat if it is so in each of them. None where the network
        overflows.
        """
        names = self.activation.inputs
        line = torch.linspace(-_STEEP_WITHIN, _STEEP_WITHIN, 1001, **_PLAIN)
        with torch.no_grad():
            layers = self.logits(self.points)[1]
            given = [torch.cat(parts) for parts in zip(*layers, strict=True)]
            if not all(part.isfinite().all() for part in given):
                return None
            flat = torch.ones_like(given[0], dtype=torch.bool)
            for name in names:
                slope = self.activation.derivative(name)
                along = [line if other == name else torch.ones_like(line) for other in names]
                steepest = slope(*along).abs().nan_to_num(nan=0.0, posinf=0.0).max()
                flat &= slope(*given).abs() < SATURATED * steepest
        return flat.double().mean().item()

    def one_signed(self) -> float | None:
        """Share of units whose incoming weights one sample moves all in the same direction.

        Only weights that come from an activation count; a gradient of 0 goes with either
        direction. None where no gradient arrives.
        """
        same = total = 0
        for i in range(_PROBED):
            logits, _ = self.logits(self.points[i : i + 1])
            loss = binary_cross_entropy_with_logits(logits, self.labels[i : i + 1])
            for gradient in torch.autograd.grad(loss, self.weights[1:]):
                positive, negative = (gradient > 0).any(1), (gradient < 0).any(1)
                total += int((positive | negative).sum())
                same += int((positive ^ negative).sum())
        return same / total if total else None


def seconds_per_step(activations: Mapping[str, Activation], seed: int) -> dict[str, float]:
    """Time of a step of training: the fastest of several, the activations taken in turns.

    In turns, so that what else the machine does falls on all alike.
    """
    trainings = {name: Training(a, 1.0, seed) for name, a in activations.items()}
    fastest = dict.fromkeys(trainings, math.inf)
    for _ in range(_TIMED):
        for name, training in trainings.items():
            start = perf_counter()
            training.step()
            fastest[name] = min(fastest[name], perf_counter() - start)
    return fastest


def _spirals(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Points on two interleaved spirals of one turn, and which of the two each is on."""
    labels = torch.arange(SAMPLES, **_PLAIN) % 2
    radius = torch.rand(SAMPLES, generator=generator, **_PLAIN).sqrt()
    angle = 2 * math.pi * radius + math.pi * labels
    points = 2 * radius * torch.stack((angle.cos(), angle.sin()))
    return points.T + _normal((SAMPLES, 2), _NOISE, generator), labels


def _normal(shape: tuple[int, int], deviation: float, generator: torch.Generator) -> Tensor:
    return torch.randn(shape, generator=generator, **_PLAIN) * deviation


def _or_inf(value: Tensor) -> float:
    number = value.item()
    return number if math.isfinite(number) else math.inf  # a NaN comes of an overflow
