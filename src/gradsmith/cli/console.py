"""What the commands print, where to, and how they end when something is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, NoReturn

import typer

from gradsmith.errors import GradsmithError

if TYPE_CHECKING:
    from rich.console import Console

FAILED = 1
BAD_USE = 2


@cache
def _stdout() -> Console:
    from rich.console import Console

    return Console()


@cache
def _stderr() -> Console:
    from rich.console import Console

    return Console(stderr=True)


def fail(message: str) -> NoReturn:
    """Say what is wrong and end with the exit code for bad use."""
    typer.secho("error: ", fg=typer.colors.RED, bold=True, err=True, nl=False)
    typer.echo(message, err=True)  # by itself: a pointer to a column must not be wrapped
    raise typer.Exit(BAD_USE)


@contextmanager
def bad_use() -> Iterator[None]:
    """What is raised in here is the answer to wrong arguments: its message, no traceback."""
    try:
        yield
    except GradsmithError as error:
        fail(str(error))
    except OSError as error:
        where = f" {error.filename!r}" if error.filename else ""
        fail(f"cannot write{where}: {error.strerror or error}")
    except (TypeError, ValueError) as error:
        if not _is_answer(error):
            raise
        fail(str(error))


def _is_answer(error: Exception) -> bool:
    """Whether we, or the reference that was given, raised it; others would be our mistakes."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("gradsmith", "torch")


def show(text: str) -> None:
    """Print a text as it is."""
    typer.echo(text)


def note(text: str) -> None:
    """Say something on stderr."""
    typer.echo(text, err=True)


def is_terminal() -> bool:
    """Whether a person reads stdout."""
    return _stdout().is_terminal


def show_rich(renderable: object) -> None:
    """Print something that rich draws, on a terminal."""
    _stdout().print(renderable)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], title: str = "") -> None:
    """Print a table: drawn on a terminal, else in aligned columns that cut nothing off."""
    if is_terminal():
        from rich.table import Table
        from rich.text import Text

        drawn = Table(title=title or None, title_justify="left")
        for name in header:
            drawn.add_column(Text(name), overflow="fold")
        for row in rows:
            drawn.add_row(*map(Text, row))
        show_rich(drawn)
        return
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = ["  ".join(f"{c:{w}}" for c, w in zip(r, widths, strict=True)) for r in [header, *rows]]
    show("\n".join([title, ""] if title else []) + "\n".join(line.rstrip() for line in lines))


def deliver(text: str, output: Path | None) -> None:
    """Print ``text``, or write it where ``-o`` says and print where that is."""
    if output is None:
        show(text.rstrip("\n"))
        return
    with bad_use():
        output.write_text(text if text.endswith("\n") else text + "\n", encoding="utf-8")
    show(str(output.resolve()))


def check_output(output: Path | None) -> None:
    """Refuse now what could not be written after the work is done."""
    if output is None:
        return
    if output.is_dir():
        fail(f"cannot write '{output}': it is a folder; give a file's name")
    if not output.absolute().parent.is_dir():
        fail(f"cannot write '{output}': there is no folder '{output.parent}'")
    with bad_use():
        existed = output.exists()
        output.open("a").close()
        if not existed:
            output.unlink()


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show on stderr that something is being done, if a person looks at it."""
    console = _stderr()
    with console.status(f"{what} …") if console.is_terminal else nullcontext():
        yield


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None] | None]:
    """A bar on stderr for a verb that says how far it is; None where nobody looks at it."""
    console = _stderr()
    if not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def tell(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield tell
