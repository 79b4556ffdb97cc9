"""``Formula``: an expression with its inputs and its parameters' defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from types import MappingProxyType

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Expr, Symbol, free_symbols, substitute


@dataclass(frozen=True, slots=True)
class Formula:
    """What the user wrote.

    Attributes:
        expression: the formula, node for node as it was given.
        inputs: names of the tensors it is applied to, in the order of the call.
        parameters: name and default of everything else, in the order of the call.
        source: the text or the name of the function that it came from.
        name: what to call it, where it has a name.
    """

    expression: Expr
    inputs: tuple[str, ...] = ("x",)
    parameters: Mapping[str, float] = field(default_factory=dict)
    source: str = ""
    name: str | None = None

    def __post_init__(self) -> None:
        defaults = {name: _finite(name, value) for name, value in self.parameters.items()}
        object.__setattr__(self, "parameters", MappingProxyType(defaults))
        object.__setattr__(self, "inputs", tuple(self.inputs))
        names = [*self.inputs, *defaults]
        if not self.inputs:
            raise FormulaError("a formula needs at least one input")
        if len(set(names)) != len(names):
            raise FormulaError(f"each input and parameter needs a name of its own, got {names}")
        unknown = [s.name for s in free_symbols(self.expression) if s.name not in names]
        if unknown:
            raise FormulaError(_unknown_names(unknown, self.inputs))

    @property
    def arguments(self) -> tuple[str, ...]:
        """Inputs, then parameters."""
        return (*self.inputs, *self.parameters)

    def applied(self, *operands: Expr, **parameters: Expr) -> Expr:
        """The expression with other expressions in place of inputs and parameters."""
        values = dict(zip(self.arguments, operands, strict=False)) | parameters
        for name, default in self.parameters.items():
            values.setdefault(name, _number(default))
        return substitute(self.expression, {Symbol(name): v for name, v in values.items()})

    def __str__(self) -> str:
        return str(self.expression)

    def _repr_latex_(self) -> str:
        return self.expression._repr_latex_()

    def __reduce__(self) -> tuple[type[Formula], tuple[object, ...]]:
        # A mapping proxy does not pickle.
        return type(self), (
            self.expression,
            self.inputs,
            dict(self.parameters),
            self.source,
            self.name,
        )

    def __hash__(self) -> int:
        return hash((self.expression, self.inputs, tuple(self.parameters.items())))


LIBRARY: dict[str, Callable[[], Formula]] = {}
"""Named formulas that other formulas may call; the catalogue enters its own."""


def _number(value: float) -> Expr:
    from gradsmith.formula.expression import as_expr

    return as_expr(value)


def _finite(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(
            f"the default of parameter {name!r} must be a number, got {type(value).__name__}"
        )
    try:
        default = float(value)
    except OverflowError:
        raise ValueError(
            f"the default of parameter {name!r} is too large for float64: "
            f"an integer of {int(value).bit_length():,} binary digits"
        ) from None
    if not isfinite(default):
        raise ValueError(f"the default of parameter {name!r} must be finite, got {value}")
    return default


def _unknown_names(unknown: list[str], inputs: tuple[str, ...]) -> str:
    listed = ", ".join(repr(name) for name in unknown)
    defaults = ", ".join(f"{name}=1.0" for name in unknown)
    together = tuple(dict.fromkeys((*inputs, *unknown)))
    return (
        f"{listed} is neither an input nor a parameter with a default. "
        f"For a parameter give its default ({defaults}); for an input, inputs={together!r}"
    )
