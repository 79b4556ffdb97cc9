"""The error functions and the circular functions in ball arithmetic, and checks of their fits."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from math import cos, pi
from pathlib import Path

import numpy as np
from flint import arb, ctx

from gradsmith.numerics.builder import Value
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.polynomial import Fit
from gradsmith.numerics.program import F32, F64
from tests.numerics.elementary.measured import Floats, computed, error_in_ulp, relative_error

SCRIPTS = Path(__file__).resolve().parents[3] / "scripts/coefficients"
Exact = Callable[[float], arb]
TINY, HUGE = 2.0**-200, 2.0**1000


def erf(x: float) -> arb:
    with ctx.workprec(300):
        return arb(min(max(x, -40.0), 40.0)).erf()


def erfc(x: float) -> arb:
    with ctx.workprec(300):
        return arb(min(max(x, -40.0), 40.0)).erfc()


def scaled(x: arb) -> arb:
    """exp(x²)·erfc(x); from 1000 on by the asymptotic series, to a term 10⁻⁹⁰ of it."""
    if x < 1000:
        with ctx.workprec(ctx.prec + 100):
            return (x * x).exp() * x.erfc()
    term = total = arb(1)
    for n in range(1, 18):
        term *= -(2 * n - 1) / (2 * x * x)
        total += term
    return total / (x * arb.pi().sqrt())


def erfcx(x: float) -> arb:
    with ctx.workprec(300):
        return scaled(arb(max(x, -40.0)))


# So many bits: x may have 1024 before the point, and be that much closer to a multiple of π/2.
WIDE = 1400


def sin(x: float) -> arb:
    with ctx.workprec(WIDE):
        return arb(x).sin()


def cosine(x: float) -> arb:
    with ctx.workprec(WIDE):
        return arb(x).cos()


def tan(x: float) -> arb:
    with ctx.workprec(WIDE):
        return arb(x).tan()


def atan(x: float) -> arb:
    with ctx.workprec(300):
        return arb(x).atan()


def worst_in_ulp(function: Callable[..., Value], exact: Exact, x: Floats) -> tuple[float, float]:
    """The largest error of the accurate variant in ULP of the type of x, and where it is."""
    kind = F64 if x.dtype == np.float64 else F32
    values = computed(function, Accuracy.FULL, x)
    errors = [
        error_in_ulp(float(y), exact(float(at)), kind) for at, y in zip(x, values, strict=True)
    ]
    where = int(np.argmax(errors))
    return errors[where], float(x[where])


def worst_relative(function: Callable[..., Value], exact: Exact, x: Floats) -> tuple[float, float]:
    """The largest relative error of the short variant, and where it is.

    What is smaller than 2⁻²⁰⁰ may be anything of that size, what is above 2¹⁰⁰⁰ infinite.
    """
    errors = []
    for at, y in zip(x, computed(function, Accuracy.SHORT, x), strict=True):
        true = exact(float(at))
        if abs(true) < TINY:
            errors.append(0.0 if abs(y) < 2 * TINY else math.inf)
        elif abs(true) > HUGE:
            errors.append(0.0 if abs(y) > HUGE / 2 and (y > 0) == bool(true > 0) else math.inf)
        else:
            errors.append(relative_error(float(y), true))
    where = int(np.argmax(errors))
    return errors[where], float(x[where])


def beside(places: list[float], dtype: type) -> Floats:
    """Each of the numbers with three neighbours on either side, of both signs."""
    near = [np.array(places, dtype)]
    for direction in (np.inf, -np.inf):
        moved = near[0]
        for _ in range(3):
            moved = np.nextafter(moved, dtype(direction))
            near.append(moved)
    every = np.concatenate(near)
    return np.concatenate([every, -every])


def any_bits(count: int, dtype: type, rng: np.random.Generator) -> Floats:
    """Finite numbers of any bits: all exponents, subnormal numbers among them."""
    unsigned = np.uint64 if dtype is np.float64 else np.uint32
    every = rng.integers(0, np.iinfo(unsigned).max, count, dtype=unsigned, endpoint=True)
    numbers: Floats = every.view(dtype)
    return numbers[np.isfinite(numbers)]


def error_of_fit(fit: Fit, wanted: Callable[[arb], arb], whole: Callable[[arb, arb], arb]) -> float:
    """The largest relative error at Chebyshev's points of the interval, exactly evaluated.

    Args:
        fit: coefficients of P.
        wanted: the function of t that is approximated.
        whole: the approximation, given t and P(t).
    """
    largest = 0.0
    count = 600
    with ctx.workprec(300):
        for number in range(count + 1):
            place = (1 + cos(pi * (number + 0.123) / (count + 1))) / 2
            t = arb(fit.low + (fit.high - fit.low) * place)
            p = arb(0)
            for coefficient in reversed(fit.coefficients):
                p = p * t + arb(coefficient)
            largest = max(largest, abs(float(whole(t, p) / wanted(t) - 1)))
    return largest


def is_what_the_script_makes(family: str) -> bool:
    """Whether the generator of these coefficients finds nothing to change."""
    command = [sys.executable, str(SCRIPTS / "generate.py"), family, "--check"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
