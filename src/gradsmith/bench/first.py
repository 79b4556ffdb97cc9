"""How long it takes until a formula's first gradient is there, in a process that never saw it.

The clock starts when torch, and gradsmith where it is used, have been imported, and caches on disk
are empty. Run as ``python -m gradsmith.bench.first WHO`` with the formula on stdin as JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from tempfile import TemporaryDirectory
from time import perf_counter

from gradsmith.bench.contestants import COMPILED, OURS
from gradsmith.formula.formula import Formula

_PATIENCE = 300  # seconds
_ELEMENTS = 1000
# Where torch.compile and we keep what was compiled; others follow XDG.
_CACHES = ("GRADSMITH_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR")


def first_gradient(formula: Formula, dtype: str, who: str) -> float:
    """Seconds from the formula's text to its first gradient, forward and backward included.

    Args:
        formula: the formula.
        dtype: of the inputs, such as "float32".
        who: :data:`~.contestants.OURS`, or :data:`~.contestants.COMPILED` for ``torch.compile`` of
            the formula as it is written.

    Raises:
        RuntimeError: it did not work there; the message says why.
    """
    given = {
        "formula": str(formula.expression),
        "inputs": list(formula.inputs),
        "parameters": dict(formula.parameters),
        "dtype": dtype,
    }
    with TemporaryDirectory() as empty:
        path = os.pathsep.join(part for part in sys.path if part)
        environment = {**os.environ, "PYTHONPATH": path, **dict.fromkeys(_CACHES, empty)}
        try:
            ran = subprocess.run(
                [sys.executable, "-m", __name__, who],
                input=json.dumps(given),
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                env=environment,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or "").strip().splitlines() or ["no message"]
            raise RuntimeError(lines[-1]) from error
        except subprocess.TimeoutExpired as error:
            raise RuntimeError(f"not done after {_PATIENCE} seconds") from error
    return float(ran.stdout.split()[-1])


def _main(who: str) -> None:
    import torch

    from gradsmith.activation import Activation, activation
    from gradsmith.bench.contestants import compiled_function
    from gradsmith.bench.tutorial import written
    from gradsmith.formula.parse import parse

    given = json.load(sys.stdin)
    text, inputs, parameters = given["formula"], tuple(given["inputs"]), given["parameters"]
    dtype = getattr(torch, given["dtype"])
    leaves = [torch.linspace(-5, 5, _ELEMENTS).to(dtype).requires_grad_() for _ in inputs]
    torch.sigmoid(leaves[0]).sum().backward()  # torch's own first pass is not what is measured
    start = perf_counter()
    if who == OURS:
        made: Activation = activation(text, inputs=inputs, **parameters)
        made(*leaves).sum().backward()
    else:
        formula = parse(text, parameters, inputs)
        compiled_function(written(formula))(*leaves).sum().backward()
    print(perf_counter() - start)


if __name__ == "__main__":
    if sys.argv[1:] not in ([OURS], [COMPILED]):
        raise SystemExit(f"takes {OURS} or {COMPILED}")
    _main(sys.argv[1])
