"""Series where a quick way of computing has too few digits: silu′ near its root in short float64.

A stable expression is judged with all digits of float64. Functions that are just accurate enough
for float32 have some twenty digits fewer, and lose what is left where terms cancel: next to a root
and next to a zero at 0. A short series there costs less than functions accurate in full everywhere.
"""

from __future__ import annotations

import numpy as np

from gradsmith.formula.expression import Expr, Symbol, free_symbols
from gradsmith.numerics.interpret import Array
from gradsmith.numerics.measure import brackets, ulp_errors
from gradsmith.numerics.regimes import replace_near_zero
from gradsmith.numerics.roots import Evaluate, expand_near_roots
from gradsmith.numerics.stabilise import Stable

_NEAR = 0.5


def with_series(stable: Stable, evaluate: Evaluate) -> Expr:
    """The stable expression with series about 0 and about roots, where ``evaluate`` loses digits.

    The expression itself where it has more than one input, or parameters, or loses none there.
    """
    symbols = free_symbols(stable.root)
    if len(symbols) != 1:
        return stable.expression
    x = symbols[0]
    expression, target = stable.expression, stable.target
    line, high = stable.points.values[x.name], stable.points.high
    near = np.abs(line)[_lossy(stable, expression, evaluate) & (np.abs(line) < _NEAR)]
    if near.size:
        expression = replace_near_zero(expression, stable.root, x, float(near.max()), target)
    if _lossy(stable, expression, evaluate).any():
        expression = _about_roots(stable, expression, x, line, high, evaluate)
    return expression


def _lossy(stable: Stable, expression: Expr, evaluate: Evaluate) -> Array:
    points, target = stable.points, stable.target
    computed = evaluate(expression, points.values)
    lossy: Array = ulp_errors(computed, points.high, points.low, target) > target.aim
    return lossy


def _about_roots(
    stable: Stable, expression: Expr, x: Symbol, line: Array, high: Array, evaluate: Evaluate
) -> Expr:
    order = np.argsort(line)
    pairs = brackets(line[order], high[order])
    return expand_near_roots(expression, stable.root, x, pairs, stable.target, evaluate)
