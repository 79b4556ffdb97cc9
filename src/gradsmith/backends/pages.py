"""Large pages for large results.

Memory that is new to a process is given to it page by page, as it is first written to. At 4 KiB a
page that takes longer than what a kernel computes, up to ten times as long. Large results are new
each time: glibc maps those from 32 MiB on by themselves, and gives smaller ones back to the system
wherever they were the last of its heap, as a network's are after every step. For them the kernel of
Linux is asked for pages of 2 MiB (``madvise(MADV_HUGEPAGE)``): of 4 MiB, which have one such page
or two, a pass takes 0.6 of the time, of 64 MiB less than half. Where there are no large pages, or
the memory has its pages, the request changes nothing. The native part (``operator/cpp/pool.h``)
keeps memory for the next result, from 1 MiB on, and so hardly needs new one.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from functools import cache

from torch import Tensor

LARGE = 2**22
"""Bytes from which on a large page is among them, wherever they begin."""

KEPT = 2**20
"""Bytes from which on the native part keeps the memory of a result."""

_ADVICE: int | None = getattr(mmap, "MADV_HUGEPAGE", None)


def advised(tensor: Tensor) -> Tensor:
    """The same new tensor, on large pages where that pays and can be had."""
    size = tensor.nbytes
    if size >= LARGE and (request := _request()) is not None:
        # Addresses must begin a page; the rest of the first and of the last page stays as it is.
        begin = -(-tensor.data_ptr() // mmap.PAGESIZE) * mmap.PAGESIZE
        end = (tensor.data_ptr() + size) // mmap.PAGESIZE * mmap.PAGESIZE
        request(begin, end - begin, _ADVICE)
    return tensor


@cache
def _request() -> Callable[..., int] | None:
    """``madvise``; None where there are no such pages to ask for."""
    if _ADVICE is None:
        return None
    function = getattr(ctypes.CDLL(None), "madvise", None)
    if function is None:
        return None
    function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    function.restype = ctypes.c_int
    return function  # type: ignore[no-any-return]
