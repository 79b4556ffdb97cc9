"""Series where a difference cancels and no rewriting helps: x − tanh(x) near 0.

A sum of close terms is replaced, near the point where it vanishes, by its own expansion
u**k·P(u): the order k of the zero is read off exact values, and P interpolates the quotient at
Chebyshev points with coefficients computed in ball arithmetic, so that nothing is looked up.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import flint
from flint import arb

from gradsmith.calculus.exact import Evaluator, isnan_ball
from gradsmith.formula.expression import (
    Call,
    Expr,
    Number,
    Symbol,
    free_symbols,
    size,
    substitute,
    walk,
)
from gradsmith.formula.vocabulary import ADD, LT, SUB, abs_, log, where
from gradsmith.numerics.target import FLOAT64, Target

RADII = (1.0, 0.5, 0.25, 0.125, 2.0**-4, 2.0**-5, 2.0**-6, 2.0**-8, 2.0**-10)
MAX_TERMS = 18
LOSS = 64.0
"""A sum whose terms are this much larger than itself, near 0, gets a series."""

Exact = Callable[..., arb]
"""The exact value at one number; ``bits`` says how exact."""

_BITS = 320
_VARIABLE = Symbol("_u")


def expand_near_zero(root: Expr, target: Target = FLOAT64) -> Expr:
    """``root`` with a series in every outermost sum that cancels near zero.

    Args:
        root: the expression.
        target: the precision of the computation. The more digits it has to spare, the shorter
            the series: outside of it the sum may lose them.
    """
    replaced: dict[Expr, Expr] = {}
    covered: set[Expr] = set()
    for node in reversed(list(walk(root))):  # outermost first
        if node in covered or not isinstance(node, Call) or node.function not in (ADD, SUB, log):
            continue
        series = _series_for(node, target)
        if series is not None:
            replaced[node] = series
            covered.update(walk(node))
    return substitute(root, replaced) if replaced else root


def _series_for(node: Call, target: Target) -> Expr | None:
    for inner in _variables_of(node):
        in_u = substitute(node, {inner: _VARIABLE})
        if free_symbols(in_u) != (_VARIABLE,) or not _cancels(in_u):
            continue
        assert isinstance(in_u, Call)
        found = _fit(Evaluator(in_u, ("_u",)), _is_abs(inner), _radii(in_u, target), target)
        if found is not None:
            radius, series = found
            return where(abs_(inner) < radius, series(inner), node)
    return None


def replace_near_zero(
    expression: Expr, root: Expr, x: Symbol, reach: float, target: Target
) -> Expr:
    """``expression`` with the series of ``root``, which it equals, for |x| up to ``reach``.

    The last resort where no single sum can be blamed; ``root`` must depend on ``x`` alone.
    """
    if free_symbols(root) != (x,):
        return expression
    radii = sorted(r for r in RADII if r > reach)
    found = _fit(Evaluator(root, (x.name,)), False, radii[:2], target)
    if found is None:
        return expression
    radius, series = found
    return where(abs_(x) < radius, series(x), _beyond(radius, expression, x))


def _beyond(radius: float, expression: Expr, x: Symbol) -> Expr:
    """``expression`` where |x| is not below ``radius``: without series for smaller numbers."""
    size = abs_(x)
    replaced: dict[Expr, Expr] = {}
    for node in walk(expression):
        if isinstance(node, Call) and node.function is where:
            condition, _, otherwise = node.args
            if isinstance(condition, Call) and condition.function is LT:
                of, bound = condition.args
                if of is size and isinstance(bound, Number) and bound.value <= radius:
                    replaced[node] = otherwise
    return substitute(expression, replaced) if replaced else expression


def _variables_of(node: Expr) -> list[Expr]:
    """What the node may be a function of: |x| before x, x before β·x."""
    symbols = set(free_symbols(node))
    parts = [
        part
        for part in walk(node)
        if part is not node and symbols and set(free_symbols(part)) == symbols
    ]
    return sorted(parts, key=lambda part: (not _is_abs(part), size(part)))[:4]


def _is_abs(node: Expr) -> bool:
    return isinstance(node, Call) and node.function is abs_


def _loss(in_u: Call, u: float) -> float:
    """How much larger than the sum its terms are at u: the factor on their rounding errors."""
    whole, first = Evaluator(in_u, ("_u",)), Evaluator(in_u.args[0], ("_u",))
    total, term = whole(u), first(u)
    if isnan_ball(total) or isnan_ball(term) or total.contains(0):
        return 0.0
    # The logarithm of a number near 1 loses what the rounding of that number loses.
    return float((1 / abs(total) if in_u.function is log else abs(term / total)).mid())


def _cancels(in_u: Expr) -> bool:
    assert isinstance(in_u, Call)
    return all(_loss(in_u, u) > LOSS for u in (2.0**-12, -(2.0**-12)))


def _radii(in_u: Call, target: Target) -> list[float]:
    """Radii to try: the smallest outside of which little enough is lost, then smaller ones."""
    enough = [r for r in RADII if max(_loss(in_u, r), _loss(in_u, -r)) < target.slack / 2]
    return [r for r in RADII if not enough or r <= min(enough)]


def _accuracy(target: Target) -> float:
    """An eighth of the budget, and at least an eighth of an ULP of the computation."""
    return max(target.slack, 1.0) / 8 * {"float64": 2.0**-53, "float32": 2.0**-24}[target.compute]


def _fit(
    exact: Evaluator, one_sided: bool, radii: list[float], target: Target
) -> tuple[float, Callable[[Expr], Expr]] | None:
    order = order_of_zero(exact)
    if order is None:
        return None
    symmetric = _is_even_quotient(exact, order)
    accuracy = _accuracy(target)
    for radius in radii:
        for terms in range(2, MAX_TERMS + 1, 2):
            low = 0.0 if symmetric or one_sided else -radius
            high = radius * radius if symmetric else radius
            coefficients = _interpolate(exact, order, symmetric, low, high, terms)
            if coefficients is None:
                break
            if _accurate(exact, order, symmetric, low, high, coefficients, accuracy):
                return radius, _polynomial(order, symmetric, coefficients)
    return None


def fit_series(
    exact: Exact, radius: float, most_terms: int, target: Target
) -> Callable[[Expr], Expr] | None:
    """P where ``exact(t)`` is t·P(t) for |t| up to ``radius``, or None where none is found.

    The interpolation at Chebyshev points, cut off where the rest of its Chebyshev coefficients
    is small enough.
    """
    with flint.ctx.workprec(_BITS):
        count = most_terms + 4
        angles = [(2 * i + 1) * arb.pi() / (2 * count) for i in range(count)]
        values = [_quotient(exact, 1, (radius * angle.cos()).mid()) for angle in angles]
        if any(isnan_ball(v) for v in values):
            return None
        cosines = [((i * arb.pi()) / (2 * count)).cos() for i in range(4 * count)]
        terms = [
            sum(
                (v * cosines[k * (2 * i + 1) % (4 * count)] for i, v in enumerate(values)),
                arb(0),
            )
            * (1 if k == 0 else 2)
            / count
            for k in range(count)
        ]
        allowed = _accuracy(target) * float(min(abs(v.mid()) for v in values))
        rest = arb(0)
        while terms and rest + abs(terms[-1]) < allowed:
            rest += abs(terms.pop())
        if len(terms) > most_terms or not terms:
            return None
        # Chebyshev polynomials multiplied out: T(n+1) = 2s·T(n) − T(n−1), s = t/radius.
        before, now = [arb(1)], [arb(0), arb(1)]
        coefficients = [arb(0)] * len(terms)
        for term in terms:
            for power, value in enumerate(before):
                coefficients[power] += term * value
            doubled = [arb(0), *(2 * value for value in now)]
            for power, value in enumerate(before):
                doubled[power] -= value
            before, now = now, doubled
        return _polynomial(
            0, False, [c / arb(radius) ** power for power, c in enumerate(coefficients)]
        )


def order_of_zero(exact: Evaluator) -> int | None:
    """The power of u like which a function of u grows next to 0, up to 12; None for no power."""
    near, nearer = exact(2.0**-40), exact(2.0**-41)
    if isnan_ball(near) or isnan_ball(nearer) or nearer.contains(0):
        return None
    ratio = float((near / nearer).mid())
    if not 0 < ratio < math.inf:
        return None
    order = round(math.log2(ratio))
    return order if 0 <= order <= 12 and abs(ratio / 2**order - 1) < 1e-6 else None


def _quotient(exact: Exact, order: int, u: arb) -> arb:
    return exact(u, bits=_BITS - 60) / u**order


def _is_even_quotient(exact: Exact, order: int) -> bool:
    for u in (0.11, 0.37):
        plus, minus = (_quotient(exact, order, arb(s * u)) for s in (1, -1))
        if not plus.overlaps(minus) or isnan_ball(plus):
            return False
    return True


def _nodes(low: float, high: float, count: int) -> list[arb]:
    middle, half = (low + high) / 2, (high - low) / 2
    return [
        arb(middle + half * math.cos(math.pi * (2 * i + 1) / (2 * count))) for i in range(count)
    ]


def _interpolate(
    exact: Exact, order: int, symmetric: bool, low: float, high: float, terms: int
) -> list[arb] | None:
    """Coefficients of the polynomial through the quotient at Chebyshev points."""
    with flint.ctx.workprec(_BITS):
        points = _nodes(low, high, terms)
        values = [_quotient(exact, order, p.sqrt() if symmetric else p) for p in points]
        if any(isnan_ball(v) for v in values):
            return None
        differences = list(values)  # Newton's divided differences, in place
        for level in range(1, terms):
            for i in range(terms - 1, level - 1, -1):
                differences[i] = (differences[i] - differences[i - 1]) / (
                    points[i] - points[i - level]
                )
        coefficients = [arb(0)] * terms
        for i in range(terms - 1, -1, -1):  # multiply out (s − pᵢ)·… from the inside
            shifted = [arb(0), *coefficients[:-1]]
            coefficients = [a - points[i] * c for a, c in zip(shifted, coefficients, strict=True)]
            coefficients[0] = coefficients[0] + differences[i]
        return coefficients


def _accurate(
    exact: Exact,
    order: int,
    symmetric: bool,
    low: float,
    high: float,
    coefficients: list[arb],
    accuracy: float,
) -> bool:
    with flint.ctx.workprec(_BITS):
        for i in range(24):
            s = arb(low + (high - low) * (i + 0.37) / 24)
            total = arb(0)
            for coefficient in reversed(coefficients):
                total = total * s + coefficient
            value = _quotient(exact, order, s.sqrt() if symmetric else s)
            if not abs(total / value - 1) < accuracy:
                return False
    return True


def _polynomial(
    order: int, symmetric: bool, exact_coefficients: list[arb]
) -> Callable[[Expr], Expr]:
    coefficients = [Fraction(float(c.mid())) for c in exact_coefficients]

    def build(u: Expr) -> Expr:
        s = u * u if symmetric else u
        total: Expr = Number(coefficients[-1])
        for coefficient in reversed(coefficients[:-1]):
            total = Number(coefficient) + s * total
        return total if order == 0 else (u if order == 1 else u**order) * total

    return build
