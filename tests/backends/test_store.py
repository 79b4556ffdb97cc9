"""Records on disk: what was kept comes back, or nothing; their size is bounded; many processes.

What is sound is checked from outside, against the content that was given, with files that are
damaged in every place.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradsmith.backends import store as module
from gradsmith.backends.store import Kind, Store
from tests.backends.records import CONTENT, DAY, KEY, MIB, assert_rebuilt, kept, only_file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "cache", 64 * MIB)


# What was kept comes back.


@given(key=st.binary(), content=st.binary(max_size=9000), kind=st.sampled_from(Kind))
def test_a_record_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, key: bytes, content: bytes, kind: Kind
) -> None:
    path = tmp_path_factory.getbasetemp() / "round trips"
    Store(path, MIB).save(kind, key, content)
    assert Store(path, MIB).load(kind, key) == content


def test_keys_and_kinds_are_kept_apart(store: Store) -> None:
    for number, kind in enumerate(Kind):
        for key in (b"", b"a", b"b", kind.value.encode()):
            store.save(kind, key, key + bytes([number]))
    for number, kind in enumerate(Kind):
        for key in (b"", b"a", b"b", kind.value.encode()):
            assert store.load(kind, key) == key + bytes([number])
        assert store.load(kind, b"c") is None


def test_a_later_record_takes_the_place_of_an_earlier_one(store: Store) -> None:
    path = kept(store)
    store.save(Kind.OBJECT, KEY, b"another")
    assert store.load(Kind.OBJECT, KEY) == b"another"
    assert only_file(store) == path


def test_nobody_else_gets_rights_to_what_is_made(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = Store(tmp_path / "cache", MIB)
        path = kept(store)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_looking_for_a_record_makes_no_directory(store: Store) -> None:
    assert store.load(Kind.OBJECT, KEY) is None
    assert store.path is not None
    assert not store.path.exists()
    assert store.problem is None


# Damage.


def test_a_flipped_bit_anywhere_is_found(store: Store) -> None:
    path = kept(store)
    sound = path.read_bytes()
    for position in range(len(sound)):
        for bit in (0, 7):
            damaged = bytearray(sound)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            assert store.load(Kind.OBJECT, KEY) is None, (position, bit)
    assert_rebuilt(store, path)


def test_a_record_cut_off_anywhere_is_found(store: Store) -> None:
    path = kept(store)
    sound = path.read_bytes()
    for length in range(len(sound)):
        path.write_bytes(sound[:length])
        assert store.load(Kind.OBJECT, KEY) is None, length
    assert_rebuilt(store, path)


@pytest.mark.parametrize("other", [b"", b"\0", CONTENT, b"\x7fELF" + bytes(1000)])
def test_what_is_no_record_or_has_more_behind_it_is_found(store: Store, other: bytes) -> None:
    path = kept(store)
    for content in (other, path.read_bytes() + (other or b"\n")):
        path.write_bytes(content)
        assert_rebuilt(store, path)


def test_a_record_of_another_key_or_kind_is_not_taken(store: Store) -> None:
    path = kept(store)
    for kind, key in ((Kind.OBJECT, b"another key"), (Kind.PLAN, KEY)):
        store.save(kind, key, CONTENT)
        (other,) = set(path.parent.iterdir()) - {path}
        other.replace(path)
        assert_rebuilt(store, path)


def test_a_record_of_another_format_is_not_taken(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kept(store)
    with monkeypatch.context() as patched:
        patched.setattr(module, "_MAGIC", b"gradsmith\x00\x7f\n")
        store.save(Kind.OBJECT, KEY, CONTENT)
        (other,) = set(path.parent.iterdir()) - {path}
    other.replace(path)
    assert_rebuilt(store, path)


# Size.

RECORD = 32 * 1024  # with its header nine blocks of 4 KiB; so large that every one is counted


def size_on_disk(path: Path) -> int:
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in path.iterdir())


def test_the_size_is_bounded_and_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", MIB)
    assert store.path is not None
    now = time.time()
    for number in range(60):
        key = bytes([number])
        store.save(Kind.OBJECT, key, bytes(RECORD))
        (new,) = (file for file in store.path.iterdir() if file.stat().st_mtime > now - DAY / 2)
        assert size_on_disk(store.path) <= MIB
        # As if it were days ago, the first of all the longest.
        os.utime(new, (now, now - (100 - number) * DAY))
        assert store.load(Kind.OBJECT, b"\0") is not None, number  # used all the time
        (first,) = (file for file in store.path.iterdir() if file.stat().st_mtime > now - DAY / 2)
        os.utime(first, (now, now - 2 * DAY))
    there = [n for n in range(60) if store.load(Kind.OBJECT, bytes([n])) is not None]
    assert there == [0, *range(there[1], 60)]
    assert size_on_disk(store.path) > MIB / 2


def test_nothing_goes_while_there_is_room(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", MIB)
    for number in range(28):  # nine blocks of 256 each
        store.save(Kind.OBJECT, bytes([number]), bytes(RECORD))
    assert all(store.load(Kind.OBJECT, bytes([number])) for number in range(28))


def test_a_use_is_noted_once_a_day(store: Store) -> None:
    path = kept(store)
    now = time.time()
    for age, noted in ((0, False), (DAY - 100, False), (DAY + 100, True), (-DAY - 100, True)):
        os.utime(path, (now, now - age))
        store.load(Kind.OBJECT, KEY)
        assert (abs(path.stat().st_mtime - (now - age)) > 50) is noted, age
        assert not noted or abs(path.stat().st_mtime - now) < 50


def test_what_was_left_half_done_goes_and_foreign_files_stay(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", MIB)
    kept(store)
    assert store.path is not None
    names = {"notes.txt", "f" * 64, "f" * 64 + ".txt", "F" * 64 + ".object", ".new"}
    abandoned, fresh = "." + "a" * 32 + ".new", "." + "b" * 32 + ".new"
    for name in (*names, abandoned, fresh):
        (store.path / name).write_bytes(bytes(10))
        age = 1000 if name == fresh else 1_000_000_000
        os.utime(store.path / name, (0, time.time() - age))
    for number in range(60):
        store.save(Kind.OBJECT, bytes([number]), bytes(RECORD))
    there = {file.name for file in store.path.iterdir()}
    assert names < there
    assert fresh in there
    assert abandoned not in there


def test_sweeps_are_rare(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    chances: list[float] = []
    monkeypatch.setattr(module, "_happens", lambda chance: chances.append(chance) or False)
    for size in (10, 4096, 100_000):
        store.save(Kind.OBJECT, KEY, bytes(size))
    # While the limit is filled once, 32 times on average.
    assert chances == [blocks * 4096 / store.limit * 32 for blocks in (1, 2, 25)]


def test_a_chance_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for drawn, expected in ((0, 0.0), (2**31, 0.5), (2**32 - 1, 1 - 2**-32)):
        monkeypatch.setattr(os, "urandom", lambda count, d=drawn: d.to_bytes(count, "little"))
        assert not module._happens(expected)
        assert module._happens(expected + 2**-32)


def test_one_record_does_not_push_out_all_others(tmp_path: Path) -> None:
    store = Store(tmp_path / "cache", MIB)
    path = kept(store)
    store.save(Kind.OBJECT, b"large", bytes(MIB // 8))
    assert only_file(store) == path
    assert "too large" in str(store.problem)


# Emptying and looking.


def test_clearing_removes_records_and_nothing_else(store: Store, tmp_path: Path) -> None:
    assert (store.clear().count, store.clear().size, store.clear().problem) == (0, 0, None)
    path = kept(store)
    outside = tmp_path / "outside"
    outside.write_text("mine")
    others = [path.parent / name for name in ("notes.txt", "f" * 64 + ".txt")]
    for other in others:
        other.write_text("mine")
    link = path.parent / ("e" * 64 + ".object")
    link.symlink_to(outside)
    folder = path.parent / ("d" * 64 + ".object")
    folder.mkdir()
    (folder / path.name).write_text("mine")
    abandoned, half = (path.parent / f".{letter * 32}.new" for letter in "ab")
    for file in (abandoned, half):
        file.write_bytes(bytes(5000))
    os.utime(abandoned, (0, time.time() - DAY))
    store.save(Kind.PLAN, KEY, bytes(4096))
    removed = store.clear()
    assert (removed.count, removed.size, removed.problem) == (2, (1 + 2 + 2) * 4096, None)
    # The process that is writing its half of a record will want to finish.
    assert set(path.parent.iterdir()) == {*others, link, folder, half}
    assert outside.read_text() == "mine"
    assert (folder / path.name).read_text() == "mine"
    assert store.load(Kind.OBJECT, KEY) is None


def test_a_survey_counts_what_there_is(store: Store) -> None:
    empty = store.survey()
    assert (empty.count, empty.size) == ({Kind.OBJECT: 0, Kind.PLAN: 0}, 0)
    assert (empty.unreadable, empty.unwritable) == (None, None)
    for number in range(3):
        store.save(Kind.OBJECT, bytes([number]), bytes(5000))
    store.save(Kind.PLAN, KEY, b"{}")
    found = store.survey()
    assert found.count == {Kind.OBJECT: 3, Kind.PLAN: 1}
    assert found.size == 7 * 4096
    assert (found.path, found.limit) == (store.path, store.limit)
    assert len(list(found.path.iterdir())) == 4  # nothing is left of the attempt


# Several processes.

WRITER = """
import sys
from pathlib import Path
from gradsmith.backends.store import Kind, Store

