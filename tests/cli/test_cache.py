"""``gradsmith cache`` and what ``doctor`` says of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gradsmith.backends.cache import Kind, save
from gradsmith.cli.cache import amount
from gradsmith.cli.commands import app
from gradsmith.cli.doctor import _cache as cache_finding


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", str(path))
    monkeypatch.delenv("GRADSMITH_CACHE_SIZE", raising=False)
    return path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["cache", *arguments], env={"COLUMNS": "200"})


def shown() -> dict[str, str]:
    found = run("show")
    assert found.exit_code == 0, found.output
    lines = [line.split("  ", 1) for line in found.stdout.splitlines()[1:]]
    return {name: here.strip() for name, here in lines}


def test_show_says_where_what_and_whether(place: Path) -> None:
    save(Kind.OBJECT, ("a",), bytes(5000))
    save(Kind.PLAN, ("a",), bytes(10))
    assert shown() == {
        "directory": str(place),
        "kernels": "1",
        "plans": "1",
        "size": "12 KiB of 256.0 MiB",
        "records are used": "yes",
        "new ones are kept": "yes",
    }


def test_clear_empties_it_and_says_how_much_it_freed(place: Path) -> None:
    for number in range(3):
        save(Kind.OBJECT, (str(number),), bytes(5000))
    (place / "mine.txt").write_text("mine")
    found = run("clear")
    assert found.exit_code == 0
    assert found.stdout == f"removed 3 records, 24 KiB: {place}\n"
    assert [path.name for path in place.iterdir()] == ["mine.txt"]
    assert run("clear").stdout == f"removed 0 records, 0 KiB: {place}\n"
    assert shown()["kernels"] == "0"


def test_clear_says_what_it_could_not_remove(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(Kind.OBJECT, ("a",), bytes(5000))

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "unlink", refused)
    found = run("clear")
    assert found.exit_code == 1
    assert found.stdout == f"removed 0 records, 0 KiB: {place}\n"
    assert f"could not be removed: Operation not permitted: {place}" in found.stderr


def test_path_is_for_scripts(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("path").stdout == f"{place}\n"
    assert not place.exists()
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", "off")
    off = run("path")
    assert (off.exit_code, off.stdout) == (1, "")
    assert "GRADSMITH_CACHE_DIR is 'off', which turns it off" in off.stderr


def test_turned_off_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", "")
    reason = "GRADSMITH_CACHE_DIR is '', which turns it off"
    assert shown()["directory"] == "none"
    assert shown()["records are used"] == reason
    cleared = run("clear")
    assert (cleared.exit_code, cleared.stdout) == (0, "")
    assert reason in cleared.stderr
    finding = cache_finding()
    assert finding.works
    assert finding.here == reason


def test_doctor_says_what_is_there_and_why_not(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(Kind.OBJECT, ("a",), bytes(5000))
    good = cache_finding()
    assert good.here == f"{place}: 1 kernels, 0 plans, 8 KiB of 256.0 MiB"
    assert "the next one loads" in good.meaning
    true = os.open

    def read_only(path: str, flags: int, *rest: int, **options: int) -> int:
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system")
        return true(path, flags, *rest, **options)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        full = cache_finding()
    assert full.here == good.here
    assert full.meaning == f"used, but nothing new is kept: Read-only file system: {place}"
    place.chmod(0o777)
    unsafe = cache_finding()
    assert unsafe.works
    assert "others may write to the directory (chmod go-w makes it safe)" in unsafe.here
    assert "every process compiles" in unsafe.meaning


@pytest.mark.parametrize("command", ["show", "path", "clear"])
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    assert command in run("--help").stdout
    explained = run(command, "--help")
    assert explained.exit_code == 0
    assert f"gradsmith cache {command}" in explained.stdout.split("Example: ")[1]


def test_it_needs_no_torch() -> None:
    code = (
        "import sys\n"
        "from gradsmith.cli import main\n"
        "try: main(['cache', 'show'])\n"
        "except SystemExit as end: code = end.code\n"
        "print('END', code or 0, 'torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "END 0 False"


@pytest.mark.parametrize(
    ("size", "written"),
    [(0, "0 KiB"), (4096, "4 KiB"), (2**20, "1.0 MiB"), (2**28, "256.0 MiB")],
)
def test_amounts(size: int, written: str) -> None:
    assert amount(size) == written
