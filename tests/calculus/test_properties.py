"""Kinks and measured properties, against closed forms."""

from __future__ import annotations

import math

import pytest

from gradsmith.calculus.kinks import kinks
from gradsmith.calculus.properties import measure_properties
from gradsmith.formula.parse import parse


def close(a: float, b: float, tolerance: float = 1e-12) -> bool:
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)


def test_sigmoid() -> None:
    """M8 for σ, each figure in closed form."""
    p = measure_properties(parse("1/(1 + exp(-x))"))
    assert (p.low, p.high, p.bounded) == (0.0, 1.0, True)
    assert p.usable_as_probability
    assert p.monotonic == "increasing"
    assert (p.steepest, p.lipschitz, p.slope_at_zero) == (0.0, 0.25, 0.25)
    # y(1 − y) = 0.0025 at y = (1 − √0.99)/2.
    edge = math.log((1 + math.sqrt(0.99)) / (1 - math.sqrt(0.99)))
    assert p.flat_right is not None
    assert p.flat_left is not None
    assert close(p.flat_right, edge, 1e-9)
    assert close(p.flat_left, -edge, 1e-9)
    assert close(p.gradient_through_layers, 0.25**10)
    assert close(p.mean_output, 0.5)
    assert not p.zero_centred
    assert p.one_signed == "positive"
    assert p.costly == {"exp": 1, "division": 1}


def test_tanh() -> None:
    p = measure_properties(parse("tanh(x)"))
    assert (p.low, p.high, p.symmetry) == (-1.0, 1.0, "odd")
    assert p.zero_centred
    assert p.one_signed is None
    assert not p.usable_as_probability


def test_relu() -> None:
    p = measure_properties(parse("where(x > 0, x, 0)"))
    assert (p.low, p.high, p.bounded) == (0.0, math.inf, False)
    assert (p.flat_left, p.flat_right) == (0.0, None)
    assert close(p.mean_output, 1 / math.sqrt(2 * math.pi), 1e-4)  # trapezoid over a kink
    assert p.lipschitz == 1.0


def test_minimum_inside_is_found() -> None:
    """x·e^x has its minimum −1/e at −1."""
    p = measure_properties(parse("x*exp(x)"))
    assert p.minimum_at is not None
    assert close(p.minimum_at, -1.0, 1e-9)
    assert close(p.low, -1 / math.e)
    assert p.monotonic is None


def test_even_function_and_decreasing_function() -> None:
    assert measure_properties(parse("exp(-x**2)")).symmetry == "even"
    assert measure_properties(parse("1 - sigmoid(x)")).monotonic == "decreasing"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("where(x > 0, x, 0)", [(0.0, 0.0, 1.0, 0.0)]),
        ("abs(x)", [(0.0, -1.0, 1.0, 0.0)]),
        ("where(x > 0, x, 0.01*x)", [(0.0, 0.01, 1.0, 0.01)]),
        ("where(x <= -1, -1, where(x >= 1, 1, x))", [(-1.0, 0.0, 1.0, 0.0), (1.0, 1.0, 0.0, 0.0)]),
        ("max(x, 0)", [(0.0, 0.0, 1.0, 0.5)]),
        ("x*min(max(x + 3, 0), 6)/6", [(-3.0, 0.0, -0.5, -0.25), (3.0, 1.5, 1.0, 1.25)]),
        ("x*sigmoid(x)", []),
        ("where(x > 0, x, exp(x) - 1)", []),
        ("x/(1 + abs(x))", []),
    ],
)
def test_kinks(text: str, expected: list[tuple[float, float, float, float]]) -> None:
    found = [(k.at, k.left, k.right, k.derivative) for k in kinks(parse(text))]
    assert found == expected


def test_kink_from_a_parameter_and_a_jump() -> None:
    (left, right) = kinks(parse("where(abs(x) > lambd, x, 0)", {"lambd": 0.5})) or (None, None)
    assert left is not None
    assert right is not None
    assert (left.at, right.at) == (-0.5, 0.5)
    assert close(right.jump, 0.5)


def test_every_row_has_a_meaning() -> None:
    p = measure_properties(parse("x*sigmoid(x)"))
    assert all(all(row) for row in p.rows())
    assert str(p)
    assert p._repr_markdown_().count("\n") == len(p.rows()) + 1


@pytest.mark.parametrize(
    ("text", "inputs", "message"),
    [
        ("log(-1 - x**2)*x", None, r"^log\(-1 - x\*\*2\)\*x has no finite value"),
        ("a*sqrt(-b)", ("a", "b"), "values of a .* with b = 1$"),
        ("sqrt(-x*x)", None, "^the derivative of sqrt.* no finite value"),
    ],
)
def test_without_a_finite_value_nothing_is_measured(
    text: str, inputs: tuple[str, ...] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        measure_properties(parse(text, inputs=inputs))


def test_a_few_finite_values_are_enough() -> None:
    assert measure_properties(parse("sqrt(1 - x**2)")).at_zero == 1
