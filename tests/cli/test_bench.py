"""``gradsmith bench``: what it prints and writes, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gradsmith.bench.benchmark import Benchmark
from gradsmith.cli import _kept_whole
from gradsmith.cli.commands import app

QUICK = ("--size", "64", "--threads", "1", "--rounds", "1", "--no-compile", "--no-first")


def run(*arguments: str) -> Result:
    kept = [_kept_whole(argument) for argument in ("bench", *arguments)]
    return CliRunner().invoke(app, kept, env={"COLUMNS": "200"})


def test_it_prints_the_tables_and_writes_what_is_asked_for(tmp_path: Path) -> None:
    data, picture = tmp_path / "mish.json", tmp_path / "mish.svg"
    found = run("mish", *QUICK, "--size", "2**7", "--json", str(data), "--plot", str(picture))
    assert found.exit_code == 0, found.output
    benchmark = Benchmark.from_json(data.read_text())
    assert found.stdout.rstrip("\n") == str(benchmark)
    assert benchmark.sizes == [64, 128]
    assert "torch.nn.functional.mish" in found.stdout
    assert picture.read_text().startswith("<?xml")
    assert found.stderr.split() == [str(data), str(picture)]


def test_formulas_and_references() -> None:
    options = ("-p", "b=1.5", "--against", "torch.nn.functional.silu", "--dtype", "bfloat16")
    found = run("-x*sigmoid(-b*x)", *options, *QUICK)
    assert found.exit_code == 0, found.output
    assert "b = 1.5" in found.stdout
    assert "bfloat16, 1 round; " in found.stdout
    assert "torch.nn.functional.silu" in found.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mihs"], "did you mean 'mish'"),
        (["mish", "--size", "many"], "--size takes a number of elements, as 16384 or 2**14"),
        (["mish", "--size", "0"], "--size takes a number of elements"),
        (["mish", "--size", "3**2"], "--size takes a number of elements"),
        (["mish", "--threads", "0"], "--threads"),
        (["mish", "--rounds", "0"], "--rounds"),
        (["mish", "--dtype", "int8"], "--dtype"),
        (["mish", "--against", "torch.nothing"], "PyTorch has no function or module"),
        (["mish", "--against", "torch.sum", *QUICK], "of shape"),
        (["mish", "--json", "no/such/folder/a.json"], "there is no folder"),
        (["mish", "--plot", "a.nothing"], "its ending must be one of"),
        (["mish", "-p", "beta=2"], "no parameter 'beta'"),
    ],
)
def test_bad_use(arguments: list[str], message: str) -> None:
    found = run(*arguments)
    assert found.exit_code == 2, found.output
    assert message in found.output
    assert "Traceback" not in found.output
