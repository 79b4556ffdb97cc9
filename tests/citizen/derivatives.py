"""Derivatives as functions of functions: of the activation and of its composition alike.

Each is taken with respect to every input and every parameter, and the two are compared. So a
derivative that quietly were zero would be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import jvp, vjp

from tests.citizen.subjects import Subject

Function = Callable[..., Any]
Transform = Callable[[Function, Subject], Function]
"""Of a function, which is an activation or what it is compared with; the subject says of what."""


def assert_close(got: Any, expected: Any, **options: Any) -> None:
    """Within what the composition loses: up to third derivatives of 1 − tanh(u)², u up to 20.

    That is 2⁻⁵³ · 20³, times the largest of the weights of :func:`total`, 12.
    """
    torch.testing.assert_close(got, expected, **{**options, "rtol": 1e-11, "atol": 1.1e-11})


def everything(subject: Subject) -> tuple[int, ...]:
    """``argnums`` of all inputs and parameters."""
    return tuple(range(len(subject.inputs) + len(subject.parameters)))


def total(function: Function) -> Function:
    """With one number as the result, no two elements of which count the same."""

    def summed(*operands: Tensor) -> Tensor:
        y = function(*operands)
        weights = torch.arange(1, y.numel() + 1, dtype=y.dtype, device=y.device)
        return (y * weights.reshape(y.shape)).sum()

    return summed


def directions(operands: tuple[Tensor, ...], seed: int) -> tuple[Tensor, ...]:
    """A tangent for each operand."""
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(o.shape, generator=generator, dtype=o.dtype) for o in operands)


def same(transform: Transform, **layout: Any) -> Callable[[Subject], None]:
    """Whether a transform gives of the activation what it gives of its composition."""

    def check(subject: Subject) -> None:
        operands = subject.operands(**layout)
        got = transform(subject, subject)(*operands)
        assert_close(got, transform(subject.reference, subject)(*operands))

    return check


def pulled(function: Function, subject: Subject) -> Function:
    """The value, and the vector-Jacobian products for one upstream gradient."""

    def products(*operands: Tensor) -> Any:
        y, pull = vjp(function, *operands)
        (upstream,) = directions((y,), 1)
        return y, pull(upstream)

    return products


def pushed(function: Function, subject: Subject) -> Function:
    """The value, and the Jacobian-vector product for one tangent of each operand."""

    def product(*operands: Tensor) -> Any:
        return jvp(function, operands, directions(operands, 2))

    return product


def dual(mode: Callable[[], Any]) -> Transform:
    """The value and its tangent, from dual tensors, with ``mode`` on."""

    def transform(function: Function, subject: Subject) -> Function:
        def product(*operands: Tensor) -> Any:
            tangents = directions(operands, 9)
            with mode(), forward_ad.dual_level():
                duals = map(forward_ad.make_dual, operands, tangents)
                return tuple(forward_ad.unpack_dual(function(*duals)))

        return product

    return transform
