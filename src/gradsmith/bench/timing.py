"""The one engine that times: jobs in turn, round by round, so that a ratio is one of neighbours.

What disturbs the machine for a while must disturb all jobs of a race alike. So each round times
every job once, in an order that changes from round to round, and a ratio of two jobs is taken
within each round, before the median. Times are those of the wall clock, which is what users wait
for: of one thread the processor's own clock would hide an interruption, but reading it costs as
much as a tenth of a short call, and it says nothing about several threads.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat
from math import ceil
from random import Random
from statistics import quantiles
from time import perf_counter
from typing import Any, Final

import torch
from torch import Tensor

FORWARD: Final = "forward"
BACKWARD: Final = "backward"
BOTH: Final = "both"
PASSES: Final = (FORWARD, BACKWARD, BOTH)

LEAST: Final = 2e-3
"""Seconds that one sample takes at least: 20,000 times what reading the clock costs."""

_MOST_CALLS = 1_000_000
_MARGIN = 1.25  # calls beyond what the trial suggests, for it includes first times

Seconds = Callable[[int], float]
"""Given a number of calls, the seconds that they took; what else they need is not counted."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to time.

    Attributes:
        label: what it is called in error messages and by a progress bar.
        threads: how many threads torch has while it runs.
        seconds: makes that many calls and times them.
    """

    label: str
    threads: int
    seconds: Seconds


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, with the quartiles around it."""

    median: float
    lower: float
    upper: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """That of at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        lower, median, upper = quantiles(values, n=4, method="inclusive")
        return cls(median, lower, upper)

    def __str__(self) -> str:
        return f"{self.median:.2f} ±{(self.upper - self.lower) / 2:.2f}"


def forward(call: Callable[..., Any], inputs: Sequence[Tensor]) -> Seconds:
    """Times ``call(*inputs)``; of a result that is dropped, the release is part of it."""

    def seconds(count: int) -> float:
        start = perf_counter()
        for _ in repeat(None, count):
            call(*inputs)
        return perf_counter() - start

    return seconds


def backward(
    call: Callable[..., Tensor], inputs: Sequence[Tensor], leaves: Sequence[Tensor], g: Tensor
) -> Seconds:
    """Times the backward pass alone, on a graph that is recorded anew for each call.

    A graph that is kept and used again is not what training does, and compiled functions refuse.
    """

    def seconds(count: int) -> float:
        total = 0.0
        for _ in repeat(None, count):
            y = call(*inputs)
            start = perf_counter()
            torch.autograd.grad(y, leaves, g, allow_unused=True)
            total += perf_counter() - start
        return total

    return seconds


def both(
    call: Callable[..., Tensor], inputs: Sequence[Tensor], leaves: Sequence[Tensor], g: Tensor
) -> Seconds:
    """Times forward and backward pass, as in training."""

    def seconds(count: int) -> float:
        start = perf_counter()
        for _ in repeat(None, count):
            torch.autograd.grad(call(*inputs), leaves, g, allow_unused=True)
        return perf_counter() - start

    return seconds


def race(
    jobs: Sequence[Job],
    rounds: int,
    *,
    least: float = LEAST,
    seed: int = 0,
    tell: Callable[[str, int], None] | None = None,
) -> list[tuple[float, ...]]:
    """Seconds per call of each job in each round.

    The number of torch's threads and the garbage collector, which rests meanwhile, are put back.

    Args:
        jobs: at least one.
        rounds: how often each is timed.
        least: seconds that a sample takes at least; short calls are repeated within it.
        seed: of the order within the rounds.
        tell: called with the label of the job that is about to be timed, and how many were.

    Raises:
        ValueError: there is nothing to time, or no round.
    """
    if not jobs or rounds < 1:
        raise ValueError(f"a race needs a job and a round, got {len(jobs)} and {rounds}")
    shuffled = Random(seed)
    found: list[list[float]] = [[] for _ in jobs]
    order = list(range(len(jobs)))
    threads = list({job.threads for job in jobs})
    with _undisturbed():
        counts = [_calls(job, least) for job in jobs]
        for done in range(rounds):
            shuffled.shuffle(order)
            shuffled.shuffle(threads)
            order.sort(key=lambda i: threads.index(jobs[i].threads))  # a change wakes others up
            for turn, i in enumerate(order):
                if tell is not None:
                    tell(jobs[i].label, done * len(jobs) + turn)
                found[i].append(_sample(jobs[i], counts[i]))
    return [tuple(times) for times in found]


def _sample(job: Job, count: int) -> float:
    _use(job.threads)
    # Brings code, data and threads back, and memory that other jobs had returned to the system:
    # to get a large result's anew takes longer than to compute it.
    job.seconds(1)
    return job.seconds(count) / count


def _calls(job: Job, least: float) -> int:
    """How many calls make a sample of ``least`` seconds; the first compiles what is compiled."""
    _use(job.threads)
    job.seconds(1)
    count = 1
    while count < _MOST_CALLS:
        took = job.seconds(count)
        if took >= least:
            return count
        count = max(2 * count, ceil(min(count * least / max(took, 1e-9), 1e6) * _MARGIN))
    return _MOST_CALLS


def _use(threads: int) -> None:
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@contextmanager
def _undisturbed() -> Iterator[None]:
    threads, collected = torch.get_num_threads(), gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()
        torch.set_num_threads(threads)
