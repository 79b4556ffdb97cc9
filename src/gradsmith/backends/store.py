"""Records on disk: what was kept comes back byte for byte, or not at all.

Native code is among them, so a record must be one that this user wrote, which
:mod:`~gradsmith.backends.folder` sees to. A checksum over the whole record, its key included, finds
damage. A record that fails in either is as good as missing, and the next one replaces it.

Nothing here raises because of a disk that is full, read-only, slow or strange: that costs the
records and is told by :attr:`Store.problem`. Processes need no lock. A record appears whole, by
renaming, and whoever reads one that is replaced or removed meanwhile still has the old one open.
Records are not forced to the disk: what a crash cuts off, the checksum finds.
"""

from __future__ import annotations

import os
import re
import struct
import time
from dataclasses import dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path

from gradsmith.backends.folder import BLOCK, TEMPORARY, Folder, is_ours, make, opened


class Kind(Enum):
    """What a record holds; the suffix of its file."""

    OBJECT = "object"
    """Machine code."""
    PLAN = "plan"
    """What else a process would have to work out before its first call."""

    @property
    def label(self) -> str:
        """One of them, in words."""
        return {Kind.OBJECT: "kernel", Kind.PLAN: "plan"}[self]


# Magic and format, key, length and checksum of all the rest.
_HEADER = struct.Struct("<12s32sQ32s")
_MAGIC = b"gradsmith\x00\x01\n"

_ENTRY = re.compile(rf"[0-9a-f]{{64}}\.({'|'.join(kind.value for kind in Kind)})")

_SWEEPS = 32  # how often old records are looked for while the store is filled once
_KEPT = 7 / 8  # of the limit, when there was too much
_LARGEST = 1 / 8  # of the limit, for one record
_ABANDONED = 3_600.0  # seconds; nobody writes a record for so long


@dataclass(frozen=True, slots=True)
class Survey:
    """What a store holds and whether it works.

    Attributes:
        path: the directory; None where there is none.
        count: how many records there are of each kind.
        size: bytes that they take, in whole blocks of 4 KiB.
        limit: bytes that they may take.
        unreadable: why no record is used; None where they are.
        unwritable: why no record is kept; None where they are.
    """

    path: Path | None
    count: dict[Kind, int]
    size: int
    limit: int
    unreadable: str | None
    unwritable: str | None


@dataclass(frozen=True, slots=True)
class Cleared:
    """What was removed.

    Attributes:
        count: how many records.
        size: bytes that they took.
        problem: why some are left; None where none is.
    """

    count: int
    size: int
    problem: str | None


