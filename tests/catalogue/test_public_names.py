"""What ``import gradsmith`` offers, whatever was imported before it."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import gradsmith as gs
from gradsmith import _PUBLIC
from gradsmith.catalogue import CATALOGUE


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_every_public_name_loads_and_is_listed() -> None:
    for name in _PUBLIC:
        assert getattr(gs, name) is not None
        assert name in dir(gs)
    assert not {"Any", "sys", "ModuleType"} & set(dir(gs))


def test_the_catalogue_takes_no_name_away() -> None:
    assert not set(CATALOGUE) & set(_PUBLIC)
    submodules = {path.stem for path in Path(gs.__file__).parent.iterdir()}
    assert not set(CATALOGUE) & submodules


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(inspect.getsource(gs))
    block = next(
        node
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name)
        if node.test.id == "TYPE_CHECKING"
    )
    seen = {
        alias.asname: node.module if alias.name == "gradsmith" else f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }
    modules = {
        name: target.replace(".", ":", 1) for name, target in _PUBLIC.items() if ":" not in target
    }
    assert seen == {**_PUBLIC, **modules}


@pytest.mark.parametrize("first", ["gradsmith.activation", "gradsmith.nn", "gradsmith.formula"])
def test_a_submodule_does_not_shadow_a_function(first: str) -> None:
    shown = "print(type(gs.activation).__name__, gs.silu.name, gs.nn.__name__)"
    assert run(f"import {first}; import gradsmith as gs; {shown}").split() == [
        "function",
        "silu",
        "gradsmith.nn",
    ]


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(AttributeError, match=r"'gradsmith' has no attribute 'silv'; .* 'silu'"):
        _ = gs.silv
    assert not hasattr(gs, "__wrapped__")
