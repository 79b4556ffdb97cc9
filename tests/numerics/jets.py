"""A formula's text as Python reads it, with its derivatives, in mpmath at any precision.

Python itself evaluates the text; a number is a truncated Taylor series, so that value and
derivatives come together and without difference quotients. Nothing of gradsmith takes part.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import mpmath
from mpmath import mp, mpf

from tests.calculus.oracle import precisions

Real = Any  # mpmath carries no annotations
ORDER = 3


class Jet:
    """f(x + t) as the coefficients of t⁰ … t³."""

    __slots__ = ("c",)

    def __init__(self, coefficients: list[Real]) -> None:
        self.c = coefficients

    @staticmethod
    def of(value: Any) -> Jet:
        if isinstance(value, Jet):
            return value
        return Jet([mpf(value), *[mpf(0)] * ORDER])

    @property
    def slope(self) -> Jet:
        return Jet([*[(k + 1) * self.c[k + 1] for k in range(ORDER)], mpf(0)])

    def integral(self, constant: Real) -> Jet:
        return Jet([constant, *[self.c[k] / (k + 1) for k in range(ORDER)]])

    def __add__(self, other: Any) -> Jet:
        return Jet([a + b for a, b in zip(self.c, Jet.of(other).c, strict=True)])

    def __mul__(self, other: Any) -> Jet:
        a, b = self.c, Jet.of(other).c
        return Jet([mpmath.fdot(a[: k + 1], b[k::-1]) for k in range(ORDER + 1)])

    def __truediv__(self, other: Any) -> Jet:
        a, b = self.c, Jet.of(other).c
        q: list[Real] = []
        for k in range(ORDER + 1):
            q.append((a[k] - mpmath.fdot(q, b[k:0:-1])) / b[0])
        return Jet(q)

    def __neg__(self) -> Jet:
        return Jet([-a for a in self.c])

    def __sub__(self, other: Any) -> Jet:
        return self + -Jet.of(other)

    def __radd__(self, other: Any) -> Jet:
        return self + other

    def __rsub__(self, other: Any) -> Jet:
        return -self + other

    def __rmul__(self, other: Any) -> Jet:
        return self * other

    def __rtruediv__(self, other: Any) -> Jet:
        return Jet.of(other) / self

    def __pow__(self, power: Any) -> Jet:
        if isinstance(power, int):
            result = Jet.of(1)
            for _ in range(abs(power)):
                result = result * self
            return result if power >= 0 else 1 / result
        return exp(power * log(self))

    def __rpow__(self, base: Any) -> Jet:
        return exp(self * mpmath.log(base))

    def __lt__(self, other: Any) -> bool:
        return bool(self.c[0] < Jet.of(other).c[0])

    def __gt__(self, other: Any) -> bool:
        return bool(self.c[0] > Jet.of(other).c[0])

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __abs__(self) -> Jet:
        return self if self.c[0] > 0 else -self


def _solved(start: Callable[[Real], Real], slope: Callable[[Jet, Jet], Jet]) -> Any:
    """The function y(u) with y′ = slope(y, u): each round of integration adds a coefficient."""

    def function(u: Any) -> Jet:
        u = Jet.of(u)
        constant = start(u.c[0])
        y = Jet.of(constant)
        for _ in range(ORDER):
            y = (slope(y, u) * u.slope).integral(constant)
        return y

    return function


def _start_exp(u: Real) -> Real:
    return mpf(0) if u < -(10**40) else mpmath.exp(u)


def _start_tanh(u: Real) -> Real:
    return mpmath.sign(u) if abs(u) > 10**40 else mpmath.tanh(u)


def _positive(function: Callable[[Real], Real]) -> Callable[[Real], Real]:
    def start(u: Real) -> Real:
        if u <= 0:
            raise ZeroDivisionError  # no value, or no derivative
        return function(u)

    return start


exp = _solved(_start_exp, lambda y, u: y)
log = _solved(_positive(mpmath.log), lambda y, u: 1 / u)
sqrt = _solved(_positive(mpmath.sqrt), lambda y, u: 1 / (2 * y))
tanh = _solved(_start_tanh, lambda y, u: 1 - y * y)
atan = _solved(mpmath.atan, lambda y, u: 1 / (1 + u * u))
asinh = _solved(mpmath.asinh, lambda y, u: 1 / sqrt(1 + u * u))
erf = _solved(mpmath.erf, lambda y, u: 2 / mpmath.sqrt(mpmath.pi) * exp(-u * u))


def circle(u: Any) -> tuple[Jet, Jet]:
    """Sine and cosine, each the other's slope."""
    u = Jet.of(u)
    start = mpmath.sin(u.c[0]), mpmath.cos(u.c[0])
    s, c = map(Jet.of, start)
    for _ in range(ORDER):
        s, c = (c * u.slope).integral(start[0]), (-s * u.slope).integral(start[1])
    return s, c


