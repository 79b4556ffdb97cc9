"""Exact evaluation against mpmath at hundreds of digits."""

from __future__ import annotations

import math
from fractions import Fraction

import flint
import mpmath
import pytest
from flint import arb
from mpmath import mp, mpf

from gradsmith.calculus.exact import Evaluator, constant_value, isnan_ball, middle
from gradsmith.formula.expression import Expr
from gradsmith.formula.parse import parse
from tests.calculus.oracle import NEGLIGIBLE, Real, as_fraction, value_of

BITS = 80  # what an evaluation promises by default

SIZES = (5e-324, 1e-310, 1e-300, 1e-30, 1e-5, 0.1, 0.75, 1.0, 3.0, 20.0, 88.7, 700.0, 745.0)
POINTS = [s * p for s in (1.0, -1.0) for p in (*SIZES, 1e4, 1e30, 1e300)] + [0.0]

FORMULAS = [
    "x", "x**2/(1 + x**2)", "exp(x)", "exp(-x**2)", "expm1(x)", "log(x)", "log1p(x)", "exp2(x)",
    "log2(x)", "log10(x)", "sqrt(x)", "rsqrt(x)", "reciprocal(x)", "square(x)", "x**0.3",
    "x**-2.5", "sin(x)", "cos(x)", "tan(x)", "atan(x)", "asinh(x)", "sinh(x)", "cosh(x)",
    "tanh(x)", "erf(x)", "erfc(x)", "ndtr(x)", "sigmoid(x)", "softplus(x)", "relu(x)", "abs(x)",
    "sign(x)", "heaviside(x)", "max(x, 3)", "min(x, 3)", "clip(x, -1, 1)", "pi*x + e",
    "x - tanh(x)", "x*tanh(log(1 + exp(x)))", "1 - sigmoid(x)", "1 - tanh(x)**2",
    "exp(x)/(1 + exp(x))", "x*(1 + erf(x/sqrt(2)))/2", "log(cosh(x))", "(exp(x) - 1)/x",
    "(x - tanh(x))/x**3", "where(x > 0, x, exp(x) - 1)", "where(not x < 1 and x != 3, 1, x)",
    "where(x <= 0 or x >= 700, -x, x)",
]  # fmt: skip


def expression(text: str) -> Expr:
    return parse(text, inputs=("x",)).expression


def as_mpf(ball: arb) -> Real:
    mantissa, exponent = ball.mid().man_exp()
    return mpmath.ldexp(mpf(int(mantissa)), int(exponent))


@pytest.mark.parametrize("text", FORMULAS)
def test_the_value_to_80_bits_at_small_large_and_subnormal_points(text: str) -> None:
    evaluate = Evaluator(expression(text), ("x",))
    compared = 0
    for x in POINTS:
        exact = value_of(expression(text), digits=50, x=x)
        ball = evaluate(x, bits=BITS)
        if exact is None:
            # No value, one that leaves the range of any number format, or log(0).
            assert isnan_ball(ball) or not ball.is_finite() or abs(ball) > arb(10) ** 1000
            continue
        with mp.workdps(600):
            compared += 1
            allowed = max(abs(exact) * mpf(2) ** -BITS, 2 * NEGLIGIBLE)
            assert abs(as_mpf(ball) - exact) <= allowed, x
    assert compared >= len(POINTS) // 3


@pytest.mark.parametrize("text", FORMULAS)
def test_the_ball_holds_the_value_at_every_precision(text: str) -> None:
    evaluate = Evaluator(expression(text), ("x",))
    for x in (-745.0, -2.5, -1e-5, 1e-30, 0.75, 3.0, 20.0, 1e30):
        exact = value_of(expression(text), digits=140, x=x)
        if exact is None or not abs(exact) > NEGLIGIBLE:
            continue
        with mp.workdps(200), flint.ctx.workprec(600):
            middle = arb(mpmath.nstr(exact, 140)).mid()
            enclosure = arb(middle, abs(middle) * arb(10) ** -130)
        for bits in (20, 53, 100, 200):
            ball = evaluate.at_precision([x], bits)
            assert isnan_ball(ball) or ball.overlaps(enclosure), (x, bits)


def test_the_precision_rises_until_a_cancelled_value_is_known() -> None:
    # 300 bits are needed here: the plain 96 leave nothing.
    evaluate = Evaluator(expression("x - tanh(x)"), ("x",))
    assert evaluate.at_precision([1e-30], 96).rel_accuracy_bits() <= 0
    ball = evaluate(1e-30)
    assert ball.rel_accuracy_bits() >= BITS
    third = float(Fraction(Fraction(1e-30) ** 3, 3))
    assert float(ball.mid()) == third


def test_more_bits_on_request() -> None:
    evaluate = Evaluator(expression("exp(x)"), ("x",))
    for bits in (60, 200, 1000):
        assert evaluate(0.1, bits=bits).rel_accuracy_bits() >= bits


