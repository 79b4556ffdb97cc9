"""Do the tests notice? Deliberate errors, one at a time, each in a copy of the source.

Run it with ``make mutations``. Every error must make at least one of the tests named beside it
fail; one that survives is printed and makes the exit code 1. The errors are data:
:data:`MUTATIONS` names the file, the text and what it is replaced by. A text that is not found
exactly once is an error of this table.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 600  # seconds for the tests of one error


@dataclass(frozen=True, slots=True)
class Mutation:
    """One deliberate error.

    Attributes:
        what: the error in words.
        file: below ``src/gradsmith``.
        old: text that occurs once.
        new: what stands there instead.
        tests: files below ``tests`` that must notice.
    """

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTATIONS: tuple[Mutation, ...] = ()


def survives(mutation: Mutation) -> str | None:
    """Why the error counts as unnoticed; None where a test failed."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        target = source / "gradsmith" / mutation.file
        text = target.read_text(encoding="utf-8")
        if text.count(mutation.old) != 1:
            return f"the text occurs {text.count(mutation.old)} times in {mutation.file}"
        target.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
        command += [str(ROOT / "tests" / test) for test in mutation.tests]
        environment = {**os.environ, "PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
        ran = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE
        )
    # 1: tests ran and some failed. Anything else is no proof that a test noticed.
    if ran.returncode == 1:
        return None
    last = (ran.stdout or ran.stderr).strip().splitlines()[-1:]
    return f"pytest ended with {ran.returncode}: {''.join(last)}"


def main(wanted: list[str]) -> int:
    """Try all errors, or those whose description contains one of ``wanted``."""
    chosen = [m for m in MUTATIONS if not wanted or any(word in m.what for word in wanted)]
    unnoticed = 0
    for number, mutation in enumerate(chosen, 1):
        start = time.monotonic()
        reason = survives(mutation)
        unnoticed += reason is not None
        verdict = "noticed" if reason is None else f"NOT NOTICED ({reason})"
        seconds = time.monotonic() - start
        print(
            f"{number:2}/{len(chosen)}  {verdict}  {mutation.what}  [{seconds:.0f} s]", flush=True
        )
    print(f"{len(chosen) - unnoticed} of {len(chosen)} errors were noticed")
    return 1 if unnoticed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
