"""Pieces against the oracle: every finite number is covered once, every margin holds."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import copysign, inf, isnan

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.catalogue import formula_of
from gradsmith.formula.parse import parse
from gradsmith.truth import piece as piece_module
from gradsmith.truth.formats import BFLOAT16, FLOAT16, FLOAT32, Format
from gradsmith.truth.oracle import Oracle
from gradsmith.truth.piece import Piece, horner, horner_error
from gradsmith.truth.pieces import TOLERANCE, pieces

FORMULAS = [
    "x/(1 + exp(-x))",
    "x*tanh(log(1 + exp(x)))",
    "x*(1 + erf(x/sqrt(2)))/2",
    "x/2*(1 + tanh(sqrt(2/pi)*(x + 0.044715*x**3)))",
    "x - tanh(x)",
    "x/(1 + abs(x))",
    "log(1/(1 + exp(-x)))",
    "log(1 + exp(0.6*x))/0.6",
    "where(x > 0, x, exp(x) - 1)",
    "1.0507009873554805*where(x > 0, x, 1.6732632423543772*(exp(x) - 1))",
    "where(x <= -3, 0, where(x >= 3, x, x*(x + 3)/6))",
    "x*atan(x)",
    "1/(1 + x**2)",
    "exp(-x**2)",
    "sinh(x)",
    "asinh(x)",
    "log(x)",
    "max(x, 0.1)*erfc(x)",
]
NARROW_ONLY = ["sqrt(1 + x**2) - 1", "x*sin(x)"]
"""In float32 these take long to cover."""

DTYPES = {FLOAT32: torch.float32, FLOAT16: torch.float16, BFLOAT16: torch.bfloat16}
ORACLES = {text: Oracle(parse(text)) for text in [*FORMULAS, *NARROW_ONLY]}


@cache
def covered(text: str, format: Format) -> list[tuple[Piece, ...]]:
    return [pieces(ORACLES[text], order, format) for order in range(3)]


def exact(text: str, order: int, x: float) -> tuple[Fraction | float, int]:
    """The value to 200 bits (∞ beyond float64, NaN without one), and its sign if known."""
    found = ORACLES[text].exact(order, {"x": np.array([x])})
    high = float(found.high[0])
    assert found.decided[0]
    if isnan(high) or high in (inf, -inf):
        return high, 0 if isnan(high) else int(copysign(1, high))
    value = Fraction(0)  # below 2⁻¹⁰⁷⁴, less than any margin but none
    if high:
        mantissa, exponent = ORACLES[text].ball(order, x, bits=200).mid().man_exp()
        value = Fraction(int(mantissa)) * Fraction(2) ** int(exponent)
    sign = int(copysign(1, high)) if high or found.sign_known[0] else 0
    return value, sign


def unit_at(value: Fraction, format: Format) -> Fraction:
    """By the definition: 2ᵉ ≤ |v| < 2ᵉ⁺¹ has the unit 2ᵉ⁺¹⁻ᵖ."""
    size, unit = abs(value), Fraction(2) ** format.lowest
    while size >= unit * 2**format.digits:
        unit *= 2
    return min(unit, Fraction(2) ** (format.highest - format.digits))


def check(text: str, order: int, format: Format, found: Piece, bits: int) -> None:
    x = found.sign * format.value(bits)
    reference = float(found.reference(np.array([x]))[0])
    if found.kind == "points":
        assert isnan(reference)
        return
    value, sign = exact(text, order, x)
    if found.kind == "undefined":
        assert isnan(value)
    elif found.kind == "overflow":
        assert abs(value) >= format.overflow
        assert reference == sign * inf
    else:
        assert abs(value - Fraction(reference)) <= Fraction(found.margin)
        assert found.margin <= TOLERANCE * found.unit
        unit = unit_at(Fraction(value), format)
        assert found.unit == unit or (2 * found.unit == unit and not found.unit_exact)
    if found.value_sign and sign:
        assert sign == found.value_sign


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("text", FORMULAS)
def test_margins_units_and_signs_hold_in_float32(text: str, order: int) -> None:
    parts = covered(text, FLOAT32)[order]

    @given(st.data())
    @settings(max_examples=60)
    def at_random_numbers(data: st.DataObject) -> None:
        found = parts[data.draw(st.integers(0, len(parts) - 1))]
        inside = st.integers(found.first_bits, found.last_bits)
        ends = st.sampled_from([found.first_bits, found.last_bits])
        check(text, order, FLOAT32, found, data.draw(st.one_of(inside, ends)))

    at_random_numbers()


@pytest.mark.parametrize("format", [FLOAT16, BFLOAT16], ids=lambda f: f.name)
@pytest.mark.parametrize("text", [*FORMULAS[:6], *NARROW_ONLY])
def test_margins_units_and_signs_hold_in_narrow_formats(text: str, format: Format) -> None:
    rng = np.random.default_rng(7)
    for order in range(3):
        parts = covered(text, format)[order]
        for found in rng.permutation(np.array(parts, dtype=object))[:60]:
            check(
                text, order, format, found, int(rng.integers(found.first_bits, found.last_bits + 1))
            )


@pytest.mark.parametrize(
    ("text", "format"),
    [(text, FLOAT32) for text in FORMULAS]
    + [(text, format) for text in [*FORMULAS[:6], *NARROW_ONLY] for format in (FLOAT16, BFLOAT16)],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_finite_number_is_covered_once(text: str, format: Format) -> None:
    for order in range(3):
        parts = covered(text, format)[order]
        for sign in (-1, 1):
            expected = 1
            for part in parts:
                if part.sign == sign:
                    assert part.first_bits == expected
                    assert part.last_bits >= part.first_bits
                    expected = part.last_bits + 1
            assert expected == format.largest_bits + 1


@pytest.mark.parametrize("text", [text for text in FORMULAS if text != "max(x, 0.1)*erfc(x)"])
def test_next_to_nothing_is_left_to_the_oracle(text: str) -> None:
    for order in range(3):
        parts = covered(text, FLOAT32)[order]
        assert sum(len(part) for part in parts if part.kind == "points") <= 512
        assert len(parts) <= 10_000


@pytest.mark.parametrize("text", FORMULAS[:5] + FORMULAS[6:8])
def test_what_underflows_in_the_tails_has_a_sign(text: str) -> None:
    for order in range(3):
        for part in covered(text, FLOAT32)[order]:
            if part.kind == "zero" and part.margin:
                assert part.value_sign


def test_kinds() -> None:
    relu = {p.sign: p.kind for p in pieces(Oracle(formula_of("relu")), 1, FLOAT32)}
    assert relu == {-1: "zero", 1: "polynomial"}
    kinds = {(p.sign, p.kind) for p in covered("log(x)", FLOAT32)[0]}
    assert (-1, "undefined") in kinds
    assert (1, "undefined") not in kinds
    far = [p for p in covered("sinh(x)", FLOAT32)[0] if p.kind == "overflow"]
    assert [p.value_sign for p in far] == [-1, 1]
    assert all(p.last_bits == FLOAT32.largest_bits for p in far)
    first = FLOAT32.value(far[1].first_bits)
    assert abs(exact("sinh(x)", 0, first)[0]) >= FLOAT32.overflow
    # What cannot be followed is one long piece, not millions of short ones.
    wave = Oracle(parse("sin(x*1000000000)"))
    last = pieces(wave, 0, BFLOAT16)[-1]
    assert last.kind == "points"
    assert last.last_bits == BFLOAT16.largest_bits


def test_formats_are_those_of_torch() -> None:
    for format, dtype in DTYPES.items():
        limits = torch.finfo(dtype)
        assert format.value(format.largest_bits) == limits.max
        assert format.smallest_normal == limits.smallest_normal
        assert format.value(1) == format.smallest == limits.smallest_normal * limits.eps
        assert format.unit(1.0) == limits.eps
        assert format.unit(0.0) == format.smallest
        below, above = (
            torch.tensor(format.overflow * f, dtype=torch.float64) for f in (1 - 1e-6, 1)
        )
        assert below.to(dtype).isfinite()
        assert above.to(dtype).isinf()
    patterns = np.arange(1, FLOAT16.largest_bits + 1, dtype=np.uint16).view(np.float16)
    values = FLOAT16.values(1, FLOAT16.largest_bits)
    assert (values == patterns.astype(np.float64)).all()
    assert values.tolist() == [FLOAT16.value(b) for b in range(1, FLOAT16.largest_bits + 1)]
    assert (FLOAT16.values(5, 9, -1) == -FLOAT16.values(5, 9)).all()


@given(
    st.lists(st.floats(-4, 4), min_size=1, max_size=18),
    st.floats(-1, 1),
    st.sampled_from([1.0, 0.5, 0.01]),
)
def test_the_bound_on_horners_rounding_holds(coefficients, t, reach) -> None:
    t = t * reach
    rough = np.array(coefficients)
    computed = Fraction(float(horner(rough, np.array([t]))[0]))
    # t itself may be off by a rounding.
    for factor in (1 - Fraction(1, 2**53), 1, 1 + Fraction(1, 2**53)):
        value = sum(Fraction(c) * (Fraction(t) * factor) ** k for k, c in enumerate(coefficients))
        assert abs(computed - value) <= horner_error(rough, reach)


def test_inputs_are_checked() -> None:
    with pytest.raises(ValueError, match="x, y"):
        pieces(Oracle(parse("x*y", inputs=("x", "y"))), 0, FLOAT32)
    with pytest.raises(ValueError, match="order"):
        pieces(ORACLES["log(x)"], 3, FLOAT32)


def test_roundoff_is_that_of_float64() -> None:
    assert np.finfo(np.float64).eps == 2 * piece_module.ROUNDOFF
