"""What is done while something is compiled: once, beside it, and of no consequence for it."""

from __future__ import annotations

import sys
import threading
from threading import Event, current_thread, get_ident

import pytest

from gradsmith.backends.meanwhile import compiling, meanwhile

PATIENCE = 30  # seconds, of which none is needed


def test_both_are_done_at_the_same_time() -> None:
    """Each waits for the other."""
    working, making = Event(), Event()

    def work() -> None:
        working.set()
        assert making.wait(PATIENCE)

    def make() -> int:
        making.set()
        assert working.wait(PATIENCE)
        return get_ident()

    with meanwhile(work):
        assert compiling(make) != get_ident()


@pytest.mark.parametrize("entered", [False, True])
def test_where_there_is_nothing_to_do_no_thread_is_needed(entered: bool) -> None:
    if not entered:
        assert compiling(get_ident) == get_ident()
        return
    with meanwhile(lambda: pytest.fail("it was taken back")), meanwhile(None):
        assert compiling(get_ident) == get_ident()


def test_the_work_is_done_once_and_not_beside_what_it_compiles_itself() -> None:
    done: list[str] = []

    def work() -> None:
        done.append(compiling(lambda: current_thread().name))

    with meanwhile(work):
        compiling(get_ident)
    assert done == [current_thread().name]
    assert compiling(get_ident) == get_ident()


def test_what_the_work_raises_is_left_to_who_needs_it() -> None:
    def work() -> None:
        raise ValueError("not yet")

    with meanwhile(work):
        assert compiling(lambda: 7) == 7


def test_what_compiling_raises_is_raised() -> None:
    def make() -> None:
        raise RuntimeError("no such instruction")

    with meanwhile(lambda: None), pytest.raises(RuntimeError, match="no such instruction"):
        compiling(make)


def test_an_interrupt_waits_for_the_thread_and_goes_on() -> None:
    made = []

    def work() -> None:
        raise KeyboardInterrupt

    with meanwhile(work), pytest.raises(KeyboardInterrupt):
        compiling(lambda: made.append(True))
    assert made == [True]


def test_where_there_can_be_no_more_threads_there_is_no_harm(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with meanwhile(lambda: pytest.fail("nothing is compiled beside it")):
        assert compiling(get_ident) == get_ident()


def test_turns_are_as_long_as_before_afterwards() -> None:
    before = sys.getswitchinterval()
    seen = []
    with meanwhile(lambda: seen.append(sys.getswitchinterval())):
        compiling(lambda: None)
    assert seen[0] < before == sys.getswitchinterval()
