"""What an activation does to a network in training, measured on one small enough to watch.

The same network, with the same initial weights and the same data, learns to tell two spirals
apart, once per activation and size of the initial weights. What the properties of a formula
promise becomes visible: gradients that vanish on their way back, units that sit where the slope
is flat, weight gradients of one sign, and what a step costs. Nothing here is an opinion; a run
that contradicts what textbooks say is reported as it went.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import cast

import torch

from gradsmith.activation import Activation, Resolvable, resolve
from gradsmith.catalogue.known import nameless, title
from gradsmith.show.network import (
    DEPTH,
    MOMENTUM,
    RATE,
    SAMPLES,
    WIDTH,
    Training,
    seconds_per_step,
)

SCALES = (1.0, 10.0, 100.0)
"""Factors on the initial weights."""

Progress = Callable[[str, int, int], None]
"""Called with what comes next, how many parts of the work are done, and how many there are."""


@dataclass(frozen=True, slots=True)
class Run:
    """One training.

    Attributes:
        activation: what it is called.
        scale: factor on the initial weights of the hidden layers.
        losses: before each step, then after the last; it ends with inf where the loss overflowed.
        accuracy: share of samples told right at the end; None where the loss overflowed.
        gradients: root mean square of the weight gradients, layer by layer from the input on, in
            the first step.
        trained_gradients: the same, median over the steps.
        flat: share of units, over all samples, whose slope is under 1 % of the steepest, at the
            start; None where the network overflows.
        trained_flat: the same at the end.
        one_signed: share of units behind an activation whose incoming weights one sample moves
            all in the same direction, at the start; None where no gradient arrives.
    """

    activation: str
    scale: float
    losses: tuple[float, ...]
    accuracy: float | None
    gradients: tuple[float, ...]
    trained_gradients: tuple[float, ...]
    flat: float | None
    trained_flat: float | None
    one_signed: float | None

    @property
    def diverged(self) -> bool:
        """Whether the loss overflowed."""
        return math.isinf(self.losses[-1])

    @property
    def vanishing(self) -> float:
        """Gradient of a weight of the first layer over that of one of the last, at the start."""
        return _ratio(self.gradients)

    @property
    def trained_vanishing(self) -> float:
        """The same, medians over the steps."""
        return _ratio(self.trained_gradients)


@dataclass(frozen=True, slots=True)
class Study:
    """What was measured; ``str()`` is a table, :meth:`findings` says it in words.

    Attributes:
        runs: the activation's first, then those of what it is compared with.
        seed: of the data and of the initial weights.
        steps: of each training.
        seconds: (activation, time of one step), the only part that is not the same every time,
            and not compared.
    """

    runs: tuple[Run, ...]
    seed: int
    steps: int
    seconds: tuple[tuple[str, float], ...] = field(compare=False)

    @property
    def activations(self) -> tuple[str, ...]:
        """What the activations are called, the studied one first."""
        return tuple(dict.fromkeys(run.activation for run in self.runs))

    @property
    def scales(self) -> tuple[float, ...]:
        """The factors on the initial weights."""
        return tuple(dict.fromkeys(run.scale for run in self.runs))

    def run(self, activation: str, scale: float = 1.0) -> Run:
        """The run of an activation, by what it is called.

        Raises:
            ValueError: there is none.
        """
        for run in self.runs:
            if (run.activation, run.scale) == (activation, scale):
                return run
        raise ValueError(
            f"no run of {activation!r} ×{scale:g}; there are {', '.join(self.activations)}, "
            f"each ×{', ×'.join(f'{s:g}' for s in self.scales)}"
        )

    @property
    def setting(self) -> str:
        """One sentence: what was trained on what."""
        return (
            f"{SAMPLES} points of two spirals; {DEPTH} hidden layers of {WIDTH} units, initial "
            f"weights after He; {self.steps} steps of gradient descent on all points, rate "
            f"{RATE}, momentum {MOMENTUM}; seed {self.seed}"
        )

    def findings(self) -> tuple[tuple[str, str], ...]:
        """(what is looked at, what was found), in words and numbers."""
        from gradsmith.show.findings import findings

        return findings(self)

    def rows(self) -> list[tuple[str, ...]]:
        """The table as text, its header first."""
        from gradsmith.show.findings import rows

        return rows(self)

    def __str__(self) -> str:
        from gradsmith.show.findings import as_text

        return as_text(self)

    def _repr_markdown_(self) -> str:
        from gradsmith.show.findings import as_markdown

        return as_markdown(self)

    def _repr_html_(self) -> str:
        from gradsmith.show.findings import as_html

        return as_html(self)


def study(
    activation: Resolvable,
    against: Resolvable | Sequence[Resolvable] = "relu",
    *,
    seed: int = 0,
    steps: int = 200,
    scales: Sequence[float] = SCALES,
    progress: Progress | None = None,
) -> Study:
    """Train a small network with an activation, and the same one with others, and measure.

    Everything but the time is the same at every call with the same seed. The global random
    number generator is left alone; torch's number of threads is 1 meanwhile.

    Args:
        activation: an activation, a catalogue name, a formula's text or a function. One of
            several inputs gets as many features from each layer.
        against: what to compare it with, one or several; those equal to it are left out.
        seed: of the data and of the initial weights.
        steps: of each training, at least one.
        scales: factors on the initial weights of the hidden layers.
        progress: called before each training and after the last.

    Raises:
        FormulaError: a formula cannot be read.
        ValueError: ``steps`` is below 1, or a scale is not a positive number.
    """
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ValueError(f"steps is a whole number from 1, got {steps!r}")
    if not scales or not all(0 < scale < math.inf for scale in scales):
        raise ValueError(f"scales are positive finite numbers, got {tuple(scales)}")
    named = _named(activation, against)
    todo = [(name, scale) for name in named for scale in dict.fromkeys(scales)]
    tell = progress or (lambda what, done, total: None)
    runs: list[Run] = []
    with torch.enable_grad(), _one_thread():
        for name, scale in todo:
            tell(f"training with {name}, weights ×{scale:g}", len(runs), len(todo))
            runs.append(_train(named[name], name, float(scale), seed, steps))
        seconds = seconds_per_step(named, seed)
    tell("trained", len(todo), len(todo))
    return Study(tuple(runs), seed, steps, tuple(seconds.items()))


@contextmanager
def _one_thread() -> Iterator[None]:
    """A network this small gains nothing from a second thread, and waits for one on a busy core."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _named(
    activation: Resolvable, against: Resolvable | Sequence[Resolvable]
) -> dict[str, Activation]:
    several = isinstance(against, Sequence) and not isinstance(against, str)
    others = cast("Iterable[Resolvable]", against if several else (against,))
    found: dict[str, Activation] = {}
    for thing in (activation, *others):
        resolved = resolve(thing)
        if nameless(resolved.formula) in map(nameless, (a.formula for a in found.values())):
            continue
        name = title(resolved)
        while name in found:
            name += "′"  # another formula of the same name
        found[name] = resolved
    return found


def _train(activation: Activation, name: str, scale: float, seed: int, steps: int) -> Run:
    training = Training(activation, scale, seed)
    flat, one_signed = training.flat(), training.one_signed()
    losses: list[float] = []
    gradients: list[tuple[float, ...]] = []
    for _ in range(steps):
        losses.append(training.step())
        gradients.append(training.gradients())
        if math.isinf(losses[-1]):
            break
    loss, accuracy = training.outcome()
    if math.isfinite(losses[-1]):
        losses.append(loss)
    diverged = math.isinf(losses[-1])
    return Run(
        activation=name,
        scale=scale,
        losses=tuple(losses),
        accuracy=None if diverged else accuracy,
        gradients=gradients[0],
        trained_gradients=tuple(median(layer) for layer in zip(*gradients, strict=True)),
        flat=flat,
        trained_flat=None if diverged else training.flat(),
        one_signed=one_signed,
    )


def _ratio(gradients: tuple[float, ...]) -> float:
    first, last = gradients[0], gradients[-1]
    return first / last if last and math.isfinite(last) else math.nan
