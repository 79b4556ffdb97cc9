"""A traced function is the formula that it computes, and what cannot be traced says so.

The oracle is PyTorch itself: the traced expression, evaluated with torch's own operations, has the
function's values and gradients in float64, also at kinks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradsmith
from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Call, Expr, Number, Symbol, walk
from gradsmith.formula.parse import parse
from gradsmith.formula.trace import trace

POINTS = [-7.3, -3.0, -2.0, -1.0, -0.5, -0.2, 0.0, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 6.0, 7.1]


def evaluate(expression: Expr, values: dict[str, Tensor]) -> Tensor:
    """The expression with torch's own operations; autograd then has torch's conventions."""
    done: dict[Expr, Any] = {}
    for node in walk(expression):
        if isinstance(node, Number):
            done[node] = torch.tensor(float(node.value), dtype=torch.float64)
        elif isinstance(node, Symbol):
            done[node] = values[node.name]
        else:
            assert isinstance(node, Call)
            done[node] = torch_function(node.function.name)(*(done[arg] for arg in node.args))
    result: Tensor = done[expression]
    return result


def torch_function(name: str) -> Callable[..., Tensor]:
    others: dict[str, Callable[..., Tensor]] = {
        "pi": lambda: torch.tensor(math.pi, dtype=torch.float64),
        "e": lambda: torch.tensor(math.e, dtype=torch.float64),
        "max": torch.maximum,
        "min": torch.minimum,
        # torch.special.ndtr cancels below zero.
        "ndtr": lambda x: torch.erfc(-x / math.sqrt(2)) / 2,
        "softplus": partial(F.softplus, threshold=1e9),
    }
    if name in others:
        return others[name]
    found: Callable[..., Tensor] = getattr(torch, name, None) or getattr(torch.special, name)
    return found


def text_of(function: Callable[..., Any], **options: Any) -> str:
    return str(trace(function, **options).expression)


SAME_AS_TEXT: list[tuple[Callable[..., Any], str]] = [
    (lambda x: x * torch.tanh(torch.log(1 + torch.exp(x))), "x * tanh(log(1 + exp(x)))"),
    (lambda x: x * (1 + x.exp()).log().tanh(), "x * tanh(log(1 + exp(x)))"),
    (lambda x: x * torch.tanh(F.softplus(x)), "x*tanh(softplus(x))"),
    (lambda x: F.softplus(x, beta=2.0), "softplus(x, beta=2.0)"),
    (lambda x: F.mish(x) ** 2, "mish(x)**2"),
    (lambda x: F.leaky_relu(x), "leaky_relu(x)"),
    (lambda x: F.leaky_relu(x, 0.2), "leaky_relu(x, 0.2)"),
    (lambda x: F.elu(x, alpha=0.5), "elu(x, alpha=0.5)"),
    (lambda x: F.hardtanh(x), "hardtanh(x)"),
    (lambda x: F.hardtanh(x, -2.0, 3.0), "hardtanh(x, -2, 3)"),
    (lambda x: F.gelu(x), "gelu(x)"),
    (lambda x: F.gelu(x, approximate="tanh"), "gelu_tanh(x)"),
    (lambda x: F.logsigmoid(x), "logsigmoid(x)"),
    (lambda x: F.threshold(x, 0.1, 20.0), "threshold(x, 0.1, 20)"),
    (lambda x: torch.sigmoid(x), "sigmoid(x)"),
    (lambda x: torch.special.expit(x), "sigmoid(x)"),
    (lambda x: x.sigmoid(), "sigmoid(x)"),
    (lambda x: torch.special.ndtr(x), "ndtr(x)"),
    (lambda x: torch.special.expm1(x) + x.log1p(), "expm1(x) + log1p(x)"),
    (lambda x: abs(x) + +x, "abs(x) + x"),
    (lambda x: -(x**2), "-x**2"),
    (lambda x: x.pow(2) + torch.pow(x, exponent=3) + 2**x, "x**2 + x**3 + 2**x"),
    (lambda x: 1 - x / 2 + 3 / x - 0.1 * x, "1 - x/2 + 3/x - 0.1*x"),
    (lambda x: x * -1.5, "x * -1.5"),
    (lambda x: torch.where(x > 0, x, 0.0), "where(x > 0, x, 0)"),
    (lambda x: x.where(x > 0, 0.0), "where(x > 0, x, 0)"),
    (lambda x: x.masked_fill(x <= 0, 0.0), "where(x <= 0, 0, x)"),
    (
        lambda x: torch.where((x > 0) & ~(x == 3) | (x < -1), x, 1),
        "where(x > 0 and not x == 3 or x < -1, x, 1)",
    ),
    (lambda x: x.clamp(min=0), "where(x < 0, 0, x)"),
    (lambda x: x.clamp_max(1), "where(x > 1, 1, x)"),
    (lambda x: torch.clamp(x, -1, 1), "clip(x, -1, 1)"),
    (lambda x: torch.maximum(x, torch.zeros_like(x)), "max(x, 0)"),
    (lambda x: torch.min(x, torch.full_like(x, 6.0)), "min(x, 6)"),
    (lambda x: (x > 0) * x, "where(x > 0, 1, 0)*x"),
    (lambda x: (x > 0).float() * x, "where(x > 0, 1, 0)*x"),
    (lambda x: x * math.pi, "x*pi"),
    (lambda x: x * np.float64(0.1), "x*0.1"),
    (lambda x: np.float64(0.5) * x - np.float32(0.25), "0.5*x - 0.25"),
    (lambda x: torch.tensor(2.0) - x, "2 - x"),
    (lambda x: torch.square(x) + torch.reciprocal(x), "square(x) + reciprocal(x)"),
    (lambda x: torch.add(x, 1, alpha=2) - torch.rsub(x, 3), "x + 2*1 - (3 - x)"),
    (lambda x: torch.sub(x, other=x), "x - x"),
    (lambda x: torch.lerp(x, x**2, 0.25), "x + 0.25*(x**2 - x)"),
    (lambda x: torch.addcmul(x, x, x, value=0.5), "x + 0.5*x*x"),
    (lambda x: gradsmith.mish(x) ** 2, "mish(x)**2"),
    (lambda x: gradsmith.gelu(x, approximate="tanh"), "gelu_tanh(x)"),
    (lambda x: nn.Softplus()(x) + nn.ELU(0.5)(x), "softplus(x) + elu(x, alpha=0.5)"),
    (lambda x: nn.Sequential(nn.Tanh(), nn.Dropout().eval(), nn.SiLU())(x), "silu(tanh(x))"),
]


@pytest.mark.parametrize(("function", "text"), SAME_AS_TEXT)
def test_both_ways_in_give_one_expression(function: Callable[..., Any], text: str) -> None:
    assert trace(function).expression is parse(text).expression


WITH_KINKS: list[Callable[[Any], Any]] = [
    lambda x: x.clamp(min=0.5),
    lambda x: x.clamp(max=0.5),
    lambda x: torch.clamp(x, -1, 1),
    lambda x: x.clip(min=torch.tensor(-1.0), max=torch.tensor(2.0)),
    lambda x: torch.maximum(x, torch.zeros_like(x)),
    lambda x: torch.max(x, x**2),
    lambda x: torch.minimum(x, torch.ones_like(x)),
    lambda x: x * (x > 0),
    lambda x: torch.where(x >= 1, x**2, 2 * x),
    lambda x: x.relu() + x.abs(),
    lambda x: torch.lerp(x, x.exp(), 0.3),
    lambda x: torch.addcdiv(x, x.sin(), 2 + x.cos(), value=3),
    lambda x: torch.logaddexp(x, -x),
    lambda x: torch.hypot(x, 1 + x),
    lambda x: torch.logit(torch.sigmoid(x / 4)),
    lambda x: torch.special.log_ndtr(x),
    lambda x: torch.div(x, 3).double().contiguous().clone(),
    lambda x: F.rrelu(x, 0.1, 0.3),
    lambda x: F.softplus(x, 2.0, 1.0),
    lambda x: torch.special.erfcx(x),
]
MODULES: list[nn.Module] = [
    nn.GELU(), nn.GELU("tanh"), nn.Softplus(2.0), nn.ELU(0.7), nn.CELU(0.7), nn.SELU(), nn.SiLU(),
    nn.Mish(), nn.Hardtanh(-2, 3), nn.Hardswish(), nn.Hardsigmoid(), nn.Hardshrink(),
    nn.Softshrink(), nn.Tanhshrink(), nn.LogSigmoid(), nn.Softsign(), nn.ReLU(), nn.ReLU6(),
    nn.LeakyReLU(), nn.Threshold(0.5, 20.0), nn.Sigmoid(), nn.Tanh(), nn.RReLU().eval(),
]  # fmt: skip


@pytest.mark.parametrize("function", [*WITH_KINKS, *MODULES])
def test_values_and_gradients_are_torchs(function: Callable[..., Any]) -> None:
    formula = trace(function)
    given = torch.tensor(POINTS, dtype=torch.float64, requires_grad=True)
    again = given.detach().clone().requires_grad_()
    expected = function(given)
    found = evaluate(formula.expression, {"x": again})
    expected.sum().backward()
    found.sum().backward()
    # PyTorch rounds some of its constants to float32, such as the 1/6 of hardsigmoid, and its
    # softplus drops at most log(1 + exp(-20)).
    torch.testing.assert_close(found, expected, rtol=2**-24, atol=2.1e-9)
    torch.testing.assert_close(again.grad, given.grad, rtol=2**-24, atol=2.1e-9)


def test_defaults_are_parameters() -> None:
    def swish(x: Any, beta: float = 1.0, *, shift: int = 2, flag: bool = True) -> Any:
        return x * torch.sigmoid(beta * x) + shift if flag else x

    formula = trace(swish)
    assert formula.inputs == ("x",)
    assert dict(formula.parameters) == {"beta": 1.0, "shift": 2.0}
    assert str(formula) == "x*sigmoid(beta*x) + shift"
    assert formula.name == formula.source == "swish"
    assert trace(swish, name="silu").name == "silu"
    assert dict(trace(swish, {"beta": 3}).parameters) == {"beta": 3.0, "shift": 2.0}
    assert trace(swish, inputs=("beta", "x")).inputs == ("beta", "x")


def test_arguments_without_default_are_inputs() -> None:
    assert trace(lambda a, b: a * torch.sigmoid(b)).inputs == ("a", "b")
    formula = trace(lambda x, slope: slope * x, parameters={"slope": 0.25})
    assert (formula.inputs, dict(formula.parameters)) == (("x",), {"slope": 0.25})
    assert trace(lambda x: x).name is None


def test_torchs_own_functions_take_x() -> None:
    for function in (torch.tanh, F.mish, nn.GELU(), F.softplus):
        assert trace(function).inputs == ("x",)
    assert dict(trace(F.leaky_relu).parameters) == {"negative_slope": 0.01}


def test_a_partial_binds_what_is_no_parameter() -> None:
    def power_sum(x: Any, terms: int) -> Any:
        return sum(x**k for k in range(1, terms + 1))

    bound = partial(power_sum, terms=3)
    with pytest.raises(FormulaError, match="range"):
        trace(bound)
    assert str(trace(lambda x: power_sum(x, 3))) == "0 + x**1 + x**2 + x**3"


class Own(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class AddsInPlace:
    def __call__(self, x: Any) -> Any:
        x += 1
        return x


def test_a_module_and_a_callable_object_are_functions() -> None:
    assert str(trace(Own())) == "x*sigmoid(1.702*x)"
    assert trace(Own()).name == "Own"


def loops(x: Any) -> Any:
    while x > 1:
        x = x / 2
    return x


REFUSED: list[tuple[Callable[..., Any], str]] = [
    (lambda x: x if x > 0 else 0 * x, r"torch\.where\(x > 0, a, b\)"),
    (loops, r"torch\.where\(x > 1, a, b\)"),
    (lambda x: max(x, 0), r"torch\.maximum"),
    (lambda x: torch.where(0 < x < 1, x, 0), "chained comparison"),  # type: ignore[arg-type]
    (lambda x: x if x else 0, r"torch\.where\(x != 0, a, b\)"),
    (lambda x: math.exp(x), r"torch\.exp\(x\) for math\.exp\(x\)"),
    (lambda x: np.exp(x), r"np\.exp\(x\).*torch\.exp\(x\)"),
    (lambda x: np.add.reduce(x), "np.add"),
    (lambda x: float(x), r"float\(x\)"),
    (lambda x: int(x), r"int\(x\)"),
    (lambda x: x.item(), "Tensor.item"),
    (lambda x: x.sum(), "Tensor.sum.*each element by itself"),
    (lambda x: torch.softmax(x, -1), "torch.softmax.*each element by itself"),
    (lambda x: F.softmax(x, -1), "torch.nn.functional.softmax.*each element by itself"),
    (lambda x: torch.max(x), r"torch.max.*torch.maximum\(a, b\)"),
    (lambda x: torch.max(x, 0), r"torch.max.*torch.maximum\(a, b\)"),
    (lambda x: x.mean(), "Tensor.mean"),
    (lambda x: x @ x, "@"),
    (lambda x: nn.Linear(1, 1)(x), "torch.nn.functional.linear"),
    (lambda x: F.glu(x), r"glu.*a \* torch.sigmoid\(b\)"),
    (lambda x: F.dropout(x), "dropout.*random"),
    (lambda x: nn.RReLU()(x), "rrelu.*training=False"),
    (lambda x: x * torch.rand_like(x), "torch.rand_like.*random"),
    (lambda x: x.view(-1), "Tensor.view.*shape"),
    (lambda x: x[0], "indexing"),
    (lambda x: x[..., :2], "indexing"),
    (lambda x: list(x), "iteration"),
    (lambda x: len(x) * x, r"len\(x\)"),
    (lambda x: x * x.shape[0], r"x\.shape"),
    (lambda x: x.to(x.dtype), r"x\.dtype"),
    (lambda x: x.to(torch.float16), r"torch\.float16"),
    (lambda x: x.detach() * x, "Tensor.detach.*derivative"),
    (lambda x: x.data, r"x\.data.*derivative"),
    (lambda x: x.relu_(), "Tensor.relu_.*in place"),
    (lambda x: torch.relu_(x), "torch.relu_.*in place"),
    (lambda x: F.relu(x, inplace=True), "torch.nn.functional.relu.*in place"),
    (lambda x: nn.ReLU(inplace=True)(x), "torch.nn.functional.relu.*in place"),
    (lambda x: torch.exp(x, out=torch.empty(1)), "torch.exp.*out="),
    (AddsInPlace(), r"\+=.*in place.*x = x \+ y"),
    (lambda x: 1j * x, "real numbers.*1j"),
    (lambda x: x + "a", "real numbers.*'a'"),
    (lambda x: x * math.inf, "finite"),
    (lambda x: x * torch.ones(3), r"shape \(3,\)"),
    (nn.PReLU(), "learnable tensor"),
    (lambda x: torch.tanh(1.0 * x) // 2, "//"),
    (lambda x: round(x), "round"),
    (lambda x: torch.floor(x), "torch.floor.*rounds"),
    (lambda x: torch.erfinv(x), "torch.erfinv.*did you mean 'erf'.*Accepted are"),
    (lambda x: x.foo(), "foo"),
    (lambda x: torch.where(x, 1, 2), "torch.where.*condition"),
    (lambda x: x & 1, "condition"),
    (lambda x: torch.logical_not(x), "torch.logical_not.*condition"),
    (lambda x: torch.div(x, 2, rounding_mode="floor"), "rounding_mode"),
    (lambda x: F.gelu(x, approximate="fast"), "'none' or 'tanh'"),
    (lambda x: F.threshold(x, None, 1.0), "real numbers"),
    (lambda x: x.clamp(), "min, max or both"),
    (lambda x: torch.tensor(x), "torch.tensor"),
    (lambda x: None, "None"),
    (lambda x: (x, x), "tuple"),
    (lambda x: 2.0, "float"),
    (lambda x: torch.tensor(1.0), "Tensor"),
    (lambda x: torch.ones_like(x), "constant"),
    (lambda x: x > 0, r"torch\.where\(condition, 1\.0, 0\.0\)"),
    (lambda x: x / 0, "divides by zero"),
    (lambda x: 1 / 0 * x, "ZeroDivisionError"),
    (lambda x: x * (2.0**600) ** 2, "OverflowError"),
    (lambda x, eps=1e-6: x, "'eps' does not occur"),
    (lambda e: e, "'e' is a function"),
    (lambda: 1, "has no input"),
    (lambda *args: args[0], "has no input"),
    (lambda x=1.0: x, "has no input"),
]


@pytest.mark.parametrize(("function", "message"), REFUSED)
def test_what_cannot_be_traced_says_why(function: Callable[..., Any], message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        trace(function)


DRAWING: list[tuple[Callable[..., Any], str]] = [
    (lambda x: x * torch.rand(1), "torch.rand"),
    (lambda x: x * torch.randn(()), "torch.randn"),
    (lambda x: x * torch.rand_like(torch.ones(1)), "torch.rand_like"),
    (lambda x: x * torch.bernoulli(torch.tensor(0.5)), "torch.bernoulli"),
    (lambda x: x * torch.normal(0.0, 1.0, (1,)), "torch.normal"),
    (lambda x: x * torch.randint(3, (1,)), "torch.randint"),
    (lambda x: x * torch.randperm(1), "torch.randperm"),
    (lambda x: x * torch.empty(1).uniform_(), "Tensor.uniform_"),
    (lambda x: x * torch.empty(1).exponential_().item(), "Tensor.exponential_"),
    (lambda x: x * torch.distributions.Normal(0.0, 1.0).sample(), "torch.normal"),
    (lambda x: x * torch.randn(1, generator=torch.Generator().manual_seed(1)), "torch.randn"),
    (lambda x: x * F.dropout(torch.ones(1)), "Tensor.bernoulli_"),
    (lambda x: x if torch.rand(()) < 2 else 2 * x, "torch.rand"),
]


@pytest.mark.parametrize(("function", "name"), DRAWING)
def test_a_random_number_is_no_constant(function: Callable[..., Any], name: str) -> None:
    state = torch.get_rng_state()
    with pytest.raises(FormulaError, match=f"{name} cannot be traced: it draws random numbers"):
        trace(function)
    torch.set_rng_state(state)


def test_other_tensors_of_the_function_are_constants() -> None:
    assert text_of(lambda x: x * torch.tensor([4.0]).sqrt()) == "x*2"
    assert text_of(lambda x: x * F.dropout(torch.ones(1), training=False)) == "x*1"
    assert text_of(lambda x: x + torch.zeros(1).fill_(3)) == "x + 3"


def test_names_are_given_as_python_reads_them() -> None:
    for given in ("ϵ", "ε"):
        formula = trace(lambda x, ε=1.0: ε * x, parameters={given: 2.0})
        assert (formula.inputs, dict(formula.parameters)) == (("x",), {"ε": 2.0})
        assert trace(lambda x, ε=1.0: ε * x, inputs=("x", given)).inputs == ("x", "ε")


def test_what_is_given_is_checked() -> None:
    with pytest.raises(ValueError, match="parameter 'b' is too large for float64"):
        trace(lambda x, b=10**400: x * b)
    with pytest.raises(TypeError, match="inputs= takes the name"):
        trace(lambda x: x, inputs=1.0)  # type: ignore[arg-type]


def test_wrong_names_are_refused() -> None:
    with pytest.raises(FormulaError, match=r"no argument 'gamma'; it takes \(x\)"):
        trace(lambda x: x, parameters={"gamma": 1.0})
    with pytest.raises(FormulaError, match="no argument 'y'"):
        trace(lambda x: x, inputs=("y",))
    with pytest.raises(FormulaError, match="both as an input and as a parameter"):
        trace(lambda x, a: a * x, parameters={"a": 1.0}, inputs=("x", "a"))
    with pytest.raises(FormulaError, match="'a' of the function is neither"):
        trace(lambda x, a: a * x, inputs=("x",))
    with pytest.raises(TypeError, match="a function is traced, got int"):
        trace(3)  # type: ignore[arg-type]


def test_an_error_of_the_function_is_kept_as_the_cause() -> None:
    def broken(x: Any) -> Any:
        raise KeyError("scale")

    with pytest.raises(FormulaError, match="stopped with KeyError: 'scale'") as caught:
        trace(broken)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_formula_that_explodes_is_refused() -> None:
    def doubling(x: Any) -> Any:
        for _ in range(200):
            x = x * x
        return x

    with pytest.raises(FormulaError, match="terms"):
        trace(doubling)


def test_a_long_loop_is_no_limit() -> None:
    def long(x: Any) -> Any:
        for _ in range(3000):
            x = torch.tanh(x)
        return x

    assert text_of(long) == "tanh(" * 3000 + "x" + ")" * 3000


def test_a_tracer_shows_what_it_stands_for() -> None:
    seen = []

    def peeks(x: Any) -> Any:
        seen.append(repr(torch.exp(x)))
        return x

    trace(peeks)
    assert seen == ["<traced exp(x)>"]
