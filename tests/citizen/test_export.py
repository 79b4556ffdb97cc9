"""Exported models: the functions that translators get wrong, and what a user may meet."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import mpmath
import pytest
import torch
from torch import Tensor, nn

import gradsmith as gs
from gradsmith.backends import dispatch, spelling
from tests.citizen.features.export import exported, quietly, within_a_unit

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:torch"),
    pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning"),
]

EXACT: dict[str, Callable[[Any], Any]] = {
    "expm1": mpmath.expm1,
    "log1p": mpmath.log1p,
    "log2": lambda x: mpmath.log(x, 2),
    "log10": mpmath.log10,
    "exp2": lambda x: mpmath.power(2, x),
    "sinh": mpmath.sinh,
    "cosh": mpmath.cosh,
    "tan": mpmath.tan,
    "atan": mpmath.atan,
    "asinh": mpmath.asinh,
    "erf": mpmath.erf,
    "erfc": mpmath.erfc,
    "erfcx": lambda x: mpmath.exp(x * x) * mpmath.erfc(x),
}


def torchs(name: str) -> Callable[[Tensor], Tensor]:
    function: Callable[[Tensor], Tensor] = getattr(torch, name, None) or torch.special.erfcx
    return function


def points() -> list[float]:
    edges = [0.0, 5e-324, 1e-310, 1e-300, 1e-20, 1e-10, 1e-5, 0.1, 0.5, 0.70710678, 0.75, 1.0]
    edges += [1.0000001, 2.0, 5.0, 20.0, 26.5, 27.2, 28.5, 100.0, 700.0, 709.5, 712.0, 1e5, 2e9]
    edges += [1e19, 1e160, 1e300, float("inf")]
    drawn = torch.randn(400, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4
    return [*edges, *(-x for x in edges), *drawn.tolist(), float("nan")]


@pytest.mark.parametrize(
    ("calls", "name"),
    [(spelling.FOR_GRAPH, "expm1"), *((spelling.FOR_ONNX, name) for name in EXACT)],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_stands_for_a_function_is_as_accurate(calls: Any, name: str) -> None:
    x = torch.tensor(points(), dtype=torch.float64)
    got, theirs = getattr(calls, name)(x), torchs(name)(x)
    # Infinities, NaN and the signs of zeros are torch's; so are numbers too large to be computed
    # here, and those of the last digits of float64's range, where a sum rounds to 0 or inf.
    limits = ~theirs.isfinite() | (theirs == 0)
    torch.testing.assert_close(got[limits], theirs[limits], rtol=0, atol=1e-307, equal_nan=True)
    assert torch.equal(got.signbit()[x == 0], theirs.signbit()[x == 0])
    with mpmath.workdps(50):
        for at, value, torch_value in zip(x.tolist(), got.tolist(), theirs.tolist(), strict=True):
            if not (1e-300 < abs(torch_value) < 1e300 and abs(at) < 1e5):
                continue
            exact = EXACT[name](mpmath.mpf(at))
            # Half a dozen roundings, of 2⁻⁵³ each, some of them of what is then subtracted. A
            # tangent is ill-conditioned, but not more than its argument is large.
            bound = 8 * 2.0**-53 * (1 if name != "tan" else 1 + abs(at))
            assert abs(value - exact) <= bound * abs(exact), (at, value)


def test_eager_code_calls_torch_itself() -> None:
    assert dispatch.calls(torch.device("cpu")) is torch
    assert not spelling.is_exporting_onnx()


def test_compiled_code_does_not_subtract_one_from_exp() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return gs.elu(x)

    graph = exported(Model(), torch.randn(4, 3)).graph
    called = {str(node.target) for node in graph.nodes}
    assert "aten.tanh.default" in called
    assert not any("expm1" in target for target in called)


@pytest.mark.parametrize("strict", [False, True])
def test_export_with_rows_that_depend_on_data(strict: bool) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return gs.prelu(x[x[:, 0] > 0], torch.tensor(0.25))

    program = exported(Model(), torch.randn(4, 3), strict)
    x = torch.randn(7, 3, generator=torch.Generator().manual_seed(1))
    assert torch.equal(program.module()(x), Model()(x))


def test_a_program_is_saved_and_needs_no_gradsmith() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.activation = gs.activation("x / (1 + exp(-b*x))", b=1.5).module(learnable=True)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.activation(x)
            return result

    model, file = Model(), io.BytesIO()
    with quietly():
        torch.export.save(exported(model, torch.randn(4, 3)), file)
        assert b"gradsmith" not in _without_traces(file.getvalue())
        file.seek(0)
        loaded = torch.export.load(file).module()
    x = torch.tensor([[-300.0, -20.0, -1.0], [0.0, 2.0, 1e30]])
    within_a_unit(loaded(x).detach(), model(x).detach())


def _without_traces(content: bytes) -> bytes:
    """The operators of the graph, and not where in which file each was called."""
    import json
    import zipfile

    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("models/model.json"))
        graph = json.loads(archive.read(name))["graph_module"]["graph"]
    return "\n".join(node["target"] for node in graph["nodes"]).encode()


TRANSLATED = (
    "x*erfc(x)",
    "erf(x)",
    "sinh(x)/cosh(x/2)",
    "asinh(x)",
    "atan(x)",
    "x*log1p(x**2)",
    "expm1(-x**2)",
    "log2(1 + x**2)",
    "x + sin(x)**2",
    "1.1*x*sigmoid(1.7*x)",
    "1.000005*x",
    "x/0.999995",
    "1e-9 + sigmoid(x - 30)",
)


@pytest.mark.parametrize("formula", TRANSLATED)
def test_functions_that_onnx_has_not(formula: str) -> None:
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra [onnx] is not installed")
    pytest.importorskip("onnxscript", reason="the extra [onnx] is not installed")
    activation = gs.activation(formula)
    with quietly():
        exporter: Any = torch.onnx.export
        found = exporter(
            activation.module(),
            (torch.randn(4),),
            dynamo=True,
            opset_version=18,
            dynamic_shapes=(({0: torch.export.Dim.DYNAMIC},),),
        )
        file = io.BytesIO()
        found.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    edges = [0.0, 1e-45, 1e-38, 1e-20, 1e-9, 1e-4, 0.3, 0.75, 1.0, 3.0, 9.0, 20.0, 88.0]
    x = torch.tensor([*edges, *(-x for x in edges), float("nan")])
    x = torch.cat([x, torch.randn(500, generator=torch.Generator().manual_seed(0)) * 5])
    (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    within_a_unit(torch.from_numpy(y), activation(x))
