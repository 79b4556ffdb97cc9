"""Errors of elementary functions against ball arithmetic, at points that are hard for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from math import inf, isinf, isnan, ldexp
from typing import Any

import numpy as np
from flint import arb, ctx
from numpy.typing import NDArray

from gradsmith.numerics.builder import Builder, Value
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import F32, F64, Program, Type

Floats = NDArray[Any]
PRECISION = 200
SEED = 20240229

EXACT: dict[str, Callable[[arb], arb]] = {
    "exp": lambda x: x.exp(),
    "expm1": lambda x: x.expm1(),
    "log": lambda x: x.log(),
    "log1p": lambda x: x.log1p(),
    "tanh": lambda x: x.tanh(),
    "sinh": lambda x: x.sinh(),
    "cosh": lambda x: x.cosh(),
    "asinh": lambda x: x.asinh(),
}
"""Defined for finite arguments only, of log and log1p for positive and above −1."""

FAR = 2000.0
"""exp and its relatives are settled here in every format; ball arithmetic would run out of range
at 1e300."""

DIGITS = {F64: (53, -1074, 1024), F32: (24, -149, 128)}
"""Digits, exponent of the smallest number, and the power of two that is just out of range."""


@cache
def written(
    function: Callable[..., Value], accuracy: Accuracy, *kinds: Type, extra: int | None = None
) -> Program:
    """The Program of a function of inputs of these types."""
    builder = Builder()
    inputs = [builder.input(f"x{number}", kind) for number, kind in enumerate(kinds)]
    arguments = inputs if extra is None else [*inputs, extra]
    return builder.program(function(*arguments, accuracy))


def computed(
    function: Callable[..., Value], accuracy: Accuracy, *columns: Floats, extra: int | None = None
) -> Floats:
    """What the function's Program gives, in the type of the columns."""
    kinds = [F64 if column.dtype == np.float64 else F32 for column in columns]
    (values,) = run(written(function, accuracy, *kinds, extra=extra), *columns)
    return values


def exact(name: str, x: float) -> arb:
    """The exact value at a finite point of the domain."""
    if name not in ("log", "log1p", "asinh"):
        x = min(max(x, -FAR), FAR)
    with ctx.workprec(PRECISION):
        return EXACT[name](arb(x))


def error_in_ulp(value: float, true: arb, kind: Type) -> float:
    """|value − true| in ULP of the format at the true value; infinity counts as 2¹⁰²⁴ or 2¹²⁸."""
    digits, lowest, beyond = DIGITS[kind]
    with ctx.workprec(PRECISION):
        limit = arb(2) ** beyond
        true = limit if true > limit else -limit if true < -limit else true
        got = arb(value) if not isinf(value) else limit if value > 0 else -limit
        if isnan(value):
            return inf
        apart = abs(got - true)
        return float(apart * arb(2) ** -_unit(true, digits, lowest, beyond))


def relative_error(value: float, true: arb) -> float:
    """|value/true − 1|."""
    with ctx.workprec(PRECISION):
        return inf if isnan(value) or isinf(value) else abs(float(arb(value) / true - 1))


def _unit(true: arb, digits: int, lowest: int, beyond: int) -> int:
    mantissa, exponent = true.mid().man_exp()
    size = int(mantissa).bit_length() + int(exponent)
    return max(min(size, beyond) - digits, lowest)


def worst(errors: list[float], at: Floats) -> tuple[float, float]:
    """The largest error and the point where it is."""
    where = int(np.argmax(errors))
    return errors[where], float(at[where])


def points(name: str, count: int = 20_000) -> Floats:
    """float64 arguments in the domain: any bits, and dense where something changes."""
    rng = np.random.default_rng(SEED)
    several = count // 8

    def signs() -> Floats:
        return rng.choice([-1.0, 1.0], several)

    groups = [rng.integers(0, 2**64, several, dtype=np.uint64).view(np.float64)]
    groups.append(signs() * ldexp(1.0, -60) * np.exp2(rng.uniform(0, 60, several)))
    groups.append(rng.uniform(-2.0, 2.0, several))
    groups.append(signs() * np.exp2(rng.uniform(-1074, -1000, several)))
    if name in ("log", "log1p", "asinh"):
        shift = 1.0 if name == "log1p" else 0.0
        groups.append(1.0 - shift + signs() * np.exp2(rng.uniform(-53, 0, several)))
        groups.append(-shift + np.exp2(rng.uniform(-1074 * (1 - shift) - 53 * shift, 0, several)))
        groups.append(np.exp2(rng.uniform(0, 1024, several)))
        # Where the exponent that is taken out changes: at 3/4, 3/2 or √½ times a power of two.
        edges = rng.choice([0.75, 0.5**0.5, 1.0], several) * np.exp2(rng.integers(-60, 60, several))
        groups.append(_beside(edges, rng) - shift)
    else:
        halves = (rng.integers(-1080, 1030, several) + rng.choice([0.0, 0.5], several)) * np.log(2)
        groups.append(_beside(halves, rng) * rng.choice([0.5, 1.0], several))
        groups.append(rng.uniform(-746.0, -700.0, several))
        groups.append(rng.uniform(700.0, 711.0, several))
        groups.append(signs() * rng.uniform(5.0, 60.0, several))
    every = np.concatenate(groups)
    lowest = {"log": 0.0, "log1p": -1.0}.get(name, -inf)
    return every[np.isfinite(every) & (every > lowest)]


def _beside(values: Floats, rng: np.random.Generator) -> Floats:
    """The numbers, moved by up to three places."""
    return values * (1.0 + rng.integers(-3, 4, values.size) * 2.0**-52)


def float32_numbers(stride: int) -> Floats:
    """Every ``stride``-th float32, all exponents and both signs."""
    return np.arange(0, 2**32, stride, dtype=np.uint64).astype(np.uint32).view(np.float32)


def as_float32(values: Floats) -> Floats:
    """The nearest float32 numbers, without those that are out of range."""
    with np.errstate(over="ignore"):
        near = values.astype(np.float32)
    return near[np.isfinite(near)]
