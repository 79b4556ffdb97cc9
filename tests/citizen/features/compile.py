"""``torch.compile``: one graph, in which the compiler sees every operation, with the same results.

The oracle is the composition in float64, as everywhere; what TorchInductor generates is judged by
``gs.certify``, against exact values.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch._functorch.config
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch._inductor import metrics
from torch.func import grad, hessian, jvp, vmap
from torch.utils.checkpoint import checkpoint

import gradsmith as gs
from gradsmith.truth.subject import Subject as Measured
from tests.citizen.derivatives import assert_close, directions, everything, total
from tests.citizen.feature import Feature, has_parameters
from tests.citizen.subjects import Subject

Function = Callable[..., Any]

# Generating C++ and compiling it takes seconds for each. These have between them all that can be
# asked of generated code: expm1, erfc, a learned slope, several inputs, a user's own formula.
FEW = ("elu", "gelu", "prelu", "glu", "own: parameter")


@contextmanager
def compiled(
    function: Function, backend: str = "aot_eager", **options: Any
) -> Iterator[tuple[Function, Callable[[], int]]]:
    """It as one graph, and how often it was compiled; nothing of another test is in the way."""
    torch._dynamo.reset()
    before = counters["stats"]["unique_graphs"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compiler's own parts
        compiled = torch.compile(function, backend=backend, fullgraph=True, **options)
        yield compiled, lambda: counters["stats"]["unique_graphs"] - before
    torch._dynamo.reset()


def called(subject: Subject) -> Function:
    """The subject without what the tests keep for themselves, which a compiler need not follow."""
    activation, names = subject.activation, tuple(subject.parameters)
    default, inputs = tuple(subject.parameters.values()), len(subject.inputs)

    def call(*operands: Any) -> Tensor:
        given = zip(names, operands[inputs:] or default, strict=True)
        result: Tensor = activation(*operands[:inputs], **dict(given))
        return result

    return call


def trained(function: Function, operands: tuple[Tensor, ...]) -> list[Tensor]:
    """Value and gradients; what needs none gets zeros."""
    leaves = tuple(operand.detach().clone().requires_grad_() for operand in operands)
    y = function(*leaves)
    weights = torch.arange(1, y.numel() + 1, dtype=y.dtype).reshape(y.shape)
    (y * weights).sum().backward()
    return [y, *(torch.zeros_like(x) if x.grad is None else x.grad for x in leaves)]


def one_graph(subject: Subject) -> None:
    """Training and inference; an explanation by the compiler would name a break."""
    operands = subject.operands()
    with compiled(called(subject)) as (function, graphs):
        assert_close(trained(function, operands), trained(subject.reference, operands))
        assert graphs() == 1
        with torch.no_grad():
            assert_close(function(*operands), subject.reference(*operands))
        assert graphs() == 2  # without a backward pass


def module(subject: Subject) -> None:
    """As part of a model, among layers."""
    inputs = subject.tensors(shape=(5, 4))
    activation = subject.module()
    layer = nn.Linear(4, 4, dtype=torch.float64)
    parameters = tuple(p.detach().double() for p in activation.parameters())

    def model(*inputs: Tensor) -> Tensor:
        return layer(activation(*inputs))

    def reference(*inputs: Tensor) -> Tensor:
        return layer(subject.reference(*inputs, *parameters))

    def of_one(*inputs: Tensor) -> Tensor:  # the class of glu halves one tensor
        return model(torch.cat(inputs, -1)) if one_tensor else model(*inputs)

    one_tensor = subject.name == "glu"
    with compiled(of_one) as (function, graphs):
        assert_close(trained(function, inputs), trained(reference, inputs))
        assert graphs() == 1


def any_shape(subject: Subject) -> None:
    """``dynamic=True`` compiles once; without it the second shape makes the code general."""
    for options, most in (({"dynamic": True}, 1), ({}, 2)):
        with compiled(called(subject), **options) as (function, graphs):
            for rows, columns in ((4, 3), (7, 5), (9, 2), (16, 31)):
                operands = subject.operands(shape=(rows, columns))
                assert_close(trained(function, operands), trained(subject.reference, operands))
            assert graphs() <= most


def any_parameters(subject: Subject) -> None:
    """Numbers of which the first is a constant of the code and the second makes it general."""
    inputs, activation = subject.tensors(), called(subject)
    values = tuple(subject.parameters.values())

    def scaled(scale: float, *inputs: Tensor) -> Tensor:
        return activation(*inputs, *(scale * value for value in values))

    for options in ({}, {"dynamic": True}):
        with compiled(scaled, **options) as (function, graphs):
            for scale in (1.0, 1.25, 0.75, 0.5, 1.5, 2.0):
                exact = [scale * value for value in values]
                expected = trained(lambda *x, e=exact: subject.reference(*x, *e), inputs)
                assert_close(trained(lambda *x, s=scale: function(s, *x), inputs), expected)
            assert graphs() <= 2


def any_instance(subject: Subject) -> None:
    """Modules of one kind share their code, whatever their parameters are."""
    inputs = subject.tensors()
    given = (torch.cat(inputs, -1),) if subject.name == "glu" else inputs
    with compiled(lambda module, *x: module(*x)) as (function, graphs):
        for learnable in (True, False):
            for _ in range(3):
                activation = subject.module(learnable=learnable)
                expected = subject.reference(*inputs)
                assert_close(function(activation, *given), expected)
            assert graphs() <= 1 + (not learnable)


def transforms(subject: Subject) -> None:
    """``compile(vmap(grad(f)))``, and those that need a second derivative or a tangent."""
    operands, which = subject.operands(shape=(5,)), everything(subject)
    batch = (0,) * len(subject.inputs) + (None,) * len(subject.parameters)
    tangents = directions(operands, 1)

    def derivatives(function: Function) -> Function:
        def together(*operands: Tensor) -> Any:
            inputs = operands[: len(subject.inputs)]
            return (
                vmap(grad(function, which), batch)(*operands),
                hessian(total(function), which)(*operands),
                jvp(function, operands, tangents),
                vmap(function, batch)(*inputs, *operands[len(inputs) :]),
            )

        return together

    with compiled(derivatives(called(subject))) as (function, graphs):
        assert_close(function(*operands), derivatives(subject.reference)(*operands))
        assert graphs() == 1


def checkpointed(subject: Subject) -> None:
    """Inside a graph what is kept is decided by the compiler; a graph may be checkpointed whole."""
    operands, activation = subject.operands(), called(subject)

    def inside(*operands: Tensor) -> Tensor:
        return checkpoint(lambda *o: activation(*o) * 2, *operands, use_reentrant=False) * 0.5

    expected = trained(subject.reference, operands)
    with compiled(inside) as (function, graphs):
        assert_close(trained(function, operands), expected)
        assert graphs() == 1
    for reentrant in (False, True):
        with compiled(called(subject)) as (function, _):

            def outside(*o: Tensor, f: Function = function, r: bool = reentrant) -> Any:
                return checkpoint(f, *o, use_reentrant=r)

            assert_close(trained(outside, operands), expected)


def autocast(subject: Subject) -> None:
    """A model in mixed precision: what the same model gives that is not compiled."""
    torch.manual_seed(0)
    layers = [nn.Linear(8, 8) for _ in subject.inputs]
    activation = subject.module()
    last = nn.Linear(8, 8)

    def model(x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inputs = [layer(x) for layer in layers]
            joined = subject.name == "glu"
            y = activation(torch.cat(inputs, -1)) if joined else activation(*inputs)
            assert y.dtype is torch.bfloat16
            return last(y)

    x = torch.randn(5, 8)
    owned = [p for part in (*layers, activation, last) for p in part.parameters()]

    def step(function: Function) -> list[Tensor]:
        y = function(x)
        return [y, *torch.autograd.grad(y.float().square().sum(), owned)]

    with compiled(model) as (function, graphs):
        for got, expected in zip(step(function), step(model), strict=True):
            # The same operations on the same numbers, but that a last bit of bfloat16 may differ
            # where the compiler leaves away a rounding between two of them.
            size = expected.float().abs().max()
            assert (got.float() - expected.float()).abs().max() <= 2**-7 * size
        assert graphs() == 1


def fused(subject: Subject) -> None:
    """With its neighbours one kernel forward and one backward; no more is kept than inputs."""
    inputs = subject.tensors(torch.float32, (32, 32), requires_grad=True)
    activation = called(subject)

    def chain(*inputs: Tensor) -> Tensor:
        return activation(*(x * 2 + 1 for x in inputs)) * 3 - 1

    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with compiled(chain, "inductor") as (function, _):
        metrics.reset()
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            y = function(*inputs)
        assert metrics.generated_kernel_count == 1
        y.sum().backward()
        assert metrics.generated_kernel_count == 2
    # The compiler may keep outcomes of comparisons beside what was read: a byte of each element,
    # of up to two, where a subject has three pieces.
    most = 32 * 32 * (4 + 2) * len(inputs)
    assert sum(tensor.numel() * tensor.itemsize for tensor in kept) <= most


def accurate(subject: Subject) -> None:
    """Generated code has the accuracy of native kernels, and no dead tail, over a hard sample."""
    numbers = tuple(subject.parameters.values())
    operation = subject.activation.operation
    with (
        compiled(lambda *x: operation(*x, *numbers), "inductor", dynamic=True) as (function, _),
        torch._functorch.config.patch(donated_buffer=False),  # derivatives are taken one by one
    ):
        found = gs.certify(
            Measured(f"compiled {subject.name}", lambda *x: function(*x)),
            formula=subject.activation,
            parameters=subject.parameters,
            orders=(0, 1),
            samples=20_000,
            processes=1,
            progress=False,
        )
    # Of a product that underflows, native kernels do not give the sign of the limit either.
    tolerated = {"sign of zero"} if len(subject.inputs) > 1 else set()
    for result in found.results:
        right = result.bound <= 1.0 and result.checked > 0 and not result.undecided
        assert right, f"{subject}: {result}"
        assert result.wrong.keys() <= tolerated, f"{subject}: {result}"


def twice(subject: Subject) -> str:
    """Double backward through compiled code is refused by torch itself."""
    operands = subject.operands(requires_grad=True)
    with compiled(called(subject)) as (function, _):
        y = function(*operands)
        (first,) = torch.autograd.grad(y.square().sum(), operands[0], create_graph=True)
        try:
            torch.autograd.grad(first.square().sum(), operands[0])
        except RuntimeError as error:
            return str(error).splitlines()[0]
    raise AssertionError("a second derivative came out of compiled code; compare it")


FEATURES = (
    Feature("in a module", "compile", module),
    Feature("one graph", "compile", one_graph, subjects=FEW),
    Feature("dynamic shapes", "compile", any_shape, subjects=(*FEW, "own: two inputs")),
    Feature(
        "any parameters",
        "compile",
        any_parameters,
        applies=has_parameters,
        subjects=("elu", "softplus", "hardtanh", "prelu", "own: two inputs, parameter"),
    ),
    Feature("any instance", "compile", any_instance, subjects=(*FEW, "leaky_relu")),
    Feature("transforms inside", "compile", transforms, subjects=("elu", "glu", "own: parameter")),
    Feature("checkpointing", "compile", checkpointed, subjects=("gelu", "glu", "own: parameter")),
    Feature("autocast inside", "compile", autocast, subjects=FEW),
    Feature("fused by inductor", "compile", fused, subjects=FEW),
    Feature("inductor within 1 ULP", "compile", accurate, subjects=FEW),
    Feature("double backward", "compile", twice, subjects=("gelu", "own: two inputs, parameter")),
)
