"""Makes the coefficients of the elementary functions.

Each ``*.sollya`` file here but ``fit.sollya`` becomes a module of the same name in
``gradsmith/numerics/elementary/coefficients``, made with Sollya (https://www.sollya.org), and so
does each script in Python that fits with ``minimax.py`` instead::

    python scripts/coefficients/generate.py                  # all of them
    python scripts/coefficients/generate.py exponential      # some of them
    python scripts/coefficients/generate.py --check          # compare with what is there
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from importlib import import_module

from text import MODULES, SCRIPTS, fit, fits, module, number, parts

# The scripts in Python, which fit with mpmath, and how their modules say what made them.
BY_MINIMAX = ("circular", "error_function", "error_function_words")
CLAIM = "Made by Sollya's fpminimax; relative error below {}, proven by its supnorm."

KEYS = frozenset({"FIT", "FITS", "PARTS", "COMMENT", "INTERVAL", "ERROR", "COEFFICIENT"})
Entry = dict[str, list[str]]


def families() -> list[str]:
    """The names of all scripts that make a module."""
    by_sollya = (path.stem for path in SCRIPTS.glob("*.sollya") if path.stem != "fit")
    return sorted([*by_sollya, *BY_MINIMAX])


def generate(family: str) -> str:
    """The text of the module that the script ``family`` makes.

    Raises:
        RuntimeError: Sollya failed or warned.
    """
    if family in BY_MINIMAX:
        return module(f"{family}.py", import_module(family).entries())
    command = ["sollya", "--warnonstderr", f"{family}.sollya"]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=False)
    if done.returncode or done.stderr.strip():
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    written = map(_written, _entries(done.stdout))
    return module(f"{family}.sollya", written, by=", made by Sollya")


def _entries(printed: str) -> list[Entry]:
    """What ``fit`` and ``parts`` of fit.sollya print, and several fits, one dictionary each."""
    entries: list[Entry] = []
    for line in printed.splitlines():
        key, _, rest = line.partition(" ")
        if key in ("FIT", "FITS", "PARTS"):
            entries.append({})
        if not entries or key not in KEYS:
            raise RuntimeError(f"cannot read what Sollya printed: {line!r}")
        entries[-1].setdefault(key, []).append(rest)
    return entries


def _written(entry: Entry) -> str:
    (comment,), values = entry["COMMENT"], entry["COEFFICIENT"]
    if "PARTS" in entry:
        (name,) = entry["PARTS"]
        if len(values) == 1:
            return number(name, comment, f'float.fromhex("{values[0]}")')
        return parts(name, comment, values)
    intervals, errors = [ends.split() for ends in entry["INTERVAL"]], entry["ERROR"]
    if "FITS" in entry:
        each = len(values) // len(errors)
        rows = [
            (values[n * each : (n + 1) * each], low, high, error)
            for n, ((low, high), error) in enumerate(zip(intervals, errors, strict=True))
        ]
        return fits(entry["FITS"][0], comment, CLAIM, rows)
    ((low, high),) = intervals
    return fit(entry["FIT"][0], comment, CLAIM, values, low, high, *errors)


def main() -> int:
    """Writes the modules, or with ``--check`` says which are not what their scripts make."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("family", nargs="*", help="names of scripts; all if left out")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    arguments = parser.parse_args()
    chosen = arguments.family or families()
    if set(chosen).difference(BY_MINIMAX) and shutil.which("sollya") is None:
        parser.error("sollya is not installed; Debian and Ubuntu have it as a package")
    unknown = set(arguments.family) - set(families())
    if unknown:
        parser.error(f"no script {sorted(unknown)}; there are {families()}")
    stale = []
    for family in chosen:
        text, path = generate(family), MODULES / f"{family}.py"
        if path.exists() and path.read_text() == text:
            continue
        stale.append(family)
        if not arguments.check:
            path.write_text(text)
    for family in stale:
        print(f"{family}: {'not what its script makes' if arguments.check else 'written'}")
    return int(arguments.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
