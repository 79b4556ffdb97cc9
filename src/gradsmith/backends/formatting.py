"""Python code as text whose lines fit, laid out the way common formatters lay it out."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent, wrap

WIDTH = 100
INDENT = " " * 4


def fitted(text: str, width: int) -> list[str]:
    """A call, an assignment of one or a ``def`` as lines that fit, its brackets opened if need be.

    What stands in the brackets goes on one line of its own if that is enough, else each argument
    on its own.
    """
    if len(text) <= width or "(" not in text:
        return [text]
    start, end = _outer_brackets(text)
    inside = text[start:end]
    if len(INDENT + inside) <= width:
        return [text[:start], INDENT + inside, text[end:]]
    arguments = []
    for argument in _split(inside):
        *lines, last = fitted(argument, width - len(INDENT) - 1)
        arguments += [*lines, last + ","]
    return [text[:start], *(INDENT + line for line in arguments), text[end:]]


def _outer_brackets(text: str) -> tuple[int, int]:
    """Where the inside of the first brackets starts and ends."""
    start = text.index("(") + 1
    depth, end = 1, start
    while depth:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return start, end - 1


def _split(arguments: str) -> list[str]:
    """The arguments of a call, split at the commas that are in no brackets."""
    found, depth = [""], 0
    for character in arguments:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [argument.strip() for argument in found]


def docstring(text: str) -> str:
    """``text`` as a docstring whose lines fit when it is indented once."""
    quoted = '"""' + text.replace("\\", "\\\\") + '"""'
    if len(quoted) + len(INDENT) <= WIDTH:
        return quoted
    return "\n".join(wrap(quoted, WIDTH - len(INDENT), break_on_hyphens=False))


def class_source(head: str, document: str, members: Sequence[str]) -> str:
    """A class with its docstring and its members, an empty line between them."""
    quoted = f'"""{document}\n"""' if "\n" in document else docstring(document)
    return f"class {head}:\n" + indent("\n\n".join([quoted, *members]), INDENT)


def static_method(head: str, document: str, body: Sequence[str]) -> str:
    """A static method; ``head`` is what stands between ``def`` and the colon."""
    lines = fitted(f"def {head}:", WIDTH - len(INDENT))
    return "\n".join(
        ["@staticmethod", *lines, *(INDENT + line for line in [f'"""{document}"""', *body])]
    )
