"""Tails in which the exponential is subnormal before the product is.

x·exp(x) at −743 multiplies a subnormal number, of which few digits are left, by −743. With
h = exp(x/2) the same product is (x·h)·h: only the last multiplication rounds to a subnormal
number. In general an expression f that is proportional to eᵖ for small e = exp(u), p whole, is
f with h in place of e, times hᵖ, as soon as e and h vanish beside 1. From p = 2 on e itself is
no subnormal number where eᵖ is one; there it is scaled by a power of two, which does not round.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from gradsmith.calculus.derivative import differentiate
from gradsmith.calculus.exact import Evaluator, isnan_ball
from gradsmith.calculus.simplify import simplify
from gradsmith.formula.expression import (
    Call,
    Expr,
    Number,
    Symbol,
    free_symbols,
    substitute,
    walk,
)
from gradsmith.formula.vocabulary import AND, MUL, NEG, NOT, abs_, exp, where
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.target import FLOAT64, Target

_SUBNORMAL = 2.0**-1000  # from here on down x² has nothing to add to x

DEEP = {"float64": -600, "float32": -60}
"""Where u is less, e vanishes beside 1; above it, e is far from subnormal in that precision."""

_E = Symbol("_e")
_MOST = 4  # exponentials of one expression
_HIGHEST = 3  # power p
_PLACES = np.geomspace(1e-3, 1e6, 500)
_OTHER = (1.5, -1.5)  # where further inputs stand while a power is read off


def split_deep_exponentials(
    root: Expr, defaults: Mapping[str, float], target: Target = FLOAT64
) -> Expr:
    """``root`` with exp(u) in two factors where u is less than :data:`DEEP`.

    Args:
        root: the expression.
        defaults: values of the parameters; every other symbol is an input.
        target: the precision of the computation.
    """
    for node in _exponentials(root):
        if node in walk(root):
            root = _split(root, node, defaults, DEEP[target.compute])
    return root


def _exponentials(root: Expr) -> list[Call]:
    found = [
        node
        for node in walk(root)
        if isinstance(node, Call) and node.function is exp and free_symbols(node)
    ]
    return found[:_MOST]


def _split(root: Expr, node: Call, defaults: Mapping[str, float], limit: int) -> Expr:
    (u,) = node.args
    side = _side_of(u)
    powers = {sign: _power(root, node, side, sign, defaults, limit) for sign in (1, -1)}
    known = sorted({power for power in powers.values() if power is not None})
    if not known or known[-1] == 0 or (len(known) > 1 and side is None):
        return root
    if len(known) == 1:
        regions = [(u < limit // known[0], known[0])]
    else:
        lower, higher = known
        assert side is not None
        beyond = side > 0 if powers[1] == higher else side < 0
        regions = [(AND(u < limit // higher, beyond), higher)]
        if lower:
            # On the other side alone, or a place would belong to both.
            regions.append((AND(u < limit // lower, NOT(beyond)), lower))
    halved = [deep for deep, power in regions if power == 1]
    e = exp(where(halved[0], u / 2, u)) if halved else node
    replaced = e
    factors: list[Expr] = []
    for deep, power in regions:
        if power == 1:
            factors.append(where(deep, e, 1))
        else:
            # eᵘ itself does not underflow here: a power of two costs no rounding.
            scale = Number(Fraction(2) ** _spare_exponent(limit, power))
            replaced = where(deep, replaced * scale, replaced)
            factors += [where(deep, 1 / scale.value, 1)] * power
    return _times(substitute(root, {node: replaced}), replaced, factors)


def _spare_exponent(limit: int, power: int) -> int:
    """How far e may be scaled up where u < limit/power, and still be nothing beside 1."""
    return int(-(limit // power) / math.log(2)) - 120


def _times(root: Expr, half: Expr, factors: Sequence[Expr]) -> Expr:
    """The product, inside those branches that read the exponential."""
    if half not in walk(root):
        return root
    if isinstance(root, Call) and root.function is where and half not in walk(root.args[0]):
        condition, a, b = root.args
        return where(condition, _times(a, half, factors), _times(b, half, factors))
    for factor in factors:
        root = root * factor
    return root


def _side_of(u: Expr) -> Expr | None:
    """What has another sign on either side of the formula: w in exp(−|w|), x in exp(−x²)."""
    inner = u
    while isinstance(inner, Call) and inner.function in (NEG, MUL):
        varying = [arg for arg in inner.args if free_symbols(arg)]
        if len(varying) != 1:
            break
        (inner,) = varying
    if isinstance(inner, Call) and inner.function is abs_:
        return inner.args[0]
    symbols = free_symbols(u)
    return symbols[0] if len(symbols) == 1 else None


def _power(
    root: Expr,
    node: Call,
    side: Expr | None,
    sign: int,
    defaults: Mapping[str, float],
    limit: int,
) -> int | None:
    """P where ``root`` is proportional to eᵖ on one side; None where nothing is known there.

    An expression that is proportional to no power counts as one of power 0.
    """
    symbols = free_symbols(root)
    names = [symbol.name for symbol in symbols]
    in_e = Evaluator(substitute(root, {node: _E}), (*names, _E.name))
    found: set[int] = set()
    for other in _OTHER:
        values = {name: defaults.get(name, other) for name in names}
        point = _deep_point(node.args[0], side, sign, values, limit)
        if point is None:
            continue
        large, small = (in_e(*point.values(), 2.0**-k) for k in (420, 421))
        if isnan_ball(large) or isnan_ball(small):
            return 0
        if small.contains(0):
            continue
        ratio = float((large / small).mid())
        power = round(math.log2(ratio)) if ratio > 0 else 0
        found.add(power if 0 <= power <= _HIGHEST and abs(ratio / 2**power - 1) < 1e-9 else 0)
    return (found.pop() if len(found) == 1 else 0) if found else None


def _deep_point(
    u: Expr, side: Expr | None, sign: int, values: dict[str, float], limit: int
) -> dict[str, float] | None:
    """Values of the symbols with u far below zero on one side."""
    moved = [s.name for s in free_symbols(u)]
    for name in moved:
        for direction in (sign, -sign):
            columns = {n: np.full(_PLACES.shape, v) for n, v in values.items()}
            columns[name] = direction * _PLACES
            at = interpret(u, columns)
            fits = (at < limit / 4) & (at > 2 * limit)  # an input may be held above ``limit``
            if side is not None:
                fits &= np.sign(interpret(side, columns)) == sign
            if fits.any():
                return {**values, name: float(columns[name][np.flatnonzero(fits)[-1]])}
    return None


def line_near_zero(node: Expr, root: Expr, x: Expr) -> Expr:
    """``node`` with f′(0)·x for subnormal x, where a part such as x/α underflows and f does not.

    Args:
        node: what is computed.
        root: the formula f that it equals, with f(0) = 0.
        x: its input.
    """
    assert isinstance(x, Symbol)
    slope = simplify(substitute(differentiate(root, x), {x: Number(0)}))
    if x in free_symbols(slope):
        return node
    return where(abs_(x) < Number(_SUBNORMAL), slope * x, node)
