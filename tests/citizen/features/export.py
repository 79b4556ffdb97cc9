"""Leaving Python: ``torch.export``, ``torch.fx``, ONNX and ahead-of-time compilation.

An exported model is for inference, in float32 mostly: what comes out of it is compared with exact
values (``gs.certify``), or with native kernels where those have been.
"""

from __future__ import annotations

import io
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradsmith as gs
from gradsmith.truth.subject import Subject as Measured
from tests.citizen.derivatives import assert_close
from tests.citizen.feature import Feature
from tests.citizen.subjects import Subject

# Between them all that an exported graph can be asked for: expm1, erfc, log1p, a learned slope,
# several inputs, a user's own formula.
FEW = ("elu", "gelu", "logsigmoid", "prelu", "glu", "own: parameter")

OPSET = 18


class Model(nn.Module):
    """The module of a subject, as a part of something; its inputs lie beside each other in one."""

    def __init__(self, subject: Subject, width: int = 3) -> None:
        super().__init__()
        self.activation = subject.module().eval()
        given = 1 if subject.name == "glu" else len(subject.inputs)
        self.places = tuple(width * i for i in range(given))
        self.width = width * (len(subject.inputs) if subject.name == "glu" else 1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.activation(*[x.narrow(-1, i, self.width) for i in self.places])
        return result


def joined(subject: Subject, dtype: torch.dtype, rows: int, width: int = 3) -> Tensor:
    """What the model takes."""
    return torch.cat(subject.tensors(dtype, (rows, width), seed=rows), -1)


@contextmanager
def quietly() -> Iterator[None]:
    """Exporters print, log and warn."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def exported(model: nn.Module, x: Tensor, strict: bool = False) -> torch.export.ExportedProgram:
    """With any number of rows."""
    with quietly():
        rows = torch.export.Dim("rows", min=2)
        return torch.export.export(model, (x,), dynamic_shapes=({0: rows},), strict=strict)


def program(strict: bool) -> Callable[[Subject], None]:
    def check(subject: Subject) -> None:
        """A graph of torch's own operations, for any number of rows."""
        model = Model(subject).double()
        found = exported(model, joined(subject, torch.float64, 4), strict)
        for node in found.graph.nodes:
            if node.op == "call_function" and hasattr(node.target, "namespace"):
                assert node.target.namespace in ("aten", "prim"), node.target
        for rows in (4, 7, 2):
            x = joined(subject, torch.float64, rows)
            parts = x.chunk(len(subject.inputs), -1)
            exact = subject.reference(*parts, *model.parameters())
            with quietly():
                results = [form.module()(x) for form in (found, found.run_decompositions())]
            for result in results:
                assert_close(result, exact)

    return check


def trained(subject: Subject) -> str:
    """What autograd makes of a stable expression need not be its derivative; so it is refused."""
    error = "derivative for aten::copy is not implemented"
    x = joined(subject, torch.float64, 4)
    for requires_grad in (False, True):
        found = exported(Model(subject).double(), x.clone().requires_grad_(requires_grad))
        with quietly():
            forms = (found, found.run_decompositions())
        for form in forms:
            with quietly():
                y = form.module()(x.clone().requires_grad_())
            with pytest.raises(RuntimeError, match=error):
                y.sum().backward()
    return f"RuntimeError: {error}"


def traced(subject: Subject) -> None:
    """``torch.fx.symbolic_trace``: one node, which computes and learns as before."""
    model = Model(subject).double()
    graph = torch.fx.symbolic_trace(model)
    calls = [node.target for node in graph.graph.nodes if node.op == "call_function"]
    assert sum(isinstance(target, gs.Activation) for target in calls) == 1
    x = joined(subject, torch.float64, 4)
    parts = x.chunk(len(subject.inputs), -1)
    assert_close(graph(x), subject.reference(*parts, *model.parameters()))
    assert {name for name, _ in graph.named_parameters()} == dict(model.named_parameters()).keys()


def within_a_unit(got: Tensor, expected: Tensor) -> None:
    """The same float32 or its neighbour, subnormals included; NaN where NaN is."""
    assert got.dtype is expected.dtype is torch.float32
    assert torch.equal(got.isnan(), expected.isnan())

    def places(numbers: Tensor) -> Tensor:
        """How many numbers there are between it and 0, which is one with −0."""
        counted = numbers.nan_to_num(0.0, torch.inf, -torch.inf)
        return counted.abs().view(torch.int32).long() * counted.sign().long()

    apart = (places(got) - places(expected)).abs().max()
    assert apart <= 1, f"{apart} units apart"


def in_onnx_runtime(subject: Subject, width: int = 3) -> Callable[[Tensor], Tensor]:
    """The model as ONNX Runtime runs it, for any number of rows."""
    import onnxruntime

    with quietly(), torch.no_grad():
        exporter: Any = torch.onnx.export
        x = joined(subject, torch.float32, 4, width)
        rows = ({0: torch.export.Dim.DYNAMIC},)
        found = exporter(
            Model(subject, width), (x,), dynamo=True, opset_version=OPSET, dynamic_shapes=rows
        )
        file = io.BytesIO()
        found.save(file)
    assert found.model_proto.opset_import[0].version >= OPSET
    assert {node.domain for node in found.model_proto.graph.node} == {""}, "operators of its own"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        file.getvalue(), options, providers=["CPUExecutionProvider"]
    )
    (name,) = (given.name for given in session.get_inputs())

    def run(x: Tensor) -> Tensor:
        (y,) = session.run(None, {name: x.detach().numpy()})
        return torch.from_numpy(y)

    return run


