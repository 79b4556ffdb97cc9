"""Records for tests of the kernel cache."""

from __future__ import annotations

import stat
from pathlib import Path

from gradsmith.backends.store import Kind, Store

MIB = 2**20
KEY = b"what it depends on"
CONTENT = b"some machine code"
DAY = 86_400  # seconds


def only_file(store: Store) -> Path:
    assert store.path is not None
    (path,) = store.path.iterdir()
    return path


def kept(store: Store, content: bytes = CONTENT) -> Path:
    """Keeps one record; its file."""
    store.save(Kind.OBJECT, KEY, content)
    assert store.load(Kind.OBJECT, KEY) == content
    return only_file(store)


def assert_rebuilt(store: Store, path: Path) -> None:
    """That the record is as good as missing, and sound once it is kept again."""
    assert store.load(Kind.OBJECT, KEY) is None
    store.save(Kind.OBJECT, KEY, CONTENT)
    assert store.load(Kind.OBJECT, KEY) == CONTENT
    assert store.problem is None
    assert stat.S_ISREG(path.lstat().st_mode)
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert only_file(store) == path
