"""Fixtures of the tests of operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.operator.extension_calls import SILU, learn


@pytest.fixture
def seen() -> Iterator[list[str]]:
    """A word each time that a native node asks Python."""
    asked: list[str] = []
    operation = SILU.operation

    class Watched(dict[Any, Any]):
        def __getitem__(self, key: Any) -> Any:
            asked.append("asked")
            return super().__getitem__(key)

    learn(SILU, torch.float32)
    before = operation.backwards
    object.__setattr__(operation, "backwards", Watched(before))
    yield asked
    object.__setattr__(operation, "backwards", before)
