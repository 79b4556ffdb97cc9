"""Mixed precision: autocast to either half format, float32 parameters, and the gradient scaler.

What flows through an activation keeps its dtype, as it does through torch's own pointwise functions
under autocast on CUDA; parameters are wider and do not widen it. The composition in float64 of the
very numbers that came in says what must come out.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from gradsmith.backends.dispatch import using
from tests.citizen.feature import Feature, has_parameters
from tests.citizen.subjects import Subject

HALVES = (torch.bfloat16, torch.float16)

# Ops that PyTorch's autocast policy for CUDA runs in the half format, whatever their inputs are.
# None of them is elementwise arithmetic but prelu.
_TO_HALF = ("prelu", "linear", "matmul", "mm", "bmm", "addmm", "baddbmm", "conv", "mv", "einsum")
# What does no arithmetic: conversions, and what makes or passes on a tensor.
_NO_ARITHMETIC = {
    "_to_copy",
    "ones_like",
    "new_zeros",
    "detach",
    "alias",
    "view",
    "expand",
    "clone",
}


def near(got: Tensor, exact: Tensor, ulp: float = 1.0) -> None:
    """Within so many units in the last place of ``got``'s format, those of subnormals included."""
    info = torch.finfo(got.dtype)
    size = torch.clamp(exact.abs(), min=info.tiny)
    unit = torch.exp2(torch.floor(torch.log2(size))) * info.eps
    error = (got.double() - exact).abs() / unit
    assert (error <= ulp).all(), f"{error.max():.3g} ULP"


def upstream(y: Tensor) -> Tensor:
    """Powers of two, so that a product with them is exact: 1, ½, ¼, 2 again and again."""
    wheel = torch.tensor([1.0, 0.5, 0.25, 2.0], dtype=y.dtype)
    return wheel.repeat(y.numel())[: y.numel()].reshape(y.shape)


