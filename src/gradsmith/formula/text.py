"""Expressions as Python expression syntax: what :mod:`gradsmith.formula.parse` reads back."""

from __future__ import annotations

from fractions import Fraction

from gradsmith.formula.expression import Call, Expr, Number, Symbol, walk
from gradsmith.formula.vocabulary import (
    ADD,
    AND,
    DIV,
    EQ,
    GE,
    GT,
    LE,
    LT,
    MUL,
    NE,
    NEG,
    NOT,
    OR,
    POW,
    SUB,
)

# Python's own precedences, from loosest to tightest.
_OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(9)

# operator: (sign between the operands, own precedence, what each operand must at least have)
_INFIX = {
    ADD: (" + ", _SUM, _SUM, _SUM),
    SUB: (" - ", _SUM, _SUM, _PRODUCT),
    MUL: ("*", _PRODUCT, _PRODUCT, _PRODUCT),
    DIV: ("/", _PRODUCT, _PRODUCT, _SIGN),
    POW: ("**", _POWER, _ATOM, _POWER),
    LT: (" < ", _COMPARE, _SUM, _SUM),
    LE: (" <= ", _COMPARE, _SUM, _SUM),
    GT: (" > ", _COMPARE, _SUM, _SUM),
    GE: (" >= ", _COMPARE, _SUM, _SUM),
    EQ: (" == ", _COMPARE, _SUM, _SUM),
    NE: (" != ", _COMPARE, _SUM, _SUM),
    AND: (" and ", _AND, _AND, _AND),
    OR: (" or ", _OR, _OR, _OR),
}
_PREFIX = {NEG: ("-", _SIGN, _SIGN), NOT: ("not ", _NOT, _NOT)}


def number_text(value: Fraction) -> tuple[str, int]:
    """The shortest exact spelling of a number, and its precedence.

    A terminating decimal of at most 20 digits is written as one, anything else as a fraction.
    """
    sign = _SIGN if value < 0 else _ATOM
    if value.denominator == 1:
        return str(value.numerator), sign
    decimal = _decimal(value)
    if decimal is not None and (value.denominator > 12 or value.denominator == 10):
        return decimal, sign
    return f"{value.numerator}/{value.denominator}", _PRODUCT


def _decimal(value: Fraction) -> str | None:
    remainder = value.denominator
    for prime in (2, 5):
        while remainder % prime == 0:
            remainder //= prime
    if remainder != 1:
        return None
    digits = max(20, len(str(abs(value.numerator))))
    as_float = repr(float(value)) if abs(value) < 10**15 else ""
    if as_float and Fraction(as_float) == value:
        return as_float
    for places in range(1, digits + 1):
        scaled = value * 10**places
        if scaled.denominator == 1:
            text = f"{abs(scaled.numerator):0{places + 1}d}"
            return ("-" if value < 0 else "") + f"{text[:-places]}.{text[-places:]}"
    return None


def to_text(root: Expr) -> str:
    """``root`` in Python syntax, with no more brackets than it needs."""
    done: dict[Expr, tuple[str, int]] = {}
    for node in walk(root):
        done[node] = _spell(node, [done[arg] for arg in node.args])
    return done[root][0]


def _spell(node: Expr, args: list[tuple[str, int]]) -> tuple[str, int]:
    if isinstance(node, Number):
        return number_text(node.value)
    if isinstance(node, Symbol):
        return node.name, _ATOM
    assert isinstance(node, Call)
    function = node.function
    if function in _INFIX:
        sign, own, left, right = _INFIX[function]
        return _bracket(args[0], left) + sign + _bracket(args[1], right), own
    if function in _PREFIX:
        sign, own, operand = _PREFIX[function]
        return sign + _bracket(args[0], operand), own
    if function.arity == 0:
        return function.name, _ATOM
    return f"{function.name}({', '.join(text for text, _ in args)})", _ATOM


def _bracket(spelled: tuple[str, int], least: int) -> str:
    text, precedence = spelled
    return text if precedence >= least else f"({text})"
