"""The command ``certify``: on its own, since it also runs under torchrun and for minutes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradsmith.cli.console import (
    FAILED,
    bad_use,
    check_output,
    fail,
    is_terminal,
    note,
    show,
    table,
    working,
)
from gradsmith.cli.options import (
    Dtype,
    Inputs,
    Output,
    Parameters,
    WithRespectTo,
    parameter_values,
    resolved,
)

if TYPE_CHECKING:
    from gradsmith.activation import Activation
    from gradsmith.formula.formula import Formula
    from gradsmith.truth.certificate import Certificate
    from gradsmith.truth.subject import Comparable

EPILOG = (
    "Examples:\n\n"
    "[cyan]gradsmith certify gelu --exhaustive -o gelu.json[/]\n\n"
    "[cyan]gradsmith certify mish --against torch.nn.functional.mish --dtype bfloat16[/]\n\n"
    "[cyan]torchrun --nproc-per-node 8 -m gradsmith certify silu --exhaustive -o silu.json[/]\n\n"
    "Exits with 1 if it does not keep the contract: float32 1, 1, 2 ULP for value, first and "
    "second derivative; bfloat16 and float16 0.51; float64 4; nothing wrong, nothing missing."
)


def certify(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="SUBJECT",
            help="A formula, a name that `gradsmith list` shows, or a name in torch such as "
            "torch.nn.functional.gelu.",
            show_default=False,
        ),
    ],
    formula: Annotated[
        str | None,
        typer.Option(
            metavar="FORMULA",
            help="What it should compute. Left out: what it says itself.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="Something else to measure beside it, of the same formula.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="Of inputs and results.")] = Dtype.FLOAT32,
    exhaustive: Annotated[
        bool,
        typer.Option(
            "--exhaustive", help="Look at all 2³² float32 inputs; of 16-bit dtypes all are anyway."
        ),
    ] = False,
    samples: Annotated[
        int, typer.Option(min=1, metavar="N", help="How many inputs to draw, if not all.")
    ] = 1_000_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the sample.")] = 0,
    patterns: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO[:STEP]",
            help="Look at these bit patterns instead, as in 0x3f800000:0x40000000.",
            show_default=False,
        ),
    ] = None,
    orders: Annotated[
        str, typer.Option(metavar="N,N", help="Value (0), first (1), second derivative (2).")
    ] = "0,1,2",
    parameter: Parameters = None,
    input: Inputs = None,
    wrt: WithRespectTo = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="How many work at a time. Left out: all cores.",
            show_default=False,
        ),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Where finished parts are kept, so that an interrupted run goes on. Left out: "
            "with --exhaustive and -o, beside that file until it is written.",
            show_default=False,
        ),
    ] = None,
    output: Output = None,
) -> None:
    """Measure it against the exact value: maximum error, where, how often, what is wrong."""
    check_output(output)
    chosen, numbers = _orders(orders), _patterns(patterns)
    ours = _subject(subject, parameter, input)
    beside = None if against is None else _subject(against, parameter, input)
    # What is ours has taken them; a formula that is given, or read from torch, has not.
    given = parameter_values(parameter or ())
    rest = given if formula is not None or isinstance(ours, str) else {}
    with working("reading the formula"), bad_use():
        import torch

        from gradsmith.truth import distribute
        from gradsmith.truth.certify import certify, stated
        from gradsmith.truth.subject import subject as side

        exact = stated(side(ours), _formula(formula, given, input), rest)
        theirs = None if beside is None else side(beside)
    folder = state
    if folder is None and exhaustive and output is not None and _is_ordinary(output):
        folder = output.with_name(output.name + ".parts")
    with bad_use(output), distribute.torchrun() as (rank, ranks):

        def measured(what: Comparable, kept: Path | None) -> Certificate:
            return certify(
                what,
                getattr(torch, dtype.value),
                formula=exact,
                wrt=wrt,
                exhaustive=exhaustive,
                patterns=numbers,
                orders=chosen,
                samples=samples,
                seed=seed,
                processes=processes,
                progress=None if rank == 0 else False,
                state=kept,
                distributed=ranks > 1,
            )

        found = measured(ours, folder)
        of_theirs = None if theirs is None else measured(theirs, None)
        if rank == 0 and output is not None:
            found.save(output)
        if ranks > 1:
            torch.distributed.barrier()  # nobody's parts go before the whole is written
        if state is None and folder is not None:
            distribute.discard(folder)
    if rank > 0:  # torchrun ends the others as soon as one fails, and the first has yet to print
        return
    _show(found)
    if of_theirs is not None:
        show("")
        _show(of_theirs)
    if output is not None:
        note(str(output.resolve()))
    if not found.ok:
        raise typer.Exit(FAILED)


def _of_torch(text: str) -> bool:
    return text.strip().startswith("torch.")


def _subject(text: str, parameter: list[str] | None, inputs: list[str] | None) -> Activation | str:
    """What to measure: one of ours with these parameters, or a name in torch."""
    if _of_torch(text):
        return text.strip()
    return resolved(text, parameter, inputs)


def _formula(
    text: str | None, given: dict[str, float], inputs: list[str] | None
) -> str | Formula | None:
    from gradsmith.formula.parse import parse

    return parse(text, given, tuple(inputs)) if text is not None and inputs else text


def _is_ordinary(path: Path) -> bool:
    """Whether this is, or will be, a file and not a device, beside which nothing can be kept."""
    return path.is_file() or not path.exists()


def _orders(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if any(part.strip() not in {"0", "1", "2"} for part in parts):
        fail(f"--orders takes 0, 1 and 2, separated by commas; got {text!r}")
    return tuple(sorted({int(part) for part in parts}))


def _patterns(text: str | None) -> range | None:
    if text is None:
        return None
    try:
        first, stop, *step = (int(part, 0) for part in text.split(":"))
        return range(first, stop, *step)
    except (ValueError, TypeError):
        fail(f"--patterns takes FROM:TO or FROM:TO:STEP, as in 0x0:0x7f800000; got {text!r}")


def _show(found: Certificate) -> None:
    if not is_terminal():
        show(str(found))
        return
    header, *rows = found.rows()
    table(header, rows, found.title())
    show("\n".join([*found.notes(), str(found.made)]))
