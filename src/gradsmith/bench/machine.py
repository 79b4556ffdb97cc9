"""What a benchmark ran on: a time means nothing without it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from gradsmith.backends import dispatch
from gradsmith.backends.native import host, unavailable
from gradsmith.version import VERSION


@dataclass(frozen=True, slots=True)
class Machine:
    """What times depend on beside the code that is timed.

    Attributes:
        processor: its name and, where LLVM knows it, what LLVM calls it.
        cores: how many this process may use.
        capability: the vector instructions that PyTorch uses.
        system: operating system and architecture.
        python: Python's version.
        torch: PyTorch's version.
        gradsmith: our version.
        backend: what computes our activations, "llvm" or "aten".
    """

    processor: str
    cores: int
    capability: str
    system: str
    python: str
    torch: str
    gradsmith: str
    backend: str

    @classmethod
    def here(cls) -> Machine:
        """This one."""
        return cls(
            _processor(),
            _cores(),
            torch.backends.cpu.get_cpu_capability(),
            f"{platform.system()} {platform.machine()}",
            platform.python_version(),
            torch.__version__,
            VERSION,
            dispatch.backend(),
        )

    def __str__(self) -> str:
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        return (
            f"{self.processor}, {cores}, {self.system}; PyTorch {self.torch} ({self.capability}), "
            f"gradsmith {self.gradsmith} ({self.backend}), Python {self.python}"
        )


def _processor() -> str:
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
            break
    return name if unavailable() is not None else f"{name} ({host().cpu})"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
