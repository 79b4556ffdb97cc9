"""What works on this machine, measured rather than assumed.

Nothing here may fail because something else does: a PyTorch that cannot be imported is a finding.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_USED = ("torch", "numpy", "llvmlite", "python-flint", "matplotlib", "jinja2", "rich", "typer")
_COMPILERS = ("c++", "g++", "clang++", "cl")
_PATIENCE = 120  # seconds

# M1 of any first lesson: σ(1) and its gradient σ(1)·(1 − σ(1)), at four digits.
_SIGMOID = ("0.7311", "0.1966")

_TIMES = """
from time import perf_counter as now
a = now()
import torch
b = now()
import gradsmith
c = now()
y = gradsmith.activation("1/(1 + exp(-x)) + 0*sin(3*x)")
x = torch.ones(1, requires_grad=True)
y(x).backward()
d = now()
print(b - a, c - b, d - c)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        what: what was looked at.
        here: what is here.
        meaning: what follows from it.
        works: whether gradsmith can do its work with it.
    """

    what: str
    here: str
    meaning: str = ""
    works: bool = True

    @property
    def row(self) -> tuple[str, str, str]:
        """As a table shows it."""
        return self.what, self.here if self.works else f"BROKEN: {self.here}", self.meaning


def examine(python: Path, environment: Mapping[str, str]) -> list[Finding]:
    """Everything that was found.

    Args:
        python: the interpreter whose import times are measured.
        environment: the environment variables it runs in.
    """
    import gradsmith

    machine = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    return [
        Finding("gradsmith", gradsmith.__version__, str(Path(gradsmith.__file__).parent)),
        Finding("machine", machine),
        *(_package(name) for name in _USED),
        *_backends(),
        _native(),
        _extension(),
        _cache(),
        _compiler(),
        *_times(python, environment),
    ]


def _package(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed", f"install it: pip install {name}", works=False)


def _backends() -> list[Finding]:
    try:
        import torch
    except Exception as error:  # whatever is wrong with it
        return [Finding("backend aten", _first_line(error), "PyTorch must work", works=False)]
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return [_aten(device) for device in devices]


def _aten(device: str) -> Finding:
    import torch

    from gradsmith.activation import activation
    from gradsmith.backends.dispatch import precision

    what = f"backend aten on {device}"
    try:
        x = torch.ones(1, device=device, requires_grad=True)
        y = activation("1/(1 + exp(-x))")(x)
        y.backward()
        assert x.grad is not None
        found = (f"{y.item():.4f}", f"{x.grad.item():.4f}")
        computed = str(precision(torch.float32, x.device.type).compute).removeprefix("torch.")
    except Exception as error:
        return Finding(what, _first_line(error), "no activation runs there", works=False)
    if found != _SIGMOID:
        return Finding(what, f"σ(1), σ′(1) = {', '.join(found)}", "that is wrong", works=False)
    threads = f", {torch.get_num_threads()} threads" if device == "cpu" else ""
    means = f"every activation and gradient; float32 is computed in {computed}"
    return Finding(what, f"works{threads}", means)


def _native() -> Finding:
    from gradsmith.backends.native import host, unavailable

    what = "backend llvm on cpu"
    reason = unavailable()
    if reason is not None:
        return Finding(what, reason, "no native kernels; torch's operations do their work")
    return Finding(what, f"works, for {host().cpu}", "native kernels, compiled as they are needed")


def _extension() -> Finding:
    from gradsmith.operator.extension import directory, reason

    what = "native calls"
    found = reason()
    if found is not None:
        return Finding(what, found, "small tensors take longer; nothing else is lost")
    return Finding(what, f"works, in {directory()}", "calls on small tensors without Python")


def _cache() -> Finding:
    from gradsmith.backends.cache import store
    from gradsmith.cli.cache import amount

    what = "kernel cache"
    found = store().survey()
    if found.unreadable is not None:
        means = "every process compiles its kernels anew; nothing else is lost"
        return Finding(what, found.unreadable, means)
    held = ", ".join(f"{count:,} {kind.label}s" for kind, count in found.count.items())
    here = f"{found.path}: {held}, {amount(found.size)} of {amount(found.limit)}"
    if found.unwritable is not None:
        return Finding(what, here, f"used, but nothing new is kept: {found.unwritable}")
    return Finding(what, here, "what one process compiles, the next one loads")


def _compiler() -> Finding:
    found = next((path for name in _COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        return Finding("C++ compiler", "none", "torch.compile on the CPU needs one; nothing else")
    return Finding("C++ compiler", found, "torch.compile can fuse activations on the CPU")


def _times(python: Path, environment: Mapping[str, str]) -> list[Finding]:
    try:
        ran = subprocess.run(
            [str(python), "-c", _TIMES],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            env={**environment, "GRADSMITH_CACHE_DIR": "off"},  # nothing may be there already
            check=True,
        )
    except subprocess.CalledProcessError as error:
        last = (error.stderr or "").strip().splitlines()[-1:] or ["no message"]
        return [Finding("import times", last[0], "a fresh process cannot start", works=False)]
    except (OSError, subprocess.TimeoutExpired) as error:
        return [Finding("import times", _first_line(error), "not measured", works=False)]
    torch, gradsmith, first = (f"{float(seconds):.2f} s" for seconds in ran.stdout.split())
    return [
        Finding("import torch", torch, "in a fresh process"),
        Finding("import gradsmith", gradsmith, "after torch"),
        Finding("first gradient", first, "of a formula never seen before, after the imports"),
    ]


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
