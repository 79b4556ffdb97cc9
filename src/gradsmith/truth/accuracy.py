"""``Accuracy``: what is known of the errors of one quantity over some inputs; sums of such.

A result is within a number of ULP of the exact value, or wrong: a zero, infinity, NaN or sign that
should not be there. What is wrong is counted by itself and is no part of the maximum, so that it
can neither hide nor be averaged away; it does count among the inputs above each error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

THRESHOLDS: Final = (0.5, 1.0, 2.0, 10.0)
FINEST, COARSEST = -3, 64
"""Exponents of the histogram's first and last finite bin: rounding alone fills those to −1."""
INFINITE: Final = COARSEST + 1
"""The bin of infinite errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Place:
    """An input with what came out and what should have. Equal are those that print alike.

    Attributes:
        inputs: the inputs.
        bits: their bit patterns, as hexadecimal numbers.
        computed: what came out.
        exact: the exact value, rounded to float64.
    """

    inputs: tuple[float, ...]
    bits: tuple[str, ...]
    computed: float
    exact: float

    def __str__(self) -> str:
        parts = [f"{x:.9g} ({b})" for x, b in zip(self.inputs, self.bits, strict=True)]
        return ", ".join(parts)

    def __eq__(self, other: object) -> bool:
        # NaN is the same as NaN here, and −0 is not 0.
        return isinstance(other, Place) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    @property
    def rank(self) -> tuple[bool, tuple[float, ...], tuple[str, ...]]:
        """Orders places by the sizes of their inputs, NaN last: where trouble begins."""
        missing = any(map(math.isnan, self.inputs))
        return missing, () if missing else tuple(map(abs, self.inputs)), self.bits


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Errors of one quantity.

    Attributes:
        name: of the quantity, such as "derivative".
        order: of the derivative, 0 for the value.
        wrt: the input it is a derivative in, or None.
        checked: how many inputs were looked at.
        max_ulp: the largest error of a result that is not wrong, in ULP.
        bound: no such error is larger; above ``max_ulp`` where errors were measured against
            polynomials with a proven margin.
        worst: where ``max_ulp`` is attained.
        above: how many inputs have an error above each of :data:`THRESHOLDS`, wrong ones included.
        histogram: how many errors lie in (2ᵏ⁻¹, 2ᵏ] ULP; the first bin holds all smaller ones,
            the last, :data:`INFINITE`, those that no number of ULP measures.
        wrong: number and an example of wrong results by kind.
        undecided: at how many inputs the exact value is not known.
        unavailable: why there is nothing to measure; empty where there is.
    """

    name: str
    order: int
    wrt: str | None = None
    checked: int = 0
    max_ulp: float = 0.0
    bound: float = 0.0
    worst: Place | None = None
    above: Mapping[float, int] = field(default_factory=dict)
    histogram: Mapping[int, int] = field(default_factory=dict)
    wrong: Mapping[str, tuple[int, Place]] = field(default_factory=dict)
    undecided: int = 0
    unavailable: str = ""

    @property
    def available(self) -> bool:
        """Whether there was anything to measure."""
        return not self.unavailable

    @property
    def mistakes(self) -> int:
        """The number of wrong results of every kind."""
        return sum(count for count, _ in self.wrong.values())

    def share(self, threshold: float) -> float:
        """The share of inputs with an error above ``threshold``, one of :data:`THRESHOLDS`."""
        return self.above.get(threshold, 0) / self.checked if self.checked else 0.0

    def holds(self, budget: float) -> bool:
        """Whether every result is within ``budget`` ULP of the exact value, and none is wrong."""
        known = self.available and self.checked > 0 and not self.undecided
        return known and not self.wrong and self.bound <= budget

    def __add__(self, other: Accuracy) -> Accuracy:
        """Both together; of inputs that are distinct."""
        if (self.name, self.order, self.wrt) != (other.name, other.order, other.wrt):
            raise ValueError(f"{self.name} and {other.name} are different quantities")
        worst = _worse(self, other)
        wrong = dict(self.wrong)
        for kind, (count, place) in other.wrong.items():
            known, first = wrong.get(kind, (0, place))
            wrong[kind] = known + count, min(first, place, key=lambda p: p.rank)
        return replace(
            self,
            checked=self.checked + other.checked,
            max_ulp=worst.max_ulp,
            bound=max(self.bound, other.bound),
            worst=worst.worst,
            above=_summed(self.above, other.above),
            histogram=_summed(self.histogram, other.histogram),
            wrong=dict(sorted(wrong.items())),
            undecided=self.undecided + other.undecided,
            unavailable=self.unavailable or other.unavailable,
        )

    def as_data(self) -> dict[str, Any]:
        """Everything, as JSON has it."""
        return {
            "quantity": self.name,
            "order": self.order,
            "wrt": self.wrt,
            "checked": self.checked,
            "max_ulp": written(self.max_ulp),
            "bound": written(self.bound),
            "worst": _place_data(self.worst) if self.worst else None,
            "above": {repr(t): self.above.get(t, 0) for t in THRESHOLDS},
            "histogram": {str(k): n for k, n in sorted(self.histogram.items()) if n},
            "wrong": {k: {"count": n, **_place_data(p)} for k, (n, p) in self.wrong.items()},
            "undecided": self.undecided,
            "unavailable": self.unavailable,
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Accuracy:
        """The reverse of :meth:`as_data`."""
        return cls(
            name=str(data["quantity"]),
            order=int(data["order"]),
            wrt=data["wrt"],
            checked=int(data["checked"]),
            max_ulp=float(data["max_ulp"]),
            bound=float(data["bound"]),
            worst=_place(data["worst"]) if data["worst"] else None,
            above={float(t): int(n) for t, n in data["above"].items()},
            histogram={int(k): int(n) for k, n in data["histogram"].items()},
            wrong={k: (int(w["count"]), _place(w)) for k, w in data["wrong"].items()},
            undecided=int(data["undecided"]),
            unavailable=str(data["unavailable"]),
        )


def _worse(a: Accuracy, b: Accuracy) -> Accuracy:
    if a.max_ulp != b.max_ulp:
        return a if a.max_ulp > b.max_ulp else b
    if a.worst is None or b.worst is None:
        return a if b.worst is None else b
    return a if a.worst.rank <= b.worst.rank else b


def _summed(a: Mapping[Any, int], b: Mapping[Any, int]) -> dict[Any, int]:
    return {key: a.get(key, 0) + b.get(key, 0) for key in sorted({*a, *b})}


def written(number: float) -> float | str:
    """A number as JSON can hold it: infinity and NaN as text, which ``float`` reads."""
    return number if math.isfinite(number) else repr(number)


def _place_data(place: Place) -> dict[str, Any]:
    return {
        "inputs": [written(x) for x in place.inputs],
        "bits": list(place.bits),
        "computed": written(place.computed),
        "exact": written(place.exact),
    }


def _place(data: Mapping[str, Any]) -> Place:
    return Place(
        tuple(float(x) for x in data["inputs"]),
        tuple(str(b) for b in data["bits"]),
        float(data["computed"]),
        float(data["exact"]),
    )
