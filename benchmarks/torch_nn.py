"""The 24 activations of ``torch.nn`` beside ours: training passes, threads, dtypes, bandwidth.

For each, forward and backward pass of our module and of PyTorch's take their turns within each
round, at four sizes, on one thread and on two, in float32; beside them the ``autograd.Function``
that a tutorial would write and, with ``--compile``, ``torch.compile`` of the formula. At 2²⁰
elements also bfloat16 and, as the roofline, reading and writing as many bytes. What no kernel could
go below is timed as well: a training pass of PyTorch's cheapest operation on one element, which is
what a call and its place in the graph cost, or the roofline. Ratios are taken within a round; given
are medians and quartiles. ``python benchmarks/torch_nn.py [--rounds N]``.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradsmith import nn
from gradsmith.activation import Activation
from gradsmith.bench import contestants as who
from gradsmith.bench.machine import Machine
from gradsmith.bench.roofline import Traffic, moving
from gradsmith.bench.run import tensors, timed
from gradsmith.bench.timing import BACKWARD, BOTH, FORWARD, LEAST, Job, Spread, forward, race
from gradsmith.bench.tutorial import tutorial_function, written
from gradsmith.catalogue import formula_of
from gradsmith.truth.progress import bar

SIZES = (2**10, 2**14, 2**20, 2**24)
LARGE = 2**20  # where the roofline, bfloat16 and threads are looked at
THREADS = (1, 2)
# Arguments where the class asks for some.
ACTIVATIONS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("CELU", "ELU", "GELU", "GLU", "Hardshrink", "Hardsigmoid"), ()),
    **dict.fromkeys(("Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish", "PReLU"), ()),
    **dict.fromkeys(("RReLU", "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus"), ()),
    **dict.fromkeys(("Softshrink", "Softsign", "Tanh", "Tanhshrink"), ()),
    "Threshold": (0.1, -1.0),
}
DTYPE, NARROW = torch.float32, torch.bfloat16
ROOFLINES = {
    FORWARD: [Traffic(1, 1)],
    BACKWARD: [Traffic(2, 1)],
    BOTH: [Traffic(1, 1), Traffic(2, 1)],
}
BUILTIN, TUTORIAL, COMPILED = who.BUILTIN, who.TUTORIAL, who.COMPILED
ALONE = "ours, without a module"  # what functions are compared with
CALL = "torch.neg of one element"  # what any recorded call costs
Times = dict[tuple[Any, ...], tuple[float, ...]]


def drawn(module: torch.nn.Module, size: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """An input of so many elements and an upstream gradient of the result's shape."""
    x, g = tensors(1, size, dtype)
    return x, g[: module(x).numel()]


def measured(name: str, size: int, rounds: int, least: float, compiled: bool, tell: Any) -> Times:
    """Seconds per call by contestant, pass, dtype and threads, one for each round."""
    arguments = ACTIVATIONS[name]
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    inputs = drawn(theirs, size, DTYPE)
    jobs: dict[tuple[Any, ...], Any] = {
        (who.OURS, BOTH, "float32"): timed(BOTH, ours, *inputs),
        (BUILTIN, BOTH, "float32"): timed(BOTH, theirs, *inputs),
    }
    jobs[CALL, BOTH, "float32"] = timed(BOTH, torch.neg, *tensors(1, 1, DTYPE))
    formula = formula_of(ours.entry.name)
    if len(formula.inputs) == 1 and not arguments:
        jobs[ALONE, BOTH, "float32"] = timed(BOTH, Activation(formula), *inputs)
        function = tutorial_function(formula).apply
        jobs[TUTORIAL, BOTH, "float32"] = timed(BOTH, function, *inputs)
        if compiled:
            function = who.compiled_function(written(formula))
            jobs[COMPILED, BOTH, "float32"] = timed(BOTH, function, *inputs)
    if size == LARGE:
        for direction, traffic in ROOFLINES.items():
            jobs[who.OURS, direction, "float32"] = timed(direction, ours, *inputs)
            for key, allocated in ((who.COPY, False), (who.FRESH_COPY, True)):
                move = moving(traffic, inputs[0], allocated=allocated)
                jobs[key, direction, "float32"] = forward(move, ())
        narrow = [getattr(space, name)(*arguments).to(NARROW) for space in (nn, torch.nn)]
        inputs = drawn(narrow[1], size, NARROW)
        for key, module in zip((who.OURS, BUILTIN), narrow, strict=True):
            jobs[key, BOTH, "bfloat16"] = timed(BOTH, module, *inputs)
    places = [(*key, threads) for key in jobs for threads in THREADS]
    turns = [Job(str(at[0]), at[-1], jobs[at[:-1]]) for at in places]
    where = f"{name}, {size:,} elements"
    found = race(turns, rounds, least=least, tell=lambda label, turn: tell(f"{where}: {label}"))
    return dict(zip(places, found, strict=True))


