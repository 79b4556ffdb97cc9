"""A :class:`~gradsmith.truth.comparison.Comparison` as text, rich table, HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import isfinite, isinf, isnan
from typing import TYPE_CHECKING

import torch

from gradsmith.truth.comparison import SHOWN, Comparison, Difference, Row
from gradsmith.truth.exactly import FIRST, SCALED, SECOND, ZEROED

if TYPE_CHECKING:
    from rich.console import RenderableType

Cells = list[list[str]]

_WIDEST = 32  # characters of a name in a table


def number(value: float) -> str:
    """Four digits: as PyTorch prints them where that shows something of the number."""
    if value == 0 or isnan(value) or isinf(value):
        return f"{value:.4f}" if value == 0 else str(value)
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 else f"{value:.3e}"


def _short(name: str) -> str:
    return name if len(name) <= _WIDEST else name[: _WIDEST - 1] + "…"


def _size(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


def _table(c: Comparison) -> tuple[list[str], Cells]:
    """Header and lines: every element where they are few, else where the sides differ most."""
    count = max(x.numel() for x in c.inputs.values())
    return _elements(c, count) if count <= SHOWN else _extremes(c)


def _elements(c: Comparison, count: int) -> tuple[list[str], Cells]:
    header = ["", "", *[""] * count, "max difference", "max ULP"]
    lines: Cells = []

    def line(label: str, side: str, values: torch.Tensor, *rest: str) -> None:
        cells = [number(v) for v in values.detach().double().flatten().tolist()]
        padding = [""] * (count - len(cells))
        lines.append([label, _short(side), *cells, *padding, *(rest or ("", ""))])

    for name, x in c.inputs.items():
        line(f"input {name}", "", x)
    for row in c.rows:
        line(row.name, c.ours, row.ours, _size(row.difference), _size(row.ulp))
        line("", c.reference, row.reference)
        if row.exact is not None:
            line("", "exact", row.exact)
    return header, lines


def _extremes(c: Comparison) -> tuple[list[str], Cells]:
    header = ["", "max difference", "max ULP", "beyond tolerance", "differ most at"]
    header += [_short(c.ours), _short(c.reference), "exact"]
    return header, [_extreme(row) for row in c.rows]


def _extreme(row: Row) -> list[str]:
    beyond = f"{row.beyond} of {row.ours.numel()}"
    cells = [row.name, _size(row.difference), _size(row.ulp), beyond]
    if row.worst is None:
        return [*cells, "", "", "", ""]
    w = row.worst
    exact = "" if w.exact is None else number(w.exact)
    return [*cells, _place(w), number(w.ours), number(w.reference), exact]


def _place(d: Difference) -> str:
    return ", ".join(f"{name} = {value:.7g}" for name, value in d.at.items())


def title(c: Comparison) -> str:
    """What was compared with what, in which dtype."""
    return f"{c.ours} beside {c.reference}, {_dtype(c)}"


def _dtype(c: Comparison) -> str:
    return str(c.dtype).removeprefix("torch.")


def verdict(c: Comparison) -> list[str]:
    """Whether they agree, by which tolerance, and who is right where they do not."""
    tolerance = f"{c.tolerance:g} ULP of {_dtype(c)}"
    measure = "(for a result below 1: of 1, or of the largest result)"
    if c.agrees:
        lines = [f"They agree: nowhere further apart than {tolerance} {measure}."]
        small = max(c.rows, key=lambda row: row.ulp)
        if small.ulp > c.tolerance and small.worst is not None:
            lines.append(
                f"Relative to the result they differ more where it is small, most in the "
                f"{small.name}: {_described(c, small.worst)}."
            )
    else:
        lines = [f"They differ by more than {tolerance} {measure}."]
        for row in _distinct(c):
            if row.worst is not None:
                where = f"{row.beyond} of {row.ours.numel()} elements"
                lines.append(f"In the {row.name}: {where}, most {_described(c, row.worst)}.")
        lines.append(_judgement(c))
    if c.formula:
        lines.append(f"Exact values are those of {c.formula}, evaluated in ball arithmetic.")
    return lines


def _distinct(c: Comparison) -> list[Row]:
    """The rows that differ, without those that repeat what the first call already shows."""
    differing = [row for row in c.rows if not row.agrees]
    first = {row.name.replace(FIRST, "") for row in differing if row.name.startswith(FIRST)}
    repeats = (SECOND, ZEROED, SCALED)
    return [
        row
        for row in differing
        if not any(r in row.name and row.name.replace(r, "") in first for r in repeats)
    ]


def _judgement(c: Comparison) -> str:
    return {
        "ours": f"By the exact values {c.ours} is wrong there and {c.reference} right.",
        "reference": f"By the exact values {c.reference} is wrong there and {c.ours} right.",
        "both": "By the exact values each of the two is wrong somewhere.",
        "neither": "By the exact values each is within the tolerance, on opposite sides.",
        None: "Which of the two is right is open: no formula of it is known.",
    }[c.wrong]


def _described(c: Comparison, d: Difference) -> str:
    sides = ((c.ours, d.ours, d.ours_error), (c.reference, d.reference, d.reference_error))
    digits = 17 if c.dtype is torch.float64 else 7
    parts = [f"{name} {value:.{digits}g}{_off(c, error)}" for name, value, error in sides]
    if d.exact is not None:
        parts.append(f"exact {d.exact:.{digits}g}")
    return (f"at {_place(d)}: " if d.at else "") + ", ".join(parts)


def _off(c: Comparison, error: float | None) -> str:
    if error is None:
        return ""
    if not isfinite(error) or error * torch.finfo(c.dtype).eps >= 1:
        return " (no digit of it right)"
    return f" ({round(error, 2):.3g} ULP off)"


def as_text(c: Comparison) -> str:
    """Plain text."""
    header, lines = _table(c)
    widths = [max(len(cell) for cell in column) for column in zip(header, *lines, strict=True)]
    left = 2 if _has_sides(c) else 1
    drawn = [
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in [header, *lines]
    ]
    return "\n".join([title(c), "", *drawn, "", *verdict(c)])


def _has_sides(c: Comparison) -> bool:
    return max(x.numel() for x in c.inputs.values()) <= SHOWN


def as_rich(c: Comparison) -> RenderableType:
    """A renderable for rich's console."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    header, lines = _table(c)
    left = 2 if _has_sides(c) else 1
    table = Table(title=title(c), title_justify="left")
    for i, name in enumerate(header):
        table.add_column(Text(name), justify="left" if i < left else "right")
    for line in lines:
        table.add_row(*map(Text, line))
    colour = "green" if c.agrees else "red"
    first, *rest = verdict(c)
    return Group(table, Text(first, style=colour), *map(Text, rest))


