"""The command line: what it prints, where to, its exit codes, and no tracebacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

import gradsmith
import gradsmith.show.report
from gradsmith.catalogue import ENTRIES
from gradsmith.cli import _kept_whole
from gradsmith.cli import doctor as doctors
from gradsmith.cli.commands import app
from gradsmith.show.study import study

COMMANDS = ("derive", "plot", "compare", "properties", "study", "emit", "report", "list", "doctor")
OF_A_FORMULA = COMMANDS[:-2]


def run(*arguments: str) -> Result:
    """In this process, as a pipe would see it: no terminal, no colours."""
    return CliRunner().invoke(app, [_kept_whole(a) for a in arguments], env={"COLUMNS": "200"})


def process(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gradsmith", *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
        check=False,
    )


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports with short trainings."""
    short = partial(study, steps=2, scales=(1.0,))
    monkeypatch.setattr(gradsmith.show.report, "study", short)


# Help.


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    assert command in run("--help").stdout
    shown = run(command, "--help")
    assert shown.exit_code == 0
    assert f"Example: gradsmith {command}" in shown.stdout


def test_help_shows_the_main_job_and_the_exit_codes() -> None:
    shown = " ".join(run("--help").stdout.split())
    assert (
        "gradsmith report 'x * tanh(log(1 + exp(x)))' --against torch.nn.functional.mish" in shown
    )
    assert "Exit codes: 0 all is well" in shown


def test_version() -> None:
    assert run("--version").stdout.startswith(f"gradsmith {gradsmith.__version__}, PyTorch ")


