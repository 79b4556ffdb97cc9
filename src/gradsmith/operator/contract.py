"""What a user is told where a result misses the numerical contract: where, and by how much."""

from __future__ import annotations

import sys
import warnings

from gradsmith.errors import AccuracyWarning
from gradsmith.numerics.stabilise import Stable

_INSIDE = ("gradsmith.", "torch.")
_ROUNDING = 0.5  # ULP that the final rounding takes of what the contract allows


def told(what: str, stable: Stable, allowed: float, of: object = "") -> bool:
    """Warn if the stable form misses the contract; whether it does.

    Args:
        what: what is computed, in words.
        stable: what was found for it, and the error that was measured.
        allowed: ULP of the format that the contract allows.
        of: what comes after these words; it is written out only where there is something to say.
    """
    target = stable.target
    # A result computed in its own format is rounded on the way, and not once more.
    rounding = 0.0 if target.compute == target.name else _ROUNDING
    if stable.error + rounding <= allowed:
        return False
    place = ", ".join(f"{name} = {value:.9g}" for name, value in stable.at.items())
    lost = stable.error > 2.0**target.digits
    size = "all its digits" if lost else f"{stable.error + rounding:.3g} ULP"
    warnings.warn(
        f"{what}{of} may lose {size} in {target.name} at {place}; the contract is {allowed:g} ULP. "
        "No rewriting was found that keeps it",
        AccuracyWarning,
        stacklevel=_outside(),
    )
    return True


def _outside() -> int:
    """The ``stacklevel`` of whoever called into this package, maybe by way of autograd."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(_INSIDE):
        level, frame = level + 1, frame.f_back
    return level
