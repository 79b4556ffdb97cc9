"""The kernel cache: what a process has worked out, the next one finds.

Machine code and plans are kept in :func:`store`, a directory of the user's own, under keys that
change with everything on which they depend: gradsmith's own source is part of every key. Where the
cache cannot be used, nothing but time is lost; ``gradsmith doctor`` says why.

Environment variables:
    ``GRADSMITH_CACHE_DIR``: the directory; by default ``gradsmith`` in the user's cache folder.
        Empty, ``0`` or ``off``: nothing is kept.
    ``GRADSMITH_CACHE_SIZE``: MiB that all records may take, by default 256; what was not used for
        longest goes first. ``0``: nothing is kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from hashlib import sha256
from pathlib import Path

from gradsmith.backends.store import Kind, Store
from gradsmith.version import VERSION

__all__ = ["Kind", "fetch", "load", "save", "source_digest", "store"]

DIRECTORY = "GRADSMITH_CACHE_DIR"
SIZE = "GRADSMITH_CACHE_SIZE"
_OFF = ("", "0", "off")
_MIB = 2**20
_DEFAULT_SIZE = 256  # MiB: some 30,000 kernels
_STARTED = time.time()


def fetch(kind: Kind, parts: tuple[str, ...], make: Callable[[], bytes]) -> bytes:
    """The record of this key; ``make`` makes it where there is none, or none to trust.

    Args:
        kind: what it is.
        parts: everything on which it depends, besides gradsmith itself and, for a plan, NumPy and
            python-flint.
        make: returns the content.
    """
    content = load(kind, parts)
    if content is None:
        content = make()
        save(kind, parts, content)
    return content


def load(kind: Kind, parts: tuple[str, ...]) -> bytes | None:
    """The record of this key, see :func:`fetch`; None where there is none, or none to trust."""
    records = store()
    return None if records.path is None else records.load(kind, _key(kind, parts))


def save(kind: Kind, parts: tuple[str, ...], content: bytes) -> None:
    """Keeps a record, in place of what there is of this key; see :func:`fetch`."""
    records = store()
    if records.path is not None:
        records.save(kind, _key(kind, parts), content)


def store() -> Store:
    """Where this process keeps its records, as the environment variables have it now."""
    return _store(os.environ.get(DIRECTORY), os.environ.get(SIZE))


@cache
def _store(directory: str | None, size: str | None) -> Store:
    try:
        limit = _DEFAULT_SIZE if size is None else float(size)
        room = int(limit * _MIB)  # neither NaN nor an infinity is an integer
    except (ValueError, OverflowError):
        room = -1
    if room < 0:
        return Store(None, 0, f"{SIZE} is {size!r}; it takes a number of MiB, such as 256")
    if directory is not None and directory.strip().lower() in _OFF:
        return Store(None, 0, f"{DIRECTORY} is {directory!r}, which turns it off")
    if room == 0:
        return Store(None, 0, f"{SIZE} is {size!r}, which turns it off")
    try:
        path = _default() if directory is None else Path(directory).expanduser().absolute()
    except (OSError, RuntimeError) as error:
        return Store(None, 0, str(error))
    if not path.is_absolute():  # without a home directory, ~ stays as it is
        return Store(None, 0, f"this user has no home directory; set {DIRECTORY}")
    return Store(path, room)


def _default() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("gradsmith", appauthor=False)


def _key(kind: Kind, parts: tuple[str, ...]) -> bytes:
    stamp = (source_digest(), *(_versions() if kind is Kind.PLAN else ()))
    return _joined(part.encode() for part in (*stamp, *parts))


def _joined(parts: Iterator[bytes]) -> bytes:
    digest = sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))  # so that where one ends matters
        digest.update(part)
    return digest.digest()


@cache
def _versions() -> tuple[str, ...]:
    """Of those whose results a derivation or a measurement rests on."""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in ("numpy", "python-flint"):
        try:
            found.append(version(name))
        except PackageNotFoundError:
            found.append("")
    return tuple(found)


@cache
def source_digest() -> str:
    """A digest of all of gradsmith's Python files, in hexadecimal; about 4 ms, once per process.

    Where the files cannot be read, as in a zip archive, of the version and of size and date of
    what holds them. Where one is younger than this process, which then may run another text, the
    digest is one that nobody else has.
    """
    root = Path(__file__).parent.parent
    try:
        return _joined(_sources(str(root))).hex()
    except OSError:
        return _joined(_archive(root)).hex()


def _sources(root: str) -> Iterator[bytes]:
    paths = sorted(_python_files(root))
    if not paths:
        raise FileNotFoundError(f"no source in {root}")
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            yield os.path.relpath(path, root).encode()
            yield file.read()
            if os.fstat(file.fileno()).st_mtime > _STARTED:
                yield os.urandom(32)


def _python_files(folder: str) -> Iterator[str]:
    with os.scandir(folder) as found:
        for entry in found:
            if entry.name.endswith(".py"):
                yield entry.path
            elif entry.is_dir() and entry.name != "__pycache__":
                yield from _python_files(entry.path)


def _archive(root: Path) -> Iterator[bytes]:
    yield VERSION.encode()
    for path in (root, *root.parents):
        try:
            state = path.stat()
        except OSError:
            continue
        yield f"{path} {state.st_size} {state.st_mtime_ns}".encode()
        return
