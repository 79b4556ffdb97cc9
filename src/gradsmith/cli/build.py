"""The command ``build``: compiles the optional native part for this Python and PyTorch."""

from __future__ import annotations

from typing import Annotated

import typer

from gradsmith.cli.console import FAILED, note, show, working

EPILOG = (
    "Example: [cyan]gradsmith build[/]\n\n"
    "It takes less than a minute and needs a C++ compiler (CXX names one) and Python's headers. "
    "Without it the results are the same, to the bit; calls on small tensors take longer. "
    "Environment variable: GRADSMITH_EXTENSION is the directory in which it lies, by default "
    "extension in that of the kernel cache; empty, 0 or off: it is not used. Exits with 1 if it "
    "could not be built."
)


def build(
    again: Annotated[bool, typer.Option("--again", help="Even if it is there already.")] = False,
) -> None:
    """Compile the optional native part, which makes calls on small tensors quicker."""
    from gradsmith.operator import extension
    from gradsmith.operator.building import BuildError
    from gradsmith.operator.building import build as compiled

    if not again and extension.reason() is None:
        show(f"already built: {extension.directory()}")
        return
    try:
        with working("compiling"):
            path = compiled()
    except BuildError as error:
        note(f"the native part is not built, which costs time and nothing else: {error}")
        raise typer.Exit(FAILED) from error
    show(f"built and tried: {path}")
