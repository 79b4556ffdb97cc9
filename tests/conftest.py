"""Settings of all tests."""

from __future__ import annotations

from hypothesis import settings

# The same examples every time, and no limit per example: the machine may be busy.
settings.register_profile("gradsmith", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("gradsmith")
