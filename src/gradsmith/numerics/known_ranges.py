"""Between which numbers lies what a choice computes: for others it needs no guards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from fractions import Fraction
from math import inf

import numpy as np

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, free_symbols, walk

# Comparisons of an argument with a number, and whether it is below where they hold.
_UP_TO = {v.LT: True, v.LE: True, v.GT: False, v.GE: False}

_OF_TWO = (v.ADD, v.SUB, v.MUL)


def known_ranges(
    roots: Sequence[Expr], inputs: Collection[Expr], value: Callable[[Expr], Fraction | float]
) -> dict[Expr, tuple[Expr, float, float]]:
    """Which argument of a call lies between which numbers wherever the value of the call counts.

    In where(x > 0, x, exp(x)) only exponentials of what is not positive are ever chosen.

    Args:
        roots: what is computed.
        inputs: those that float32 holds.
        value: of a constant.
    """
    known: dict[Expr, tuple[Expr, float, float]] = {}
    for choice in walk(*roots):
        if not (isinstance(choice, Call) and choice.function is v.where):
            continue
        condition, *branches = choice.args
        if not (isinstance(condition, Call) and condition.function in _UP_TO):
            continue
        u, end = condition.args
        if free_symbols(end):
            continue
        low = high = float(value(end))
        if u in inputs and condition.function in (v.LT, v.GE):
            high = _next_float32(high, -inf)
        elif u in inputs:
            low = _next_float32(low, inf)
        below, above = (-inf, high), (low, inf)
        spans = (below, above) if _UP_TO[condition.function] else (above, below)
        for branch, other, span in zip(branches, reversed(branches), spans, strict=True):
            calls = [node for node in walk(branch) if isinstance(node, Call) and _takes(node, u)]
            needed = _needed_without(choice, other, roots) if calls else set()
            for call in calls:
                of, low, high = known.get(call, (u, -inf, inf))
                if of is u and call not in needed:
                    known[call] = (u, max(low, span[0]), min(high, span[1]))
    return known


def _next_float32(number: float, towards: float) -> float:
    """The next number that float32 holds, of one that it holds."""
    with np.errstate(over="ignore"):
        held = np.float32(number)
        return float(np.nextafter(held, np.float32(towards))) if float(held) == number else number


def _takes(node: Call, u: Expr) -> bool:
    """Whether it is worth knowing for this call where an argument lies."""
    return node.args == (u,) or (node.function in _OF_TWO and u in node.args)


def _needed_without(choice: Call, other: Expr, roots: Sequence[Expr]) -> set[Expr]:
    """All that is computed if one branch of a choice is not, but only the other one."""
    found: set[Expr] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend((choice.args[0], other) if node is choice else node.args)
    return found
