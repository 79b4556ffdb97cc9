"""Errors are found and counted, what is missing is said, and what cannot be is refused.

The oracle are errors put into a subject on purpose, whose number and size are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gradsmith as gs
from gradsmith.errors import FormulaError
from gradsmith.truth.inputs import from_patterns
from gradsmith.truth.subject import Subject
from tests.truth.measuring import ALONE, SMALL, between

# Errors made on purpose.


def spoiled(spoil: Callable[[Tensor, Tensor], Tensor]) -> Subject:
    return Subject("spoiled", lambda x: spoil(x, x * 1.0))


def one_number(x: Tensor) -> Tensor:
    return x.detach() == from_patterns(range(SMALL[500], SMALL[501]), torch.float32)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("zero", 0.0),
        ("infinity", math.inf),
        ("infinity", -math.inf),
        ("nan", math.nan),
        ("sign", -1.0),
    ],
)
def test_one_wrong_result_among_many_is_found(kind: str, value: float) -> None:
    measured = spoiled(lambda x, y: torch.where(one_number(x), torch.full_like(y, value), y))
    found = gs.certify(measured, formula="x", patterns=SMALL, orders=(0,), **ALONE)
    result = found["value"]
    assert [(k, n) for k, (n, _) in result.wrong.items()] == [(kind, 1)]
    place = result.wrong[kind][1]
    assert place.bits == (f"0x{SMALL[500]:08x}",)
    assert place.exact == place.inputs[0]
    assert place.computed == value or math.isnan(value)
    assert result.max_ulp == 0  # of those that are not wrong
    assert result.above == {0.5: 1, 1.0: 1, 2.0: 1, 10.0: 1}
    assert not found.ok
    assert not found.holds(1e30)


@pytest.mark.parametrize("steps", [1, 2, 3, 11])
def test_one_result_a_few_units_off_is_found_with_its_size(steps: int) -> None:
    def off(x: Tensor, y: Tensor) -> Tensor:
        moved = (y.detach().view(torch.int32) + steps).view(torch.float32)
        return torch.where(one_number(x), moved, y)

    found = gs.certify(spoiled(off), formula="x", patterns=SMALL, orders=(0,), **ALONE)
    result = found["value"]
    assert result.max_ulp == result.bound == steps
    assert result.worst is not None
    assert result.worst.bits == (f"0x{SMALL[500]:08x}",)
    assert result.above == {t: int(steps > t) for t in (0.5, 1.0, 2.0, 10.0)}
    assert result.histogram == {-3: 999, math.ceil(math.log2(steps)): 1}
    assert found.ok == (steps == 1)
    assert found.holds(steps)
    assert found.holds({0: steps})
    assert not found.holds(steps - 0.01)


def test_a_wrong_sign_of_a_zero_is_found() -> None:
    found = gs.certify(
        Subject("abs", torch.abs), formula="x*abs(x)", dtype=torch.bfloat16, orders=(0,), **ALONE
    )
    count, place = found["value"].wrong["sign of zero"]
    assert place.inputs == (0.0,)
    assert math.copysign(1, place.inputs[0]) == -1
    # x·|x| underflows: |x| is then no zero, but at −0 itself it is +0.
    assert count == 1


def test_a_wrong_coefficient_is_found() -> None:
    right = gs.activation("0.5*x*(1 + tanh(0.7978845608*(x + 0.044715*x**3)))")

    def mistyped(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044716 * x**3)))

    found = gs.certify(
        mistyped,
        torch.float64,
        formula=right,
        samples=500,
        orders=(0,),
        **ALONE,
    )
    assert found["value"].share(10.0) > 0.05


# What is not there is said.


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.exp(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = g * torch.exp(x)
        return result


def test_a_second_derivative_that_is_not_there_is_reported() -> None:
    found = gs.certify(Once, formula="exp(x)", patterns=between(1.0, 2.0), **ALONE)
    assert found["derivative"].available
    missing = found["second derivative"]
    assert not missing.available
    assert missing.unavailable == "the first derivative has no gradient"
    assert not found.ok
    assert "second derivative: not available" in found.violations()[-1]
    assert "not available" in str(found)
    assert gs.certify(
        Once, formula="exp(x)", patterns=between(1.0, 2.0), orders=(0, 1), **ALONE
    ).holds(2)


def test_a_gradient_that_is_not_there_is_reported() -> None:
    found = gs.certify(
        Subject("cut", lambda x: x.detach() * 2), formula="2*x", patterns=SMALL, **ALONE
    )
    assert found["value"].holds(0)
    assert "no gradient" in found["derivative"].unavailable
    assert "no gradient" in found["second derivative"].unavailable or (
        found["second derivative"].holds(0)
    )


def test_a_constant_derivative_needs_no_graph() -> None:
    found = gs.certify(Subject("twice", lambda x: x * 2), formula="2*x", patterns=SMALL, **ALONE)
    assert found.ok, found.violations()


def test_what_a_function_should_compute_must_be_known() -> None:
    def opaque(x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy())

    with pytest.raises(ValueError, match=r"what opaque should compute .* formula="):
        gs.certify(opaque, **ALONE)


def test_a_function_of_torch_is_read_by_tracing() -> None:
    found = gs.certify(lambda x: x * torch.sigmoid(x), patterns=SMALL, orders=(0,), **ALONE)
    assert found.formula == "x*sigmoid(x)"
    assert found["value"].checked == 1000


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": torch.int32}, ValueError, "float32, bfloat16, float16 and float64"),
        ({"orders": (0, 3)}, ValueError, "among 0, 1 and 2; got 3"),
        ({"orders": ()}, ValueError, "got none"),
        ({"wrt": "z"}, ValueError, "inputs x, not 'z'"),
        ({"parameters": {"beta": 2.0}}, FormulaError, "no parameter 'beta'"),
        ({"dtype": torch.float64, "exhaustive": True}, ValueError, "too many"),
        ({"patterns": range(2**33)}, ValueError, "below 2\\*\\*32; got"),
        ({"patterns": range(0)}, ValueError, "range of bit patterns"),
        ({"patterns": range(5), "exhaustive": True}, ValueError, "not both"),
        ({"samples": 0}, ValueError, "samples is a number"),
        ({"seed": -1}, ValueError, "seed is a whole number, 0 or more; got -1"),
        ({"seed": 0.5}, ValueError, "seed is a whole number"),
        ({"processes": 0}, ValueError, "processes is .* 1 or more; got 0"),
        ({"progress": "yes"}, TypeError, "progress is a function, True or False"),
        ({"orders": 1}, TypeError, "orders is a sequence"),
        ({"orders": (True,)}, ValueError, "got True"),
        ({"parameters": [1]}, TypeError, "parameters is a mapping"),
        ({"patterns": range(-5, 5)}, ValueError, "0 or more"),
        ({"formula": "sigmiod"}, FormulaError, "did you mean 'sigmoid'"),
        ({"formula": "x*("}, FormulaError, "never closed"),
        ({"formula": 3}, TypeError, "formula is a text"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gs.certify("sigmoid", **{**ALONE, **arguments})


def test_all_pairs_of_inputs_are_refused_with_what_is_possible() -> None:
    ours = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
    with pytest.raises(ValueError, match=r"all combinations of the inputs a, b .* sample"):
        gs.certify(ours, exhaustive=True, **ALONE)


def test_a_subject_that_changes_the_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="element by element"):
        gs.certify(torch.sum, formula="x", **ALONE)


# Functions of others.


def test_a_function_that_works_in_place_is_judged_by_what_it_was_given() -> None:
    found = gs.certify(lambda x: x.mul_(3), formula="3*x", patterns=SMALL, orders=(0,), **ALONE)
    assert found.ok, found.violations()
    assert found["value"].worst is not None
    assert found["value"].worst.inputs[0] < 1.001


def test_a_function_that_gives_nan_is_wrong_everywhere() -> None:
    found = gs.certify(lambda x: x * math.nan, formula="x", patterns=SMALL, orders=(0, 1), **ALONE)
    assert [r.wrong["nan"][0] for r in found.results] == [1000, 1000]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x[:-1], r"made \(3,\) torch.float32 of \(4,\)"),
        (lambda x: x if x.numel() == 4 else x[:-1], "element by element"),
        (lambda x: x.double(), "made .* torch.float64 of"),
        (lambda x: 3.0, "returned a float, no tensor"),
        (lambda x, y: x * y, "cannot be called with a float32 tensor for x: .* missing 1"),
    ],
)
def test_a_function_of_another_kind_is_refused(function: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gs.certify(function, formula="x", patterns=SMALL, **ALONE)


def test_a_formula_of_more_inputs_than_the_function_has_is_refused() -> None:
    formula = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
    with pytest.raises(ValueError, match="a float32 tensor for a and a float32 tensor for b"):
        gs.certify(F.gelu, formula=formula, samples=10, **ALONE)


def test_an_error_of_a_function_is_its_own() -> None:
    def broken(x: Tensor) -> Tensor:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        gs.certify(broken, formula="x", patterns=SMALL, **ALONE)


# Poles, limits, constants.


@pytest.mark.parametrize("formula", ["1/x", "1/x**2", "sin(x)", "x + sin(x)/2", "tan(x)"])
def test_what_has_poles_or_no_limits_keeps_the_contract(formula: str) -> None:
    found = gs.certify(formula, torch.bfloat16, orders=(0, 1), **ALONE)
    assert found.ok, found.violations()


@pytest.mark.parametrize("formula", ["3", "pi", "x", "2*x + 1"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_constant_is_right_at_nan_as_well(formula: str, dtype: torch.dtype) -> None:
    part: dict[str, Any] = {"samples": 300_000} if dtype == torch.float32 else {}
    found = gs.certify(formula, dtype, **part, **ALONE)
    assert found.ok, found.violations()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_a_constant_that_is_another_at_nan_is_wrong(dtype: torch.dtype) -> None:
    def another(x: Tensor) -> Tensor:
        return torch.where(x.isnan(), 2.0, 3.0).to(x.dtype)

    part: dict[str, Any] = {"samples": 300_000} if dtype == torch.float32 else {}
    found = gs.certify(another, dtype, formula="3 + 0*x", orders=(0,), **part, **ALONE)
    assert not found.ok
    constant = gs.certify(another, dtype, formula="3", orders=(0,), **part, **ALONE)
    assert not constant.ok
    assert constant["value"].above[10.0] == (1 if part else 254)
