"""Certificates as text, as files, and sums of them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import gradsmith as gs
from gradsmith.truth.accuracy import Accuracy
from gradsmith.truth.certificate import Certificate
from gradsmith.truth.certify import code_version
from gradsmith.truth.files import write_whole
from tests.truth.measuring import ALONE


def halves(low: int, high: int) -> Certificate:
    return gs.certify(
        torch.sigmoid, torch.bfloat16, patterns=range(low, high), orders=(0, 1), **ALONE
    )


def test_parts_make_the_whole() -> None:
    start, middle, end = 0x4180, 0x4190, 0x41A0  # 16 to 20, where the derivative is lost
    whole = halves(start, end)
    parts = halves(start, middle), halves(middle, end)
    assert parts[0].merge(parts[1]).to_json() == whole.to_json()
    assert parts[1].merge(parts[0]).to_json() == whole.to_json()
    with pytest.raises(ValueError, match="both include the bit pattern 0x4180"):
        whole.merge(parts[0])
    other = gs.certify("tanh", torch.bfloat16, patterns=range(1), orders=(0, 1), **ALONE)
    with pytest.raises(ValueError, match="differ in subject"):
        whole.merge(other)


def test_a_file_gives_the_certificate_back(tmp_path: Path) -> None:
    found = halves(0x4180, 0x41A0)
    path = tmp_path / "sigmoid.json"
    found.save(path)
    assert Certificate.load(path).to_json() == found.to_json()
    assert str(Certificate.load(path)) == str(found)
    assert [p.name for p in tmp_path.iterdir()] == ["sigmoid.json"]
    data = json.loads(path.read_text())
    assert data["made"]["code"] == code_version()
    assert data["made"]["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "no certificate"),
        (lambda text: "{}", "no certificate of gradsmith"),
        (lambda text: text.replace('"version": 1', '"version": 99'), "format 99"),
        (lambda text: text.replace('"checked"', '"chekced"'), "damaged"),
        (lambda text: text.replace('"bfloat16"', '"float8"'), "damaged"),
    ],
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(damage(halves(0, 4).to_json()))
    with pytest.raises(ValueError, match=message):
        Certificate.load(path)


def test_a_certificate_reads_as_a_table() -> None:
    text = str(halves(0x4180, 0x41A0))
    assert "torch.sigmoid: sigmoid(x)" in text
    assert "bfloat16, 32 of 65,536 inputs: DOES NOT KEEP the contract" in text
    assert "wrong zero, as at" in text
    assert f"code {code_version()}" in text


def test_nothing_checked_proves_nothing() -> None:
    assert not Accuracy("value", 0).holds(1e9)


@pytest.mark.parametrize(
    ("function", "formula"),
    [
        (torch.sigmoid, None),  # with wrong results
        (F.gelu, "x/2*(1 + erf(x/sqrt(2)))"),  # with NaN where there should be none
        (lambda x: x.detach() * x.detach(), "x*x"),  # with what is not available
    ],
)
def test_what_is_read_equals_what_was_written(function: Any, formula: str | None) -> None:
    found = gs.certify(function, torch.bfloat16, formula=formula, **ALONE)
    assert Certificate.from_json(found.to_json()) == found
    assert Certificate.from_data(found.as_data()) == found


def test_a_budget_that_is_left_out_is_that_of_the_contract() -> None:
    part = range(0x3F80, 0x3F90)
    found = gs.certify("sigmoid", torch.bfloat16, patterns=part, orders=(0, 1), **ALONE)
    assert found.violations({}) == found.violations() == []
    (complaint,) = found.violations({0: 0.1})
    assert "0.1 allowed" in complaint
    assert found.violations({1: 0.1})[0].startswith("derivative")


def test_a_link_stays_one_and_a_device_is_written_to(tmp_path: Path) -> None:
    found = halves(0, 4)
    (tmp_path / "link.json").symlink_to(tmp_path / "real.json")
    found.save(tmp_path / "link.json")
    assert (tmp_path / "link.json").is_symlink()
    assert Certificate.load(tmp_path / "real.json") == found
    found.save(os.devnull)
    assert not Path(os.devnull).is_file()


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    halves(0, 4).save(path)
    before = path.read_text()
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\ud800")
    assert path.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.json"]
