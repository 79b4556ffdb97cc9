"""Series over an interval enclose the series at every point of it: what all margins rest on."""

from __future__ import annotations

import pytest
from flint import arb, ctx
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.formula.parse import parse
from gradsmith.truth.jets import Jets
from gradsmith.truth.series import Missing, coefficients

COUNT = 8
BITS = 256

FORMULAS = [
    "exp(x)", "exp(-x)", "exp(-x**2)", "exp(exp(x))", "exp(-exp(x))", "exp(exp(-x))",
    "expm1(x)", "expm1(exp(x))", "log(x)", "log(exp(x) + 3)", "log(2 + exp(-x))", "log1p(x)",
    "log1p(exp(x))", "log(exp(x)*(1 + exp(-x)))", "sqrt(x)", "sqrt(1 + exp(x))", "sqrt(1 + x**2)",
    "x**3", "x**-2", "x**1.5", "2**x", "sin(x)", "sin(exp(x))", "cos(x)", "tan(x/100)", "sinh(x)",
    "cosh(x)", "tanh(x)", "tanh(exp(x))", "tanh(log(1 + exp(x)))", "tanh(-exp(x))", "atan(x)",
    "atan(exp(x))", "asinh(x)", "asinh(exp(x))", "asinh(-exp(x))", "erf(x)", "erf(exp(-x))",
    "erfc(x)", "erfc(-x)", "x*erfc(x)", "exp(x**2)*erfc(x)", "1 + erf(x)", "1/(1 + exp(-x))",
    "1 - tanh(x)**2", "exp(x)/(1 + exp(x))", "exp(2*x)/(exp(x) + exp(2*x) + 1)", "abs(x)*x",
    "log(1/(1 + exp(-x)))", "exp(-x)*(x + exp(-x))", "(1 + exp(-x))*(2 - exp(-x))/exp(-2*x)",
    "max(x, exp(-x))", "where(x < 3, x, exp(-x) + 1)", "sinh(x)/cosh(x)", "x - tanh(x)",
    "exp(exp(-x) - x)", "(x + exp(-x))**4",
]  # fmt: skip

SIZES = st.one_of(st.floats(0.01, 30.0), st.floats(-40, 120).map(lambda e: 2.0**e))
WIDTHS = st.sampled_from([2.0**-60, 1e-5, 1e-4, 0.01, 0.1, 0.4, 1.0, 3.0])


def spread(jets: Jets, at: arb, step: float) -> list[arb] | None:
    series = jets([at], COUNT, BITS, arb(step), smooth=True)
    if isinstance(series, Missing):
        return None
    with ctx.workprec(BITS):
        return [value.ball() for value in coefficients(series, COUNT)]


@pytest.mark.parametrize("text", FORMULAS)
def test_intervals_enclose_points(text: str) -> None:
    jets = Jets(parse(text).expression, ("x",), "x")

    @given(SIZES, WIDTHS, st.sampled_from([-1, 1]), st.floats(0, 1))
    @settings(max_examples=200)
    def everywhere(low: float, width: float, sign: int, part: float) -> None:
        low, high = sign * low, sign * low * (1 + width)
        inside = low + part * (high - low)
        if not min(low, high) <= inside <= max(low, high):
            return
        step = 2.0**-3 * abs(high)
        with ctx.workprec(BITS):
            ball = arb(low).union(arb(high))
        whole, point = spread(jets, ball, step), spread(jets, arb(inside), step)
        if whole is None or point is None:
            return
        for k, (wide, narrow) in enumerate(zip(whole, point, strict=True)):
            # An infinity stands for what is beyond exp(2⁶⁴), which the tests do not look at.
            if wide.is_finite() and narrow.is_finite():
                assert wide.overlaps(narrow), (k, wide, narrow)

    everywhere()


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("exp(x)/(1 + exp(x))", (2.0**100, 2.0**101)),
        ("log(1 + exp(x))", (-(2.0**101), -(2.0**100))),
        ("log(1 + exp(x))", (2.0**100, 2.0**101)),
        ("x*(1 + erf(x))", (-(2.0**101), -(2.0**100))),
        ("x*tanh(log(1 + exp(x)))", (-(2.0**101), -(2.0**100))),
        ("1 - tanh(x)**2", (2.0**100, 2.0**101)),
        ("x - tanh(x)", (2.0**100, 2.0**101)),
        ("sinh(x)*exp(-x)", (2.0**100, 2.0**101)),
    ],
)
def test_signs_are_known_on_wide_ranges(text: str, ends: tuple[float, float]) -> None:
    jets = Jets(parse(text).expression, ("x",), "x")
    with ctx.workprec(BITS):
        ball = arb(ends[0]).union(arb(ends[1]))
    series = jets([ball], 3, BITS, smooth=True)
    assert not isinstance(series, Missing)
    with ctx.workprec(BITS):
        assert coefficients(series, 1)[0].sign() in (-1, 1)