class Store:
    """Records in one directory, which is made when the first is kept.

    Attributes:
        path: the directory; None where nothing is kept.
        limit: bytes that all records may take; those not used for longest go first.
        problem: why a record could last not be read or kept; None if that went well.
    """

    __slots__ = ("limit", "path", "problem")

    def __init__(self, path: Path | None, limit: int, problem: str | None = None) -> None:
        self.path = path
        self.limit = limit
        self.problem = problem

    def load(self, kind: Kind, key: bytes) -> bytes | None:
        """The record of this key; None where there is none, or none to trust.

        Args:
            kind: what it is.
            key: bytes that stand for everything on which it depends.
        """
        if self.path is None:
            return None
        digest = _digest(kind, key)
        try:
            with opened(self.path) as folder:
                record = folder.read(_name(kind, digest), self.limit)
        except FileNotFoundError:
            return None
        except OSError as error:
            self.problem = _said(error, self.path)
            return None
        return _content(record, digest)

    def save(self, kind: Kind, key: bytes, content: bytes) -> None:
        """Keeps a record, in place of what there is of this key."""
        if self.path is None:
            return
        digest = _digest(kind, key)
        record = _record(digest, content)
        taken = _taken(len(record))
        if taken > self.limit * _LARGEST:
            self.problem = f"a record of {len(record)} bytes is too large for {self.limit} bytes"
            return
        try:
            make(self.path)
            with opened(self.path) as folder:
                folder.write(_name(kind, digest), record)
                if _happens(taken * _SWEEPS / self.limit):
                    _sweep(folder, self.limit)
        except OSError as error:
            self.problem = _said(error, self.path)
        else:
            self.problem = None

    def survey(self) -> Survey:
        """What there is; tries whether a record could be kept, for which it makes the directory."""
        count = dict.fromkeys(Kind, 0)
        size = 0
        unreadable = unwritable = self.problem if self.path is None else None
        if self.path is not None:
            try:
                make(self.path)
                with opened(self.path) as folder:
                    folder.try_to_write()
            except OSError as error:
                unwritable = _said(error, self.path)
            try:
                with opened(self.path) as folder:
                    for name, state in folder.files():
                        if entry := _ENTRY.fullmatch(name):
                            count[Kind(entry[1])] += 1
                            size += _taken(state.st_size)
            except OSError as error:
                unreadable = _said(error, self.path)
        return Survey(self.path, count, size, self.limit, unreadable, unwritable)

    def clear(self) -> Cleared:
        """Removes all records, and nothing else that may lie there."""
        count = size = 0
        problem = None
        if self.path is None:
            return Cleared(count, size, problem)
        try:
            # One that others may write in is emptied as well: that helps to set it right.
            with opened(self.path, trusted=False) as folder:
                for name, state in list(folder.files()):
                    is_entry = _ENTRY.fullmatch(name) is not None
                    if not (is_entry or _is_abandoned(name, state)) or not is_ours(state):
                        continue
                    try:
                        folder.remove(name)
                    except OSError as error:
                        problem = _said(error, self.path)
                    else:
                        count += is_entry
                        size += _taken(state.st_size)
        except FileNotFoundError:
            pass
        except OSError as error:
            problem = _said(error, self.path)
        return Cleared(count, size, problem)


def _digest(kind: Kind, key: bytes) -> bytes:
    return sha256(_MAGIC + kind.value.encode() + b"\0" + key).digest()


def _name(kind: Kind, digest: bytes) -> str:
    return f"{digest.hex()}.{kind.value}"


def _record(digest: bytes, content: bytes) -> bytes:
    front = _HEADER.pack(_MAGIC, digest, len(content), bytes(32))[:-32]
    return front + sha256(front + content).digest() + content


def _content(record: bytes, digest: bytes) -> bytes | None:
    """What a record of this key holds; None if it is damaged or another one."""
    if len(record) < _HEADER.size:
        return None
    magic, key, length, checksum = _HEADER.unpack_from(record)
    content = record[_HEADER.size :]
    if (magic, key, length) != (_MAGIC, digest, len(content)):
        return None
    if checksum != sha256(record[: _HEADER.size - 32] + content).digest():
        return None
    return content


def _taken(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _happens(chance: float) -> bool:
    # Processes that each keep a few records need no common count to sweep now and then. Not by
    # `random`, whose numbers belong to the user.
    return int.from_bytes(os.urandom(4), "little") < chance * 2**32


def _said(error: OSError, path: Path) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{reason}: {path}"


def _is_abandoned(name: str, state: os.stat_result) -> bool:
    """Whether a process ended while it wrote this; a younger file is one that still does."""
    return TEMPORARY.fullmatch(name) is not None and time.time() - state.st_mtime > _ABANDONED


def _sweep(folder: Folder, limit: int) -> None:
    """Removes what was not used for longest, if there is too much, and what was left half-done."""
    total = 0
    entries: list[tuple[float, str, int]] = []
    for name, state in folder.files():
        if _ENTRY.fullmatch(name):
            taken = _taken(state.st_size)
            total += taken
            entries.append((state.st_mtime, name, taken))
        elif _is_abandoned(name, state):
            folder.remove(name)
    if total <= limit:
        return
    for _, name, taken in sorted(entries):
        if total <= limit * _KEPT:
            return
        folder.remove(name)
        total -= taken
