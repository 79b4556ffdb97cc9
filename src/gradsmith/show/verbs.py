"""The verbs that only look: how the derivative is found, and what the formula is good for."""

from __future__ import annotations

from gradsmith.activation import Resolvable, resolve
from gradsmith.calculus.derivation import Derivation, derive_formula
from gradsmith.calculus.properties import Properties, measure_properties


def derive(activation: Resolvable, wrt: str | None = None, order: int = 1) -> Derivation:
    """The derivative of an activation, step by step with reasons.

    Args:
        activation: an activation, a catalogue name, a formula's text or a function.
        wrt: the input or parameter to differentiate by; the first input by default.
        order: how often, at least once.

    Raises:
        FormulaError: the formula cannot be read.
        DerivativeError: the formula has no such name, or the order is below 1.
    """
    return derive_formula(resolve(activation).formula, wrt, order)


def properties(activation: Resolvable, wrt: str | None = None) -> Properties:
    """What an activation is good and bad for, measured: range, saturation, vanishing gradients, ...

    Args:
        activation: an activation, a catalogue name, a formula's text or a function.
        wrt: the input that varies, the first by default; parameters stand at their defaults,
            further inputs at 1.

    Raises:
        FormulaError: the formula cannot be read.
        ValueError: the activation has no such input.
    """
    formula = resolve(activation).formula
    if wrt is not None and wrt not in formula.inputs:
        raise ValueError(f"{formula} has no input {wrt!r}; it has {', '.join(formula.inputs)}")
    return measure_properties(formula, wrt)
