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
    within = np.abs(function(at)) <= largest  # NaN is not
    between = np.flatnonzero(within[:-1] != within[1:])
    inside = np.where(within[between], at[between], at[between + 1])
    outside = np.where(within[between], at[between + 1], at[between])
    for _ in range(_HALVINGS):
        middle = inside / 2 + outside / 2
        held = np.abs(function(middle)) <= largest
        inside, outside = np.where(held, middle, inside), np.where(held, outside, middle)
    found = inside.astype(np.float32)
    beside = [found]
    for direction in (np.float32(-np.inf), np.float32(np.inf)):
        near = found
        for _ in range(_BESIDE):
            near = np.nextafter(near, direction)
            beside.append(near)
    ends: Array = np.concatenate(beside).astype(np.float64)
    return ends[np.isfinite(ends)]