def onnx(subject: Subject) -> None:
    """Any number of rows; at a hard sample within 1 ULP of the exact value."""
    run, model = in_onnx_runtime(subject), Model(subject)
    for rows in (4, 7, 1):
        x = joined(subject, torch.float32, rows)
        within_a_unit(run(x), model(x).detach())

    run = in_onnx_runtime(subject, width=1)

    def columns(*inputs: Tensor) -> Tensor:
        return run(torch.stack(inputs, -1)).reshape(inputs[0].shape)

    found = gs.certify(
        Measured(f"{subject.name} in ONNX Runtime", columns),
        formula=subject.activation,
        parameters=subject.parameters,
        orders=(0,),
        samples=20_000,
        processes=1,
        progress=False,
    )
    for result in found.results:
        # Its ``Where`` makes 0 of −0, that of whatever model.
        right = result.bound <= 1.0 and result.checked > 0 and not result.undecided
        assert right, f"{subject}: {result}"
        assert result.wrong.keys() <= {"sign of zero"}, f"{subject}: {result}"


def ahead_of_time(subject: Subject) -> None:
    """A package of AOTInductor, loaded and run."""
    model = Model(subject)
    found = exported(model, joined(subject, torch.float32, 4))
    with tempfile.TemporaryDirectory() as folder, quietly():
        path = torch._inductor.aoti_compile_and_package(
            found, package_path=str(Path(folder) / "model.pt2")
        )
        run = torch._inductor.aoti_load_package(path)
        edges = torch.tensor([0.0, -0.0, 1e-30, -1e-30, 20.0, -20.0, 100.0, -100.0, 1e30, -1e30])
        hard = edges.repeat(3 * len(subject.inputs), 1).t().contiguous()
        for x in (*(joined(subject, torch.float32, rows) for rows in (4, 7, 2)), hard):
            within_a_unit(run(x), model(x).detach())


FEATURES = (
    Feature("torch.export", "export", program(strict=False)),
    Feature("strict", "export", program(strict=True), subjects=FEW),
    Feature("backward", "export", trained, subjects=FEW),
    Feature("torch.fx.symbolic_trace", "export", traced),
    Feature(
        "ONNX",
        "export",
        onnx,
        subjects=(*FEW, "own: two inputs"),
        needs=("onnx", "onnxruntime", "onnxscript"),
    ),
    Feature("AOTInductor", "export", ahead_of_time, subjects=("elu",)),
)
