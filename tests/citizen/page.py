"""The table of docs/compatibility.md: written from what the matrix found, and read again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.citizen.feature import DOES_NOT_APPLY, WORKS

PATH = Path(__file__).parents[2] / "docs" / "compatibility.md"

Outcomes = Mapping[tuple[str, str], str]
"""What a feature, by its name, does with a subject, by its name."""

_HEAD = """# Compatibility

What can be done with each activation as with PyTorch's own. `scripts/compatibility.py` makes this
page by trying every cell; the tests try the cells again and fail where the page says otherwise.

✓ works, and gives what a composition of torch's own operations gives in float64. – does not apply.
A number: refused, with the error that stands below the table under that number.
"""


def render(groups: Mapping[str, Outcomes]) -> str:
    """The whole page, from the outcomes of each section by its title."""
    return "\n".join([_HEAD, *(_section(title, groups[title]) for title in groups)])


def _section(title: str, outcomes: Outcomes) -> str:
    features = list(dict.fromkeys(feature for feature, _ in outcomes))
    subjects = list(dict.fromkeys(subject for _, subject in outcomes))
    errors = list(dict.fromkeys(o for o in outcomes.values() if o not in (WORKS, DOES_NOT_APPLY)))

    def cell(outcome: str) -> str:
        return str(errors.index(outcome) + 1) if outcome in errors else outcome

    lines = [f"## {title}", "", _row(["", *features]), _row(["---", *[":-:"] * len(features)])]
    for subject in subjects:
        lines.append(_row([subject, *(cell(outcomes[f, subject]) for f in features)]))
    if errors:
        lines.append("")
    lines += [f"{number}. `{error}`" for number, error in enumerate(errors, 1)]
    return "\n".join([*lines, ""])


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def read(text: str) -> dict[str, dict[tuple[str, str], str]]:
    """The outcomes that :func:`render` wrote, by the titles of the sections."""
    groups: dict[str, dict[tuple[str, str], str]] = {}
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        rows = [line for line in body.splitlines() if line.startswith("|")]
        table = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
        numbered = [line.split(". ", 1) for line in body.splitlines() if line[:1].isdigit()]
        errors = {number: error.strip("`") for number, error in numbered}
        _, *features = table[0]
        groups[title] = {
            (feature, subject): errors.get(cell, cell)
            for subject, *cells in table[2:]
            for feature, cell in zip(features, cells, strict=True)
        }
    return groups
