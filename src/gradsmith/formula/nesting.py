"""Why a text is too deep for its tree to be read: brackets in brackets, or too many terms in a row.

A sum of n terms is a tree n levels deep, for + joins two; whoever wrote it sees no levels.
"""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<power>\*\*)|(?P<sum>[-+])|(?P<product>[*/])"
    r"|(?P<arguments>,)|(?P<comparison>[<>=!]=?)|(?P<conditions>\b(?:and|or)\b)"
    r"|(?P<choice>\b(?:if|else|not)\b)"
)
_IN_A_ROW = {
    "arguments": "arguments",
    "conditions": "conditions",
    "comparison": "comparisons",
    "sum": "terms",
    "product": "factors",
    "power": "powers",
}
"""What each operator joins; the loosest first, for it ends the rows of those below it."""
_LOOSER = {kind: tuple(_IN_A_ROW)[: i + 1] for i, kind in enumerate(_IN_A_ROW)}


def too_deep(text: str, limit: int) -> str:
    """What to say of a text whose tree has more than ``limit`` levels."""
    code = text.partition("#")[0]
    counts: list[dict[str, int]] = [{}]
    longest, what, deepest = 0, "", 0
    for token in _TOKEN.finditer(code):
        kind = token.lastgroup or ""
        if kind == "open":
            counts.append({})
            deepest = max(deepest, len(counts) - 1)
        elif kind == "close":
            counts = counts[:-1] or [{}]
        elif kind == "choice":
            counts[-1] = {}
        elif kind != "sum" or _ends_an_operand(code[: token.start()]):
            counts[-1] = {looser: counts[-1].get(looser, 1) for looser in _LOOSER[kind]}
            number = counts[-1][kind] = counts[-1][kind] + 1
            if number > longest:
                longest, what = number, _IN_A_ROW[kind]
    if longest > max(deepest, limit // 2):
        hint = "" if what == "arguments" else "; group them in brackets"
        return f"the formula has {longest:,} {what} in a row; at most {limit} are read{hint}"
    return f"the formula is nested too deeply; at most {limit} levels are read"


def _ends_an_operand(text: str) -> bool:
    last = text.rstrip()[-1:]
    return last.isalnum() or (last != "" and last in "_.)]}")
