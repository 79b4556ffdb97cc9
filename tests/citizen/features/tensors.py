"""Tensors that are not just numbers in a row: layouts, subclasses, and those that stand for others.

The composition of torch's operations is the oracle for values, strides, dtypes and types, forward
and backward.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensor, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.testing._internal import composite_compliance, optests
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils._python_dispatch import TorchDispatchMode

from gradsmith.catalogue import named
from tests.citizen.derivatives import assert_close, everything, total
from tests.citizen.feature import Feature
from tests.citizen.subjects import Subject

Operands = tuple[Tensor, ...]


def same_strides(got: Tensor, expected: Tensor) -> None:
    """Where a dimension has more than one element; elsewhere a stride says nothing."""
    if expected.numel() == 0:
        return
    strides = [
        [step for step, size in zip(t.stride(), t.shape, strict=True) if size > 1]
        for t in (got, expected)
    ]
    assert strides[0] == strides[1], f"strides {strides[0]}, torch's {strides[1]}"


def trained(function: Callable[..., Tensor], operands: Operands) -> list[Tensor]:
    """The value, and the gradients of all operands for an upstream gradient that differs."""
    leaves = [operand.detach().requires_grad_() for operand in operands]
    y = function(*leaves)
    g = torch.empty_like(y).copy_(torch.linspace(0.5, 2, y.numel()).reshape(y.shape))
    return [y, *torch.autograd.grad(y, leaves, g, materialize_grads=True)]


# Layouts.


def _laid_out(lay: Callable[[Tensor], Tensor], shape: tuple[int, ...]) -> Callable[[Subject], None]:
    def check(subject: Subject) -> None:
        operands = subject.operands(shape=shape)
        inputs = len(subject.inputs)
        operands = (*map(lay, operands[:inputs]), *operands[inputs:])
        got, expected = trained(subject, operands), trained(subject.reference, operands)
        for i, (mine, theirs) in enumerate(zip(got, expected, strict=True)):
            assert_close(mine, theirs)
            if i <= inputs:
                same_strides(mine, theirs)
        with torch.no_grad():
            same_strides(subject(*operands), expected[0])
        if inputs > 1:  # the first input as it is, the others in a row
            mixed = (operands[0], *(o.contiguous() for o in operands[1:]))
            same_strides(subject(*mixed), subject.reference(*mixed))
            assert_close(trained(subject, mixed), expected)

    return check


def _strided(name: str, lay: Callable[[Tensor], Tensor], *shape: int) -> Feature:
    return Feature(name, "tensors", _laid_out(lay, shape))


def _in_a_model(subject: Subject) -> None:
    """Between two convolutions channels_last stays, and nothing is copied to another format."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), subject.module(), nn.Conv2d(4, 3, 1))
    model = model.double().to(memory_format=torch.channels_last)
    x = torch.randn(2, 3, 5, 5, dtype=torch.float64).to(memory_format=torch.channels_last)
    formats = []
    for layer in model:
        x = layer(x) if layer is not model[1] else layer(*[x] * len(subject.inputs))
        formats.append(x.is_contiguous(memory_format=torch.channels_last))
    x.sum().backward()
    assert formats == [True] * 3
    assert model[0].weight.grad.is_contiguous(memory_format=torch.channels_last)


def _refused(make: Callable[[Tensor], Tensor], error: str) -> Callable[[Subject], str]:
    def check(subject: Subject) -> str:
        operands = tuple(make(o) for o in subject.tensors())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with pytest.raises(TypeError) as raised:
                subject(*operands)
            assert error in str(raised.value)
            with pytest.raises(TypeError) as raised:
                subject(*(o.requires_grad_() for o in operands))
        assert error in str(raised.value)
        return f"TypeError: {error} …"

    return check


def _sparse(x: Tensor) -> Tensor:
    return x.to_sparse()


