"""The generated coefficients: as good as they say, and what their generator makes.

The error bound says how far the exact polynomial is from the function, so that it is checked
exactly, in ball arithmetic: no larger than stated and, since a minimax fit reaches its error at
many points, no smaller than half of it.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import cos, frexp, pi
from pathlib import Path
from types import ModuleType

import pytest
from flint import arb, ctx

from gradsmith.numerics.elementary.coefficients import (
    exponential,
    hyperbolic,
    logarithm,
    logarithm_table,
)
from gradsmith.numerics.elementary.polynomial import Fit

ROOT = Path(__file__).resolve().parents[3]
GENERATOR = ROOT / "scripts/coefficients/generate.py"
POINTS = 600

Series = Callable[[arb], arb]


def _expm1(x: arb) -> arb:
    return x.expm1()


def _log1p(x: arb) -> arb:
    return x.log1p()


# fit: the function, what is given of its series, and the powers of the first coefficients
FITS: dict[str, tuple[Fit, Series, Series, int, int]] = {
    "EXP_F64": (exponential.EXP_F64, lambda x: x.exp(), lambda x: 1 + x, 2, 1),
    "EXP_F32": (exponential.EXP_F32, lambda x: x.exp(), lambda x: 1 + x, 2, 1),
    "EXP_STEP_F32": (exponential.EXP_STEP_F32, lambda x: x.exp(), lambda x: 1 + x, 2, 1),
    "EXPM1_STEP_F32": (exponential.EXPM1_STEP_F32, _expm1, lambda x: x, 2, 1),
    "EXP_SHORT": (exponential.EXP_SHORT, lambda x: x.exp(), lambda x: arb(0), 0, 1),
    "EXP_SHORT_F32": (exponential.EXP_SHORT_F32, lambda x: x.exp(), lambda x: arb(0), 0, 1),
    "EXPM1_SHORT_F32": (exponential.EXPM1_SHORT_F32, _expm1, lambda x: arb(0), 1, 1),
    "EXPM1_F64": (exponential.EXPM1_F64, _expm1, lambda x: x + x**2 / 2, 3, 1),
    "EXPM1_F32": (exponential.EXPM1_F32, _expm1, lambda x: x + x**2 / 2, 3, 1),
    "EXPM1_SHORT": (exponential.EXPM1_SHORT, _expm1, lambda x: arb(0), 1, 1),
    "LOG_F64": (logarithm.LOG_F64, _log1p, lambda x: x - x**2 / 2, 3, 1),
    "LOG_F32": (logarithm.LOG_F32, _log1p, lambda x: x - x**2 / 2, 3, 1),
    "LOG_WORDS": (logarithm.LOG_WORDS, _log1p, lambda x: x - x**2 / 2 + x**3 / 3, 4, 1),
    "RECIPROCAL_WORDS": (
        logarithm.RECIPROCAL_WORDS,
        lambda x: 1 / (1 + x),
        lambda x: arb(0),
        0,
        1,
    ),
    "LOG1P_CURVE": (logarithm_table.LOG1P_CURVE, _log1p, lambda x: x, 2, 1),
    "LOG_SHORT": (logarithm.LOG_SHORT, _log1p, lambda x: arb(0), 1, 1),
    "LOG1P_SHORT": (logarithm.LOG1P_SHORT, _log1p, lambda x: arb(0), 1, 1),
    "LOG_SHORT_F32": (logarithm.LOG_SHORT_F32, _log1p, lambda x: arb(0), 1, 1),
    "LOG1P_SHORT_F32": (logarithm.LOG1P_SHORT_F32, _log1p, lambda x: arb(0), 1, 1),
    "ATANH_F64": (logarithm.ATANH_F64, lambda x: x.atanh(), lambda x: x + x**3 / 3, 5, 2),
    "SINH_F64": (hyperbolic.SINH_F64, lambda x: x.sinh(), lambda x: x, 3, 2),
    "SINH_F32": (hyperbolic.SINH_F32, lambda x: x.sinh(), lambda x: x, 3, 2),
    "SINH_SHORT": (hyperbolic.SINH_SHORT, lambda x: x.sinh(), lambda x: x, 3, 2),
    "COSH_F64": (hyperbolic.COSH_F64, lambda x: x.cosh(), lambda x: arb(1), 2, 2),
    "COSH_F32": (hyperbolic.COSH_F32, lambda x: x.cosh(), lambda x: arb(1), 2, 2),
    "COSH_SHORT": (hyperbolic.COSH_SHORT, lambda x: x.cosh(), lambda x: arb(1), 2, 2),
}


def largest_error(fit: Fit, function: Series, given: Series, first: int, step: int) -> float:
    """The largest relative error of given + fit at Chebyshev's points of the interval."""
    largest = 0.0
    with ctx.workprec(200):
        for number in range(POINTS + 1):
            place = (1 + cos(pi * (number + 0.123) / (POINTS + 1))) / 2
            x = arb(fit.low + (fit.high - fit.low) * place)
            powers = enumerate(fit.coefficients)
            fitted = sum((arb(c) * x ** (first + step * n) for n, c in powers), arb(0))
            largest = max(largest, abs(float((given(x) + fitted) / function(x) - 1)))
    return largest


