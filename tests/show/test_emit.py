"""The emitted file computes gradsmith's bits without gradsmith, and is worth reading.

It runs in a process of its own in which gradsmith and everything else but torch cannot be
imported. Oracles: gradsmith itself for the bits, finite differences for the derivatives.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import gradsmith as gs
from gradsmith.activation import Activation, activation
from gradsmith.backends import dispatch
from gradsmith.catalogue import ENTRIES, formula_of
from gradsmith.formula.expression import Number, Symbol
from gradsmith.formula.formula import Formula
from gradsmith.show.emit import emit

pytestmark = [
    # Of torch's own making, when forward mode is first used.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
    # The bits are compared, also where float64 misses the contract, which is told.
    pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning"),
]

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
TAILS = (0.0, 1e-30, 1e-5, 0.01, 0.4, 1.0, 2.5, 3.0, 6.0, 9.0, 17.0, 20.0, 88.0, 100.0, 700.0, 1e30)


def odd_names() -> Formula:
    """Names that mean something in the code: x0·σ(x1)·x2 with awkward ones."""
    a, b, c = Symbol("torch"), Symbol("ctx"), Symbol("l")
    g, v, t = Symbol("g"), Symbol("v"), Symbol("training")
    return Formula(
        (a - c) * gs.activation("sigmoid").formula.applied(b) * g + v * t * Number(2),
        ("torch", "ctx"),
        {"l": 0.5, "g": 1.5, "v": 0.25, "training": -1.0},
        name="Tensor",
    )


TEXTS: dict[str, tuple[str, dict[str, float]]] = {
    "swish": ("x*sigmoid(beta*x)", {"beta": 1.5}),
    "identity": ("x", {}),
    "line": ("2*x + 1", {}),
    "scaled": ("a*x", {"a": 3.0}),
    "step": ("heaviside(x)", {}),
    "bump": ("where(abs(x) < 1, (1 - x**2)**3, 0)", {}),
    "parameters_only": ("where(x > 0, a, b)", {"a": 2.0, "b": -1.0}),
    "paper": ("x * tanh(log(1 + exp(x)))", {}),
    "lambda_": ("x*exp(-x**2)", {}),
}
CASES = [entry.name for entry in ENTRIES] + [*TEXTS, "odd", "derivative"]


@cache
def case(name: str) -> Activation:
    if name in TEXTS:
        text, parameters = TEXTS[name]
        return activation(text, name=name, **parameters)
    if name == "derivative":
        return activation("mish").derivative()
    return Activation(odd_names() if name == "odd" else formula_of(name))


def operands(f: Activation, dtype: torch.dtype, spread: bool) -> list[Tensor]:
    """Inputs over the whole range; parameters 0-dimensional, or one for each column."""
    line = torch.tensor([s * v for v in TAILS for s in (1, -1)], dtype=torch.float64).to(dtype)
    columns = line[line.isfinite()].unique().repeat(2, 1)
    found = [columns.roll(5 * i, -1) for i in range(len(f.inputs))]
    if spread and len(found) > 1:
        found[1] = found[1][:1]  # to be broadcast over the rows
    for default in f.parameters.values():
        parameter = torch.tensor(default, dtype=torch.float32)
        if spread:
            parameter = parameter * torch.linspace(0.5, 1.5, columns.shape[1])
        found.append(parameter)
    return [tensor.clone().requires_grad_() for tensor in found]


def computed(f: Any, given: list[Tensor]) -> list[Tensor]:
    """Value, gradients and, pair by pair, double-backward gradients."""
    given = [tensor.detach().clone().requires_grad_() for tensor in given]
    y = f(*given)
    generator = torch.Generator().manual_seed(1)
    g = torch.randn(y.shape, generator=generator, dtype=torch.float64).to(y.dtype).requires_grad_()
    first = torch.autograd.grad(y, given, g, create_graph=True)
    results = [y, *first]
    for gradient in first:
        v = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
        for tensor in (*given, g):
            if not gradient.requires_grad:
                continue
            (second,) = torch.autograd.grad(
                gradient, tensor, v.to(gradient.dtype), retain_graph=True, allow_unused=True
            )
            results.append(torch.zeros_like(tensor) if second is None else second)
    return [result.detach() for result in results]


RUNNER = """
import importlib.util, sys
from pathlib import Path

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"gradsmith", "flint", "jinja2", "rich", "matplotlib"}:
            raise ImportError(f"{name} is not to be used")

sys.meta_path.insert(0, Blocked())
import torch

