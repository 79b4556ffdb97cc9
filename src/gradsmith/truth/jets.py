"""A formula as it was written, evaluated on truncated Taylor series.

Value and derivatives come together, so that nothing is differentiated symbolically: neither the
derivative rules of the vocabulary nor any simplification takes part, and an error there cannot
hide. What stands beside each function here is how a series passes through it. At a kink the
convention is part of the function: |u| = sign(u)·u with sign(0) = 0, max and min the mean of both
where they are equal, ``where`` the branch that its condition takes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flint import arb, arb_series, ctx, fmpq

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Function, Number, Symbol, walk
from gradsmith.truth import analytic
from gradsmith.truth.series import (
    UNDECIDED,
    UNDEFINED,
    Missing,
    Series,
    add,
    constant,
    div,
    missing,
    mul,
    neg,
    sign,
    sub,
)

Truth = bool | None | Missing
"""Of a condition; None: the balls overlap, Missing: it compares what has no value."""


def _sign_of_difference(a: Series, b: Series) -> int | Missing | None:
    if type(a) is arb_series and type(b) is arb_series:
        left, right = a[0], b[0]
        if left < right:
            return -1
        if left > right:
            return 1
        if left.is_exact() and right.is_exact() and left == right:
            return 0
        return None
    apart = sub(a, b)
    return apart if isinstance(apart, Missing) else sign(apart)


def _comparison(holds: frozenset[int]) -> Callable[[Series, Series], Truth]:
    def compare(a: Series, b: Series) -> Truth:
        found = _sign_of_difference(a, b)
        if found is None:
            return _bounded(a, b, holds)
        return found if isinstance(found, Missing) else found in holds

    return compare


def _bounded(a: Series, b: Series, holds: frozenset[int]) -> Truth:
    """A comparison of balls that touch: of two signs the difference may have, both may decide."""
    if not (isinstance(a, arb_series) and isinstance(b, arb_series)):
        return None
    if a[0] <= b[0]:
        possible = frozenset({-1, 0})
    elif a[0] >= b[0]:
        possible = frozenset({0, 1})
    else:
        return None
    return True if possible <= holds else (None if possible & holds else False)


def _not(a: Truth) -> Truth:
    return (not a) if isinstance(a, bool) else a


def _and(a: Truth, b: Truth) -> Truth:
    if a is False or b is False:
        return False
    if isinstance(a, Missing) or isinstance(b, Missing):
        return UNDEFINED if a is UNDEFINED or b is UNDEFINED else UNDECIDED
    return None if a is None or b is None else True


def _or(a: Truth, b: Truth) -> Truth:
    return _not(_and(_not(a), _not(b)))


def _where(smooth: bool, condition: Truth, a: Series, b: Series) -> Series:
    if isinstance(condition, Missing):
        return condition
    if condition is not None:
        return a if condition else b
    if a is b:
        return a
    if smooth or not (isinstance(a, arb_series) and isinstance(b, arb_series)):
        return UNDECIDED
    # At a point one of the two is taken, whichever it is.
    return arb_series([a[k].union(b[k]) for k in range(ctx.cap)])


def _sign(u: Series) -> Series:
    if isinstance(u, Missing):
        return u
    found = sign(u)
    return UNDECIDED if found is None else constant(found)


def _abs(u: Series) -> Series:
    return mul(_sign(u), u)


def _larger(a: Series, b: Series) -> Series:
    return _extreme(a, b, 1)


def _smaller(a: Series, b: Series) -> Series:
    return _extreme(a, b, -1)


def _extreme(a: Series, b: Series, side: int) -> Series:
    gone = missing(a, b)
    if gone is not None or a is b:
        return gone or a
    found = _sign_of_difference(a, b)
    if isinstance(found, Missing) or found is None:
        return found or UNDECIDED
    if found == 0:
        return div(add(a, b), constant(2))
    return a if found == side else b


RULES: dict[Function, Callable[..., Any]] = {
    v.ADD: add,
    v.SUB: sub,
    v.MUL: mul,
    v.DIV: div,
    v.NEG: neg,
    v.POW: analytic.pow_,
    v.LT: _comparison(frozenset({-1})),
    v.LE: _comparison(frozenset({-1, 0})),
    v.GT: _comparison(frozenset({1})),
    v.GE: _comparison(frozenset({0, 1})),
    v.EQ: _comparison(frozenset({0})),
    v.NE: _comparison(frozenset({-1, 1})),
    v.AND: _and,
    v.OR: _or,
    v.NOT: _not,
    v.pi: lambda: constant(arb.pi()),
    v.e: lambda: constant(arb.const_e()),
    v.exp: analytic.exp,
    v.expm1: analytic.expm1,
    v.log: analytic.log,
    v.log1p: analytic.log1p,
    v.sqrt: analytic.sqrt,
    v.sin: analytic.sin,
    v.cos: analytic.cos,
    v.tan: analytic.tan,
    v.atan: analytic.atan,
    v.sinh: analytic.sinh,
    v.cosh: analytic.cosh,
    v.tanh: analytic.tanh,
    v.asinh: analytic.asinh,
    v.erf: analytic.erf,
    v.erfc: analytic.erfc,
    v.sign: _sign,
    v.abs_: _abs,
    v.maximum: _larger,
    v.minimum: _smaller,
}
"""How a series passes through each function; any other is read by its definition."""

_Step = tuple[int, Callable[..., Any], tuple[int, ...]]


class Jets:
    """An expression, ready to be evaluated on Taylor series in one of its symbols.

    Args:
        root: the expression.
        arguments: the symbols' names in the order in which values are passed.
        variable: the one that the series run in.
    """

    def __init__(self, root: Expr, arguments: Sequence[str], variable: str) -> None:
        self._slots: dict[Expr, int] = {}
        self._numbers: list[tuple[int, fmpq]] = []
        self._symbols: list[tuple[int, int]] = []
        self._fixed: list[_Step] = []  # what depends on no symbol
        self._pointwise: list[_Step] = []
        self._variable = list(arguments).index(variable)
        self._templates: dict[tuple[int, int], list[Any]] = {}
        position = {name: i for i, name in enumerate(arguments)}
        constants: set[int] = set()
        unfolded = _unfold(root)
        for node in walk(unfolded):
            slot = self._slots[node] = len(self._slots)
            if isinstance(node, Number):
                exact = fmpq(node.value.numerator, node.value.denominator)
                self._numbers.append((slot, exact))
                constants.add(slot)
            elif isinstance(node, Symbol):
                self._symbols.append((slot, position[node.name]))
            elif isinstance(node, Call):
                sources = tuple(self._slots[arg] for arg in node.args)
                rule = partial(_where, False) if node.function is v.where else RULES[node.function]
                fixed = constants.issuperset(sources)
                (self._fixed if fixed else self._pointwise).append((slot, rule, sources))
                if fixed:
                    constants.add(slot)
        self._root = self._slots[unfolded]
        conditional = {
            slot for node, slot in self._slots.items() if getattr(node, "function", None) is v.where
        }
        self._smooth: list[_Step] = [
            (slot, partial(_where, True) if slot in conditional else rule, sources)
            for slot, rule, sources in self._pointwise
        ]

    def __call__(
        self,
        values: Sequence[arb],
        count: int,
        bits: int,
        step: arb | int = 1,
        smooth: bool = False,
    ) -> Series:
        """The series in t of the expression at variable + step·t.

        Args:
            values: the arguments' values: balls that hold a point, or intervals.
            count: number of coefficients.
            bits: working precision.
            step: what t = 1 is.
            smooth: where the balls do not decide a condition the result is UNDECIDED. Else it is
                the union of both branches, which is right at a point but no enclosure of the
                derivatives over an interval.
        """
        before = ctx.prec, ctx.cap
        ctx.prec, ctx.cap = bits, count
        try:
            memory = self._prepared(count, bits)[:]
            for slot, position in self._symbols:
                value = values[position]
                is_variable = position == self._variable
                memory[slot] = arb_series([value, step]) if is_variable else arb_series([value])
            for slot, rule, sources in self._smooth if smooth else self._pointwise:
                memory[slot] = rule(*[memory[source] for source in sources])
            result: Series = memory[self._root]
            return result
        finally:
            ctx.prec, ctx.cap = before

    def _prepared(self, count: int, bits: int) -> list[Any]:
        """The memory with all that depends on no symbol."""
        found = self._templates.get((count, bits))
        if found is None:
            found = [None] * len(self._slots)
            for slot, exact in self._numbers:
                found[slot] = constant(arb(exact))
            for slot, rule, sources in self._fixed:
                found[slot] = rule(*[found[source] for source in sources])
            self._templates[count, bits] = found
        return found


def _unfold(root: Expr) -> Expr:
    """``root`` over the functions of :data:`RULES`."""
    done: dict[Expr, Expr] = {}

    def visit(node: Expr) -> Expr:
        if node in done:
            return done[node]
        new = node
        if isinstance(node, Call):
            new = Call(node.function, tuple(visit(arg) for arg in node.args))
            if node.function not in RULES and node.function is not v.where:
                new = visit(v.expand_definition(new))
        done[node] = new
        return new

    return visit(root)
