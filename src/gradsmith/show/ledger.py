"""The ledger as a page for readers: our errors beside those of PyTorch's own functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradsmith.truth.accuracy import Accuracy
from gradsmith.truth.certificate import Certificate
from gradsmith.truth.ledger import Page

_HEAD = """\
# Accuracy

How far every activation of the catalogue is from the exact value, in units in the last place (ULP)
of the dtype, measured and not estimated. The exact value is that of the formula as it is printed,
enclosed by ball arithmetic. Derivatives are what a backward pass with upstream gradient 1 gives.
The largest error of a correctly rounded result is 0.5 ULP. *Wrong* counts zeros, infinities, NaNs
and signs that should not be there; they are not part of the maximum. The sign of a zero and a NaN
that got lost count too: PyTorch's derivative of ReLU and its like is 0 at each NaN of the dtype.

{coverage}

This page is generated from `certificates/` by `make certify`, which measures everything anew;
`gradsmith certify NAME` does it for one activation, and for a function of your own.
"""

_COVERAGE = {
    "float32": "float32: every one of the 2³² inputs at the parameters' defaults; for functions "
    "with parameters a million inputs more at each of three further settings.",
    "float64": "float64: a million inputs, dense where errors are: roots, kinks, edges of "
    "saturation, overflow and underflow, subnormals.",
    "float16": "float16, bfloat16: every one of the 65,536 inputs, at four settings of the "
    "parameters.",
}
_ORDERS = ("value", "1st derivative", "2nd derivative")


def page(ledger: Iterable[Page]) -> str:
    """The page in Markdown."""
    by_dtype: dict[str, list[Page]] = {}
    for entry in ledger:
        by_dtype.setdefault(entry.dtype, []).append(entry)
    parts = [_HEAD.format(coverage="\n".join(f"* {text}" for text in _COVERAGE.values()))]
    for dtype, entries in sorted(by_dtype.items(), key=lambda item: _rank(item[0])):
        parts += [f"## {dtype}\n", _table(entries), ""]
    missed = [
        f"* {certificate.subject}{_given(certificate)}, {entry.dtype}: {what}"
        for entries in by_dtype.values()
        for entry in entries
        for certificate in entry.ours
        for what in certificate.violations()
    ]
    parts += ["## What misses the contract\n"]
    parts += [*missed, ""] if missed else ["Nothing.\n"]
    return "\n".join(parts)


def _rank(dtype: str) -> tuple[int, str]:
    order = ("float32", "float64", "float16", "bfloat16")
    return (order.index(dtype) if dtype in order else len(order)), dtype


def _table(entries: Sequence[Page]) -> str:
    header = ["activation", *_ORDERS, "wrong", *(f"PyTorch: {name}" for name in _ORDERS), "wrong"]
    lines = [_row(header), _row(["---"] * len(header))]
    for entry in sorted(entries, key=lambda e: e.entry):
        ours = _columns(entry.ours)
        theirs = _columns((entry.theirs,)) if entry.theirs else ["–"] * 4
        lines.append(_row([f"`{entry.entry}`", *ours, *theirs]))
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _columns(certificates: Sequence[Certificate]) -> list[str]:
    """The worst over all settings, order by order, and how many are wrong."""
    results = [result for certificate in certificates for result in certificate.results]
    cells = [_largest([r for r in results if r.order == order]) for order in range(3)]
    mistakes = sum(result.mistakes for result in results)
    return [*cells, f"{mistakes:,}" if mistakes else "0"]


def _largest(results: Sequence[Accuracy]) -> str:
    known = [result.max_ulp for result in results if result.available]
    if not known:
        return "–"
    largest = max(known)
    if largest >= 1000:
        return f"{largest:.1e}"
    return "0" if largest == 0 else f"{largest:.3f}"


def _given(certificate: Certificate) -> str:
    return "".join(f", {name} = {value:g}" for name, value in certificate.parameters.items())
