"""Where a function of one number leaves the range of a format.

Of some four thousand million float32 it is one at which what is computed may be infinite too soon:
so it has to be looked for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from gradsmith.numerics.interpret import Array

_HALVINGS = 64
_BESIDE = 3  # float32 on either side


def ends_of_range(function: Callable[[Array], Array], at: Array, largest: float) -> Array:
    """The float32 about which values begin to exceed ``largest`` in size, or to be no numbers.

    Args:
        function: in float64.
        at: finite numbers: an end is found where it is between two, or beyond the last.
        largest: the largest finite number.
    """
    at = np.sort([*at, -largest, largest])
    beyond = ~(np.abs(function(at)) <= largest)
    between = np.flatnonzero(beyond[:-1] != beyond[1:])
    inside = np.where(beyond[between], at[between + 1], at[between])
    outside = np.where(beyond[between], at[between], at[between + 1])
    for _ in range(_HALVINGS):
        middle = inside / 2 + outside / 2
        out = ~(np.abs(function(middle)) <= largest)
        inside, outside = np.where(out, inside, middle), np.where(out, middle, outside)
    found = inside.astype(np.float32)
    beside = [found]
    for direction in (np.float32(-np.inf), np.float32(np.inf)):
        near = found
        for _ in range(_BESIDE):
            near = np.nextafter(near, direction)
            beside.append(near)
    ends: Array = np.concatenate(beside).astype(np.float64)
    return ends[np.isfinite(ends)]
