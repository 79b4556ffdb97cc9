"""The parts of a benchmark: who takes part, what they keep, their first gradient, their times."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from gradsmith.activation import Activation
from gradsmith.bench import contestants as who
from gradsmith.bench.benchmark import Timing
from gradsmith.bench.contestants import Contestant
from gradsmith.bench.first import first_gradient
from gradsmith.bench.kept import Kept, measure_kept
from gradsmith.bench.roofline import Traffic, moving
from gradsmith.bench.timing import BACKWARD, BOTH, FORWARD, Job, backward, both, forward, race
from gradsmith.operator.saving import LARGE
from gradsmith.truth.distribute import Tell

_PROBED = 4096  # elements of the call whose saved tensors are counted
_ROOFLINES = {who.COPY: False, who.FRESH_COPY: True}  # whether memory is allocated
_SCALE = 3.0  # of the inputs: they reach where activations saturate


@dataclass(frozen=True, slots=True)
class Plan:
    """What is timed how; the arguments of :func:`gradsmith.bench.bench.bench`."""

    sizes: tuple[int, ...]
    threads: tuple[int, ...]
    passes: tuple[str, ...]
    dtype: torch.dtype
    rounds: int
    least: float
    seed: int


def admitted(
    everyone: Sequence[Contestant], ours: Activation, dtype: torch.dtype, given: bool, tell: Tell
) -> tuple[list[Contestant], dict[str, Kept], dict[str, str]]:
    """Who works, what each keeps for backward, and why the others do not.

    ``given`` says that the second is what the user gave: then it has to work, as ours has to.
    """
    probes = tensors(len(ours.inputs), _PROBED, dtype)
    running, kept, skipped = [], {}, {}
    for i, contestant in enumerate(everyone):
        tell(f"trying {contestant.label}", i, len(everyone))
        try:
            kept[contestant.key] = _tried(contestant, probes)
        except Exception as error:  # whatever a rival cannot do is a finding
            if contestant.key == who.OURS or (contestant.key == who.BUILTIN and given):
                raise ValueError(f"{contestant.label}: {first_line(error)}") from error
            skipped[contestant.label] = first_line(error)
        else:
            running.append(contestant)
    return running, kept, skipped


def _tried(contestant: Contestant, probes: Sequence[Tensor]) -> Kept:
    """What it keeps for backward, once it has shown that it works: forward and backward."""
    *inputs, g = probes
    leaves = [x.detach().clone().requires_grad_() for x in inputs]
    call = contestant.fresh()
    y = call(*leaves)
    if not isinstance(y, Tensor):
        raise ValueError(f"it returned a {type(y).__name__} instead of a tensor")
    if (y.shape, y.dtype) != (g.shape, g.dtype):
        raise ValueError(
            f"of {g.dtype} of shape {tuple(g.shape)} it made {y.dtype} of shape {tuple(y.shape)}"
        )
    if not y.requires_grad:
        raise ValueError("its result has no gradient with respect to the input")
    torch.autograd.grad(y, leaves, g, allow_unused=True)
    return measure_kept(call, leaves)


def kept_of_large(ours: Activation, dtype: torch.dtype, largest: int) -> dict[str, Kept]:
    """What ours keeps for backward of large tensors, by a label; where that is something else."""
    if largest < LARGE or ours.save_plan(dtype=dtype).large is None:
        return {}
    leaves = [x.requires_grad_() for x in tensors(len(ours.inputs), LARGE, dtype)[:-1]]
    label = f"{who.LABELS[who.OURS]}, {LARGE:,} elements or more"
    return {label: measure_kept(ours, leaves)}


def first_gradients(
    ours: Activation, dtype: torch.dtype, running: Sequence[Contestant], tell: Tell
) -> tuple[dict[str, float], dict[str, str]]:
    """Seconds until the first gradient of those that compile, and why it is not known."""
    found, unknown = {}, {}
    for contestant in running:
        if contestant.key in (who.OURS, who.COMPILED):
            tell(f"first gradient of {contestant.label}", 0, 0)
            try:
                found[contestant.key] = first_gradient(ours.formula, name_of(dtype), contestant.key)
            except RuntimeError as error:
                unknown[f"first gradient of {contestant.label}"] = str(error)
    return found, unknown


def timings(
    ours: Activation, running: Sequence[Contestant], plan: Plan, tell: Tell
) -> Iterator[Timing]:
    """The times of those who work and of the roofline, place by place."""
    each = len(plan.threads) * (len(running) + len(_ROOFLINES)) * plan.rounds
    done, total = 0, len(plan.sizes) * len(plan.passes) * each
    for size in plan.sizes:
        drawn = tensors(len(ours.inputs), size, plan.dtype, plan.seed)
        calls = {(c.key, n): c.fresh() for n in plan.threads for c in running}
        for direction in plan.passes:
            where = f"{direction}, {size:,} elements"
            tell(f"{where}: first calls", done, total)
            moved = traffic(ours, direction, plan.dtype)
            jobs = {at: Job(*at, timed(direction, call, *drawn)) for at, call in calls.items()}
            for key, allocated in _ROOFLINES.items():
                move = forward(moving(moved, drawn[-1], allocated=allocated), ())
                jobs |= {(key, n): Job(key, n, move) for n in plan.threads}

            def started(label: str, turn: int, where: str = where, done: int = done) -> None:
                tell(f"{where}: {label}", done + turn, total)

            found = race(
                list(jobs.values()), plan.rounds, least=plan.least, seed=plan.seed, tell=started
            )
            done += each
            for (key, n), seconds in zip(jobs, found, strict=True):
                yield Timing(key, direction, size, n, seconds)


def tensors(count: int, size: int, dtype: torch.dtype, seed: int = 0) -> tuple[Tensor, ...]:
    """Inputs and, as the last, an upstream gradient: normally distributed, none subnormal.

    Subnormal inputs take some processors a hundred times as long.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = []
    for _ in range(count + 1):
        x = torch.randn(size, generator=generator).mul_(_SCALE).to(dtype)
        least = torch.finfo(dtype).tiny
        drawn.append(torch.where(x.abs() < least, torch.full((), least, dtype=dtype), x))
    return tuple(drawn)


def timed(direction: str, call: Callable[..., Tensor], *tensors: Tensor) -> Callable[[int], float]:
    """How to time one pass of ``call``, a function of all ``tensors`` but the last.

    Args:
        direction: "forward", "backward" or "both".
        call: the function; the parameters of a module that require a gradient get theirs.
        tensors: the inputs, then the upstream gradient.
    """
    *inputs, g = tensors
    if direction == FORWARD:
        return forward(call, inputs)
    leaves = [x.detach().requires_grad_() for x in inputs]
    learned = list(call.parameters()) if isinstance(call, torch.nn.Module) else []
    measure = backward if direction == BACKWARD else both
    return measure(call, leaves, [*leaves, *learned], g)


def traffic(ours: Activation, direction: str, dtype: torch.dtype) -> list[Traffic]:
    """What a pass must read and write: forward the inputs; backward what is kept, and g."""
    inputs = len(ours.inputs)
    saved = ceil(ours.save_plan(dtype=dtype).bytes_per_element / dtype.itemsize)
    there, back = Traffic(inputs, 1), Traffic(saved + 1, inputs)
    return {FORWARD: [there], BACKWARD: [back], BOTH: [there, back]}[direction]


def name_of(dtype: torch.dtype) -> str:
    """Such as "float32"."""
    return str(dtype).removeprefix("torch.")


def first_line(error: BaseException) -> str:
    """What it says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
