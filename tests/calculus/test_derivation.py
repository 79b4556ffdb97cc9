"""The derivation: every step is an equality, the last one is the derivative."""

from __future__ import annotations

import math
import pickle
import re

import flint
import mpmath
import pytest
from flint import arb

from gradsmith.calculus.derivation import Derivation, Step, derive_formula
from gradsmith.calculus.derivative import derivative
from gradsmith.calculus.exact import Evaluator
from gradsmith.calculus.inverse import derivative_by_output
from gradsmith.errors import DerivativeError
from gradsmith.formula.expression import Call, Expr, Symbol, rebuild, with_args
from gradsmith.formula.notation import D
from gradsmith.formula.parse import parse

x, y = Symbol("x"), Symbol("y")

FORMULAS = [
    "1/(1 + exp(-x))",
    "sigmoid(x)**2",
    "x * tanh(log(1 + exp(x)))",
    "x/2 * (1 + erf(x/sqrt(2)))",
    "x/(1 + abs(x))",
    "x if x > 0 else exp(x) - 1",
    "x**2 * exp(-x**2/2) + 3*x - 1",
    "log(cosh(x)) - sqrt(1 + x**2)",
    "2**x",
    "atan(x)/(2 + sin(x))",
    "max(x, 0.5)*min(x, 2)",
    "5",
]
POINTS = [-3.1, -0.7, 0.3, 1.9]


def _take_derivatives(node: Expr) -> Expr:
    """A step's expression with its unevaluated derivatives taken."""

    def take(old: Expr, args: tuple[Expr, ...]) -> Expr:
        new = with_args(old, args)
        if isinstance(new, Call) and new.function is D:
            u, variable = new.args
            assert isinstance(variable, Symbol)
            return derivative(u, variable)
        return new

    return rebuild(node, take)


@pytest.mark.parametrize("text", FORMULAS)
def test_every_step_is_an_equality(text: str) -> None:
    formula = parse(text, inputs=("x",))
    derivation = derive_formula(formula)
    values = Evaluator(formula.expression, ("x",))
    for step in derivation.steps:
        sides = [Evaluator(_take_derivatives(s), ("x", "y")) for s in (step.before, step.after)]
        for point in POINTS:
            output = values(point)
            before, after = (side(point, output, bits=60) for side in sides)
            assert (before - after).contains(0) or abs(before - after) < abs(before) * 1e-15, step


@pytest.mark.parametrize("text", FORMULAS)
def test_result_is_the_derivative(text: str) -> None:
    formula = parse(text, inputs=("x",))
    derivation = derive_formula(formula)
    f, slope = (Evaluator(e, ("x",)) for e in (formula.expression, derivation.result))

    def value(t: mpmath.mpf) -> mpmath.mpf:
        # Through text: the two libraries share no number type.
        ball = f.at_precision([_arb(t)], 400)
        with flint.ctx.workprec(400):
            return mpmath.mpf(ball.mid().str(100, radius=False))

    with mpmath.workdps(60):
        for point in POINTS:
            expected = mpmath.diff(value, mpmath.mpf(point), h=mpmath.mpf(10) ** -25)
            assert math.isclose(
                float(slope(point).mid()), float(expected), rel_tol=1e-14, abs_tol=1e-20
            )


def _arb(t: mpmath.mpf) -> arb:
    with flint.ctx.workprec(400):
        return arb(mpmath.nstr(t, 90))


def test_sigmoid_goes_from_power_to_output() -> None:
    """M2: as a power, chain rule, into terms of σ, σ′ = σ(1 − σ)."""
    derivation = derive_formula(parse("1/(1 + exp(-x))"))
    rules = [step.rule for step in derivation.steps]
    assert rules[0] == "write as a power"
    assert any("chain rule" in rule for rule in rules)
    assert rules[-1] == "in terms of the output"
    assert str(derivation.steps[0].after) == "D((1 + exp(-x))**(-1), x)"
    assert str(derivation.by_output) == "y*(1 - y)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sigmoid(x)", "y*(1 - y)"),
        ("1/(1 + exp(-x))", "y*(1 - y)"),
        ("exp(x)/(exp(x) + 1)", "y*(1 - y)"),
        ("tanh(x)", "1 - y**2"),
        ("(exp(x) - exp(-x))/(exp(x) + exp(-x))", "1 - y**2"),
        ("log(1 + exp(x))", "1 - exp(-y)"),
        ("softplus(x)", "1 - exp(-y)"),
        ("x if x > 0 else 1.5*(exp(x) - 1)", "where(x > 0, 1, 3/2 + y)"),
        ("log(1/(1 + exp(-x)))", "1 - exp(y)"),
        ("1/(1 + exp(-3*x))", "3*y*(1 - y)"),
        ("sqrt(x)", "1/(2*y)"),
        ("exp(2*x)", "2*y"),
    ],
)
def test_derivative_by_output_is_found(text: str, expected: str) -> None:
    found = derivative_by_output(parse(text).expression, x, y)
    assert str(found) == expected