def ratio(times: Times, above: tuple[Any, ...], below: tuple[Any, ...]) -> Spread | None:
    """Of two, taken within each round; None where one was not timed."""
    if above not in times or below not in times:
        return None
    return Spread.of([a / b for a, b in zip(times[above], times[below], strict=True)])


def limit(times: Times, above: tuple[Any, ...]) -> Spread | None:
    """The ratio that kernels could reach which take no time, or no more than the roofline."""
    found = [ratio(times, above, (key, *above[1:])) for key in (CALL, who.COPY)]
    return min((one for one in found if one is not None), key=lambda one: one.median, default=None)


def ratios(name: str, found: dict[int, Times]) -> dict[str, Any]:
    """Everything that is said of one activation."""
    limits = [f"limit, {key}" for key in (BUILTIN, TUTORIAL)]
    kinds = ("microseconds", BUILTIN, TUTORIAL, COMPILED, *limits)
    record: dict[str, Any] = {kind: {} for kind in kinds}
    for size, times in found.items():
        for threads in THREADS:
            at, ours = f"{size}, {threads}", (who.OURS, BOTH, "float32", threads)
            record["microseconds"][at] = scaled(Spread.of(times[ours]), 1e6)
            record[BUILTIN][at] = ratio(times, (BUILTIN, *ours[1:]), ours)
            for key in (BUILTIN, TUTORIAL):
                record[f"limit, {key}"][at] = limit(times, (key, *ours[1:]))
            for key in (TUTORIAL, COMPILED):
                record[key][at] = ratio(times, (key, *ours[1:]), (ALONE, *ours[1:]))
    large = found[LARGE]
    ours = (who.OURS, BOTH, "float32")
    record["scaling"] = ratio(large, (*ours, THREADS[0]), (*ours, THREADS[-1]))
    narrow = (who.OURS, BOTH, "bfloat16", 1)
    record["bfloat16 over float32"] = ratio(large, narrow, (*ours, 1))
    record["bfloat16, builtin"] = ratio(large, (BUILTIN, BOTH, "bfloat16", 1), narrow)
    for key in (who.COPY, who.FRESH_COPY):
        for direction in ROOFLINES:
            place = (direction, "float32", 1)
            record[f"{direction} over {key}"] = ratio(large, (who.OURS, *place), (key, *place))
    return record


def scaled(spread: Spread, by: float) -> Spread:
    return Spread(spread.median * by, spread.lower * by, spread.upper * by)


def geometric_mean(values: Iterable[float]) -> float:
    logarithms = [math.log(value) for value in values]
    return math.exp(math.fsum(logarithms) / len(logarithms)) if logarithms else math.nan


