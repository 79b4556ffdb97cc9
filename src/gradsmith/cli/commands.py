"""The commands. Each resolves its arguments, calls the verb of the same name and prints."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from gradsmith.cli import bench as benching
from gradsmith.cli import build as building
from gradsmith.cli import cache as caching
from gradsmith.cli import certify as certifying
from gradsmith.cli.console import (
    FAILED,
    bad_use,
    check_output,
    check_picture,
    deliver,
    is_terminal,
    note,
    progress,
    show,
    show_rich,
    table,
    working,
)
from gradsmith.cli.options import (
    Against,
    Dtype,
    Format,
    FormulaText,
    Inputs,
    Order,
    Output,
    Parameters,
    WithRespectTo,
    file_name,
    resolved,
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        import gradsmith

        try:
            with_torch = f", PyTorch {version('torch')}"
        except PackageNotFoundError:
            with_torch = ", PyTorch is not installed"
        python = ".".join(map(str, sys.version_info[:3]))
        show(f"gradsmith {gradsmith.__version__}{with_torch}, Python {python}")
        raise typer.Exit


@app.callback(
    epilog="Examples:\n\n"
    "[cyan]gradsmith report 'x * tanh(log(1 + exp(x)))' --against torch.nn.functional.mish[/]\n\n"
    "[cyan]gradsmith derive sigmoid[/]\n\n"
    "[cyan]gradsmith compare 'x*sigmoid(b*x)' -p b=1 --against torch.nn.functional.silu[/]\n\n"
    "A formula is written as in Python: + - * / **, where(x > 0, x, 0), exp, log, tanh, erf, "
    "sigmoid, … and every name that `gradsmith list` shows. Put it in quotes.\n\n"
    "Exit codes: 0 all is well; 1 a comparison failed, nothing was found or something is broken; "
    "2 bad use."
)
def _gradsmith(
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Show versions and exit.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """One formula in; a numerically stable, differentiable PyTorch activation out, with proof."""


@app.command(epilog="Example: [cyan]gradsmith derive '1/(1 + exp(-x))'[/]")
def derive(
    formula: FormulaText,
    parameter: Parameters = None,
    input: Inputs = None,
    wrt: WithRespectTo = None,
    order: Order = 1,
    format: Annotated[Format, typer.Option(help="How to write it.")] = Format.TEXT,
    output: Output = None,
) -> None:
    """Derive the gradient step by step, each step with its rule."""
    check_output(output)
    activation = resolved(formula, parameter, input)
    with working("deriving"), bad_use():
        from gradsmith.show.verbs import derive

        derivation = derive(activation, wrt, order)
        written = {
            Format.TEXT: derivation.__str__,
            Format.MARKDOWN: derivation.to_markdown,
            Format.LATEX: derivation.to_latex,
        }[format]()
    deliver(written, output)


@app.command(epilog="Example: [cyan]gradsmith properties gelu[/]")
def properties(
    formula: FormulaText,
    parameter: Parameters = None,
    input: Inputs = None,
    wrt: WithRespectTo = None,
) -> None:
    """Measure what it is good and bad for: range, saturation, vanishing gradients, cost."""
    activation = resolved(formula, parameter, input)
    with working("measuring"), bad_use():
        from gradsmith.show.verbs import properties

        measured = properties(activation, wrt)
    table(("property", "measured", "what it means"), measured.rows())


@app.command(epilog="Example: [cyan]gradsmith plot sigmoid --order 2 -o sigmoid.svg[/]")
def plot(
    formula: FormulaText,
    parameter: Parameters = None,
    input: Inputs = None,
    wrt: WithRespectTo = None,
    order: Annotated[int, typer.Option(min=0, max=4, help="The highest derivative to draw.")] = 1,
    low: Annotated[float, typer.Option("--from", metavar="X", help="Where to begin.")] = -8.0,
    high: Annotated[float, typer.Option("--to", metavar="X", help="Where to end.")] = 8.0,
    output: Output = None,
) -> None:
    """Draw it with its derivatives, kinks and saturation marked, as PNG, SVG or PDF."""
    check_output(output)
    activation = resolved(formula, parameter, input)
    path = output or file_name(activation, ".png")
    with working("drawing"), bad_use(path):
        from gradsmith.show.plot import plot

        check_picture(path)
        plot(activation, order, range=(low, high), wrt=wrt, path=path)
    show(str(path.resolve()))


@app.command(
    epilog="Example: [cyan]gradsmith compare mish --at -2 --at 0.5 --at 100[/]\n\n"
    "Exits with 1 if the two differ by more than the tolerance."
)
def compare(
    formula: FormulaText,
    against: Against = None,
    parameter: Parameters = None,
    input: Inputs = None,
    at: Annotated[
        list[float] | None,
        typer.Option(
            metavar="X",
            help="An input to compare at; once for each. Left out: the whole range.",
            show_default=False,
        ),
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="What to compute in.")] = Dtype.FLOAT32,
    max_ulp: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="How far apart the two may be, in ULP. Left out: one for each operation of the "
            "formula and its derivative.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Set output and gradients beside a reference, call by call, and say who is right."""
    activation = resolved(formula, parameter, input)
    with working("comparing"), bad_use():
        import torch

        from gradsmith.catalogue.known import counterpart
        from gradsmith.truth.compare import compare

        reference = against if against is not None else counterpart(activation)
        found = compare(
            activation, reference, at or None, dtype=getattr(torch, dtype.value), max_ulp=max_ulp
        )
    if is_terminal():
        show_rich(found)
    else:
        show(str(found))
    if not found.agrees:
        raise typer.Exit(FAILED)


