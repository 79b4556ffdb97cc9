"""The operation on tensors: values, dtypes, layouts, ``out=``, errors."""

from __future__ import annotations

import gc
import math
import pickle
import weakref
from copy import copy, deepcopy

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gradsmith.backends import dispatch
from gradsmith.formula.expression import Number, Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.target import FLOAT32
from gradsmith.operator.autograd import PointwiseFunction
from gradsmith.operator.pointwise import Pointwise
from gradsmith.operator.recorded import RecordedFunction
from tests.operator.formulas import CUBE, GATE, SCALED_TANH, SWISH, operation

HALF_DTYPES = [torch.float16, torch.bfloat16]


def ulp(value: float, dtype: torch.dtype) -> float:
    """The spacing of ``dtype`` at ``value``."""
    info = torch.finfo(dtype)
    exponent = math.floor(math.log2(max(abs(value), info.smallest_normal)))
    return 2.0**exponent * info.eps


# What it is.


def test_the_same_operation_is_the_same_object() -> None:
    x = Symbol("x")
    assert Pointwise(x * x, ("x",)) is Pointwise(x * x, ["x"], ())
    assert Pointwise(x * x, ("x",)) is not Pointwise(x * x, ("x",), ("g",))
    beta = Symbol("beta")
    one, two = (Pointwise(beta * x, ("x", "beta"), (), {"beta": b}) for b in (1.0, 2.0))
    assert one is not two


def test_it_survives_copying_and_pickling_as_itself() -> None:
    op = SCALED_TANH.operation()
    assert copy(op) is op
    assert deepcopy(op) is op
    assert pickle.loads(pickle.dumps(op)) is op


def test_it_cannot_be_changed() -> None:
    with pytest.raises(AttributeError, match="cannot be changed"):
        SWISH.operation().core = Number(1)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del SWISH.operation().core


def test_operands_must_be_distinct_and_cover_the_expression() -> None:
    x = Symbol("x")
    with pytest.raises(ValueError, match="distinct"):
        Pointwise(x, ("x",), ("x",))
    with pytest.raises(ValueError, match="y"):
        Pointwise(Symbol("y"), ("x",))


def test_a_gradient_is_an_operation_with_one_factor_more() -> None:
    op = GATE.operation()
    by_a, by_b = op.gradient("a"), op.gradient("b")
    assert by_a is not None
    assert by_b is not None
    assert by_a.operands == ("b", "g")  # ∂/∂a = σ(b) does not read a
    assert by_b.operands == ("a", "b", "g")
    # With respect to the upstream gradient it is the same operation again.
    assert by_b.gradient("g") is by_b
    second = by_b.gradient("b")
    assert second is not None
    assert second.factors == ("g", "g2")


def test_factor_names_avoid_the_formulas_own() -> None:
    x, g = Symbol("x"), Symbol("g")
    gradient = Pointwise(x * x * g, ("x", "g")).gradient("x")
    assert gradient is not None
    assert gradient.factors == ("g2",)


def test_an_unknown_operand_has_no_gradient() -> None:
    with pytest.raises(ValueError, match=r"'z'.*x"):
        SWISH.operation().gradient("z")


def test_gradients_are_made_once_and_only_when_needed() -> None:
    x, y = Symbol("x"), Symbol("y")
    op = Pointwise(x * x * y * Number(7), ("x", "y"))
    a, b = torch.randn(3, requires_grad=True), torch.randn(3)
    op(a, b).sum().backward()
    assert set(op._gradients) == {"x"}
    assert op.gradient("x") is op.gradient("x")


# Values and dtypes.

# Half an ULP for the rounding, and what the computation before it may add: of half formats it is
# below 1 % of one, of float32 so much where it takes two words, or a table.
IN_WORDS = dict.fromkeys(HALF_DTYPES, 0.51) | {torch.float32: 0.5 + FLOAT32.budget}
BY_TABLE = dict.fromkeys(HALF_DTYPES, 0.51) | {torch.float32: 0.75}
GRID = torch.cat([torch.linspace(-9, 9, 181), torch.tensor([0.0, 1e-20, -1e-20, 1e-38])])


@pytest.mark.parametrize("dtype", [torch.float32, *HALF_DTYPES])
def test_results_are_rounded_once(dtype: torch.dtype) -> None:
    points = GRID.to(dtype)
    values = SWISH.operation()(points)
    assert values.dtype == dtype
    with mpmath.workdps(40):
        for point, value in zip(points.tolist(), values.tolist(), strict=True):
            exact = mpmath.mpf(point) / (1 + mpmath.exp(-mpmath.mpf(point)))
            assert abs(value - exact) <= IN_WORDS[dtype] * ulp(float(exact), dtype), (point, value)


