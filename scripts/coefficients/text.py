"""How a module of coefficients is written, whatever made them."""

from __future__ import annotations

from collections.abc import Iterable
from math import log2
from pathlib import Path
from textwrap import indent

SCRIPTS = Path(__file__).resolve().parent
MODULES = SCRIPTS.parents[1] / "src/gradsmith/numerics/elementary/coefficients"

_HEADER = '''"""Coefficients of ``{name}.py``: minimax fits{by}.

Made by ``python scripts/coefficients/generate.py {name}``: change the script that it
runs, ``{script}``, and not this file.
"""

from __future__ import annotations

{imports}'''

_ENTRY = """Fit(
    coefficients=(
{coefficients}
    ),
    low=float.fromhex("{low}"),
    high=float.fromhex("{high}"),
    error=float.fromhex("{error}"),
)"""


def module(script: str, entries: Iterable[str], by: str = "") -> str:
    """A module of these entries, which that script makes."""
    body = "".join(entries)
    imports = "from gradsmith.numerics.elementary.polynomial import Fit\n" if "Fit(" in body else ""
    name = Path(script).stem
    return _HEADER.format(name=name, script=script, by=by, imports=imports) + body


def fit(
    name: str,
    comment: str,
    claim: str,
    coefficients: Iterable[str],
    low: str,
    high: str,
    error: str,
) -> str:
    """One fit; the numbers in hexadecimal, and ``claim`` with the error's logarithm for {}."""
    entry = _ENTRY.format(coefficients=_lines(coefficients, 8), low=low, high=high, error=error)
    return f"\n# {comment}\n# {_filled(claim, error)}\n{name} = {entry}\n"


def fits(
    name: str,
    comment: str,
    claim: str,
    rows: Iterable[tuple[Iterable[str], str, str, str]],
) -> str:
    """Several fits, each its coefficients, interval and error; ``claim`` is of the worst."""
    kept = [(_lines(coefficients, 8), *rest) for coefficients, *rest in rows]
    worst = max((error for *_, error in kept), key=float.fromhex)
    text = "".join(
        indent(_ENTRY.format(coefficients=lines, low=low, high=high, error=error), " " * 4) + ",\n"
        for lines, low, high, error in kept
    )
    return f"\n# {comment}\n# {_filled(claim, worst)}\n{name} = (\n{text})\n"


def _filled(claim: str, error: str) -> str:
    return claim.format(f"2^{log2(float.fromhex(error)):.2f}")


def number(name: str, comment: str, value: str) -> str:
    """A constant, written as Python reads it."""
    return f"\n# {comment}\n{name} = {value}\n"


def parts(name: str, comment: str, values: Iterable[str]) -> str:
    """A constant in several parts, each in hexadecimal."""
    return f"\n# {comment}\n{name} = (\n{_lines(values, 4)}\n)\n"


def _lines(values: Iterable[str], indent: int) -> str:
    return "\n".join(f'{" " * indent}float.fromhex("{value}"),' for value in values)
