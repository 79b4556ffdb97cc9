"""What is told of results that miss the contract, and to whom."""

from __future__ import annotations

import warnings
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import gradsmith as gs
from gradsmith.numerics.target import FLOAT64
from gradsmith.operator.contract import told

WRONG: Any = SimpleNamespace(target=FLOAT64, at={"x": 1.5}, error=100.0)


@pytest.mark.parametrize("between", ["gradsmith.inner", "torch.autograd.function"])
def test_it_is_told_where_the_user_called(between: str) -> None:
    namespace: dict[str, Any] = {"__name__": between}
    exec("def call(told, stable): return told('the value of f', stable, 4.0)", namespace)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert namespace["call"](told, WRONG)
    (warning,) = caught
    assert warning.filename == __file__
    assert "the value of f may lose 100 ULP in float64 at x = 1.5" in str(warning.message)


def test_what_keeps_it_is_not_told() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not told("f", SimpleNamespace(target=FLOAT64, at={}, error=3.9), 4.0)  # type: ignore[arg-type]


def test_a_number_that_no_float_holds_is_named() -> None:
    f = gs.activation("x*b", b=1.0)
    with pytest.raises(ValueError, match="b is larger than any float64"):
        f(torch.ones(3), b=10**400)
