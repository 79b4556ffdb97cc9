"""The ledger in ``certificates/``: complete, within the contract, and still true.

Oracle: ball arithmetic, by way of ``certify``. Each page is measured anew in part; a figure that
got worse fails.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gradsmith.catalogue import ENTRIES, entry
from gradsmith.show.ledger import page as rendered
from gradsmith.truth.ledger import DTYPES, Page, certified, counterpart, pages, settings, worse

ROOT = Path(__file__).resolve().parents[2]
LEDGER = ROOT / "certificates"
NAMES = tuple(str(dtype).removeprefix("torch.") for dtype in DTYPES)


@pytest.mark.parametrize("dtype", NAMES)
@pytest.mark.parametrize("name", [e.name for e in ENTRIES])
def test_a_page_is_still_true(name: str, dtype: str) -> None:
    page = Page.load(LEDGER / f"{name}.{dtype}.json")
    assert page.ok, [what for c in page.ours for what in c.violations()]
    assert worse(page, processes=1) == []


def test_there_is_a_page_for_every_entry_and_dtype_and_no_other() -> None:
    expected = {f"{e.name}.{dtype}.json" for e in ENTRIES for dtype in NAMES}
    assert {path.name for path in LEDGER.glob("*.json")} == expected


def test_float32_is_certified_on_all_of_its_inputs() -> None:
    for page in pages(LEDGER):
        one_input = len(entry(page.entry).inputs) == 1
        at_defaults = page.ours[0]
        assert dict(at_defaults.parameters) == dict(entry(page.entry).parameters)
        if page.dtype != "float64" and one_input:
            assert at_defaults.exhaustive
        sampled = page.dtype == "float64" or (page.dtype == "float32" and not one_input)
        assert min(r.checked for r in at_defaults.results) >= (1_000_000 if sampled else 65_536)
        assert len(page.ours) == 1 + len(settings(entry(page.entry)))


def test_the_page_of_accuracy_is_what_the_ledger_says() -> None:
    """``python scripts/ledger.py --page`` writes it."""
    assert (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8") == rendered(pages(LEDGER))


def test_further_settings_are_valid_and_new() -> None:
    for e in ENTRIES:
        found = settings(e)
        assert len(found) == (3 if e.parameters else 0)
        for setting in found:
            e.check(setting)
            assert dict(setting) != dict(e.parameters)


def test_a_figure_that_got_worse_is_noticed() -> None:
    measured = certified(entry("tanh"), torch.bfloat16, processes=1, progress=False)
    assert worse(measured, processes=1) == []
    (certificate,) = measured.ours
    better = replace(certificate.results[0], max_ulp=0.4, bound=0.4)
    flattering = replace(certificate, results=(better, *certificate.results[1:]))
    (complaint,) = worse(replace(measured, ours=(flattering,)), processes=1)
    assert "tanh, bfloat16: value: 0.49" in complaint
    assert "was 0.4" in complaint


def test_a_page_can_be_saved_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    measured = certified(entry("tanh"), torch.bfloat16, processes=1, progress=False)
    assert measured.theirs is not None
    measured.save(tmp_path)
    assert Page.load(tmp_path / measured.file) == measured
    (tmp_path / measured.file).write_text('{"format": "something else"}', encoding="utf-8")
    with pytest.raises(ValueError, match="no page of a ledger"):
        Page.load(tmp_path / measured.file)


def test_pytorchs_own_function_stands_beside_where_it_is_one_of_the_input_alone() -> None:
    assert counterpart(entry("silu")) is not None
    assert counterpart(entry("threshold")) is None  # needs a threshold and a value
    assert counterpart(entry("glu")) is None


def test_the_rendered_page_shows_what_misses_the_contract() -> None:
    measured = certified(entry("tanh"), torch.bfloat16, processes=1, progress=False)
    (certificate,) = measured.ours
    bad = replace(certificate.results[0], max_ulp=7.25, bound=7.25)
    text = rendered([replace(measured, ours=(replace(certificate, results=(bad,)),))])
    assert "| `tanh` | 7.250 |" in text
    assert "value: 7.25 ULP, 0.51 allowed" in text
    assert "listed at the end" in text
    assert "keep the contract" in rendered([measured])
    assert "What misses" not in rendered([measured])


def test_the_rendered_page_says_how_many_are_wrong_and_of_how_many() -> None:
    measured = certified(entry("tanh"), torch.bfloat16, processes=1, progress=False)
    assert measured.theirs is not None
    wrong = sum(result.mistakes for result in measured.theirs.results)
    share = 100 * wrong / (3 * 65536)
    assert f"| {wrong:,} ({share:.3g} %) |" in rendered([measured])