def exact_gradients(subject: Subject, operands: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Of the composition, in float64."""
    given = tuple(o.detach().double().requires_grad_() for o in operands)
    y = subject.reference(*given)
    return torch.autograd.grad(y, given, upstream(y), materialize_grads=True)


def in_autocast(dtype: torch.dtype, subject: Subject) -> None:
    """Inside, what comes out of a half input is of that dtype, and the same as outside."""
    operands = subject.tensors(dtype, requires_grad=True)
    outside = subject(*operands)
    with torch.autocast("cpu", dtype=dtype):
        inside = subject(*operands)
        wide = subject(*subject.tensors(torch.float32))
    assert wide.dtype is torch.float32, "autocast is for matrix products; nothing is narrowed"
    assert inside.dtype is dtype
    assert torch.equal(inside, outside)
    near(inside, subject.reference(*(o.detach().double() for o in operands)))
    gradients = torch.autograd.grad(inside, operands, upstream(inside))
    for got, exact in zip(gradients, exact_gradients(subject, operands), strict=True):
        assert got.dtype is dtype
        near(got, exact)


def float32_parameters(parameter_shape: tuple[int, ...], subject: Subject) -> None:
    """Parameters in float32 among half inputs: the result is half, their gradients float32."""
    for dtype in HALVES:
        operands = subject.operands(parameter_shape=parameter_shape)
        count = len(subject.inputs)
        mixed = tuple(
            o.to(dtype if i < count else torch.float32).requires_grad_()
            for i, o in enumerate(operands)
        )
        with torch.autocast("cpu", dtype=dtype):
            y = subject(*mixed)
        assert y.dtype is dtype
        near(y, subject.reference(*(o.detach().double() for o in mixed)))
        gradients = torch.autograd.grad(y, mixed, upstream(y), materialize_grads=True)
        exact = exact_gradients(subject, mixed)
        for i, (got, expected) in enumerate(zip(gradients, exact, strict=True)):
            assert got.dtype is mixed[i].dtype
            assert got.shape == mixed[i].shape
            if i < count:
                near(got, expected)
            else:  # 12 terms at most, each of a few float32 roundings and below 32
                error = (got.double() - expected).abs().max()
                assert error <= 12 * 4 * 32 * torch.finfo(torch.float32).eps


def in_a_model(dtype: torch.dtype, subject: Subject) -> None:
    """A module between two linear layers, under autocast: all learns, in float32."""
    torch.manual_seed(0)
    first = [torch.nn.Linear(3, 6) for _ in subject.inputs]
    module, last = subject.module(), torch.nn.Linear(6, 2)
    x = torch.randn(4, 3)
    with torch.autocast("cpu", dtype=dtype):
        inner = [layer(x) for layer in first]
        y = module(*inner)
        loss = last(y).float().square().mean()
    assert {*(h.dtype for h in inner)} == {y.dtype} == {dtype}
    loss.backward()
    parameters = [p for m in (*first, module, last) for p in m.parameters()]
    for parameter in parameters:
        assert parameter.grad is not None
        assert parameter.grad.dtype is parameter.dtype is torch.float32
        assert parameter.grad.isfinite().all()
    values = [p.detach().double() for p in module.parameters()]
    near(y.detach(), subject.reference(*(h.detach().double() for h in inner), *values))


def keeps_small_gradients(subject: Subject) -> None:
    """What a loss of 2⁻²⁰ sends back is out of float16's sight, and comes through scaled."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**16)
    leaves = subject.tensors(torch.float32, requires_grad=True)
    y = subject(*(leaf.half() for leaf in leaves))
    loss = (y.float() * upstream(y).float()).sum() * 2.0**-20
    scaler.scale(loss).backward()
    scaler.unscale_(torch.optim.SGD(leaves, lr=1.0))
    exact = exact_gradients(subject, tuple(leaf.half() for leaf in leaves))
    for leaf, expected in zip(leaves, exact, strict=True):
        # In float16 it was 2⁻⁴ times that, rounded to a multiple of 2⁻²⁴ if need be.
        near((leaf.grad * 2.0**16).half(), expected * 2.0**-4, 1.5)


def skips_overflow(subject: Subject) -> None:
    """A gradient beyond float16 is inf and not a number: the step is skipped, the scale halved."""
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**15)
    leaves = subject.tensors(torch.float32, requires_grad=True)
    before = [leaf.detach().clone() for leaf in leaves]
    optimizer = torch.optim.SGD(leaves, lr=1.0)
    y = subject(*(leaf.half() for leaf in leaves))
    scaler.scale((y.float() * 1024).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert scaler.get_scale() == 2.0**14
    for leaf, old in zip(leaves, before, strict=True):
        assert torch.equal(leaf, old)


class _Arithmetic(TorchDispatchMode):
    """Collects the operations that compute something."""

    def __init__(self) -> None:
        super().__init__()
        self.on_half: set[str] = set()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._overloadpacket.__name__
        self.names.add(name)
        read = tree_leaves((args, kwargs))
        if any(isinstance(o, Tensor) and o.dtype in HALVES for o in read):
            self.on_half.add(name)
        return func(*args, **(kwargs or {}))


def nothing_for_a_policy(subject: Subject) -> None:
    """By torch's own operations, none but conversions reads a half number.

    So a policy that widens some operations, as CUDA's does exp and pow, finds nothing to widen; and
    there is none that it would narrow.
    """
    for dtype in HALVES:
        operands = subject.operands(dtype, requires_grad=True)
        g = upstream(operands[0].detach())
        with using("aten"), _Arithmetic() as seen:
            y = subject(*operands)
            torch.autograd.grad(y, operands, g, materialize_grads=True)
        assert y.dtype is dtype
        assert seen.on_half <= _NO_ARITHMETIC, seen.on_half
        assert not {n for n in seen.names if n.startswith(_TO_HALF)}


FEATURES = (
    Feature("autocast to bfloat16", "amp", partial(in_autocast, torch.bfloat16)),
    Feature("autocast to float16", "amp", partial(in_autocast, torch.float16)),
    Feature("model in bfloat16", "amp", partial(in_a_model, torch.bfloat16)),
    Feature("model in float16", "amp", partial(in_a_model, torch.float16)),
    Feature("float32 parameter", "amp", partial(float32_parameters, ()), has_parameters),
    Feature("float32 per channel", "amp", partial(float32_parameters, (3,)), has_parameters),
    Feature("GradScaler: underflow", "amp", keeps_small_gradients),
    Feature("GradScaler: overflow", "amp", skips_overflow),
    Feature("CUDA's policy", "amp", nothing_for_a_policy),
)
