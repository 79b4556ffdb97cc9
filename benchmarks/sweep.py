"""How long it takes to certify all 2³² float32 inputs: value and first derivative of one function.

``python benchmarks/sweep.py [NAME ...]``, by default an easy, a usual and a heavy one. What is
timed is ``gradsmith.certify`` as users call it, on all cores: building the polynomials that follow
the exact values, computing both quantities at every input, comparing.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import torch

import gradsmith as gs

NAMES = ("relu", "sigmoid", "mish")
INPUTS = 2**32


def main() -> None:
    """Sweep, print the table and write the JSON record."""
    record = {}
    print(f"{'':12} {'minutes':>8} {'ns/input':>9}   max ULP of value and derivative")
    for name in sys.argv[1:] or NAMES:
        start = time.perf_counter()
        certificate = gs.certify(name, torch.float32, exhaustive=True, orders=(0, 1))
        seconds = time.perf_counter() - start
        errors = [result.max_ulp for result in certificate.results]
        record[name] = {"seconds": seconds, "max_ulp": errors, "ok": certificate.ok}
        shown = ", ".join(f"{error:.4f}" for error in errors)
        print(f"{name:12} {seconds / 60:8.2f} {seconds / INPUTS * 1e9:9.1f}   {shown}", flush=True)
    machine = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
    }
    path = Path(__file__).parent / "results" / "sweep.json"
    path.write_text(json.dumps({"machine": machine, "sweeps": record}, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    main()
