"""Every record is complete, and its names, aliases and formula are what the package uses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import mpmath
import pytest
import torch

import gradsmith
from gradsmith.catalogue import CATALOGUE, ENTRIES, Entry, entry, formula_of
from gradsmith.catalogue.record import by_name
from gradsmith.formula.parse import parse
from tests.catalogue.cases import every_entry

# fmt: off
POINTWISE_OF_TORCH_NN = {
    "Threshold", "ReLU", "LeakyReLU", "PReLU", "RReLU", "ReLU6", "Hardtanh", "Hardsigmoid",
    "Hardswish", "Hardshrink", "Softshrink", "Tanhshrink", "Sigmoid", "LogSigmoid", "Tanh",
    "Softsign", "Softplus", "ELU", "CELU", "SELU", "GELU", "SiLU", "Mish", "GLU",
}
# fmt: on


def test_the_catalogue_has_every_pointwise_activation_of_torch_nn() -> None:
    assert {record.module for record in ENTRIES if record.torch} >= POINTWISE_OF_TORCH_NN


@every_entry
def test_a_record_is_complete(record: Entry) -> None:
    assert record.summary
    assert all(name.isidentifier() for name in record.names)
    formula = formula_of(record.name)
    assert formula.name == record.name
    assert formula.inputs == record.inputs
    assert dict(formula.parameters) == dict(record.parameters)


@every_entry
def test_a_reference_names_a_year_or_a_page_of_pytorch(record: Entry) -> None:
    assert re.search(r"\b(19|20)\d\d\b|^PyTorch documentation, torch\.nn\.\w+$", record.reference)
    for identifier in re.findall(r"arXiv:([\d.]*\d)", record.reference):
        # Year and month, then four digits until 2014 and five since.
        assert re.fullmatch(r"(0[7-9]|1[0-4])\d\d\.\d{4}|(1[5-9]|2\d)\d\d\.\d{5}", identifier)
    assert record.reference.count("arXiv") == len(re.findall(r"arXiv:\d", record.reference))


@every_entry
def test_pytorchs_function_and_class_exist(record: Entry) -> None:
    counterpart = record.counterpart()
    assert counterpart is not None
    assert callable(counterpart)
    if record.module is not None:
        assert issubclass(getattr(torch.nn, record.module), torch.nn.Module)


def test_a_name_is_given_once() -> None:
    silu = CATALOGUE["silu"]
    other = Entry(name="other", formula="x", reference="", summary="", aliases=("swish",))
    assert by_name([silu, silu])["swish"] is silu
    with pytest.raises(ValueError, match="'swish'"):
        by_name([silu, other])


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ValueError, match="no activation 'silv'; did you mean 'silu'"):
        entry("silv")
    with pytest.raises(ValueError, match="it has celu, elu, "):
        entry("xyzzy")


@every_entry
def test_formulas_can_call_every_name(record: Entry) -> None:
    inputs = ", ".join(record.inputs)
    for name in record.names:
        text = f"-{name}({inputs})"
        assert set(parse(text, inputs=record.inputs).arguments) == set(record.inputs)
    for parameter in record.parameters:
        text = f"{record.name}({inputs}, {parameter}=p)"
        assert parse(text, parameters={"p": 2.0}, inputs=record.inputs).parameters == {"p": 2.0}


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("mish(x)**2", "(x*tanh(log(1 + exp(x))))**2"),
        ("swish(-x)", "-x/(1 + exp(-(-x)))"),
        ("leaky_relu(2*x, negative_slope=0.2)", "where(2*x > 0, 2*x, 0.2*(2*x))"),
        ("leaky_relu(x, 0.5)", "where(x > 0, x, 0.5*x)"),
        ("hardtanh(x, max_val=3)", "where(x <= -1, -1, where(x >= 3, 3, x))"),
        ("glu(x, 2*x)", "x*sigmoid(2*x)"),
    ],
)
def test_a_call_stands_for_the_formula(text: str, meaning: str) -> None:
    assert str(parse(text)) == str(parse(meaning))


def test_selus_constants_solve_the_equations_of_the_paper() -> None:
    """The closed forms of arXiv:1706.02515 for mean 0 and variance 1."""
    printed = re.findall(r"1\.\d{31}\b", CATALOGUE["selu"].formula)
    with mpmath.workdps(60):
        scale, alpha = map(mpmath.mpf, printed)
        pi, sqrt, erfc, exp = mpmath.pi, mpmath.sqrt, mpmath.erfc, mpmath.exp
        tail = erfc(1 / sqrt(2)) * exp(mpmath.mpf(1) / 2)
        exact_alpha = sqrt(2 / pi) / (1 - tail)
        variance = 2 * erfc(sqrt(2)) * exp(2) + pi * tail**2 - 2 * (2 + pi) * tail + pi + 2
        exact_scale = (1 - tail) * sqrt(2 * pi) / sqrt(variance)
        last_digit = mpmath.mpf(10) ** -31
        assert abs(alpha - exact_alpha) < last_digit
        assert abs(scale - exact_scale) < last_digit


def test_importing_the_catalogue_reads_nothing_and_imports_nothing_heavy() -> None:
    code = (
        "import sys, gradsmith; from gradsmith.catalogue import _formula\n"
        "heavy = {'torch', 'flint', 'matplotlib', 'numpy', 'jinja2', 'rich', 'typer'}\n"
        "print(sorted(heavy & set(sys.modules)), _formula.cache_info().currsize)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.split("\n")[0] == "[] 0"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("hardtanh", {"min_val": 1.0, "max_val": -1.0}),
        ("softshrink", {"lambd": -0.5}),
        ("celu", {"alpha": 0.0}),
        ("softplus", {"beta": 0}),
        ("rrelu", {"lower": 0.5, "upper": 0.25}),
    ],
)
def test_arguments_without_a_meaning_are_refused(name: str, arguments: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"^{name} needs ") as caught:
        CATALOGUE[name].check(arguments)
    for argument, value in arguments.items():
        assert f"{argument}={value}" in str(caught.value)
    CATALOGUE[name].check({argument: torch.tensor(v) for argument, v in arguments.items()})


ADDED = """
ENTRIES += (
    Entry(
        name="snake",
        formula="x + sin(alpha*x)**2/alpha",
        parameters={"alpha": 1.0},
        summary="the identity with a ripple",
        reference="none, 2000",
        aliases=("snakelike",),
        module="Snake",
    ),
    Entry(
        name="bilinear",
        formula="scale*a*b",
        inputs=("a", "b"),
        parameters={"scale": 2.0},
        summary="a product",
        reference="none, 2000",
        module="Bilinear",
    ),
)
"""

USED = """
import inspect, pickle, torch
import gradsmith as gs

