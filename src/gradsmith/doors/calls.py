"""Calls of PyTorch's activation functions in a model, which no swapping of modules can reach.

Two ways to find them, since neither sees everything. A run of the model sees each call that is
made, however the function is reached, and none on a path that was not taken. Reading the source of
the model's classes sees every path, and no function that is only known when the model runs.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import textwrap
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from gradsmith.doors.counterparts import classes, functions, methods
from gradsmith.doors.replacement import FunctionalCall

_Place = tuple[str, str, int]
"""A function's name, a file and a line."""

_TORCH = str(Path(torch.__file__).parent)
# What stands between a call and the function that it reaches.
_BETWEEN = (
    __file__,
    *(f"{_TORCH}/{name}" for name in ("nn/functional.py", "overrides.py", "_tensor.py")),
    f"{_TORCH}/_jit_internal.py",
)


def functional_calls(
    model: nn.Module,
    wanted: Collection[str],
    new: Collection[nn.Module],
    run: Callable[[], Any] | None,
) -> tuple[tuple[FunctionalCall, ...], tuple[str, ...]]:
    """The calls, and the names of the classes that could not be read.

    Args:
        model: whose calls.
        wanted: names of the catalogue's entries of whose functions.
        new: modules that somebody chose just now; their calls do not count.
        run: runs the model; left out, only the source is read.

    Raises:
        Exception: what the run raises. The model's buffers and the random state are as before.
    """
    names = {module: name for name, module in model.named_modules()}
    # What an activation of torch.nn calls is no call of its own: a rule can speak of the module.
    silent = {m for m in names if type(m) in classes()}.union(*(m.modules() for m in new))
    found: dict[_Place, dict[str, None]] = {}
    read, unread = _read(names, silent, wanted)
    if run is not None:
        with _as_it_was(model), _Observation(names, silent, wanted, found):
            run()
    calls = [_call(place, tuple(within), True) for place, within in found.items()]
    lines = {(file, line) for _, file, line in found}
    calls += [
        _call(place, tuple(within), False)
        for place, within in read.items()
        if place[1:] not in lines
    ]
    return tuple(sorted(calls, key=lambda c: (not c.seen, c.file, c.line))), tuple(unread)


def _call(place: _Place, within: tuple[str, ...], seen: bool) -> FunctionalCall:
    function, file, line = place
    return FunctionalCall(function, file, line, within, seen, linecache.getline(file, line).strip())


@contextmanager
def _as_it_was(model: nn.Module) -> Iterator[None]:
    """The statistics of the model and the random numbers of the process come back afterwards."""
    kept = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        with torch.random.fork_rng():
            yield
    finally:
        with torch.no_grad():
            for buffer, before in kept:
                buffer.copy_(before)


