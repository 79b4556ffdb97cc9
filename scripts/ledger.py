"""Measure the whole catalogue anew: ``certificates/`` and ``docs/accuracy.md``.

``python scripts/ledger.py [NAME ...] [--dtype float32] [--page]``. Names limit it to some entries;
``--page`` only writes the page from the certificates that are there. What was finished of an
interrupted run is kept below ``certificates/.unfinished`` and taken up again.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from gradsmith.catalogue import ENTRIES, entry
from gradsmith.show.ledger import page
from gradsmith.truth.ledger import DTYPES, Page, certified, pages

ROOT = Path(__file__).resolve().parent.parent
LEDGER = ROOT / "certificates"
UNFINISHED = LEDGER / ".unfinished"
PAGE = ROOT / "docs" / "accuracy.md"


def main() -> int:
    """Measure, and write what was found; 1 if something misses the contract."""
    names = {str(dtype).removeprefix("torch."): dtype for dtype in DTYPES}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("entries", nargs="*", metavar="NAME", help="of the catalogue; all")
    parser.add_argument("--dtype", action="append", choices=names, help="may be repeated; all")
    parser.add_argument("--page", action="store_true", help="only write the page")
    given = parser.parse_args()
    if not given.page:
        wanted = [entry(name) for name in given.entries] or ENTRIES
        for dtype in given.dtype or names:
            for one in wanted:
                start = time.monotonic()
                state = UNFINISHED / f"{one.name}.{dtype}"
                measured = certified(one, names[dtype], state=state)
                measured.save(LEDGER)
                shutil.rmtree(state, ignore_errors=True)
                print(_line(measured, time.monotonic() - start), flush=True)
    found = list(pages(LEDGER))
    PAGE.write_text(page(found), encoding="utf-8")
    missed = [where.file for where in found if not where.ok]
    print(f"{len(found)} pages, {len(missed)} with something that misses the contract", *missed)
    return 1 if missed else 0


def _line(measured: Page, seconds: float) -> str:
    worst = ", ".join(
        f"{result.max_ulp:.4g}" if result.available else "–" for result in measured.ours[0].results
    )
    missed = [what for certificate in measured.ours for what in certificate.violations()]
    verdict = "ok" if not missed else "MISSES: " + "; ".join(missed)
    return f"{measured.entry:20} {measured.dtype:9} {worst:26} {seconds:6.0f} s  {verdict}"


if __name__ == "__main__":
    sys.exit(main())
