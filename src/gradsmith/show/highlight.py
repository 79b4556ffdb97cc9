"""Python source as HTML with its keywords, names, strings, numbers and comments marked."""

from __future__ import annotations

import io
import token
import tokenize
from collections.abc import Iterator
from html import escape
from keyword import iskeyword

_MARKS = {token.COMMENT: "comment", token.STRING: "string", token.NUMBER: "number"}
_MARKS |= {
    number: "string" for name, number in vars(token).items() if name.startswith("FSTRING_")
}  # from Python 3.12 on


def highlighted(source: str) -> str:
    """``source`` in ``span`` elements of the classes comment, string, number, keyword and name.

    Raises:
        tokenize.TokenError: it is not Python.
    """
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    parts, done = [], 0
    for mark, (row, column), (last_row, last_column) in _marked(source):
        begin, end = starts[row - 1] + column, starts[last_row - 1] + last_column
        parts.append(escape(source[done:begin]))
        parts.append(f'<span class="{mark}">{escape(source[begin:end])}</span>')
        done = end
    return "".join([*parts, escape(source[done:])])


def _marked(source: str) -> Iterator[tuple[str, tuple[int, int], tuple[int, int]]]:
    before = ""
    for part in tokenize.generate_tokens(io.StringIO(source).readline):
        mark = _MARKS.get(part.type)
        if part.type == token.NAME:
            mark = "keyword" if iskeyword(part.string) else None
            if before in ("def", "class"):
                mark = "name"
        if mark is not None:
            yield mark, part.start, part.end
        if part.type != tokenize.NL:
            before = part.string
