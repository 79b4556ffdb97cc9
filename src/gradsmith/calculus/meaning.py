"""What the measured properties of an activation mean for training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradsmith.calculus.properties import Properties


def rows(p: Properties) -> list[tuple[str, str, str]]:
    """(property, measured, what it means)."""
    return [
        _range(p),
        _probability(p),
        _monotonic(p),
        _steepest(p),
        _saturation(p),
        _vanishing(p),
        _centred(p),
        _symmetry(p),
        _smooth(p),
        _cost(p),
    ]


def _n(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.4g}".replace("-", "−")


def _steepest(p: Properties) -> tuple[str, str, str]:
    slope = p.slope_high if abs(p.slope_high) >= abs(p.slope_low) else p.slope_low
    return "steepest", f"slope {_n(slope)} at {p.variable} = {_n(p.steepest)}", _sensitivity(p)


def _range(p: Properties) -> tuple[str, str, str]:
    why = (
        "bounded: the output cannot blow up"
        if p.bounded
        else "unbounded: nothing but the weights limits the output"
    )
    return "range", f"{_n(p.low)} … {_n(p.high)}", why


def _probability(p: Properties) -> tuple[str, str, str]:
    if p.usable_as_probability:
        return "as a probability", "yes", "every output is within 0 … 1 and the order is kept"
    return "as a probability", "no", "outputs leave 0 … 1, or a larger input gives a smaller output"


def _monotonic(p: Properties) -> tuple[str, str, str]:
    if p.monotonic:
        kept = "kept" if p.monotonic == "increasing" else "reversed"
        return "monotonic", p.monotonic, f"the order of inputs is {kept}"
    where = f"; smallest at {p.variable} = {_n(p.minimum_at)}" if p.minimum_at is not None else ""
    return "monotonic", "no", f"the gradient changes its sign{where}"


def _sensitivity(p: Properties) -> str:
    share = abs(p.slope_at_zero) / p.lipschitz if p.lipschitz else 0.0
    return (
        f"slope at 0 is {_n(p.slope_at_zero)}, {share:.0%} of the steepest "
        f"(Lipschitz constant {_n(p.lipschitz)})"
    )


def _saturation(p: Properties) -> tuple[str, str, str]:
    sides = []
    if p.flat_left is not None:
        sides.append(f"below {p.variable} = {_n(p.flat_left)}")
    if p.flat_right is not None:
        sides.append(f"above {p.variable} = {_n(p.flat_right)}")
    if not sides:
        return "saturation", "none", "the slope stays above 1 % of its largest value on both sides"
    return (
        "saturation",
        " and ".join(sides),
        "there the slope is under 1 % of the steepest and the unit learns nothing: "
        "initial weights must not be so large that inputs get there",
    )


def _vanishing(p: Properties) -> tuple[str, str, str]:
    factor = p.gradient_through_layers
    if factor < 0.5:
        why = "vanishing gradients: even at the steepest point each layer shrinks the gradient"
    elif p.saturates:
        why = "gradients vanish only where the unit saturates"
    else:
        why = "the activation alone does not make gradients vanish"
    return "gradient through 10 layers", f"at most ×{_n(factor)}", why


def _centred(p: Properties) -> tuple[str, str, str]:
    measured = f"mean {_n(p.mean_output)} for standard normal inputs"
    if p.zero_centred:
        return "zero-centred", measured, "outputs of both signs balance"
    if p.one_signed:
        why = (
            f"every output is {p.one_signed}, so the gradients of all weights into one unit of the "
            "next layer have the same sign"
        )
    else:
        why = "outputs are shifted, which biases the next layer's weight gradients"
    return "zero-centred", measured, why


def _symmetry(p: Properties) -> tuple[str, str, str]:
    return "symmetry", p.symmetry or "none", f"f(0) = {_n(p.at_zero)}"


def _smooth(p: Properties) -> tuple[str, str, str]:
    if not p.kinks:
        return "smooth", "yes", "no kinks found"
    places = ", ".join(f"{p.variable} = {_n(kink.at)}" for kink in p.kinks)
    values = ", ".join(_n(kink.derivative) for kink in p.kinks)
    return "smooth", f"no: kinks at {places}", f"the derivative there is {values} by convention"


def _cost(p: Properties) -> tuple[str, str, str]:
    if not p.costly:
        return "cost", "comparisons and products only", "as cheap as a copy"
    parts = ", ".join(f"{count} {name}" for name, count in p.costly.items())
    return "cost", parts, "as the formula is written; an exponential costs about ten products"
