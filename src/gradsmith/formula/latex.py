"""Expressions as LaTeX that reads the way a paper prints it.

Only commands that LaTeX's own kernel and amsmath have, so that a notebook (MathJax, KaTeX) shows
the result; without ``where``, which needs ``cases``, Matplotlib's mathtext shows it as well.
"""

from __future__ import annotations

import re

from gradsmith.formula.boxes import (
    GAP,
    Applied,
    Box,
    Cases,
    Digits,
    Fence,
    Fraction,
    Letter,
    Name,
    Prefix,
    Prose,
    Root,
    Row,
    Script,
    Sign,
    Word,
    fold,
)
from gradsmith.formula.expression import Expr
from gradsmith.formula.layout import GREEK, lay_out

_LETTERS = {letter: f"\\{name}" for name, letter in GREEK.items()} | {
    "ε": r"\varepsilon",
    "φ": r"\varphi",
    "π": r"\pi",
    "∂": r"\partial",
}
_KNOWN_NAMES = frozenset(
    ("sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "exp", "log", "max", "min")
)
_SIGNS = {
    "−": " - ",
    "+": " + ",
    "<": " < ",
    ">": " > ",
    "=": " = ",
    "≤": r" \le ",
    "≥": r" \ge ",
    "≠": r" \ne ",
    "·": r" \cdot ",
    "/": "/",
    ",": ", ",
    "\u2062": "",
    "\u2009": r"\,",
}
_PREFIXES = {"−": "-", "¬": r"\lnot"}
_ESCAPED = str.maketrans({c: f"\\{c}" for c in "#$%&_{}"})
_ENDS_IN_COMMAND = re.compile(r"\\[A-Za-z]+\Z")


def to_latex(expr: Expr) -> str:
    r"""``expr`` as LaTeX for math mode, with no more brackets than it needs.

    For example ``1/(1 + exp(-x))`` gives ``\frac{1}{1 + e^{-x}}``.
    """
    return fold(lay_out(expr), _paint)


def _paint(box: Box, parts: list[str]) -> str:
    match box:
        case Letter():
            return _letter(box.text)
        case Word():
            return f"\\mathrm{{{box.text.translate(_ESCAPED)}}}"
        case Name():
            return _name(box.text)
        case Digits():
            return box.text
        case Prose():
            return f"\\text{{{box.text}}}"
        case Prefix():
            return _PREFIXES[box.text]
        case Sign():
            return _SIGNS[box.text]
        case Row():
            return _joined(box, parts)
        case Fraction():
            return f"\\frac{{{parts[0]}}}{{{parts[1]}}}"
        case Script():
            return _script(parts)
        case Root():
            return f"\\sqrt{{{parts[0]}}}"
        case Fence():
            return _fence(box, parts[0])
        case Applied():
            return "".join(parts)
        case Cases():
            pairs = zip(parts[::2], parts[1::2], strict=True)
            rows = r" \\ ".join(f"{value} & {condition}" for value, condition in pairs)
            return f"\\begin{{cases}} {rows} \\end{{cases}}"
    raise AssertionError(f"no LaTeX for {type(box).__name__}")


def _letter(text: str) -> str:
    return _LETTERS.get(text[0], text[0]) + "'" * (len(text) - 1)


def _name(text: str) -> str:
    if text in _KNOWN_NAMES:
        return f"\\{text}"
    return _LETTERS.get(text) or f"\\operatorname{{{text.translate(_ESCAPED)}}}"


def _script(parts: list[str]) -> str:
    base, lower, upper = parts
    # A prime is a superscript of its own.
    base = f"{{{base}}}" if upper and base.endswith("'") else base
    return base + (f"_{{{lower}}}" if lower else "") + (f"^{{{upper}}}" if upper else "")


def _fence(box: Box, inside: str) -> str:
    left, right = tuple(box.text)
    if left == "|" or left == "[" or box.tall:
        return f"\\left{left}{inside}\\right{right}"
    return f"{left}{inside}{right}"


def _joined(box: Box, parts: list[str]) -> str:
    text = ""
    for index, (part, painted) in enumerate(zip(box.parts, parts, strict=True)):
        if isinstance(part, Prose):
            # \text keeps the spaces that math mode drops.
            painted = f"\\text{{{' ' if index else ''}{part.text} }} "
        elif part is GAP and _spaces_itself(box.parts[index + 1]):
            painted = " "
        if painted[:1].isalnum() and _ENDS_IN_COMMAND.search(text):
            text += " "
        text += painted
    return text


def _spaces_itself(box: Box) -> bool:
    """Whether LaTeX puts a thin space before the box: an operator's name such as tanh."""
    while isinstance(box, (Applied, Script)):
        box = box.parts[0]
    return isinstance(box, Name) and _name(box.text) not in _LETTERS.values()
