"""A feature: something that people do with an activation, and how it is known to work."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.util import find_spec

from tests.citizen.subjects import SUBJECTS, Subject

Check = Callable[[Subject], str | None]
"""None where it works. Where it is refused by design, the text of the error, after making sure
that the error is raised; that text goes to the table. Raises AssertionError otherwise."""

WORKS, DOES_NOT_APPLY = "✓", "–"


@dataclass(frozen=True)
class Feature:
    """A row of the table.

    Attributes:
        name: what the table calls it.
        group: the section of the table; the name of the file that defines it.
        check: whether it works for a subject.
        applies: whether the question makes sense for a subject; parameters, for one, not all have.
        subjects: those that the tests run, where all would take too long; None for all. The table
            is always made of all.
        needs: packages without which it cannot be tried.
    """

    name: str
    group: str
    check: Check
    applies: Callable[[Subject], bool] = lambda subject: True
    subjects: Collection[str] | None = None
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = set(self.subjects or ()) - SUBJECTS.keys()
        if unknown:
            raise ValueError(f"{self.name}: no subject is called {', '.join(sorted(unknown))}")

    def __repr__(self) -> str:
        return f"{self.group}: {self.name}"

    @property
    def missing(self) -> list[str]:
        """Packages that it needs and that are not here."""
        return [package for package in self.needs if find_spec(package) is None]

    def outcome(self, subject: Subject) -> str:
        """What the table says: that it works, the text of the error, or that it does not apply."""
        if not self.applies(subject):
            return DOES_NOT_APPLY
        error = self.check(subject)
        return WORKS if error is None else error


def has_parameters(subject: Subject) -> bool:
    """For ``Feature.applies``."""
    return bool(subject.parameters)