def means(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The geometric mean of every figure over the activations that have it."""
    first = next(iter(records.values()))

    def of(*path: str) -> float | None:
        values = []
        for record in records.values():
            value: Any = record
            for key in path:
                value = value[key]
            if value is not None:
                values.append(value.median)
        return geometric_mean(values) if values else None

    return {
        key: {at: of(key, at) for at in value} if isinstance(value, dict) else of(key)
        for key, value in first.items()
    }


def show(records: dict[str, dict[str, Any]], mean: dict[str, Any]) -> None:
    """Two tables: PyTorch's and others' time over ours; what limits ours."""

    def table(title: str, columns: dict[str, tuple[str, ...]]) -> None:
        print(f"\n{title}")
        print(f"{'':16}" + "".join(f"{name:>15}" for name in columns))
        for name, record in [*records.items(), ("geometric mean", mean)]:
            cells = []
            for path in columns.values():
                value: Any = record
                for key in path:
                    value = value[key]
                if value is None:
                    cells.append("-")
                else:
                    cells.append(f"{value:.2f}" if isinstance(value, float) else str(value))
            print(f"{name:16}" + "".join(f"{cell:>15}" for cell in cells))

    places = {
        f"2^{size.bit_length() - 1}, {n} thr.": f"{size}, {n}" for size in SIZES for n in THREADS
    }
    for key, title in (
        (BUILTIN, "forward and backward, float32: PyTorch's time over ours (goal: at least 1)"),
        (TUTORIAL, "the same of the tutorial's autograd.Function (goal: at least 3)"),
        (COMPILED, "the same of torch.compile of the formula (goal: at least 2)"),
        (f"limit, {BUILTIN}", "PyTorch's time over a call without a kernel; at 2^20 the roofline"),
        (f"limit, {TUTORIAL}", "the tutorial's time over the same"),
    ):
        if any(value is not None for r in records.values() for value in r[key].values()):
            table(title, {label: (key, at) for label, at in places.items()})
    table(
        "ours at 2^20, 1 thread: over the roofline into memory that is there or new; scaling to "
        f"{THREADS[-1]} threads; bfloat16",
        {
            "forward": (f"{FORWARD} over {who.COPY}",),
            "backward": (f"{BACKWARD} over {who.COPY}",),
            "both": (f"{BOTH} over {who.COPY}",),
            "both, new": (f"{BOTH} over {who.FRESH_COPY}",),
            "scaling": ("scaling",),
            "bf16/float32": ("bfloat16 over float32",),
            "bf16: PyTorch": ("bfloat16, builtin",),
        },
    )


def written_out(record: dict[str, Any]) -> str:
    """As JSON, a line for each activation; a spread is its median and both quartiles."""

    def line(value: object) -> str:
        def quartiles(found: Spread) -> list[float]:
            return [float(f"{x:.4g}") for x in (found.median, found.lower, found.upper)]

        return json.dumps(value, default=quartiles)

    parts = []
    for key, value in record.items():
        text = line(value)
        if key == "activations":
            lines = (f"  {json.dumps(name)}: {line(found)}" for name, found in value.items())
            text = "{\n" + ",\n".join(lines) + "\n }"
        parts.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(parts) + "\n}"


def main() -> None:
    """Print the tables and write the JSON record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--least", type=float, default=LEAST, help="seconds of a sample, at least")
    parser.add_argument("--compile", action="store_true", help="torch.compile as well (minutes)")
    parser.add_argument("--only", nargs="*", choices=list(ACTIVATIONS), help="these alone")
    parser.add_argument("--output", type=Path, help="left out: benchmarks/results/torch_nn.json")
    given = parser.parse_args()
    names = given.only or list(ACTIVATIONS)
    records: dict[str, dict[str, Any]] = {}
    with bar() as shown:
        for i, name in enumerate(names):

            def tell(what: str, done: int = i) -> None:
                if shown is not None:
                    shown(what, done, len(names))

            records[name] = ratios(
                name,
                {
                    size: measured(name, size, given.rounds, given.least, given.compile, tell)
                    for size in SIZES
                },
            )
    mean = means(records)
    machine = Machine.here()
    print(f"{machine}\n{given.rounds} rounds, medians ± half the distance of the quartiles")
    show(records, mean)
    path = given.output or Path(__file__).parent / "results" / "torch_nn.json"
    path.parent.mkdir(exist_ok=True)
    text = {
        "machine": asdict(machine),
        "threads": list(THREADS),
        "rounds": given.rounds,
        "activations": records,
        "geometric_mean": mean,
    }
    path.write_text(written_out(text) + "\n")
    print(f"\nwritten to {path}")


if __name__ == "__main__":
    main()
