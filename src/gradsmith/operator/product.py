"""A derivative times upstream gradients and tangents."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

from gradsmith.formula.expression import Call, Expr, Number, Symbol
from gradsmith.formula.vocabulary import where

ZERO, ONE = Number(0), Number(1)


def times(core: Expr, factor: Expr) -> Expr:
    """The product, without multiplying where the core is 0: 0·inf would be nan there."""
    if core is ZERO or core is ONE:
        return factor if core is ONE else core
    if _has_zero_branch(core):
        assert isinstance(core, Call)
        condition, a, b = core.args
        return where(condition, times(a, factor), times(b, factor))
    return core * factor


def times_factors(core: Expr, factors: Iterable[str]) -> Expr:
    """The product with several symbols."""
    return reduce(times, map(Symbol, factors), core)


def _has_zero_branch(core: Expr) -> bool:
    if not (isinstance(core, Call) and core.function is where):
        return False
    return any(branch is ZERO or _has_zero_branch(branch) for branch in core.args[1:])
