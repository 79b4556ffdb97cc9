"""The exact value of an expression by mpmath: its own reading of every function, rising precision.

Nothing of gradsmith but the shape of the tree takes part. A function that this file does not know
is read as mpmath's function of that name or, failing that, by its definition, so that a new record
of the vocabulary is covered from its first day.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import mpmath
from mpmath import mp, mpf
from mpmath.libmp import to_rational

from gradsmith.formula.expression import Call, Expr, Number, Symbol, as_expr

Real = Any  # mpmath carries no annotations

NEGLIGIBLE = mpf(10) ** -430
"""Smaller than every value that a test looks at; what is not told from zero counts as zero."""

_HUGE = mpf(10) ** 400
_PRECISIONS = (600, 2400, 4800)


class UndefinedError(ArithmeticError):
    """The expression has no real value there, or one beyond what mpmath can hold."""


def _divide(a: Real, b: Real) -> Real:
    if b == 0:
        raise UndefinedError
    return a / b


def _log(a: Real) -> Real:
    if a <= 0:
        raise UndefinedError
    return mpmath.log(a)


def _sqrt(a: Real) -> Real:
    if a < 0:
        raise UndefinedError
    return mpmath.sqrt(a)


def _exp(a: Real) -> Real:
    if a > _HUGE:
        raise UndefinedError
    return mpf(0) if a < -_HUGE else mpmath.exp(a)


def _power(a: Real, b: Real) -> Real:
    if b == int(b) and abs(b) < 10**6:
        if a == 0 and b < 0:
            raise UndefinedError
        return a ** int(b)
    if a < 0 or (a == 0 and b <= 0):
        raise UndefinedError
    return mpf(0) if a == 0 else _exp(b * mpmath.log(a))


def _compare(a: Real, b: Real) -> int:
    difference = a - b
    if difference != 0 and abs(difference) < max(abs(a), abs(b)) * mpf(10) ** (10 - mp.dps):
        raise UndefinedError  # rounding decides
    return int(mpmath.sign(difference))


def _sinh(a: Real) -> Real:
    return (_exp(a) - _exp(-a)) / 2


def _cosh(a: Real) -> Real:
    return (_exp(a) + _exp(-a)) / 2


def _tanh(a: Real) -> Real:
    return mpmath.sign(a) if abs(a) > _HUGE else mpmath.tanh(a)


def _erfc(a: Real) -> Real:
    return mpmath.erfc(a) if abs(a) < mpf(10) ** 30 else 1 - mpmath.sign(a)


def _erfcx(a: Real) -> Real:
    return _exp(a * a) * _erfc(a)


MEANING: dict[str, Callable[..., Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _divide,
    "neg": lambda a: -a,
    "pow": _power,
    "lt": lambda a, b: _compare(a, b) < 0,
    "le": lambda a, b: _compare(a, b) <= 0,
    "gt": lambda a, b: _compare(a, b) > 0,
    "ge": lambda a, b: _compare(a, b) >= 0,
    "eq": lambda a, b: _compare(a, b) == 0,
    "ne": lambda a, b: _compare(a, b) != 0,
    "logical_and": lambda a, b: a and b,
    "logical_or": lambda a, b: a or b,
    "logical_not": lambda a: not a,
    "pi": lambda: +mpmath.pi,
    "e": lambda: +mpmath.e,
    "exp": _exp,
    "expm1": lambda a: _exp(a) - 1,
    "exp2": lambda a: _power(mpf(2), a),
    "log": _log,
    "log1p": lambda a: _log(1 + a),
    "log2": lambda a: _log(a) / mpmath.log(2),
    "log10": lambda a: _log(a) / mpmath.log(10),
    "sqrt": _sqrt,
    "rsqrt": lambda a: _divide(mpf(1), _sqrt(a)),
    "square": lambda a: a * a,
    "reciprocal": lambda a: _divide(mpf(1), a),
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tanh,
    "erf": mpmath.erf,
    "erfc": _erfc,
    "erfcx": _erfcx,
    "ndtr": lambda a: _erfc(-a / mpmath.sqrt(2)) / 2,
    "sigmoid": lambda a: 1 / (1 + _exp(-a)),
    "softplus": lambda a: _log(1 + _exp(a)),
    "relu": lambda a: a if _compare(a, mpf(0)) > 0 else mpf(0),
    "abs": abs,
    "sign": lambda a: mpf(_compare(a, mpf(0))),
    "heaviside": lambda a: mpf(1 + _compare(a, mpf(0))) / 2,
    "max": max,
    "min": min,
    "clip": lambda a, low, high: low if a < low else min(a, high),
    "sech2": lambda a: _cosh(a) ** -2,
    "product_error": lambda a, b: mpf(0),
    "sum_error": lambda a, b: mpf(0),
}


def evaluate(root: Expr, values: Mapping[str, Real]) -> Real:
    """The value at mpmath's present precision; only the branch that is taken is looked at."""
    done: dict[Expr, Real] = {}

    def visit(node: Expr) -> Real:
        if node not in done:
            done[node] = step(node)
        return done[node]

    def step(node: Expr) -> Real:
        if isinstance(node, Number):
            return mpf(node.value.numerator) / node.value.denominator
        if isinstance(node, Symbol):
            return values[node.name]
        assert isinstance(node, Call)
        function = node.function
        if function.name == "where":
            condition, a, b = node.args
            return visit(a if visit(condition) else b)
        meaning = MEANING.get(function.name) or getattr(mpmath, function.name, None)
        if meaning is None:
            assert function.definition is not None, f"what is {function.name}?"
            return visit(as_expr(function.definition(*node.args)))
        return meaning(*(visit(arg) for arg in node.args))

    return visit(root)


