"""The ledger: what is certified of the catalogue, one small file per entry and dtype.

A page of it holds the certificate at the parameters' defaults, those at further settings, and that
of PyTorch's own function beside it. float32 is certified on all of its numbers, the half formats
too, float64 on a sample. :func:`worse` measures a part anew and says what got worse.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from gradsmith.activation import Activation
from gradsmith.catalogue import Entry, formula_of
from gradsmith.truth.certificate import Certificate
from gradsmith.truth.certify import certify
from gradsmith.truth.distribute import Tell
from gradsmith.truth.files import write_whole
from gradsmith.truth.subject import Subject

DTYPES: Final = (torch.float32, torch.float64, torch.float16, torch.bfloat16)

_FORMAT: Final = "gradsmith ledger"
_FACTORS: Final = (0.5, 1.75, 3.0)
"""What the defaults are multiplied by for the further settings: exact in every format."""

_STRIDE: Final = {"float32": 262_139, "float16": 1, "bfloat16": 1}
"""Every how many bit patterns are measured anew at the defaults; a prime where it is not all."""
_FURTHER: Final = 61
"""How many times fewer at further settings."""
_RESAMPLED: Final = 2_000
_MANY, _FEWER = 1_000_000, 100_000
_PROBES: Final = (-1.5, 0.25)


@dataclass(frozen=True, slots=True)
class Page:
    """What is certified of one entry in one dtype.

    Attributes:
        entry: its name.
        dtype: such as "float32".
        ours: certificates of the entry, that at the defaults first.
        theirs: the certificate of PyTorch's own function at its defaults, or None.
    """

    entry: str
    dtype: str
    ours: tuple[Certificate, ...]
    theirs: Certificate | None = None

    @property
    def ok(self) -> bool:
        """Whether everything keeps the contract."""
        return all(certificate.ok for certificate in self.ours)

    @property
    def file(self) -> str:
        """The name of its file."""
        return f"{self.entry}.{self.dtype}.json"

    def save(self, folder: Path) -> None:
        """Write it into ``folder``, whole or not at all."""
        data = {
            "format": _FORMAT,
            "entry": self.entry,
            "dtype": self.dtype,
            "ours": [certificate.as_data() for certificate in self.ours],
            "theirs": self.theirs.as_data() if self.theirs else None,
        }
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_whole(folder / self.file, text)

    @classmethod
    def load(cls, path: Path) -> Page:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: the file is no page of a ledger.
        """
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != _FORMAT:
                raise ValueError(f"its format is {data['format']!r}")
            theirs = data["theirs"]
            return cls(
                data["entry"],
                data["dtype"],
                tuple(Certificate.from_data(part) for part in data["ours"]),
                Certificate.from_data(theirs) if theirs else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no page of a ledger: {error}") from error


def pages(folder: Path) -> Iterator[Page]:
    """All pages in ``folder``, in the order of their names."""
    for path in sorted(folder.glob("*.json")):
        yield Page.load(path)


def settings(entry: Entry) -> tuple[Mapping[str, float], ...]:
    """Further values of an entry's parameters: its defaults scaled, zeros shifted."""
    if not entry.parameters:
        return ()
    return tuple(
        {name: default * by if default else by - 1 for name, default in entry.parameters.items()}
        for by in _FACTORS
    )


def certified(
    entry: Entry,
    dtype: torch.dtype,
    *,
    processes: int | None = None,
    progress: Tell | bool | None = None,
    state: Path | None = None,
) -> Page:
    """The page of one entry in one dtype, measured now.

    Args:
        entry: of the catalogue.
        dtype: one of :data:`DTYPES`.
        processes: how many work at a time, as for :func:`~gradsmith.truth.certify.certify`.
        progress: a function that is told what is done, as there.
        state: a folder that keeps the finished parts of the exhaustive certificate.
    """
    formula = formula_of(entry.name)
    whole = dtype is torch.float32 and len(formula.inputs) == 1
    options: dict[str, Any] = {"processes": processes, "progress": progress}
    at_defaults = certify(Activation(formula), dtype, exhaustive=whole, state=state, **options)
    # Exact float64 values are asked for one by one.
    options["samples"] = _FEWER if dtype is torch.float64 else _MANY
    further = [
        certify(Activation(formula), dtype, parameters=setting, **options)
        for setting in settings(entry)
    ]
    theirs = counterpart(entry)
    certificate = certify(theirs, dtype, formula=formula, **options) if theirs else None
    name = str(dtype).removeprefix("torch.")
    return Page(entry.name, name, (at_defaults, *further), certificate)


def counterpart(entry: Entry) -> Subject | None:
    """PyTorch's own function of the inputs alone, or None where it needs or means more."""
    function = entry.counterpart()
    if function is None or len(entry.inputs) != 1:
        return None
    try:
        function(torch.tensor(_PROBES))
    except TypeError:  # parameters without defaults
        return None
    return Subject(str(entry.torch), function)


def worse(page: Page, *, processes: int | None = None) -> list[str]:
    """What a part of the inputs, measured anew, says that the page does not: in words.

    At the defaults every 262,139th bit pattern of float32 is looked at and all of the half formats,
    at further settings 61 times fewer; of float64 and of functions of several inputs a new sample.
    """
    found = []
    formula = formula_of(page.entry)
    dtype = getattr(torch, page.dtype)
    for old in page.ours:
        fewer = 1 if old is page.ours[0] else _FURTHER
        part: dict[str, Any] = {"samples": _RESAMPLED // fewer, "seed": 1}
        if len(formula.inputs) == 1 and page.dtype in _STRIDE:
            bits = 8 * dtype.itemsize
            part = {"patterns": range(0, 2**bits, fewer * _STRIDE[page.dtype])}
        new = certify(
            Activation(formula),
            dtype,
            parameters=old.parameters,
            processes=processes,
            progress=False,
            **part,
        )
        given = "".join(f", {name}={value:g}" for name, value in old.parameters.items())
        found += [f"{page.entry}{given}, {page.dtype}: {what}" for what in _worse(old, new)]
    return found


def _worse(old: Certificate, new: Certificate) -> Iterator[str]:
    if old.formula != new.formula:
        yield f"the formula was {old.formula}, now it is {new.formula}"
        return
    sampled = bool(new.coverage.samples)
    for before, now in zip(old.results, new.results, strict=True):
        # Another sample may find a larger error; then it is the contract that must hold.
        allowed = max(before.bound, new.contract[now.order]) if sampled else before.bound
        if now.bound > allowed:
            yield f"{now.name}: {now.max_ulp:.6g} ULP at {now.worst}, was {before.max_ulp:.6g}"
        for kind, (count, place) in now.wrong.items():
            if kind not in before.wrong:
                yield f"{now.name}: {count:,} × wrong {kind}, as at {place}"
        if now.unavailable and not before.unavailable:
            yield f"{now.name}: not available: {now.unavailable}"
