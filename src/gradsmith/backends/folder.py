"""A directory on disk that only this user can have written to, and files in it.

Whoever runs native code from a file must know who wrote it. Owner and permissions are looked at
through the very descriptors that are then used, and no symbolic link is followed from the
directory on: what a path comes to mean a moment later changes nothing. The folders above may be
links, since people put their caches on other disks in that way.

Windows has neither these owners nor these permissions; there the user's own folder protects it.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

BLOCK = 4096
"""Bytes that a file takes at least."""

TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.new")
"""Names of files that are being written."""

_BINARY = getattr(os, "O_BINARY", 0)
_SAFELY = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)  # a pipe in place of a file must not make anyone wait
_BY_DESCRIPTOR = os.open in os.supports_dir_fd and os.scandir in os.supports_fd
_DAY = 86_400.0  # seconds; how exactly the last use is known


class DistrustedError(OSError):
    """Somebody else may have written this."""


def make(path: Path) -> None:
    """Makes the directory, if nothing is there."""
    # Others get no rights to it, whatever the process allows them elsewhere.
    if not os.path.lexists(path):
        os.makedirs(path, mode=0o700, exist_ok=True)


@contextmanager
def opened(path: Path, *, trusted: bool = True) -> Iterator[Folder]:
    """The directory, if nobody else can have put anything into it.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is none, or cannot be read, or, where that is asked, not be trusted.
    """
    if not _BY_DESCRIPTOR:
        if not path.is_dir():
            os.scandir(path).close()  # raises what is the matter
        yield Folder(str(path), None)
        return
    if path.is_symlink():
        raise DistrustedError(errno.ELOOP, "the directory itself is a symbolic link")
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _SAFELY)
    try:
        if trusted:
            _check(os.fstat(descriptor), "the directory")
        yield Folder(str(path), descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class Folder:
    """An open directory: names are looked up in it, whatever its path comes to mean meanwhile.

    Attributes:
        path: where it was.
        descriptor: the open directory; None where this system cannot look up names in one.
    """

    path: str
    descriptor: int | None

    def at(self, name: str) -> str:
        """What the calls of this system take, with the descriptor, for that name."""
        return os.path.join(self.path, name) if self.descriptor is None else name

    def read(self, name: str, limit: int) -> bytes:
        """The whole file; nothing of one that is none, or longer than ``limit``.

        The date of its last change becomes that of its last use, to a day.

        Raises:
            OSError: it is not there, a link, not to be trusted, or cannot be read.
        """
        flags = os.O_RDONLY | _SAFELY | _AT_ONCE | _BINARY
        descriptor = os.open(self.at(name), flags, dir_fd=self.descriptor)
        try:
            state = os.fstat(descriptor)
            _check(state, f"the record {name}")
            if not stat.S_ISREG(state.st_mode) or state.st_size > limit:
                return b""
            parts = []
            while part := os.read(descriptor, state.st_size + 1):
                parts.append(part)
            if abs(time.time() - state.st_mtime) > _DAY:
                with suppress(OSError):  # of a disk that is only read, nothing is removed either
                    os.utime(descriptor if os.utime in os.supports_fd else self.at(name))
            return b"".join(parts)
        finally:
            os.close(descriptor)

    def write(self, name: str, content: bytes) -> None:
        """A file that is there as a whole or not at all."""
        temporary = _temporary()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY | _BINARY
        descriptor = os.open(self.at(temporary), flags, 0o600, dir_fd=self.descriptor)
        try:
            try:
                rest = memoryview(content)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
            finally:
                os.close(descriptor)
            where = self.descriptor
            os.replace(self.at(temporary), self.at(name), src_dir_fd=where, dst_dir_fd=where)
        except BaseException:
            with suppress(OSError):
                self.remove(temporary)
            raise

    def try_to_write(self) -> None:
        """Raises OSError where :meth:`write` would."""
        name = _temporary()
        self.write(name, bytes(BLOCK))
        self.remove(name)

    def remove(self, name: str) -> None:
        """Takes a file away; a link, and not what it leads to."""
        with suppress(FileNotFoundError):  # another process was quicker
            os.unlink(self.at(name), dir_fd=self.descriptor)

    def files(self) -> Iterator[tuple[str, os.stat_result]]:
        """Regular files; links are none."""
        with os.scandir(self.path if self.descriptor is None else self.descriptor) as found:
            for file in found:
                with suppress(FileNotFoundError):
                    if file.is_file(follow_symlinks=False):
                        yield file.name, file.stat(follow_symlinks=False)


def is_ours(state: os.stat_result) -> bool:
    """Whether this user owns it, or this system has no such owners."""
    return not hasattr(os, "geteuid") or state.st_uid == os.geteuid()


def _temporary() -> str:
    return f".{os.urandom(16).hex()}.new"


def _check(state: os.stat_result, what: str) -> None:
    if not is_ours(state):
        reason = f"{what} belongs to another user, number {state.st_uid}"
        raise DistrustedError(errno.EPERM, reason)
    if hasattr(os, "geteuid") and state.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        reason = f"others may write to {what} (chmod go-w makes it safe)"
        raise DistrustedError(errno.EPERM, reason)
