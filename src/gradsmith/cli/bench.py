"""The command ``bench``: on its own, since it has more to choose from than most."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from gradsmith.cli.console import (
    bad_use,
    check_output,
    check_picture,
    fail,
    is_terminal,
    note,
    show,
    table,
)
from gradsmith.cli.options import Against, Dtype, FormulaText, Inputs, Parameters, resolved

EPILOG = (
    "Examples:\n\n"
    "[cyan]gradsmith bench mish[/]\n\n"
    "[cyan]gradsmith bench 'x*sigmoid(1.5*x)' --size 2**14 --size 2**20 --no-compile[/]\n\n"
    "[cyan]gradsmith bench gelu --dtype bfloat16 --json gelu.json --plot gelu.png[/]"
)
_POWER = re.compile(r"2(?:\*\*|\^)(\d{1,2})")


def bench(
    formula: FormulaText,
    against: Against = None,
    parameter: Parameters = None,
    input: Inputs = None,
    dtype: Annotated[Dtype, typer.Option(help="Of inputs and results.")] = Dtype.FLOAT32,
    size: Annotated[
        list[str] | None,
        typer.Option(
            metavar="N",
            help="How many elements, as 16384 or 2**14; once for each. Left out: 2**10, 2**14, "
            "2**20 and 2**24.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        list[int] | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many threads; once for each. Left out: 1 and all.",
            show_default=False,
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="How often each is timed.")] = 11,
    compile: Annotated[
        bool, typer.Option("--compile/--no-compile", help="Whether torch.compile takes part.")
    ] = True,
    first: Annotated[
        bool, typer.Option("--first/--no-first", help="Whether to time the first gradient.")
    ] = True,
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to write all times.", show_default=False),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where to draw the ratios.", show_default=False),
    ] = None,
) -> None:
    """Time it beside PyTorch's own, the formula in torch, and a hand-written Function."""
    for path in (json, plot):
        check_output(path)
    if plot is not None:
        check_picture(plot)
    chosen = [_size(text) for text in size or ()]
    activation = resolved(formula, parameter, input)
    with bad_use():
        import torch

        from gradsmith.bench.bench import SIZES
        from gradsmith.bench.bench import bench as measure

        found = measure(
            activation,
            against,
            dtype=getattr(torch, dtype.value),
            sizes=chosen or SIZES,
            threads=threads or None,
            rounds=rounds,
            compiled=compile,
            first=first,
        )
    if is_terminal():
        show(found.title())
        for title, header, rows in found.tables():
            table([title, *header[1:]], rows)
        show("\n".join(found.notes()))
    else:
        show(str(found))
    for path, write in ((json, found.save), (plot, found.plot)):
        if path is not None:
            with bad_use(path):
                write(path)
            note(str(path.resolve()))


def _size(text: str) -> int:
    power = _POWER.fullmatch(text.strip())
    if power is not None:
        return int(2 ** int(power[1]))
    if not re.fullmatch(r"[1-9]\d*", text.strip()):
        fail(f"--size takes a number of elements, as 16384 or 2**14; got {text!r}")
    return int(text)
