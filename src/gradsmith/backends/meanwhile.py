"""What else there is to do while LLVM compiles, which it does without Python's global lock.

A first training step compiles the value, then looks for the best way to compute the gradient, then
compiles that. The second takes as long as the first, and needs nothing of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock, Thread
from typing import TypeVar

_Made = TypeVar("_Made")

_WORK: ContextVar[Callable[[], object] | None] = ContextVar("meanwhile", default=None)

_TURN = 2e-4
"""Seconds. LLVM is called some fifty times for one kernel, and mostly briefly: each time it waits
so long for its turn while Python is busy. By default that is 5 ms."""

_turns = Lock()


@contextmanager
def meanwhile(work: Callable[[], object] | None) -> Iterator[None]:
    """Within this context, while something is compiled for the first time, ``work`` is done too.

    Perhaps it is not done at all. It is done ahead of time, so that what it raises is left to
    whoever will need it. With None nothing is done.
    """
    token = _WORK.set(work)
    try:
        yield
    finally:
        _WORK.reset(token)


def compiling(make: Callable[[], _Made]) -> _Made:
    """What ``make`` returns; on a thread of its own where there is work for this one meanwhile."""
    work = _WORK.get()
    if work is None:
        return make()
    token = _WORK.set(None)  # it is done once
    try:
        return _beside(make, work)
    finally:
        _WORK.reset(token)


def _beside(make: Callable[[], _Made], work: Callable[[], object]) -> _Made:
    made: list[_Made] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            made.append(make())
        except BaseException as error:  # raised again by the thread that waits for it
            failed.append(error)

    thread = Thread(target=run, name="gradsmith compiles")
    try:
        thread.start()
    except RuntimeError:  # there can be no more threads
        return make()
    try:
        with _short_turns():
            work()
    except Exception:
        pass  # it is done again when it is needed, and raises that there
    finally:
        thread.join()
    if failed:
        raise failed[0]
    return made[0]


@contextmanager
def _short_turns() -> Iterator[None]:
    """Within this context, one thread lets Python's other threads have their turn sooner."""
    if not _turns.acquire(blocking=False):
        yield  # another thread sees to it
        return
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _TURN))
    try:
        yield
    finally:
        sys.setswitchinterval(before)
        _turns.release()
