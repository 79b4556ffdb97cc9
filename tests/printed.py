"""The oracle of printed formulas: mpmath with 1000 digits reads a formula's text by itself.

Python evaluates the text with mpmath's functions in place of ours. The derivative is a central
difference of step 1e-320, so that neither its truncation nor its cancellation reaches the smallest
float64. Nothing of the derivative rules, the rewriting and the backends that are judged takes part.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache
from typing import Any

import mpmath
import torch

DIGITS = 1000
STEP = "1e-320"
MAX_ULP = 4  # what is promised for float64

# Small and large, tails and ends of them, and on both sides of every kink but on none.
MAGNITUDES = [1e-300, 1e-30, 1e-5, 0.1, 0.3, 0.75, 1.5, 2.5, 3.5, 5.0, 7.0, 10.0, 17.0, 20.0]
MAGNITUDES += [25.0, 36.0, 38.0, 89.0, 100.0, 700.0, 740.0, 1e4, 1e30, 1e300]
GRID = [sign * magnitude for magnitude in MAGNITUDES for sign in (-1.0, 1.0)]


def where(condition: bool, a: Any, b: Any) -> Any:
    return a if condition else b


def softplus(x: Any, beta: Any = 1) -> Any:
    return mpmath.log(1 + mpmath.exp(beta * x)) / beta


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


MEANING: dict[str, Any] = {
    **{name: getattr(mpmath, name) for name in ("exp", "log", "tanh", "erf", "sqrt")},
    "abs": abs,
    "where": where,
    "softplus": softplus,
    "sigmoid": sigmoid,
}


@cache
def exact(formula: str) -> Callable[..., Any]:
    """The formula as a Python function of mpmath numbers."""
    # Decimals are read as decimals, not as the nearest float64.
    text = re.sub(r"(?<![\w.])\d+\.\d+", lambda number: f"mpf('{number[0]}')", formula)
    code = compile(text, formula, "eval")

    def function(**values: Any) -> Any:
        return eval(code, {**MEANING, "mpf": mpmath.mpf, "pi": +mpmath.pi}, values)

    return function


def spacing(value: Any, digits: int = 53, lowest: int = -1074) -> Any:
    """Of float64, or of another format, at an exact value: a power of two."""
    smallest = mpmath.mpf(2) ** lowest
    if value == 0:
        return smallest
    return max(mpmath.mpf(2) ** (mpmath.floor(mpmath.log(abs(value), 2)) + 1 - digits), smallest)


def is_right(ours: float, value: Any) -> bool:
    """Whether ``ours`` is within :data:`MAX_ULP` of the exact value, and no wrong zero or sign."""
    if abs(value) > torch.finfo(torch.float64).max:
        return ours == math.copysign(math.inf, mpmath.sign(value))
    if not math.isfinite(ours) or (ours == 0 and abs(value) > spacing(0)):
        return False
    return abs(mpmath.mpf(ours) - value) <= MAX_ULP * spacing(value)


def value_slope_curvature(function: Callable[..., Any], values: dict[str, Any], name: str) -> Any:
    """f, f′ and f″ in the input called ``name``; call it within ``mpmath.workdps(DIGITS)``."""
    h, at = mpmath.mpf(STEP), mpmath.mpf(values[name])
    exactly = {n: mpmath.mpf(value) for n, value in values.items()}
    before, here, after = (function(**{**exactly, name: x}) for x in (at - h, at, at + h))
    return here, (after - before) / (2 * h), (after - 2 * here + before) / h**2
