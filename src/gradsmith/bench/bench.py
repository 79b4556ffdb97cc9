"""``bench``: an activation beside what its user would otherwise run, in one interleaved run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch

from gradsmith.activation import Resolvable, resolve
from gradsmith.bench import contestants as who
from gradsmith.bench.benchmark import Benchmark
from gradsmith.bench.machine import Machine
from gradsmith.bench.run import Plan, admitted, first_gradients, kept_of_large, name_of, timings
from gradsmith.bench.timing import LEAST, PASSES
from gradsmith.catalogue.known import title
from gradsmith.truth.distribute import Tell
from gradsmith.truth.progress import bar
from gradsmith.truth.subject import Comparable

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SIZES = (2**10, 2**14, 2**20, 2**24)


def bench(
    activation: Resolvable,
    against: Comparable | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    sizes: Sequence[int] = SIZES,
    threads: Sequence[int] | None = None,
    passes: Sequence[str] = PASSES,
    rounds: int = 11,
    compiled: bool = True,
    first: bool = True,
    device: torch.device | str = "cpu",
    least: float = LEAST,
    seed: int = 0,
    progress: Tell | bool | None = None,
) -> Benchmark:
    """How fast an activation is, beside PyTorch's own and what a user would write instead.

    Side by side run: ours; PyTorch's own function of the same formula, if there is one; the
    formula as it is written, in torch operations, eager and under ``torch.compile``; an
    ``autograd.Function`` as in a tutorial, which saves its output where the derivative can be had
    from it, else its input, and whose backward is several torch operations; and, as the roofline,
    moving as many bytes as the pass must. In each round each of them is timed once, in a changing
    order; ratios are taken within a round. Inputs are 1-dimensional, normally distributed with
    standard deviation 3.

    Args:
        activation: an activation, a catalogue name, a formula's text or a function.
        against: what takes the place of PyTorch's own function: anything that
            :func:`gradsmith.compare` takes.
        dtype: float32, float64, float16 or bfloat16.
        sizes: numbers of elements.
        threads: how many threads torch has, each in turn. Left out: 1, and as many as it has now.
        passes: which of "forward" (nothing recorded), "backward" (of a recorded graph) and "both"
            to time.
        rounds: how often each is timed.
        compiled: whether ``torch.compile`` takes part; it takes seconds for each size and number
            of threads.
        first: whether to time the first gradient of the formula in fresh processes as well.
        device: where to run; "cpu".
        least: seconds that one sample takes at least; shorter calls are repeated within it.
        seed: of inputs, upstream gradient and order.
        progress: a function that is told what is done, how much of how much; False for nothing.
            Left out: a bar, if stderr is a terminal.

    Raises:
        FormulaError: a text cannot be read as a formula.
        TypeError: an argument is of a kind that is not accepted.
        ValueError: the dtype, a size, a number of threads, a pass or the number of rounds is not
            one of those above, or ``against`` is not such a function.
    """
    ours = resolve(activation)
    if threads is None:
        threads = [1, torch.get_num_threads()]
    _check(dtype, sizes, threads, passes, rounds, least, device)
    everyone = who.contestants(ours, against, compiled)
    with bar(progress) if not callable(progress) else nullcontext(progress) as shown:
        tell = shown or _silent
        running, kept, skipped = admitted(everyone, ours, dtype, against is not None, tell)
        kept |= kept_of_large(ours, dtype, max(sizes))
        seconds, unknown = first_gradients(ours, dtype, running, tell) if first else ({}, {})
        plan = Plan(
            tuple(dict.fromkeys(sizes)),
            tuple(dict.fromkeys(threads)),
            tuple(dict.fromkeys(passes)),
            dtype,
            rounds,
            least,
            seed,
        )
        times = tuple(timings(ours, running, plan, tell))  # while the bar is shown
    labels = {contestant.key: contestant.label for contestant in running}
    return Benchmark(
        title(ours),
        str(ours.formula),
        ours.parameters,
        name_of(dtype),
        rounds,
        Machine.here(),
        labels | {key: who.LABELS[key] for key in (who.COPY, who.FRESH_COPY)},
        times,
        kept,
        seconds,
        skipped | unknown,
    )


def _check(
    dtype: torch.dtype,
    sizes: Sequence[int],
    threads: Sequence[int],
    passes: Sequence[str],
    rounds: int,
    least: float,
    device: torch.device | str,
) -> None:
    if dtype not in DTYPES:
        accepted = ", ".join(map(name_of, DTYPES))
        raise ValueError(f"the dtype is one of {accepted}; got {dtype!r}")
    if str(device).partition(":")[0] != "cpu":
        raise ValueError(f"only the CPU can be timed so far, got device {str(device)!r}")
    for what, numbers in (("a size", sizes), ("a number of threads", threads)):
        if isinstance(numbers, (str, int)) or not numbers:
            raise ValueError(f"{what} is needed: one or several whole numbers, got {numbers!r}")
        for number in numbers:
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ValueError(f"{what} is a whole number from 1, got {number!r}")
    if isinstance(passes, str) or not passes or not set(passes) <= set(PASSES):
        raise ValueError(f"passes are some of {', '.join(PASSES)}; got {passes!r}")
    if isinstance(rounds, bool) or not isinstance(rounds, int) or rounds < 1:
        raise ValueError(f"rounds is a whole number from 1, got {rounds!r}")
    if not 0 < least < float("inf"):
        raise ValueError(f"least is a number of seconds above 0, got {least!r}")


def _silent(what: str, done: int, total: int) -> None:
    pass