number, path = int(sys.argv[1]), Path(sys.argv[2])
store = Store(path, 2**20)
for turn in range(300):
    store.save(Kind.OBJECT, b"same", bytes([number]) * (40_000 + number))
    store.save(Kind.OBJECT, bytes([number, turn % 20]), bytes([number]) * 30_000)
    for key in (b"same", bytes([1 - number % 2, turn % 20])):
        found = store.load(Kind.OBJECT, key)
        assert found is None or found == found[:1] * len(found), "mixed"
        assert found is None or len(found) == 30_000 or len(found) == 40_000 + found[0], "cut off"
    if number == 3 and turn % 50 == 0:
        assert store.clear().problem is None
    assert store.problem is None, store.problem
"""


def test_processes_that_write_read_sweep_and_clear_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    with ExitStack() as running:
        processes = [
            running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", WRITER, str(number), str(path)],
                    stderr=subprocess.PIPE,
                    text=True,
                )
            )
            for number in range(4)
        ]
        ends = [(process.communicate(timeout=300)[1], process.returncode) for process in processes]
    assert ends == [("", 0)] * 4
    assert not [file for file in path.iterdir() if file.suffix == ".new"]
    final = Store(path, MIB).load(Kind.OBJECT, b"same")
    assert final is not None
    assert len(final) == 40_000 + final[0]
    assert size_on_disk(path) <= MIB * 9 / 8  # what others wrote during the last sweep
