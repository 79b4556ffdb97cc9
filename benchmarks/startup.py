"""How long it takes until a formula works: the import, and a new formula's first gradient.

Each figure is the median of fresh processes, run in turn, with the smallest and the largest; the
goals are those of the first release: 0.3 s each. ``python benchmarks/startup.py [--rounds N]``.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from gradsmith.bench.machine import Machine

GOAL = 0.3  # seconds

IMPORT = """
import time, torch
start = time.perf_counter()
from gradsmith import activation  # names load what they need when first used
print(time.perf_counter() - start)
"""

# None of these is in the catalogue; every run sees its formula for the first time.
FORMULAS = [
    "x * tanh(log(1 + exp(x))) + x/7",
    "x * sigmoid(1.3*x) - 0.1*exp(-x**2)",
    "x/2 * (1 + erf(x/sqrt(3)))",
    "where(x > 0, x, 1.1*(exp(x) - 1))",
    "log(1 + exp(2*x))/2 - log(2)/2",
    "x/(1 + abs(x)) + tanh(x)",
]

FIRST_GRADIENT = """
import time, torch
from gradsmith import activation
x = torch.linspace(-5, 5, 1000, requires_grad=True)
torch.sigmoid(x).sum().backward()  # torch's own first call is not what is measured
x.grad = None
start = time.perf_counter()
activation({formula!r})(x).sum().backward()
print(time.perf_counter() - start)
"""

LIKEWISE = """
import time, torch
from gradsmith import activation
x = torch.linspace(-5, 5, 1000, requires_grad=True)
activation("x * sigmoid(x)/2 + atan(x)")(x).sum().backward()
x.grad = None
start = time.perf_counter()
activation({formula!r})(x).sum().backward()
print(time.perf_counter() - start)
"""


def seconds(code: str) -> float:
    """What the code prints when a fresh process runs it, without kernels of an earlier one."""
    environment = {**os.environ, "GRADSMITH_CACHE_DIR": "off"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Run everything in turn and print the table and the JSON record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, help="left out: benchmarks/results/startup.json")
    given = parser.parse_args()
    runs = given.rounds
    jobs = {"import gradsmith after torch": IMPORT}
    for formula in FORMULAS:
        jobs[f"first gradient: {formula}"] = FIRST_GRADIENT.format(formula=formula)
    for formula in FORMULAS[:2]:
        jobs[f"second formula: {formula}"] = LIKEWISE.format(formula=formula)
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, code in jobs.items():
            times[name].append(seconds(code))
    width = max(map(len, times))
    print(f"{'seconds':{width}}   median     min     max   of the goal of {GOAL} s")
    record = {}
    for name, values in times.items():
        middle = statistics.median(values)
        record[name] = {"median": middle, "min": min(values), "max": max(values), "runs": runs}
        print(
            f"{name:{width}}  {middle:7.3f} {min(values):7.3f} {max(values):7.3f}   "
            f"{middle / GOAL:4.0%}"
        )
    path = given.output or Path(__file__).parent / "results" / "startup.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        json.dumps({"machine": asdict(Machine.here()), "seconds": record}, indent=2) + "\n"
    )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