@pytest.mark.parametrize("dtype", [torch.float32, *HALF_DTYPES])
def test_gradients_are_rounded_once(dtype: torch.dtype) -> None:
    points = GRID.clone().to(dtype).requires_grad_()
    SWISH.operation()(points).sum().backward()
    assert points.grad is not None
    assert points.grad.dtype == dtype
    with mpmath.workdps(40):
        for point, value in zip(points.tolist(), points.grad.tolist(), strict=True):
            t = mpmath.mpf(point)
            s = 1 / (1 + mpmath.exp(-t))
            exact = s + t * s * (1 - s)
            assert abs(value - exact) <= IN_WORDS[dtype] * ulp(float(exact), dtype), (point, value)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64])
def test_integers_are_promoted_as_torchs_unary_functions_do(dtype: torch.dtype) -> None:
    points = torch.tensor([0, 1, 1]).to(dtype)
    values = SWISH.operation()(points)
    assert values.dtype == torch.exp(points).dtype == torch.float32
    assert torch.equal(values, SWISH.operation()(points.float()))
    # 2**24 + 1 is no float32; a promoted input is rounded before anything is computed.
    assert CUBE.operation()(torch.tensor([2**24 + 1])).item() == float(2**72)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, *HALF_DTYPES])
def test_numbers_and_0_dimensional_tensors_do_not_widen(dtype: torch.dtype) -> None:
    op, points = SCALED_TANH.operation(), torch.randn(5).to(dtype)
    assert op(points, 2).dtype == dtype
    assert op(points, torch.tensor(2.0, dtype=torch.float64)).dtype == dtype
    wide = torch.promote_types(dtype, torch.float32)
    assert op(points, torch.tensor([2.0])).dtype == wide


def test_a_number_is_used_at_its_full_precision() -> None:
    # 0.1 is no float32: beta*x with x = 1 must be rounded once, from the float64 number.
    value = SCALED_TANH.operation()(torch.tensor([1.0]), 0.1).item()
    assert value == torch.tensor(math.tanh(0.1), dtype=torch.float32).item()


def test_a_number_beyond_float32_is_infinite_to_a_half_precision_input() -> None:
    points = torch.tensor([-1.0, 1.0], dtype=torch.bfloat16)
    assert SCALED_TANH.operation()(points, 1e300).tolist() == [-1.0, 1.0]


def test_a_constant_has_the_shape_dtype_and_layout_of_the_inputs() -> None:
    x = Symbol("x")
    op = Pointwise(Number(3), ("x", "y"))
    got = op(torch.zeros(2, 1), torch.zeros(3, dtype=torch.float64))
    assert got.dtype == torch.float64
    assert torch.equal(got, torch.full((2, 3), 3.0, dtype=torch.float64))
    channels_last = torch.zeros(2, 3, 4, 5).to(memory_format=torch.channels_last)
    one = Pointwise(Symbol("b"), ("x", "b"))(channels_last, 2.0)
    assert one.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(one, torch.full((2, 3, 4, 5), 2.0))
    assert Pointwise(x, ("x",))(channels_last).data_ptr() != channels_last.data_ptr()


# Shapes and layouts.


