"""Arithmetic in two words, against exact rational numbers; and Programs written in it."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradsmith.backends.llvm import compile_program, unavailable
from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.parse import parse
from gradsmith.numerics import double_word as double
from gradsmith.numerics import double_word_arithmetic as arithmetic
from gradsmith.numerics.builder import Builder, maximum, minimum, select
from gradsmith.numerics.double_word import DoubleWord
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.ladder import WORDS32
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.program import F32, F64, Op

UNIT = Fraction(1, 2**24)


@st.composite
def pairs(draw):
    """A float32 of moderate size and a second one, at most half a unit in its last place."""
    high = np.float32(draw(st.floats(0.5, 1, width=32)) * 2.0 ** draw(st.integers(-20, 20)))
    low = np.float32(float(high) * 2.0**-25 * draw(st.floats(-1, 1, width=32)))
    sign = draw(st.sampled_from((1, -1)))
    return np.float32(sign * high), np.float32(sign * low)


def applied(operation, *operands):
    """What an operation makes of pairs, exactly; and how many instructions that takes."""
    builder = Builder()
    words = [[builder.input(f"{name}{n}", F32) for name in "hl"] for n in range(len(operands))]
    result = operation(*(DoubleWord(high, low) for high, low in words))
    program = builder.program(result.high, double.or_zero(result))
    high, low = run(program, *(np.array(word) for pair in operands for word in pair))
    return Fraction(float(high)) + Fraction(float(low))


def exact(pair):
    return Fraction(float(pair[0])) + Fraction(float(pair[1]))


@given(pairs(), pairs())
def test_a_sum_is_right_to_twice_the_digits_of_its_terms(a, b):
    """Two roundings of second words, each of which is at most 3u of the terms."""
    error = abs(applied(arithmetic.add, a, b) - (exact(a) + exact(b)))
    assert error <= 6 * UNIT**2 * (abs(exact(a)) + abs(exact(b)))
    error = abs(applied(arithmetic.subtract, a, b) - (exact(a) - exact(b)))
    assert error <= 6 * UNIT**2 * (abs(exact(a)) + abs(exact(b)))


@given(pairs(), pairs())
def test_a_product_is_right_to_twice_the_digits(a, b):
    """Two roundings of the second word, and the product of second words, which is left out."""
    true = exact(a) * exact(b)
    assert abs(applied(arithmetic.multiply, a, b) - true) <= 5 * UNIT**2 * abs(true)


@given(pairs())
def test_a_square_is_a_product(a):
    true = exact(a) ** 2
    assert abs(applied(lambda x: arithmetic.multiply(x, x), a) - true) <= 5 * UNIT**2 * true


@given(pairs(), pairs())
def test_a_quotient_is_right_to_twice_the_digits(a, b):
    """What is left over is divided with a relative error of 3u; it is at most 3u itself."""
    true = exact(a) / exact(b)
    assert abs(applied(arithmetic.divide, a, b) - true) <= 16 * UNIT**2 * abs(true)


@given(pairs())
def test_a_root_is_right_to_twice_the_digits(a):
    a = abs(a[0]), a[1] * np.float32(np.sign(a[0]))
    result = applied(arithmetic.square_root, a)
    assert abs(result**2 - exact(a)) <= 2 * 8 * UNIT**2 * exact(a)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-30, 30))
def test_a_known_larger_term_needs_half_the_instructions(x, exponent):
    """1 + t for 0 ≤ t ≤ 1 loses nothing, as the sum of any two numbers."""
    builder = Builder()
    t = builder.input("t", F32)
    one = double.number(builder, Fraction(1))
    fraction = DoubleWord(t, range=(0.0, 1.0))
    short = arithmetic.add(one, fraction)
    assert arithmetic.add(fraction, one).high.number == short.high.number
    program = builder.program(short.high, short.low)
    assert program.count() == 3
    value = np.float32(min(abs(x), 1.0) * 2.0 ** -abs(exponent))
    high, low = run(program, np.array(value))
    assert Fraction(float(high)) + Fraction(float(low)) == 1 + Fraction(float(value))


@given(st.floats(1e-18, 1e18))
def test_a_float64_is_taken_in_two_words(value):
    program = lower((parse("x").expression,), {"x": F64}, WORDS32, F64)
    taken = float(run(program, np.array(value))[0])
    assert abs(taken / value - 1) <= 2.0**-48


def test_a_constant_has_two_words():
    program = lower((parse("x*0 + 1/3").expression,), {"x": F32}, WORDS32, F64)
    assert abs(run(program, np.float32([1]))[0][0] * 3 - 1) <= 2.0**-46


def result(text, values, **inputs):
    inputs = inputs or {"x": F32}
    program = lower((parse(text, inputs=tuple(inputs)).expression,), inputs, WORDS32, F32)
    return run(program, *(np.asarray(column, np.float32) for column in values))[0]


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ("x*sigmoid(x)", -0.0, -0.0),
        ("x*sigmoid(x)", 0.0, 0.0),
        ("x*sigmoid(x)", math.inf, math.inf),
        ("x*sigmoid(x)", -3.4e38, -0.0),
        ("tanh(x)", -0.0, -0.0),
        ("tanh(x)", 0.0, 0.0),
        ("expm1(-abs(x))", 0.0, -0.0),
        ("expm1(x)", 0.0, 0.0),
        ("tanh(x)", -math.inf, -1.0),
        ("expm1(x)", -0.0, -0.0),
        ("log1p(x)", -0.0, -0.0),
        ("log1p(x)", -1.0, -math.inf),
        ("log(x)", 0.0, -math.inf),
        ("log(x)", math.inf, math.inf),
        ("log(x)", -1.0, math.nan),
        ("exp(x)", 89.0, math.inf),
        ("exp(x)", math.inf, math.inf),
        ("exp(x*0.1)", math.inf, math.inf),
        ("exp(x*0.1)", -math.inf, 0.0),
        ("1/(1+exp(x))", math.inf, 0.0),
        ("1/(1+exp(x*0.1))", math.inf, 0.0),
        ("1/(1+exp(x))", -math.inf, 1.0),
        ("1/(1+exp(x))", math.nan, math.nan),
        ("where(x > 0, x, expm1(x))", math.nan, math.nan),
        ("exp(x)", -math.inf, 0.0),
        ("exp(-abs(x))", math.inf, 0.0),
        ("1/(1+abs(x))", math.inf, 0.0),
        ("x/3 + 1", math.nan, math.nan),
        ("max(x, -2.5)/3", math.nan, math.nan),
        ("sqrt(x)", math.inf, math.inf),
        ("sign(x)/3", -0.0, -0.0),
        ("where(x*x/3 <= x*x/3, 1, 0)", 1.1, 1.0),
        ("where(x*x/3 < x*x/3, 1, 0)", 1.1, 0.0),
        ("where(x*x/3 >= 1e30*x, 1, 0)", math.inf, 1.0),
    ],
)
def test_values_at_the_ends(text, at, expected):
    with np.errstate(all="ignore"):
        (value,) = result(text.replace("sigmoid(x)", SIGMOID), [[at]])
    np.testing.assert_equal(value, np.float32(expected))
    assert math.isnan(expected) or np.signbit(value) == np.signbit(expected)


SIGMOID = "where(x >= 0, 1, exp(-abs(x)))/(1 + exp(-abs(x)))"


@pytest.mark.parametrize("g", [1.0, -2.5e30, 1e-20])
@pytest.mark.parametrize("text", ["exp(-abs(x))", "exp(x)", SIGMOID])
def test_exponentials_below_the_range_of_float32_keep_their_digits(text, g):
    """e⁻¹²⁰ is no float32, and its product with 10³⁰ is."""
    x = np.float32(np.linspace(-125, -90, 300))
    values = result(f"({text})*g", [x, np.full_like(x, g)], x=F32, g=F32).astype(np.float64)
    wide = x.astype(np.float64)
    true = np.exp(wide) * float(np.float32(g)) / (1 + np.exp(wide) * (text == SIGMOID))
    unit = np.exp2(np.maximum(np.frexp(true)[1] - 24, -149))
    assert (np.abs(values - true) / unit).max() <= 0.76
    normal = np.abs(true) > 2.0**-126
    rounded_once = 0.5 + 2.0**-27.8 * 2.0**24
    assert (np.abs(values - true) / unit)[normal].max(initial=0.0) <= rounded_once


@pytest.mark.parametrize("g", [1e12, 1e25, 3e38])
def test_large_numbers_times_an_exponential_stay_in_range(g):
    x = np.float32([-3.0, -1e-20, 0.0, 5.0])
    values = result("g*(" + SIGMOID + ")", [x, np.full_like(x, g)], x=F32, g=F32)
    true = float(np.float32(g)) / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(values, true, rtol=2.0**-24, atol=0)


GRADIENTS = {
    "where(x > 0, 1, exp(x))": lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
    "where(x <= 0, exp(x), 1)": lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
    "where(x > 0, 1.1, 1.7*exp(x))": lambda x: np.where(x > 0, 1.1, 1.7 * np.exp(np.minimum(x, 0))),
    "4*exp(-2*abs(x))/(1 + exp(-2*abs(x)))**2": lambda x: np.cosh(x) ** -2.0,
    "1/(1 + exp(x))": lambda x: 1 / (1 + np.exp(x)),
    "1 + exp(x)": lambda x: 1 + np.exp(x),
    SIGMOID: lambda x: 1 / (1 + np.exp(-x)),
    "exp(x)": np.exp,
    "1/(1 + abs(x))": lambda x: 1 / (1 + np.abs(x)),
    "tanh(x)": np.tanh,
}


@pytest.mark.parametrize("text", GRADIENTS)
def test_products_with_what_comes_from_above(text):
    """Of every size, with zeros and infinities: rounded once, and with the sign of a product."""
    sizes = [1.0, 1.5, 1e-20, 2.0**29, 2.0**31, 1e12, 2.0**61, 1e30, 3.4e38, 0.0, math.inf]
    g = np.float32([*sizes, *(-size for size in sizes), math.nan])
    more = [0.0, -0.0, 1e-30, -1e-30, -60.0, -95.0, -110.0]
    at = np.concatenate([np.linspace(-30, 30, 201), more]).astype(np.float32)
    slope = GRADIENTS[text](at.astype(np.float64))
    at = at[(np.abs(slope) > 2.0**-180) | (slope == 0)]  # what is less is 0
    x, g = (column.ravel() for column in np.meshgrid(at, g))
    with np.errstate(all="ignore"):
        values = result(f"({text})*g", [x, g], x=F32, g=F32)
        true = GRADIENTS[text](x.astype(np.float64)) * g.astype(np.float64)
        rounded = true.astype(np.float32)
        errors = np.abs(values.astype(np.float64) - true) / np.exp2(np.frexp(np.abs(true))[1] - 24)
    np.testing.assert_array_equal(np.isnan(values), np.isnan(rounded))
    defined = ~np.isnan(rounded)
    np.testing.assert_array_equal(np.signbit(values[defined]), np.signbit(rounded[defined]))
    np.testing.assert_array_equal(np.isinf(values[defined]), np.isinf(rounded[defined]))
    compared = np.isfinite(rounded) & (np.abs(rounded) > 2.0**-120)
    assert errors[compared].max() <= 0.54


def test_a_logistic_vanishes_where_its_exponential_is_beyond_range():
    x = np.float32([132.0, 1e3, 1e30, math.inf])
    for g in (1.0, 1e30, -3e38):
        values = result("g/(1 + exp(x))*1", [x, np.full_like(x, g)], x=F32, g=F32)
        np.testing.assert_array_equal(values, 0.0)
        values = result("g*(1/(1 + exp(x)))", [x, np.full_like(x, g)], x=F32, g=F32)
        np.testing.assert_array_equal(values, 0.0)


@given(pairs(), pairs())
def test_leaning_words_are_the_same_number(a, b):
    """The second word has the sign of the first, and no digit is lost that a result shows."""
    builder = Builder()
    words = [builder.input(name, F32) for name in ("ah", "al", "bh", "bl")]
    one, other = (DoubleWord(*words[i : i + 2], (2.0**-22, 2.0**21), slack=1.0) for i in (0, 2))
    leaning = arithmetic.divide(one, other).leaning()
    times = arithmetic.multiply(arithmetic.divide(one, other), other).leaning()
    constant = double.number(builder, Fraction(1, 3)).leaning()
    a, b = (tuple(abs(w) if w is p[0] else w * np.sign(p[0]) for w in p) for p in (a, b))
    outputs = [w for pair in (leaning, times, constant) for w in (pair.high, pair.low)]
    found = run(builder.program(*outputs), *(np.array(w) for w in (*a, *b)))
    exactly = exact(a) / exact(b), exact(a), Fraction(1, 3)
    for high, low, true in zip(found[::2], found[1::2], exactly, strict=True):
        assert low > 0
        assert low < high * 2.0**-18
        assert abs(exact((high, low)) / true - 1) < Fraction(1, 2**38)


def test_powers_are_divided_by_in_steps():
    """(1 + x)² leaves the range of float32 where its reciprocal is still in it."""
    x = np.float32(np.geomspace(1e18, 9e21, 200))
    values = result("1/(1 + abs(x))**2", [x]).astype(np.float64)
    true = (1 + x.astype(np.float64)) ** -2.0
    assert np.abs((values - true) / np.exp2(np.maximum(np.frexp(true)[1] - 24, -149))).max() <= 0.76


def test_tiny_products_are_rounded_twice_at_most():
    x = np.float32(np.geomspace(1e-15, 1e-12, 4001))
    values = result("x**3", [x]).astype(np.float64)
    true = x.astype(np.float64) ** 3
    assert np.abs((values - true) / np.exp2(np.maximum(np.frexp(true)[1] - 24, -149))).max() <= 0.76


def test_products_of_a_function_with_what_is_tiny():
    x = np.float32(np.linspace(-3, 3, 4001))
    for g in (2.0**-124, 3e-38):
        values = result("expm1(x)*g", [x, np.full_like(x, g)], x=F32, g=F32).astype(np.float64)
        true = np.expm1(x.astype(np.float64)) * float(np.float32(g))
        unit = np.exp2(np.maximum(np.frexp(true)[1] - 24, -149))
        assert np.abs((values - true) / unit).max() <= 0.76


def test_what_is_left_of_terms_that_cancel_can_be_divided_by():
    """Its first word has lost half of its digits to the second one, unless they are ordered."""
    x = np.float32(np.linspace(-9, 9, 2001))
    values = result("1/((1 + exp(-abs(x))) - 1)", [x]).astype(np.float64)
    true = np.exp(np.abs(x.astype(np.float64)))
    assert np.abs((values - true) / np.exp2(np.frexp(true)[1] - 24)).max() <= 0.54


POINTS = np.float32(
    np.concatenate([np.linspace(-20, 20, 801), np.geomspace(1e-30, 1e3, 400), [0.0, -0.0]])
)
FORMULAS = [
    SIGMOID,
    f"x*({SIGMOID})",
    "tanh(x)",
    "log1p(exp(-abs(x))) + max(x, 0)",
    "x/(1 + abs(x))",
    "where(x > 0, x, 1.3*expm1(x))",
    "sqrt(1 + x*x)",
    "log1p(x*x)/3",
    "log(2 + x*x)/3",
    "4*exp(-2*abs(x))/(1 + exp(-2*abs(x)))**2",
    "min(max(x, -3.3), 6)/7",
    "abs(x*x*x - x)*0.1",
    "where(0.1*x < 0.3*x, 1/3, 2/3)",
    "(max(x, -2.5) + 1/3)/7",
]


@pytest.mark.parametrize("text", FORMULAS)
def test_results_are_rounded_once(text):
    """Relative errors are below 2⁻²⁹, a 32nd of the smallest half unit: but where terms cancel."""
    expression = parse(text).expression
    evaluate = Evaluator(expression, ("x",))
    values = run(lower((expression,), {"x": F32}, WORDS32, F32), POINTS)[0]
    for x, value in zip(POINTS.tolist(), values.tolist(), strict=True):
        true = evaluate(x, bits=120).mid()
        if abs(true) < 2.0**-100 or ("x - x" in text and abs(abs(x) - 1) < 0.3):
            continue
        unit = 2.0 ** (math.frexp(float(true))[1] - 24)
        assert abs(float(value - true)) <= 0.54 * unit, x


@pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))
@pytest.mark.parametrize("text", FORMULAS)
def test_native_code_has_the_bits_of_the_interpreter(text):
    program = lower((parse(text).expression,), {"x": F32}, WORDS32, F32)
    patterns = np.arange(0, 2**32, 800_011, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = np.concatenate([POINTS, patterns])
    out = torch.empty(len(x))
    compile_program(program)([torch.from_numpy(x)], [out])
    with np.errstate(all="ignore"):
        expected = run(program, x)[0]
    np.testing.assert_array_equal(out.numpy(), expected)
    defined = ~np.isnan(expected)
    assert np.array_equal(np.signbit(out.numpy())[defined], np.signbit(expected)[defined])


def test_nothing_is_wider_than_float32():
    """The point of it: all lanes of a vector."""
    for text in FORMULAS:
        program = lower((parse(text).expression,), {"x": F32}, WORDS32, F32)
        assert program.count(Op.CONVERT) == 0
        assert all(instruction.type.bits <= 32 for instruction in program.instructions)


def test_what_has_no_instructions_in_two_words_is_named():
    for text, named in (("erf(x)", "erf"), ("x**2.5", "power 5/2")):
        with pytest.raises(NotImplementedError, match=named):
            lower((parse(text).expression,), {"x": F32}, WORDS32)


def test_there_are_double_words_of_float32_only():
    with pytest.raises(ValueError, match="of f32 only, not of f64"):
        Scheme(F64, Accuracy.FULL, double_word=True)
    assert str(WORDS32) == "f32, double words"


def test_a_product_of_quotients_by_the_same_is_one_quotient():
    """Of 1/q·p/q: fewer instructions than both quotients and their product, and as accurate."""
    builder = Builder()
    x = DoubleWord(builder.input("x", F32), range=(0.5, 2.0))
    one = double.number(builder, Fraction(1))
    below = arithmetic.add(one, arithmetic.multiply(x, x))
    together = arithmetic.multiply(arithmetic.divide(one, below), arithmetic.divide(x, below))
    program = builder.program(double.rounded(together, F64))
    assert program.count(Op.DIV) == 1
    apart = Builder()
    y = DoubleWord(apart.input("x", F32), range=(0.5, 2.0))
    unit = double.number(apart, Fraction(1))
    other = arithmetic.add(unit, arithmetic.multiply(y, y))
    parts = (replace(arithmetic.divide(top, other), quotient=None) for top in (unit, y))
    assert program.count() < apart.program(double.rounded(arithmetic.multiply(*parts), F64)).count()
    at = np.linspace(0.5, 2, 5000).astype(np.float32)
    (found,) = run(program, at)
    wanted = [Fraction(float(v)) / (1 + Fraction(float(v)) ** 2) ** 2 for v in at]
    errors = [abs(Fraction(float(f)) / e - 1) for f, e in zip(found, wanted, strict=True)]
    assert max(errors) < 2.0**-43


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("where(x > 0, x, expm1(x))", "where(y > 0, x, expm1(x))"),  # on one side only
        ("where(x > 0, 1, exp(x))", "where(y > 0, 1, exp(x))"),
        ("where(x > 0, x, expm1(x))", "where(x > 0, x, expm1(x)) + expm1(x)"),
    ],
)
def test_what_is_known_of_an_argument_spares_instructions(short, long):
    counts = [
        lower((parse(text, inputs=("x", "y")).expression,), {"x": F32, "y": F32}, WORDS32).count()
        for text in (short, long)
    ]
    assert counts[0] < counts[1]


def test_a_number_for_all_elements_is_of_ordinary_size():
    """So that products with it need no guard."""
    for text in ("a*exp(-abs(x))", "a*expm1(x)"):
        roots = (parse(text, inputs=("x", "a")).expression,)
        inputs = {"x": F32, "a": F32}
        assert lower(roots, inputs, WORDS32, F32, ("a",)).count() < (
            lower(roots, inputs, WORDS32, F32).count()
        )


def test_of_numbers_in_one_word_and_two_one_word_is_chosen():
    root = parse("where(y > 0, 1, exp(-abs(x)))*1", inputs=("x", "y")).expression
    program = lower((root,), {"x": F32, "y": F32}, WORDS32, F32)
    assert program.count(Op.SELECT) == 2  # the other one holds −|x|


def test_a_branch_that_is_not_chosen_alone_is_computed_for_all():
    """exp(x) is needed for every x: that a choice takes it below 0 only says nothing."""
    x = np.float32(np.linspace(-80, 80, 3001))
    values = result("where(x > 0, 1, exp(x)) + exp(x)", [x]).astype(np.float64)
    wide = x.astype(np.float64)
    true = np.where(wide > 0, 1, np.exp(np.minimum(wide, 0))) + np.exp(wide)
    assert np.abs((values - true) / np.exp2(np.frexp(true)[1] - 24)).max() <= 0.54


@pytest.mark.parametrize("ends", [(-1.0, 3.0), (-0.0, 0.0), (-math.inf, math.inf)])
def test_extrema_are_the_first_number_where_both_are_equal_or_it_is_nan(ends):
    """To the bit: of zeros of either sign the first."""
    builder = Builder()
    x = builder.input("x", F32)
    found = [f(-x, end) for f in (maximum, minimum) for end in ends]
    at = np.float32([-2, -1, -0.5, -0.0, 0.0, 0.5, 1, 2, 3, 4, math.inf, -math.inf, math.nan])
    values = run(builder.program(*found), at)
    rows = [
        (np.less if f is maximum else np.greater, end) for f in (maximum, minimum) for end in ends
    ]
    for value, (beyond, end) in zip(values, rows, strict=True):
        expected = np.where(beyond(-at, np.float32(end)), np.float32(end), -at)
        np.testing.assert_array_equal(value.view(np.int32), expected.view(np.int32))


def test_products_with_a_choice_of_one_are_chosen():
    builder = Builder()
    x = builder.input("x", F32)
    scale = select(x > 3.0, builder.number(F32, 0.25), 1.0)
    program = builder.program(x * scale, scale * x, x * select(x > 3.0, 1.0, scale))
    kinds = [instruction.op for instruction in program.instructions]
    assert kinds.count(Op.MUL) == 2  # both orders of the first are one
    at = np.array([-1.0, 0.0, 2.5, 4.0, np.nan, np.inf], dtype=np.float32)
    found = run(program, at)
    expected = np.where(at > 3, at * np.float32(0.25), at)
    np.testing.assert_array_equal(found[0], expected)
    np.testing.assert_array_equal(found[1], expected)
