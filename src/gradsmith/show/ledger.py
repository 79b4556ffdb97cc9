"""The ledger as a page for readers: our errors beside those of PyTorch's own functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradsmith.truth.accuracy import Accuracy
from gradsmith.truth.certificate import CONTRACT, Certificate, percent
from gradsmith.truth.ledger import Page

_HEAD = """\
# Accuracy

How far every activation of the catalogue is from the exact value, measured and not estimated, with
PyTorch's own function beside it where it has one. {verdict}

**How to read it.** Each number is the largest error that was found, in units in the last place
(ULP) of the dtype: 0 is exact, 0.5 the best that rounding allows, and where an error is as large as
{digits} not one digit is right. The exact value is that of the formula as it is printed, enclosed
by ball arithmetic. Derivatives are what a backward pass with upstream gradient 1 gives.

*Wrong* counts zeros, infinities, NaNs and signs that should not be there, in value and derivatives
together, with their share of the results; they are no part of the largest error. The sign of a zero
and a NaN that got lost count too: PyTorch's derivative of ReLU and its like is 0 at NaN. A dash
stands where PyTorch has no such function or derivative, or its function has no defaults.

**What was looked at.**

{coverage}

Measured with {made}. The page is made of `certificates/`, which also say where each error is;
`make certify` measures everything anew, `gradsmith certify NAME` one activation, and
`gradsmith certify torch.nn.functional.NAME` PyTorch's.
"""

_DIGITS = "2²⁴ = 1.7e+07 (float32), 2⁵³ = 9.0e+15 (float64), 2¹¹ (float16) or 2⁸ (bfloat16)"
_COVERAGE = (
    "float32: every one of the 2³² inputs at the parameters' defaults, and a million "
    "at each of three further settings of them; of `glu`, which has two inputs, and of PyTorch's "
    "functions a million.",
    "float64: a million inputs at the defaults, 100,000 at each further setting and of "
    "PyTorch's functions.",
    "float16, bfloat16: every one of the 65,536 inputs at each setting, ours and "
    "PyTorch's; of `glu` a million.",
)
_DENSE = (
    "Where not all inputs are looked at, the sample is dense where errors are: at kinks, roots, "
    "edges of saturation, overflow and underflow, and among subnormal numbers; shares are those of "
    "the sample."
)
_FEW = 10  # wrong results that say more than their share
_ORDERS = ("value", "1st derivative", "2nd derivative")


def page(ledger: Iterable[Page]) -> str:
    """The page in Markdown."""
    by_dtype: dict[str, list[Page]] = {}
    for entry in ledger:
        by_dtype.setdefault(entry.dtype, []).append(entry)
    missed = [
        f"* {certificate.subject}{_given(certificate)}, {entry.dtype}: {what}"
        for entries in by_dtype.values()
        for entry in entries
        for certificate in entry.ours
        for what in certificate.violations()
    ]
    verdict = "Ours all keep the contract that stands above each table, and nothing is wrong."
    if missed:
        verdict = "What misses the contract is listed at the end."
    coverage = "\n".join([*(f"* {text}" for text in _COVERAGE), "", _DENSE])
    everything = [entry for entries in by_dtype.values() for entry in entries]
    head = _HEAD.format(verdict=verdict, digits=_DIGITS, coverage=coverage, made=_made(everything))
    parts = [head]
    for dtype, entries in sorted(by_dtype.items(), key=lambda item: _rank(item[0])):
        parts += [f"## {dtype}\n", _contract(dtype), "", _table(entries), ""]
    if missed:
        parts += ["## What misses the contract\n", *missed, ""]
    return "\n".join(parts)


def _contract(dtype: str) -> str:
    value, first, second = (f"{CONTRACT[dtype][order]:g}" for order in range(3))
    return f"Contract: at most {value} ULP for the value, {first} and {second} for the derivatives."


def _made(entries: Sequence[Page]) -> str:
    """What computed, without the code's version, which differs from page to page."""
    every = [certificate.made for entry in entries for certificate in entry.ours]
    found = {f"gradsmith {m.gradsmith}, PyTorch {m.torch}, {m.capability}" for m in every}
    return "; ".join(sorted(found))


def _rank(dtype: str) -> tuple[int, str]:
    order = ("float32", "float64", "float16", "bfloat16")
    return (order.index(dtype) if dtype in order else len(order)), dtype


def _table(entries: Sequence[Page]) -> str:
    columns = [*_ORDERS, "wrong"]
    header = ["activation", *columns, *(f"PyTorch: {name}" for name in columns)]
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
    share = percent(mistakes, sum(result.checked for result in results))
    return [*cells, f"{mistakes:,} ({share})" if mistakes > _FEW else f"{mistakes}"]


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