@pytest.mark.parametrize(
    ("text", "x", "value"),
    [
        ("x**3", -2.0, -8.0),
        ("x**-3", -2.0, -0.125),
        ("x**0", 0.0, 1.0),
        ("x**2.5", 0.0, 0.0),
        ("x**101", -1.0, -1.0),
        ("sqrt(x)", 0.0, 0.0),
        ("log(x)", 0.0, -math.inf),
        ("log1p(x)", -1.0, -math.inf),
        ("exp(x)", 1e30, math.inf),
        ("-exp(x)", 1e30, -math.inf),
        ("exp(x)", -1e30, 0.0),
        ("erfc(x)", 1e30, 0.0),
        ("x", -5e-324, -5e-324),
        ("x/2", 5e-324, 0.0),
        ("3*x/4", 5e-324, 5e-324),
        ("x*x", 1e200, math.inf),
        ("(x - 1)**2", 1.0, 0.0),
    ],
)
def test_exact_and_extreme_values_round_to_the_right_float(
    text: str, x: float, value: float
) -> None:
    assert float(Evaluator(expression(text), ("x",))(x).mid()) == value


@pytest.mark.parametrize(
    ("text", "x"),
    [
        ("log(x)", -1.0),
        ("sqrt(x)", -1.0),
        ("x**0.5", -1.0),
        ("x**-0.5", 0.0),
        ("1/x", 0.0),
        ("x**-1", 0.0),
        ("1/(x - x)", 1.0),
        ("exp(x)", math.nan),
        ("where(x > 0, 1, 2)", math.nan),
        ("exp(exp(x))", 1e20),  # leaves the range of exponents
    ],
)
def test_no_value_is_no_information(text: str, x: float) -> None:
    assert isnan_ball(Evaluator(expression(text), ("x",))(x))


@pytest.mark.parametrize(
    ("relation", "below", "equal", "above"),
    [("<", 1, 0, 0), ("<=", 1, 1, 0), (">", 0, 0, 1), (">=", 0, 1, 1), ("==", 0, 1, 0),
     ("!=", 1, 0, 1)],
)  # fmt: skip
def test_every_relation_on_both_sides_and_at_equality(
    relation: str, below: int, equal: int, above: int
) -> None:
    evaluate = Evaluator(expression(f"where(x*x {relation} 9/4, 1, 0)"), ("x",))
    assert [evaluate(x) for x in (1.25, 1.5, 1.75)] == [below, equal, above]
    negated = Evaluator(expression(f"where(not x*x {relation} 9/4, 1, 0)"), ("x",))
    assert [negated(x) for x in (1.25, 1.5, 1.75)] == [1 - below, 1 - equal, 1 - above]


@pytest.mark.parametrize("condition", ["== 1", "<= 1", ">= 1", "!= 1", "< 1", "> 1"])
def test_a_comparison_that_no_precision_decides_leaves_both_branches(condition: str) -> None:
    root = expression(f"where(sin(x)**2 + cos(x)**2 {condition}, 3, 5)")
    ball = Evaluator(root, ("x",))(0.5)
    assert ball.contains(3)
    assert ball.contains(5)
    assert ball.rel_accuracy_bits() < 10


def test_undecided_parts_of_a_decided_condition_do_no_harm() -> None:
    undecided = "sin(x)**2 + cos(x)**2 < 1"
    assert Evaluator(expression(f"where({undecided} and x > 9, 3, 5)"), ("x",))(0.5) == 5
    assert Evaluator(expression(f"where({undecided} or x < 9, 3, 5)"), ("x",))(0.5) == 3


def test_a_close_comparison_is_decided_by_more_precision() -> None:
    # The two sides differ by 1e-90.
    root = expression("where(x - tanh(x) > x**3/3 - x**5/5, 1, 2)")
    assert Evaluator(root, ("x",))(1e-15) == 1


def test_the_branch_not_taken_may_have_no_value() -> None:
    root = expression("where(x > 0, log(x), log(-x))")
    for x in (2.5, -2.5):
        assert float(Evaluator(root, ("x",))(x).mid()) == math.log(2.5)


def test_arguments_are_taken_in_the_given_order() -> None:
    formula = parse("x - 2*y + k", {"k": 0.5}, ("x", "y"))
    assert Evaluator(formula.expression, ("k", "y", "x"))(1.0, 10.0, 100.0) == 81
    assert Evaluator(formula.expression, ("x", "y", "k"))(1.0, 10.0, 100.0) == 81 + 0


@pytest.mark.parametrize(
    "text",
    [
        "1/3",
        "pi",
        "sqrt(2/pi)",
        "exp(1) - e + 0.1",
        "-log(10)**40",
        "erf(1/2)",
        "1e-320",
        "pi**-600",
    ],
)
def test_constants_are_correctly_rounded(text: str) -> None:
    root = parse(f"x + ({text})").expression.args[1]
    assert constant_value(root) == float(as_fraction(value_of(root, digits=60)))


