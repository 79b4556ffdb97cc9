"""Generated source: lines that fit, names that can be used, one function for all dtypes."""

from __future__ import annotations

import ast
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gradsmith.backends.aten import compile_expression
from gradsmith.backends.formatting import WIDTH, docstring, fitted
from gradsmith.backends.source import Elementwise, function_source, renamed, safe_names
from gradsmith.backends.variants import Computed, merged
from gradsmith.formula.expression import Expr, Number, Symbol
from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import NE, exp, maximum, minimum, where
from gradsmith.numerics.target import BFLOAT16, FLOAT16, FLOAT32, FLOAT32_ALONE, FLOAT64

X = Symbol("x")
TARGETS = (FLOAT64, FLOAT32, FLOAT16, BFLOAT16, FLOAT32_ALONE)


def held(low: int, high: int) -> Expr:
    return exp(maximum(minimum(X, high), low)) * X


def everywhere(expression: Expr, **others: Computed) -> dict[Any, Computed]:
    named = {"float64": FLOAT64, "float16": FLOAT16, "bfloat16": BFLOAT16, "alone": FLOAT32_ALONE}
    usual = Computed(expression)
    return dict.fromkeys(TARGETS, usual) | {named[name]: found for name, found in others.items()}


def compiled(function: Elementwise, told: bool) -> Any:
    namespace: dict[str, Any] = {"torch": torch, "Tensor": Tensor}
    namespace["widest"] = lambda *tensors: tuple(t.double() for t in tensors)
    exec(function_source(function, told), namespace)
    return namespace[function.name]


names = st.sampled_from(["f", "gradient_of", "x", "ctx.x_like", "a_rather_long_name", "torch.exp"])
calls = st.recursive(
    names,
    lambda inner: st.builds(
        lambda f, arguments: f"{f}({', '.join(arguments)})",
        names,
        st.lists(inner, min_size=1, max_size=5),
    ),
    max_leaves=25,
)


@given(calls, st.sampled_from([30, 60, 96]))
def test_a_fitted_call_is_the_same_call(text: str, width: int) -> None:
    lines = fitted(f"y = {text}", width)
    assert ast.dump(ast.parse("\n".join(lines))) == ast.dump(ast.parse(f"y = {text}"))
    longest_name = len("    a_rather_long_name(")
    depth = text.count("(")
    assert all(len(line) <= max(width, longest_name + 4 * depth + 4) for line in lines)


def test_a_call_is_opened_only_if_need_be() -> None:
    assert fitted("y = f(a, b)", 20) == ["y = f(a, b)"]
    assert fitted("y = f(aaaa, bbbbb)", 16) == ["y = f(", "    aaaa, bbbbb", ")"]
    assert fitted("y = f(aaaaaaa, bbbbbbb)", 16) == [
        "y = f(",
        "    aaaaaaa,",
        "    bbbbbbb,",
        ")",
    ]


def test_a_docstring_fits_and_keeps_backslashes() -> None:
    text = docstring("a \\ b " * 40)
    assert max(map(len, text.splitlines())) <= WIDTH - 4
    assert ast.literal_eval(text).split() == ("a \\ b " * 40).split()


def test_names_are_made_safe_and_stay_distinct() -> None:
    found = safe_names(["x", "torch", "lambda", "l", "torch_"], {"torch"})
    assert found == {
        "x": "x",
        "torch": "torch_",
        "lambda": "lambda_",
        "l": "l_",
        "torch_": "torch__",
    }


def test_renaming_can_exchange_names() -> None:
    expression = parse("x - y", {}, ("x", "y")).expression
    assert str(renamed(expression, {"x": "y", "y": "x"})) == "y - x"


def test_expressions_that_differ_in_bounds_only_become_one_with_a_table() -> None:
    found = merged(
        everywhere(held(-128, 64), float64=Computed(held(-1024, 512))),
        taken=("x", "low"),
    )
    assert found.cases == ()
    assert found.names == ("high", "low2")
    assert found.bounds[FLOAT64] == (512.0, -1024.0)
    assert found.bounds[FLOAT32] == (64.0, -128.0)


def test_what_differs_otherwise_is_a_case_of_its_own() -> None:
    found = merged(everywhere(held(-128, 64), float64=Computed(X * X)), taken=("x",))
    assert found.cases == (((FLOAT64,), Computed(X * X)),)
    assert found.names == ()
    # Numbers that are no bounds are not put into tables.
    found = merged(everywhere(2 * X, float64=Computed(3 * X)), taken=("x",))
    assert found.cases == (((FLOAT64,), Computed(3 * X)),)


def test_the_device_without_float64_is_never_taken_from_a_table() -> None:
    # Its results have the dtype of others that are computed otherwise.
    found = merged(everywhere(held(-128, 64), alone=Computed(held(-128, 32))), taken=("x",))
    assert found.cases == (((FLOAT32_ALONE,), Computed(held(-128, 32))),)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_the_function_computes_what_is_meant_for_each_dtype(dtype: torch.dtype) -> None:
    computed = everywhere(
        held(-8, 4),
        float64=Computed(held(-16, 8)),
        float16=Computed(held(-2, 1), widened=True),
        bfloat16=Computed(X * X + 1, widened=True),
        alone=Computed(X - 1),
    )
    function = Elementwise("f", ("x",), computed, "something")
    assert function.varies
    assert function.widens
    by_name = {target.name: found for target, found in computed.items() if found != X - 1}
    wide = torch.float64 if dtype in (torch.float64, torch.float32) else torch.float32
    x = torch.linspace(-20, 20, 41, dtype=wide)
    meant = computed[FLOAT32] if dtype is torch.float32 else by_name[str(dtype)[6:]]
    result = compiled(function, True)(x, dtype)
    widened = x.double() if meant.widened else x
    assert result.dtype == widened.dtype
    assert torch.equal(result, compile_expression(meant.expression, ("x",))(widened))
    if dtype is torch.float32:
        alone = compiled(function, True)(x.float(), dtype)
        assert torch.equal(alone, x.float() - 1)


def test_a_test_for_nan_is_written_as_one() -> None:
    expression = where(NE(X, X), X, where(X > 0, X, Number(0)))
    source = function_source(Elementwise("f", ("x",), everywhere(expression), "relu"), False)
    assert "torch.isnan(x)" in source
    assert "!=" not in source


def test_two_operands_that_differ_are_no_test_for_nan() -> None:
    y = Symbol("xy")
    expression = where(NE(X, y), X, y)
    source = function_source(Elementwise("f", ("x", "xy"), everywhere(expression), "f"), False)
    assert "x != xy" in source
