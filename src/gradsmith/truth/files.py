"""Files that are written whole or not at all: whoever reads one never sees a part of it."""

from __future__ import annotations

import os
from pathlib import Path
from uuid import uuid4

PART = ".part"
"""The ending of what is not finished; left behind only where the process was killed."""


def write_whole(path: str | os.PathLike[str], text: str) -> None:
    """Write a text file, in place of one that may be there.

    A link stays one, and what it points to is written; so does a device such as ``/dev/null``.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    target = Path(path)
    if target.exists() and not target.is_file():  # a device or a pipe, which nothing may replace
        target.write_text(text, encoding="utf-8")
        return
    target = target.resolve()
    # Machines may share a folder, so that the number of a process would not be unique.
    beside = target.with_name(f"{target.name}.{uuid4().hex[:12]}{PART}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(target)
    finally:
        beside.unlink(missing_ok=True)
