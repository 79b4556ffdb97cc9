"""The LaTeX reads as the expression it was made from, and as a paper would print it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import FUNCTIONS, Expr, Function, Symbol, walk
from gradsmith.formula.latex import to_latex
from gradsmith.formula.layout import partial_derivative, register_layout, total_derivative
from gradsmith.formula.parse import parse
from tests.formula.expressions import expressions, value
from tests.formula.latex_reader import NAMES, Reader

PUBLISHED = {
    "1/(1 + exp(-x))": r"\frac{1}{1 + e^{-x}}",
    "log(1 + exp(x))": r"\log(1 + e^{x})",
    "x * tanh(log(1 + exp(x)))": r"x \tanh(\log(1 + e^{x}))",
    "x/(1 + exp(-x))": r"\frac{x}{1 + e^{-x}}",
    "exp(x) - 1": r"e^{x} - 1",
    "1 + erf(x)": r"1 + \operatorname{erf}(x)",
    "1 - sigmoid(x)": r"1 - \sigma(x)",
    "1 - tanh(x)**2": r"1 - \tanh^{2}(x)",
    "x - tanh(x)": r"x - \tanh(x)",
    "x*sigmoid(x)": r"x\,\sigma(x)",
    "x*sigmoid(1.702*x)": r"x\,\sigma(1.702\,x)",
    "x*ndtr(x)": r"x\,\Phi(x)",
    "sigmoid(x)*(1 - sigmoid(x))": r"\sigma(x)(1 - \sigma(x))",
    "x/2 * (1 + erf(x/sqrt(2)))": (
        r"\frac{x}{2}\left(1 + \operatorname{erf}\left(\frac{x}{\sqrt{2}}\right)\right)"
    ),
    "x/(1 + abs(x))": r"\frac{x}{1 + \left|x\right|}",
    "where(x > 0, x, exp(x) - 1)": (
        r"\begin{cases} x & \text{if } x > 0 \\ e^{x} - 1 & \text{otherwise} \end{cases}"
    ),
    "where(x <= -3, 0, where(x >= 3, x, x*(x + 3)/6))": (
        r"\begin{cases} 0 & \text{if } x \le -3 \\ x & \text{if } x \ge 3 \\ "
        r"\frac{x(x + 3)}{6} & \text{otherwise} \end{cases}"
    ),
    "exp(-x**2/2)/sqrt(2*pi)": r"\frac{e^{-x^{2}/2}}{\sqrt{2\pi}}",
    "max(x, 0)": r"\max(x, 0)",
    "min(max(x, -1), 1)": r"\min(\max(x, -1), 1)",
    "relu(x)**2": r"\operatorname{ReLU}^{2}(x)",
}

BRACKETS = {
    "x - (x - 1)": "x - (x - 1)",
    "x - (-2)": "x - (-2)",
    "x + (x - 1)": "x + x - 1",
    "x + -2*x": "x - 2x",
    "x*-2": "x(-2)",
    "x*2": r"x \cdot 2",
    "2*3*x": r"2 \cdot 3x",
    "2*(1/2)": r"2 \cdot \frac{1}{2}",
    "2**x*3**x": r"2^{x} \cdot 3^{x}",
    "-x**2": "-x^{2}",
    "(-x)**2": "(-x)^{2}",
    "-(-x)": "-(-x)",
    "-(x + 1)": "-(x + 1)",
    "-x/2": r"-\frac{x}{2}",
    "-(x + 1)/2": r"-\frac{x + 1}{2}",
    "(1 - x)/2": r"\frac{1 - x}{2}",
    "x**x**x": "x^{x^{x}}",
    "(x**x)**x": "(x^{x})^{x}",
    "(1/2)**x": r"\left(\frac{1}{2}\right)^{x}",
    "x**(1/3)": "x^{1/3}",
    "exp(x/(2*x))": "e^{x/(2x)}",
    "exp(x)**2": "(e^{x})^{2}",
    "sqrt(x)**2": r"(\sqrt{x})^{2}",
    "abs(x)**2": r"\left|x\right|^{2}",
    "tanh(x)**-1": r"(\tanh(x))^{-1}",
    "tanh(x)**0.5": r"(\tanh(x))^{1/2}",
    "tanh(x**2)": r"\tanh(x^{2})",
    "(tanh(x)**2)**2": r"(\tanh^{2}(x))^{2}",
    "exp(exp(exp(x)))": r"\exp(e^{e^{x}})",
    "exp(where(x > 0, x, 0))": (
        r"\exp\left(\begin{cases} x & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}\right)"
    ),
    "1 + where(x > 0, x, 0)": (
        r"1 + \begin{cases} x & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}"
    ),
    "where(x > 0, x, 0) + 1": (
        r"\left(\begin{cases} x & \text{if } x > 0 \\ 0 & \text{otherwise} \end{cases}\right) + 1"
    ),
    "0.1*x": r"0.1\,x",
    "1e-10*x": "10^{-10}x",
    "2.5e-7*x": r"2.5 \cdot 10^{-7}x",
    "1e30*x": "10^{30}x",
    "square(x) + reciprocal(x) + log1p(x)": r"x^{2} + \frac{1}{x} + \log(1 + x)",
    "exp2(x) + log2(x)": r"2^{x} + \log_{2}(x)",
}


@pytest.mark.parametrize(("text", "latex"), [*PUBLISHED.items(), *BRACKETS.items()])
def test_is_set_as_a_paper_sets_it(text: str, latex: str) -> None:
    assert to_latex(parse(text).expression) == latex


@pytest.mark.parametrize(("name", "latex"), NAMES.items())
def test_names_become_letters_and_subscripts(name: str, latex: str) -> None:
    assert to_latex(Symbol(name)) == latex


def test_a_variable_is_not_taken_for_a_function() -> None:
    x, sigma, slope, g = (Symbol(name) for name in ("x", "σ", "slope", "g"))
    assert to_latex(sigma * (1 - sigma)) == r"\sigma \cdot (1 - \sigma)"
    assert to_latex(sigma**2 * (1 - x)) == r"\sigma^{2} \cdot (1 - x)"
    assert to_latex(slope * (1 - x)) == r"\mathrm{slope} \cdot (1 - x)"
    assert to_latex(g * (1 - x)) == r"g \cdot (1 - x)"
    assert to_latex(x * (1 - x)) == "x(1 - x)"


def test_a_function_of_one_letter_is_set_like_a_variable() -> None:
    f, derived = (Function(name=name, arity=1, internal=True) for name in ("q", "q′"))
    try:
        x = Symbol("x")
        assert to_latex(2 * f(x) * derived(x)) == r"2\,q(x)\,q'(x)"
    finally:
        del FUNCTIONS[f.name], FUNCTIONS[derived.name]


def test_an_exponent_at_a_name_is_a_power_and_nothing_else() -> None:
    tanh = v.tanh(Symbol("x"))
    assert to_latex(tanh**2) == r"\tanh^{2}(x)"
    assert to_latex(tanh**-1) == r"(\tanh(x))^{-1}"
    assert to_latex(tanh ** Fraction(1, 2)) == r"(\tanh(x))^{1/2}"


def test_a_prime_and_an_exponent_stand_together() -> None:
    assert to_latex(Symbol("y′") ** 2) == "{y'}^{2}"


def test_a_registered_layout_is_used() -> None:
    d = Function(name="test_latex_total", arity=2, internal=True)
    partial = Function(name="test_latex_partial", arity=2, internal=True)
    try:
        register_layout(d, total_derivative)
        register_layout(partial, partial_derivative)
        x, y = Symbol("x"), Symbol("y")
        assert to_latex(d(v.tanh(x), x)) == r"\frac{d}{dx}\left[\tanh(x)\right]"
        assert to_latex(2 * d(x**2, x)) == r"2\,\frac{d}{dx}\left[x^{2}\right]"
        assert to_latex(d(y, x)) == r"\frac{dy}{dx}"
        beta = Symbol("beta")
        assert to_latex(partial(y, beta)) == r"\frac{\partial y}{\partial\beta}"
        assert to_latex(d(x + 1, x) ** 2) == (r"\left(\frac{d}{dx}\left[x + 1\right]\right)^{2}")
        assert to_latex(v.EQ(d(y, x), 1 - y**2)) == r"\frac{dy}{dx} = 1 - y^{2}"
    finally:
        del FUNCTIONS[d.name], FUNCTIONS[partial.name]


def test_depth_is_no_limit() -> None:
    x: Expr = Symbol("x")
    for _ in range(5000):
        x = v.tanh(x)
    assert to_latex(x) == r"\tanh(" * 5000 + "x" + ")" * 5000


@settings(derandomize=True, max_examples=250, deadline=None)
@given(expressions())
def test_reads_back_as_the_same_expression(expression: Expr) -> None:
    latex = to_latex(expression)
    assert Reader(latex).whole() == value(expression), latex


@settings(derandomize=True, max_examples=100, deadline=None)
@given(expressions())
def test_mathtext_shows_what_has_no_cases(expression: Expr) -> None:
    # Matplotlib has an independent reader of LaTeX, which refuses unbalanced or unknown commands.
    mathtext = pytest.importorskip("matplotlib.mathtext")
    if not any(getattr(node, "function", None) is v.where for node in walk(expression)):
        mathtext.MathTextParser("agg").parse(f"${to_latex(expression)}$")