def where(condition: bool, a: Any, b: Any) -> Jet:
    return Jet.of(a if condition else b)


MEANING: dict[str, Any] = {
    "exp": exp,
    "log": log,
    "sqrt": sqrt,
    "tanh": tanh,
    "sin": lambda u: circle(u)[0],
    "cos": lambda u: circle(u)[1],
    "atan": atan,
    "asinh": asinh,
    "erf": erf,
    "erfc": lambda u: 1 - erf(u),
    "sigmoid": lambda u: 1 / (1 + exp(-u)),
    "softplus": lambda u: log(1 + exp(u)),
    "cosh": lambda u: (exp(u) + exp(-u)) / 2,
    "sinh": lambda u: (exp(u) - exp(-u)) / 2,
    "where": where,
    "min": lambda a, b: Jet.of(a if Jet.of(a) < b else b),
    "max": lambda a, b: Jet.of(a if Jet.of(a) > b else b),
    "abs": abs,
}


@cache
def _compiled(text: str) -> Any:
    # A decimal or a quotient of whole numbers is exact, not the nearest float.
    exact = re.sub(r"(?<![\w.])(\d+\.\d*(?:e-?\d+)?|\d+(?=\s*/))", r"mpf('\1')", text)
    return compile(exact, text, "eval")


def _at_precision(text: str, x: float, parameters: Mapping[str, float]) -> list[Real] | None:
    names: dict[str, Any] = {n: mpf(p) for n, p in parameters.items()}
    names["x"] = Jet([mpf(x), mpf(1), *[mpf(0)] * (ORDER - 1)])
    try:
        jet = eval(_compiled(text), {**MEANING, "mpf": mpf, "pi": +mpmath.pi}, names)
    except (ZeroDivisionError, OverflowError):
        return None
    derivatives = [mpmath.factorial(k) * c for k, c in enumerate(Jet.of(jet).c)]
    return derivatives if all(map(mpmath.isfinite, derivatives)) else None


def _settled(a: Real, b: Real, last: bool) -> bool:
    # Only at the highest precision is a zero more than a number lost in rounding.
    allowed = abs(a) * mpf(10) ** -30
    return bool(abs(a - b) <= allowed + mpf(10) ** -330 if last else a and abs(a - b) <= allowed)


def derivatives(text: str, x: float, **parameters: float) -> list[Real] | None:
    """[f(x), f′(x), f″(x), f‴(x)] to 30 digits each, or None where there is no value.

    A number below 1e-330 counts as zero.
    """
    previous: list[Real] | None = None
    start, then, *more = precisions(x)
    steps = [start - 35, then - 40, *(p for p in (400, 900) if p > then), *more[:1]]
    for precision in steps:
        with mp.workdps(precision):
            found = _at_precision(text, x, parameters)
            if found is not None and previous is not None:
                last = precision == steps[-1] or precision >= 900
                if all(_settled(a, b, last) for a, b in zip(found, previous, strict=True)):
                    return found
            previous = found
    return None
