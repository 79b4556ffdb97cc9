"""``Benchmark``: what :func:`gradsmith.bench.bench.bench` found, as text, data and picture."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from gradsmith.bench.contestants import COPY, FRESH_COPY, OURS
from gradsmith.bench.kept import Kept
from gradsmith.bench.machine import Machine
from gradsmith.bench.timing import BOTH, Spread
from gradsmith.truth.files import write_whole

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

_FORMAT: Final = "gradsmith benchmark"
_VERSION: Final = 1
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_UNITS = ((1e-6, 1e-9, "ns"), (1e-3, 1e-6, "µs"), (1.0, 1e-3, "ms"), (float("inf"), 1.0, "s"))

Table = tuple[str, list[str], list[list[str]]]
"""A title, a header and rows."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long one contestant took.

    Attributes:
        contestant: a key of :attr:`Benchmark.contestants`.
        direction: "forward", "backward" or "both".
        size: number of elements.
        threads: how many torch had.
        seconds: per call, one for each round. The rounds of all contestants at one size and pass
            are the same ones.
    """

    contestant: str
    direction: str
    size: int
    threads: int
    seconds: tuple[float, ...]

    @property
    def spread(self) -> Spread:
        """Median and quartiles of the seconds."""
        return Spread.of(self.seconds)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """How fast an activation is beside what its user would otherwise run.

    Attributes:
        name: what it is called.
        formula: its formula.
        parameters: the values of its parameters.
        dtype: of inputs and results, such as "float32".
        rounds: how often each was timed.
        machine: what it ran on.
        contestants: what the table calls each of them, ours first. "ours", "builtin" (PyTorch's
            own, or what was given in its place), "eager", "compiled", "tutorial", and for the
            roofline "copy" and "fresh copy".
        timings: the times.
        kept: what each keeps for its backward pass, in bytes per element; and ours of large
            tensors, under a name of its own, where that is something else.
        first_gradient: seconds from the formula's text to its first gradient, in a fresh process
            with empty caches, imports not counted.
        skipped: what was not timed, and why.
    """

    name: str
    formula: str
    parameters: Mapping[str, float]
    dtype: str
    rounds: int
    machine: Machine
    contestants: Mapping[str, str]
    timings: tuple[Timing, ...]
    kept: Mapping[str, Kept]
    first_gradient: Mapping[str, float]
    skipped: Mapping[str, str]

    def __post_init__(self) -> None:
        for name in ("parameters", "contestants", "kept", "first_gradient", "skipped"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def sizes(self) -> list[int]:
        """The sizes, in their order."""
        return list(dict.fromkeys(timing.size for timing in self.timings))

    @property
    def threads(self) -> list[int]:
        """The numbers of threads, in their order."""
        return list(dict.fromkeys(timing.threads for timing in self.timings))

    @property
    def passes(self) -> list[str]:
        """The passes, in their order."""
        return list(dict.fromkeys(timing.direction for timing in self.timings))

    def timing(self, contestant: str, direction: str, size: int, threads: int) -> Timing:
        """The one that is asked for.

        Raises:
            KeyError: it was not measured.
        """
        wanted = (contestant, direction, size, threads)
        for found in self.timings:
            if (found.contestant, found.direction, found.size, found.threads) == wanted:
                return found
        where = f"{size} elements, {threads} threads"
        raise KeyError(f"not measured: {contestant}, {direction}, {where}")

    def ratio(self, contestant: str, direction: str, size: int, threads: int) -> Spread:
        """Its time divided by ours, round by round: above 1 we are faster.

        Raises:
            KeyError: it was not measured.
        """
        theirs = self.timing(contestant, direction, size, threads).seconds
        ours = self.timing(OURS, direction, size, threads).seconds
        return Spread.of([a / b for a, b in zip(theirs, ours, strict=True)])

    def scaling(self, direction: str, size: int, contestant: str = OURS) -> Spread:
        """How many times faster it is with the most threads than with the fewest."""
        few, many = min(self.threads), max(self.threads)
        alone = self.timing(contestant, direction, size, few).seconds
        shared = self.timing(contestant, direction, size, many).seconds
        return Spread.of([a / b for a, b in zip(alone, shared, strict=True)])

    # As text.

    def title(self) -> str:
        """What was measured, on what."""
        named = self.formula if self.name == self.formula else f"{self.name}: {self.formula}"
        given = "".join(f", {name} = {value:g}" for name, value in self.parameters.items())
        rounds = "1 round" if self.rounds == 1 else f"{self.rounds} rounds"
        return f"{named}{given}\n{self.dtype}, {rounds}; {self.machine}"

    def tables(self) -> list[Table]:
        """For each pass and number of threads the ratios; then what is kept, and the first call."""
        found = [self._ratios(p, n) for p in self.passes for n in self.threads]
        if self.kept:
            rows = [[self.contestants.get(key, key), str(k)] for key, k in self.kept.items()]
            found.append(("kept for backward", ["", "bytes per element"], rows))
        if self.first_gradient:
            rows = [[self.contestants[k], _time(s)] for k, s in self.first_gradient.items()]
            found.append(("first gradient of a new formula", ["", "in a fresh process"], rows))
        return found

    def _ratios(self, direction: str, threads: int) -> Table:
        what = "forward and backward" if direction == BOTH else direction
        header = ["", *(_power(size) for size in self.sizes)]
        place = [(direction, size, threads) for size in self.sizes]
        ours = [_time(self.timing(OURS, *where).spread.median) for where in place]
        rows = [[self.contestants[OURS], *ours]]
        for key, label in self.contestants.items():
            measured = {timing.contestant for timing in self.timings}
            if key != OURS and key in measured:
                rows.append([label, *(str(self.ratio(key, *where)) for where in place)])
        return f"{what}, {threads} thread{'s' * (threads != 1)}", header, rows

    def notes(self) -> list[str]:
        """How to read the tables, and what is not in them."""
        found = [
            "Below our own time: the others' time divided by ours (above 1 we are faster), median "
            "of the rounds ± half the distance of the quartiles."
        ]
        if {COPY, FRESH_COPY} & self.contestants.keys():
            found.append("Moving as many bytes is the roofline: 0.50 means that we take twice it.")
        return found + [f"Not timed: {what}: {why}" for what, why in self.skipped.items()]

    def __str__(self) -> str:
        lines = [self.title()]
        for title, header, rows in self.tables():
            all_rows = [[title, *header[1:]], *rows]
            widths = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
            lines.append("")
            for first, *rest in all_rows:
                cells = [f"{c:<{w}}" for c, w in zip(rest, widths[1:], strict=True)]
                lines.append("  ".join([f"{first:<{widths[0]}}", *cells]).rstrip())
        return "\n".join([*lines, "", *self.notes()])

    def _repr_html_(self) -> str:
        parts = [f"<p>{escape(self.title()).replace(chr(10), '<br>')}</p>"]
        for title, header, rows in self.tables():
            head = "".join(f"<th>{escape(cell)}</th>" for cell in [title, *header[1:]])
            body = "".join(
                "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>"
                for row in rows
            )
            parts.append(f"<table><tr>{head}</tr>{body}</table>")
        return "".join([*parts, *(f"<p>{escape(note)}</p>" for note in self.notes())])

    # As a picture.

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """The ratios over the size: a panel for each pass and number of threads.

        Args:
            path: a file to save the figure to; its ending chooses the format.
        """
        from gradsmith.bench.picture import draw

        figure = draw(self)
        if path is not None:
            figure.savefig(os.fspath(path), dpi=150)
        return figure

    # As a file.

    def to_json(self) -> str:
        """Everything, as a JSON document with one line for each timing."""
        head = {
            "format": _FORMAT,
            "version": _VERSION,
            "name": self.name,
            "formula": self.formula,
            "parameters": dict(self.parameters),
            "dtype": self.dtype,
            "rounds": self.rounds,
            "machine": asdict(self.machine),
            "contestants": dict(self.contestants),
            "kept": {key: asdict(kept) for key, kept in self.kept.items()},
            "first_gradient": dict(self.first_gradient),
            "skipped": dict(self.skipped),
        }
        text = json.dumps(head, indent=1, ensure_ascii=False, allow_nan=False)
        lines = ",\n".join("  " + json.dumps(asdict(timing)) for timing in self.timings)
        return f'{text[:-2]},\n "timings": [\n{lines}\n ]\n}}\n'

    @classmethod
    def from_json(cls, text: str) -> Benchmark:
        """The benchmark that :meth:`to_json` wrote.

        Raises:
            ValueError: the text is no benchmark, or one of a format this version cannot read.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            if (data.pop("format"), data.pop("version")) != (_FORMAT, _VERSION):
                raise ValueError("it has another format")
            data["machine"] = Machine(**data["machine"])
            data["kept"] = {key: Kept(**kept) for key, kept in data["kept"].items()}
            timings = data["timings"]
            data["timings"] = tuple(
                Timing(**{**timing, "seconds": tuple(timing["seconds"])}) for timing in timings
            )
            return cls(**data)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"this is no benchmark of gradsmith: {error}") from error

    def save(self, path: str | Path) -> None:
        """Write it as a JSON file, whole or not at all."""
        write_whole(path, self.to_json())


def _time(seconds: float) -> str:
    for below, unit, name in _UNITS:
        if seconds < below:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.3g} s"


def _power(size: int) -> str:
    exponent = size.bit_length() - 1
    return f"2{str(exponent).translate(_SUPERSCRIPT)}" if size == 1 << exponent else f"{size:,}"
