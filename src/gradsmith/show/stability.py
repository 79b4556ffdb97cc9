"""How a formula was made stable: what is computed, and the largest error that was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradsmith.activation import Activation
from gradsmith.formula.expression import Expr, Number, free_symbols
from gradsmith.numerics.stabilise import Stable
from gradsmith.numerics.target import FLOAT32, FLOAT64, Target
from gradsmith.operator.pointwise import Pointwise
from gradsmith.show.explanation import techniques
from gradsmith.show.numerals import number
from gradsmith.show.stated import stated

Section = dict[str, Any]

_SHOWN = (FLOAT32, FLOAT64)
_NO_ERROR = (0.0, True, "")  # a constant's: the error, whether it is within the budget, where


def stability(activation: Activation) -> list[Section]:
    """For the value and each gradient: what is computed, and the largest error that was found."""
    operation = activation.operation
    found = [_stable("The value", operation)]
    for name in activation.inputs:
        which = "The gradient" if len(activation.inputs) == 1 else f"The gradient for {name}"
        found.append(_stable(which, operation.gradient(name)))
    return found


def _stable(what: str, operation: Pointwise | None) -> Section:
    core: Expr = Number(0) if operation is None else operation.core
    if operation is None or not free_symbols(core):
        return {"what": what, "rows": [], "texts": [("constant", str(core))], "errors": {}}
    forms = {target: operation.stable_for(target) for target in _SHOWN}
    rows = [_measured(target, stable) for target, stable in forms.items()]
    texts: dict[str, list[str]] = {}
    for target, stable in forms.items():
        texts.setdefault("\n".join(stated(stable.expression)), []).append(target.name)
    errors = {t.name: (s.error, s.error <= t.budget, f" at {_place(s)}") for t, s in forms.items()}
    return {
        "what": what,
        "rows": rows,
        "texts": [(" and ".join(names), text) for text, names in texts.items()],
        "errors": errors,
    }


def _measured(target: Target, stable: Stable) -> tuple[str, ...]:
    lost = "" if stable.error <= target.budget else "; accuracy is lost near this point"
    return target.name, target.compute, _ulp(stable.error), _place(stable) + lost


def _place(stable: Stable) -> str:
    return ", ".join(f"{name} = {number(value)}" for name, value in stable.at.items())


def _ulp(error: float) -> str:
    return f"{number(error, 2 if error < 1e-3 else 3)} ULP"


def means(activation: Activation) -> list[str]:
    """What makes the computed expressions accurate, in words."""
    operation = activation.operation
    gradients = (operation.gradient(name) for name in activation.inputs)
    operations = [o for o in (operation, *gradients) if o is not None]
    computed = [o.expression_for(target) for o in operations for target in _SHOWN]
    return techniques(computed, activation.expression)


def error_fact(stable: Sequence[Section]) -> Section:
    """The largest error of all, of what :func:`stability` gave."""
    measured = [row["errors"] for row in stable if row["errors"]]
    narrow, wide = (
        max((errors[target.name] for errors in measured), default=_NO_ERROR) for target in _SHOWN
    )
    return {
        "label": "Largest error found",
        # The rounding at the end adds half an ULP to what is computed more widely.
        "figure": _ulp(0.5 + narrow[0]),
        "mood": "good" if narrow[1] else "bad",
        "more": f"in float32, value and gradient; in float64 {_ulp(wide[0])}{wide[2]}",
    }