def test_help_and_the_catalogue_do_without_torch() -> None:
    for arguments in (["--help"], ["list"], ["--version"]):
        program = (
            "import sys\n"
            "from gradsmith.cli import main\n"
            f"try: main({arguments})\n"
            "except SystemExit as end: code = end.code\n"
            "print(); print('END', code or 0, 'torch' in sys.modules)"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert ran.stdout.splitlines()[-1] == "END 0 False"


# The main job.


def test_the_main_job(tmp_path: Path, quick: None) -> None:
    path = tmp_path / "demo.html"
    formula = "x * tanh(log(1 + exp(x)))"
    ran = run("report", formula, "--against", "torch.nn.functional.mish", "-o", str(path))
    assert ran.exit_code == 0
    assert ran.stdout == f"{path.resolve()}\n"
    assert "agrees with torch.nn.functional.mish" in ran.stderr
    assert "<h1>mish</h1>" in path.read_text(encoding="utf-8")


def test_a_report_beside_a_wrong_reference_exits_with_1(tmp_path: Path, quick: None) -> None:
    path = tmp_path / "wrong.html"
    ran = run("report", "tanh", "--against", "torch.sigmoid", "-o", str(path))
    assert ran.exit_code == 1
    assert path.exists()
    assert "differs from torch.sigmoid" in ran.stderr
    # PyTorch's own approximation loses its tail; nobody asked whether it agrees.
    ran = run("report", "gelu_tanh", "-o", str(path))
    assert ran.exit_code == 0
    assert "differs from" in ran.stderr


def test_without_a_name_files_are_called_after_the_activation(
    tmp_path: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for arguments, name in [
        (("report", "x * tanh(log(1 + exp(x)))"), "mish.html"),
        (("plot", "relu"), "relu.png"),
        (("plot", "x**3"), "activation.png"),
    ]:
        ran = run(*arguments)
        assert ran.stdout.strip() == str(tmp_path / name)
        assert (tmp_path / name).stat().st_size > 1000


# Each verb.


def test_derive() -> None:
    ran = run("derive", "1/(1 + exp(-x))")
    assert ran.exit_code == 0
    assert "in terms of the output" in ran.stdout
    assert "y*(1 - y)" in ran.stdout or "(1 - y)*y" in ran.stdout
    assert run("derive", "sigmoid", "--format", "latex").stdout.startswith(r"\begin{align*}")
    assert "| rule |" in run("derive", "sigmoid", "--format", "markdown").stdout
    assert "f″" in (second := run("derive", "sigmoid", "--order", "2").stdout) or "f′′" in second


def test_parameters_and_inputs() -> None:
    ran = run("derive", "a*sigmoid(k*b)", "-i", "a", "--input", "b", "-p", "k=2", "--wrt", "k")
    assert ran.exit_code == 0
    assert "∂(a*sigmoid(k*b), k)" in ran.stdout
    steep = run("properties", "elu", "-p", "alpha=2").stdout
    assert "−2 … ∞" in steep


@pytest.mark.parametrize("given", ["µ", "μ"])  # the micro sign and the Greek letter
def test_names_are_those_that_python_reads(given: str) -> None:
    ran = run("derive", "µ*x**2", "-p", f"{given}=2", "--wrt", given)
    assert ran.exit_code == 0, ran.stderr
    assert "= x**2" in ran.stdout
    assert run("derive", f"x*{given}", "-i", "x", "-i", "µ", "--wrt", "μ").exit_code == 0


def test_properties() -> None:
    ran = run("properties", "sigmoid")
    lines = {line.split("  ")[0]: line for line in ran.stdout.splitlines()}
    assert "0 … 1" in lines["range"]
    assert "yes" in lines["as a probability"]


def test_compare() -> None:
    ran = run("compare", "sigmoid", "--at", "1", "--at", "-2")
    assert ran.exit_code == 0
    assert "torch.nn.functional.sigmoid" in ran.stdout  # the catalogue knows PyTorch's own
    assert "0.7311" in ran.stdout
    assert "0.1966" in ran.stdout
    wrong = run("compare", "1/(1 + exp(-x))", "--against", "torch.tanh")
    assert wrong.exit_code == 1
    assert "By the exact values torch.tanh is wrong" in wrong.stdout
    assert run("compare", "x/3", "--against", "x*0.34", "--max-ulp", "1e9").exit_code == 0
    assert "bfloat16" in run("compare", "relu", "--dtype", "bfloat16").stdout


def test_study() -> None:
    ran = run("study", "sigmoid", "--against", "tanh", "--steps", "2", "--seed", "3")
    assert ran.exit_code == 0
    assert "seed 3" in ran.stdout
    assert "Vanishing gradients: at the start" in ran.stdout
    assert ran.stderr == ""  # no progress where nobody looks


def test_emit_prints_what_runs(tmp_path: Path) -> None:
    path = tmp_path / "swish.py"
    ran = run("emit", "x*sigmoid(x)", "--name", "swish", "-o", str(path))
    assert ran.stdout.strip() == str(path)
    printed = run("emit", "x*sigmoid(x)", "--name", "swish").stdout
    assert printed == path.read_text(encoding="utf-8")
    space: dict[str, object] = {"__name__": "swish"}
    exec(compile(printed, "swish.py", "exec"), space)
    assert callable(space["swish"])


def test_plot(tmp_path: Path) -> None:
    path = tmp_path / "p.svg"
    arguments = ("--order", "2", "--from", "-2", "--to", "3")
    assert run("plot", "sigmoid", *arguments, "-o", str(path)).exit_code == 0
    assert path.read_text(encoding="utf-8").lstrip().startswith("<?xml")


def test_list() -> None:
    everything = run("list").stdout
    for entry in ENTRIES:
        for shown in (entry.name, entry.formula, entry.torch or "", entry.reference):
            assert shown in everything
    assert len(run("list", "SHRINK").stdout.splitlines()) == 4
    nothing = run("list", "zzz")
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "'zzz'" in nothing.stderr


def test_doctor() -> None:
    ran = run("doctor")
    assert ran.exit_code == 0
    for expected in ("backend aten on cpu", "works", "import gradsmith", "first gradient"):
        assert expected in ran.stdout


def test_doctor_outlives_what_is_broken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it now fails
    monkeypatch.setattr(doctors, "_USED", ("no-such-package",))
    ran = run("doctor")
    assert ran.exit_code == 1
    assert "BROKEN: not installed" in ran.stdout
    assert "backend aten" in ran.stdout
    found = doctors.examine(tmp_path / "no-python", {})
    assert [f.what for f in found if not f.works][-1] == "import times"


# A formula that begins with a minus.


@pytest.mark.parametrize("formula", ["-x", "-x*sigmoid(x)", "-(x + 1)", "-2*x", "-exp(x)"])
def test_a_formula_may_begin_with_a_minus(formula: str) -> None:
    ran = run("derive", formula)
    assert ran.exit_code == 0
    assert ran.stdout.startswith("f = -")


@pytest.mark.parametrize(
    "option", ["-o", "-ofile.txt", "-p", "-pk=1", "-i", "-h", "--help", "--", "x"]
)
def test_options_stay_options(option: str) -> None:
    assert _kept_whole(option) == option


# Bad use.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["derive", "1/(1+exp(-x)"], "'(' was never closed"),
        (["derive", "sigmod"], "did you mean 'sigmoid'?"),
        (["derive", "sigmoid(x"], "column"),
        (["derive", "x*sigmoid(b*x)"], "Here: -p NAME=VALUE"),
        (["derive", "sigmoid", "--wrt", "z"], "'z'"),
        (["derive", "x*b", "-p", "b=abc"], "write for example -p b=1.5"),
        (["derive", "x*b", "-p", "b"], "-p takes NAME=VALUE, got 'b'"),
        (["derive", "x*b", "-p", "=2"], "-p takes NAME=VALUE"),
        (["derive", "x*b", "-p", "b=inf"], "finite"),
        (["derive", "x*b", "-p", "b=1", "-p", "b=2"], "given twice"),
        (["derive", "x*name", "-p", "name=1"], "choose another name"),
        (["derive", "relu", "-p", "alpha=1"], "no parameter 'alpha'"),
        (["derive", "x*b", "-i", "1x"], "'1x' cannot be the name"),
        (["derive", "µ*x", "-p", "µ=1", "-p", "μ=2"], "are one name"),
        (["derive", "β·x", "-p", "β=1"], "write *, not ·"),
        (["properties", "log(-1)*x"], "no real number: log(-1)"),
        (["properties", "log(-1 - x*x)*x"], "no finite value"),
        (
            ["compare", "a*sigmoid(b)", "-i", "a", "-i", "b", "--against", "torch.nn.ReLU"],
            "ReLU() takes 1 input(s)",
        ),
        (["properties", "relu", "--wrt", "z"], "no input 'z'; it has x"),
        (["plot", "relu", "--wrt", "z", "-o", "{}/p.png"], "z"),
        (["plot", "relu", "--from", "2", "--to", "1", "-o", "{}/p.png"], "the lower first"),
        (["plot", "relu", "-o", "{}/p.xyz"], "xyz"),
        (["compare", "relu", "--against", "torch.relo"], "'torch.relo'"),
        (["compare", "relu", "--against", "torch.load"], "torch.load"),
        (["compare", "relu", "--against", "os.system"], "written without a module"),
        (["compare", "glu", "--against", "torch.nn.functional.glu"], "dim"),
        (["study", "relu", "--against", "relo"], "did you mean 'relu'?"),
        (["emit", "relu", "--name", "2x"], "'2x'"),
        (["report", "relu", "--against", "torch.relo", "-o", "{}/r.html"], "'torch.relo'"),
        (["report", "relu", "-o", "{}"], "it is a folder"),
        (["report", "relu", "-o", "{}/none/r.html"], "there is no folder"),
        (["derive", "relu", "-o", "/dev/full"], "cannot write '/dev/full': No space left"),
    ],
)
def test_bad_use_is_explained(arguments: list[str], message: str, tmp_path: Path) -> None:
    if "/dev/full" in arguments and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    ran = run(*(argument.format(tmp_path) for argument in arguments))
    assert ran.exit_code == 2, ran.output
    assert ran.stdout == ""
    assert ran.stderr.startswith("error: ")
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not list(tmp_path.iterdir())


