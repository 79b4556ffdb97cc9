"""Expressions carried to twice the working precision, as an unevaluated sum high + low.

What an addition, a multiplication, a division or a square root loses to rounding is itself a
number of the format and is computed exactly (Dekker, "A floating-point technique for extending
the available precision", Numer. Math. 18, 1971; Knuth's sum). Through a function the low part goes
by its derivative; the function's own rounding stays.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from math import inf

from flint import arb

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import Call, Expr, Function, Number, free_symbols, walk
from gradsmith.formula.vocabulary import (
    ADD,
    DIV,
    MUL,
    NEG,
    POW,
    SUB,
    abs_,
    atan,
    cos,
    erf,
    erfc,
    exp,
    expm1,
    log,
    log1p,
    pi,
    product_error,
    sin,
    sqrt,
    sum_error,
    tanh,
    where,
)
from gradsmith.numerics.program import is_power_of_two

Pair = tuple[Expr, Expr]  # high, low
ZERO, ONE = Number(0), Number(1)
_POWERS = (2, 3, 4)

SLOPES: dict[Function, Callable[[Expr, Expr], Expr]] = {
    exp: lambda _, value: value,
    expm1: lambda _, value: 1 + value,
    log: lambda u, _: 1 / u,
    log1p: lambda u, _: 1 / (1 + u),
    tanh: lambda _, value: 1 - value * value,
    atan: lambda u, _: 1 / (1 + u * u),
    sin: lambda u, _: cos(u),
    cos: lambda u, _: -sin(u),
    erf: lambda u, _: constant(2 / sqrt(pi()))[0] * exp(-(u * u)),
    erfc: lambda u, _: -(constant(2 / sqrt(pi()))[0] * exp(-(u * u))),
}
"""Derivatives, from the argument and the value: good to a few digits, which a correction needs."""


def pairs_of(root: Expr, *, functions: bool, products: bool = True) -> Pair:
    """``root`` as a pair.

    Args:
        root: the expression.
        functions: whether low parts are carried through functions; otherwise the value of a
            function is taken as it is rounded.
        products: whether what products, quotients and roots lose is computed; otherwise only
            what sums lose, which costs much less.
    """
    carrier = _Carrier(functions, products)
    for node in walk(root):
        carrier.found[node] = carrier.pair(node)
    return carrier.found[root]


class _Carrier:
    """Carries the low parts from the arguments of each call to its value."""

    def __init__(self, functions: bool, products: bool) -> None:
        self.found: dict[Expr, Pair] = {}
        self._functions = functions
        self._products = products

    def pair(self, node: Expr) -> Pair:
        if isinstance(node, Call) and node.function.boolean:
            return node, ZERO
        if not free_symbols(node):
            return constant(node)
        if not isinstance(node, Call):
            return node, ZERO
        function = node.function
        args = [self.found[arg] for arg in node.args]
        if function is where:
            return self._branches(node.args[0], *args[1:])
        if function is NEG:
            return -args[0][0], negative(args[0][1])
        if function in (ADD, SUB):
            return self._sum(*args, subtract=function is SUB)
        if function is MUL:
            return self._product(*args)
        if function is DIV and free_symbols(node.args[1]):
            return self._quotient(*args)
        if function is DIV:
            return self._product(args[0], constant(1 / node.args[1]))
        if function is POW and isinstance(node.args[1], Number):
            return self._power(node, args[0], node.args[1].value)
        if function is abs_:
            high, low = args[0]
            return abs_(high), ZERO if low is ZERO else where(high < 0, -low, low)
        return self._of_function(node, *args[0]) if self._functions else (node, ZERO)

    def _of_function(self, node: Call, high: Expr, low: Expr) -> Pair:
        function = node.function
        if function is sqrt:
            value = sqrt(high)
            return value, self._left(high, low, value, (value, ZERO)) / (2 * value)
        if function in SLOPES and low is not ZERO:
            value = function(high)
            return value, SLOPES[function](high, value) * low
        # What is lost in its arguments stays lost.
        return Call(function, tuple(self.found[arg][0] for arg in node.args)), ZERO

    def _branches(self, condition: Expr, a: Pair, b: Pair) -> Pair:
        exact = a[1] is ZERO and b[1] is ZERO
        return where(condition, a[0], b[0]), ZERO if exact else where(condition, a[1], b[1])

    def _sum(self, a: Pair, b: Pair, *, subtract: bool) -> Pair:
        high = a[0] - b[0] if subtract else a[0] + b[0]
        other, low = (-b[0], negative(b[1])) if subtract else b
        if isinstance(a[0], Number) and _bound(b[0]) <= abs(a[0].value):
            # Of a larger and a smaller number two subtractions tell what is lost.
            lost = (a[0] - high) - b[0] if subtract else b[0] - (high - a[0])
        else:
            lost = sum_error(a[0], other)
        return high, add(lost, add(a[1], low))

    def _product(self, a: Pair, b: Pair) -> Pair:
        exact = not self._products or any(
            isinstance(high, Number) and is_power_of_two(high.value) for high, _ in (a, b)
        )
        low: Expr = ZERO if exact else product_error(a[0], b[0])
        low = add(low, ZERO if b[1] is ZERO else a[0] * b[1])
        low = add(low, ZERO if a[1] is ZERO else b[0] * a[1])
        return a[0] * b[0], low

    def _quotient(self, a: Pair, b: Pair) -> Pair:
        high = a[0] / b[0]
        left = self._left(a[0], a[1], high, b)
        return high, ZERO if left is ZERO else left / b[0]

    def _left(self, high: Expr, low: Expr, quotient: Expr, divisor: Pair) -> Expr:
        """What is left of high + low after quotient·divisor.

        It is exact but for the low parts, for that product is within an ULP of ``high``.
        """
        left: Expr = ZERO
        if self._products:
            left = (high - quotient * divisor[0]) - product_error(quotient, divisor[0])
        left = add(left, low)
        return left if divisor[1] is ZERO else add(left, -(quotient * divisor[1]))

    def _power(self, node: Call, base: Pair, exponent: Fraction) -> Pair:
        if exponent not in _POWERS:
            return node, ZERO
        square = self._product(base, base)
        if exponent == 2:
            return square
        return self._product(square, base if exponent == 3 else square)


def constant(node: Expr) -> Pair:
    """A constant expression as two numbers."""
    ball = Evaluator(node, ())(bits=160)
    high = float(ball.mid())
    low = float((ball - arb(high)).mid())
    return Number(Fraction(high)), Number(Fraction(low)) if low else ZERO


def add(a: Expr, b: Expr) -> Expr:
    """The sum, where a zero is no summand."""
    return b if a is ZERO else (a if b is ZERO else a + b)


def negative(node: Expr) -> Expr:
    """The negative, where zero stays zero."""
    return node if node is ZERO else -node


def _bound(node: Expr) -> float:
    """A number that the size of ``node`` does not exceed; inf where none is known."""
    if isinstance(node, Number):
        return abs(float(node.value))
    if not isinstance(node, Call):
        return inf
    if node.function is MUL:
        return _bound(node.args[0]) * _bound(node.args[1])
    if node.function is NEG:
        return _bound(node.args[0])
    if node.function is exp:
        negative_size = isinstance(node.args[0], Call) and node.args[0].function is NEG
        (inner,) = node.args[0].args if negative_size else (node,)
        return 1.0 if isinstance(inner, Call) and inner.function is abs_ else inf
    return inf
