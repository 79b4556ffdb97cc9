"""Series where a quick way of computing has too few digits: silu′ near its root in short float64.

A stable expression is judged with all digits of float64. Functions that are just accurate enough
for float32 have some twenty digits fewer, and lose what is left where terms cancel: next to a root
and next to a zero at 0. A short series there costs less than functions accurate in full everywhere.
"""

from __future__ import annotations

import numpy as np

from gradsmith.formula.expression import Expr, Symbol, free_symbols
from gradsmith.numerics.draws import Draws
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.measure import ulp_errors
from gradsmith.numerics.regimes import replace_near_zero
from gradsmith.numerics.roots import Evaluate, expand_near_roots
from gradsmith.numerics.stabilise import Stable

_NEAR = (-40.0, -1.0)  # exponents
_COUNT = 500


def with_series(stable: Stable, evaluate: Evaluate) -> Expr:
    """The stable expression with series about 0 and about roots, where ``evaluate`` loses digits.

    The expression itself where it has more than one input, or parameters, or loses none there.
    """
    symbols = free_symbols(stable.root)
    if len(symbols) != 1:
        return stable.expression
    x, target = symbols[0], stable.target
    expression = stable.expression
    near = _lossy_near_zero(stable, x, evaluate)
    if near.size:
        expression = replace_near_zero(expression, stable.root, x, float(near.max()), target)
    points = stable.points
    computed = evaluate(expression, points.values)
    if (ulp_errors(computed, points.high, points.low, target) > target.aim).any():
        pairs = points.brackets(x.name)
        expression = expand_near_roots(expression, stable.root, x, pairs, target, evaluate)
    return expression


def _lossy_near_zero(stable: Stable, x: Symbol, evaluate: Evaluate) -> Array:
    """Sizes of numbers near 0 at which digits are lost that the expression in full has."""
    draws = Draws(7)  # any fixed seed: choices must repeat
    sizes = np.exp2(draws.uniform(*_NEAR, _COUNT))
    values = {x.name: stable.target.rounded(np.concatenate([sizes, -sizes]))}
    exact = interpret(stable.expression, values)
    computed = evaluate(stable.expression, values)
    errors = ulp_errors(computed, exact, np.zeros_like(exact), stable.target)
    lossy: Array = np.abs(values[x.name])[errors > stable.target.aim / 2]
    return lossy
