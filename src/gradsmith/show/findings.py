"""A :class:`~gradsmith.show.study.Study` as text, Markdown and HTML, and in words."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from gradsmith.show.numerals import number, share

if TYPE_CHECKING:
    from gradsmith.show.study import Run, Study

HEADER = (
    "activation",
    "initial weights",
    "loss, first → last",
    "told right",
    "gradient, first/last layer",
    "flat units, first → last",
    "one-signed units",
    "time per step",
)


def rows(study: Study) -> list[tuple[str, ...]]:
    """The table as text, its header first."""
    return [HEADER, *(_row(run, study) for run in study.runs)]


def _row(run: Run, study: Study) -> tuple[str, ...]:
    return (
        run.activation,
        f"×{run.scale:g}",
        f"{_loss(run.losses[0])} → {_loss(run.losses[-1])}",
        share(run.accuracy),
        number(run.vanishing, 2),
        f"{share(run.flat)} → {share(run.trained_flat)}",
        share(run.one_signed),
        _time(run, study),
    )


def findings(study: Study) -> tuple[tuple[str, str], ...]:
    """(what is looked at, what was found)."""
    first, *others = (study.run(name, study.scales[0]) for name in study.activations)
    found = (
        ("Vanishing gradients", _vanishing(first, others)),
        ("Large initial weights", _large(study, first)),
        ("Sign of the weight gradients", _sign(first, others)),
        ("Cost", _costs(study)),
    )
    return tuple((what, text) for what, text in found if text)


def _vanishing(first: Run, others: list[Run]) -> str:
    if not math.isfinite(first.vanishing):
        return "no finite gradient arrives at the last layer"
    text = (
        "at the start, the gradient of a weight of the first layer is "
        f"{number(first.vanishing, 2)} times that of one of the last"
    )
    return text + _listed([(run.activation, number(run.vanishing, 2)) for run in others])


def _large(study: Study, first: Run) -> str:
    parts = []
    for scale in study.scales[1:]:
        run = study.run(first.activation, scale)
        flat = "" if run.flat is None else f"{share(run.flat)} of the units start flat, "
        end = "the loss overflows" if run.diverged else f"the loss ends at {_loss(run.losses[-1])}"
        parts.append(f"×{scale:g}: {flat}{end}")
    if not parts:
        return ""
    end = "overflows" if first.diverged else f"ends at {_loss(first.losses[-1])}"
    return f"×{first.scale:g}: the loss {end}; {'; '.join(parts)}"


def _sign(first: Run, others: list[Run]) -> str:
    if first.one_signed is None:
        return "no gradient arrives"
    text = (
        f"one sample moves all incoming weights in the same direction for "
        f"{share(first.one_signed)} of the units behind an activation"
    )
    return text + _listed([(run.activation, share(run.one_signed)) for run in others])


def _costs(study: Study) -> str:
    (_, first), *others = ((name, _milliseconds(s)) for name, s in study.seconds)
    return f"a step of training takes {first}" + _listed(others)


def _time(run: Run, study: Study) -> str:
    """Also relative to the first activation that the studied one is compared with."""
    if run.scale != study.scales[0]:
        return ""  # it depends on the activation alone
    seconds = dict(study.seconds)
    unit = seconds[study.activations[min(1, len(study.activations) - 1)]]
    mine = seconds[run.activation]
    return f"{_milliseconds(mine)} ({mine / unit:.2f}×)"


def _listed(values: list[tuple[str, str]]) -> str:
    return f" ({', '.join(f'{name}: {value}' for name, value in values)})" if values else ""


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.2f} ms"


def _loss(value: float) -> str:
    return "overflow" if math.isinf(value) else number(value, 2)


def as_text(study: Study) -> str:
    """Plain text."""
    table = rows(study)
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    table.insert(1, tuple("-" * width for width in widths))
    lines = ["  ".join(f"{c:{w}}" for c, w in zip(r, widths, strict=True)).rstrip() for r in table]
    found = [f"{what}: {text}" for what, text in findings(study)]
    return "\n".join([study.setting, "", *lines, "", *found])


def as_markdown(study: Study) -> str:
    """A Markdown table with the findings below it."""
    table = [f"| {' | '.join(map(_escaped, row))} |" for row in rows(study)]
    table.insert(1, "|" + "---|" * len(HEADER))
    found = [f"- **{what}**: {_escaped(text)}" for what, text in findings(study)]
    return "\n".join([study.setting, "", *table, "", *found])


def _escaped(text: str) -> str:
    # A formula that has no name stands for itself.
    return "".join(f"\\{c}" if c in "\\|*_<>$`" else c for c in text)


def as_html(study: Study) -> str:
    """An HTML table with the findings below it."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in HEADER)
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows(study)[1:])
    found = "".join(
        f"<li><strong>{escape(what)}</strong>: {escape(text)}</li>"
        for what, text in findings(study)
    )
    return (
        f'<table class="study"><caption>{escape(study.setting)}</caption><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table><ul>{found}</ul>"
    )


def _cells(row: tuple[str, ...]) -> str:
    first, *rest = map(escape, row)
    return f'<th scope="row">{first}</th>' + "".join(f"<td>{cell}</td>" for cell in rest)
