"""Plans that were kept are those that would be found; what cannot be read is found anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gradsmith.backends.cache import Kind
from gradsmith.backends.store import Store
from gradsmith.formula.parse import parse
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.target import FLOAT32, FLOAT64
from gradsmith.operator import plans
from gradsmith.operator.pointwise import Pointwise

FORMULAS = ("x*sigmoid(x)", "x - tanh(x)", "log(1 + exp(b*x))/b", "where(x > 0, x, 0.1*x)")


def operations(text: str) -> list[Pointwise]:
    formula = parse(text, {"b": 1.5} if "b" in text else {})
    value = Pointwise(formula.expression, formula.arguments, defaults=formula.parameters)
    first = value.gradient("x")
    assert first is not None
    second = first.gradient("x")
    return [one for one in (value, first, second) if one is not None]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize("text", FORMULAS)
@pytest.mark.parametrize("target", [FLOAT32, FLOAT64], ids=lambda target: target.name)
def test_what_is_read_back_is_what_was_found(
    text: str, target: object, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def all_of_them() -> list[object]:
        found: list[object] = []
        for operation in operations(text):
            stable = plans.stable_form(operation, target)  # type: ignore[arg-type]
            way = plans.way(stable, True, 1.0, True)
            found.append((stable, way.scheme, way.stable.expression, way.error))
        return found

    first = all_of_them()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("it was kept")

    monkeypatch.setattr(plans, "stabilise", never)
    monkeypatch.setattr(plans, "choose", never)
    assert all_of_them() == first


def test_another_formula_of_the_same_size_has_a_plan_of_its_own(cache: Path) -> None:
    for text in ("x*sigmoid(x)", "x*tanh(x)"):
        operation = operations(text)[0]
        for target in (FLOAT32, FLOAT64):
            stable = plans.stable_form(operation, target)
            values = {"x": np.array([0.5, -1.25, 3.0])}
            expected = interpret(operation.core, values)
            np.testing.assert_allclose(interpret(stable.expression, values), expected, rtol=1e-12)


def test_derivatives_that_read_alike_are_told_apart_by_what_they_come_from(cache: Path) -> None:
    """The stable form of a parent is a proposal, so that it is part of the key."""
    (value, first, _) = operations("x*sigmoid(x)")
    alone = Pointwise(first.core, first.arguments, first.factors)
    forms = [list(plans._origins(one)) for one in (value, first, alone)]
    assert forms[0] == forms[2] == []
    assert forms[1][0] is value.core


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"forms": [["nothing", [0]], [0]]}']
)
def test_what_cannot_be_read_is_found_anew(
    content: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = operations("x*sigmoid(x)")[0]
    first = plans.stable_form(operation, FLOAT32)
    monkeypatch.setattr(Store, "load", lambda self, kind, key: content)
    saved: list[Kind] = []
    monkeypatch.setattr(Store, "save", lambda self, kind, key, text: saved.append(kind))
    assert plans.stable_form(operation, FLOAT32) == first
    assert saved == [Kind.PLAN]


CHILD = """
import sys, torch
import gradsmith as gs
from gradsmith.operator import plans
made = []
for name in ("stabilise", "choose"):
    found = getattr(plans, name)
    def counted(*args, _found=found, **kwargs):
        made.append(1)
        return _found(*args, **kwargs)
    setattr(plans, name, counted)
x = torch.linspace(-5, 5, 64, requires_grad=True)
gs.silu(x).sum().backward()
print(len(made), x.grad.double().sum().item().hex())
"""


def test_a_second_process_finds_nothing_anew(cache: Path) -> None:
    environment = {**os.environ, "GRADSMITH_CACHE_DIR": str(cache)}
    outputs = [
        subprocess.run(
            [sys.executable, "-c", CHILD],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=300,
        ).stdout.split()
        for _ in range(2)
    ]
    assert int(outputs[0][0]) > 0
    assert int(outputs[1][0]) == 0
    assert outputs[0][1] == outputs[1][1]


def test_without_a_cache_everything_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", "off")
    assert plans.stable_form(operations("x*tanh(x)")[0], FLOAT32).error < FLOAT32.budget
