"""Who could have written a record, and disks that do not work: never more is lost than the record.

Files are planted, given away and made impossible to write by the operating system's own means
where the user of the tests may do so, else by its calls' refusing.
"""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gradsmith.backends.store import Kind, Store
from tests.backends.records import CONTENT, KEY, MIB, assert_rebuilt, kept, only_file

resource = pytest.importorskip("resource", reason="there are no owners and permissions of POSIX")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", 64 * MIB)


# Who could have written it.


def test_a_directory_of_another_user_is_left_alone(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept(store)
    sound = path.read_bytes()
    us = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    assert store.load(Kind.OBJECT, KEY) is None
    assert f"the directory belongs to another user, number {us}" in str(store.problem)
    store.save(Kind.OBJECT, KEY, b"another")
    store.save(Kind.OBJECT, b"another", b"another")
    assert only_file(store).read_bytes() == sound
    found = store.survey()
    assert "belongs to another user" in str(found.unreadable)
    assert "belongs to another user" in str(found.unwritable)
    assert store.clear().count == 0
    assert path.exists()


def test_a_record_of_another_user_is_rebuilt(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(store)
    true = os.fstat

    def foreign(descriptor: int) -> os.stat_result:
        found = true(descriptor)
        fields = list(found)
        fields[stat.ST_UID] += stat.S_ISREG(found.st_mode)
        return os.stat_result(fields)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", foreign)
        assert store.load(Kind.OBJECT, KEY) is None
        assert "belongs to another user" in str(store.problem)
    assert store.load(Kind.OBJECT, KEY) == CONTENT
    if os.geteuid() == 0:  # may give it away indeed
        os.chown(path, 12345, -1)
        assert_rebuilt(store, path)
        assert path.stat().st_uid == 0


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_record_that_others_may_write_to_is_rebuilt(store: Store, mode: int) -> None:
    path = kept(store)
    path.chmod(mode)
    assert_rebuilt(store, path)


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777, 0o1777])
def test_a_directory_that_others_may_write_to_is_not_used(store: Store, mode: int) -> None:
    path = kept(store)
    path.parent.chmod(mode)
    assert store.load(Kind.OBJECT, KEY) is None
    store.save(Kind.OBJECT, b"another", CONTENT)
    assert only_file(store) == path
    assert "chmod go-w" in str(store.problem)
    assert str(path.parent) in str(store.problem)
    assert "chmod go-w" in str(store.survey().unreadable)
    assert store.clear().count == 1  # its owner may well empty it
    assert not path.exists()
    path.parent.chmod(0o755)
    assert kept(store) == path


def test_a_record_that_others_may_read_is_fine(store: Store) -> None:
    path = kept(store)
    path.chmod(0o644)
    path.parent.chmod(0o755)
    assert store.load(Kind.OBJECT, KEY) == CONTENT


def test_a_link_in_place_of_a_record_is_not_followed(store: Store, tmp_path: Path) -> None:
    path = kept(store)
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    sound = elsewhere.read_bytes()
    path.symlink_to(elsewhere)
    assert_rebuilt(store, path)
    assert elsewhere.read_bytes() == sound


@pytest.mark.parametrize("in_time", [True, False])
def test_a_directory_that_is_a_link_is_not_used(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_time: bool
) -> None:
    path = kept(store)
    link = tmp_path / "link"
    link.symlink_to(path.parent)
    linked = Store(link, MIB)
    if not in_time:  # it becomes one while it is looked at
        monkeypatch.setattr(Path, "is_symlink", lambda _: False)
    assert linked.load(Kind.OBJECT, KEY) is None
    assert ("symbolic link" if in_time else "irectory") in str(linked.problem)
    linked.save(Kind.OBJECT, b"another", CONTENT)
    assert linked.clear().count == 0
    assert only_file(store) == path


