"""Large pages for large results.

Memory that is new to a process is given to it page by page, as it is first written to. At 4 KiB a
page that takes longer than what a kernel computes. glibc gives whatever is larger than 32 MiB a
mapping of its own, which is new each time; for such results the kernel of Linux is asked for pages
of 2 MiB (``madvise(MADV_HUGEPAGE)``), which halves the time of a pass. Smaller memory comes back
from where it was freed, and has its pages. Where there are no large pages, or all memory has them,
the request changes nothing.
"""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable
from functools import cache

from torch import Tensor

LARGE = 2**25
"""Bytes from which on glibc maps memory for each request (``DEFAULT_MMAP_THRESHOLD_MAX``)."""

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