@pytest.mark.parametrize("text", ["x*sigmoid(x)", "x**2", "sin(x)", "x + exp(x)"])
def test_no_derivative_by_output_where_there_is_none(text: str) -> None:
    """None of these is invertible piece by piece in closed form."""
    assert derivative_by_output(parse(text).expression, x, y) is None


def test_elu_with_a_parameter() -> None:
    formula = parse("where(x > 0, x, alpha*(exp(x) - 1))", {"alpha": 1.3})
    assert str(derive_formula(formula).by_output) == "where(x > 0, 1, alpha + y)"


def test_components_write_out_the_chain_rule() -> None:
    """M3: ∂y/∂xᵢ is the derivative at xᵢ, the other terms drop out."""
    derivation = derive_formula(parse("1/(1 + exp(-x))"))
    last = [step.after for step in derivation.components if step.rule == "the derivative above"]
    assert [str(e) for e in last] == [f"exp(-x_{i})/(1 + exp(-x_{i}))**2" for i in (1, 2, 3)]
    assert len(derivation.components) == 9


def test_upstream_gradient_multiplies() -> None:
    derivation = derive_formula(parse("tanh(x)"))
    assert str(derivation.upstream.after) == "g*(1 - tanh(x)**2)"


def test_names_that_are_taken_are_not_reused() -> None:
    derivation = derive_formula(parse("g*sigmoid(y)", {"g": 2.0}, inputs=("y",)))
    assert "g_" in str(derivation.upstream.after)
    assert derivation.by_output is None or "y_" in str(derivation.by_output)


def test_order_two_starts_from_the_first() -> None:
    derivation = derive_formula(parse("tanh(x)"), order=2)
    assert str(derivation.steps[0].before) == "D(1 - tanh(x)**2, x)"
    assert str(derivation.result) == "-2*(1 - tanh(x)**2)*tanh(x)"


def test_parameter() -> None:
    derivation = derive_formula(parse("x*sigmoid(beta*x)", {"beta": 1.0}), wrt="beta")
    slope = Evaluator(derivation.result, ("x", "beta"))
    s = 1 / (1 + math.exp(-0.6))
    assert math.isclose(float(slope(2.0, 0.3)), 4 * s * (1 - s), rel_tol=1e-15)


@pytest.mark.parametrize(("wrt", "order"), [("z", 1), (None, 0), (None, -1), (None, 1.5)])
def test_bad_requests_are_refused(wrt: str | None, order: int) -> None:
    with pytest.raises(DerivativeError, match=r"z|order"):
        derive_formula(parse("tanh(x)"), wrt, order)


def test_text_markdown_and_latex_have_every_rule() -> None:
    derivation = derive_formula(parse("where(x > 0, x, exp(x) - 1)"))
    for written in (str(derivation), derivation.to_markdown()):
        for step in derivation.steps:
            assert step.rule in written
        assert "x = 0" in written or not derivation.kinks
    latex = derivation.to_latex()
    assert latex.count("{") == latex.count("}")
    assert len(re.findall(r"&=", latex)) == len(derivation.steps) + 1


def test_is_data() -> None:
    derivation = derive_formula(parse("x**3"))
    assert isinstance(derivation, Derivation)
    assert all(isinstance(step, Step) for step in derivation.steps)


def test_pickles() -> None:
    derivation = derive_formula(parse("x*sigmoid(x)"))
    assert pickle.loads(pickle.dumps(derivation)) == derivation
