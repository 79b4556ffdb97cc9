"""The arguments and options that several commands share, and what they stand for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradsmith.cli.console import bad_use, fail, working
from gradsmith.errors import FormulaError

if TYPE_CHECKING:
    from gradsmith.activation import Activation

FormulaText = Annotated[
    str,
    typer.Argument(
        metavar="FORMULA",
        help="A formula such as 'x*sigmoid(beta*x)', or a name that `gradsmith list` shows.",
        show_default=False,
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option(
        "--parameter",
        "-p",
        metavar="NAME=VALUE",
        help="The default of a parameter; once for each.",
        show_default=False,
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        "-i",
        metavar="NAME",
        help="The name of an input tensor, where the formula leaves it open; once for each.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Where to write.", show_default=False),
]
Against = Annotated[
    str | None,
    typer.Option(
        "--against",
        metavar="REFERENCE",
        help="A name in torch such as torch.nn.functional.mish, a name in the catalogue, or a "
        "formula. Left out: PyTorch's own, if the catalogue knows one.",
        show_default=False,
    ),
]


def _canonical(name: str | None) -> str | None:
    from gradsmith.formula.names import canonical

    return None if name is None else canonical(name)


Order = Annotated[int, typer.Option(min=1, help="How often to differentiate.")]
WithRespectTo = Annotated[
    str | None,
    typer.Option(
        "--wrt",
        metavar="NAME",
        help="The input or parameter it is about; the first input if left out.",
        show_default=False,
        callback=_canonical,
    ),
]


class Format(StrEnum):
    """How a derivation is written."""

    TEXT = "text"
    MARKDOWN = "markdown"
    LATEX = "latex"


class Dtype(StrEnum):
    """What is computed in."""

    FLOAT64 = "float64"
    FLOAT32 = "float32"
    FLOAT16 = "float16"
    BFLOAT16 = "bfloat16"


_HOW_TO_NAME = "Here: -p NAME=VALUE for a parameter, -i NAME for each input."
_RESERVED = ("formula", "inputs", "name")  # arguments of gradsmith.activation itself


def resolved(
    formula: str, parameters: Sequence[str] | None, inputs: Sequence[str] | None
) -> Activation:
    """The activation that a command's arguments describe; ends with a message if there is none."""
    given = parameter_values(parameters or ())
    with working("reading the formula"), bad_use():
        from gradsmith.activation import activation

        # The names are not the function's own, which are refused above.
        named: dict[str, Any] = {**given}
        try:
            return activation(formula.strip(), inputs=tuple(inputs) if inputs else None, **named)
        except FormulaError as error:
            if error.message.startswith("unknown name"):
                error.add_note(_HOW_TO_NAME)
            raise


def parameter_values(texts: Sequence[str]) -> dict[str, float]:
    """The values of ``-p NAME=VALUE``; ends with a message where one is not written like that."""
    found: dict[str, float] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        example = f"-p {name or 'beta'}=1.5"
        if not (equals and name.isidentifier()):
            fail(f"-p takes NAME=VALUE, got {text!r}; write for example -p beta=1.5")
        try:
            number = float(value)
        except ValueError:
            fail(f"the value of a parameter is a number, got {text!r}; write for example {example}")
        if name in _RESERVED:
            fail(f"a parameter cannot be called {name!r} here; choose another name")
        if name in found:
            fail(f"the parameter {name!r} was given twice")
        found[name] = number
    return found


def file_name(activation: Activation, ending: str) -> Path:
    """Where a command writes if it is not told."""
    from gradsmith.catalogue.known import entry_of

    entry = entry_of(activation.formula)
    name = activation.name or (entry.name if entry else "activation")
    return Path(re.sub(r"\W+", "_", name) + ending)
