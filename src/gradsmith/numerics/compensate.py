"""Exponentials whose argument is computed to twice the working precision.

exp(u) magnifies the rounding error of u by |u|: in the tail of a Gaussian, exp(−x²/2) loses two
or three digits to the rounding of x². Carried as an unevaluated sum u = high + low (Dekker, "A
floating-point technique for extending the available precision", Numer. Math. 18, 1971), the
argument is exact enough, and exp(high)·(1 + low) costs one multiplication more.
"""

from __future__ import annotations

from fractions import Fraction

from flint import arb

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Call, Expr, Number, free_symbols, rebuild, with_args
from gradsmith.formula.vocabulary import (
    ADD,
    DIV,
    MUL,
    NEG,
    POW,
    SUB,
    abs_,
    exp,
    exp2,
    log,
    product_error,
    sum_error,
    where,
)

Pair = tuple[Expr, Expr]  # high, low
ZERO = Number(0)


def compensate(root: Expr) -> Expr:
    """``root`` with every exp (or exp2) of a rounded argument replaced by exp(high)·(1 + low)."""
    return rebuild(root, lambda node, args: _compensate_node(with_args(node, args)))


def _compensate_node(node: Expr) -> Expr:
    if isinstance(node, Call) and node.function is exp2:
        node = exp(node.args[0] * log(Number(2)))
    if not (isinstance(node, Call) and node.function is exp):
        return node
    high, low = _pair(node.args[0])
    if low is ZERO:
        return node
    # Beyond, exp is 0 or infinite whatever the correction; there low may be inf − inf.
    return exp(high) * (1 + where(abs_(high) < 1024, low, 0))


def _pair(node: Expr) -> Pair:
    if not free_symbols(node):
        return _constant(node)
    if not isinstance(node, Call):
        return node, ZERO
    function, args = node.function, node.args
    if function is NEG:
        high, low = _pair(args[0])
        return -high, _negative(low)
    if function in (ADD, SUB):
        a, b = _pair(args[0]), _pair(args[1])
        return _sum(a, b if function is ADD else (-b[0], _negative(b[1])))
    if function is MUL:
        return _product(_pair(args[0]), _pair(args[1]))
    if function is DIV and not free_symbols(args[1]):
        return _product(_pair(args[0]), _constant(1 / args[1]))
    if function is POW and args[1] in (Number(2), Number(3), Number(4)):
        base = _pair(args[0])
        square = _product(base, base)
        if args[1] is Number(2):
            return square
        return _product(square, base if args[1] is Number(3) else square)
    if function is abs_:
        high, low = _pair(args[0])
        return abs_(high), ZERO if low is ZERO else where(high < 0, -low, low)
    return node, ZERO


def _constant(node: Expr) -> Pair:
    ball = Evaluator(node, ())(bits=160)
    high = float(ball.mid())
    low = float((ball - arb(high)).mid())
    return Number(Fraction(high)), Number(Fraction(low)) if low else ZERO


def _is_power_of_two(node: Expr) -> bool:
    if not isinstance(node, Number) or node.value == 0:
        return False
    top, bottom = abs(node.value.numerator), node.value.denominator
    return top & (top - 1) == 0 and bottom & (bottom - 1) == 0


def _product(a: Pair, b: Pair) -> Pair:
    high = a[0] * b[0]
    exact = _is_power_of_two(a[0]) or _is_power_of_two(b[0])
    low: Expr = ZERO if exact else product_error(a[0], b[0])
    low = _add(low, ZERO if b[1] is ZERO else a[0] * b[1])
    low = _add(low, ZERO if a[1] is ZERO else b[0] * a[1])
    return high, low


def _sum(a: Pair, b: Pair) -> Pair:
    low = _add(sum_error(a[0], b[0]), _add(a[1], b[1]))
    return a[0] + b[0], low


def _add(a: Expr, b: Expr) -> Expr:
    return b if a is ZERO else (a if b is ZERO else a + b)


def _negative(node: Expr) -> Expr:
    return node if node is ZERO else -node
