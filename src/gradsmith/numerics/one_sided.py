"""One formula for both sides of 0, where a choice between two only kept an exponential small.

A stable form has exp(−|u|), which never overflows, and so it is written twice: as it is for u < 0,
where that is exp(u), and for u > 0, where it is exp(−u). Both are the same function. (So it is with
exp(|u|), where that is held.) Where there is
range to spare, one of them does for all u: with e = exp(u), mish is x·e(e + 2)/(e(e + 2) + 2). The
exponential is held at a number so large that what it is part of has long reached its limit.

That this is so is not proved here; who takes such a form measures it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import inf

from gradsmith.calculus.terms import split_coefficient, times
from gradsmith.formula.expression import Call, Expr, Number, rebuild, walk, with_args
from gradsmith.formula.vocabulary import GE, GT, LE, LT, abs_, exp, maximum, minimum, where

_ABOVE = {GT: 1, GE: 1, LT: -1, LE: -1}
"""On which side of 0 the argument is where a comparison with it holds."""


def one_sided(root: Expr, held: int, always: bool = False) -> Iterator[Expr]:
    """What is written for one side of 0, for all numbers.

    Args:
        root: the stable form.
        held: what exponentials are held at.
        always: whether it is written where no choice is spared, too: another result may need it.
    """
    calls = [node for node in walk(root) if isinstance(node, Call)]
    for small in calls:
        if (found := _of_size(small)) is None:
            continue
        rate, u = found
        spared = {
            call: side
            for call in calls
            if (side := _side_of_choice(call, u)) and any(small in walk(b) for b in call.args[1:])
        }
        if spared or always:
            for side in (-1, 1):
                exponent = times(rate * side, u)
                if _ends(exponent)[1] > held:
                    exponent = minimum(exponent, Number(held))
                yield _continued(root, small, exp(exponent), side, spared)


def _continued(
    root: Expr, small: Expr, exponential: Expr, side: int, spared: dict[Call, int]
) -> Expr:
    """The form for u of that sign, with the exponential that the small one is there."""

    def replaced(node: Expr, args: tuple[Expr, ...]) -> Expr:
        if node is small:
            return exponential
        if isinstance(node, Call) and node in spared:
            return args[1 if spared[node] == side else 2]
        return with_args(node, args)

    return rebuild(root, replaced)


def _of_size(node: Call) -> tuple[Fraction, Expr] | None:
    """The factor c, and u, of exp(c·|u|) that does not overflow: c < 0, or the exponent is held."""
    if node.function is not exp:
        return None
    exponent = node.args[0]
    held = within(exponent)
    rate, size = split_coefficient(held)
    if not (isinstance(size, Call) and size.function is abs_ and (rate < 0 or held != exponent)):
        return None
    u = size.args[0]
    factor, inner = split_coefficient(u)
    if isinstance(inner, Call) and inner.function is abs_:  # the size of a size
        return rate * abs(factor), inner.args[0]
    return rate, u


def within(node: Expr) -> Expr:
    """What is held between numbers."""
    while isinstance(node, Call) and node.function in (minimum, maximum):
        others = [arg for arg in node.args if not isinstance(arg, Number)]
        if len(others) != 1:
            break
        (node,) = others
    return node


def _side_of_choice(node: Call, u: Expr) -> int:
    """The sign of u where the first branch of a choice by it is chosen; 0 for all other nodes."""
    if node.function is not where:
        return 0
    condition = node.args[0]
    if not (isinstance(condition, Call) and condition.function in _ABOVE):
        return 0
    (a, b), side = condition.args, _ABOVE[condition.function]
    if a == Number(0):
        a, b, side = b, a, -side
    if b != Number(0):
        return 0
    (one, v), (other, w) = map(split_coefficient, (a, u))
    if v is not w:
        return 0
    return side if one * other > 0 else -side


def _ends(node: Expr) -> tuple[float, float]:
    """Numbers between which it lies."""
    if isinstance(node, Number):
        return float(node.value), float(node.value)
    if isinstance(node, Call) and node.function in (minimum, maximum):
        chosen = min if node.function is minimum else max
        lows, highs = zip(*map(_ends, node.args), strict=True)
        return chosen(lows), chosen(highs)
    coefficient, rest = split_coefficient(node)
    if rest is node:
        return -inf, inf
    ends = [float(coefficient) * end for end in _ends(rest)]
    return min(ends), max(ends)
