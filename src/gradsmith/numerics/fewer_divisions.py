"""One division in place of two: of which quotient is meant is decided before, not after.

where(c, a/b, p/q) is where(c, a, p)/where(c, b, q), to the last bit. Vectors compute both branches,
and a division takes as long as ten to twenty other operations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gradsmith.formula.expression import Call, Expr, free_symbols, rebuild, walk
from gradsmith.formula.vocabulary import DIV, where


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


def _is_quotient(node: Expr) -> bool:
    """Whether it is one by what is not a number: what divides by those multiplies instead."""
    return isinstance(node, Call) and node.function is DIV and bool(free_symbols(node.args[1]))
