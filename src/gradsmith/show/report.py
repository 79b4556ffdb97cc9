"""One page that says everything about an activation; it needs no network and nothing beside it.

Formula, picture, properties, derivation, comparison, what is kept for backward, how the numerics
were made stable, what it does in training, and the source. It reads on a phone, on paper, in the
dark and by ear. Whatever a formula, a name or a reference is called, it stands on the page as text
and never becomes part of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import gradsmith
from gradsmith.activation import Activation, Resolvable, resolve
from gradsmith.catalogue.known import counterpart, entry_of, title
from gradsmith.show import page
from gradsmith.show.emit import emit
from gradsmith.show.stability import means, stability
from gradsmith.show.study import Progress, Study, study
from gradsmith.truth.compare import compare
from gradsmith.truth.comparison import Comparison

if TYPE_CHECKING:
    from gradsmith.truth.subject import Comparable

STUDIED_AGAINST = ("relu", "sigmoid", "tanh")
"""Beside these an activation is trained: the usual one, one that saturates, one zero-centred."""

_FEW = (-2.0, -0.5, 0.0, 1.0, 3.0)  # inputs of the table that shows every number
_STAGES = 5  # beside the trainings


@dataclass(frozen=True, slots=True)
class Report:
    """A page about an activation.

    Attributes:
        title: what the page is about.
        html: the page.
        path: where it was written, or None.
        comparison: the activation beside the reference that was given, or None.
        study: what it did in training.
    """

    title: str
    html: str
    path: Path | None
    comparison: Comparison | None
    study: Study

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page, and say where.

        Raises:
            OSError: the file cannot be written.
        """
        target = Path(path)
        # A lone surrogate in a name is no reason not to get the page.
        target.write_text(self.html, encoding="utf-8", errors="xmlcharrefreplace")
        return target.resolve()

    def __str__(self) -> str:
        size = f"{len(self.html.encode(errors='replace')) / 1000:.0f} kB"
        where = "not saved" if self.path is None else str(self.path)
        return f"Report on {self.title}, {size}: {where}"

    def _repr_html_(self) -> str:
        style = "width: 100%; height: 48rem; border: 1px solid #8886"
        title = escape(f"Report on {self.title}")
        return f'<iframe title="{title}" srcdoc="{escape(self.html)}" style="{style}"></iframe>'


def report(
    activation: Resolvable,
    path: str | os.PathLike[str] | None = None,
    *,
    against: Comparable | None = None,
    order: int = 1,
    progress: Progress | None = None,
) -> Report:
    """Everything about an activation on one HTML page.

    Args:
        activation: an activation, a catalogue name, a formula's text or a function.
        path: where to write the page; left out, it is not written.
        against: what to compare it with: a dotted name such as ``"torch.nn.functional.mish"``,
            a function, a module, or another activation. Left out, it is PyTorch's own if the
            catalogue knows one.
        order: up to which order derivatives are derived and drawn, 1 to 4.
        progress: called with what comes next, how much is done, and how much there is.

    Raises:
        FormulaError: the formula cannot be read.
        TypeError: ``against`` is of a kind that cannot be compared with.
        ValueError: ``order`` is not 1 to 4, or a result of ``against`` has another shape.
        OSError: the page cannot be written.
    """
    if not isinstance(order, int) or isinstance(order, bool) or not 1 <= order <= 4:
        raise ValueError(f"the order of a report's derivatives is 1 to 4, got {order!r}")
    subject = resolve(activation)
    known = entry_of(subject.formula)
    if subject.name is None and known is not None:
        subject = Activation(subject.formula, known.name, subject.doc)
    reference = counterpart(subject) if against is None else against
    stages = _Stages(progress)
    stages.next("comparing")  # first: a reference that cannot be compared with is found at once
    comparison = None if reference is None else compare(subject, reference)
    comparisons = _comparisons(subject, reference, comparison)
    stages.next("deriving the gradient")
    derived = page.derivations(subject, order)
    stable = stability(subject)
    saved = page.saved(subject)
    stages.next("measuring its properties")
    properties = page.properties(subject)
    stages.next("drawing")
    pictures = page.pictures(subject, order)
    trained = study(subject, STUDIED_AGAINST, progress=stages.trained)
    stages.next("writing the source")
    verdict = None if comparison is None else page.verdict(comparison)
    contents = page.opening(subject) | {
        "facts": page.facts(saved[0], stable, verdict),
        "pictures": pictures,
        "properties": properties,
        "derivations": derived,
        "parameters": page.parameters(subject),
        "comparisons": comparisons,
        "saved": saved,
        "stable": stable,
        "means": means(subject),
        "study": page.training(trained),
        "code": page.code(emit(subject)),
        "version": gradsmith.__version__,
        "footer": page.footer(gradsmith.__version__),
    }
    made = Report(title(subject), page.filled(contents), None, comparison, trained)
    stages.done()
    if path is None:
        return made
    return Report(made.title, made.html, made.save(path), comparison, trained)


class _Stages:
    """Counts the parts of the work; the trainings are known when they begin."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress or (lambda what, done, total: None)
        self._before = 0  # stages begun before the one that runs
        self._trainings = 3 * (len(STUDIED_AGAINST) + 1)

    def next(self, what: str) -> None:
        self._progress(what, self._before, _STAGES + self._trainings)
        self._before += 1

    def trained(self, what: str, done: int, total: int) -> None:
        if done == 0:
            self._trainings = total
        if done < total:
            self._progress(what, self._before + done, _STAGES + total)
        else:
            self._before += total

    def done(self) -> None:
        total = _STAGES + self._trainings
        self._progress("done", total, total)


def _comparisons(
    activation: Activation, reference: Comparable | None, comparison: Comparison | None
) -> list[page.Section]:
    found = []
    if reference is not None and comparison is not None:
        if len(activation.inputs) == 1:
            few = compare(activation, reference, _FEW)
            found.append(page.compared(few, *page.CALL_BY_CALL))
        found.append(page.compared(comparison, *page.WHOLE_RANGE))
    found.append(page.compared(compare(activation), *page.AS_WRITTEN))
    return found