def as_real(value: float | Fraction | Real) -> Real:
    """A number at mpmath's present precision; a float is exact."""
    return mpf(value.numerator) / value.denominator if isinstance(value, Fraction) else mpf(value)


def as_fraction(value: Real) -> Fraction:
    """An mpmath number as the rational number that it is; 0 or ±2**5000 far beyond float64."""
    if value and abs(mpmath.frexp(value)[1]) > 5000:
        return Fraction(0) if abs(value) < 1 else Fraction(2) ** 5000 * (1 if value > 0 else -1)
    return Fraction(*to_rational(value._mpf_))


def precisions(*point: float | Fraction | Real) -> list[int]:
    """Rising precisions, in digits.

    1 + x is told from 1 at the first one, and terms four orders smaller at the second: two
    evaluations that both miss a term would agree on a wrong value.
    """
    with mp.workdps(20):
        sizes = [abs(as_real(p)) for p in point if p]
        orders = max((abs(int(mpmath.log10(size))) for size in sizes), default=0)
    return [75 + orders, 150 + 9 * orders // 2, *(p for p in _PRECISIONS if p > 150 + 9 * orders)]


def exact(function: Callable[..., Real], *point: float | Fraction | Real, digits: int = 50) -> Real:
    """``function(*point)`` to ``digits`` digits, or None where it has no real value.

    The precision rises until two evaluations agree; None as well where none do, because a
    comparison stays open or the value is a zero times something large.
    """
    first = previous = None
    steps = precisions(*point)
    enough = steps[1] + 440  # digits that tell from zero what is not negligible
    for precision in steps:
        with mp.workdps(precision):
            try:
                value = function(*(as_real(p) for p in point))
            except (UndefinedError, OverflowError):
                value = None
            if value is not None and not mpmath.isfinite(value):
                value = None
            if first is None:
                first = precision
            elif value is None or previous is None:
                if value is previous:
                    return None
            elif max(abs(value), abs(previous)) < NEGLIGIBLE and precision >= enough:
                return mpf(0)
            elif value and abs(value - previous) <= abs(value) * mpf(10) ** -digits:
                return value
            previous = value
    return None


def value_of(root: Expr, digits: int = 50, **point: float | Fraction | Real) -> Real:
    """The value of ``root`` to ``digits`` digits, or None where it has no real value."""
    names = list(point)
    return exact(
        lambda *values: evaluate(root, dict(zip(names, values, strict=True))),
        *point.values(),
        digits=digits,
    )


def agree(a: Real, b: Real, digits: int = 40) -> bool:
    """Whether two values are equal to ``digits`` digits, or both negligible."""
    if a is None or b is None:
        return a is b
    with mp.workdps(4 * digits):
        size = max(abs(a), abs(b))
        return bool(abs(a - b) <= size * mpf(10) ** -digits or size < NEGLIGIBLE)
