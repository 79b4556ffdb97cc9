"""The plan says exactly what the gradients read."""

from __future__ import annotations

import pytest
import torch

from gradsmith.operator.saving import SavePlan, plan
from tests.operator.formulas import GATE, SCALED_TANH, SWISH, operation


def test_the_union_of_what_the_gradients_read_in_the_order_of_the_call() -> None:
    made = plan({"b": ("c", "a"), "a": ("c",)}, ("a", "b", "c"), ("c",), itemsize=2)
    assert made.saved == ("a", "c")
    assert made.bytes_per_element == 2  # c is a parameter
    assert made.reason == (
        "the gradient with respect to b reads a, c; the gradient with respect to a reads c"
    )


def test_plans_of_operations() -> None:
    assert SWISH.operation().save_plan() == SavePlan(
        ("x",), 4, "the gradient with respect to x reads x"
    )
    assert GATE.operation().save_plan().saved == ("a", "b")
    assert GATE.operation().save_plan(["a"]).saved == ("b",)
    assert GATE.operation().save_plan(dtype=torch.bfloat16).bytes_per_element == 4
    both = SCALED_TANH.operation().save_plan()
    assert (both.saved, both.bytes_per_element) == (("x", "beta"), 4)


def test_nothing_is_kept_where_nothing_is_read() -> None:
    linear = operation("3*x + 1").save_plan()
    assert (linear.saved, linear.bytes_per_element) == ((), 0)
    assert linear.reason == "the gradient is constant in every operand"
    assert operation("sign(x)").save_plan().saved == ()
    assert SWISH.operation().save_plan([]) == SavePlan((), 0, "no operand needs a gradient")


def test_an_upstream_gradient_is_kept_for_the_second_backward_pass() -> None:
    gradient = SWISH.operation().gradient("x")
    assert gradient is not None
    assert gradient.save_plan().saved == ("x", "g")
    assert gradient.save_plan(["g"]).saved == ("x",)


def test_a_plan_is_printable_and_frozen() -> None:
    made = SWISH.operation().save_plan()
    assert str(made) == "saves x (4 bytes/element): the gradient with respect to x reads x"
    assert "saves nothing" in str(operation("x + 1").save_plan())
    with pytest.raises(AttributeError):
        made.saved = ()  # type: ignore[misc]
