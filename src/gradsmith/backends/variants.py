"""One function for results of every dtype, although what is best to compute depends on the dtype.

Mostly the expressions differ in nothing but the bounds at which the input is held. Then they are
one expression with bounds from a table; what differs otherwise is a case of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from gradsmith.formula.expression import Call, Expr, Number, Symbol
from gradsmith.formula.vocabulary import maximum, minimum
from gradsmith.numerics.target import FLOAT32, FLOAT32_ALONE, Target

_BOUNDS = {maximum: "low", minimum: "high"}
_MOST = 4  # bounds in a table


@dataclass(frozen=True, slots=True)
class Computed:
    """What is computed for one target.

    Attributes:
        expression: what to compute.
        widened: whether in float64, where others of its kind make do with float32.
    """

    expression: Expr
    widened: bool = False


@dataclass(frozen=True, slots=True)
class Variants:
    """What to compute for each target.

    Attributes:
        cases: the targets for which something else is computed, and what.
        expression: what is computed for all others.
        widened: those of the others for which it takes float64 instead of float32.
        names: the symbols in it that stand for bounds.
        bounds: their values for each of the others.
    """

    cases: tuple[tuple[tuple[Target, ...], Computed], ...]
    expression: Expr
    widened: tuple[Target, ...]
    names: tuple[str, ...]
    bounds: Mapping[Target, tuple[float, ...]]


def merged(computed: Mapping[Target, Computed], taken: Collection[str]) -> Variants:
    """The expressions with as much in common as they have.

    Args:
        computed: what is best for each target, :data:`FLOAT32` among them.
        taken: names that a bound must not have.
    """
    main = computed[FLOAT32]
    alike = [target for target, found in computed.items() if _joins(target, found, main)]
    names: dict[tuple[Expr, ...], str] = {}
    together = _merge(tuple(computed[t].expression for t in alike), names, taken)
    if together is None or len(names) > _MOST:
        alike = [t for t in alike if computed[t].expression is main.expression]
        names, together = {}, main.expression
    rest: dict[Computed, list[Target]] = {}
    for target, found in computed.items():
        if target not in alike:
            rest.setdefault(found, []).append(target)
    bounds = {
        target: tuple(_value(numbers[i]) for numbers in names) for i, target in enumerate(alike)
    }
    cases = tuple((tuple(targets), found) for found, targets in rest.items())
    widened = tuple(target for target in alike if computed[target].widened)
    return Variants(cases, together, widened, tuple(names.values()), bounds)


def _joins(target: Target, found: Computed, main: Computed) -> bool:
    if found.expression is main.expression:
        return True
    # A table goes by the dtype of the result, which this one has in common with FLOAT32.
    if target is FLOAT32_ALONE:
        return False
    return _merge((main.expression, found.expression), {}, ()) is not None


def _merge(
    nodes: tuple[Expr, ...], names: dict[tuple[Expr, ...], str], taken: Collection[str]
) -> Expr | None:
    """One expression for several, symbols for the bounds in which alone they differ, or None."""
    first = nodes[0]
    if all(node is first for node in nodes):
        return first
    calls = [node for node in nodes if isinstance(node, Call)]
    if len(calls) < len(nodes) or any(call.function is not calls[0].function for call in calls):
        return None
    function = calls[0].function
    args = []
    for position, arguments in enumerate(zip(*(call.args for call in calls), strict=True)):
        if function in _BOUNDS and position and all(isinstance(a, Number) for a in arguments):
            if len(set(arguments)) == 1:
                args.append(arguments[0])
                continue
            if arguments not in names:
                names[arguments] = _unused(_BOUNDS[function], {*taken, *names.values()})
            args.append(Symbol(names[arguments]))
            continue
        argument = _merge(arguments, names, taken)
        if argument is None:
            return None
        args.append(argument)
    return Call(function, tuple(args))


def _value(node: Expr) -> float:
    assert isinstance(node, Number)
    return float(node.value)


def _unused(name: str, taken: Collection[str]) -> str:
    found, count = name, 1
    while found in taken:
        count += 1
        found = f"{name}{count}"
    return found
