"""Native code behind an operation: the Program's bits whatever the layout, and when it stands back.

Oracle: the reference interpreter, running the same Program.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

import gradsmith as gs
from gradsmith.backends import dispatch
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.ladder import has_table
from gradsmith.numerics.lower import lower
from gradsmith.operator import native
from gradsmith.operator.kernels import compiled

pytestmark = pytest.mark.skipif(
    dispatch.native_reason() is not None, reason="no native code on this machine"
)

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
FORMULAS = ("x*sigmoid(x)", "x/2*(1 + erf(x/sqrt(2)))", "where(x > 0, x, expm1(x))")


def points(dtype: torch.dtype) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    wide = torch.randn(2, 3, 5, 7, generator=generator, dtype=torch.float64) * 20
    wide.view(-1)[:6] = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, torch.nan, 1e-30])
    return wide.to(dtype)


def interpreted(activation: gs.Activation, x: torch.Tensor) -> torch.Tensor:
    """What the reference interpreter makes of the Program that serves such a tensor."""
    operation = activation.operation
    precision = dispatch.precision(x.dtype, "cpu")
    computed = operation.computation_for(precision, x.dtype is torch.float32)
    kind = dispatch.NATIVE_TYPES[x.dtype]
    program = lower((computed.expression,), {"x": kind}, computed.scheme, kind)
    half = x.dtype is torch.bfloat16
    given = x.contiguous().view(torch.int16).numpy().view(np.uint16) if half else x.numpy()
    (found,) = run(program, given)
    if half:
        return torch.from_numpy(found.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(found)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("formula", FORMULAS)
def test_every_layout_has_the_bits_of_the_program(formula: str, dtype: torch.dtype) -> None:
    activation = gs.activation(formula)
    x = points(dtype)
    expected = interpreted(activation, x)
    layouts = {
        "contiguous": x,
        "channels last": x.contiguous(memory_format=torch.channels_last),
        "transposed": x.transpose(0, 3).contiguous().transpose(0, 3),
        "strided": torch.stack([x, x], -1)[..., 0],
        "offset": torch.cat([x.flatten()[:1], x.flatten()])[1:].view(x.shape),
    }
    for name, given in layouts.items():
        found = activation(given)
        torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True, msg=name)
    expanded = x[:, :1].expand(2, 3, 5, 7)
    torch.testing.assert_close(
        activation(expanded), expected[:, :1].expand(2, 3, 5, 7), rtol=0, atol=0, equal_nan=True
    )


def test_broadcast_operands_of_other_dtypes_give_what_full_ones_do() -> None:
    scaled = gs.activation("x*sigmoid(beta*x)", beta=1.0)
    x = points(torch.float32)
    column = torch.linspace(0.5, 2, 3, dtype=torch.float64).view(3, 1, 1)
    found = scaled(x, column)
    full = scaled(x, column.expand(2, 3, 5, 7).contiguous())
    torch.testing.assert_close(found, full, rtol=0, atol=0, equal_nan=True)
    single = scaled(x, torch.tensor(1.7, dtype=torch.float64))
    torch.testing.assert_close(single, scaled(x, beta=1.7), rtol=0, atol=0, equal_nan=True)


def test_an_empty_tensor_gives_an_empty_one() -> None:
    assert gs.activation(FORMULAS[0])(torch.empty(0, 3)).shape == (0, 3)


def test_torchs_own_operations_are_used_where_they_are_chosen() -> None:
    silu = gs.activation(FORMULAS[0])
    x = points(torch.float32)
    with dispatch.using("aten"):
        assert dispatch.backend() == "aten"
        theirs = silu(x)
    assert dispatch.backend() == "llvm"
    torch.testing.assert_close(silu(x), theirs, rtol=2e-7, atol=1e-45, equal_nan=True)
    refused = pytest.raises(ValueError, match=r"no backend is called 'cuda'; there are llvm, aten")
    with refused, dispatch.using("cuda"):
        pass


def test_whoever_records_torchs_calls_sees_them() -> None:
    silu = gs.activation(FORMULAS[0])
    x = points(torch.float32)
    assert native.serves((x, 1.0))
    graph = make_fx(silu)(x)
    called = {str(node.target) for node in graph.graph.nodes if node.op == "call_function"}
    assert any("exp" in name for name in called), called
    torch.testing.assert_close(graph(x), silu(x), rtol=2e-7, atol=1e-45, equal_nan=True)

    class Wrapped(torch.Tensor):
        pass

    assert not native.serves((x.as_subclass(Wrapped),))
    assert not native.serves((x.to("meta"),))
    assert not native.serves((x.to_sparse(),))
    assert not native.serves((torch.ones(3, dtype=torch.int32),))
    assert torch.func.vmap(lambda row: torch.tensor(float(native.serves((row,)))))(x).max() == 0


def test_a_formula_without_instructions_runs_on_torchs_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise NotImplementedError("no instructions")

    monkeypatch.setattr(dispatch, "native_kernel", refuse)
    odd = gs.activation("x*sigmoid(x) + x/1234567")
    x = torch.tensor([1.0, -2.0])
    assert odd(x).tolist() == pytest.approx([0.731059, -0.238407], rel=1e-5)


def test_gradients_of_several_operands_come_from_one_pass_with_the_same_bits() -> None:
    gated = gs.activation("a*sigmoid(b)*c", inputs=["a", "b", "c"])
    a, b, c, g = torch.randn(4, 501, generator=torch.Generator().manual_seed(5))
    operands = [t.requires_grad_() for t in (a, b, c)]
    together = torch.autograd.grad(gated(*operands), operands, g)
    (plan,) = gated.operation.backwards.values()
    assert plan.together
    assert None not in plan.together.values()
    for position, found in enumerate(together):
        one = [t.detach() for t in (a, b, c)]
        one[position].requires_grad_()
        (alone,) = torch.autograd.grad(gated(*one), one[position], g)
        assert torch.equal(found, alone)


def test_the_halves_of_a_tensor_have_the_gradients_of_whole_ones() -> None:
    gated = gs.activation("a*sigmoid(b)", inputs=["a", "b"])
    x = torch.randn(7, 300, generator=torch.Generator().manual_seed(6)).requires_grad_()
    g = torch.randn(7, 150, generator=torch.Generator().manual_seed(7))
    (found,) = torch.autograd.grad(gated(*x.split_with_sizes([150, 150], 1)), x, g)
    halves = [half.contiguous().requires_grad_() for half in x.detach().chunk(2, 1)]
    assert torch.equal(found, torch.cat(torch.autograd.grad(gated(*halves), halves, g), 1))


def test_gradients_of_broadcast_operands_and_numbers_are_reduced() -> None:
    scaled = gs.activation("k*x*log(1 + exp(w))", inputs=["x", "w"], k=1.0)
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    w = torch.rand(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: scaled(x, w, k=1.5), (x, w))
    assert torch.autograd.gradgradcheck(lambda x, w: scaled(x, w, k=1.5), (x, w))


def test_out_is_written_by_the_kernel_itself_in_place_too() -> None:
    silu = gs.activation(FORMULAS[0])
    x = points(torch.float32)
    expected = silu(x)
    out = torch.empty_like(x)
    assert silu(x, out=out) is out
    torch.testing.assert_close(out, expected, rtol=0, atol=0, equal_nan=True)
    itself = x.clone()
    silu(itself, out=itself)
    torch.testing.assert_close(itself, expected, rtol=0, atol=0, equal_nan=True)
    both = torch.randn(11, generator=torch.Generator().manual_seed(2))
    wanted = silu(both[:-1].clone())
    assert not native.may_write_to(both[1:], silu.operation, (both[:-1],), torch.float32)
    silu(both[:-1], out=both[1:])  # overlaps: computed in full before it is written
    assert torch.equal(both[1:], wanted)


def test_a_learned_slope_has_the_bits_of_a_number() -> None:
    leaky = gs.activation("where(x > 0, x, a*x)", a=0.25)
    x = points(torch.float32).requires_grad_()
    a = torch.tensor([0.3], requires_grad=True)
    y = leaky(x, a)
    expected = leaky(x.detach(), a=a.item())
    torch.testing.assert_close(y.detach(), expected, rtol=0, atol=0, equal_nan=True)
    gx, ga = torch.autograd.grad(y, (x, a), torch.ones_like(y))
    slope = torch.where(x > 0, 1.0, a.item())
    torch.testing.assert_close(gx[x.isfinite()], slope[x.isfinite()].detach(), rtol=0, atol=0)
    assert ga.shape == a.shape
    longer = leaky(torch.ones(3), torch.ones(1, 1, 1))
    assert longer.shape == (1, 1, 3)


@pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning")
def test_gradients_together_do_without_a_table_where_one_of_them_takes_float64() -> None:
    """∂/∂a of a·gelu(b) is a table by itself; ∂/∂b is not, and one kernel has one scheme."""
    activation = gs.activation("a*(b/2*(1 + erf(b/sqrt(2))))", inputs=("a", "b"))
    operation = activation.operation
    precision = dispatch.precision(torch.float32, "cpu")
    ways = [operation.gradient(name).computation_for(precision, True) for name in "ab"]
    assert has_table(ways[0].expression)
    assert not ways[1].scheme.double_word
    single = tuple(operation.gradient(name) for name in "ab")
    kinds, singles = (torch.float32,) * 3, (False,) * 3
    names = (*operation.operands, single[0].operands[-1])
    kernel = compiled(single, names, kinds, singles, precision)
    assert kernel is not None
    a, b, g = (torch.linspace(-3, 3, 301).roll(k).clone() for k in (0, 7, 40))
    found = torch.empty_like(a), torch.empty_like(a)
    kernel.code([[a, b, g][i] for i in kernel.reads], found)
    wide = [t.double() for t in (a, b, g)]
    for one, name in zip(found, "ab", strict=True):
        taken = [wide[names.index(operand)] for operand in operation.gradient(name).operands]
        true = operation.gradient(name)(*taken)
        assert ((one - true) / true).abs().nan_to_num().max() < 2.0**-23.9
