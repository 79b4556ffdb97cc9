"""What users hold: calling, arguments, derivatives, identity; and what becomes an activation."""

from __future__ import annotations

import inspect
import pickle
import sys
from copy import copy, deepcopy
from types import ModuleType
from typing import Any

import mpmath
import pytest
import torch

import gradsmith.catalogue  # noqa: F401  (its names are resolved below)
from gradsmith.activation import Activation, activation, resolve
from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Symbol
from gradsmith.formula.formula import Formula
from gradsmith.formula.parse import parse

SWISH = activation("x*sigmoid(beta*x)", beta=1.0, name="swish")
GATE = activation("a*sigmoid(c*b)", inputs=("a", "b"), c=1.0)


# Calling.


def test_parameters_by_position_by_name_or_by_default() -> None:
    x = torch.randn(5)
    assert torch.equal(SWISH(x), SWISH(x, 1.0))
    assert torch.equal(SWISH(x, 2.0), SWISH(x, beta=2.0))
    assert torch.equal(SWISH(x, 2), SWISH(x, beta=torch.tensor(2.0)))
    a, b = torch.randn(5), torch.randn(5)
    assert torch.equal(GATE(a, b, 3.0), GATE(a, c=3.0, b=b))
    assert torch.equal(SWISH(x=x, beta=2.0), SWISH(x, 2.0))


def test_gradients_flow_to_parameters() -> None:
    x, beta = torch.randn(5, dtype=torch.float64), torch.tensor(0.5, requires_grad=True)
    SWISH(x, beta=beta).sum().backward()
    assert beta.grad is not None
    s = torch.sigmoid(0.5 * x)
    torch.testing.assert_close(beta.grad, (x * x * s * (1 - s)).sum().float(), rtol=2e-7, atol=0)


