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
def bad_use(output: Path | None = None) -> Iterator[None]:
    """What is raised in here is the answer to wrong arguments: its message, no traceback.

    ``output`` is what is being written, for errors that do not say so.
    """
    try:
        yield
    except typer.Exit:  # said already
        raise
    except GradsmithError as error:
        fail("\n".join([str(error), *getattr(error, "__notes__", ())]))
    except OSError as error:
        where = error.filename or output
        fail(f"cannot write{f' {str(where)!r}' if where else ''}: {error.strerror or error}")
    except Exception as error:
        if not _is_answer(error):
            raise
        fail(str(error))


def _is_answer(error: Exception) -> bool:
    """Whether we, or the reference that was given, refused; anything else would be our mistake."""
    *_, (frame, _) = walk_tb(error.__traceback__)
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    refused = isinstance(error, (TypeError, ValueError, RuntimeError))
    return package == "torch" or (package == "gradsmith" and refused)


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
    with bad_use(output):
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
    with bad_use(output):
        existed = output.exists()
        output.open("a").close()
        if not existed:
            output.unlink()


def check_picture(path: Path) -> None:
    """Refuse the name of a picture whose ending says no format that can be drawn."""
    from matplotlib.backend_bases import FigureCanvasBase

    known = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.lower().removeprefix(".") not in known:
        fail(f"cannot draw '{path}': its ending must be one of {', '.join(known)}")


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
