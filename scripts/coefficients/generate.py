"""Makes the coefficients of the elementary functions with Sollya (https://www.sollya.org).

Each ``*.sollya`` file here but ``fit.sollya`` becomes a module of the same name in
``gradsmith/numerics/elementary/coefficients``::

    python scripts/coefficients/generate.py                  # all of them
    python scripts/coefficients/generate.py exponential      # some of them
    python scripts/coefficients/generate.py --check          # compare with what is there
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from math import log2
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
MODULES = SCRIPTS.parents[1] / "src/gradsmith/numerics/elementary/coefficients"

HEADER = '''"""Coefficients of ``{name}.py``: minimax fits, made by Sollya.

Made by ``python scripts/coefficients/generate.py {name}``: change the script that it
runs, ``{name}.sollya``, and not this file.
"""

from __future__ import annotations

{imports}'''

FIT = """
# {comment}
# Made by Sollya's fpminimax; relative error below 2^{bits:.2f}, proven by its supnorm.
{name} = Fit(
    coefficients=(
{coefficients}
    ),
    low=float.fromhex("{low}"),
    high=float.fromhex("{high}"),
    error=float.fromhex("{error}"),
)
"""

PARTS = """
# {comment}
{name} = (
{coefficients}
)
"""

NUMBER = """
# {comment}
{name} = float.fromhex("{value}")
"""

KEYS = frozenset({"FIT", "PARTS", "COMMENT", "INTERVAL", "ERROR", "COEFFICIENT"})
Entry = dict[str, list[str]]


def families() -> list[str]:
    """The names of all scripts that make a module."""
    return sorted(path.stem for path in SCRIPTS.glob("*.sollya") if path.stem != "fit")


def generate(family: str) -> str:
    """The text of the module that the script ``family`` makes.

    Raises:
        RuntimeError: Sollya failed or warned.
    """
    command = ["sollya", "--warnonstderr", f"{family}.sollya"]
    done = subprocess.run(command, cwd=SCRIPTS, capture_output=True, text=True, check=False)
    if done.returncode or done.stderr.strip():
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    entries = _entries(done.stdout)
    fits = any("FIT" in entry for entry in entries)
    imports = "from gradsmith.numerics.elementary.polynomial import Fit\n" if fits else ""
    return HEADER.format(name=family, imports=imports) + "".join(map(_written, entries))


def _entries(printed: str) -> list[Entry]:
    """What ``fit`` and ``parts`` of fit.sollya print, one dictionary each."""
    entries: list[Entry] = []
    for line in printed.splitlines():
        key, _, rest = line.partition(" ")
        if key in ("FIT", "PARTS"):
            entries.append({})
        if not entries or key not in KEYS:
            raise RuntimeError(f"cannot read what Sollya printed: {line!r}")
        entries[-1].setdefault(key, []).append(rest)
    return entries


def _written(entry: Entry) -> str:
    (comment,) = entry["COMMENT"]
    if "PARTS" in entry:
        (name,) = entry["PARTS"]
        if len(entry["COEFFICIENT"]) == 1:
            return NUMBER.format(comment=comment, name=name, value=entry["COEFFICIENT"][0])
        coefficients = _coefficients(entry, indent=4)
        return PARTS.format(comment=comment, name=name, coefficients=coefficients)
    low, high = entry["INTERVAL"][0].split()
    (error,) = entry["ERROR"]
    return FIT.format(
        name=entry["FIT"][0],
        comment=comment,
        bits=log2(float.fromhex(error)),
        coefficients=_coefficients(entry, indent=8),
        low=low,
        high=high,
        error=error,
    )


def _coefficients(entry: Entry, indent: int) -> str:
    margin = " " * indent
    return "\n".join(f'{margin}float.fromhex("{value}"),' for value in entry["COEFFICIENT"])


def main() -> int:
    """Writes the modules, or with ``--check`` says which of them are not what Sollya makes."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("family", nargs="*", help="names of scripts; all if left out")
    parser.add_argument("--check", action="store_true", help="write nothing, compare")
    arguments = parser.parse_args()
    if shutil.which("sollya") is None:
        parser.error("sollya is not installed; Debian and Ubuntu have it as a package")
    unknown = set(arguments.family) - set(families())
    if unknown:
        parser.error(f"no script {sorted(unknown)}; there are {families()}")
    stale = []
    for family in arguments.family or families():
        text, path = generate(family), MODULES / f"{family}.py"
        if path.exists() and path.read_text() == text:
            continue
        stale.append(family)
        if not arguments.check:
            path.write_text(text)
    for family in stale:
        print(f"{family}: {'not what Sollya makes' if arguments.check else 'written'}")
    return int(arguments.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
