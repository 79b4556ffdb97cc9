"""One division in place of two, and one quotient in place of a choice.

where(c, a/b, p/q) is where(c, a, p)/where(c, b, q), to the last bit: which quotient is meant is
decided before, not after. Vectors compute both branches, and a division takes as long as ten to
twenty other operations.

A logistic function is written with an exponential that is never large, which takes a choice. Where
exponentials have range to spare, 1/(1 + exp(−u)) is what it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gradsmith.formula.expression import Call, Expr, Number, free_symbols, rebuild, walk
from gradsmith.formula.vocabulary import DIV, GE, NEG, abs_, exp, where


def with_fewer_divisions(roots: Sequence[Expr]) -> list[Expr]:
    """The same expressions; quotients that are used elsewhere too stay as they are."""
    uses = Counter(arg for node in walk(*roots) for arg in node.args)
    uses.update(roots)

    def merged(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if not isinstance(node, Call):
            return node
        chosen_once = node.function is where and all(uses[branch] == 1 for branch in node.args[1:])
        if not (chosen_once and all(map(_is_quotient, args[1:]))):
            return Call(node.function, args)
        condition, (a, b), (p, q) = args[0], args[1].args, args[2].args
        above = a if a is p else where(condition, a, p)
        return above / (b if b is q else where(condition, b, q))

    return [rebuild(root, merged) for root in roots]


def with_fewer_choices(roots: Sequence[Expr]) -> list[Expr]:
    """The same functions, where exp(−|u|) serves nothing but a choice between 1 and it over 1 + it.

    For numbers that do not overflow before exp(u) is so large that its reciprocal is nothing.
    """
    uses = Counter(arg for node in walk(*roots) for arg in node.args)
    uses.update(roots)

    def simpler(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if not isinstance(node, Call):
            return node
        opposite = _opposite_of_logistic(node, uses)
        return Call(node.function, args) if opposite is None else 1 / (1 + exp(opposite))

    return [rebuild(root, simpler) for root in roots]


def _opposite_of_logistic(node: Call, uses: Counter[Expr]) -> Expr | None:
    """−u where the node is where(u >= 0, 1, t)/(1 + t) with t = exp(−|u|), used nowhere else."""
    if node.function is not DIV:
        return None
    above, below = node.args
    if not (isinstance(above, Call) and above.function is where):
        return None
    condition, one, small = above.args
    if not (one == Number(1) and below in (1 + small, small + 1)):
        return None
    if not (isinstance(condition, Call) and condition.function is GE and isinstance(small, Call)):
        return None
    u, zero = condition.args
    minus = _negative(u)
    alone = (uses[above], uses[below], uses[small]) == (1, 1, 2)
    fits = zero == Number(0) and small in (exp(-abs_(u)), exp(-abs_(minus)))
    return minus if alone and fits else None


def _negative(node: Expr) -> Expr:
    return node.args[0] if isinstance(node, Call) and node.function is NEG else -node


def _is_quotient(node: Expr) -> bool:
    """Whether it is one by what is not a number: what divides by those multiplies instead."""
    return isinstance(node, Call) and node.function is DIV and bool(free_symbols(node.args[1]))
