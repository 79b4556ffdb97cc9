"""Derivatives of any order, with respect to inputs and parameters.

The rules stand in the vocabulary, each beside its function; here is only the chain rule that
joins them. ``where(c, a, b)`` is differentiated branch by branch, so that the formula's own
``<`` or ``<=`` decides the derivative at a kink.
"""

from __future__ import annotations

from gradsmith.calculus.fold import fold, join_product, join_sum
from gradsmith.calculus.simplify import simplify
from gradsmith.formula.expression import Call, Expr, Number, Symbol, walk
from gradsmith.formula.vocabulary import where

ZERO, ONE = Number(0), Number(1)


def differentiate(root: Expr, symbol: Symbol) -> Expr:
    """∂root/∂symbol by the chain rule, constants folded but otherwise as the rules give it."""
    done: dict[Expr, Expr] = {}
    for node in walk(root):
        if node is symbol:
            done[node] = ONE
        elif not isinstance(node, Call):
            done[node] = ZERO
        elif node.function is where:
            condition, a, b = node.args
            same = done[a] is done[b]
            done[node] = done[a] if same else where(condition, done[a], done[b])
        else:
            done[node] = _chain_rule(node, [done.get(arg, ZERO) for arg in node.args])
    return done[root]


def _chain_rule(node: Call, inner: list[Expr]) -> Expr:
    total: Expr = ZERO
    for partial, derivative in zip(node.function.partials, inner, strict=False):
        if derivative is not ZERO:
            outer = fold(partial(*node.args))
            total = join_sum(total, join_product(outer, derivative))
    return total


def derivative(root: Expr, symbol: Symbol, order: int = 1) -> Expr:
    """The derivative of order ``order``, each in its shortest form."""
    if order < 0:
        raise ValueError(f"the order of a derivative is 0 or more, got {order}")
    for _ in range(order):
        root = simplify(differentiate(root, symbol))
    return root
