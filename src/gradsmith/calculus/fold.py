"""The obvious: 0·x, 1·x, x + 0, x**1, and arithmetic on numbers.

Unlike :mod:`gradsmith.calculus.simplify` this keeps the shape of what was written.
"""

from __future__ import annotations

from fractions import Fraction

from gradsmith.formula.expression import Call, Expr, Number, rebuild, with_args
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, POW, SUB

ZERO, ONE = Number(0), Number(1)
_LARGEST_POWER = 64


def fold(root: Expr) -> Expr:
    """``root`` with arithmetic on numbers done and neutral elements gone."""
    return rebuild(root, lambda node, args: _fold_node(with_args(node, args)))


def join_sum(a: Expr, b: Expr) -> Expr:
    """A + b, without a zero."""
    return _fold_node(ADD(a, b))


def join_product(a: Expr, b: Expr) -> Expr:
    """a·b, without a one, quotients joined: (1/u)·v is v/u."""
    return _fold_node(MUL(a, b))


def _fold_node(node: Expr) -> Expr:
    if not isinstance(node, Call) or not node.args:
        return node
    function, args = node.function, node.args
    if function in (ADD, SUB, MUL, DIV, NEG, POW):
        values = [arg.value for arg in args if isinstance(arg, Number)]
        if len(values) == len(args):
            number = _compute(node, values)
            return node if number is None else Number(number)
    a, b = (*args, ZERO)[:2]
    if function is ADD:
        return _fold_sum(node, a, b)
    if function is SUB:
        return _fold_difference(node, a, b)
    if function is MUL:
        return _fold_product(node, a, b)
    if function is DIV:
        return _fold_quotient(node, a, b)
    if function is NEG and isinstance(a, Call) and a.function is NEG:
        return a.args[0]
    if function.parity == "even" and isinstance(a, Call) and a.function is NEG:
        return _fold_node(function(a.args[0]))
    if function is POW:
        return ONE if b is ZERO else (a if b is ONE else node)
    return node


def _fold_sum(node: Expr, a: Expr, b: Expr) -> Expr:
    if a is ZERO or b is ZERO:
        return b if a is ZERO else a
    if isinstance(b, Call) and b.function is NEG:
        return a - b.args[0]
    return node


def _fold_difference(node: Expr, a: Expr, b: Expr) -> Expr:
    if a is ZERO or b is ZERO:
        return a if b is ZERO else _fold_node(NEG(b))
    if isinstance(b, Call) and b.function is NEG:
        return a + b.args[0]
    return node


def _fold_product(node: Expr, a: Expr, b: Expr) -> Expr:
    if a is ZERO or b is ZERO:
        return ZERO
    if a is ONE or b is ONE:
        return b if a is ONE else a
    if isinstance(a, Number) and a.value == -1:
        return _fold_node(NEG(b))
    if isinstance(b, Number):
        return _fold_node(MUL(b, a))
    if isinstance(a, Call) and a.function is NEG:
        return _fold_node(NEG(_fold_product(MUL(a.args[0], b), a.args[0], b)))
    if isinstance(b, Call) and b.function is NEG:
        return _fold_node(NEG(_fold_product(MUL(a, b.args[0]), a, b.args[0])))
    if isinstance(a, Call) and a.function is DIV and a.args[0] is ONE:
        return _fold_node(DIV(b, a.args[1]))
    if isinstance(b, Call) and b.function is DIV and b.args[0] is ONE:
        return _fold_node(DIV(a, b.args[1]))
    if isinstance(a, Number) and isinstance(b, Call) and b.function is MUL:
        first = b.args[0]
        if isinstance(first, Number):
            return _fold_node(MUL(Number(a.value * first.value), b.args[1]))
    return node


def _fold_quotient(node: Expr, a: Expr, b: Expr) -> Expr:
    if a is ZERO and b is not ZERO:
        return ZERO
    if b is ONE:
        return a
    if isinstance(a, Call) and a.function is NEG:
        return _fold_node(NEG(DIV(a.args[0], b)))
    return node


def _compute(node: Call, values: list[Fraction]) -> Fraction | None:
    function = node.function
    if function is NEG:
        return -values[0]
    a, b = values
    if function is ADD:
        return a + b
    if function is SUB:
        return a - b
    if function is MUL:
        return a * b
    if function is DIV:
        return a / b if b else None
    if b.denominator != 1 or abs(b) > _LARGEST_POWER or (a == 0 and b < 0):
        return None
    return a ** int(b)