@st.composite
def laid_out(draw: st.DrawFn) -> Tensor:
    """A tensor that is permuted, sliced, expanded, or several of these."""
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    dtype = draw(st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
    base = torch.linspace(-3, 3, math.prod(shape)).reshape(shape).to(dtype)
    if draw(st.booleans()):
        base = base.permute(draw(st.permutations(range(base.dim()))))
    for dim in range(base.dim()):
        kind = draw(st.sampled_from(["keep", "keep", "step", "expand", "narrow"]))
        if kind == "step":
            base = base[(slice(None),) * dim + (slice(None, None, 2),)]
        elif kind == "narrow" and base.shape[dim] > 1:
            base = base.narrow(dim, 1, base.shape[dim] - 1)
        elif kind == "expand" and base.shape[dim] >= 1:
            sizes = list(base.shape)
            sizes[dim] = 3
            base = base.narrow(dim, 0, 1).expand(sizes)
    return base


def relevant_strides(tensor: Tensor) -> list[int]:
    """The strides that decide where an element is."""
    shape = tensor.shape if tensor.numel() else ()
    return [stride for stride, n in zip(tensor.stride(), shape, strict=False) if n > 1]


@settings(derandomize=True, deadline=None, max_examples=300)
@given(laid_out())
def test_any_layout_gives_the_values_and_strides_of_torchs_elementwise_functions(
    points: Tensor,
) -> None:
    before = points.clone()
    values = SWISH.operation()(points)
    assert relevant_strides(values) == relevant_strides(torch.sigmoid(points))
    assert torch.equal(values, SWISH.operation()(points.contiguous()))
    assert torch.equal(points, before)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(laid_out())
def test_any_layout_gives_the_same_gradients(points: Tensor) -> None:
    strided = points.detach().requires_grad_()
    plain = points.detach().contiguous().requires_grad_()
    upstream = torch.linspace(1, 2, points.numel()).reshape(points.shape).to(points.dtype)
    (got,) = torch.autograd.grad(SWISH.operation()(strided), strided, upstream)
    (expected,) = torch.autograd.grad(SWISH.operation()(plain), plain, upstream)
    assert torch.equal(got, expected)


def test_channels_last_is_kept_by_value_and_gradient() -> None:
    points = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.rand(3, 1, 1, requires_grad=True)
    values = SCALED_TANH.operation()(points, weight)
    assert values.is_contiguous(memory_format=torch.channels_last)
    values.sum().backward()
    assert points.grad is not None
    assert points.grad.is_contiguous(memory_format=torch.channels_last)


def test_an_upstream_gradient_of_any_layout_is_accepted() -> None:
    points = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(5, 4, dtype=torch.float64)
    values = SWISH.operation()(points)
    for g in (
        upstream.t(),
        torch.ones(1, 1).double().expand(4, 5),
        torch.randn(4, 10).double()[:, ::2],
    ):
        (strided,) = torch.autograd.grad(values, points, g, retain_graph=True)
        (dense,) = torch.autograd.grad(values, points, g.contiguous(), retain_graph=True)
        assert torch.equal(strided, dense)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,)])
def test_empty_and_0_dimensional_tensors(shape: tuple[int, ...]) -> None:
    points = torch.full(shape, 0.5, requires_grad=True)
    weight = torch.tensor(1.5, requires_grad=True)
    values = SCALED_TANH.operation()(points, weight)
    assert values.shape == shape
    values.sum().backward()
    assert points.grad is not None
    assert weight.grad is not None
    assert points.grad.shape == shape
    assert weight.grad.shape == ()


def test_meta_tensors_give_meta_tensors() -> None:
    points = torch.empty(3, 4, device="meta").t()
    values = SCALED_TANH.operation()(points, torch.tensor(2.0))
    assert values.device.type == "meta"
    assert values.shape == (4, 3)
    assert values.stride() == (1, 4)


# Errors.


def test_complex_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match=r"complex64.*accepted.*float32"):
        SWISH.operation()(torch.ones(2, dtype=torch.complex64))
    with pytest.raises(TypeError, match="complex128"):
        SCALED_TANH.operation()(torch.ones(2), torch.ones((), dtype=torch.complex128))


def test_shapes_that_do_not_broadcast_are_named() -> None:
    with pytest.raises(ValueError, match=r"a \(2, 3\), b \(2,\)"):
        GATE.operation()(torch.ones(2, 3), torch.ones(2))


def test_different_devices_are_named() -> None:
    with pytest.raises(ValueError, match="a on cpu, b on meta"):
        GATE.operation()(torch.ones(2), torch.ones(2, device="meta"))
    with pytest.raises(ValueError, match="a on cpu, b on meta"):
        GATE.operation()(torch.ones(2), torch.ones((), device="meta"))


def test_operands_of_another_kind_are_refused() -> None:
    op = SCALED_TANH.operation()
    with pytest.raises(TypeError, match="beta must be a tensor or a real number, got str"):
        op(torch.ones(2), "2")
    with pytest.raises(TypeError, match="complex"):
        op(torch.ones(2), 2j)
    with pytest.raises(TypeError, match="must be a tensor"):
        op(1.0, 2.0)
    with pytest.raises(TypeError, match="x, beta; got 1"):
        op(torch.ones(2))


# out=.

OUT_DTYPES = [
    *[torch.float64, torch.float32, torch.float16, torch.bfloat16],
    *[torch.int64, torch.bool, torch.complex64],
]


