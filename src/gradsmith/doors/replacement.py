"""What :func:`gradsmith.replace` did and what it could not do, for the reader."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

_SHOWN = 3  # names of modules in a line


@dataclass(frozen=True, slots=True)
class Swap:
    """A module, or a function held as an attribute, that was swapped.

    Attributes:
        names: where it stands in the model; several where it is shared.
        old: what stood there.
        new: what stands there now.
        note: what the reader should know besides.
    """

    names: tuple[str, ...]
    old: str
    new: str
    note: str = ""

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        return f"{_listed(self.names)}: {self.old} → {self.new}{note}"


@dataclass(frozen=True, slots=True)
class Left:
    """What a rule speaks of and was not swapped.

    Attributes:
        names: where it stands in the model.
        what: what it is.
        reason: why it was left alone, and what would swap it.
    """

    names: tuple[str, ...]
    what: str
    reason: str

    def __str__(self) -> str:
        return f"{_listed(self.names)}: {self.what}: {self.reason}"


@dataclass(frozen=True, slots=True)
class FunctionalCall:
    """A call of a function that a rule speaks of; only its author can change it.

    Attributes:
        function: the function's dotted name.
        file: where the call is written.
        line: where in the file.
        modules: names of the modules in which it is called; ``""`` is the model itself.
        seen: whether it was seen in the run of the model; otherwise it was read in its source.
        source: the line as it is written, if the file can be read.
    """

    function: str
    file: str
    line: int
    modules: tuple[str, ...]
    seen: bool
    source: str = ""

    def __str__(self) -> str:
        how = "" if self.seen else " (in the source)"
        text = f": {self.source}" if self.source else ""
        within = f" in {_listed(self.modules)}" if self.modules else ""
        return f"{self.function} at {_short(self.file)}:{self.line}{within}{how}{text}"


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Replacement:
    """The result of :func:`gradsmith.replace`; print it.

    Attributes:
        model: the model with the new modules: the given one, or the copy.
        swapped: what was swapped.
        left: what the rules speak of and was not swapped, with the reasons.
        calls: calls of functions that the rules speak of; swapping modules does not reach them.
        unused: types and functions of the rules of which the model has none.
        unread: classes of modules whose source could not be read for calls.
        observed: whether the model was run to see the calls.
    """

    model: nn.Module
    swapped: tuple[Swap, ...]
    left: tuple[Left, ...]
    calls: tuple[FunctionalCall, ...]
    unused: tuple[str, ...]
    unread: tuple[str, ...]
    observed: bool

    @property
    def complete(self) -> bool:
        """Whether nothing is known that the rules speak of and that was not swapped."""
        return not (self.left or self.calls)

    def __repr__(self) -> str:
        modules = sum(len(swap.names) for swap in self.swapped)
        lines = [f"Replacement: {_count(modules, 'place')} swapped"]
        lines += [f"  {swap}" for swap in self.swapped]
        if self.left:
            lines.append(f"{_count(sum(len(one.names) for one in self.left), 'place')} left")
            lines += [f"  {one}" for one in self.left]
        if self.calls:
            lines.append(f"{_count(len(self.calls), 'functional call')} not swapped")
            lines += [f"  {call}" for call in self.calls]
        if self.unused:
            lines.append(f"not in the model: {', '.join(self.unused)}")
        if self.unread:
            lines.append(f"source not found, calls unknown: {', '.join(self.unread)}")
        if not self.observed:
            lines.append("functional calls: from the source only; give inputs= to see them run")
        return "\n".join(lines)


def _listed(names: Iterable[str]) -> str:
    shown = [name or "the model" for name in names]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return ", ".join(shown[:_SHOWN]) + more


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _short(file: str) -> str:
    """The path from the working directory, where that is shorter."""
    try:
        return str(Path(file).relative_to(Path.cwd()))
    except ValueError:
        return file
