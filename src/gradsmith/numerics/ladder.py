"""The precision ladder: the cheapest way to compute that keeps the error budget, by measurement.

From the bottom: float32 by itself; float64 with elementary functions just accurate enough for a
float32 result; float64 in full. Each is run on the sample of points on which the expression
itself was judged, and the first that stays within the budget is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gradsmith.formula.expression import Expr
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.interpreter import DTYPES, run
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.measure import Samples, sample, ulp_errors
from gradsmith.numerics.program import F32, F64
from gradsmith.numerics.target import Target

PLAIN32 = Scheme(F32, Accuracy.FULL)
SHORT64 = Scheme(F64, Accuracy.SHORT)
FULL64 = Scheme(F64, Accuracy.FULL)

ONE_ROUNDING = 0.51
"""The error of a result that is rounded once is 1/2 ULP. A sample cannot tell 0.9 from 1.1, so
that where the computation has no digits to spare nothing more is trusted."""


def schemes(target: Target, alone: bool) -> tuple[tuple[Scheme, float], ...]:
    """What is tried for a target, cheapest first, and the error in ULP up to which it is taken.

    Args:
        target: the format of the result, and the precision for which the expression was made.
        alone: whether float32 may be computed in float32: every input must be one.
    """
    if target.compute == "float32":
        return ((PLAIN32, target.budget),)
    if target.digits == 53:
        return ((FULL64, target.budget),)
    wide = ((SHORT64, target.budget), (FULL64, target.budget))
    return ((PLAIN32, ONE_ROUNDING), *wide) if alone and target.digits == 24 else wide


def choose(
    root: Expr,
    stable: Expr,
    arguments: Sequence[str],
    defaults: Mapping[str, float],
    target: Target,
    alone: bool = False,
) -> tuple[Scheme, float]:
    """The scheme in which ``stable`` gives ``root`` within the target's budget, and its error.

    The last one, the most accurate, where none does. The error is in ULP of the target, before
    the final rounding.
    """
    points = sample(root, arguments, defaults, target)
    tried = []
    for scheme, budget in schemes(target, alone):
        error = measured(stable, arguments, points, scheme, target)
        tried.append((scheme, error))
        if error <= budget:
            return tried[-1]
    return min(tried, key=lambda found: found[1])


def measured(
    stable: Expr, arguments: Sequence[str], points: Samples, scheme: Scheme, target: Target
) -> float:
    """The largest error of the Program on the points, in ULP of the target."""
    kind = scheme.compute
    program = lower((stable,), dict.fromkeys(arguments, kind), scheme)
    columns = [points.values[name].astype(DTYPES[kind]) for name in arguments]
    computed = run(program, *columns)[0].astype(np.float64)
    errors = ulp_errors(computed, points.high, points.low, target)
    return float(errors.max(initial=0.0))
