"""``python -m gradsmith``: the same as the ``gradsmith`` command."""

from __future__ import annotations

from gradsmith.cli import main

main()