app.command(epilog=certifying.EPILOG)(certifying.certify)
app.command(epilog=benching.EPILOG)(benching.bench)
app.command(epilog=building.EPILOG)(building.build)


@app.command(epilog="Example: [cyan]gradsmith study mish --against relu --against tanh[/]")
def study(
    formula: FormulaText,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FORMULA",
            help="A formula or a name in the catalogue to train with too; once for each. Left "
            "out: relu and tanh.",
            show_default=False,
        ),
    ] = None,
    parameter: Parameters = None,
    input: Inputs = None,
    seed: Annotated[int, typer.Option(help="Of the data and the initial weights.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Of each training.")] = 200,
    output: Output = None,
) -> None:
    """Train a small network with it and measure: vanishing gradients, saturation, cost."""
    check_output(output)
    activation = resolved(formula, parameter, input)
    with progress() as tell, bad_use():
        from gradsmith.show.study import study

        found = study(
            activation, against or ("relu", "tanh"), seed=seed, steps=steps, progress=tell
        )
    if output is None and is_terminal():
        header, *rows = found.rows()
        show(f"{found.setting}\n")
        table(header, rows)
        show("\n".join(f"{what}: {text}" for what, text in found.findings()))
    else:
        deliver(str(found), output)


@app.command(epilog="Example: [cyan]gradsmith emit 'x*sigmoid(x)' --name swish -o swish.py[/]")
def emit(
    formula: FormulaText,
    parameter: Parameters = None,
    input: Inputs = None,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="What to call the function.", show_default=False),
    ] = None,
    output: Output = None,
) -> None:
    """Write it as a PyTorch file of its own that needs only torch, with backward and module."""
    check_output(output)
    activation = resolved(formula, parameter, input)
    with working("writing the source"), bad_use():
        from gradsmith.show.emit import emit

        source = emit(activation, name=name)
    if output is None and is_terminal():
        from rich.syntax import Syntax

        show_rich(Syntax(source, "python", theme="ansi_dark", background_color="default"))
    else:
        deliver(source, output)


@app.command(
    epilog="Example: [cyan]gradsmith report 'x * tanh(log(1 + exp(x)))' "
    "--against torch.nn.functional.mish -o demo.html[/]\n\n"
    "Exits with 1 if the reference that is given differs by more than the tolerance; the page is "
    "written all the same."
)
def report(
    formula: FormulaText,
    against: Against = None,
    parameter: Parameters = None,
    input: Inputs = None,
    order: Annotated[
        int, typer.Option(min=1, max=4, help="Up to which order to derive and draw.")
    ] = 1,
    output: Output = None,
) -> None:
    """Write everything about it on one HTML page that opens without a network."""
    check_output(output)
    activation = resolved(formula, parameter, input)
    path = output or file_name(activation, ".html")
    with progress() as tell, bad_use(path):
        from gradsmith.show.report import report

        made = report(activation, path, against=against, order=order, progress=tell)
    show(str(made.path))
    comparison = made.comparison
    if comparison is not None:
        relation = "agrees with" if comparison.agrees else "differs from"
        note(f"{comparison.ours} {relation} {comparison.reference}; the page says where most")
        if against is not None and not comparison.agrees:
            raise typer.Exit(FAILED)


@app.command("list", epilog="Example: [cyan]gradsmith list shrink[/]")
def list_(
    word: Annotated[
        str,
        typer.Argument(
            metavar="[WORD]", help="Show only what has this word in it.", show_default=False
        ),
    ] = "",
) -> None:
    """Show the catalogue: names, formulas, defaults, PyTorch's own, where each comes from."""
    from gradsmith.catalogue import ENTRIES

    rows = [
        (
            ", ".join(entry.names),
            entry.formula,
            ", ".join(f"{name}={value:g}" for name, value in entry.parameters.items()),
            entry.torch or "",
            entry.reference,
        )
        for entry in ENTRIES
    ]
    found = [row for row in rows if word.lower() in " ".join(row).lower()]
    if not found:
        note(f"the catalogue has nothing with {word!r} in it")
        raise typer.Exit(FAILED)
    table(("name", "formula", "defaults", "in PyTorch", "reference"), found)


@app.command(epilog="Example: [cyan]gradsmith doctor[/]")
def doctor() -> None:
    """Say what works here: versions, backends, import times."""
    from gradsmith.cli.doctor import examine

    with working("measuring import times"):
        findings = examine(Path(sys.executable), dict(os.environ))
    table(("", "here", "what that means"), [f.row for f in findings])
    if not all(finding.works for finding in findings):
        raise typer.Exit(FAILED)


app.add_typer(caching.commands, name="cache")
