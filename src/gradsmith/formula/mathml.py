"""Expressions as presentation MathML, limited to MathML Core, which every browser shows."""

from __future__ import annotations

from html import escape

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
from gradsmith.formula.layout import lay_out

STYLE = (
    'math { font-family: "STIX Two Math", "Cambria Math", "Latin Modern Math", '
    '"DejaVu Math TeX Gyre", "STIX Math", math; }'
)
"""For a page's style sheet: fonts whose brackets grow, which a browser does not always pick."""

_GAP = '<mspace width="0.1667em"></mspace>'
_WORD_SPACE = '<mspace width="0.3em"></mspace>'


def to_mathml(expr: Expr) -> str:
    """The content of a ``math`` element that shows ``expr``."""
    return fold(lay_out(expr), _paint)


def math_element(expr: Expr, block: bool = True) -> str:
    """A whole ``math`` element, on a line of its own or, with ``block=False``, within the text."""
    display = "block" if block else "inline"
    namespace = "http://www.w3.org/1998/Math/MathML"
    return f'<math xmlns="{namespace}" display="{display}">{to_mathml(expr)}</math>'


def _paint(box: Box, parts: list[str]) -> str:
    text = escape(box.text)
    match box:
        case Letter():
            return _letter(text)
        case Name():
            return _letter(text) if len(text) == 1 and not text.isascii() else _upright(text)
        case Word():
            return _upright(text)
        case Digits():
            return f"<mn>{text}</mn>"
        case Prose():
            return f"<mtext>{text}</mtext>"
        case Prefix():
            return f'<mo form="prefix">{text}</mo>'
        case Sign():
            return _sign(box)
        case Row():
            return f"<mrow>{_joined(box, parts)}</mrow>"
        case Fraction():
            return f"<mfrac>{parts[0]}{parts[1]}</mfrac>"
        case Script():
            return _script(box, parts)
        case Root():
            return f"<msqrt>{parts[0]}</msqrt>"
        case Fence():
            return _fence(box, parts[0])
        case Applied():
            applied = "" if isinstance(box.parts[0], Fraction) else "<mo>\u2061</mo>"
            return f"<mrow>{parts[0]}{applied}{parts[1]}</mrow>"
        case Cases():
            return _cases(parts)
    raise AssertionError(f"no MathML for {type(box).__name__}")


def _letter(text: str) -> str:
    # Capital Greek letters are upright in mathematics.
    variant = ' mathvariant="normal"' if text[0] in "ΓΔΘΛΞΠΣΥΦΨΩ∂" else ""
    letter = f"<mi{variant}>{text[0]}</mi>"
    return f"<msup>{letter}<mo>{text[1:]}</mo></msup>" if text[1:] else letter


def _sign(box: Box) -> str:
    if box is GAP:
        return _GAP
    spacing = ' lspace="0" rspace="0"' if box.text == "/" else ""
    return f"<mo{spacing}>{escape(box.text)}</mo>"


def _upright(text: str) -> str:
    # A name of one letter would be set in italics.
    return f'<mi mathvariant="normal">{text}</mi>' if len(text) == 1 else f"<mi>{text}</mi>"


def _script(box: Script, parts: list[str]) -> str:
    base, lower, upper = parts
    if box.lower.width and box.upper.width:
        return f"<msubsup>{base}{lower}{upper}</msubsup>"
    if box.lower.width:
        return f"<msub>{base}{lower}</msub>"
    return f"<msup>{base}{upper}</msup>"


def _fence(box: Box, inside: str) -> str:
    left, right = tuple(box.text)
    stretchy = "true" if box.tall or left == "|" else "false"
    opening = f'<mo form="prefix" fence="true" stretchy="{stretchy}">{left}</mo>'
    closing = f'<mo form="postfix" fence="true" stretchy="{stretchy}">{right}</mo>'
    return f"<mrow>{opening}{inside}{closing}</mrow>"


def _joined(box: Box, parts: list[str]) -> str:
    painted = ""
    for index, (part, markup) in enumerate(zip(box.parts, parts, strict=True)):
        if isinstance(part, Prose):
            painted += (_WORD_SPACE if index else "") + markup + _WORD_SPACE
        else:
            painted += markup
    return painted


def _cases(parts: list[str]) -> str:
    cell = '<mtd columnalign="left" style="text-align: left">'
    rows = "".join(
        f"<mtr>{cell}{value}</mtd>{cell}{condition}</mtd></mtr>"
        for value, condition in zip(parts[::2], parts[1::2], strict=True)
    )
    return (
        '<mrow><mo form="prefix" fence="true" stretchy="true">{</mo>'
        f"<mtable>{rows}</mtable></mrow>"
    )
