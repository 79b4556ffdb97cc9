"""A few steps of training, for two models that should do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def losses(
    model: nn.Module,
    loss_of: Callable[[Any], Tensor],
    run: Callable[..., Any] | None = None,
    rate: float = 0.25,
) -> list[float]:
    """The loss before each of a few steps of SGD; in place.

    Args:
        model: whose parameters are trained.
        loss_of: the loss, given what is called.
        run: what is called in place of the model, a compiled one.
        rate: of learning.
    """
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    found = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = loss_of(model if run is None else run)
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def assert_learns_alike(got: list[float], expected: list[float], tolerance: float) -> None:
    """The same losses, and falling: a model that does not learn proves nothing."""
    assert expected[-1] < expected[0] * 0.99, expected
    torch.testing.assert_close(
        torch.tensor(got, dtype=torch.float64),
        torch.tensor(expected, dtype=torch.float64),
        rtol=tolerance,
        atol=0.0,
    )
