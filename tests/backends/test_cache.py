"""The kernel cache: a second process compiles nothing and computes the same bits.

That nothing is compiled is seen where LLVM is called, in processes of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest

import gradsmith
from gradsmith.backends import cache, native
from gradsmith.backends.cache import Kind, fetch, load, save, source_digest, store

PACKAGE = Path(gradsmith.__file__).parent


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cache"
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", str(path))
    monkeypatch.delenv("GRADSMITH_CACHE_SIZE", raising=False)
    return path


@pytest.fixture
def fresh() -> Iterator[None]:
    """Digests and versions are found anew in this test and after it."""
    cached = (cache._versions, source_digest)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def process(code: str, **environment: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],  # where it finds helpers of the tests
        env={**os.environ, **environment},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return ran.stdout.strip()


# Where it is.


def test_the_place_is_the_users_unless_a_variable_says_otherwise(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store().path == place
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", "~/somewhere")
    assert store().path == Path.home() / "somewhere"
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", "somewhere")
    assert store().path == Path.cwd() / "somewhere"
    monkeypatch.delenv("GRADSMITH_CACHE_DIR")
    assert store().path == platformdirs.user_cache_path("gradsmith", appauthor=False)
    assert store().limit == 256 * 2**20


@pytest.mark.parametrize("value", ["", "0", "off", "OFF", " "])
def test_a_variable_turns_it_off(
    value: str, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADSMITH_CACHE_DIR", value)
    assert fetch(Kind.PLAN, ("a",), lambda: b"first") == b"first"
    assert fetch(Kind.PLAN, ("a",), lambda: b"second") == b"second"
    assert load(Kind.PLAN, ("a",)) is None
    assert store().problem == f"GRADSMITH_CACHE_DIR is {value!r}, which turns it off"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", ["many", "", "-1", "nan", "inf", "1e400"])
def test_a_size_that_is_none_turns_it_off_and_is_named(
    value: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADSMITH_CACHE_SIZE", value)
    assert fetch(Kind.PLAN, ("a",), lambda: b"made") == b"made"
    assert not place.exists()
    problem = f"GRADSMITH_CACHE_SIZE is {value!r}; it takes a number of MiB, such as 256"
    assert store().problem == problem


def test_the_size_is_in_mib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADSMITH_CACHE_SIZE", "1.5")
    assert store().limit == 3 * 2**19
    monkeypatch.setenv("GRADSMITH_CACHE_SIZE", "0")
    assert store().path is None
    assert store().problem == "GRADSMITH_CACHE_SIZE is '0', which turns it off"


def test_without_a_home_directory_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache._store.cache_clear()
    monkeypatch.chdir(tmp_path)
    # What expanduser leaves where there is neither HOME nor an entry for this user.
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for value in (None, "~/cache"):
        if value is None:
            monkeypatch.delenv("GRADSMITH_CACHE_DIR")
        else:
            monkeypatch.setenv("GRADSMITH_CACHE_DIR", value)
        assert fetch(Kind.PLAN, ("a",), lambda: b"made") == b"made"
        assert "home directory" in str(store().problem)
        assert list(tmp_path.iterdir()) == []
    cache._store.cache_clear()


def test_tests_do_not_touch_the_cache_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    path = store().path
    assert path is not None
    assert path.name.startswith("gradsmith-tests-")


# Keys.


def test_what_was_made_is_made_once(place: Path) -> None:
    made: list[bytes] = []

    def make() -> bytes:
        made.append(b"content")
        return made[-1]

    for _ in range(3):
        assert fetch(Kind.PLAN, ("a", "b"), make) == b"content"
    assert made == [b"content"]
    save(Kind.PLAN, ("a", "b"), b"better")
    assert load(Kind.PLAN, ("a", "b")) == b"better"


def test_keys_differ_wherever_their_parts_do() -> None:
    keys = [(), ("",), ("", ""), ("ab",), ("a", "b"), ("", "ab"), ("ab", ""), ("b", "a"), ("λ",)]
    for number, parts in enumerate(keys):
        for kind in Kind:
            assert load(kind, parts) is None
            save(kind, parts, f"{number} {kind}".encode())
    for number, parts in enumerate(keys):
        for kind in Kind:
            assert load(kind, parts) == f"{number} {kind}".encode()


def test_what_cannot_be_made_is_not_kept(place: Path) -> None:
    def fails() -> bytes:
        raise RuntimeError("no kernel")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="no kernel"):
            fetch(Kind.OBJECT, ("a",), fails)
    assert not place.exists()


def test_records_do_not_outlive_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in Kind:
        save(kind, ("a",), b"content")
    with monkeypatch.context() as patched:
        patched.setattr(cache, "source_digest", lambda: "another")
        assert [load(kind, ("a",)) for kind in Kind] == [None, None]
    assert [load(kind, ("a",)) for kind in Kind] == [b"content", b"content"]


@pytest.mark.parametrize("name", ["numpy", "python-flint"])
def test_plans_do_not_outlive_what_they_were_measured_with(
    name: str, fresh: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.metadata

    for kind in Kind:
        save(kind, ("a",), b"content")
    cache._versions.cache_clear()
    true = importlib.metadata.version
    newer = lambda asked: "99" if asked == name else true(asked)  # noqa: E731
    monkeypatch.setattr(importlib.metadata, "version", newer)
    assert load(Kind.PLAN, ("a",)) is None
    assert load(Kind.OBJECT, ("a",)) == b"content"


# The digest of the source.


def tree(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (0, 0))
    return root


def digest(root: Path) -> str:
    return cache._joined(cache._sources(str(root))).hex()


def test_the_digest_changes_with_every_file_its_name_and_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = {"a_py": "1", "b_py": "2", "c__d_py": "3"}
    versions = [
        base,
        base | {"a_py": "2"},
        base | {"a_py": "12", "b_py": ""},
        base | {"c__d_py": "4"},
        base | {"e_py": ""},
        {"a_py": "1", "b_py": "2", "e__d_py": "3"},
        {"a_py": "1", "f_py": "2", "c__d_py": "3"},
        {"a_py": "1", "b_py": "2"},
    ]
    found = [digest(tree(tmp_path / str(n), **files)) for n, files in enumerate(versions)]
    assert len(set(found)) == len(versions)
    again = tree(tmp_path / "again", **dict(reversed(base.items())))
    (again / "__pycache__").mkdir()
    (again / "__pycache__" / "a.py").write_text("compiled")
    (again / "page.html").write_text("no code")
    assert digest(again) == found[0]
    true = cache._python_files  # in whatever order the disk has them
    monkeypatch.setattr(cache, "_python_files", lambda folder: reversed(list(true(folder))))
    assert digest(again) == found[0]


def test_a_source_younger_than_the_process_is_no_guide_to_it(tmp_path: Path) -> None:
    root = tree(tmp_path, a_py="1", b_py="2")
    assert digest(root) == digest(root)
    os.utime(root / "b.py", (cache._STARTED + 1, cache._STARTED + 1))
    assert digest(root) != digest(root)


def test_the_digest_reads_the_whole_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = set(cache._python_files(str(PACKAGE)))
    assert read == {str(path) for path in PACKAGE.rglob("*.py")}
    assert str(PACKAGE / "numerics" / "lower.py") in read


ARCHIVED = """
import sys
sys.path.insert(0, {archive!r})
from gradsmith.backends import cache
assert {archive!r} in cache.__file__, cache.__file__
print(cache.source_digest())
"""


def test_a_package_in_an_archive_has_a_digest_of_its_own(tmp_path: Path) -> None:
    archive = tmp_path / "package.zip"
    code = ARCHIVED.format(archive=str(archive))
    with zipfile.ZipFile(archive, "w") as file:
        for path in PACKAGE.rglob("*.py"):
            file.write(path, path.relative_to(PACKAGE.parent))
    first = process(code)
    assert len(first) == 64
    assert process(code) == first
    os.utime(archive, (0, 0))
    assert process(code) != first


# Machine code.

needs_llvm = pytest.mark.skipif(native.unavailable() is not None, reason=str(native.unavailable()))

KERNEL = """
from hashlib import sha256
import torch
from gradsmith.backends import native
from gradsmith.backends.llvm import compile_program
from tests.backends.agreement import polynomial
from gradsmith.numerics.program import BF16, F32, F64

