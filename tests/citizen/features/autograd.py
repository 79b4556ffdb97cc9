"""Autograd: backward of any order, forward mode, and what torch checks of them itself."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.func import grad, vmap
from torch.utils.checkpoint import checkpoint

from gradsmith.catalogue import named
from tests.citizen.derivatives import (
    Function,
    Transform,
    assert_close,
    directions,
    dual,
    pushed,
    same,
    total,
)
from tests.citizen.feature import Check, Feature
from tests.citizen.subjects import Subject


def _backward_twice(function: Function, subject: Subject) -> Function:
    def product(*operands: Tensor) -> Any:
        leaves = [operand.clone().requires_grad_() for operand in operands]
        found = torch.autograd.grad(
            total(function)(*leaves), leaves, create_graph=True, materialize_grads=True
        )
        weighted = [(g * g * d).sum() for g, d in zip(found, directions(operands, 8), strict=True)]
        # A gradient that is constant depends on nothing.
        second = [w for w in weighted if w.requires_grad]
        if not second:
            return found, [torch.zeros_like(leaf) for leaf in leaves]
        return found, torch.autograd.grad(sum(second), leaves, materialize_grads=True)

    return product


def _forward_over_reverse(function: Function, subject: Subject) -> Function:
    def product(*operands: Tensor) -> Any:
        leaves = [operand.clone().requires_grad_() for operand in operands]
        with forward_ad.dual_level():
            duals = [*map(forward_ad.make_dual, leaves, directions(operands, 10))]
            y = total(function)(*duals)
            found = torch.autograd.grad(y, duals, create_graph=True, materialize_grads=True)
            unpacked = [forward_ad.unpack_dual(g) for g in found]
            return [
                (u.primal, torch.zeros_like(u.primal) if u.tangent is None else u.tangent)
                for u in unpacked
            ]

    return product


def _vectorized(function: Function, subject: Subject) -> Function:
    def matrices(*operands: Tensor) -> Any:
        functional = torch.autograd.functional
        return (
            functional.jacobian(function, operands, vectorize=True),
            functional.jacobian(function, operands, vectorize=True, strategy="forward-mode"),
            functional.hessian(total(function), operands, vectorize=True),
            functional.hessian(
                total(function), operands, vectorize=True, outer_jacobian_strategy="forward-mode"
            ),
        )

    return matrices


def _batched_upstream(function: Function, subject: Subject) -> Function:
    def products(*operands: Tensor) -> Any:
        leaves = [operand.clone().requires_grad_() for operand in operands]
        y = function(*leaves)
        many = torch.stack([directions((y,), seed)[0] for seed in (11, 12, 13)])
        found = torch.autograd.grad(y, leaves, many, is_grads_batched=True, allow_unused=True)
        return [
            torch.zeros(3, *leaf.shape, dtype=leaf.dtype) if g is None else g
            for leaf, g in zip(leaves, found, strict=True)
        ]

    return products


def _recomputed(function: Function, subject: Subject) -> Function:
    def products(*operands: Tensor) -> Any:
        found = []
        for reentrant in (False, True):
            leaves = [operand.clone().requires_grad_() for operand in operands]
            y = checkpoint(lambda *o: function(*o) * 2, *leaves, use_reentrant=reentrant)
            y.sum().backward()
            found.append([torch.zeros_like(x) if x.grad is None else x.grad for x in leaves])
        return found

    return products


def _with_saved_tensor_hooks(function: Function, subject: Subject) -> Function:
    def products(*operands: Tensor) -> Any:
        leaves = [operand.clone().requires_grad_() for operand in operands]
        with torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(), torch.from_numpy):
            y = total(function)(*[leaf * 1 for leaf in leaves])
        return torch.autograd.grad(y, leaves, materialize_grads=True)

    return products


def _in_anomaly_mode(function: Function, subject: Subject) -> Function:
    def products(*operands: Tensor) -> Any:
        leaves = [operand.clone().requires_grad_() for operand in operands]
        with torch.autograd.detect_anomaly(check_nan=True):
            return torch.autograd.grad(total(function)(*leaves), leaves, materialize_grads=True)

    def quiet(*operands: Tensor) -> Any:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Anomaly Detection has been enabled")
            return products(*operands)

    return quiet


# In place: the input is overwritten, and must still be there for the derivative.


def _takes_inplace(subject: Subject) -> bool:
    return subject.own is None and named(subject.name).entry.inplace


def _in_place(transform: Transform) -> Check:
    def check(subject: Subject) -> None:
        function = partial(subject.activation, **_options(subject), inplace=True)

        def overwriting(x: Tensor) -> Tensor:
            made = x * 1.0
            assert function(made) is made
            return made

        (x,) = subject.tensors(shape=(2, 3))
        got = transform(overwriting, subject)(x)
        assert_close(got, transform(subject.reference, subject)(x))

    return check


def _options(subject: Subject) -> dict[str, float]:
    """The parameters of a call in PyTorch's terms."""
    if subject.name == "rrelu":
        return dict.fromkeys(("lower", "upper"), subject.parameters["slope"])
    return dict(subject.parameters)


def _backward(function: Function, subject: Subject) -> Function:
    def product(*operands: Tensor) -> Any:
        leaves = [operand.clone().requires_grad_() for operand in operands]
        return torch.autograd.grad(total(function)(*leaves), leaves, materialize_grads=True)

    return product


# What torch itself checks against finite differences.


def _checked(subject: Subject, check: Function, **options: bool) -> None:
    operands = subject.operands(shape=(3,), requires_grad=True)
    y = subject.reference(*operands)
    found = torch.autograd.grad(y, operands, torch.ones_like(y), allow_unused=True)
    # A gradient that is zero everywhere, as in the place of a jump, requires none itself. The check
    # leaves it away among the numerical Jacobians only, and then compares the wrong ones.
    operands = tuple(o.detach() if g is None else o for o, g in zip(operands, found, strict=True))
    assert check(subject, operands, check_batched_grad=True, check_undefined_grad=True, **options)


def _gradcheck(subject: Subject) -> None:
    _checked(subject, gradcheck, check_forward_ad=True, check_batched_forward_grad=True)


def _gradgradcheck(subject: Subject) -> None:
    _checked(subject, gradgradcheck, check_fwd_over_rev=True, check_rev_over_rev=True)


def _feature(name: str, check: Check, **options: Any) -> Feature:
    return Feature(name, "autograd", check, **options)


_IN_PLACE: dict[str, Transform] = {
    "backward": _backward,
    "vmap∘grad": lambda f, s: vmap(grad(total(f))),
    "grad∘vmap": lambda f, s: grad(total(vmap(f))),
    "jvp": pushed,
    "dual tensors": dual(torch.no_grad),
}

FEATURES = (
    _feature("backward", same(_backward)),
    _feature("double backward", same(_backward_twice)),
    _feature("dual tensors", same(dual(torch.enable_grad))),
    _feature("dual tensors, no_grad", same(dual(torch.no_grad))),
    _feature("forward over reverse", same(_forward_over_reverse)),
    _feature("autograd.functional", same(_vectorized, shape=(3,))),
    _feature("batched upstream gradients", same(_batched_upstream)),
    _feature("checkpointing", same(_recomputed)),
    _feature("saved tensor hooks", same(_with_saved_tensor_hooks)),
    _feature("anomaly mode", same(_in_anomaly_mode)),
    _feature("gradcheck", _gradcheck),
    _feature("gradgradcheck", _gradgradcheck),
    *(
        _feature(f"in place, {name}", _in_place(transform), applies=_takes_inplace)
        for name, transform in _IN_PLACE.items()
    ),
)