def test_above_the_directory_there_may_be_links(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    kept(Store(tmp_path / "link" / "cache", MIB))
    assert only_file(Store(tmp_path / "disk" / "cache", MIB)).is_file()


def test_a_pipe_in_place_of_a_record_makes_nobody_wait(store: Store) -> None:
    path = kept(store)
    path.unlink()
    os.mkfifo(path, 0o600)
    assert_rebuilt(store, path)


def test_a_directory_in_place_of_a_record_costs_only_that_record(store: Store) -> None:
    path = kept(store)
    path.unlink()
    path.mkdir(0o700)
    assert store.load(Kind.OBJECT, KEY) is None
    store.save(Kind.OBJECT, KEY, CONTENT)
    assert store.problem is not None
    assert only_file(store) == path
    store.save(Kind.OBJECT, b"another", CONTENT)
    assert store.load(Kind.OBJECT, b"another") == CONTENT
    assert store.problem is None


# Disks that do not work.


def refusing(number: int, call: Callable[..., Any], when: Callable[..., bool]) -> Any:
    def refused(*args: Any, **options: Any) -> Any:
        if when(*args):
            raise OSError(number, os.strerror(number))
        return call(*args, **options)

    return refused


def test_a_full_disk_costs_only_the_record(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kept(store)
    with monkeypatch.context() as patched:
        full = refusing(errno.ENOSPC, os.write, lambda descriptor, _: descriptor > 2)
        patched.setattr(os, "write", full)
        store.save(Kind.OBJECT, b"another", CONTENT)
        assert "No space left on device" in str(store.problem)
        assert "No space left on device" in str(store.survey().unwritable)
        assert store.survey().unreadable is None
        assert store.load(Kind.OBJECT, KEY) == CONTENT
        assert only_file(store) == path  # nothing half-done is left
    store.save(Kind.OBJECT, b"another", CONTENT)
    assert store.problem is None


def test_a_limit_of_the_system_costs_only_the_record(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    sound = kept(Store(path, MIB))

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    code = f"""
from gradsmith.backends.store import Kind, Store
from pathlib import Path
store = Store(Path({str(path)!r}), {MIB})
store.save(Kind.OBJECT, b"large", bytes(5000))
print(store.load(Kind.OBJECT, b"large"), store.load(Kind.OBJECT, {KEY!r}), store.problem)
"""
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, preexec_fn=no_large_files
    )
    assert ran.stderr == ""
    assert ran.stdout == f"None {CONTENT!r} {os.strerror(errno.EFBIG)}: {path}\n"
    assert list(path.iterdir()) == [sound]


def test_a_disk_that_takes_a_little_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = os.write
    monkeypatch.setattr(
        os, "write", lambda fd, data: true(fd, bytes(data)[: 7 if fd > 2 else None])
    )
    kept(store)


def test_a_disk_that_gives_a_little_at_a_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = os.read
    monkeypatch.setattr(os, "read", lambda fd, count: true(fd, min(count, 7)))
    kept(store)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_is_only_read_serves_what_it_has(
    store: Store, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    path = kept(store)
    os.utime(path, (0, 0))  # its use ought to be noted
    monkeypatch.setattr(
        os, "open", refusing(number, os.open, lambda _, flags, *__: flags & os.O_CREAT)
    )
    monkeypatch.setattr(os, "utime", refusing(number, os.utime, lambda *_: True))
    monkeypatch.setattr(os, "unlink", refusing(number, os.unlink, lambda *_: True))
    store.save(Kind.OBJECT, b"another", CONTENT)
    assert os.strerror(number) in str(store.problem)
    assert store.load(Kind.OBJECT, KEY) == CONTENT
    found = store.survey()
    assert found.unreadable is None
    assert os.strerror(number) in str(found.unwritable)
    removed = store.clear()
    assert removed.count == 0
    assert os.strerror(number) in str(removed.problem)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_a_directory_without_permission_to_write(store: Store) -> None:
    path = kept(store)
    path.parent.chmod(0o500)
    try:
        store.save(Kind.OBJECT, b"another", CONTENT)
        assert "Permission denied" in str(store.problem)
        assert store.load(Kind.OBJECT, KEY) == CONTENT
    finally:
        path.parent.chmod(0o700)


def test_a_place_where_no_directory_can_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "file" / "below", tmp_path / ("n" * 300)):
        store = Store(path, MIB)
        store.save(Kind.OBJECT, KEY, CONTENT)
        assert str(path) in str(store.problem)
        assert store.load(Kind.OBJECT, KEY) is None
        assert store.survey().unreadable is not None
        assert store.survey().unwritable is not None
        assert store.clear().count == 0
    assert (tmp_path / "file").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_without_a_directory_nothing_is_kept() -> None:
    store = Store(None, 0, "turned off")
    store.save(Kind.OBJECT, KEY, CONTENT)
    assert store.load(Kind.OBJECT, KEY) is None
    assert store.problem == "turned off"
    assert store.survey().unreadable == store.survey().unwritable == "turned off"
    assert (store.clear().count, store.clear().problem) == (0, None)


def test_an_interruption_leaves_nothing_half_done(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept(store)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.save(Kind.OBJECT, b"another", CONTENT)
    assert only_file(store) == path
