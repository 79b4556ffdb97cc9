"""Every activation × everything that people do with one: it works, or says why it does not."""

from __future__ import annotations

import pytest

from tests.citizen import page
from tests.citizen.feature import Feature
from tests.citizen.features import TITLES, all_features
from tests.citizen.subjects import SUBJECTS, Subject

pytestmark = [
    # torch's compiler and forward mode import parts of torch that warn about other parts of torch.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:torch"),
    # Copying an exported graph copies what torch itself no longer wants to be used.
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated"),
    # With a parameter no series about a root is known; that float64 loses there is told.
    pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning"),
]

FEATURES = all_features()
COMMITTED = page.read(page.PATH.read_text(encoding="utf-8")) if page.PATH.exists() else {}

# All of one subject together: its stable expressions are looked for once in each process.
CELLS = [
    pytest.param(feature, subject, id=f"{feature.group}-{feature.name}-{subject.name}")
    for subject in SUBJECTS.values()
    for feature in FEATURES
    if feature.subjects is None or subject.name in feature.subjects
]


@pytest.mark.parametrize(("feature", "subject"), CELLS)
def test_the_page_says_what_happens(feature: Feature, subject: Subject) -> None:
    if feature.missing:
        pytest.skip(f"needs {', '.join(feature.missing)}")
    outcome = feature.outcome(subject)
    written = COMMITTED.get(TITLES[feature.group], {}).get((feature.name, subject.name))
    assert written == outcome, f"run `python scripts/compatibility.py --group {feature.group}`"


def test_the_page_has_every_cell_and_no_other() -> None:
    expected = {(TITLES[f.group], f.name, s) for f in FEATURES for s in SUBJECTS}
    assert {(title, *cell) for title, cells in COMMITTED.items() for cell in cells} == expected


def test_the_page_is_written_as_it_is_read() -> None:
    assert page.render(COMMITTED) == page.PATH.read_text(encoding="utf-8")
