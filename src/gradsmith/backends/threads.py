"""Threads for kernels: those of PyTorch's own pool, as many as ``torch.set_num_threads`` says.

A second pool would compete with PyTorch's for the same cores. So the OpenMP runtime that PyTorch
has loaded is called, through GNU's entry point, which LLVM's runtime offers on Linux as well. Where
there is none, and in a process that was forked (a runtime's threads are not), a kernel runs on the
thread that calls it: same bits, more time.

A second thread pays from a certain time on, not from a certain number of elements: one for which
PyTorch's own operations take as long, at the number from which they use it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch

GRAIN = 32768
"""Elements from which on PyTorch uses another thread (``at::internal::GRAIN_SIZE``)."""

_MOVING = 25.0
"""What it takes to move an element there and back, of which most of PyTorch's operations consist,
in float32 operations on one lane; see :func:`~gradsmith.numerics.cost.cost`."""

_forked = False


def _in_child() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)


def grain(cost: float) -> int:
    """Elements from which on another thread saves more than it costs.

    Starting it takes 1 µs, and some 50 where it has gone to sleep.

    Args:
        cost: of computing an element, in float32 operations.
    """
    return int(GRAIN * _MOVING / (_MOVING + cost))


def count(elements: int, grain: int = GRAIN) -> int:
    """How many threads that many elements are worth."""
    if elements <= grain or _forked:
        return 1
    return min(torch.get_num_threads(), -(-elements // grain)) if unavailable() is None else 1


def unavailable() -> str | None:
    """Why kernels run on one thread only; None where they need not."""
    if _forked:
        return "this process was forked, and its OpenMP threads were not"
    found = _runtime()
    return found if isinstance(found, str) else None


def identify() -> tuple[int, int]:
    """Addresses of OpenMP's functions for the number of this thread, and of how many."""
    found = _runtime()
    assert not isinstance(found, str), found
    return found[1]


def start() -> int:
    """Address of ``void f(void (*worker)(void *), void *task, unsigned threads, unsigned flags)``.

    :func:`run` is it, for Python.
    """
    found = _runtime()
    assert not isinstance(found, str), found
    return ctypes.cast(found[0], ctypes.c_void_p).value or 0  # type: ignore[arg-type]


def run(worker: int, task: int, threads: int) -> None:
    """Calls ``void worker(void *task)`` on that many threads at once, and waits for them.

    Python's global lock is released meanwhile.
    """
    found = _runtime()
    assert not isinstance(found, str), found
    found[0](worker, task, threads, 0)


@cache
def _runtime() -> tuple[Callable[[int, int, int, int], None], tuple[int, int]] | str:
    """What starts threads, and what tells them apart; or why there is none."""
    name = {"darwin": "libtorch_cpu.dylib", "win32": "torch_cpu.dll"}.get(
        sys.platform, "libtorch_cpu.so"
    )
    path = Path(torch.__file__).parent / "lib" / name
    try:
        # A symbol asked of this library is looked for in what it depends on: its own runtime,
        # whatever others the process may have loaded.
        library = ctypes.CDLL(str(path))
        start = library.GOMP_parallel
        identity = (library.omp_get_thread_num, library.omp_get_num_threads)
    except (OSError, AttributeError) as error:
        return f"PyTorch's OpenMP runtime cannot be called: {error}"
    start.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
    start.restype = None
    addresses = [ctypes.cast(function, ctypes.c_void_p).value or 0 for function in identity]
    return start, (addresses[0], addresses[1])
