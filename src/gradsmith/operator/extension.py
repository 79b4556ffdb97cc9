"""The native part: the common call and its backward pass without Python; optional.

``cpp/call.cpp`` does what :mod:`~gradsmith.operator.native` and
:mod:`~gradsmith.operator.recorded` do for plain tensors of one dtype, with the same kernels and so
the same bits, in less time where tensors are small. It is written against the C++ interface of
PyTorch, which changes from version to version. So it is compiled on the user's machine by
``gradsmith build``, never unasked, and found again by everything on which it depends. Without it
nothing but time is lost; :func:`reason` says why.

Environment variable ``GRADSMITH_EXTENSION``: the directory in which it lies; by default
``extension`` in that of the kernel cache. Empty, ``0`` or ``off``: it is not used.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sysconfig
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.machinery import ExtensionFileLoader
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from gradsmith.backends import dispatch, folder, pages, threads
from gradsmith.backends.cache import store
from gradsmith.numerics.fit import MODERATE, WORDS, Fit
from gradsmith.operator.layout import SHORTEST, WHOLE
from gradsmith.operator.usual import USUAL

if TYPE_CHECKING:
    from gradsmith.backends.dispatch import Precision
    from gradsmith.operator.kernels import Kernel, Kind
    from gradsmith.operator.pointwise import Pointwise
    from gradsmith.operator.recorded import Backward

VARIABLE = "GRADSMITH_EXTENSION"
SOURCE = Path(__file__).with_name("cpp") / "call.cpp"
FLAGS = ("-O2", "-std=c++20", "-fPIC", "-shared", "-fvisibility=hidden")
"""For the compiler; nothing in them depends on the processor but its architecture."""

_MODULE = "gradsmith_call"
_OFF = ("", "0", "off")
_LIBRARY = re.compile(r"([0-9a-f]{32})-([0-9a-f]{64})\.so")
_LARGEST = 2**28  # bytes
_MOST_OPERANDS = 8
_NUMBERS = (*WORDS, USUAL)  # what an operand is that is no tensor, and that is served


def reason() -> str | None:
    """Why the native part is not used in this process; None where it is."""
    found = _loaded()
    return found if isinstance(found, str) else None


def directory() -> Path | str:
    """Where it lies once it is built; or why there is no such place."""
    chosen = os.environ.get(VARIABLE)
    if chosen is None:
        kept = store()
        if kept.path is None:
            return f"there is no kernel cache to keep it in ({kept.problem}); or set {VARIABLE}"
        return kept.path / "extension"
    if chosen.strip().lower() in _OFF:
        return f"{VARIABLE} is {chosen!r}, which turns it off"
    return Path(chosen).expanduser().absolute()


def key() -> str:
    """Stands for everything on which the library depends."""
    parts = [
        torch.__version__,
        str(torch.version.git_version),
        str(sysconfig.get_config_var("SOABI")),
        platform.system(),
        platform.machine(),
        *FLAGS,
        *(file.read_text(encoding="utf-8") for file in sorted(SOURCE.parent.glob("*.[ch]*"))),
    ]
    return sha256("\0".join(parts).encode()).hexdigest()[:32]


def library_name(content: bytes) -> str:
    """The name of its file, which says what it is for and what must be in it."""
    return f"{key()}-{sha256(content).hexdigest()}.so"


def is_built() -> bool:
    """Whether there is one for this version of everything; it may still not be one to trust."""
    where = directory()
    if isinstance(where, str) or not where.is_dir():
        return False
    return any(file.name.startswith(key()) for file in where.iterdir())


@cache
def _loaded() -> Any:
    """The module; or why there is none."""
    where = directory()
    if isinstance(where, str):
        return where
    try:
        module = _load(where)
        if module is None:
            built_for = f"PyTorch {torch.__version__} and Python {platform.python_version()}"
            return f"not built for {built_for}; `gradsmith build` does it"
        _configure(module)
    except Exception as error:  # whatever is wrong with it must cost nothing but time
        return f"cannot be loaded: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
    return module


def _load(where: Path) -> Any:
    wanted = key()
    try:
        with folder.opened(where) as opened:
            for name, _ in opened.files():
                found = _LIBRARY.fullmatch(name)
                if found is None or found[1] != wanted:
                    continue
                if sha256(opened.read(name, _LARGEST)).hexdigest() == found[2]:
                    return _imported(_path(opened, name))
    except FileNotFoundError:
        return None
    return None


def _path(opened: folder.Folder, name: str) -> str:
    """What leads to the file in the very directory that was looked at."""
    if opened.descriptor is not None:
        path = f"/proc/self/fd/{opened.descriptor}/{name}"
        if os.path.exists(path):
            return path
    return os.path.join(opened.path, name)


def _imported(path: str) -> Any:
    loader = ExtensionFileLoader(_MODULE, path)
    spec = spec_from_file_location(_MODULE, path, loader=loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _configure(module: Any) -> None:
    from gradsmith.operator.recorded import gradients

    parallel = rank = ranks = 0
    if threads.unavailable() is None:
        parallel = threads.start()
        rank, ranks = threads.identify()
    otherwise = ctypes.addressof(dispatch.OTHERWISE)
    sizes = threads.GRAIN, pages.KEPT, SHORTEST, WHOLE
    module.configure(parallel, rank, ranks, *sizes, MODERATE, otherwise, gradients)


def unknown(operation: Pointwise, operands: Sequence[Any]) -> None:
    """What an operation calls until it has asked for the native part."""
    registered(operation)


def registered(operation: Pointwise) -> Any:
    """What the native part knows of an operation; None where there is no such part."""
    if operation.call is unknown:
        module = _loaded()
        known = None
        if not isinstance(module, str) and len(operation.operands) <= _MOST_OPERANDS:
            known = module.Operation(len(operation.operands), operation.usual)
        object.__setattr__(operation, "call", known)
    return operation.call


def halves(operation: Pointwise, whole: torch.Tensor, dim: int) -> torch.Tensor | None:
    """An operation of two operands on the halves of a tensor; None where Python must see to it."""
    known = registered(operation)
    return None if known is None else known.halves(operation, whole, dim)


def slopes() -> Any:
    """The function ``(input, lower, upper)`` that draws random slopes; None where there is none."""
    module = _loaded()
    return None if isinstance(module, str) else module.slopes


def register_kernel(
    operation: Pointwise,
    kinds: Sequence[Kind],
    singles: Sequence[bool],
    precision: Precision,
    kernel: Kernel,
) -> None:
    """From now on this kernel serves such operands; see :func:`~gradsmith.operator.kernels.lookup`.

    Only results of the operands' dtype are of use to the native part, and those that are about to
    be summed, which have the precision of the computation.
    """
    known = registered(operation)
    dtype = _dtype(kinds)
    if known is None or dtype is None:
        return
    usual = dispatch.precision(dtype, "cpu")
    for summed, wanted in ((False, usual), (True, usual.stored_as(usual.compute))):
        if precision is wanted:
            _register(known, 0, kinds, singles, summed, precision.storage, kernel, 1)


def _dtype(kinds: Sequence[Kind]) -> torch.dtype | None:
    """That of all tensors, if there is one and numbers fit; else None."""
    found = {kind for kind in kinds if kind not in _NUMBERS}
    dtype = found.pop() if len(found) == 1 else None
    return dtype if isinstance(dtype, torch.dtype) else None


def _register(
    known: Any,
    needs: int,
    kinds: Sequence[Kind],
    singles: Sequence[bool],
    summed: bool,
    storage: torch.dtype,
    kernel: Kernel,
    outputs: int,
) -> None:
    numbers = sum(1 << i for i, kind in enumerate(kinds) if kind in _NUMBERS)
    short = sum(1 << i for i, kind in enumerate(kinds) if kind is Fit.ONE_WORD)
    single = sum(1 << i for i, is_single in enumerate(singles) if is_single) & ~numbers
    key = (_dtype(kinds), USUAL in kinds, summed, numbers, short, single)
    code = kernel.code
    known.kernel(needs, key, storage, (*code.addresses, code.grain), kernel.reads, outputs)


def register_backward(operation: Pointwise, needs: tuple[bool, ...], plan: Backward) -> None:
    """From now on calls are recorded whose operands need gradients like that.

    Args:
        operation: what is called.
        needs: the key of ``plan`` among ``operation.backwards``.
        plan: what the backward pass does.
    """
    known = registered(operation)
    if known is not None:  # a plan may keep the output, one beyond the operands
        terms = [
            (term.operand, None if term.gradient is None else registered(term.gradient), term.reads)
            for term in plan.terms
        ]
        known.plan(_mask(plan), needs, plan.kept, terms)


def register_mask(operation: Pointwise, position: int, least: int) -> None:
    """From now on Python is asked where a mask would be kept in place of that many elements."""
    known = registered(operation)
    if known is not None:
        known.mask(1 << position, least)


def register_together(
    operation: Pointwise,
    plan: Backward,
    kinds: Sequence[Kind],
    singles: Sequence[bool],
    dtype: torch.dtype,
    kernel: Kernel,
) -> None:
    """From now on this kernel computes all gradients of ``plan``.

    Args:
        operation: what is called.
        plan: what the backward pass does.
        kinds: of what is kept and the upstream gradient.
        singles: which of them are one element for a whole row.
        dtype: of the gradients.
        kernel: with one output for each term.
    """
    known = registered(operation)
    if known is not None and _dtype(kinds) is dtype:
        _register(known, _mask(plan), kinds, singles, False, dtype, kernel, len(plan.terms))


def _mask(plan: Backward) -> int:
    return sum(1 << term.operand for term in plan.terms)