@pytest.mark.parametrize("name", FITS)
def test_the_error_is_the_stated_one(name: str) -> None:
    fit, *approximation = FITS[name]
    assert fit.error / 2 <= largest_error(fit, *approximation) <= fit.error


def test_every_fit_is_listed() -> None:
    modules = (exponential, hyperbolic, logarithm, logarithm_table)
    fits = {n for m in modules for n, value in vars(m).items() if isinstance(value, Fit)}
    assert fits == set(FITS)


@pytest.mark.parametrize("name", ["EXP_F64", "EXPM1_F64", "LOG_F64", "EXP_F32", "LOG_F32"])
def test_a_last_digit_of_a_leading_coefficient_matters(name: str) -> None:
    fit, *approximation = FITS[name]
    digits = 2.0 ** -(52 if name.endswith("F64") else 23)
    for sign in (-1.0, 1.0):
        first, *others = fit.coefficients
        changed = replace(fit, coefficients=(first * (1 + sign * digits), *others))
        assert largest_error(changed, *approximation) > fit.error


def test_constants_in_parts() -> None:
    ln2 = arb(2).log
    with ctx.workprec(200):
        for parts, value, digits in (
            (exponential.LN2_F64, ln2(), 53),
            (exponential.LN2_F32, ln2(), 24),
            ((exponential.LN2_SHORT,), ln2(), 53),
            ((exponential.LOG2_E_F64,), 1 / ln2(), 53),
            ((exponential.LOG2_E_F32,), 1 / ln2(), 24),
            (logarithm.THIRD, arb(1) / 3, 53),
            (logarithm.THIRD_F32, arb(1) / 3, 24),
        ):
            # The last part is the number nearest to what the others leave.
            rest = value - sum(map(arb, parts), arb(0))
            assert abs(rest) <= arb(2) ** (frexp(parts[-1])[1] - digits - 1)
    # So few digits that products with 11 and 9 bits of an exponent are exact.
    assert (exponential.LN2_F64[0] * 2.0**42).is_integer()
    assert (exponential.LN2_F32[0] * 2.0**15).is_integer()


@pytest.fixture(scope="module")
def generator() -> Iterator[ModuleType]:
    if not GENERATOR.exists() or shutil.which("sollya") is None:
        pytest.skip("needs the source tree and Sollya")
    spec = importlib.util.spec_from_file_location("generate", GENERATOR)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(GENERATOR.parent)
        spec.loader.exec_module(module)
        yield module


@pytest.mark.parametrize(
    "family",
    [
        "exponential",
        "hyperbolic",
        "hyperbolic_table",
        "logarithm",
        "logarithm_table",
        "short_table",
    ],
)
def test_the_generator_makes_what_is_there(generator: ModuleType, family: str) -> None:
    text = (generator.MODULES / f"{family}.py").read_text()
    assert generator.generate(family) == text


def test_the_generator_refuses_what_it_cannot_read(generator: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="cannot read what Sollya printed: 'Warning: no'"):
        generator._entries("FIT A\nWarning: no")
