"""From single results to figures: the :class:`Accuracy` of many results and exact values."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradsmith.truth import ulp
from gradsmith.truth.accuracy import COARSEST, FINEST, INFINITE, THRESHOLDS, Accuracy, Place
from gradsmith.truth.inputs import bits_of
from gradsmith.truth.quantities import Quantity


def empty(quantity: Quantity, several: bool, unavailable: str = "") -> Accuracy:
    """Nothing looked at yet."""
    name = quantity.name(several)
    above = dict.fromkeys(THRESHOLDS, 0)
    return Accuracy(name, quantity.order, quantity.wrt, above=above, unavailable=unavailable)


def counted(
    start: Accuracy,
    columns: Sequence[Tensor],
    computed: Tensor,
    high: Tensor,
    verdict: ulp.Verdict,
    checked: int | None = None,
) -> Accuracy:
    """The figures of results at the inputs ``columns``.

    Args:
        start: an empty :class:`Accuracy` of the quantity.
        columns: inputs.
        computed: results.
        high: exact values, rounded to float64.
        verdict: what is to be said of them.
        checked: how many inputs this is about, where these are only those that need a closer look.
    """
    error, kind = verdict.error, verdict.kind
    right = torch.where((kind == ulp.RIGHT) & verdict.decided, error, -1.0)
    largest = float(right.max()) if right.numel() else -1.0
    worst = None
    if largest >= 0:
        worst = place(columns, computed, high, right == largest)
    wrong = {}
    for number, name in enumerate(ulp.KINDS):
        where = kind == number
        if number != ulp.RIGHT and (count := int(where.sum())):
            wrong[name] = count, place(columns, computed, high, where)
    return Accuracy(
        start.name,
        start.order,
        start.wrt,
        checked=error.numel() if checked is None else checked,
        max_ulp=max(largest, 0.0),
        bound=max(largest, 0.0),
        worst=worst,
        above={t: int((error > t).sum()) for t in THRESHOLDS},
        histogram=histogram(error[verdict.decided]),
        wrong=wrong,
        undecided=int((~verdict.decided).sum()),
    )


def histogram(error: Tensor) -> dict[int, int]:
    """How many errors lie in each (2ᵏ⁻¹, 2ᵏ]."""
    significand, exponent = torch.frexp(error.nan_to_num(posinf=0.0))
    bins = exponent.to(torch.int64) - (significand == 0.5).to(torch.int64)
    bins = torch.where(error == 0, FINEST, bins).clamp(FINEST, COARSEST)
    bins = torch.where(error.isinf(), INFINITE, bins)
    counts = torch.bincount(bins - FINEST, minlength=1).tolist()
    return {k + FINEST: count for k, count in enumerate(counts) if count}


def place(columns: Sequence[Tensor], computed: Tensor, high: Tensor, among: Tensor) -> Place:
    """The one of these inputs that is smallest in size, the positive one of two."""
    indices = among.nonzero().flatten()
    for column in columns:
        size = column[indices].abs().double().nan_to_num(nan=torch.inf)
        indices = indices[size == size.min()]
    found = [
        Place(
            tuple(float(column[i]) for column in columns),
            tuple(bits_of(column[i : i + 1])[0] for column in columns),
            float(computed[i]),
            float(high[i]),
        )
        for i in indices[:16].tolist()
    ]
    return min(found, key=lambda p: p.rank)
