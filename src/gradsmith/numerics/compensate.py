"""Exponentials whose argument is computed to twice the working precision; and whole expressions.

exp(u) magnifies the rounding error of u by |u|: in the tail of a Gaussian, exp(−x²/2) loses two
or three digits to the rounding of x². Carried as an unevaluated sum u = high + low
(:mod:`gradsmith.numerics.pairs`), the argument is exact enough, and exp(high)·(1 + low) costs one
multiplication more. erfc(u) magnifies it by 2u², and is corrected likewise.
"""

from __future__ import annotations

from gradsmith.formula.expression import Call, Expr, Number, rebuild, with_args
from gradsmith.formula.vocabulary import abs_, erfc, exp, exp2, log, pi, sqrt, where
from gradsmith.numerics.pairs import ZERO, constant, pairs_of


def compensate(root: Expr) -> Expr:
    """``root`` with every exp, exp2 and erfc of a rounded argument corrected for the rounding."""
    return rebuild(root, lambda node, args: _compensate_node(with_args(node, args)))


def _compensate_node(node: Expr) -> Expr:
    if isinstance(node, Call) and node.function is exp2:
        node = exp(node.args[0] * log(Number(2)))
    if not (isinstance(node, Call) and node.function in (exp, erfc)):
        return node
    (u,) = node.args
    high, low = pairs_of(u, functions=False)
    if low is ZERO:
        return node
    # Beyond, the value has reached its limit whatever the correction; there low may be inf − inf.
    low = where(abs_(high) < 1024, low, 0)
    if node.function is exp:
        return exp(high) * (1 + low)
    return erfc(high) - low * (constant(2 / sqrt(pi()))[0] * exp(-(high * high)))


def compensate_whole(root: Expr, *, products: bool = True) -> Expr:
    """``root`` with the rounding errors of its arithmetic computed and added at the end.

    Args:
        root: the expression.
        products: whether those of products and quotients are, or only those of sums.
    """
    high, low = pairs_of(root, functions=True, products=products)
    # Where a part overflows, low is NaN; a correction larger than the value is none. To −0 not even
    # zero may be added.
    return root if low is ZERO else where(abs_(low) < abs_(high), high + low, high)