LIMITS = [
    # (formula, at +inf, at -inf); None: none that could be recognised
    ("1/3", 1 / 3, 1 / 3),
    ("x", math.inf, -math.inf),
    ("1e-30*x", math.inf, -math.inf),
    ("x**2", math.inf, math.inf),
    ("1/x", 0.0, 0.0),
    ("1/(1 + sqrt(abs(x)))", 0.0, 0.0),
    ("1 - 1/(1 + abs(x)**0.25)", 1.0, 1.0),
    ("tanh(x)", 1.0, -1.0),
    ("sigmoid(x)", 1.0, 0.0),
    ("x*sigmoid(x)", math.inf, 0.0),
    ("x - tanh(x)", math.inf, -math.inf),
    ("log(1 + exp(x))", math.inf, 0.0),
    ("x/(1 + abs(x))", 1.0, -1.0),
    ("x/sqrt(1 + x**2)", 1.0, -1.0),
    ("x**2*exp(-x)", 0.0, math.inf),
    ("exp(x**2)", math.inf, math.inf),
    ("exp(-exp(x))", 0.0, 1.0),
    ("atan(x)", math.pi / 2, -math.pi / 2),
    ("where(x > 3, 1, x)", 1.0, -math.inf),
    ("asinh(x)", math.inf, -math.inf),
    ("log(2 + x**2)", math.inf, math.inf),
    ("log(log(3 + x**2))", math.inf, math.inf),
    ("log(x)", math.inf, None),
    ("sin(x)", None, None),
    ("x*sin(x)", None, None),
    ("cos(x)**2*x", None, None),
    ("sin(pi*x)", None, None),
    ("sin(pi*x)/x", 0.0, 0.0),
    ("sin(1/x)", 0.0, 0.0),
    ("x + sin(x)", math.inf, -math.inf),
    # Bounded, but it takes forever to get there: better none than a wrong one.
    ("1/log(3 + x**2)", None, None),
    ("1 - 1/log(3 + x**2)", None, None),
    ("atan(log(3 + x**2))", None, None),
]


@pytest.mark.parametrize(("text", "above", "below"), LIMITS)
def test_limits(text: str, above: float | None, below: float | None) -> None:
    evaluate = Evaluator(expression(text), ("x",))
    for sign, limit in ((1, above), (-1, below)):
        found = evaluate.limit({}, 0, sign)
        assert math.isnan(found) if limit is None else found == limit


def test_a_limit_with_the_other_arguments_held() -> None:
    root = parse("a + b*tanh(x)", {"a": 1.0, "b": 2.0}).expression
    evaluate = Evaluator(root, ("a", "x", "b"))
    assert evaluate.limit({0: 10.0, 2: 3.0}, 1, 1) == 13
    assert evaluate.limit({0: 10.0, 2: 3.0}, 1, -1) == 7


@pytest.mark.parametrize("text", ["x/3 + sqrt(2)", "where(sqrt(2) < 3/2, x, 1/x)*erf(1/3)"])
def test_what_is_constant_has_the_digits_of_each_evaluation(text: str) -> None:
    root = expression(text)
    evaluate = Evaluator(root, ("x",))
    for bits in (96, 384, 1536, 96):
        for x in (0.7, -3.0):
            value = evaluate.at_precision([x], bits)
            fresh = Evaluator(root, ("x",)).at_precision([x], bits)
            assert value.mid() == fresh.mid()
            assert value.rad() == fresh.rad()
            exact = value_of(root, digits=500, x=x)
            assert exact is not None
            error = abs(middle(value) - as_fraction(exact))
            # Of no more than eight roundings each, beside the two digits that a sum may lose.
            assert error < abs(as_fraction(exact)) / 2 ** (bits - 10)


@pytest.mark.parametrize("text", FORMULAS)
def test_many_points_at_once_are_what_one_after_the_other_is(text: str) -> None:
    evaluate = Evaluator(expression(text), ("x",))
    for bits in (40, 80, 200):
        for x, ball in zip(POINTS, evaluate.at_points([POINTS], bits), strict=True):
            alone = evaluate(x, bits=bits)
            assert isnan_ball(ball) == isnan_ball(alone)
            assert isnan_ball(ball) or (ball.mid(), ball.rad()) == (alone.mid(), alone.rad())


def test_many_points_of_several_arguments_and_of_none() -> None:
    root = parse("a*exp(b)", inputs=("a", "b")).expression
    balls = Evaluator(root, ("a", "b")).at_points([[2.0, 3.0], [0.0, 0.0]])
    assert [float(ball.mid()) for ball in balls] == [2.0, 3.0]
    constant = Evaluator(expression("2*pi"), ("x",))
    assert [float(ball.mid()) for ball in constant.at_points([[1.0, 2.0]])] == [2 * math.pi] * 2
    assert Evaluator(root, ("a", "b")).at_points([[], []]) == []