class _Observation(TorchFunctionMode):
    """While it is entered, notes the calls."""

    def __init__(
        self,
        names: Mapping[nn.Module, str],
        silent: Collection[nn.Module],
        wanted: Collection[str],
        found: dict[_Place, dict[str, None]],
    ) -> None:
        super().__init__()
        self.names, self.silent, self.wanted, self.found = names, silent, wanted, found

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        entry, name = functions().get(func, (None, ""))
        if entry is not None and entry.name in self.wanted:
            self._note(name, sys._getframe(1))
        return func(*args, **(kwargs or {}))

    def _note(self, name: str, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code.co_filename in _BETWEEN:
            frame = frame.f_back
        if frame is None:
            return
        place = name, frame.f_code.co_filename, frame.f_lineno
        inner: FrameType | None = frame
        while inner is not None:
            owner = inner.f_locals.get("self")
            if isinstance(owner, nn.Module) and owner in self.names:
                if owner not in self.silent:
                    self.found.setdefault(place, {})[self.names[owner]] = None
                return
            inner = inner.f_back


def _read(
    names: Mapping[nn.Module, str], silent: Collection[nn.Module], wanted: Collection[str]
) -> tuple[dict[_Place, dict[str, None]], list[str]]:
    """The calls in the source of the modules' classes and of the functions that these call."""
    found: dict[_Place, dict[str, None]] = {}
    unread: dict[str, None] = {}
    for module, name in names.items():
        if module in silent:
            continue
        for function in _methods_of(type(module)):
            reader = _Reader(module, wanted)
            if not reader.read(function):
                unread[type(module).__qualname__] = None
            for place in reader.found:
                found.setdefault(place, {})[name] = None
    return found, list(unread)


def _methods_of(kind: type) -> Iterator[FunctionType]:
    """The methods that an author outside of torch wrote, constructors excepted.

    What a constructor stores is not called there, and is looked for in the attributes.
    """
    seen = {"__init__"}
    for base in kind.__mro__:
        if base.__module__.split(".")[0] in ("torch", "builtins", "gradsmith"):
            continue
        for name, value in vars(base).items():
            if name not in seen and isinstance(value, FunctionType):
                seen.add(name)
                yield value


class _Reader(ast.NodeVisitor):
    """Reads one method for one module, and the functions of the same package that it calls."""

    def __init__(self, module: nn.Module, wanted: Collection[str]) -> None:
        self.module = module
        self.wanted = wanted
        self.found: dict[_Place, None] = {}
        self.done: set[FunctionType] = set()
        self.names: Mapping[str, Any] = {}
        self.file, self.first = "", 0

    def read(self, function: FunctionType) -> bool:
        """Whether there is a source to read."""
        if function in self.done:
            return True
        self.done.add(function)
        try:
            lines, first = inspect.getsourcelines(function)
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except (OSError, TypeError, SyntaxError):
            return False
        before = self.names, self.file, self.first
        self.file, self.first = function.__code__.co_filename, first
        self.names = _names_in(function)
        self.visit(tree)
        self.names, self.file, self.first = before
        return True

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        target = self._meaning(called)
        if target is None and isinstance(called, ast.Attribute) and called.attr in methods():
            owner = self._meaning(called.value)
            if owner is None or isinstance(owner, Tensor):
                self._note(methods()[called.attr].name, f"torch.Tensor.{called.attr}", node)
        elif isinstance(target, FunctionType) and _same_package(target, type(self.module)):
            self.read(target)
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        owner = self._meaning(node.value)
        # What a module holds is looked for in the module.
        if not (isinstance(owner, nn.Module) and node.attr in vars(owner)):
            self._reference(node)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self._reference(node)

    def _reference(self, node: ast.expr) -> None:
        meaning = self._meaning(node)
        if isinstance(meaning, (nn.Module, Tensor)):
            return
        try:
            entry, name = functions().get(meaning, (None, ""))
        except TypeError:  # not hashable
            return
        if entry is not None:
            self._note(entry.name, name, node)

    def _note(self, entry: str, name: str, node: ast.expr) -> None:
        if entry in self.wanted:
            self.found[name, self.file, self.first + node.lineno - 1] = None

    def _meaning(self, node: ast.expr) -> Any:
        """What a dotted name stands for when the module runs; None where that is not known."""
        if isinstance(node, ast.Name):
            return self.module if node.id == "self" else self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            owner = self._meaning(node.value)
            if isinstance(owner, (ModuleType, nn.Module, type)):
                # Not what a property computes: that would be the model's code running.
                if isinstance(inspect.getattr_static(owner, node.attr, None), property):
                    return None
                with suppress(Exception):  # of a module that loads what it has when asked
                    return getattr(owner, node.attr, None)
        return None


def _names_in(function: FunctionType) -> dict[str, Any]:
    """What the names mean that a function takes from outside."""
    own = {*function.__code__.co_varnames, *function.__code__.co_cellvars}
    closed = inspect.getclosurevars(function).nonlocals
    return {n: v for n, v in {**function.__globals__, **closed}.items() if n not in own}


def _same_package(function: FunctionType, kind: type) -> bool:
    return function.__module__.split(".")[0] == kind.__module__.split(".")[0]
