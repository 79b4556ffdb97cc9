"""Generated code computes what the expression says, in the expression's own order."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.backends import aten
from gradsmith.backends.aten import compile_expression, source_lines
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import FUNCTIONS, Call, Expr, Number, Symbol
from gradsmith.formula.parse import parse

x, y = Symbol("x"), Symbol("y")
EXPONENTIAL_RANGE = [-700.0, -30.0, -3.25, -0.5, -1e-5, 1e-30, 0.3, 1.0, 2.75, 20.0, 650.0]
POSITIVE = [1e-300, 1e-5, 0.3, 1.0, 2.5, 1e6, 1e300]
MODERATE = [-12.5, -1.75, -0.5, -1e-5, 1e-30, 0.3, 1.0, 2.75, 11.0]


# What each function is, by mpmath; and where to try it.
ORACLE: dict[str, tuple[Callable[..., Any], list[float]]] = {
    "exp": (mpmath.exp, EXPONENTIAL_RANGE),
    "expm1": (mpmath.expm1, EXPONENTIAL_RANGE),
    "exp2": (lambda t: mpmath.power(2, t), EXPONENTIAL_RANGE),
    "log": (mpmath.log, POSITIVE),
    "log1p": (mpmath.log1p, [-0.75, -1e-5, 1e-30, *POSITIVE]),
    "log2": (lambda t: mpmath.log(t) / mpmath.log(2), POSITIVE),
    "log10": (mpmath.log10, POSITIVE),
    "sqrt": (mpmath.sqrt, POSITIVE),
    "rsqrt": (lambda t: 1 / mpmath.sqrt(t), POSITIVE),
    "square": (lambda t: t * t, MODERATE),
    "reciprocal": (lambda t: 1 / t, MODERATE),
    "sin": (mpmath.sin, MODERATE),
    "cos": (mpmath.cos, MODERATE),
    "tan": (mpmath.tan, MODERATE),
    "atan": (mpmath.atan, EXPONENTIAL_RANGE),
    "sinh": (mpmath.sinh, EXPONENTIAL_RANGE),
    "cosh": (mpmath.cosh, EXPONENTIAL_RANGE),
    "tanh": (mpmath.tanh, EXPONENTIAL_RANGE),
    "asinh": (mpmath.asinh, MODERATE),
    "erf": (mpmath.erf, MODERATE),
    "erfc": (mpmath.erfc, MODERATE),
    "erfcx": (lambda t: mpmath.exp(t * t) * mpmath.erfc(t), MODERATE),
    # Further out the rounding of its argument x/√2 is magnified x² times.
    "ndtr": (mpmath.ncdf, [-2.5, -0.5, -1e-5, 1e-30, 0.3, 2.75, 8.0]),
    "sigmoid": (lambda t: 1 / (1 + mpmath.exp(-t)), EXPONENTIAL_RANGE),
    "softplus": (lambda t: mpmath.log1p(mpmath.exp(t)), EXPONENTIAL_RANGE),
    "sech2": (lambda t: 1 / mpmath.cosh(t) ** 2, [-300.0, *MODERATE, 350.0]),
    "relu": (lambda t: max(t, mpmath.mpf(0)), MODERATE),
    "abs": (abs, MODERATE),
    "sign": (mpmath.sign, MODERATE),
    "heaviside": (lambda t: (mpmath.sign(t) + 1) / 2, MODERATE),
}
# torch documents 1 to 3.5 ULP for its vectorised functions; a function that is written out adds
# a few roundings. 16 ULP would still show any wrong branch or lost digit.
TOLERANCE_ULP = 16


@pytest.mark.parametrize("name", ORACLE)
def test_every_function_is_the_one_that_its_name_says(name: str) -> None:
    exact, points = ORACLE[name]
    values = torch.tensor(points, dtype=torch.float64)
    got = compile_expression(FUNCTIONS[name](x), ("x",))(values)
    with mpmath.workdps(60):
        for point, value in zip(points, got.tolist(), strict=True):
            expected = exact(mpmath.mpf(point))
            limit = TOLERANCE_ULP * math.ulp(float(expected))
            assert abs(mpmath.mpf(value) - expected) <= limit, (point, value, expected)


def test_no_function_of_the_vocabulary_is_forgotten() -> None:
    of_several = {"where", "max", "min", "clip", "product_error", "sum_error"}
    operators = v.ARITHMETIC | v.COMPARISONS | v.LOGIC | v.CONSTANTS
    names = {f.name for f in FUNCTIONS.values() if f not in operators}
    assert names == ORACLE.keys() | of_several | {v.tabulated.name}  # of two words alone


def evaluated(node: Expr, values: dict[str, torch.Tensor]) -> torch.Tensor | float:
    """The expression node by node, as a tree: the meaning that the code must have."""
    if isinstance(node, Symbol):
        return values[node.name]
    if isinstance(node, Number):
        return torch.tensor(float(node.value), dtype=torch.float64)
    assert isinstance(node, Call)
    args = [evaluated(arg, values) for arg in node.args]
    by_hand: dict[Any, Callable[..., Any]] = {
        v.ADD: torch.add,
        v.SUB: torch.sub,
        v.MUL: torch.mul,
        v.DIV: torch.div,
        v.NEG: torch.neg,
        v.exp: torch.exp,
        v.tanh: torch.tanh,
        v.abs_: torch.abs,
        v.maximum: torch.maximum,
        v.minimum: torch.minimum,
        v.where: torch.where,
        v.LT: torch.lt,
        v.GE: torch.ge,
        v.AND: torch.logical_and,
        v.NOT: torch.logical_not,
    }
    return by_hand[node.function](*args)


NUMBERS = st.sampled_from([Number(2), Number(-3), Number(0.1), Number(7)])
SYMBOLS = st.sampled_from([x, y])


def combined(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    unary = st.builds(lambda f, a: f(a), st.sampled_from([v.NEG, v.exp, v.tanh, v.abs_]), inner)
    arithmetic = [v.ADD, v.SUB, v.MUL, v.DIV, v.maximum, v.minimum]
    binary = st.builds(lambda f, a, b: f(a, b), st.sampled_from(arithmetic), inner, inner)
    # A number on one side only: two would be folded, exactly, to another rounding.
    left = st.builds(lambda f, a, b: f(a, b), st.sampled_from(arithmetic), NUMBERS, inner)
    right = st.builds(lambda f, a, b: f(a, b), st.sampled_from(arithmetic), inner, NUMBERS)
    chosen = st.builds(
        lambda a, b, c, d: v.where(v.AND(a < b, v.NOT(b >= c)), a, d), inner, inner, inner, inner
    )
    return st.one_of(unary, binary, left, right, chosen)


EXPRESSIONS = st.recursive(SYMBOLS, combined, max_leaves=12)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(EXPRESSIONS)
def test_code_has_the_bits_of_the_expression_evaluated_node_by_node(expression: Expr) -> None:
    values = {
        "x": torch.tensor([-2.5, -0.0, 0.0, 0.3, 1e-3, 4.0, math.inf, math.nan]).double(),
        "y": torch.tensor([1.5, 0.7, -3.0, 1e10, -0.0, -1e-5, 2.0, 1.0]).double(),
    }
    got = compile_expression(expression, ("x", "y"))(**_positional(values))
    expected = torch.broadcast_to(torch.as_tensor(evaluated(expression, values)), (8,))
    assert torch.equal(got.nan_to_num(nan=0.123), expected.nan_to_num(nan=0.123))
    assert torch.equal(got.isnan(), expected.isnan())


def _positional(values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"x{i}": value for i, value in enumerate(values.values())}


@settings(derandomize=True, deadline=None, max_examples=200)
@given(EXPRESSIONS)
def test_lines_are_short_and_each_name_is_assigned_once(expression: Expr) -> None:
    source = source_lines(expression, ("x", "y"))
    names = [line.split(" = ")[0] for line in source.lines]
    assert len(set(names)) == len(names)
    assert all(len(line) <= 80 for line in [*source.lines, *source.results])


def test_a_shared_part_is_computed_once() -> None:
    shared = v.exp(-x)
    source = source_lines([shared / (1 + shared), shared * x], ("x",))
    assert source.lines == ("t1 = torch.exp(-x)",)
    assert source.results == ("t1 / (1.0 + t1)", "t1 * x")


@pytest.mark.parametrize(
    ("text", "lines", "result"),
    [
        ("x*sigmoid(x)", (), "x * torch.sigmoid(x)"),
        ("x - (1 - x)", (), "x - (1.0 - x)"),
        ("x + (x + 1)", (), "x + (x + 1.0)"),
        ("x + -1", (), "x - 1.0"),
        ("1*x/1", (), "x.clone()"),
        ("x**3", (), "x * x * x"),
        ("x**4", ("t1 = x * x",), "t1 * t1"),
        ("x**-2", ("t1 = 1.0 / x",), "t1 * t1"),
        ("x**0.5", (), "torch.sqrt(x)"),
        ("x**7", (), "torch.pow(x, 7.0)"),
        ("2**x", (), "torch.pow(2.0, x)"),
        ("3/x + 1/x", (), "torch.div(3.0, x) + 1.0 / x"),
        ("max(x, 0)", (), "torch.clamp(x, min=0.0)"),
        ("min(1, x)", (), "torch.clamp(x, max=1.0)"),
        ("clip(x, -1, 6)", (), "torch.clamp(x, -1.0, 6.0)"),
        ("max(min(x, 6), -1)", (), "torch.clamp(x, -1.0, 6.0)"),
        ("where(x > 0, 1, 0)", (), "(x > 0.0).to(x.dtype)"),
        ("where(x > 0 and x < 1, x, 0)", (), "torch.where((x > 0.0) & (x < 1.0), x, 0.0)"),
        ("where(1 < 2, x, exp(x))", (), "x.clone()"),
        ("sqrt(2/pi)*x", (), f"{math.sqrt(2 / math.pi)} * x"),
        ("e*x", (), f"{math.e} * x"),
        ("0.1*x + 1/3", (), "0.1 * x + 0.3333333333333333"),
    ],
)
def test_code_reads_like_handwritten(text: str, lines: tuple[str, ...], result: str) -> None:
    source = source_lines(parse(text).expression, ("x",))
    assert (source.lines, source.results) == (lines, (result,))


def test_the_numerator_of_a_quotient_does_not_cost_a_second_rounding() -> None:
    # Python's 3.0 / tensor multiplies by the reciprocal, which is wrong for a third of these.
    points = torch.arange(1.0, 1000.0, dtype=torch.float64)
    got = compile_expression(3 / x, ("x",))(points)
    assert got.tolist() == [3.0 / p for p in points.tolist()]
    tiny = torch.tensor([1e-315], dtype=torch.float64)
    assert compile_expression(Number(1e-10) / x, ("x",))(tiny).item() == 1e-10 / 1e-315


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("text", ["1", "where(x > 0, 1, 0)", "where(x > 0, 1, 2)", "1/3", "1e300"])
def test_a_result_without_tensors_still_has_the_inputs_dtype(text: str, dtype: torch.dtype) -> None:
    points = torch.tensor([[-1.0], [2.0]], dtype=dtype).expand(2, 3)
    got = compile_expression(parse(text).expression, ("x",))(points)
    assert got.dtype == dtype
    assert got.shape == (2, 3)
    assert got.is_contiguous()


def test_a_result_spreads_over_inputs_that_it_does_not_read() -> None:
    wide, tall = torch.zeros(1, 3).double(), torch.zeros(2, 1).double()
    constant = compile_expression(Number(5), ("x", "y"))(wide, tall)
    assert torch.equal(constant, torch.full((2, 3), 5.0).double())
    one = compile_expression(v.exp(y), ("x", "y"))(wide, tall)
    assert torch.equal(one, torch.ones(2, 3).double())
    assert one.is_contiguous()


@pytest.mark.parametrize("text", ["x", "1*x", "where(1 < 2, x, 0)"])
def test_the_result_is_never_the_input_itself(text: str) -> None:
    points = torch.randn(4, dtype=torch.float64)
    got = compile_expression(parse(text).expression, ("x",))(points)
    assert got.data_ptr() != points.data_ptr()


SCALAR_FORMULAS = [
    "tanh(b*x)",
    "x*exp(b)",
    "x/b + x/(b - b)",
    "x**b",
    "b**x",
    "max(x, b) + min(b, x)",
    "where(x > b, b, 0)",
    "where(b > 0, x, b)",
    "where(b > 1, 1, 0)*x",
    "max(b, 1)*x + clip(x, -b, b)",
    "log(-b) + x",
    "x + 1/(b - b)",
    "b",
    "3*b + 1",
    "1/b",
]


@pytest.mark.parametrize("text", SCALAR_FORMULAS)
@pytest.mark.parametrize("value", [0.75, -2.0, 0.0])
def test_a_python_number_gives_what_a_tensor_of_it_gives(text: str, value: float) -> None:
    expression = parse(text, {"b": 1.0}).expression
    points = torch.tensor([-1.5, 0.25, 3.0], dtype=torch.float64)
    by_number = compile_expression(expression, ("x", "b"), ("b",))(points, value)
    by_tensor = compile_expression(expression, ("x", "b"))(points, torch.tensor(value).double())
    assert by_number.dtype == torch.float64
    torch.testing.assert_close(by_number, by_tensor, rtol=4e-16, atol=0, equal_nan=True)


def test_numbers_beyond_float32_become_infinite_in_it() -> None:
    points = torch.tensor([-1.0, 1.0])
    for text, expected in [
        ("max(x, 1e300)", [math.inf, math.inf]),
        ("min(x, 1e300)", [-1.0, 1.0]),
        ("max(min(x, 1e300), -1e300)", [-1.0, 1.0]),
        ("where(x > 0, x, -1e300)", [-math.inf, 1.0]),
        ("where(x > 0, 1e300, 2)", [2.0, math.inf]),
        ("x*1e300", [-math.inf, math.inf]),
    ]:
        assert compile_expression(parse(text).expression, ("x",))(points).tolist() == expected


@pytest.mark.parametrize("text", ["max(x, 0)", "min(x, 0)", "clip(x, -1, 1)", "max(x, x/2)"])
def test_nan_stays_nan(text: str) -> None:
    nan = torch.tensor([math.nan], dtype=torch.float64)
    assert compile_expression(parse(text).expression, ("x",))(nan).isnan().all()


def test_bounds_in_the_wrong_order_follow_the_definition() -> None:
    # torch.clamp would give the upper bound everywhere.
    points = torch.tensor([-5.0, 0.0, 5.0], dtype=torch.float64)
    got = compile_expression(parse("clip(x, 1, -1)").expression, ("x",))(points)
    assert got.tolist() == [1.0, 1.0, -1.0]


@pytest.mark.parametrize("name", ["torch", "lambda", "t1", "product_error", "x0", "pointwise"])
def test_an_argument_may_have_any_name(name: str) -> None:
    symbol = Symbol(name)
    expression = v.exp(symbol) * v.exp(symbol) + v.product_error(symbol, symbol) * y
    points = torch.tensor([0.5], dtype=torch.float64)
    got = compile_expression(expression, ("y", name))(points, points)
    renamed = compile_expression(v.exp(x) * v.exp(x) + v.product_error(x, x) * y, ("y", "x"))(
        points, points
    )
    assert torch.equal(got, renamed)


def test_readable_code_refuses_names_that_it_uses() -> None:
    for name in ("torch", "lambda", "product_error"):
        with pytest.raises(ValueError, match=name):
            source_lines(Symbol(name), (name,))
    source = source_lines(v.exp(Symbol("t1")) * v.exp(Symbol("t1")), ("t1",))
    assert source.lines == ("t2 = torch.exp(t1)",)


def test_one_argument_must_be_a_tensor() -> None:
    with pytest.raises(ValueError, match="must be a tensor"):
        compile_expression(x, ("x",), ("x",))


def test_code_is_compiled_once() -> None:
    expression = v.tanh(x) * y
    first = compile_expression(expression, ("x", "y"))
    assert compile_expression(expression, ("x", "y")) is first
    assert compile_expression(expression, ("x", "y"), ("y",)) is not first


def test_readable_code_says_which_helpers_it_needs() -> None:
    source = source_lines(v.product_error(x, y) + v.exp(x), ("x", "y"))
    assert source.helpers == ("product_error",)
    assert re.search(r"product_error\(x, y\)", source.results[0])
    assert source_lines(v.exp(x), ("x",)).helpers == ()
    assert set(aten.HELPERS) == {"product_error", "sum_error"}