def test_a_pointer_stands_under_its_column() -> None:
    first, text, pointer = run("derive", "x + sigmod(x)").stderr.splitlines()
    assert "unknown function 'sigmod'; did you mean 'sigmoid'" in first
    assert text[pointer.index("^") :].startswith("sigmod(x)")


def test_our_own_mistakes_are_not_passed_off_as_bad_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        json.loads("{")  # a ValueError, of someone else's

    monkeypatch.setattr("gradsmith.show.verbs.derive", broken)
    ran = run("derive", "relu")
    assert isinstance(ran.exception, ValueError)


@pytest.mark.parametrize(
    "arguments",
    [["derive"], ["frobnicate"], ["derive", "relu", "--order", "0"], ["derive", "relu", "--ordr"]],
)
def test_wrong_options_exit_with_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


# As a process.


def test_exit_codes_of_the_process() -> None:
    good = process("compare", "sigmoid", "--at", "1")
    assert good.returncode == 0, good.stderr
    assert good.stderr == ""
    assert "0.1966" in good.stdout
    assert process("compare", "relu", "--against", "torch.tanh", "--at", "1").returncode == 1
    bad = process("derive", "x +* 2")
    assert bad.returncode == 2
    assert bad.stdout == ""
    assert bad.stderr.splitlines()[-1].strip() == "^"


def test_an_encoding_that_lacks_letters_gets_question_marks() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "gradsmith", "derive", "sigmoid"],
        capture_output=True,
        env={**os.environ, "PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"},
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert b"f? = " in ran.stdout