def test_out() -> None:
    x, out = torch.randn(5), torch.empty(5)
    assert SWISH(x, out=out) is out
    assert torch.equal(out, SWISH(x))


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, r"swish\(x, beta=1.0, \*, out=None\): needs x"),
        ((torch.ones(2), 1.0, 2.0), {}, "takes 2 arguments, got 3"),
        ((torch.ones(2),), {"alpha": 1.0}, "no argument alpha"),
        ((torch.ones(2), 1.0), {"beta": 1.0}, "got twice beta"),
        ((torch.ones(2),), {"inplace": True}, "no argument inplace"),
        (([1.0],), {}, r"x must be a torch.Tensor, got list"),
        ((1.0,), {}, r"x must be a torch.Tensor, got float"),
        ((torch.ones(2), "2"), {}, "beta must be a tensor or a real number, got str"),
        ((torch.ones(2), None), {}, "beta must be a tensor or a real number, got NoneType"),
        ((torch.ones(2).cfloat(),), {}, "complex64"),
    ],
)
def test_wrong_arguments_are_named(
    args: tuple[Any, ...], kwargs: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        SWISH(*args, **kwargs)


def test_what_stands_for_a_tensor_decides_what_the_call_means() -> None:
    class Stand:
        @classmethod
        def __torch_function__(
            cls, function: Any, types: Any, args: Any, kwargs: Any = None
        ) -> Any:
            return function, args, kwargs

    stand = Stand()
    assert SWISH(stand, beta=2.0) == (SWISH, (stand,), {"beta": 2.0})


# What it tells about itself.


def test_it_describes_itself() -> None:
    assert repr(SWISH) == "Activation(swish: x*sigmoid(beta*x), beta=1.0)"
    assert repr(activation("x + 1")) == "Activation(x + 1)"
    assert len(repr(activation("+".join(["x"] * 120)))) < 150
    assert (SWISH.inputs, dict(SWISH.parameters)) == (("x",), {"beta": 1.0})
    assert SWISH.expression is SWISH.formula.expression
    assert (SWISH.__name__, SWISH.name, str(SWISH)) == ("swish", "swish", "x*sigmoid(beta*x)")
    assert activation("x + 1").__name__ == "activation"
    assert str(inspect.signature(SWISH)) == "(x, beta=1.0, *, out=None)"
    assert SWISH._repr_latex_().startswith("$")
    assert SWISH.save_plan().saved == ("x", "beta")


def test_equal_formulas_are_equal_activations() -> None:
    again = activation("x * sigmoid( beta*x )", beta=1.0, name="swish")
    assert activation(SWISH.formula) == SWISH
    assert hash(activation(SWISH.formula)) == hash(SWISH)
    assert again.expression is SWISH.expression
    assert activation(SWISH, beta=2.0) != SWISH
    assert str(SWISH) != SWISH


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        SWISH.name = "other"
    with pytest.raises(AttributeError, match="cannot be changed"):
        del SWISH.formula


def test_copies_and_pickles() -> None:
    assert copy(SWISH) is SWISH
    assert deepcopy(SWISH) is SWISH
    described = activation(SWISH, name="silu", beta=2.0)
    again = pickle.loads(pickle.dumps(described))
    assert again == described
    assert (again.name, dict(again.parameters)) == ("silu", {"beta": 2.0})


def test_an_activation_is_made_of_a_formula() -> None:
    with pytest.raises(TypeError, match="made of a Formula, got str"):
        Activation("x")  # type: ignore[arg-type]
    with pytest.raises(FormulaError, match="'out'"):
        activation("x*out", out=1.0)


# Derivatives.


def test_the_derivative_is_an_activation_of_the_same_arguments() -> None:
    first, second = SWISH.derivative(), SWISH.derivative(order=2)
    assert first.formula.arguments == second.formula.arguments == ("x", "beta")
    assert dict(first.parameters) == {"beta": 1.0}
    points = [-3.0, -0.5, 0.0, 1.25, 8.0]
    with mpmath.workdps(60):
        for order, derived in ((1, first), (2, second)):
            exact = [
                float(mpmath.diff(lambda t: t / (1 + mpmath.exp(-t)), mpmath.mpf(p), order))
                for p in points
            ]
            got = derived(torch.tensor(points, dtype=torch.float64))
            expected = torch.tensor(exact, dtype=torch.float64)
            # Some ten roundings of terms of size 1.
            torch.testing.assert_close(got, expected, rtol=4e-15, atol=1e-16)


# x²·σ(βx)·(1 − σ(βx)) in float64 for |x| > 1e154: told, and not what is tested here.
@pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning")
def test_derivatives_are_what_autograd_gives() -> None:
    x = torch.linspace(-4, 4, 33, dtype=torch.float64, requires_grad=True)
    beta = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    by_x, by_beta = torch.autograd.grad(SWISH(x, beta).sum(), (x, beta))
    with torch.no_grad():
        assert torch.equal(SWISH.derivative("x")(x, beta), by_x)
        torch.testing.assert_close(
            SWISH.derivative("beta")(x, beta).sum(), by_beta, rtol=1e-14, atol=1e-14
        )


def test_a_constant_derivative_can_be_called() -> None:
    slope = activation("3*x + b", b=1.0).derivative()
    x = torch.randn(2, 3).bfloat16()
    assert torch.equal(slope(x), torch.full_like(x, 3))
    assert torch.equal(slope.derivative()(x), torch.zeros_like(x))


def test_order_zero_is_the_activation_itself() -> None:
    assert SWISH.derivative(order=0) is SWISH


def test_wrong_derivatives_are_refused() -> None:
    with pytest.raises(ValueError, match="no input or parameter 'y'; it has x, beta"):
        SWISH.derivative("y")
    with pytest.raises(ValueError, match="-1"):
        SWISH.derivative(order=-1)
    for order in (1.0, True, "1"):
        with pytest.raises(TypeError, match="integer"):
            SWISH.derivative(order=order)  # type: ignore[arg-type]


def test_names_of_derivatives() -> None:
    assert SWISH.derivative().name == "swish′"
    assert SWISH.derivative(order=2).name == "swish″"
    assert SWISH.derivative(order=12).name == "swish⁽¹²⁾"
    assert SWISH.derivative("beta").name == "swish′_beta"
    assert GATE.derivative("a").name == "f′_a"


# What becomes an activation.


def test_text_names_formulas_and_activations() -> None:
    text = activation("x*tanh(x)")
    assert resolve("x*tanh(x)") == text
    assert resolve(text) is text
    formula = parse("x*tanh(x)")
    assert resolve(formula).formula is formula
    assert resolve("mish") == resolve(" mish ")
    assert resolve("mish").name == "mish"
    assert activation("y*tanh(y)").inputs == ("y",)
    assert resolve("x").expression is Symbol("x")


def test_defaults_and_name_may_be_replaced() -> None:
    steep = activation("leaky_relu", negative_slope=0.5, name="steep")
    assert (steep.name, dict(steep.parameters)) == ("steep", {"negative_slope": 0.5})
    assert dict(activation(SWISH, beta=3.0).parameters) == {"beta": 3.0}
    assert activation(SWISH.formula, name="silu").name == "silu"


@pytest.mark.parametrize(
    ("thing", "options", "message"),
    [
        ("mihs", {}, "'mihs'; did you mean 'mish'"),
        ("nothing_like_it", {}, "write a formula"),
        ("x +", {}, "cannot be read"),
        ("leaky_relu", {"slope": 1.0}, "leaky_relu has no parameter 'slope'.*negative_slope"),
        (SWISH, {"inputs": ("y",)}, r"inputs of swish are \('x',\)"),
        ("x·x", {}, r"write \*, not ·"),
        ("xⁿ", {}, r"write \*\*n"),
        ("log(-1)*x", {}, r"no real number: log\(-1\)"),
    ],
)
def test_what_cannot_be_read_is_said(thing: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        activation(thing, **options)


@pytest.mark.parametrize("thing", ["x*inputs", "leaky_relu", SWISH, lambda x: x])
def test_inputs_and_name_are_texts(thing: Any) -> None:
    with pytest.raises(TypeError, match=r"inputs= takes the name .* got 1\.0"):
        activation(thing, inputs=1.0)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match=r"name= is .* got 1\.0"):
        activation(thing, name=1.0)  # type: ignore[call-overload]


def test_a_default_that_float64_does_not_hold_is_named() -> None:
    for thing, name in (("x*b", "b"), ("leaky_relu", "negative_slope"), (SWISH, "beta")):
        with pytest.raises(ValueError, match=f"parameter '{name}' is too large"):
            activation(thing, **{name: 10**400})  # type: ignore[call-overload]


@pytest.mark.parametrize("given", ["ϵ", "ε"])
def test_names_are_those_that_python_reads(given: str) -> None:
    made: Activation = activation("ϵ*x", **{given: 2.0})  # type: ignore[call-overload]
    assert dict(made.parameters) == {"ε": 2.0}
    x = torch.tensor([3.0])
    assert float(made(x)) == 6
    call: Any = made
    assert float(call(x, **{given: 5.0})) == 15
    assert float(made.derivative(given)(x)) == 3
    assert activation(made, **{given: 2.0}) == made  # type: ignore[call-overload]


@pytest.mark.parametrize("thing", [3, None, ["x"]])
def test_anything_else_is_refused(thing: Any) -> None:
    if thing is None:
        assert callable(activation(thing))
        return
    with pytest.raises(TypeError, match=f"got {type(thing).__name__}"):
        resolve(thing)


def test_functions_are_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def trace(
        function: Any, parameters: Any = None, inputs: Any = None, name: Any = None
    ) -> Formula:
        seen.append((function.__name__, parameters, inputs, name))
        return parse("x*sigmoid(beta*x)", {"beta": 1.0, **(parameters or {})}, inputs, name)

    module = ModuleType("gradsmith.formula.trace")
    module.trace = trace  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gradsmith.formula.trace", module)

    @activation
    def swish(x: Any, beta: float = 1.0) -> Any:
        """Swish, by hand."""
        return x * torch.sigmoid(beta * x)

    @activation(beta=2.0, name="other")
    def named(x: Any, beta: float) -> Any:
        return x * torch.sigmoid(beta * x)

    assert seen == [("swish", None, None, None), ("named", {"beta": 2.0}, None, "other")]
    assert isinstance(swish, Activation)
    assert swish.doc == "Swish, by hand."
    assert isinstance(named, Activation)
    assert dict(named.parameters) == {"beta": 2.0}


def test_the_error_allowed_is_part_of_an_activation() -> None:
    usual, cheap = activation("1/(1 + exp(-x))"), activation("1/(1 + exp(-x))", max_ulp=4)
    assert cheap.max_ulp == 4
    assert cheap != usual
    assert activation(cheap) is cheap
    assert cheap.derivative().max_ulp == 4
    assert pickle.loads(pickle.dumps(cheap)) == cheap
    x = torch.linspace(-20, 20, 4001)
    exact = usual(x.double())
    unit = torch.ldexp(torch.full_like(exact, 2.0**-24), torch.frexp(exact)[1])
    assert float(((cheap(x).double() - exact).abs() / unit).max()) <= 4
    assert not torch.equal(cheap(x), usual(x))
    with pytest.raises(ValueError, match=r"max_ulp is a number of at least 1, got 0\.5"):
        activation("x*sigmoid(x)", max_ulp=0.5)
