"""Transforms of torch.func, forward mode, torch.compile and torch.export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import forward_ad

from tests.operator.formulas import CASES, GATE, SCALED_TANH, SWISH, Case, operation

pytestmark = [
    # torch's compiler and forward mode import parts of torch that warn about other parts of torch.
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    # With a parameter no series about a root is known; that float64 loses there is told.
    pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:torch"),
]


def randn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def assert_close(got: Any, expected: Any) -> None:
    # Both sides are a few roundings of numbers of size 1 to 10.
    torch.testing.assert_close(got, expected, rtol=1e-13, atol=1e-13)


# vmap.


@pytest.mark.parametrize(
    ("shapes", "in_dims"),
    [
        (((5, 3), (5, 3)), (0, 0)),
        (((3, 5), (5, 3)), (1, 0)),
        (((5, 3), (3,)), (0, None)),
        (((3,), (5, 3)), (None, 0)),
        (((5, 2, 3), (3, 5)), (0, 1)),  # ranks differ: (2, 3) with (3,)
        (((5,), (2, 3, 5)), (0, 2)),  # a batch of numbers with a batch of matrices
        (((5, 2, 3), ()), (-3, None)),
    ],
)
def test_vmap_is_a_loop(shapes: tuple[Any, Any], in_dims: tuple[Any, Any]) -> None:
    a, b = randn(*shapes[0]), randn(*shapes[1])

    def part(tensor: Tensor, dim: int | None, i: int) -> Tensor:
        return tensor if dim is None else tensor.select(dim, i)

    op = GATE.operation()
    got = torch.vmap(op, in_dims=in_dims)(a, b)
    looped = [op(part(a, in_dims[0], i), part(b, in_dims[1], i)) for i in range(5)]
    assert torch.equal(got, torch.stack(looped))


def test_vmap_nests_and_keeps_the_dtype_of_the_single_call() -> None:
    op = SCALED_TANH.operation()
    points, weights = torch.randn(4, 5, 3).bfloat16(), torch.rand(4, 5)
    # Beside one row the weight is 0-dimensional and does not widen.
    got = torch.vmap(torch.vmap(op))(points, weights)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got[1, 2], op(points[1, 2], weights[1, 2]))


def test_vmap_of_a_number_operand_and_of_no_grad() -> None:
    op, points = SCALED_TANH.operation(), randn(5, 3)
    assert torch.equal(torch.vmap(lambda x: op(x, 2.0))(points), op(points, 2.0))
    with torch.no_grad():
        assert torch.equal(torch.vmap(lambda x: op(x, 2.0))(points), op(points, 2.0))


# torch.func.


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_transforms_agree_with_those_of_the_composition(case: Case) -> None:
    op = case.operation()
    operands = tuple(randn(4) * (i + 1) / 2 for i in range(len(op.operands)))
    which = tuple(range(len(operands)))

    def summed(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda *args: function(*args).sum()

    for transform in (
        lambda f: torch.func.grad(summed(f), argnums=which),
        lambda f: torch.func.jacrev(f, argnums=which),
        lambda f: torch.func.jacfwd(f, argnums=which),
        lambda f: torch.func.hessian(summed(f), argnums=which),
        lambda f: torch.func.jacrev(torch.func.jacrev(summed(f), argnums=0), argnums=which),
        lambda f: torch.func.jacfwd(torch.func.jacfwd(f)),
        lambda f: torch.vmap(torch.func.grad(f, argnums=which)),
        lambda f: lambda *a: torch.func.jvp(f, a, a),
        lambda f: lambda *a: torch.func.jvp(lambda *b: torch.func.jvp(f, b, b)[1], a, a),
        lambda f: lambda *a: torch.func.vjp(f, *a)[1](torch.ones(4).double()),
    ):
        assert_close(transform(op)(*operands), transform(case.composed)(*operands))


@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
def test_linearize_agrees_with_that_of_the_composition() -> None:
    # The warning is torch's own, of a graph that contains a constant.
    x, beta = randn(4), randn(4)
    _, got = torch.func.linearize(SCALED_TANH.operation(), x, beta)
    _, expected = torch.func.linearize(SCALED_TANH.composed, x, beta)
    assert_close(got(beta, x), expected(beta, x))


@pytest.mark.parametrize("shapes", [((3, 2), (2,)), ((2,), (3, 2)), ((), (2,))])
def test_second_derivatives_of_broadcast_operands(shapes: tuple[Any, Any]) -> None:
    op, composed = SCALED_TANH.operation(), SCALED_TANH.composed
    x, beta = (randn(*shape).float() for shape in shapes)
    for transform in (
        lambda f: torch.func.hessian(lambda *a: f(*a).sum(), argnums=(0, 1)),
        lambda f: lambda *a: torch.func.jvp(lambda *b: torch.func.jvp(f, b, b)[1], a, a),
        lambda f: torch.func.jacrev(torch.func.jacfwd(f, argnums=1), argnums=(0, 1)),
    ):
        got = transform(op)(x, beta)
        expected = transform(composed)(x.double(), beta.double())
        for mine, exact in zip(*map(torch.utils._pytree.tree_leaves, (got, expected)), strict=True):
            # A few float32 roundings of sums of six numbers of size 1 to 10.
            torch.testing.assert_close(mine.double(), exact, rtol=1e-6, atol=1e-5)


def test_torch_func_looks_through_no_grad_as_for_torchs_own_functions() -> None:
    def inside(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def quiet(x: Tensor) -> Tensor:
            with torch.no_grad():
                y = function(x)
            return (x * y).sum()

        return quiet

    x = randn(4)
    got = torch.func.grad(inside(SWISH.operation()))(x)
    assert_close(got, torch.func.grad(inside(SWISH.composed))(x))


# Forward mode.


def test_dual_tensors_with_and_without_grad_mode() -> None:
    x, t = randn(4), randn(4)
    _, expected = torch.func.jvp(SWISH.composed, (x,), (t,))
    for context in (torch.enable_grad(), torch.no_grad()):
        with context, forward_ad.dual_level():
            dual = SWISH.operation()(forward_ad.make_dual(x, t))
            assert_close(forward_ad.unpack_dual(dual).tangent, expected)


def test_a_tangent_of_a_broadcast_operand_fills_the_result() -> None:
    x, weight, t = randn(4, 3), randn(3), randn(3)
    with forward_ad.dual_level():
        dual = SCALED_TANH.operation()(x, forward_ad.make_dual(weight, t))
        tangent = forward_ad.unpack_dual(dual).tangent
    _, expected = torch.func.jvp(lambda w: torch.tanh(w * x), (weight,), (t,))
    assert_close(tangent, expected)


def test_forward_over_reverse() -> None:
    x, t = randn(4), randn(4)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(x.requires_grad_(), t)
        (gradient,) = torch.autograd.grad(SWISH.operation()(dual).sum(), dual, create_graph=True)
        got = forward_ad.unpack_dual(gradient).tangent
    hessian = torch.func.hessian(lambda x: SWISH.composed(x).sum())(x.detach())
    assert_close(got, hessian @ t)


def test_the_tangent_is_rounded_once() -> None:
    x = torch.linspace(-3, 3, 101).bfloat16()
    weight, t = torch.full((101,), 0.7).bfloat16(), torch.ones(101).bfloat16()
    _, got = torch.func.jvp(SCALED_TANH.operation(), (x, weight), (t, t))
    wide = [tensor.double() for tensor in (x, weight, t)]
    _, expected = torch.func.jvp(SCALED_TANH.composed, (wide[0], wide[1]), (wide[2], wide[2]))
    assert got.dtype == torch.bfloat16
    # float32 inside, so that a tie in bfloat16 may go either way.
    error = (got.double() - expected).abs()
    assert (error <= 0.51 * 2.0**-8 * torch.exp2(expected.abs().log2().floor()) * 2).all()


# torch.compile and torch.export.


def trained(function: Callable[..., Tensor], *operands: Tensor) -> list[Tensor]:
    leaves = [operand.clone().requires_grad_() for operand in operands]
    values = function(*leaves)
    (values * values.detach()).sum().backward()
    return [values.detach(), *(leaf.grad for leaf in leaves if leaf.grad is not None)]


@pytest.fixture
def compiler() -> Any:
    torch._dynamo.reset()
    yield torch.compile
    torch._dynamo.reset()


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compile_captures_one_graph_with_the_same_values_and_gradients(
    compiler: Any, backend: str
) -> None:
    # Operations that nobody has used before: everything about them is found while compiling.
    one = operation("x*tanh(c*x) + 0.5*x", c=0.5)
    two = operation("x*tanh(c*x) - 0.5*x", c=0.5)

    def both(x: Tensor, c: Tensor) -> Tensor:
        return one(x, c) * two(x + 1, 2.0)

    compiled = compiler(both, backend=backend, fullgraph=True)
    x, c = randn(6, 3), randn(3)
    got = trained(compiled, x, c)
    assert_close(got, trained(both, x, c))
    assert_close(trained(compiled, randn(7, 3), c), trained(both, randn(7, 3), c))


def test_compile_of_transforms(compiler: Any) -> None:
    op, x = SWISH.operation(), randn(4)
    for transform in (
        torch.func.grad(lambda x: op(x).sum()),
        torch.func.hessian(lambda x: op(x).sum()),
        torch.vmap(op),
        lambda x: torch.func.jvp(op, (x,), (x,)),
    ):
        torch._dynamo.reset()
        assert_close(compiler(transform, backend="aot_eager", fullgraph=True)(x), transform(x))


def test_compile_with_out_and_without_gradient(compiler: Any) -> None:
    op, x = SWISH.operation(), randn(4)
    into = compiler(lambda x: op(x, out=torch.empty_like(x)) + 1, backend="aot_eager")
    assert_close(into(x), op(x) + 1)
    quiet = compiler(torch.no_grad()(lambda x: op(x)), backend="aot_eager", fullgraph=True)
    assert not quiet(x.clone().requires_grad_()).requires_grad


def test_inductor_gives_the_same_values_and_gradients(compiler: Any) -> None:
    op = GATE.operation()
    a, b = randn(64).float(), randn(64).float()
    for mine, theirs in zip(trained(compiler(op), a, b), trained(op, a, b), strict=True):
        # Both compute in float64, by different exp: a last bit of float32 may differ.
        torch.testing.assert_close(mine, theirs, rtol=1.2e-7, atol=0)


@pytest.mark.parametrize("strict", [False, True])
def test_export(strict: bool) -> None:
    op = SCALED_TANH.operation()

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.beta = torch.nn.Parameter(torch.tensor(0.7, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            return op(x, self.beta)

    model, x = Model(), randn(4)
    program = torch.export.export(model, (x,), strict=strict)
    assert_close(program.module()(x), model(x))
    assert all("gradsmith" not in str(node.target) for node in program.graph.nodes)