def as_html(c: Comparison) -> str:
    """An HTML table with the verdict below it."""
    header, lines = _table(c)
    # A dotted name may break after its dots (U+200B); else it runs into the next column.
    head = "".join(f"<th>{escape(name).replace('.', '.&#8203;')}</th>" for name in header)
    left = 2 if _has_sides(c) else 1
    body = "".join(f"<tr>{_html_cells(line, left)}</tr>" for line in lines)
    below = "".join(f"<p>{escape(line)}</p>" for line in verdict(c))
    return (
        f'<table class="comparison"><caption>{escape(title(c))}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{below}"
    )


def _html_cells(line: Sequence[str], left: int) -> str:
    cells = enumerate(line)
    return "".join(
        f"<td>{escape(cell)}</td>" if i < left else f'<td align="right">{escape(cell)}</td>'
        for i, cell in cells
    )


def as_markdown(c: Comparison) -> str:
    """A Markdown table with the verdict below it."""
    header, lines = _table(c)
    left = 2 if _has_sides(c) else 1
    rule = ["---" if i < left else "---:" for i in range(len(header))]
    drawn = ["| " + " | ".join(map(_escaped, line)) + " |" for line in [header, rule, *lines]]
    return "\n".join([f"**{_escaped(title(c))}**", "", *drawn, "", *map(_escaped, verdict(c))])


def _escaped(text: str) -> str:
    return text if set(text) <= set("-:") else "".join(_ESCAPES.get(c, c) for c in text)


_ESCAPES = {c: f"\\{c}" for c in "\\|*_<>$`"}
