"""One way to compute a stable expression, tried at the points on which that itself was judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from math import inf

import numpy as np

from gradsmith.formula.expression import Expr
from gradsmith.numerics.draws import Draws
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.interpret import Array, interpret
from gradsmith.numerics.interpreter import DTYPES, run
from gradsmith.numerics.lower import Scheme, Written
from gradsmith.numerics.measure import ulp_errors
from gradsmith.numerics.overflow import ends_of_range
from gradsmith.numerics.program import F32, F64, Program, Type
from gradsmith.numerics.quick import quick_fma
from gradsmith.numerics.stabilise import Stable

Columns = Mapping[str, Array]

_TINY = 2.0**-100
"""Below this the second word of a float32 is subnormal, and loses digits."""
_EACH = 4  # points with the same exponent
_DENSE = np.arange(-12, 7), 40  # and where most formulas bend, so many more

_ROUNDED_TWICE = 0.76
"""What is left of them: a subnormal result is rounded to 24 digits, then to those it has."""


def measured(
    stable: Stable, scheme: Scheme, reference: Stable | None = None, most: float = inf
) -> float:
    """The largest error of the Program on the points of the expression, in ULP of the target.

    Of double words it is that of the sum, before it is rounded to one word. Ways that have few
    digits or little range to spare are compared with float64 in full at many more points.

    Args:
        stable: what is computed.
        scheme: how.
        reference: what to compare with there, by default ``stable`` itself.
        most: an error that is larger need not be the largest one: no more is looked for.
    """
    values, target = stable.points.values, stable.target
    high, low = stable.points.high, stable.points.low
    error = _error_of_words if scheme.double_word else _error
    found = error(stable, scheme, values, high, low)
    short = scheme.compute is F64 and scheme.accuracy is Accuracy.SHORT
    if target.digits != 24 or not (scheme.double_word or short) or found > most:
        return found
    taken = {n: tuple(sorted(set(values[n].tolist()))) for n in stable.defaults if n in values}
    names, exact = tuple(values), (reference or stable).expression
    more, wide = _many(names, tuple(taken.items())), _at_many(exact, names, tuple(taken.items()))
    found = max(found, error(stable, scheme, more, wide, np.zeros_like(wide)) - target.budget / 8)
    if found > most:
        return found
    if scheme.double_word and len(values) == 1 and not _ends_alike(stable, scheme, exact, more):
        return inf
    return found


def _ends_alike(stable: Stable, scheme: Scheme, exact: Expr, values: Columns) -> bool:
    """Whether the result is infinite just where the exact one is.

    Of an infinite first word the second one says nothing any more.
    """
    ((name, column),) = values.items()

    def function(at: Array) -> Array:
        return interpret(exact, {name: at})

    ends = ends_of_range(function, column, stable.target.largest)
    program = program_of(stable, scheme, stored=True)
    (computed,) = run(program, ends.astype(DTYPES[program.inputs[0][1]]), fused=quick_fma())
    expected = stable.target.rounded(function(ends))
    return np.array_equal(np.isinf(computed), np.isinf(expected))


def _error(stable: Stable, scheme: Scheme, values: Columns, high: Array, low: Array) -> float:
    computed = _computed(stable, scheme, values)
    return float(ulp_errors(computed, high, low, stable.target).max(initial=0.0))


def _error_of_words(
    stable: Stable, scheme: Scheme, values: Columns, high: Array, low: Array
) -> float:
    sums = _computed(stable, scheme, values, F64)
    rounded = ulp_errors(stable.target.rounded(sums), high, low, stable.target)
    errors = ulp_errors(sums, high, low, stable.target)
    errors = np.where(np.abs(high) < _TINY, np.maximum(rounded - _ROUNDED_TWICE, 0.0), errors)
    return float(errors.max(initial=0.0))


_Taken = tuple[tuple[str, tuple[float, ...]], ...]
"""Parameters, and the values that they have."""


@lru_cache(maxsize=4)
def _many(names: tuple[str, ...], taken: _Taken) -> Columns:
    """Numbers of every size for each input, and for parameters those that they already have."""
    draws, parameters = Draws(20240229), dict(taken)  # any fixed seed: choices must repeat
    exponents = np.concatenate([np.tile(np.arange(-149, 128), _EACH), np.tile(*_DENSE)])
    more = {}
    for name in names:
        if name in parameters:
            more[name] = draws.choice(parameters[name], len(exponents))
        else:
            sizes = np.ldexp(draws.uniform(1, 2, len(exponents)), exponents)
            signed = sizes * draws.choice([-1.0, 1.0], len(exponents))
            more[name] = draws.shuffled(signed.astype(np.float32).astype(np.float64))
    return more


@lru_cache(maxsize=4)
def _at_many(exact: Expr, names: tuple[str, ...], taken: _Taken) -> Array:
    """What one way after the other is compared with."""
    return interpret(exact, _many(names, taken))


def evaluated(stable: Stable, scheme: Scheme, expression: Expr, values: Columns) -> Array:
    """The values of another expression, before they are rounded."""
    return _computed(replace(stable, expression=expression), scheme, values, F64)


def _computed(stable: Stable, scheme: Scheme, values: Columns, kind: Type | None = None) -> Array:
    """The results at some points, as numbers of a format."""
    program = program_of(stable, scheme, kind)
    columns = [
        column.astype(DTYPES[given])
        for column, (_, given) in zip(values.values(), program.inputs, strict=True)
    ]
    result: Array = run(program, *columns, fused=quick_fma())[0].astype(np.float64)
    return result


def program_of(
    stable: Stable, scheme: Scheme, kind: Type | None = None, stored: bool = False
) -> Program:
    """The Program of the expression.

    Args:
        stable: the expression.
        scheme: how to compute.
        kind: of the result.
        stored: whether the result is float32 as tensors of it are.
    """
    inputs = dict.fromkeys(stable.points.values, scheme.compute)
    if scheme.double_word or stable.target.digits == 24:
        kind = F32 if stored else kind
        for name, column in stable.points.values.items():
            with np.errstate(over="ignore"):
                exact = np.array_equal(column.astype(np.float32), column)
            inputs[name] = F32 if exact else F64
    scalars = tuple(stable.defaults)
    return _written(stable.expression, tuple(inputs.items()), scheme, scalars).stored_as(kind)


@lru_cache(maxsize=32)
def _written(
    expression: Expr, inputs: tuple[tuple[str, Type], ...], scheme: Scheme, scalars: tuple[str, ...]
) -> Written:
    """Kept, for the same is run at several sets of points in turn, and priced before."""
    return Written(expression, dict(inputs), scheme, scalars)
