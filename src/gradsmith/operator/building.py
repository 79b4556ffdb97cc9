"""Compiling the native part of :mod:`~gradsmith.operator.extension`, when the user asks for it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

import torch

from gradsmith.backends import folder
from gradsmith.operator import extension

_COMPILERS = ("c++", "g++", "clang++")
_LIBRARIES = ("-lc10", "-ltorch_cpu", "-ltorch", "-ltorch_python")
_PATIENCE = 1800  # seconds
_SHOWN = 20  # lines of what a compiler says

# What crashes must do so here, and not in the user's process: twice by Python, then natively.
_TRIAL = """
import torch
from gradsmith.activation import activation
from gradsmith.operator import extension
assert extension.reason() is None, extension.reason()
f = activation("x*sigmoid(b*x)", b=1.0)
nodes, results = [], set()
for _ in range(4):
    x = torch.linspace(-3, 3, 7, requires_grad=True)
    y = f(x)
    g, = torch.autograd.grad(y, x, torch.ones(7))
    nodes.append(y.grad_fn.name())
    results.add((*y.tolist(), *g.tolist()))
assert nodes[-1] == "PointwiseBackward", nodes
assert len(results) == 1, results
"""


class BuildError(RuntimeError):
    """The native part cannot be built here; the message says why."""


def build() -> Path:
    """Compiles the native part for this Python and PyTorch, tries it and keeps it.

    Takes about half a minute.

    Returns:
        Its file.

    Raises:
        BuildError: there is no compiler or no place, or it does not compile or not work.
    """
    where = extension.directory()
    if isinstance(where, str):
        raise BuildError(where)
    with tempfile.TemporaryDirectory(prefix="gradsmith-") as temporary:
        os.chmod(temporary, 0o700)
        library = Path(temporary) / "call.so"
        _run(_command(library), "does not compile")
        content = library.read_bytes()
        library.unlink()
        name = extension.library_name(content)
        _keep(Path(temporary), name, content)
        environment = {**os.environ, extension.VARIABLE: temporary}
        _run([sys.executable, "-c", _TRIAL], "does not work", environment)
    try:
        _keep(where, name, content)
    except OSError as error:
        raise BuildError(f"cannot be kept: {error.strerror or error}: {where}") from error
    return where / name


def compiler() -> list[str] | None:
    """The C++ compiler and its first arguments: the environment's CXX, else one that is found."""
    chosen = shlex.split(os.environ.get("CXX", ""))
    if chosen:
        return chosen if shutil.which(chosen[0]) else None
    return next(([path] for name in _COMPILERS if (path := shutil.which(name))), None)


def _command(library: Path) -> list[str]:
    found = compiler()
    if found is None:
        chosen = os.environ.get("CXX")
        looked_for = f"{chosen!r}, as CXX says," if chosen else ", ".join(_COMPILERS)
        raise BuildError(f"there is no C++ compiler: {looked_for} cannot be found")
    if sys.platform == "win32":
        raise BuildError("on Windows it is not built")
    headers = sysconfig.get_path("include")
    if not Path(headers, "Python.h").is_file():
        raise BuildError(f"Python's headers (python3-dev) are not installed: no Python.h {headers}")
    root = Path(torch.__file__).parent
    include = root / "include"
    if not (include / "torch" / "csrc" / "autograd" / "function.h").is_file():
        raise BuildError(f"this PyTorch has no C++ headers: {include}")
    folders = [include, include / "torch" / "csrc" / "api" / "include", headers]
    loose = ["-undefined", "dynamic_lookup"] if sys.platform == "darwin" else []
    return [
        *found,
        *extension.FLAGS,
        # Not warned of: nothing here is ours to set right.
        *(f"-isystem{path}" for path in folders),
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        str(extension.SOURCE),
        "-o",
        str(library),
        f"-L{root / 'lib'}",
        *_LIBRARIES,
        *loose,
    ]


def _run(command: list[str], what: str, environment: dict[str, str] | None = None) -> None:
    try:
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{what}: {error}") from error
    if ran.returncode:
        said = (ran.stderr or ran.stdout).strip().splitlines() or [f"exit code {ran.returncode}"]
        raise BuildError("\n".join([f"{what}:", *said[-_SHOWN:]]))


def _keep(where: Path, name: str, content: bytes) -> None:
    """Puts it there, in place of what was built for the same purpose."""
    folder.make(where)
    with folder.opened(where) as opened:
        opened.write(name, content)
        purpose = name.partition("-")[0]
        for other, _ in opened.files():
            if other != name and other.startswith(f"{purpose}-"):
                opened.remove(other)
