"""How PyTorch calls the few activations that it does not call as ``f(input, *parameters)``.

A convention is a function with exactly the arguments of PyTorch's own. It does no arithmetic: it
says which entry of the catalogue is applied to which inputs with which parameters, so that values
and gradients always come from a formula. The function, the module and their signatures follow from
it; nothing else in the package knows these activations by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Use:
    """What a call comes down to.

    Attributes:
        name: the entry whose formula is applied.
        inputs: the tensors of that formula.
        parameters: the parameters that are not at their default.
    """

    name: str
    inputs: tuple[Tensor, ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)


Convention = Callable[..., Use]

SOFTPLUS_THRESHOLD: Final = 20.0
"""PyTorch's default. From there on softplus and its argument differ by less than 2.1e-9 (they
differ by log(1 + exp(-20))), which is 1.1e-10 of the value and out of sight in float32."""

_GELU: Final = {"none": "gelu", "tanh": "gelu_tanh"}


def gelu(input: Tensor, approximate: str = "none") -> Use:
    """``approximate`` chooses between two formulas."""
    if approximate not in _GELU:
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return Use(_GELU[approximate], (input,))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = SOFTPLUS_THRESHOLD) -> Use:
    """Cut over to the input above a threshold only if it is lower than PyTorch's default.

    PyTorch's threshold keeps ``exp`` from overflowing. Here nothing overflows, so that the exact
    function is computed unless the threshold asks for a visibly different one.
    """
    if threshold >= SOFTPLUS_THRESHOLD:
        return Use("softplus", (input,), {"beta": beta})
    return Use("softplus_threshold", (input,), {"beta": beta, "threshold": threshold})


def prelu(input: Tensor, weight: Tensor | float = 0.25) -> Use:
    """One weight for all, or one for each channel, which is dimension 1.

    Raises:
        ValueError: ``weight`` has several values, but not one for each channel.
    """
    if isinstance(weight, (int, float)) or weight.ndim != 1:
        return Use("prelu", (input,), {"weight": weight})
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.shape[0] not in (1, channels):
        raise ValueError(
            f"weight must have shape (), (1,) or ({channels},) for an input of shape "
            f"{tuple(input.shape)}, whose channels are dimension 1; got {tuple(weight.shape)}"
        )
    # Behind the channels as many dimensions as the input has there.
    aligned = (-1, *[1] * (input.ndim - 2)) if input.ndim > 1 else ()
    return Use("prelu", (input,), {"weight": weight.reshape(aligned)})


def rrelu(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Use:
    """A slope from ``lower`` to ``upper`` for each element in training, else their mean."""
    slope = _random_slope(input, lower, upper) if training else (lower + upper) / 2
    return Use("rrelu", (input,), {"slope": slope})


def _random_slope(input: Tensor, lower: float, upper: float) -> Tensor:
    """The slopes that PyTorch draws for the same seed, and 1 where the input is positive."""
    import torch

    # PyTorch draws for float32, float64 and bfloat16 only, and numbers for others in float32.
    drawn = input.detach()
    if drawn.dtype not in (torch.float32, torch.float64, torch.bfloat16):
        drawn = drawn.float()
    slope = torch.empty_like(drawn)
    torch.ops.aten.rrelu_with_noise(drawn, slope, lower, upper, True)
    return slope.to(input.dtype) if input.is_floating_point() else slope


def glu(input: Tensor, dim: int = -1) -> Use:
    """The first half of ``input`` along ``dim`` times the sigmoid of the second.

    Raises:
        ValueError: ``input`` has no dimension, or an odd number of elements along ``dim``.
        IndexError: ``input`` has no dimension ``dim``.
    """
    if input.dim() == 0:
        raise ValueError("glu halves a dimension, and an input of shape () has none")
    size = input.size(dim)
    if size % 2:
        raise ValueError(
            f"glu halves dimension {dim}, whose size must be even; got an input of shape "
            f"{tuple(input.shape)}"
        )
    # Of all ways to halve a tensor, this is the one whose gradient is put together in one pass.
    return Use("glu", input.split_with_sizes([size // 2, size // 2], dim))
