"""Formulas and calls for the tests of the native part."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import grad

import gradsmith as gs
from gradsmith.activation import Activation
from gradsmith.operator import extension

WITH_NATIVE_PART = pytest.mark.skipif(
    extension.reason() is not None, reason=f"the native part: {extension.reason()}"
)
NATIVE = "PointwiseBackward"
DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
SILU = gs.activation("x*sigmoid(x)")
BY_OUTPUT = gs.activation("where(x <= 0, 0, x)")
PARAMETRIC = gs.activation("where(x <= 0, beta*x, c*x)", beta=1.5, c=-0.25)
GATED = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
LINEAR = gs.activation("2*x")
THREE = gs.activation("a*b + c", inputs=("a", "b", "c"))
ALL = (SILU, BY_OUTPUT, PARAMETRIC, GATED, LINEAR, THREE)
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (7,), (3, 5), (2, 1, 9), (40_000,))


def drawn(f: Activation, shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    made = [torch.randn(shape, generator=generator, dtype=torch.float64) for _ in f.inputs]
    return [(2 * t).to(dtype).requires_grad_() for t in made]


def learn(f: Activation, dtype: torch.dtype, *needed: bool) -> None:
    """After this the native part knows of such calls, and of their backward pass."""
    inputs = drawn(f, (3,), dtype)
    for x, need in zip(inputs, needed or [True] * len(inputs), strict=True):
        x.requires_grad_(need)
    for _ in range(2):
        y = f(*inputs)
        asked = [x for x in inputs if x.requires_grad]
        grad(y, asked, torch.ones_like(y))
        f(*[x.detach() for x in inputs])


def learn_numbers(f: Activation, *numbers: float) -> None:
    """After this the native part knows of float32 calls with such numbers; they are no defaults."""
    (x,) = drawn(f, (3,), torch.float32)
    for _ in range(2):
        grad(f(x, *numbers).sum(), x)
        f(x.detach(), *numbers)


def served(y: Tensor) -> bool:
    return y.grad_fn is not None and y.grad_fn.name() == NATIVE


def same(a: Tensor, b: Tensor) -> bool:
    """Bit for bit, but for the payload of a NaN."""
    if (a.shape, a.stride(), a.dtype) != (b.shape, b.stride(), b.dtype):
        return False
    whole = {2: torch.int16, 4: torch.int32, 8: torch.int64}[a.element_size()]
    equal = a.detach().view(whole) == b.detach().view(whole)
    return bool((equal | (a.isnan() & b.isnan())).all())


def declined(*operands: Any, f: Activation = SILU) -> bool:
    """Whether the native part leaves this call to Python."""
    call = f.operation.call
    assert call is not None
    return call(f.operation, tuple(operands)) is None
