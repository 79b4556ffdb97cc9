"""What a native kernel costs per element, beside torch's own: one thread, 2²⁰ elements.

All rows of a table take their turns in each round, so that what disturbs the machine disturbs
all of them; the figures are the median over the rounds and the quartiles around it, of the time
that the processor spent on the calling thread. Each is also run on 2¹⁴ elements, which stay in the
cache. torch's functions write into a given tensor, as the kernels do, where they can.
``python benchmarks/kernels.py [rounds]``.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from gradsmith.activation import resolve
from gradsmith.backends.llvm import NativeKernel, compile_program
from gradsmith.backends.native import host
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.program import BF16, F32, F64, Program, Type
from gradsmith.numerics.target import BFLOAT16, FLOAT32, FLOAT64, Target

LARGE, SMALL = 2**20, 2**14
Run = Callable[[], object]

A = torch.ops.aten
# Name, torch's function of (x, out), torch's gradient function of (g, x, out).
ACTIVATIONS: list[tuple[str, Callable[..., object], Callable[..., object]]] = [
    (
        "sigmoid",
        lambda x, out: A.sigmoid.out(x, out=out),
        lambda g, x, out: A.sigmoid_backward.grad_input(g, x, grad_input=out),
    ),
    (
        "silu",
        lambda x, out: A.silu.out(x, out=out),
        lambda g, x, out: A.silu_backward.grad_input(g, x, grad_input=out),
    ),
    (
        "mish",
        lambda x, out: A.mish.out(x, out=out),
        lambda g, x, out: A.mish_backward(g, x),  # has no other form
    ),
    (
        "softplus",
        lambda x, out: A.softplus.out(x, out=out),
        lambda g, x, out: A.softplus_backward.grad_input(g, x, 1, 20, grad_input=out),
    ),
]
SHORT, FULL = Scheme(F64, Accuracy.SHORT), Scheme(F64, Accuracy.FULL)
PLAIN = Scheme(F32, Accuracy.FULL)
# Storage, target of the expression, how it is computed.
PRECISIONS = [
    (F32, FLOAT32, SHORT),
    (F32, BFLOAT16, PLAIN),  # less accurate than a float32 result may be: for comparison only
    (F64, FLOAT64, FULL),
    (BF16, BFLOAT16, PLAIN),
]
DTYPES = {F32: torch.float32, F64: torch.float64, BF16: torch.bfloat16}


def program(name: str, gradient: bool, storage: Type, target: Target, scheme: Scheme) -> Program:
    """What the kernel of an activation, or of its gradient times g, computes."""
    operation = resolve(name).operation
    if gradient:
        found = operation.gradient("x")
        assert found is not None
        operation = found
    inputs = dict.fromkeys(operation.operands, storage)
    return lower((operation.expression_for(target),), inputs, scheme, storage)


def prepared(kernel: NativeKernel, count: int, dtype: torch.dtype) -> Run:
    """A call of the kernel on tensors of its own."""
    inputs = [torch.randn(count).mul(3).to(dtype) for _ in kernel.program.inputs]
    outputs = [torch.empty(count, dtype=dtype)]
    return lambda: kernel(inputs, outputs)


def jobs(count: int) -> tuple[dict[str, Run], dict[str, dict[str, float]]]:
    """The calls to be timed, and how long each kernel took to compile."""
    runs: dict[str, Run] = {}
    made: dict[str, dict[str, float]] = {}
    for dtype in DTYPES.values():
        x, g = (torch.randn(count).mul(3).to(dtype) for _ in "xg")
        out = torch.empty_like(x)
        kind = str(dtype).removeprefix("torch.")
        runs[f"{kind} copy, torch"] = partial(out.copy_, x)
        for name, function, backward in ACTIVATIONS:
            runs[f"{kind} {name}, torch"] = partial(function, x, out)
            runs[f"{kind} {name} gradient, torch"] = partial(backward, g, x, out)
    for name, _, _ in ACTIVATIONS:
        for gradient in (False, True):
            for storage, target, scheme in PRECISIONS:
                dtype = DTYPES[storage]
                kind = str(dtype).removeprefix("torch.")
                text = program(name, gradient, storage, target, scheme)
                start = time.thread_time()
                kernel = compile_program(text)
                took = time.thread_time() - start
                label = f"{kind} {name}{' gradient' * gradient}, kernel in {scheme}"
                runs[label] = prepared(kernel, count, dtype)
                made[label] = {"compile_ms": 1e3 * took, "instructions": text.count()}
    return runs, made


def measure(runs: dict[str, Run], count: int, rounds: int) -> dict[str, tuple[float, float, float]]:
    """Median and quartiles of each, in nanoseconds per element."""
    repeats = max(1, LARGE // count // 4)
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()  # brings code and data back into the cache
            start = time.thread_time()
            for _ in range(repeats):
                run()
            times[name].append((time.thread_time() - start) / repeats / count * 1e9)
    found = {}
    for name, values in times.items():
        low, middle, high = statistics.quantiles(values, n=4)
        found[name] = (middle, low, high)
    return found


def main() -> None:
    """Print the table and write the JSON record."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    torch.set_num_threads(1)
    torch.manual_seed(0)
    runs, made = jobs(LARGE)
    large = measure(runs, LARGE, rounds)
    small = measure(jobs(SMALL)[0], SMALL, rounds)
    record = {}
    width = max(map(len, runs))
    print(f"{'ns/element':{width}} {'2^20':>8} {'quartiles':>15} {'2^14':>8} {'compile/ms':>11}")
    for name in sorted(runs):
        figures = {
            "large": dict(zip(("median", "lower", "upper"), large[name], strict=True)),
            "small": dict(zip(("median", "lower", "upper"), small[name], strict=True)),
            **made.get(name, {}),
        }
        record[name] = figures
        middle, low, high = large[name]
        compiled = f"{made[name]['compile_ms']:11.1f}" if name in made else ""
        spread = f"{low:.3f}…{high:.3f}"
        print(f"{name:{width}} {middle:8.3f} {spread:>15} {small[name][0]:8.3f} {compiled}")
    one, many = torch.ones(1), torch.empty(1)
    kernel = compile_program(program("sigmoid", False, F32, FLOAT32, SHORT))
    calls = {"kernel": lambda: kernel([one], [many]), "torch": lambda: torch.sigmoid(one)}
    overhead = {name: value[0] for name, value in measure(calls, 1, rounds).items()}
    print("one call on one element, ns: " + ", ".join(f"{k} {v:.0f}" for k, v in overhead.items()))
    machine = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": host().cpu,
        "rounds": rounds,
    }
    path = Path(__file__).parent / "results" / "kernels.json"
    path.parent.mkdir(exist_ok=True)
    text = {"machine": machine, "ns_per_element": record, "ns_per_call": overhead}
    path.write_text(json.dumps(text, indent=2, sort_keys=True) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main()
