"""All features, from the files beside this one: each defines ``FEATURES`` of its group."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from tests.citizen.feature import Feature

TITLES = {
    "autograd": "Autograd",
    "transforms": "torch.func",
    "tensors": "Layouts, dtypes, subclasses and tracers",
    "serialization": "Copies, files and processes",
    "compile": "torch.compile",
    "export": "torch.export and ONNX",
    "amp": "Mixed precision",
    "distributed": "Distributed training",
    "doors": "Other frameworks",
}
"""Groups, in the order of the table."""


def all_features() -> tuple[Feature, ...]:
    """Those of every group that there is, in the order of the table."""
    here = Path(__file__).parent
    files = {path.stem for path in here.glob("*.py")} - {"__init__"}
    if not files <= TITLES.keys():
        raise ValueError(f"groups without a title: {', '.join(sorted(files - TITLES.keys()))}")
    found: list[Feature] = []
    for group in TITLES:
        if group in files:
            found += import_module(f"{__name__}.{group}").FEATURES
    names = [repr(feature) for feature in found]
    assert len(set(names)) == len(names), "two features have the same name"
    return tuple(found)
