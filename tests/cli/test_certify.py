"""``gradsmith certify``: what it prints and writes, its exit codes, ranks that share the work."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gradsmith.cli import _kept_whole
from gradsmith.cli.commands import app
from gradsmith.truth.certificate import Certificate

FEW = ("--patterns", "0x3f80:0x3fc0", "--dtype", "bfloat16", "--processes", "1")  # 1 to 1.5
TAIL = ("--patterns", "0x4180:0x41a0", "--dtype", "bfloat16", "--processes", "1")  # 16 to 20


def run(*arguments: str) -> Result:
    kept = [_kept_whole(argument) for argument in ("certify", *arguments)]
    return CliRunner().invoke(app, kept, env={"COLUMNS": "200"})


def test_what_keeps_the_contract_ends_with_0_and_what_does_not_with_1() -> None:
    ours = run("sigmoid", *TAIL, "--orders", "0,1")
    assert ours.exit_code == 0, ours.output
    assert "bfloat16, 32 of 65,536 inputs: keeps the contract (0.51, 0.51 ULP)" in ours.stdout
    theirs = run("torch.sigmoid", *TAIL, "--orders", "0,1")
    assert theirs.exit_code == 1
    assert "torch.sigmoid: sigmoid(x)" in theirs.stdout
    assert "derivative: " in theirs.stdout
    assert "wrong zero, as at 16 (0x4180): 0 instead of" in theirs.stdout


def test_a_reference_stands_beside_it_and_does_not_decide() -> None:
    found = run("sigmoid", *TAIL, "--orders", "1", "--against", "torch.sigmoid")
    assert found.exit_code == 0, found.output
    ours, theirs = found.stdout.split("torch.sigmoid: ")
    assert "keeps the contract" in ours
    assert "DOES NOT KEEP" in theirs
    assert "1/(1 + exp(-x))" in theirs  # measured against the same formula


def test_the_file_holds_the_certificate(tmp_path: Path) -> None:
    path = tmp_path / "silu.json"
    found = run("silu", *FEW, "-o", str(path))
    assert found.exit_code == 0, found.output
    assert str(Certificate.load(path)) == found.stdout.rstrip("\n")
    assert Certificate.load(path).coverage.patterns == ((0x3F80, 0x3FC0, 1),)
    assert [p.name for p in tmp_path.iterdir()] == ["silu.json"]


def test_formulas_parameters_and_inputs() -> None:
    found = run("x*sigmoid(beta*x)", "-p", "beta=1.5", *FEW, "--orders", "0")
    assert found.exit_code == 0, found.output
    assert "x*sigmoid(beta*x), beta = 1.5" in found.stdout
    stated = run("torch.nn.functional.silu", "--formula", "x*sigmoid(beta*x)", "-p", "beta=1", *FEW)
    assert stated.exit_code in (0, 1)
    assert "torch.nn.functional.silu: x*sigmoid(beta*x), beta = 1" in stated.stdout
    wrong = run("torch.nn.functional.silu", "--formula", "x*sigmoid(2*x)", *FEW, "--orders", "0")
    assert wrong.exit_code == 1
    pairs = ("a*sigmoid(b)", "-i", "a", "-i", "b", "--samples", "200", "--orders", "0,1")
    two = run(*pairs, "--dtype", "bfloat16", "--wrt", "b", "--processes", "1")
    assert "derivative in b" in two.stdout, two.output
    assert "derivative in a" not in two.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sigmoid", "--orders", "0,3"], "--orders takes 0, 1 and 2"),
        (["sigmoid", "--patterns", "5"], "--patterns takes FROM:TO"),
        (["sigmoid", "--patterns", "5:x"], "--patterns takes FROM:TO"),
        (["sigmoid", "--patterns", "0:0x100000000", "--dtype", "bfloat16"], "below 2**16"),
        (["sigmoid", "--exhaustive", "--dtype", "float64"], "too many"),
        (["a*b", "-i", "a", "-i", "b", "--exhaustive"], "too many"),
        (["sigmoid", "-p", "beta=2"], "no parameter 'beta'"),
        (["torch.sigmoid", "-p", "beta=2"], "no parameter 'beta'"),
        (["torch.nothing"], "PyTorch has no function or module 'torch.nothing'"),
        (["sigmiod"], "did you mean"),
        (["sigmoid", "--wrt", "z"], "wrt is one of the inputs x"),
        (["sigmoid", "-o", "no/such/folder/c.json"], "there is no folder"),
    ],
)
def test_bad_use_ends_with_2_and_says_why(arguments: list[str], message: str) -> None:
    found = run(*arguments)
    assert found.exit_code == 2, found.output
    assert message in " ".join(found.stderr.split())
    assert "Traceback" not in found.output


def test_an_interrupted_run_goes_on_and_cleans_up(tmp_path: Path) -> None:
    parts = tmp_path / "parts"
    first = run("relu", *FEW, "--state", str(parts))
    assert first.exit_code == 0, first.output
    assert {p.name for p in parts.iterdir()} == {"task.json", "chunk-00000.json"}
    other = run("relu6", *FEW, "--state", str(parts))
    assert other.exit_code == 2
    assert "another task" in other.stderr
    written = run("relu", "--dtype", "bfloat16", "--exhaustive", "-o", str(tmp_path / "c.json"))
    assert written.exit_code == 0, written.output
    assert {p.name for p in tmp_path.iterdir()} == {"parts", "c.json"}


def torchrun(count: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={count}"]
    launcher += ["--master_port=0", "--rdzv_backend=c10d", "--rdzv_endpoint=localhost:0"]
    return subprocess.run(
        [*launcher, "-m", "gradsmith", "certify", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )


def test_ranks_share_the_work_and_one_reports(tmp_path: Path) -> None:
    # The chunks of 0x4000 patterns are four; both ranks have two of them.
    path, alone = tmp_path / "two.json", tmp_path / "one.json"
    part = ("--patterns", "0xb000:0xf000", "--dtype", "bfloat16", "--orders", "0,1")
    options = ("torch.nn.functional.silu", *part, "--processes", "1")
    found = torchrun(2, *options, "--state", str(tmp_path / "parts"), "-o", str(path))
    assert found.stdout.count("torch.nn.functional.silu: ") == 1, found.stderr
    assert "16,384 of 65,536 inputs: DOES NOT KEEP" in found.stdout
    assert found.returncode == 1
    assert len(list((tmp_path / "parts").glob("chunk-*.json"))) == 4
    assert run(*options, "-o", str(alone)).exit_code == 1
    two, one = (json.loads(file.read_text()) for file in (path, alone))
    assert two["results"] == one["results"]
    assert two["coverage"] == one["coverage"]


def test_a_reference_that_is_not_known_is_said_once() -> None:
    found = run("gelu", *FEW, "--against", "foo")
    assert found.exit_code == 2
    assert found.stderr.count("error:") == 1


def test_patterns_of_four_parts_are_refused() -> None:
    found = run("gelu", "--patterns", "0:100:7:3", "--dtype", "bfloat16")
    assert found.exit_code == 2
    assert "FROM:TO:STEP" in found.stderr


def test_a_name_that_is_no_formula_is_not_taken_for_an_input() -> None:
    found = run("torch.nn.functional.gelu", *FEW, "--formula", "geluu")
    assert found.exit_code == 2
    assert "did you mean 'gelu'?" in found.stderr


def test_a_device_can_be_written_to_and_gets_no_parts_beside_it() -> None:
    found = run("relu", "--dtype", "bfloat16", "--exhaustive", "-o", os.devnull)
    assert found.exit_code == 0, found.output
    assert not Path(os.devnull).is_file()
    assert not Path(os.devnull + ".parts").exists()