compiled = []
translated = native._translated
native._translated = lambda *what: compiled.append(what) or translated(*what)
x = torch.linspace(-3, 3, 10_007)
bits = sha256()
for kind, dtype in ((F32, torch.float32), (BF16, torch.bfloat16), (F64, torch.float64)):
    y = torch.empty_like(x, dtype=dtype)
    compile_program(polynomial(kind, F64))([x.to(dtype)], [y])
    bits.update(y.view(torch.uint8).numpy())
print(len(compiled), bits.hexdigest())
"""


@needs_llvm
def test_a_second_process_compiles_nothing_and_computes_the_same_bits(place: Path) -> None:
    without = process(KERNEL, GRADSMITH_CACHE_DIR="off").split()
    assert without[0] == "4"  # three kernels, and whether LLVM works
    cold = process(KERNEL).split()
    assert cold == without
    files = sorted(place.iterdir())
    assert len(files) == 4
    warm = process(KERNEL).split()
    assert warm == ["0", cold[1]]
    damaged = bytearray(files[0].read_bytes())
    damaged[len(damaged) // 2] ^= 1
    files[0].write_bytes(damaged)
    files[1].chmod(0o666)
    assert process(KERNEL).split() == ["2", cold[1]]
    assert process(KERNEL).split() == ["0", cold[1]]
    assert sorted(place.iterdir()) == files


@needs_llvm
def test_code_is_kept_apart_by_text_machine_and_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    import llvmlite

    made: list[str] = []

    def assembled(ir: str, machine: native.Machine, beside: str) -> bytes:
        made.append(ir)
        return repr((ir, machine, beside, llvmlite.__version__)).encode()

    monkeypatch.setattr(native, "assemble", assembled)
    here = native.host()
    machines = [
        here,
        native.Machine("other", here.cpu, here.features),
        native.Machine(here.triple, "other", here.features),
        native.Machine(here.triple, here.cpu, "other"),
    ]
    for release in (llvmlite.__version__, "99.0.0"):
        monkeypatch.setattr(llvmlite, "__version__", release)
        for machine in machines:
            for ir, beside in (("a", ""), ("b", ""), ("a", "b"), ("", "ab")):
                for _ in range(2):
                    code = native.machine_code(ir, machine, beside)
                    assert code == repr((ir, machine, beside, release)).encode()
    assert len(made) == 2 * len(machines) * 4
    assert native.machine_code("a") == native.machine_code("a", here)


def test_neither_torch_nor_llvm_nor_platformdirs_is_imported() -> None:
    code = "import sys, gradsmith.backends.cache\nprint(sorted(sys.modules))"
    imported = process(code)
    for name in ("torch", "llvmlite", "platformdirs", "numpy", "flint"):
        assert f"'{name}'" not in imported, name
