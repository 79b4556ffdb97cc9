"""Under a compiler, what is not a matter of which activation it is."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch._dynamo.config
from torch import Tensor, nn

import gradsmith as gs
from tests.citizen.features.compile import compiled, trained
from tests.citizen.features.export import quietly
from tests.citizen.features.transforms import assert_close

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:torch"),
]

F = nn.functional
SWISH = gs.activation("x * sigmoid(beta*x)", beta=1.0)
GATE = gs.activation("a * tanh(b)", inputs=("a", "b"))
ROW, COLUMNS = torch.full((1, 4), 1.5).double(), torch.tensor([0.5, 1.0, 1.5, 2.0]).double()


def rows(x: Tensor) -> Tensor:
    return x[x[:, 0] > 0]


# How many elements there are is not known while the graph is traced.
OPEN_SHAPES: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "elements": (lambda x: gs.silu(x[x > 0]), lambda x: F.silu(x[x > 0])),
    "columns": (lambda x: gs.tanh(x[:, x[0] > 0]), lambda x: torch.tanh(x[:, x[0] > 0])),
    "broadcast row": (
        lambda x: SWISH(rows(x), ROW),
        lambda x: rows(x) * torch.sigmoid(ROW * rows(x)),
    ),
    "slopes": (lambda x: gs.prelu(rows(x), COLUMNS), lambda x: F.prelu(rows(x), COLUMNS)),
    "two inputs": (
        lambda x: GATE(rows(x), rows(x + 0)),
        lambda x: rows(x) * torch.tanh(rows(x)),
    ),
}


@pytest.mark.parametrize("name", OPEN_SHAPES)
@torch._dynamo.config.patch(capture_dynamic_output_shape_ops=True)
def test_shapes_that_depend_on_data(name: str) -> None:
    ours, theirs = OPEN_SHAPES[name]
    with compiled(ours) as (function, graphs):
        for size in (6, 9):
            x = torch.randn(size, 4, generator=torch.Generator().manual_seed(size)).double()
            assert_close(trained(function, (x,)), trained(theirs, (x,)))
        assert graphs() <= 2


@torch._dynamo.config.patch(capture_scalar_outputs=True)
def test_a_number_that_depends_on_data() -> None:
    def scaled(x: Tensor) -> Tensor:
        return SWISH(x, x.detach().sum().item())

    with compiled(scaled) as (function, graphs):
        for seed in range(3):
            x = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed)).double()
            beta = x.sum()
            exact = trained(lambda x, beta=beta: x * torch.sigmoid(beta * x), (x,))
            assert_close(trained(function, (x,)), exact)
        assert graphs() == 1


def test_a_size_as_a_number() -> None:
    with compiled(lambda x: SWISH(x, x.shape[0]), dynamic=True) as (function, graphs):
        for size in (3, 5, 8):
            x = torch.linspace(-1, 1, size).double()
            assert_close(function(x), x * torch.sigmoid(size * x))
        assert graphs() == 1


def test_numbers_keep_the_dtype_and_their_digits() -> None:
    # A second number makes the code general; as a tensor it must not count as one.
    for dtype in (torch.bfloat16, torch.float32):
        with compiled(lambda x, beta: SWISH(x, beta)) as (function, _):
            for beta in (0.1, 0.3, 0.7):
                x = torch.linspace(-4, 4, 11).to(dtype)
                y = function(x, beta)
                assert y.dtype is dtype
                assert torch.equal(y, SWISH(x, beta))


def test_many_layers_of_one_kind_are_compiled_once() -> None:
    blocks = [nn.Sequential(nn.Linear(4, 4), gs.nn.ELU(0.5 + i / 4)) for i in range(6)]
    x = torch.randn(2, 4)
    with compiled(lambda block, x: block(x)) as (function, graphs):
        for block in blocks:
            assert_close(function(block, x), block(x))
        assert graphs() <= 2


def test_one_code_for_several_activations_is_compiled_for_each() -> None:
    # Of one class, with as many parameters, of the same defaults: nothing but the formula differs.
    own = (SWISH, gs.activation("x * tanh(beta*x)", beta=1.0), SWISH.derivative())
    modules = tuple(activation.module() for activation in own)
    x = torch.linspace(-2, 2, 5).double()
    for chosen in ((gs.silu, gs.mish, gs.tanh), own, modules):
        with compiled(lambda f, x: f(x)) as (function, graphs):
            for activation in (*chosen, *chosen):
                assert_close(function(activation, x), activation(x))
            assert graphs() == len(chosen)


def test_a_forgotten_activation_is_not_taken_for_a_new_one() -> None:
    x = torch.linspace(-2, 2, 5).double()
    torch._dynamo.reset()
    function = torch.compile(lambda f, x: f(x), backend="aot_eager")
    for count in range(1, 7):  # each may lie where the one before was
        activation = gs.activation(f"x * sigmoid(x/{count})")
        assert_close(function(activation, x), x * torch.sigmoid(x / count))
        del activation
        gc.collect()


def test_in_place_and_into_a_tensor() -> None:
    module = gs.nn.ELU(1.5, inplace=True)

    def overwritten(x: Tensor) -> Tensor:
        y = x.clone()
        module(y)
        return y

    def into(x: Tensor) -> Tensor:
        return gs.silu(x, out=torch.empty_like(x))

    x = torch.linspace(-2, 2, 5).double()
    with compiled(overwritten, "inductor") as (function, _):
        assert_close(trained(function, (x,)), trained(lambda x: F.elu(x, 1.5), (x,)))
    with compiled(into) as (function, _):
        assert_close(function(x), F.silu(x))


def test_no_graph_break_is_reported() -> None:
    model = nn.Sequential(nn.Linear(4, 4), gs.nn.Hardtanh(-0.5, 0.5), gs.nn.PReLU(), gs.nn.GLU())
    torch._dynamo.reset()
    explained = torch._dynamo.explain(model)(torch.randn(2, 4))
    assert (explained.graph_count, explained.graph_break_count) == (1, 0)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda x: gs.silu(x, 1, 2), "silu takes"),
        (lambda x: gs.celu(x, alpha=0.0), "alpha != 0"),
        (lambda x: GATE(x), "needs b"),
        (lambda x: GATE(x, x[:2]), "do not broadcast"),
        (lambda x: SWISH(x, "1"), "must be a tensor or a real number"),
    ],
)
def test_errors_keep_their_text(wrong: Callable[[Tensor], Any], message: str) -> None:
    torch._dynamo.reset()
    with pytest.raises((TypeError, ValueError, RuntimeError), match=message), quietly():
        torch.compile(wrong, backend="eager")(torch.zeros(3))


def test_threads_compile_for_themselves() -> None:
    # An operation keeps the function that enters graphs; two may make it at a time.
    from concurrent.futures import ThreadPoolExecutor

    f = gs.activation("x * tanh(x/3) + 1/7")
    x = torch.linspace(-2, 2, 5).double()
    torch._dynamo.reset()
    function = torch.compile(f, backend="eager", fullgraph=True)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(function, [x] * 8))
    assert all(torch.equal(result, results[0]) for result in results)
