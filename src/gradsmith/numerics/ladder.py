"""The precision ladder: the cheapest way to compute that keeps the error budget, by measurement.

From the bottom: float32 by itself; float64 with elementary functions just accurate enough for a
float32 result; float64 in full. Each is run on the sample of points on which the expression
itself was judged, and the first that stays within the budget is taken.
"""

from __future__ import annotations

import numpy as np

from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.interpreter import DTYPES, run
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.measure import ulp_errors
from gradsmith.numerics.program import F32, F64
from gradsmith.numerics.stabilise import Stable
from gradsmith.numerics.target import Target

PLAIN32 = Scheme(F32, Accuracy.FULL)
SHORT64 = Scheme(F64, Accuracy.SHORT)
FULL64 = Scheme(F64, Accuracy.FULL)

ONE_ROUNDING = 0.51
"""The error of a result that is rounded once is 1/2 ULP. A sample cannot tell 0.9 from 1.1, so
that where the computation has no digits to spare nothing more is trusted."""


_FOUND = 0.8
"""The share of the largest error that a sample is trusted to find, where more is allowed."""


def schemes(target: Target, alone: bool, max_ulp: float = 1.0) -> tuple[tuple[Scheme, float], ...]:
    """What is tried for a target, cheapest first, and the error in ULP up to which it is taken.

    Args:
        target: the format of the result, and the precision for which the expression was made.
        alone: whether float32 may be computed in float32: every input must be one.
        max_ulp: the error that a float32 result may have.
    """
    if target.compute == "float32":
        return ((PLAIN32, target.budget),)
    if target.digits == 53:
        return ((FULL64, target.budget),)
    wide = ((SHORT64, target.budget), (FULL64, target.budget))
    if not (alone and target.digits == 24):
        return wide
    return ((PLAIN32, _FOUND * max_ulp if max_ulp > 1 else ONE_ROUNDING), *wide)


def choose(stable: Stable, alone: bool = False, max_ulp: float = 1.0) -> tuple[Scheme, float]:
    """The scheme in which the stable expression keeps its target's budget, and its error.

    The most accurate one where none does. The error is in ULP of the target, before the final
    rounding.
    """
    tried = []
    for scheme, budget in schemes(stable.target, alone, max_ulp):
        error = measured(stable, scheme)
        tried.append((scheme, error))
        if error <= budget:
            return tried[-1]
    return min(tried, key=lambda found: found[1])


def measured(stable: Stable, scheme: Scheme) -> float:
    """The largest error of the Program on the points of the expression, in ULP of the target."""
    kind, points = scheme.compute, stable.points
    program = lower((stable.expression,), dict.fromkeys(points.values, kind), scheme)
    columns = [column.astype(DTYPES[kind]) for column in points.values.values()]
    computed = run(program, *columns)[0].astype(np.float64)
    errors = ulp_errors(computed, points.high, points.low, stable.target)
    return float(errors.max(initial=0.0))
