"""Derivatives against mpmath's numerical differentiation, at kinks against PyTorch's autograd."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import mpmath
import pytest
import torch
from mpmath import mp

from gradsmith.calculus.derivative import derivative, differentiate
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Expr, Function, Number, Symbol
from gradsmith.formula.parse import parse
from tests.calculus.oracle import Real, UndefinedError, agree, evaluate, exact, value_of

# The table as it is: a record added later is tested without a change here.
RECORDS = list(dict.fromkeys(r for r in vars(v).values() if isinstance(r, Function)))
DIFFERENTIABLE = [record for record in RECORDS if record.partials]
WITHOUT_PARTIALS = {v.where, v.pi, v.e, v.heaviside, v.product_error, v.sum_error, v.tabulated}

# On both sides of every kink (0, and two equal arguments) and on none.
PLACES = (0.3, -0.7, 1.7, 2.5, -2.2)
NAMES = ("a", "b", "c")

DIGITS = 30  # of the numerical derivative's 60


def numerical(root: Expr, wrt: str, point: dict[str, float], order: int = 1) -> Real:
    """∂ⁿroot/∂wrtⁿ at the point, or None where there is none."""

    def along(t: Real) -> Real:
        return evaluate(root, {**{n: mpmath.mpf(p) for n, p in point.items()}, wrt: t})

    with mp.workdps(60):
        try:
            return mpmath.diff(along, mpmath.mpf(point[wrt]), order, h=mpmath.mpf(10) ** -50)
        except UndefinedError:
            return None


def test_only_what_is_constant_or_a_choice_has_no_partial() -> None:
    without = {r for r in RECORDS if not r.partials and not r.boolean}
    assert without <= WITHOUT_PARTIALS
    for record in DIFFERENTIABLE:
        assert len(record.partials) == record.arity


@pytest.mark.parametrize(
    ("record", "argument"),
    [(record, i) for record in DIFFERENTIABLE for i in range(record.arity)],
    ids=lambda value: value.name if isinstance(value, Function) else NAMES[value],
)
def test_every_partial_of_every_record(record: Function, argument: int) -> None:
    names = NAMES[: record.arity]
    root = record(*(Symbol(name) for name in names))
    ours = differentiate(root, Symbol(names[argument]))
    compared = 0
    for places in product(PLACES, repeat=record.arity):
        if len(set(places)) < len(places):
            continue
        if record is v.clip and places[1] > places[2]:
            continue
        point = dict(zip(names, places, strict=True))
        theirs = numerical(root, names[argument], point)
        if theirs is None:
            continue
        compared += 1
        assert agree(value_of(ours, **point), theirs, DIGITS) or (
            theirs == 0 and value_of(ours, **point) == 0
        ), point
    assert compared >= 3


FORMULAS: list[tuple[str, dict[str, float]]] = [
    ("1/(1+exp(-x))", {}),
    ("x*tanh(log(1+exp(x)))", {}),
    ("x*sigmoid(beta*x)", {"beta": 1.5}),
    ("x/2*(1+erf(x/sqrt(2)))", {}),
    ("(1+x**2)**p - sin(x)*cos(p*x)", {"p": 0.7}),
    ("where(x > 0.1, x**3, a*(exp(x)-1))", {"a": 1.2}),
    ("max(x, a*x)*min(x, 2) + clip(x, -1, 1)*abs(x)", {"a": 0.25}),
    ("exp(-x**2/2)/sqrt(2*pi*s**2)", {"s": 0.8}),
    ("log(1+exp(beta*x))/beta", {"beta": 2.0}),
    ("x/(1+abs(x))**k", {"k": 1.5}),
    ("asinh(x)*atan(x*k)", {"k": -0.5}),
    ("(x + k)/(x**2 + k**2)", {"k": 0.9}),
]


@pytest.mark.parametrize(("text", "parameters"), FORMULAS)
@pytest.mark.parametrize("order", [0, 1, 2, 3, 4])
def test_any_order_with_respect_to_input_and_parameters(
    text: str, parameters: dict[str, float], order: int
) -> None:
    root = parse(text, parameters).expression
    for name in ("x", *parameters):
        ours = derivative(root, Symbol(name), order)
        for x in (-1.3, 0.4, 1.6):
            point = {"x": x, **parameters}
            theirs = numerical(root, name, point, order)
            value = value_of(ours, **point)
            # The difference quotient of order n loses 10 digits for each order.
            with mp.workdps(60):
                assert value is not None
                scale = max(abs(theirs), mpmath.mpf(1))
                assert abs(value - theirs) <= scale * mpmath.mpf(10) ** -DIGITS


def test_mixed_partials_commute() -> None:
    x, beta = Symbol("x"), Symbol("beta")
    root = parse("x*sigmoid(beta*x)", {"beta": 1.0}).expression
    one = differentiate(differentiate(root, x), beta)
    other = differentiate(differentiate(root, beta), x)
    for place in PLACES:
        point = {"x": place, "beta": 0.7}
        assert agree(value_of(one, **point), value_of(other, **point))


def test_a_symbol_that_does_not_occur_has_derivative_zero() -> None:
    assert differentiate(parse("x*tanh(x)").expression, Symbol("y")) is Number(0)
    assert derivative(parse("x*tanh(x)").expression, Symbol("y"), 3) is Number(0)


def test_order_zero_is_the_expression_itself_and_a_negative_one_is_refused() -> None:
    root = parse("x*tanh(x)").expression
    assert derivative(root, Symbol("x"), 0) is root
    with pytest.raises(ValueError, match="-1"):
        derivative(root, Symbol("x"), -1)


KINKS: list[tuple[str, Callable[[torch.Tensor], torch.Tensor], tuple[float, ...]]] = [
    ("relu(x)", torch.relu, (0.0,)),
    ("abs(x)", torch.abs, (0.0,)),
    ("sign(x)", torch.sign, (0.0,)),
    ("max(x, 2)", lambda x: torch.maximum(x, torch.tensor(2.0)), (2.0,)),
    ("max(2, x)", lambda x: torch.maximum(torch.tensor(2.0), x), (2.0,)),
    ("min(x, 2)", lambda x: torch.minimum(x, torch.tensor(2.0)), (2.0,)),
    ("min(3*x, x**2)", lambda x: torch.minimum(3 * x, x**2), (0.0, 3.0)),
    ("clip(x, -1, 2)", lambda x: torch.clamp(x, -1.0, 2.0), (-1.0, 2.0)),
    ("x*relu(x - 1)", lambda x: x * torch.relu(x - 1), (1.0,)),
    ("abs(x)**3 + x*abs(x - 1)", lambda x: x.abs() ** 3 + x * (x - 1).abs(), (0.0, 1.0)),
    ("where(x > 0, x, 3*x)", lambda x: torch.where(x > 0, x, 3 * x), (0.0,)),
    ("where(x >= 0, x, 3*x)", lambda x: torch.where(x >= 0, x, 3 * x), (0.0,)),
    ("where(x < 1, x**2, 2*x)", lambda x: torch.where(x < 1, x**2, 2 * x), (1.0,)),
]


@pytest.mark.parametrize(("text", "torch_function", "places"), KINKS)
def test_the_derivative_at_a_kink_is_the_one_of_pytorch(
    text: str,
    torch_function: Callable[[torch.Tensor], torch.Tensor],
    places: tuple[float, ...],
) -> None:
    x = Symbol("x")
    root = parse(text).expression
    for place in places:
        leaf = torch.tensor(place, requires_grad=True)
        (theirs,) = torch.autograd.grad(torch_function(leaf), leaf)
        for ours in (differentiate(root, x), derivative(root, x)):
            assert value_of(ours, x=place) == theirs.item()


def test_the_gradient_of_both_sides_of_a_maximum_adds_up() -> None:
    # Where the arguments are equal each gets half; without that, max(x, x) had slope 2 or 0.
    for text in ("max(x, x)", "min(x, x)", "max(x, 3*x - 2*x)"):
        assert value_of(differentiate(parse(text).expression, Symbol("x")), x=1.5) == 1


def test_a_branch_that_is_not_taken_does_not_enter() -> None:
    ours = differentiate(parse("where(x > 0, sqrt(x), sqrt(-x))").expression, Symbol("x"))
    assert agree(value_of(ours, x=4.0), exact(lambda t: 1 / (2 * mpmath.sqrt(t)), 4.0))
    assert agree(value_of(ours, x=-4.0), exact(lambda t: -1 / (2 * mpmath.sqrt(-t)), -4.0))


def test_the_derivative_of_a_deep_formula() -> None:
    # Composed 60 times, the tree of the derivative is far deeper than Python's recursion allows.
    root: Expr = Symbol("x")
    for _ in range(60):
        root = v.sin(root) + Symbol("x") / 3
    ours = differentiate(root, Symbol("x"))
    assert agree(value_of(ours, x=0.7), numerical(root, "x", {"x": 0.7}), DIGITS)
