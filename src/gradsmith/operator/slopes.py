"""Random slopes: what PyTorch draws for the same seed, by the native part in less time.

They are drawn from PyTorch's own generator, in its order. How it turns random bits into slopes is
its own affair and may change with its version; so both are compared, once in a process, before the
native part is used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from gradsmith.operator import extension, native

Draw = Callable[[Tensor, float, float], Tensor | None]

_DRAWN = (torch.float32, torch.float64, torch.bfloat16)
"""What PyTorch draws slopes for; for others they are drawn in float32."""
_BOUNDS = 0.1, 0.37  # not in float32, so that it shows where PyTorch rounds them


def random_slopes(input: Tensor, lower: float, upper: float) -> Tensor:
    """A slope from ``lower`` to ``upper`` for each element, and 1 where the input is positive.

    Within ``vmap``, for which PyTorch's own has no rule, all slopes are drawn; whether each sample
    has its own, or whether that is an error, is the ``randomness`` of ``vmap``.
    """
    if not torch.compiler.is_dynamo_compiling():
        drawn = _chosen[0](input, lower, upper)
        if drawn is not None:
            return drawn
    like = input.detach()
    if like.dtype not in _DRAWN:
        like = like.float()
    if _within_vmap():
        slopes = lower + (upper - lower) * torch.rand_like(like)
    else:
        slopes = _by_torch(like, lower, upper)
    return slopes.to(input.dtype) if input.is_floating_point() else slopes


def _by_torch(input: Tensor, lower: float, upper: float) -> Tensor:
    slopes = torch.empty_like(input)
    torch.ops.aten.rrelu_with_noise(input, slopes, lower, upper, True)
    return slopes


def _within_vmap() -> bool:
    from torch._C import _functorch
    from torch.compiler import is_dynamo_compiling

    if is_dynamo_compiling():  # which has its own word for random numbers
        return False
    active = _functorch.get_interpreter_stack() or ()
    return any(level.key() == _functorch.TransformType.Vmap for level in active)


def _first(input: Tensor, lower: float, upper: float) -> Tensor | None:
    if not native.unwatched():
        return None  # what looks on would see the comparison
    draw: Draw | None = extension.slopes()
    _chosen[0] = draw if draw is not None and _agrees(draw) else _never
    return _chosen[0](input, lower, upper)


def _never(input: Tensor, lower: float, upper: float) -> None:
    return None


_chosen: list[Draw] = [_first]


def _agrees(draw: Draw) -> bool:
    """Whether it draws what PyTorch draws, and as much, wherever in its state the generator is.

    A float32 of PyTorch's takes half the bits of a slope, so that the next slopes do not begin
    where others did.
    """
    state = torch.get_rng_state()
    try:
        for dtype in _DRAWN:
            if not _same(draw, dtype):
                return False
            torch.rand(1, dtype=torch.float32)
        return True
    finally:
        torch.set_rng_state(state)


def _same(draw: Draw, dtype: torch.dtype) -> bool:
    probe = torch.linspace(-1, 1, 1001, dtype=dtype)
    state = torch.get_rng_state()
    ours, after = draw(probe, *_BOUNDS), torch.get_rng_state()
    torch.set_rng_state(state)
    theirs = _by_torch(probe, *_BOUNDS)
    drawn = torch.equal(after, torch.get_rng_state())
    return drawn and ours is not None and torch.equal(ours, theirs)