@pytest.mark.parametrize("out_dtype", OUT_DTYPES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64])
def test_out_accepts_the_dtypes_that_torch_accepts(
    dtype: torch.dtype, out_dtype: torch.dtype
) -> None:
    points = torch.tensor([-1, 0, 3]).to(dtype)
    try:
        torch.sigmoid(points, out=torch.empty(3, dtype=out_dtype))
    except RuntimeError:
        with pytest.raises(RuntimeError, match=f"{out_dtype}"):
            SWISH.operation()(points, out=torch.empty(3, dtype=out_dtype))
        return
    out = torch.empty(3, dtype=out_dtype)
    assert SWISH.operation()(points, out=out) is out
    assert out.dtype == out_dtype
    assert torch.equal(out, SWISH.operation()(points).to(out_dtype))


def test_out_is_resized_as_torch_does() -> None:
    points = torch.randn(2, 3)
    out = torch.empty(0)
    SWISH.operation()(points, out=out)
    assert torch.equal(out, SWISH.operation()(points))
    with pytest.warns(UserWarning, match="resized"):
        SWISH.operation()(points, out=torch.empty(5))


def test_out_may_be_the_input_or_overlap_it() -> None:
    points = torch.randn(6)
    expected = SWISH.operation()(points)
    same = points.clone()
    assert SWISH.operation()(same, out=same) is same
    assert torch.equal(same, expected)
    overlapping = torch.cat([torch.zeros(1), points])
    SWISH.operation()(overlapping[1:], out=overlapping[:-1])
    assert torch.equal(overlapping[:-1], expected)
    strided = torch.zeros(6, 2)
    SWISH.operation()(points, out=strided[:, 1])
    assert torch.equal(strided[:, 1], expected)
    assert not strided[:, 0].any()


# The first use of forward mode imports parts of torch that warn about other parts of torch.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_out_is_refused_where_a_gradient_is_needed() -> None:
    points, out = torch.randn(3, requires_grad=True), torch.empty(3)
    with pytest.raises(RuntimeError, match=r"out=.*gradient"):
        SWISH.operation()(points, out=out)
    with pytest.raises(RuntimeError, match=r"out=.*gradient"):
        SWISH.operation()(points.detach(), out=torch.empty(3, requires_grad=True))
    with torch.no_grad():
        assert torch.equal(SWISH.operation()(points, out=out), SWISH.operation()(points))
    with torch.autograd.forward_ad.dual_level():
        SWISH.operation()(points.detach(), out=out)  # no tangent, nothing to lose
        dual = torch.autograd.forward_ad.make_dual(points.detach(), torch.ones(3))
        with pytest.raises(RuntimeError, match=r"out=.*gradient"):
            SWISH.operation()(dual, out=out)


def test_out_must_be_a_tensor_that_the_result_fits() -> None:
    with pytest.raises(TypeError, match="out must be a tensor, got list"):
        SWISH.operation()(torch.ones(2), out=[])
    with pytest.raises(RuntimeError, match="more than one element of the written-to tensor"):
        SWISH.operation()(torch.ones(3), out=torch.empty(1).expand(3))


# Autograd is left out where nobody needs it.


def test_no_autograd_function_without_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*args: object) -> None:
        raise AssertionError("an autograd.Function was used")

    monkeypatch.setattr(PointwiseFunction, "apply", refused)
    monkeypatch.setattr(RecordedFunction, "forward", refused)
    points = torch.randn(3, requires_grad=True)
    SWISH.operation()(points.detach())
    with torch.no_grad():
        SWISH.operation()(points)
    with torch.inference_mode():
        SWISH.operation()(points)
    with pytest.raises(AssertionError, match="was used"), dispatch.consulted():
        SWISH.operation()(points)


def test_operation_says_what_it_is() -> None:
    assert repr(operation("x*tanh(x)")) == "Pointwise(x ↦ x*tanh(x))"
    gradient = CUBE.operation().gradient("x")
    assert repr(gradient) == "Pointwise(x, g ↦ g · (3*x**2))"


def test_operations_that_nobody_holds_are_let_go() -> None:
    made = Pointwise(parse("x*tanh(x) + x/77").expression, ("x",))
    x = torch.randn(3, requires_grad=True)
    made(x).sum().backward()
    gradient = made.gradient("x")
    assert gradient is not None
    alive = weakref.ref(made), weakref.ref(gradient)
    del made, gradient
    gc.collect()
    assert [found() for found in alive] == [None, None]
