"""``Comparison``: what :func:`gradsmith.truth.compare.compare` found, printable and as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from gradsmith.truth import ulp
from gradsmith.truth.exactly import Exact

SHOWN = 8
"""Up to so many elements a comparison shows, and gives the exact value of, every one."""

_JUDGED = 64  # of the elements that differ, those for which the exact value is asked


@dataclass(frozen=True, slots=True)
class Difference:
    """The two sides at one element.

    Attributes:
        at: the inputs there, by name.
        ours: the activation's result.
        reference: the reference's.
        exact: the exact value rounded to float64, or None where it is not known.
        ours_error: how far ``ours`` is from the exact value, in ULP of the dtype; None likewise.
        reference_error: the same for ``reference``.
        wrong: which of the two is further from the exact value than the tolerance allows: "ours",
            "reference", "both" or "neither"; None where that is not known.
    """

    at: Mapping[str, float]
    ours: float
    reference: float
    exact: float | None = None
    ours_error: float | None = None
    reference_error: float | None = None
    wrong: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One quantity on both sides.

    Attributes:
        name: what it is.
        ours: the activation's.
        reference: the reference's, of the same shape and dtype.
        exact: the exact values rounded to that dtype, for :data:`SHOWN` elements at most.
        difference: the largest absolute difference; infinite if only one side is a finite number.
        ulp: the largest difference in ULP of the dtype at the result itself, however small.
        beyond: the number of elements that differ by more than the tolerance.
        wrong: of those (or of the 64 that differ most) how many are wrong on which side, by the
            names of :attr:`Difference.wrong`; empty where the exact value is not known.
        worst: where the sides differ most; None where they do not.
    """

    name: str
    ours: Tensor
    reference: Tensor
    exact: Tensor | None
    difference: float
    ulp: float
    beyond: int
    wrong: Mapping[str, int]
    worst: Difference | None

    @property
    def agrees(self) -> bool:
        """Whether no element differs by more than the tolerance."""
        return self.beyond == 0


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """An activation beside a reference; prints as a table with a verdict.

    Attributes:
        ours: name of the activation.
        reference: name of what it was compared with.
        formula: what the exact values are those of; empty if there are none.
        inputs: the inputs by name.
        rows: the quantities compared.
        tolerance: how far apart, in ULP of ``dtype``, the sides may be. The ULP is taken at the
            larger result; for one below 1, at 1 or at the largest of all results, whichever is
            less: what computes from quantities of that size, as y(1 − y) does from y, cannot do
            better. For functions of several inputs it is taken at the largest of them at least.
        dtype: of the results.
    """

    ours: str
    reference: str
    formula: str
    inputs: Mapping[str, Tensor]
    rows: tuple[Row, ...]
    tolerance: float
    dtype: torch.dtype

    @property
    def agrees(self) -> bool:
        """Whether every row agrees within the tolerance."""
        return all(row.agrees for row in self.rows)

    @property
    def wrong(self) -> str | None:
        """Whose differences beyond the tolerance the exact value proves wrong.

        "ours", "reference", "both", "neither"; None where the exact value is not known.
        """
        differing = [row for row in self.rows if not row.agrees]
        if not self.formula or any(not row.wrong for row in differing):
            return None
        sides = {side for row in differing for side, count in row.wrong.items() if count}
        sides -= {"neither"}
        if {"ours", "reference"} <= sides:
            return "both"
        return next(iter(sides), "neither")

    def row(self, name: str) -> Row:
        """The row of that name.

        Raises:
            KeyError: there is none.
        """
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no row {name!r}; there are {', '.join(row.name for row in self.rows)}")

    def __str__(self) -> str:
        from gradsmith.truth.tables import as_text

        return as_text(self)

    def __rich__(self) -> object:
        from gradsmith.truth.tables import as_rich

        return as_rich(self)

    def _repr_html_(self) -> str:
        from gradsmith.truth.tables import as_html

        return as_html(self)

    def _repr_markdown_(self) -> str:
        from gradsmith.truth.tables import as_markdown

        return as_markdown(self)


