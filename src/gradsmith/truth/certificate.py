"""``Certificate``: how far an activation is from the truth, where, how often; who measured it."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from gradsmith.truth.accuracy import THRESHOLDS, Accuracy
from gradsmith.truth.files import write_whole

_FORMAT: Final = "gradsmith certificate"
_VERSION: Final = 1

CONTRACT: Final[Mapping[str, Mapping[int, float]]] = MappingProxyType(
    {
        "float64": {0: 4.0, 1: 4.0, 2: 4.0},
        "float32": {0: 1.0, 1: 1.0, 2: 2.0},
        "float16": {0: 0.51, 1: 0.51, 2: 0.51},
        "bfloat16": {0: 0.51, 1: 0.51, 2: 0.51},
    }
)
"""The numerical contract: for each dtype the ULP that value and derivatives may be off."""

_WIDTHS = {"float64": 64, "float32": 32, "float16": 16, "bfloat16": 16}


@dataclass(frozen=True, slots=True)
class Made:
    """What a certificate was measured with.

    Attributes:
        backend: what computed the subject.
        gradsmith: the version.
        code: the beginning of a hash of gradsmith's source.
        torch: PyTorch's version.
        capability: the vector instructions that PyTorch uses on this CPU.
    """

    backend: str
    gradsmith: str
    code: str
    torch: str
    capability: str

    def __str__(self) -> str:
        version = f"gradsmith {self.gradsmith} (code {self.code})"
        return f"{version}, backend {self.backend}, PyTorch {self.torch}, {self.capability}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """Which inputs were looked at.

    Attributes:
        patterns: ranges of bit patterns as (start, stop, step); all of them if there are none
            and nothing was sampled.
        samples: how many inputs were drawn at least, 0 if none were.
        seed: what they were drawn with.
    """

    patterns: tuple[tuple[int, int, int], ...] = ()
    samples: int = 0
    seed: int = 0

    def exhaustive(self, dtype: str) -> bool:
        """Whether these are all the numbers of the dtype."""
        return not self.samples and self.patterns == ((0, 2 ** _WIDTHS[dtype], 1),)

    def __add__(self, other: Coverage) -> Coverage:
        if self.samples or other.samples:
            raise ValueError("samples may have inputs in common; only bit patterns are merged")
        joined: list[tuple[int, int, int]] = []
        for start, stop, step in sorted((*self.patterns, *other.patterns)):
            if joined and joined[-1][1] > start:
                raise ValueError(f"both include the bit pattern {start:#x}")
            if joined and joined[-1][1:] == (start, 1) and step == 1:
                joined[-1] = (joined[-1][0], stop, 1)
            else:
                joined.append((start, stop, step))
        return replace(self, patterns=tuple(joined))

    def describe(self, dtype: str, checked: int) -> str:
        """Such as "all 65,536 inputs"."""
        if self.exhaustive(dtype):
            return f"all {checked:,} inputs"
        if self.samples:
            return f"{checked:,} sampled inputs, seed {self.seed}"
        return f"{checked:,} of {2 ** _WIDTHS[dtype]:,} inputs"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The errors of an activation's value and derivatives against the exact ones.

    Attributes:
        subject: what was measured.
        formula: what it should compute.
        inputs: the formula's inputs.
        parameters: the values of the formula's parameters.
        dtype: of inputs and results, such as "float32".
        coverage: which inputs were looked at.
        results: one :class:`~gradsmith.truth.accuracy.Accuracy` for each quantity.
        made: what it was measured with.
    """

    subject: str
    formula: str
    inputs: tuple[str, ...]
    parameters: Mapping[str, float]
    dtype: str
    coverage: Coverage
    results: tuple[Accuracy, ...]
    made: Made

    @property
    def exhaustive(self) -> bool:
        """Whether every input of the dtype was looked at."""
        return self.coverage.exhaustive(self.dtype)

    @property
    def contract(self) -> Mapping[int, float]:
        """What the numerical contract allows for this dtype, by order of the derivative."""
        return CONTRACT[self.dtype]

    @property
    def ok(self) -> bool:
        """Whether everything that was measured keeps the contract, and nothing is missing."""
        return self.holds()

    def holds(self, budgets: Mapping[int, float] | float | None = None) -> bool:
        """Whether all results are within their budget, none is wrong, undecided or missing.

        Args:
            budgets: ULP by order of the derivative, or one for all. What is left out is that of
                the contract.
        """
        return not self.violations(budgets)

    def violations(self, budgets: Mapping[int, float] | float | None = None) -> list[str]:
        """What does not hold, in words."""
        if isinstance(budgets, (int, float)):
            budgets = dict.fromkeys(self.contract, budgets)
        allowed = {**self.contract, **(budgets or {})}
        found = []
        for result in self.results:
            budget = allowed[result.order]
            if result.unavailable:
                found.append(f"{result.name}: not available: {result.unavailable}")
                continue
            if result.bound > budget:
                found.append(f"{result.name}: {_ulp(result.bound)} ULP, {budget:g} allowed")
            found += [f"{result.name}: {n:,} × wrong {k}" for k, (n, _) in result.wrong.items()]
            if result.undecided:
                found.append(f"{result.name}: {result.undecided:,} inputs undecided")
            if not result.checked:
                found.append(f"{result.name}: nothing was checked")
        return found

    def __getitem__(self, name: str) -> Accuracy:
        """The result called ``name``, such as "value" or "second derivative"."""
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(f"there is no {name!r}; there are {', '.join(r.name for r in self.results)}")

    def merge(self, other: Certificate) -> Certificate:
        """Both together, of different bit patterns, as two machines may have measured them.

        Raises:
            ValueError: they are about different things, made with different code, or have bit
                patterns in common.
        """
        names = ("subject", "formula", "inputs", "parameters", "dtype", "made")
        for name in names:
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise ValueError(f"the certificates differ in {name}: {ours} and {theirs}")
        if len(self.results) != len(other.results):
            raise ValueError("the certificates are about different quantities")
        together = tuple(a + b for a, b in zip(self.results, other.results, strict=True))
        return replace(self, coverage=self.coverage + other.coverage, results=together)

    # As text.

    def rows(self) -> list[tuple[str, ...]]:
        """The table: a header, then a row for each quantity."""
        header = ("", "max ULP", *(f"> {t:g} ULP" for t in THRESHOLDS), "wrong", "max at")
        return [header, *(_row(result) for result in self.results)]

    def notes(self) -> list[str]:
        """What the table does not say: what is wrong, with an example of each."""
        found = []
        for result in self.results:
            if result.unavailable:
                found.append(f"{result.name} not available: {result.unavailable}")
            for kind, (count, place) in result.wrong.items():
                got = f"{place.computed:.9g} instead of {place.exact:.9g}"
                found.append(f"{result.name}: {count:,} × wrong {kind}, as at {place}: {got}")
            if result.undecided:
                found.append(f"{result.name}: the exact value of {result.undecided:,} is not known")
            if result.bound > 1.01 * result.max_ulp + 0.01:
                found.append(f"{result.name}: proven to be at most {_ulp(result.bound)} ULP")
        return found

    def title(self) -> str:
        """What was measured, where, and whether it keeps the contract."""
        checked = max((result.checked for result in self.results), default=0)
        given = "".join(f", {name} = {value:g}" for name, value in self.parameters.items())
        named = self.subject if self.subject == self.formula else f"{self.subject}: {self.formula}"
        verdict = "keeps" if self.ok else "DOES NOT KEEP"
        allowed = ", ".join(f"{self.contract[r.order]:g}" for r in self.results)
        covered = self.coverage.describe(self.dtype, checked)
        return f"{named}{given}\n{self.dtype}, {covered}: {verdict} the contract ({allowed} ULP)"

    def __str__(self) -> str:
        rows = self.rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = ["  ".join(f"{c:<{w}}" for c, w in zip(r, widths, strict=True)) for r in rows]
        lines = [self.title(), "", *table, "", *self.notes(), str(self.made)]
        return "\n".join(line.rstrip() for line in lines)

    # As a file.

    def as_data(self) -> dict[str, Any]:
        """Everything, as JSON has it; :meth:`from_data` reads it."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "subject": self.subject,
            "formula": self.formula,
            "inputs": list(self.inputs),
            "parameters": dict(self.parameters),
            "dtype": self.dtype,
            "coverage": {
                "patterns": [list(part) for part in self.coverage.patterns],
                "samples": self.coverage.samples,
                "seed": self.coverage.seed,
            },
            "made": {name: getattr(self.made, name) for name in Made.__slots__},
            "results": [result.as_data() for result in self.results],
        }

    def to_json(self) -> str:
        """:meth:`as_data` as a JSON document; :meth:`from_json` reads it."""
        return json.dumps(self.as_data(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Certificate:
        """The certificate that :meth:`to_json` wrote.

        Raises:
            ValueError: the text is no certificate, or one of a format this version cannot read.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"this is no certificate: {error}") from error
        return cls.from_data(data)

    @classmethod
    def from_data(cls, data: object) -> Certificate:
        """The certificate that :meth:`as_data` gave.

        Raises:
            ValueError: this is no certificate, or one of a format this version cannot read.
        """
        if not isinstance(data, dict) or data.get("format") != _FORMAT:
            raise ValueError("this is no certificate of gradsmith")
        if data.get("version") != _VERSION:
            raise ValueError(
                f"this certificate has format {data.get('version')!r}; format {_VERSION} is read"
            )
        try:
            return cls._read(data)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"this certificate is damaged: {error!r}") from error

    @classmethod
    def _read(cls, data: Mapping[str, Any]) -> Certificate:
        covered = data["coverage"]
        patterns = tuple((int(a), int(b), int(c)) for a, b, c in covered["patterns"])
        if data["dtype"] not in CONTRACT:
            raise ValueError(f"unknown dtype {data['dtype']!r}")
        return cls(
            subject=str(data["subject"]),
            formula=str(data["formula"]),
            inputs=tuple(data["inputs"]),
            parameters={str(k): float(v) for k, v in data["parameters"].items()},
            dtype=data["dtype"],
            coverage=Coverage(patterns, int(covered["samples"]), int(covered["seed"])),
            results=tuple(Accuracy.from_data(result) for result in data["results"]),
            made=Made(**{name: str(data["made"][name]) for name in Made.__slots__}),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as a JSON file, whole or not at all."""
        write_whole(path, self.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Read what :meth:`save` wrote.

        Raises:
            ValueError: the file holds no certificate that can be read.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)}: {error}") from error


def _row(result: Accuracy) -> tuple[str, ...]:
    if result.unavailable:
        return (result.name, "not available", *[""] * (len(THRESHOLDS) + 2))
    shares = [percent(result.above.get(t, 0), result.checked) for t in THRESHOLDS]
    at = str(result.worst) if result.worst else ""
    return result.name, _ulp(result.max_ulp), *shares, f"{result.mistakes:,}", at


def _ulp(error: float) -> str:
    """Rounded up, so that what is shown as within a budget is."""
    if not 0 < error < 1e6:
        return f"{error:g}"
    scale = 10.0 ** max(0, 3 - max(0, math.floor(math.log10(error))))
    return f"{math.ceil(error * scale) / scale:g}"


def percent(count: int, of: int) -> str:
    """The share in percent; what is not none is never shown as 0."""
    if not count:
        return "0"
    share = 100 * count / of
    return f"{share:.3g} %" if share >= 0.001 else f"{count:,} of them"
