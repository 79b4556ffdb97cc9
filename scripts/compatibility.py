"""Tries every activation with everything that people do with one; writes docs/compatibility.md.

    python scripts/compatibility.py [--group GROUP ...] [--subject NAME ...]

Without ``--group`` the whole page is made anew, with it those sections. ``--subject`` tries these
subjects only and writes nothing. Ends with an error, and writes nothing, where a cell neither works
nor is refused as documented.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # for the tests

from tests.citizen import page
from tests.citizen.features import TITLES, all_features
from tests.citizen.subjects import SUBJECTS


def main() -> int:
    """Try the cells, report, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--group", action="append", choices=TITLES, default=[])
    arguments.add_argument("--subject", action="append", choices=SUBJECTS, default=[])
    given = arguments.parse_args()
    warnings.simplefilter("ignore")  # the tests see to them
    features = [f for f in all_features() if not given.group or f.group in given.group]
    found: dict[str, dict[tuple[str, str], str]] = {}
    failed = 0
    for feature in features:
        if feature.missing:
            print(f"{feature}: needs {', '.join(feature.missing)}")
            failed += 1
            continue
        start = time.perf_counter()
        for subject in given.subject or SUBJECTS:
            try:
                outcome = feature.outcome(SUBJECTS[subject])
            except Exception:
                print(f"{feature}, {subject}:\n{traceback.format_exc()}")
                failed += 1
            else:
                found.setdefault(TITLES[feature.group], {})[feature.name, subject] = outcome
        print(f"{feature}: {time.perf_counter() - start:.1f} s", flush=True)
    if failed:
        print(f"{failed} failed; nothing is written")
        return 1
    if not given.subject:
        # Read as late as possible: other sections may have been made meanwhile.
        before = page.read(page.PATH.read_text(encoding="utf-8")) if page.PATH.exists() else {}
        kept = before if given.group else {}
        merged = {**kept, **found}
        ordered = {title: merged[title] for title in TITLES.values() if title in merged}
        page.PATH.write_text(page.render(ordered), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