def compare_row(
    name: str,
    ours: Tensor,
    reference: Tensor,
    inputs: Mapping[str, Tensor],
    tolerance: float,
    least: Tensor | float,
    exact: Exact | None,
) -> Row:
    """One row; see :class:`Row` and :class:`Comparison` for what its numbers mean.

    Args:
        name: what it is.
        ours: the activation's results.
        reference: the reference's.
        inputs: the inputs by name.
        tolerance: in ULP.
        least: the smallest number at which an ULP is taken, one for all or one for each element.
        exact: the exact values, where they are known.
    """
    a, b = (x.detach().flatten().cpu() for x in (ours, reference))
    wide_a, wide_b = a.double(), b.double()
    larger = torch.maximum(wide_a.abs(), wide_b.abs())
    least = _with_inputs(torch.as_tensor(least).expand(larger.shape), inputs)
    ulps = ulp.difference(a, b)
    gap = torch.where(ulps == inf, inf, (wide_a - wide_b).abs())
    gap = torch.where(ulps == 0, 0.0, gap)
    beyond = gap > tolerance * ulp.unit(torch.maximum(larger, least), a.dtype)
    judged = _most_differing(gap, beyond, inputs)
    judge = _Judge(a, b, inputs, exact, tolerance, least)
    differences = [judge.difference(int(i)) for i in judged]
    sides = [d.wrong for d in differences if d.wrong is not None]
    worst = differences[0] if differences else None
    if worst is None and a.numel() and ulps.max() > 0:
        worst = judge.difference(int(ulps.argmax()))
    return Row(
        name,
        ours,
        reference,
        judge.all_exact(ours) if a.numel() <= SHOWN else None,
        float(gap.max()) if a.numel() else 0.0,
        float(ulps.max()) if a.numel() else 0.0,
        int(beyond.sum()),
        {side: sides.count(side) for side in dict.fromkeys(sides)},
        worst,
    )


def largest(values: Tensor) -> float:
    """The largest finite magnitude, 0 where there is none."""
    finite = values.detach().double().abs().nan_to_num(0.0, 0.0)
    return float(finite.max()) if finite.numel() else 0.0


def _with_inputs(least: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    if len(inputs) > 1:
        # What is computed on the way may be as large as an input that others make small again.
        for x in inputs.values():
            if x.numel() == least.numel():
                least = torch.maximum(least, x.detach().double().abs().flatten().cpu())
    return least


def _most_differing(gap: Tensor, beyond: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Flat indices beyond the tolerance: the largest gap first, of equal ones inputs nearest 0."""
    found = beyond.nonzero().flatten()
    for x in inputs.values():
        if x.numel() == gap.numel():
            size = x.detach().abs().flatten().cpu()[found]
            found = found[size.argsort(stable=True)]
    return found[gap[found].argsort(descending=True, stable=True)][:_JUDGED]


@dataclass(frozen=True, slots=True, eq=False)
class _Judge:
    """Holds both sides of one row against the exact value."""

    ours: Tensor
    reference: Tensor
    inputs: Mapping[str, Tensor]
    exact: Exact | None
    tolerance: float
    least: Tensor

    def all_exact(self, like: Tensor) -> Tensor | None:
        if self.exact is None:
            return None
        high, _ = self.exact(torch.arange(self.ours.numel()))
        return high.to(like.dtype).reshape(like.shape)

    def difference(self, i: int) -> Difference:
        at = {
            name: float(x.detach().flatten()[i])
            for name, x in self.inputs.items()
            if x.numel() == self.ours.numel()
        }
        a, b = self.ours[i : i + 1], self.reference[i : i + 1]
        if self.exact is None:
            return Difference(at, float(a), float(b))
        high, low = self.exact(torch.tensor([i]))
        if high.isnan():
            return Difference(at, float(a), float(b))
        wrong = [self._is_wrong(x, high, low, self.least[i]) for x in (a, b)]
        names = {(True, True): "both", (True, False): "ours", (False, True): "reference"}
        return Difference(
            at,
            float(a),
            float(b),
            float(high),
            float(ulp.error(a, high, low)),
            float(ulp.error(b, high, low)),
            names.get((wrong[0], wrong[1]), "neither"),
        )

    def _is_wrong(self, computed: Tensor, high: Tensor, low: Tensor, least: Tensor) -> bool:
        # The measure by which the sides were found to differ, with the exact value for the other.
        unit = ulp.unit(torch.maximum(high.abs(), least), computed.dtype)
        allowed = self.tolerance * unit / ulp.unit(high, computed.dtype)
        return bool(ulp.error(computed, high, low) > allowed)
