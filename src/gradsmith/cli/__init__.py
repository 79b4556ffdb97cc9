"""The command line: one command per verb, each of a formula or of a name in the catalogue.

It starts quickly, since torch and all that needs it are imported by the command that runs; it
prints results on stdout and everything else on stderr; and its exit code can be relied on: 0 when
all went well; 1 when a comparison failed, nothing was found or something is broken; 2 for bad use.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name, by default those of the process; exits."""
    from gradsmith.cli.commands import app

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without σ shows ?, which beats a traceback
            stream.reconfigure(errors="replace")
    given = sys.argv[1:] if arguments is None else arguments
    app(args=[_kept_whole(argument) for argument in given], prog_name="gradsmith")


# A formula may begin with a minus. No option of one dash begins with another letter than these.
_NEGATIVE = re.compile(r"-(?![-hiop])")


def _kept_whole(argument: str) -> str:
    """A formula such as ``-x*sigmoid(x)`` after a space, so that it is not taken for options."""
    return f" {argument}" if _NEGATIVE.match(argument) else argument