def _compressed(x: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return x.to_sparse_csr()


def _nested_strided(x: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The PyTorch API of nested tensors")
        return torch.nested.as_nested_tensor([x[:1], x[1:]], layout=torch.strided)


def _jagged(subject: Subject) -> None:
    inputs = len(subject.inputs)
    (*dense,) = subject.operands()

    def of_rows(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def ragged(*operands: Tensor) -> Tensor:
            offsets = torch.tensor([0, 1, 4])
            rows = [torch.nested.nested_tensor_from_jagged(o, offsets) for o in operands[:inputs]]
            # One offsets tensor: what is ragged alike belongs together.
            y = function(*rows, *operands[inputs:])
            assert y.layout is torch.jagged
            return y.values()

        return ragged

    single = tuple(dense[:inputs])
    given = [float(o) for o in dense[inputs:]]
    got = trained(of_rows(lambda *rows: subject(*rows, *given)), single)
    assert_close(got, trained(lambda *rows: subject.reference(*rows, *given), single))


def _of_every_dtype(subject: Subject) -> None:
    """dtype in is dtype out, forward and backward; integers become the default dtype."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        operands = subject.operands(dtype)
        y, *gradients = trained(subject, operands)
        assert {t.dtype for t in (y, *gradients)} == {dtype}
        exact = subject.reference(*(o.double() for o in operands))
        # Half a unit in the last place, and what float32 and float64 in between add to it.
        info = torch.finfo(dtype)
        unit = 0.51 * info.eps if dtype is not torch.float64 else 2.0**-46
        torch.testing.assert_close(y.double(), exact, rtol=unit, atol=info.smallest_normal)
    for dtype in (torch.int64, torch.uint8, torch.bool):
        whole = tuple(x.to(dtype) for x in subject.tensors())
        assert torch.equal(subject(*whole), subject(*(x.float() for x in whole)))


# Subclasses and modes.


class _Tagged(Tensor):
    """A subclass that adds nothing."""


def _keeps_subclass(subject: Subject) -> None:
    operands = subject.operands()
    tagged = tuple(o.as_subclass(_Tagged) for o in operands)
    for mine, theirs in zip(
        trained(subject, tagged), trained(subject.reference, tagged), strict=True
    ):
        assert type(mine) is type(theirs)
        assert_close(mine.as_subclass(Tensor), theirs.as_subclass(Tensor))


def _two_at_once(subject: Subject) -> None:
    """A wrapper subclass that holds two tensors: both are computed, and both have gradients."""
    one, other = subject.operands(), subject.operands(seed=1)
    pairs = tuple(TwoTensor(a, b) for a, b in zip(one, other, strict=True))
    leaves = [pair.requires_grad_() for pair in pairs]
    y = subject(*leaves)
    gradients = torch.autograd.grad(y.sum(), leaves, materialize_grads=True)
    for part, held in (("a", one), ("b", other)):
        held = tuple(o.detach().requires_grad_() for o in held)
        expected = subject.reference(*held)
        assert_close(getattr(y, part), expected)
        found = torch.autograd.grad(expected.sum(), held, materialize_grads=True)
        for mine, theirs in zip(gradients, found, strict=True):
            assert_close(getattr(mine, part) if isinstance(mine, TwoTensor) else mine, theirs)


def _is_seen(subject: Subject) -> None:
    """A mode that watches torch's calls sees torch's calls, and no others."""
    seen = []

    class Watching(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(function)
            return function(*args, **(kwargs or {}))

    operands = subject.operands()
    with Watching():
        y = subject(*operands)
    assert_close(y, subject.reference(*operands))
    assert seen
    assert {function.namespace for function in seen} == {"aten"}


def _composite(subject: Subject) -> None:
    """Whichever operands are subclasses, forward, backward and forward mode keep to torch's rules.

    No view or metadata is changed behind the subclass's back, and no data is read.
    """
    operands = subject.operands(shape=(3,), requires_grad=True)
    with torch.no_grad():
        composite_compliance.check_with_mode(subject, operands, {}, assert_close)
        composite_compliance.check_all_permutations(subject, operands, {}, assert_close)
    # A gradient that is zero everywhere, as in the place of a jump, depends on nothing.
    y = subject.reference(*operands)
    found = torch.autograd.grad(y.sum(), operands, allow_unused=True)
    watched = [i for i, gradient in enumerate(found) if gradient is not None]

    def of_watched(*given: Tensor) -> Tensor:
        merged = [o.detach() for o in operands]
        for i, operand in zip(watched, given, strict=True):
            merged[i] = operand
        return subject(*merged)

    single = tuple(operands[i] for i in watched)
    for check in (
        composite_compliance.check_backward_formula,
        composite_compliance.check_forward_ad_formula,
    ):
        check(of_watched, single, {}, assert_equal_fn=assert_close)


# What stands for tensors.


def _on_meta(subject: Subject) -> None:
    operands = tuple(
        o.to("meta", memory_format=torch.channels_last if o.dim() == 4 else torch.preserve_format)
        for o in subject.operands(shape=(2, 3, 4, 5))
    )
    got, expected = trained(subject, operands), trained(subject.reference, operands)
    for mine, theirs in zip(got, expected, strict=True):
        assert mine.is_meta
        assert mine.shape == theirs.shape
    same_strides(got[0], expected[0])
    module = subject.module().to("meta")
    assert module(*operands[: len(subject.inputs)]).is_meta


def _as_fakes(subject: Subject) -> None:
    with FakeTensorMode() as mode:
        operands = tuple(mode.from_tensor(o) for o in subject.operands())
        y, *gradients = trained(subject, operands)
        for made, like in ((y, operands[0]), *zip(gradients, operands, strict=True)):
            assert isinstance(made, FakeTensor)
            assert (made.shape, made.dtype, made.device) == (like.shape, like.dtype, like.device)
    optests.fake_check(subject, subject.operands(), {})


def _traced(mode: str) -> Callable[[Subject], None]:
    def check(subject: Subject) -> None:
        operands = subject.operands()
        optests.make_fx_check(subject, operands, {}, mode, assert_close=assert_close)
        gradient = torch.func.grad(total(subject), everything(subject))
        graph = make_fx(gradient, tracing_mode=mode)(*operands)
        assert_close(
            graph(*operands),
            torch.func.grad(total(subject.reference), everything(subject))(*operands),
        )

    return check


def _ahead_of_time(dynamic: bool) -> Callable[[Subject], None]:
    def check(subject: Subject) -> None:
        operands = subject.operands(requires_grad=True)
        optests.aot_autograd_check(
            subject, operands, {}, dynamic=dynamic, assert_equals_fn=assert_close
        )

    return check


def _by_fx(subject: Subject) -> None:
    """Symbolically traced, a call is one node, and what is traced computes the same."""

    def graph_of(source: str, **scope: Any) -> Any:
        exec(f"def forward(self, {', '.join(subject.inputs)}): return {source}", scope)
        model = type("Model", (nn.Module,), {"forward": scope["forward"]})()
        model.inner = scope.get("inner")
        return torch.fx.symbolic_trace(model)

    function, inputs = subject.activation, ", ".join(subject.inputs)
    operands = subject.tensors()
    module = subject.module(learnable=False)
    graph = graph_of(f"self.inner({inputs})", inner=module)
    assert torch.equal(graph(*operands), module(*operands))
    graph = graph_of(f"function({inputs})", function=function)
    assert torch.equal(graph(*operands), function(*operands))
    assert [node.target for node in graph.graph.nodes if node.op == "call_function"] == [function]
    if subject.name == "glu":
        graph = graph_of("glu(a, 0) * b[:2]", glu=function)
        assert torch.equal(graph(*operands), function(operands[0], 0) * operands[1][:2])
    if subject.own is None and named(subject.name).entry.inplace:
        graph = graph_of("function(x + 1, inplace=True)", function=function)
        assert torch.equal(graph(*operands), function(operands[0] + 1))


def _in_inference_mode(subject: Subject) -> None:
    with torch.inference_mode():
        operands = subject.operands()
        y = subject(*operands)
        assert y.is_inference()
        assert_close(y, subject.reference(*operands))


FEW = {"relu", "gelu", "prelu", "glu", "own: parameter", "own: two inputs"}
"""For what takes a second for each: one of each kind."""

_STRIDED = (
    _strided("channels_last", lambda x: x.to(memory_format=torch.channels_last), 2, 3, 4, 5),
    _strided(
        "channels_last_3d", lambda x: x.to(memory_format=torch.channels_last_3d), 2, 3, 2, 4, 5
    ),
    _strided("transposed", lambda x: x.permute(2, 0, 1), 3, 4, 5),
    _strided("sliced", lambda x: x[:, ::2, 1:], 3, 4, 5),
    _strided("expanded", lambda x: x.expand(4, 3), 3),
    _strided("0-dimensional", lambda x: x),
    _strided("empty", lambda x: x, 2, 0, 3),
)

FEATURES = (
    *_STRIDED,
    Feature("channels_last in a model", "tensors", _in_a_model),
    Feature("every dtype", "tensors", _of_every_dtype),
    Feature("inference mode", "tensors", _in_inference_mode),
    Feature("subclass", "tensors", _keeps_subclass),
    Feature("wrapper subclass", "tensors", _two_at_once),
    Feature("torch_dispatch", "tensors", _is_seen),
    Feature("composite compliance", "tensors", _composite),
    Feature("jagged nested", "tensors", _jagged),
    Feature(
        "strided nested", "tensors", _refused(_nested_strided, "no activation of a nested tensor")
    ),
    Feature("sparse", "tensors", _refused(_sparse, "no activation of a tensor of layout torch.sp")),
    Feature(
        "complex", "tensors", _refused(lambda x: x.cfloat(), "no activation of complex64 tensors")
    ),
    Feature("meta", "tensors", _on_meta),
    Feature("FakeTensor", "tensors", _as_fakes),
    Feature("make_fx", "tensors", _traced("real")),
    Feature("make_fx, symbolic", "tensors", _traced("symbolic")),
    Feature("AOTAutograd", "tensors", _ahead_of_time(False)),
    Feature("AOTAutograd, dynamic", "tensors", _ahead_of_time(True), subjects=FEW),
    Feature("torch.fx", "tensors", _by_fx),
)
