"""Where something happens far from 0, that points of every size would miss.

exp(−(x − 100)²) is 0 at all of them but 100. What is inside a function, or a sum, has its own
origin: where it vanishes. Around that, points are put where what is inside of functions has changed
by as much as they bend for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from gradsmith.formula.expression import Call, Expr, Symbol, free_symbols, walk
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, SUB
from gradsmith.numerics.interpret import Array, interpret

_CHANGES = (0.02, 0.1, 0.3, 0.55, 0.9, 1.8, 3.0, 5.3, 9.1, 17.3, 41.0, 87.0)
"""By these what is inside differs from what it is at an origin."""
_DISTANCES = 2.0 ** np.arange(-36.0, 1.0)
"""Of which one is looked for, as shares of the origin's own from 0."""
_MOST_PARTS = 8
_MOST_ORIGINS = 3  # of each part
_SPLIT, _NARROWINGS = 65, 10  # into so many points each time: 2⁻⁶⁰ of what was there
_ARITHMETIC = frozenset({ADD, SUB, MUL, DIV, NEG})


def landmarks(root: Expr, name: str, given: Mapping[str, float], line: Array) -> list[float]:
    """Points around the origins of the parts of a formula, but for 0.

    Args:
        root: the formula.
        name: its one input.
        given: values of its parameters.
        line: points of every size, among which a part changes its sign.
    """
    ordered = np.array(sorted(set(line.tolist())))  # np.unique loads more than it is worth
    values = [_values_of(part, name, given) for part in _parts(root, Symbol(name))]
    origins = dict.fromkeys(origin for value in values for origin in _origins(value, ordered))
    points = (x for origin in origins for value in values for x in _around(value, origin))
    return list(dict.fromkeys((*origins, *points)))


Values = Callable[[Array], Array]


def _values_of(part: Expr, name: str, given: Mapping[str, float]) -> Values:
    def values(x: Array) -> Array:
        columns = {n: np.full(x.shape, v) for n, v in given.items()}
        with np.errstate(all="ignore"):
            return np.broadcast_to(interpret(part, columns | {name: x}), x.shape)

    return values


def _parts(root: Expr, of: Symbol) -> Sequence[Expr]:
    """Sums, and what is inside of functions; the simplest first, as :func:`walk` goes."""
    inside = {
        arg
        for node in walk(root)
        if isinstance(node, Call) and node.function not in _ARITHMETIC
        for arg in node.args
    }
    parts = [
        node
        for node in walk(root)
        if isinstance(node, Call)
        and not node.function.boolean
        and (node.function in (ADD, SUB) or node in inside)
        and of in free_symbols(node)
    ]
    return parts[:_MOST_PARTS]


def _origins(value: Values, line: Array) -> Iterator[float]:
    """Where a part vanishes, but for 0; the nearest to it first."""
    signs = np.sign(value(line))
    nothing = np.concatenate([[False], signs == 0, [False]])
    alone = nothing[1:-1] & ~nothing[:-2] & ~nothing[2:]  # else it is too small, or constant
    found: list[tuple[float, float]] = [(x, x) for x in line[alone].tolist() if x]
    for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
        found.append((float(line[i]), float(line[i + 1])))
    for low, high in sorted(found, key=lambda ends: min(map(abs, ends)))[:_MOST_ORIGINS]:
        yield _narrowed(value, low, high)


def _narrowed(value: Values, low: float, high: float) -> float:
    """Where the sign changes between two points, as closely as float64 tells."""
    for _ in range(_NARROWINGS):
        at = np.linspace(low, high, _SPLIT)
        other = np.flatnonzero(np.sign(value(at)) != np.sign(value(at[:1])))
        if not len(other):
            break
        low, high = float(at[other[0] - 1]), float(at[other[0]])
    return high


def _around(value: Values, origin: float) -> Iterator[float]:
    """Where a part differs from its value at an origin by what is told, on either side."""
    (there,) = value(np.array([origin])).tolist()
    for direction in (1.0, -1.0):
        distances = direction * abs(origin) * _DISTANCES
        with np.errstate(invalid="ignore"):  # where both are infinite
            changes = np.abs(value(origin + distances) - there)
        usable = np.isfinite(changes) & (changes > 0)
        if usable.any():
            grown = np.log(np.maximum.accumulate(changes[usable]))
            reached = np.interp(np.log(_CHANGES), grown, np.log(np.abs(distances[usable])))
            yield from (origin + direction * np.exp(reached)).tolist()
