"""Gates: one half of the features decides how much of the other half passes."""

from __future__ import annotations

from gradsmith.catalogue import conventions
from gradsmith.catalogue.record import Entry

ENTRIES = (
    Entry(
        name="glu",
        formula="a * sigmoid(b)",
        inputs=("a", "b"),
        summary="gated linear unit",
        reference=(
            "Dauphin, Fan, Auli, Grangier: Language Modeling with Gated Convolutional Networks, "
            "ICML 2017, arXiv:1612.08083"
        ),
        torch="torch.nn.functional.glu",
        module="GLU",
        convention=conventions.glu,
    ),
)
