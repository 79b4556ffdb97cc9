"""How PyTorch calls the few activations that it does not call as ``f(input, *parameters)``.

A convention is a function with exactly the arguments of PyTorch's own. It does no arithmetic: it
says which entry of the catalogue is applied to which inputs with which parameters, so that values
and gradients always come from a formula. The function, the module and their signatures follow from
it; nothing else in the package knows these activations by name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Use(NamedTuple):
    """What a call comes down to.

    Attributes:
        name: the entry whose formula is applied.
        operands: its inputs and parameters, in the formula's order.
        halved: where the formula has two inputs and ``operands`` is one tensor, the dimension along
            which its halves are those inputs.
    """

    name: str
    operands: tuple[Any, ...]
    halved: int | None = None


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
        return Use("softplus", (input, beta))
    return Use("softplus_threshold", (input, beta, threshold))


def prelu(input: Tensor, weight: Tensor | float = 0.25) -> Use:
    """One weight for all, or one for each channel, which is dimension 1.

    Raises:
        ValueError: ``weight`` has several values, but not one for each channel.
    """
    if isinstance(weight, (int, float)) or weight.ndim != 1:
        return Use("prelu", (input, weight))
    if input.ndim and weight.shape[0] == 1 and weight.dtype == input.dtype:
        return Use("prelu", (input, weight))
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.shape[0] not in (1, channels):
        raise ValueError(
            f"weight must have shape (), (1,) or ({channels},) for an input of shape "
            f"{tuple(input.shape)}, whose channels are dimension 1; got {tuple(weight.shape)}"
        )
    # Behind the channels as many dimensions as the input has there.
    aligned = (-1, *[1] * (input.ndim - 2)) if input.ndim > 1 else ()
    return Use("prelu", (input, weight.reshape(aligned)))


def rrelu(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Use:
    """A slope from ``lower`` to ``upper`` for each element in training, else their mean."""
    if not training:
        return Use("rrelu", (input, (lower + upper) / 2))
    from gradsmith.operator.slopes import random_slopes

    return Use("rrelu", (input, random_slopes(input, lower, upper)))


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
    return Use("glu", (input,), dim)
