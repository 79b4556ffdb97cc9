"""``certify``: how far value and derivatives are from the exact ones, measured, not guessed.

It must look at every input where that is possible and where errors are where it is not; must never
report a figure that it did not measure; and must say what it could not measure.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from gradsmith.activation import Activation
from gradsmith.backends import dispatch
from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Symbol
from gradsmith.formula.formula import LIBRARY, Formula
from gradsmith.formula.parse import parse
from gradsmith.truth import distribute, exactly
from gradsmith.truth.certificate import CONTRACT, Certificate, Coverage, Made
from gradsmith.truth.distribute import State, Tell
from gradsmith.truth.progress import bar
from gradsmith.truth.quantities import quantities
from gradsmith.truth.subject import Comparable, Subject, subject
from gradsmith.truth.sweep import Task
from gradsmith.version import VERSION


def certify(
    activation: Comparable,
    dtype: torch.dtype = torch.float32,
    *,
    formula: str | Formula | Activation | None = None,
    parameters: Mapping[str, float] | None = None,
    wrt: str | None = None,
    exhaustive: bool = False,
    patterns: range | None = None,
    orders: Sequence[int] = (0, 1, 2),
    samples: int = 1_000_000,
    seed: int = 0,
    processes: int | None = None,
    progress: Tell | bool | None = None,
    state: str | os.PathLike[str] | None = None,
    distributed: bool = False,
) -> Certificate:
    """How far an activation is from the truth: where, how often, and how it is wrong.

    Value, first and second derivative are computed as users get them, the derivatives by backward
    passes with upstream gradient 1, and compared with the exact value of the formula as it is
    written, enclosed by ball arithmetic. Errors are in ULP of ``dtype`` at the exact value
    (:mod:`gradsmith.truth.ulp`); zeros, infinities, NaNs and signs that should not be there are
    counted by themselves.

    Of bfloat16 and float16 all 65,536 inputs are looked at; of float32 all 2³² if ``exhaustive``.
    Otherwise, and for functions of several inputs, a sample is drawn that is dense at kinks, roots
    of value and derivatives, edges of saturation, overflow and underflow, subnormals and powers
    of two.

    Args:
        activation: an activation, a formula, a name in the catalogue or in torch, a module, an
            ``autograd.Function``, or a function of a tensor, run as it is.
        dtype: float32, bfloat16, float16 or float64.
        formula: what it should compute, where that cannot be read from ``activation``. A function
            that is not ours is called with its inputs alone, whatever parameters the formula has.
        parameters: values in place of the defaults.
        wrt: the input to differentiate in; left out, each.
        exhaustive: whether to look at every float32 input; takes minutes.
        patterns: the bit patterns to look at instead, such as ``range(0, 2**32, 4099)``.
        orders: which of value (0), first (1) and second derivative (2) to look at.
        samples: how many inputs to draw at least, where not all are looked at.
        seed: of the sample.
        processes: how many work at a time; left out, one for each core.
        progress: a function that is told what is done, how many inputs of how many; False for
            nothing. Left out: a bar, if stderr is a terminal.
        state: a folder that keeps finished parts; with it an interrupted call goes on.
        distributed: whether the processes of the initialised ``torch.distributed`` group share the
            work. Each must call this; each gets the whole certificate.

    Raises:
        FormulaError: a text cannot be read as a formula, or a parameter is not one of it.
        TypeError: an argument is of a kind that is not accepted.
        ValueError: what it should compute is not known, the dtype or an order is not one of those
            above, or all inputs are asked for where they are too many.
    """
    measured = subject(activation)
    if not isinstance(parameters, Mapping | None):
        raise TypeError(f"parameters is a mapping of names to numbers, got {parameters!r}")
    exact = stated(measured, formula, dict(parameters or {}))
    if dtype not in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
        raise ValueError(f"certified are float32, bfloat16, float16 and float64, not {dtype}")
    if processes is not None and not _is_whole(processes, least=1):
        raise ValueError(f"processes is how many work at a time, 1 or more; got {processes!r}")
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress is a function, True or False, got {progress!r}")
    coverage = _coverage(exact, dtype, exhaustive, patterns, samples, seed)
    asked = quantities(exact, orders, wrt)
    task = Task(measured, exact, dtype, asked, coverage, dispatch.backend())
    made = _made(measured)
    name = str(dtype).removeprefix("torch.")
    assert name in CONTRACT
    found = Certificate(
        measured.name, str(exact), exact.inputs, dict(exact.parameters), name, coverage, (), made
    )
    kept = State(state, _key(found, task)) if state is not None else None
    with bar(progress) if not callable(progress) else nullcontext(progress) as tell:
        results = distribute.run(task, processes, tell, kept, distributed)
    return replace(found, results=tuple(results))


def stated(
    measured: Subject, given: str | Formula | Activation | None, parameters: Mapping[str, float]
) -> Formula:
    """What the subject should compute, its parameters' values as defaults.

    Raises:
        FormulaError: ``given`` cannot be read, or has no such parameter.
        TypeError: ``given`` is no formula.
        ValueError: it is left out and cannot be read from the subject.
    """
    if isinstance(given, Activation):
        given = given.formula
    if isinstance(given, str):
        bare = given.strip()
        given = LIBRARY[bare]() if bare in LIBRARY else parse(given, parameters)
        if isinstance(given.expression, Symbol) and bare not in {"x", *_inputs_of(measured)}:
            # As a formula it would be the identity of an input of that name, which nobody means.
            near = get_close_matches(bare, LIBRARY, n=1, cutoff=0.6)
            hint = f"did you mean {near[0]!r}?" if near else "write one such as 'x*sigmoid(x)'"
            raise FormulaError(f"no formula is called {bare!r}; {hint}")
    if given is None and measured.activation is not None:
        given = measured.activation.formula
    if given is None:
        chain = exactly.chain(measured, None, None, None, {})
        if chain is None:
            raise ValueError(
                f"what {measured.name} should compute cannot be read from it; say so, as in "
                "certify(…, formula='x*sigmoid(x)')"
            )
        given = chain.formula
    if not isinstance(given, Formula):
        raise TypeError(f"formula is a text or a Formula, got {type(given).__name__}")
    unknown = [key for key in parameters if key not in given.parameters]
    if unknown:
        has = ", ".join(given.parameters) or "none"
        raise FormulaError(f"{given} has no parameter {unknown[0]!r}; its parameters: {has}")
    ours = measured.activation
    if ours is not None and ours.inputs != given.inputs:
        raise ValueError(f"{measured.name} has the inputs {ours.inputs}, {given} {given.inputs}")
    return replace(given, parameters={**given.parameters, **parameters})


def _inputs_of(measured: Subject) -> tuple[str, ...]:
    return measured.activation.inputs if measured.activation is not None else ()


def _is_whole(number: object, least: int) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= least


def _coverage(
    formula: Formula,
    dtype: torch.dtype,
    exhaustive: bool,
    patterns: range | None,
    samples: int,
    seed: int,
) -> Coverage:
    name = str(dtype).removeprefix("torch.")
    several = len(formula.inputs) > 1
    if exhaustive and patterns is not None:
        raise ValueError("either exhaustive or patterns, not both")
    if several and (exhaustive or patterns is not None):
        names = ", ".join(formula.inputs)
        raise ValueError(
            f"all combinations of the inputs {names} are too many; leave exhaustive and patterns "
            "away for a sample of them, or hold all inputs but one at a number"
        )
    if exhaustive and dtype == torch.float64:
        raise ValueError(
            "2**64 inputs are too many; leave exhaustive away for a sample of float64, or take "
            "float32, bfloat16 or float16"
        )
    if patterns is not None:
        if not isinstance(patterns, range) or not patterns or patterns.step < 1:
            raise ValueError(
                f"patterns is a range of bit patterns that goes up and is not empty, such as "
                f"range(0x3f80, 0x4000); got {patterns!r}"
            )
        if patterns.start < 0 or patterns.stop > 2 ** (8 * dtype.itemsize):
            raise ValueError(
                f"bit patterns of {name} are 0 or more and below 2**{8 * dtype.itemsize}; "
                f"got {patterns!r}"
            )
        return Coverage(((patterns.start, patterns.stop, patterns.step),))
    if exhaustive or (dtype.itemsize == 2 and not several):
        return Coverage(((0, 2 ** (8 * dtype.itemsize), 1),))
    if not _is_whole(samples, least=1):
        raise ValueError(f"samples is a number of inputs, got {samples!r}")
    if not _is_whole(seed, least=0):
        raise ValueError(f"seed is a whole number, 0 or more; got {seed!r}")
    return Coverage((), samples, seed)


def _made(measured: Subject) -> Made:
    name = dispatch.backend() if measured.activation is not None else "torch"
    capability = torch.backends.cpu.get_cpu_capability()
    return Made(name, VERSION, code_version(), torch.__version__, capability)


@cache
def code_version() -> str:
    """The beginning of a hash of gradsmith's own source, which needs no version control."""
    root = Path(__file__).resolve().parents[1]
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root).as_posix()).encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def _key(found: Certificate, task: Task) -> dict[str, Any]:
    """What identifies a task: with the same of these, finished parts can be taken over."""
    return {
        "subject": found.subject,
        "formula": found.formula,
        "inputs": list(found.inputs),
        "parameters": dict(found.parameters),
        "dtype": found.dtype,
        "quantities": [quantity.name(several=True) for quantity in task.quantities],
        "patterns": [list(part) for part in found.coverage.patterns],
        "samples": found.coverage.samples,
        "seed": found.coverage.seed,
        **{name: getattr(found.made, name) for name in found.made.__slots__},
    }