namespace = {"torch": torch}
exec((Path(sys.argv[1]) / "computed.py").read_text(), namespace)
results = {}
for key, (file, given) in torch.load(Path(sys.argv[1]) / "given.pt").items():
    spec = importlib.util.spec_from_file_location(file, Path(sys.argv[1]) / f"{file}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, namespace["function_of"](file))
    results[key] = namespace["computed"](function, given)
try:
    import gradsmith
except ImportError:
    torch.save(results, Path(sys.argv[1]) / "results.pt")
"""
COMPUTED = """
from __future__ import annotations
from typing import Any
from torch import Tensor

FUNCTIONS = {functions!r}

def function_of(file):
    return FUNCTIONS[file]

{computed}
"""


def function_name(source: str) -> str:
    """The only function after the last ``Function`` class: what a model uses."""
    tree = ast.parse(source)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return functions[-1]


@pytest.fixture(scope="module")
def sources() -> dict[str, str]:
    return {name: emit(case(name)) for name in CASES}


@pytest.fixture(scope="module")
def ran(
    sources: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, torch.dtype, bool], list[Tensor]]:
    """What the files compute, in a process without gradsmith."""
    import inspect

    folder = tmp_path_factory.mktemp("emitted")
    given = {}
    for name, source in sources.items():
        (folder / f"{name}.py").write_text(source, encoding="utf-8")
        for dtype in DTYPES:
            for spread in (False, True):
                tensors = [t.detach() for t in operands(case(name), dtype, spread)]
                given[name, dtype, spread] = (name, tensors)
    torch.save(given, folder / "given.pt")
    functions = {name: function_name(source) for name, source in sources.items()}
    (folder / "computed.py").write_text(
        COMPUTED.format(functions=functions, computed=inspect.getsource(computed)),
        encoding="utf-8",
    )
    subprocess.run([sys.executable, "-I", "-c", RUNNER, str(folder)], check=True, timeout=300)
    return torch.load(folder / "results.pt")  # type: ignore[no-any-return]


@pytest.mark.parametrize("spread", [False, True], ids=["0-dim", "broadcast"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", CASES)
def test_the_file_computes_our_bits_without_us(
    ran: dict[Any, list[Tensor]], name: str, dtype: torch.dtype, spread: bool
) -> None:
    f = case(name)
    theirs = ran[name, dtype, spread]
    with dispatch.using("aten"):  # whose operations the file has
        ours = computed(f, operands(f, dtype, spread))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


def loaded(source: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "emitted"}
    exec(compile(source, "emitted.py", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("name", ["sigmoid", "paper", "swish", "glu", "hardtanh", "odd"])
def test_the_file_checks_itself(sources: dict[str, str], name: str, tmp_path: Path) -> None:
    file = tmp_path / "emitted.py"
    file.write_text(sources[name], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-I", str(file)], check=True, capture_output=True, text=True, timeout=100
    )
    assert "agree with finite differences" in done.stdout


@pytest.mark.parametrize("name", CASES)
def test_derivatives_of_the_file_pass_gradcheck(sources: dict[str, str], name: str) -> None:
    f = case(name)
    function = loaded(sources[name])[function_name(sources[name])]
    points = torch.linspace(-2.97, 3.13, 24, dtype=torch.float64)
    given = [points.roll(5 * i).requires_grad_() for i in range(len(f.inputs))]
    for default in f.parameters.values():
        given.append(torch.tensor(default, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(function, given)
    assert torch.autograd.gradcheck(function, given, check_forward_ad=True, check_backward_ad=False)
    if any(f.operation.gradient(n) for n in f.formula.arguments):
        assert torch.autograd.gradgradcheck(function, given)


@pytest.mark.parametrize("name", ["sigmoid", "swish", "glu", "hardswish"])
def test_the_file_works_with_the_transforms_of_torch_func(
    sources: dict[str, str], name: str
) -> None:
    f = case(name)
    function = loaded(sources[name])[function_name(sources[name])]
    x = torch.linspace(-2.9, 3.1, 7, dtype=torch.float64)
    given = tuple(x.roll(i) for i in range(len(f.inputs)))
    slope = f.derivative()(*given)
    curvature = f.derivative(order=2)(*given)
    func = torch.func
    torch.testing.assert_close(func.vmap(func.grad(function))(*given), slope)
    torch.testing.assert_close(func.vmap(func.grad(func.grad(function)))(*given), curvature)
    tangents = (torch.ones_like(x), *(torch.zeros_like(x) for _ in given[1:]))
    torch.testing.assert_close(func.jvp(function, given, tangents)[1], slope)
    for hessian in (func.hessian, lambda h: func.jacrev(func.jacrev(h))):
        found = hessian(lambda t: function(t, *given[1:]).sum())(given[0])
        torch.testing.assert_close(found, torch.diag(curvature))


@pytest.mark.parametrize("name", ["sigmoid", "swish"])
def test_third_derivatives_are_refused(sources: dict[str, str], name: str) -> None:
    # Differentiating the code instead would be wrong at 0, where |x| has a kink and f has none.
    function = loaded(sources[name])[name]
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
    (curvature,) = torch.autograd.grad(slope.sum(), x, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiated twice"):
        (x * curvature).sum().backward()
    with pytest.raises(NotImplementedError, match="differentiated twice"):
        torch.func.jacfwd(torch.func.jacfwd(torch.func.jacfwd(function)))(x.detach()[0])


def test_a_penalty_on_the_gradient_can_be_trained(sources: dict[str, str]) -> None:
    gradients = []
    for function in (loaded(sources["swish"])["swish"], case("swish")):
        x = torch.linspace(-3, 3, 9, requires_grad=True)
        (slope,) = torch.autograd.grad(function(x).sum(), x, create_graph=True)
        (slope**2).sum().backward()
        gradients.append(x.grad)
    assert torch.equal(gradients[0], gradients[1])


def test_the_module_has_the_parameters_and_can_learn_them(sources: dict[str, str]) -> None:
    namespace = loaded(sources["swish"])
    module = namespace["Swish"]()
    x = torch.randn(5)
    assert torch.equal(module(x), case("swish")(x))
    assert list(module.parameters()) == []
    assert repr(module) == "Swish(beta=1.5)"
    learning = namespace["Swish"](beta=0.5, learnable=True)
    learning(x).sum().backward()
    assert learning.beta.grad is not None
    assert list(learning.state_dict()) == ["beta"]
    ours = torch.tensor(0.5, requires_grad=True)
    case("swish")(x, ours).sum().backward()
    assert torch.equal(learning.beta.grad, ours.grad)  # type: ignore[arg-type]


def test_only_what_is_read_is_saved(sources: dict[str, str]) -> None:
    glu = loaded(sources["glu"])["glu"]
    a, b = torch.randn(2, 1000, requires_grad=True).unbind()
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        glu(a, b.detach())
    assert [tensor.data_ptr() for tensor in kept] == [b.data_ptr()]


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_integers_become_the_default_dtype(sources: dict[str, str], dtype: torch.dtype) -> None:
    x = torch.tensor([0, 1, 1]).to(dtype)
    for name in ("sigmoid", "swish"):
        function = loaded(sources[name])[name]
        assert torch.equal(function(x), case(name)(x))
        assert function(x).dtype == torch.get_default_dtype()


@pytest.mark.parametrize("name", ["sigmoid", "swish"])
def test_complex_tensors_are_refused(sources: dict[str, str], name: str) -> None:
    with pytest.raises(TypeError, match="real tensors"):
        loaded(sources[name])[name](torch.ones(2, dtype=torch.complex64))


@pytest.mark.parametrize("name", CASES)
def test_the_file_is_formatted(sources: dict[str, str], name: str, tmp_path: Path) -> None:
    source = sources[name]
    assert max(map(len, source.splitlines())) <= 100
    assert not any(line.endswith(" ") for line in source.splitlines())
    assert source.endswith("\n")
    assert not source.endswith("\n\n")


def test_ruff_has_nothing_to_say(sources: dict[str, str], tmp_path: Path) -> None:
    ruff = shutil.which("ruff") or shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed")
    for name, source in sources.items():
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
    for command in (["check"], ["format", "--check", "--diff", "--line-length", "100"]):
        done = subprocess.run(
            [ruff, command[0], "--isolated", *command[1:], str(tmp_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_file_says_what_it_is(sources: dict[str, str]) -> None:
    document = ast.get_docstring(ast.parse(sources["sigmoid"]))
    assert document is not None
    for said in (
        "f(x) = 1/(1 + exp(-x))",
        "df/dx = exp(-x)/(1 + exp(-x))**2",
        "[power rule and chain rule]",
        "= y*(1 - y)",
        "Kept for backward: x",
        "Rumelhart",
        "Exponentials are taken of -|t|",
    ):
        assert said in document
    assert "x = -3: " in (ast.get_docstring(ast.parse(sources["hardswish"])) or "")


def test_the_file_can_be_written_and_named(tmp_path: Path) -> None:
    path = tmp_path / "my.py"
    source = emit("sigmoid", path, name="squash")
    assert path.read_text(encoding="utf-8") == source
    namespace = loaded(source)
    assert {"squash", "Squash", "SquashFunction", "SquashGradient"} <= set(namespace)


@pytest.mark.parametrize("name", ["two words", "class", "1st", ""])
def test_a_name_that_python_refuses_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name must be"):
        emit("sigmoid", name=name)


@pytest.mark.parametrize(
    ("given", "function", "module"),
    [
        ("Mish", "mish", "Mish"),
        ("torch", "torch_activation", "Torch"),
        ("tensor", "tensor", "TensorActivation"),
        ("my_own", "my_own", "MyOwn"),
    ],
)
def test_names_follow_pytorchs_habits(given: str, function: str, module: str) -> None:
    namespace = loaded(emit("x*sigmoid(x)", name=given))
    x = torch.randn(3)
    assert torch.equal(namespace[function](x), namespace[module]()(x))
