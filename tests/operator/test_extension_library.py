"""Only a library that is known to be ours is loaded; without one the bits are the same."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from gradsmith.backends import folder
from gradsmith.operator import building, extension
from tests.operator.extension_calls import (
    NATIVE,
    WITH_NATIVE_PART,
)

pytestmark = WITH_NATIVE_PART


def run(code: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


_USE = """
import torch, gradsmith as gs
f = gs.activation("x*sigmoid(x)")
x = torch.linspace(-2, 2, 5, requires_grad=True)
for _ in range(3):
    y = f(x)
    kept = torch.autograd.grad(y, x, torch.ones(5), retain_graph=True)
print(y.grad_fn.name(), [v.hex() for t in (y, *kept) for v in t.tolist()])
"""


def test_a_process_may_end_while_a_graph_is_alive() -> None:
    assert run(_USE).startswith(NATIVE)


@pytest.mark.parametrize("value", ["0", "off", "", "/nowhere"])
def test_without_it_the_bits_are_the_same(value: str) -> None:
    with_it, without = run(_USE), run(_USE, **{extension.VARIABLE: value})
    assert with_it.partition(" ")[0] != without.partition(" ")[0]
    assert with_it.partition(" ")[2] == without.partition(" ")[2]


_REASON = "from gradsmith.operator import extension; print(extension.reason())"


def _library() -> tuple[str, bytes]:
    where = extension.directory()
    assert not isinstance(where, str)
    with folder.opened(where) as opened:
        (name,) = [n for n, _ in opened.files() if n.startswith(extension.key())]
        return name, opened.read(name, 2**28)


def test_a_library_that_cannot_be_trusted_is_not_loaded(tmp_path: Any) -> None:
    name, content = _library()
    where = tmp_path / "extension"
    where.mkdir(mode=0o700)
    library = where / name
    used = {extension.VARIABLE: str(where)}
    assert "not built" in run(_REASON, **used)
    library.write_bytes(content)
    library.chmod(0o600)
    assert run(_REASON, **used) == "None\n"
    library.chmod(0o620)
    assert "others may write" in run(_REASON, **used)
    library.chmod(0o600)
    where.chmod(0o770)
    assert "others may write" in run(_REASON, **used)
    where.chmod(0o700)
    library.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "not built" in run(_REASON, **used)
    library.unlink()
    library.symlink_to(tmp_path / name)
    (tmp_path / name).write_bytes(content)
    assert "not built" in run(_REASON, **used)


def test_what_is_no_library_is_a_reason(tmp_path: Any) -> None:
    where = tmp_path / "extension"
    where.mkdir(mode=0o700)
    name = extension.library_name(b"nonsense")
    (where / name).write_bytes(b"nonsense")
    (where / name).chmod(0o600)
    assert run(_REASON, **{extension.VARIABLE: str(where)}).startswith("cannot be loaded")


def test_the_import_does_not_load_it() -> None:
    code = "import sys, gradsmith; print('gradsmith_call' in open('/proc/self/maps').read())"
    assert run(code) == "False\n"


def test_why_it_is_not_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(building.BuildError, match="'no-such-compiler', as CXX says"):
        building.build()
    compiler = tmp_path / "c++"
    compiler.write_text("#!/bin/sh\necho 'call.cpp:1: what is this' >&2\nexit 1\n")
    compiler.chmod(0o700)
    monkeypatch.setenv("CXX", str(compiler))
    with pytest.raises(building.BuildError, match=r"(?s)does not compile.*what is this"):
        building.build()
    monkeypatch.setenv(extension.VARIABLE, "off")
    with pytest.raises(building.BuildError, match="turns it off"):
        building.build()