x, two = torch.tensor([0.5], requires_grad=True), torch.tensor([2.0])
assert torch.allclose(gs.snake(x, alpha=2.0), x + (2 * x).sin() ** 2 / 2)
assert gs.snakelike is gs.snake and "snake" in dir(gs)
assert torch.allclose(gs.activation("2*snake(x)")(x), 2 * gs.snake(x))
assert "x + sin(alpha*x)**2/alpha" in inspect.getdoc(gs.snake)
assert str(inspect.signature(gs.nn.Snake)) == "(alpha=1.0, *, learnable=False)"
module = pickle.loads(pickle.dumps(gs.nn.Snake(2.0, learnable=True)))
assert repr(module) == "Snake(alpha=2.0, learnable=['alpha'])" and list(module.parameters())
assert torch.allclose(module(x), gs.snake(x, 2.0))
assert gs.bilinear(x, two).item() == 2 and gs.bilinear(a=x, b=two, scale=1.0).item() == 1
assert gs.nn.Bilinear(3.0)(x, two).item() == 3
"""


def test_adding_an_activation_is_adding_a_record(tmp_path: Path) -> None:
    package = Path(gradsmith.__file__).parent
    copied = tmp_path / package.name
    shutil.copytree(package, copied, ignore=shutil.ignore_patterns("__pycache__"))
    with (copied / "catalogue" / "gated.py").open("a") as family:
        family.write(ADDED)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-W", "error", "-c", USED], env=environment, check=True)
