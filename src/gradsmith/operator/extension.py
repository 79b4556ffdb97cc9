"""The native part: the common call and its backward pass without Python; optional.

``call.cpp`` does what :mod:`~gradsmith.operator.native` and :mod:`~gradsmith.operator.recorded` do
for plain tensors of one shape, with the same kernels and so the same bits, in less time where
tensors are small. It is written against the C++ interface of PyTorch, which changes from version
to version. So it is compiled on the user's machine by ``gradsmith build``, never unasked, and
found again by everything on which it depends. Without it nothing but time is lost; :func:`reason`
says why.

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

from gradsmith.backends import dispatch, folder, threads
from gradsmith.backends.cache import store
from gradsmith.numerics.ladder import MODERATE

if TYPE_CHECKING:
    from gradsmith.operator.kernels import Kernel
    from gradsmith.operator.native import Pattern
    from gradsmith.operator.pointwise import Pointwise
    from gradsmith.operator.recorded import Backward

VARIABLE = "GRADSMITH_EXTENSION"
SOURCE = Path(__file__).with_name("call.cpp")
FLAGS = ("-O2", "-std=c++20", "-fPIC", "-shared", "-fvisibility=hidden")
"""For the compiler; nothing in them depends on the processor but its architecture."""

_MODULE = "gradsmith_call"
_OFF = ("", "0", "off")
_LIBRARY = re.compile(r"([0-9a-f]{32})-([0-9a-f]{64})\.so")
_LARGEST = 2**28  # bytes
_MOST_OPERANDS = 8


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
        SOURCE.read_text(encoding="utf-8"),
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
    module.configure(parallel, rank, ranks, threads.GRAIN, MODERATE, otherwise, gradients)


def unknown(operation: Pointwise, operands: Sequence[Any]) -> None:
    """What an operation calls until it has asked for the native part."""
    registered(operation)


def registered(operation: Pointwise) -> Any:
    """What the native part knows of an operation; None where there is no such part."""
    if operation.call is unknown:
        module = _loaded()
        known = None
        if not isinstance(module, str) and len(operation.operands) <= _MOST_OPERANDS:
            known = module.Operation(len(operation.operands))
        object.__setattr__(operation, "call", known)
    return operation.call


def register_kernel(operation: Pointwise, pattern: Pattern, kernel: Kernel) -> None:
    """From now on this kernel serves operands of this pattern."""
    known = registered(operation)
    if known is not None:
        known.kernel(0, *pattern, kernel.code.addresses, kernel.reads, 1)


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


def register_together(
    operation: Pointwise, plan: Backward, pattern: Pattern, kernel: Kernel
) -> None:
    """From now on this kernel computes all gradients of ``plan``.

    Args:
        operation: what is called.
        plan: what the backward pass does.
        pattern: of what is kept and the upstream gradient.
        kernel: with one output for each term.
    """
    known = registered(operation)
    if known is not None:
        addresses, outputs = kernel.code.addresses, len(plan.terms)
        known.kernel(_mask(plan), *pattern, addresses, kernel.reads, outputs)


def _mask(plan: Backward) -> int:
    return sum(1 << term.operand for term in plan.terms)
