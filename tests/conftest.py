"""Settings of all tests."""

from __future__ import annotations

import os
import tempfile

from hypothesis import settings

from gradsmith.operator import extension

# The native part is the one that was built for the user, if one was; no test changes it.
os.environ.setdefault(extension.VARIABLE, str(extension.directory()))
# Before any module of tests is imported: no test reads or changes the user's kernel cache.
_cache = tempfile.TemporaryDirectory(prefix="gradsmith-tests-")
os.environ["GRADSMITH_CACHE_DIR"] = _cache.name


def pytest_unconfigure() -> None:
    _cache.cleanup()


# The same examples every time, and no limit per example: the machine may be busy.
settings.register_profile("gradsmith", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("gradsmith")
