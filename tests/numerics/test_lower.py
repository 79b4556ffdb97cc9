"""Lowering: the Program gives what the expression says, judged by exact values."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Number, Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.interpreter import DTYPES, run
from gradsmith.numerics.ladder import FULL64, PLAIN32, SHORT64, WORDS32
from gradsmith.numerics.lower import Scheme, Written, lower
from gradsmith.numerics.program import BF16, F16, F32, F64, Op

x, y = Symbol("x"), Symbol("y")


def lowered(expression, scheme=FULL64, kind=F64, storage=None, **more):
    return lower((expression,), {"x": kind, **more}, scheme, storage)


def at(program, *values):
    columns = [
        np.asarray(value, DTYPES[kind])
        for value, (_, kind) in zip(values, program.inputs, strict=True)
    ]
    return run(program, *columns)[0]


@pytest.mark.parametrize(
    "text",
    [
        "x*x + 3*x - 1/3",
        "where(x > 0.5, x, -x/7)",
        "max(x, 0.25) + min(2, x)",
        "abs(x)*sign(x) + x**3 - x**(-2)",
        "sqrt(1 + x**2)",
        "exp(-x**2/2)/sqrt(2*pi)",
        "log1p(exp(-abs(x)))",
        "tanh(x) + sigmoid(2*x)",
        "where(not (x < 1) or x < -1, e*x, x**0.5)",
        "x**2.5",
    ],
)
@pytest.mark.parametrize("scheme", [FULL64, SHORT64, PLAIN32, WORDS32], ids=str)
def test_the_program_computes_the_expression(text, scheme):
    """Every operation adds at most a few units of its own precision: far from cancellation."""
    if scheme is WORDS32 and text == "x**2.5":
        pytest.skip("two words have no such power")
    expression = parse(text).expression
    points = np.array([0.125, 0.75, 1.5, 2.25, 6.0])
    exact = [float(Evaluator(expression, ("x",))(p).mid()) for p in points]
    unit = {FULL64: 2.0**-53, SHORT64: 2.0**-38, PLAIN32: 2.0**-24, WORDS32: 2.0**-29}[scheme]
    # All that two words have is seen in float64.
    wide = F64 if scheme is WORDS32 else None
    program = lowered(expression, scheme, scheme.compute, wide)
    np.testing.assert_allclose(at(program, points), exact, rtol=30 * unit, atol=0)


def test_constants_are_rounded_once_from_their_exact_value():
    """1/3 + √2·π in float32: rounding the parts first would give another number."""
    constant = Number(Fraction(1, 3)) + v.sqrt(Number(2)) * v.pi()
    program = lowered(constant + 0 * x, Scheme(F32, Accuracy.FULL), F32)
    expected = np.float32(float(Evaluator(constant, ())().mid()))
    assert at(program, 0.0) == expected
    assert program.count(Op.SQRT) == 0


@given(st.floats(width=32, allow_nan=False))
@pytest.mark.parametrize("kind", [F32, F64])
@pytest.mark.parametrize("relation", ["<", "<=", ">", ">="])
@pytest.mark.parametrize("number", ["0.1", "-0.1", "1e-60", "-1e-60", "3", "1e30"])
def test_a_comparison_with_a_decimal_decides_as_the_exact_one(kind, relation, number, value):
    """0.1 is no number of either format; between it and its neighbours nothing may slip."""
    expression = parse(f"where(x {relation} {number}, 1, 0)").expression
    program = lowered(expression, Scheme(kind, Accuracy.FULL), kind)
    flipped = parse(f"where({number} {relation} x, 1, 0)").expression
    other = lowered(flipped, Scheme(kind, Accuracy.FULL), kind)
    dtype = DTYPES[kind].type
    near = dtype(float(Fraction(number)))
    decide = {
        "<": lambda a, b: a < b,
        "<=": lambda a, b: a <= b,
        ">": lambda a, b: a > b,
        ">=": lambda a, b: a >= b,
    }[relation]
    for point in (value, near, np.nextafter(near, dtype(9)), np.nextafter(near, dtype(-9))):
        if math.isinf(point):
            continue
        exact = Fraction(float(point))
        assert at(program, point) == decide(exact, Fraction(number))
        assert at(other, point) == decide(Fraction(number), exact)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("where(x > 0 or 0.125 <= 0.125, 1, 0)", 1),
        ("where(pi > 3.14, 1, 0) + 0*x", 1),
        ("where(x == 0.1, 1, 0)", 0),
        ("where(x != 0.1, 1, 0)", 1),
        ("where(x == 0.125, 1, 0)", 0),
    ],
)
def test_comparisons_of_constants_are_decided_exactly(text, expected):
    assert at(lowered(parse(text).expression), 0.1) == expected


def test_a_product_that_feeds_one_sum_is_fused():
    program = lowered(x * x + 1)
    assert program.count(Op.FMA) == 1
    assert program.count(Op.MUL, Op.ADD) == 0
    shared = lowered((x * x + 1) / (x * x))
    assert shared.count(Op.MUL) == 1
    assert shared.count(Op.FMA) == 0


def test_nothing_is_fused_where_rounding_errors_are_kept_account_of():
    """product_error(x, x) is what x·x lost; a fused sum would not have lost it."""
    expression = x * x + v.product_error(x, x)
    program = lowered(expression)
    assert program.count(Op.ADD) == 1
    point = 1 + 2.0**-30
    (total,) = run(lower((x * x, v.product_error(x, x)), {"x": F64}, FULL64), np.array(point))[:1]
    error = run(lower((v.product_error(x, x),), {"x": F64}, FULL64), np.array(point))[0]
    assert Fraction(float(total)) + Fraction(float(error)) == Fraction(point) ** 2


def test_sum_error_is_what_the_sum_lost():
    program = lower((x + y, v.sum_error(x, y)), {"x": F64, "y": F64}, FULL64)
    total, error = run(program, np.array(1.0), np.array(2.0**-60))
    assert (float(total), float(error)) == (1.0, 2.0**-60)
    assert run(program, np.array(math.inf), np.array(1.0))[1] == 0


def test_division_by_a_power_of_two_is_a_product_and_another_one_only_with_digits_to_spare():
    assert lowered(x / 4).count(Op.DIV) == 0
    assert lowered(x / 3).count(Op.DIV) == 1
    assert lowered(x / 3, SHORT64).count(Op.DIV) == 0


@pytest.mark.parametrize("first", [math.nan, 1.0])
@pytest.mark.parametrize("second", [math.nan, 2.0])
def test_maximum_is_nan_where_an_operand_is(first, second):
    program = lower((v.maximum(x, y), v.minimum(x, y)), {"x": F64, "y": F64}, FULL64)
    larger, smaller = run(program, np.array(first), np.array(second))
    if math.isnan(first) or math.isnan(second):
        assert math.isnan(larger)
        assert math.isnan(smaller)
    else:
        assert (larger, smaller) == (2.0, 1.0)
    constant = lowered(v.maximum(Number(3), x))
    assert math.isnan(at(constant, math.nan))
    assert at(constant, 1.0) == 3.0


@pytest.mark.parametrize("storage", [F16, BF16])
def test_float64_is_rounded_once_to_the_half_formats(storage):
    """Just above a midpoint of two numbers, by less than float32 shows."""
    unit = 2.0**-10 if storage is F16 else 2.0**-7
    program = lowered(x + Number(Fraction(2) ** -40), FULL64, storage, storage)
    one = np.array(0x3C00 if storage is F16 else 0x3F80, np.uint16)
    half_way = lower(
        (x + Number(Fraction(unit) / 2 + Fraction(2) ** -40),), {"x": storage}, FULL64, storage
    )
    bits = run(half_way, one.view(DTYPES[storage]))[0].view(np.uint16)
    assert int(bits) == int(one) + 1
    assert int(run(program, one.view(DTYPES[storage]))[0].view(np.uint16)) == int(one)


def test_a_function_without_instructions_is_named():
    unknown = v.where.__class__(name="unheard_of", arity=1)
    try:
        with pytest.raises(NotImplementedError, match="unheard_of"):
            lowered(unknown(x))
    finally:
        from gradsmith.formula.expression import FUNCTIONS

        del FUNCTIONS["unheard_of"]


@pytest.mark.parametrize("kind", [F16, BF16])
def test_results_of_few_digits_reach_the_half_formats_by_way_of_float32(kind):
    """Rounding twice moves them by 2⁻¹³ ULP at most, and takes a quarter of the instructions."""
    programs = [
        lower([parse("x*y", {}, ["x", "y"]).expression], {"x": kind, "y": kind}, scheme, kind)
        for scheme in (Scheme(F64, Accuracy.SHORT), Scheme(F64, Accuracy.FULL))
    ]
    assert programs[0].count() < programs[1].count() - 8
    generator = np.random.default_rng(11)
    a, b = (generator.uniform(1, 2, 4000).astype(np.float16) for _ in range(2))
    if kind is BF16:
        a, b = ((v.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16) for v in (a, b))
    short, full = (run(program, a, b)[0] for program in programs)
    np.testing.assert_array_equal(short, full)  # products of half formats fit into float32


@given(
    st.integers(-40, 40),
    st.integers(1, 60),
    st.integers(-3, 3).filter(bool),
    st.sampled_from(["<=", "<"]),
    st.sampled_from([">=", ">"]),
    st.integers(1, 9),
)
def test_two_words_between_bounds(low, width, beside, below, above, divisor):
    """What is known between the bounds holds at their neighbours, and of NaN and infinity."""
    high = low + width
    shift = beside - low  # the sum is ±1, ±2 or ±3 at the lower bound
    for c in (shift, -low, -high):
        text = f"where(x {below} {low}, 7, where(x {above} {high}, 9, (x + {c})/{divisor}))"
        program = lower([parse(text).expression], {"x": F32}, WORDS32, F32)
        ends = [
            np.nextafter(np.float32(e), np.float32(to)) for e in (low, high) for to in (-99, 99)
        ]
        inside = np.linspace(low, high, 61)
        at = np.array([*ends, low, high, *inside, -np.inf, np.inf, 0.0, 1e-40], dtype=np.float32)
        (found,) = run(program, at)
        for x, y in zip(at.tolist(), found.tolist(), strict=True):
            if x < low or (x == low and below == "<="):
                assert y == 7
            elif x > high or (x == high and above == ">="):
                assert y == 9
            else:
                exact = (Fraction(x) + c) / divisor
                unit = Fraction(2) ** max(math.frexp(float(exact))[1] - 24, -149)
                assert abs(Fraction(y) - exact) <= unit * Fraction(501, 1000), (text, x)
        assert math.isnan(run(program, np.array([np.nan], dtype=np.float32))[0][0])


def test_a_sum_that_is_known_to_be_positive_needs_no_guard():
    text = "where(x <= -3, 0, where(x >= 3, 1, (x + 3)/6))"

    def choices(text, kind=F32, numbers=()):
        program = lower([parse(text).expression], {"x": kind}, WORDS32, F32, numbers)
        return sum(instruction.op is Op.SELECT for instruction in program.instructions)

    assert choices(text) == 2
    assert choices("(x + 3)/6") > 2
    assert choices(text, F64, ["x"]) > 2, "of two words the next number is not a float32"


@pytest.mark.parametrize("scheme", [PLAIN32, WORDS32, SHORT64, FULL64], ids=str)
@pytest.mark.parametrize("text", ["x*sigmoid(1.5*x) - 0.125", "where(x > 0, x/(1 + x), x*exp(x))"])
def test_results_of_several_types_are_those_of_each_by_itself(text, scheme):
    root = parse(text).expression
    written = Written(root, {"x": F32}, scheme)
    points = np.linspace(-20, 20, 401)
    for kind in (F32, F64, None):
        alone = lowered(root, scheme, F32, kind)
        assert np.array_equal(at(written.stored_as(kind), points), at(alone, points))
    first = Written(root, {"x": F32}, scheme).stored_as(F32)
    assert first.fingerprint == lowered(root, scheme, F32, F32).fingerprint
