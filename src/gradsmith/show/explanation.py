"""The text with which an emitted file opens: what it computes, where that comes from, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from textwrap import fill

from gradsmith.backends.formatting import WIDTH
from gradsmith.backends.source import renamed
from gradsmith.calculus.derivation import Derivation
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Number, free_symbols, walk
from gradsmith.operator.saving import SavePlan

_FAR = 16  # from here on a bound of the input is where a limit is reached, not one of the formula


def formula_line(left: str, right: str) -> str:
    """``left`` = ``right``, indented, broken where it is too long."""
    return _filled(f"{left} {right}", 4, 8)


def _filled(text: str, first: int, rest: int) -> str:
    return fill(
        text,
        WIDTH,
        initial_indent=" " * first,
        subsequent_indent=" " * rest,
        break_on_hyphens=False,
    )


def derivation_text(found: Derivation, names: Mapping[str, str]) -> str:
    """The steps that lead to the derivative, and what holds at kinks.

    Args:
        found: the derivation.
        names: what the formula's arguments are called in the text.
    """
    if not found.steps:
        return ""
    x = names[found.variable]
    operator = f"{'D' if len(names) == 1 else '∂'}(u, {x})"
    lines = [f"How df/d{x} is found, {operator} being a derivative still to be taken:", ""]
    for step in found.steps:
        together = formula_line("=", f"{renamed(step.after, names)}   [{step.rule}]")
        if "\n" in together:
            together = formula_line("=", str(renamed(step.after, names)))
            together += f"\n{' ' * 8}[{step.rule}]"
        lines.append(together)
    output = _output(found)
    if output is not None:
        lines += ["", f"with {output} = f({', '.join(names.values())})."]
    if found.kinks:
        lines += ["", "At a kink, where there is no derivative, one is chosen:", ""]
        lines += [_filled(str(kink), 4, 8) for kink in found.kinks]
    return "\n".join(lines)


def _output(found: Derivation) -> str | None:
    """What the derivation calls the output, where it writes the derivative in terms of it."""
    if found.by_output is None:
        return None
    names = [symbol.name for symbol in free_symbols(found.by_output)]
    return next((name for name in names if name not in found.formula.arguments), None)


def saving_text(plan: SavePlan, found: Derivation, names: Mapping[str, str]) -> str:
    """What is kept for backward, and why not the output."""
    saved = [names[name] for name in plan.saved]
    if not saved:
        return "Nothing is kept for backward: no derivative depends on an operand."
    tensors = (
        "These are the caller's own tensors, no copies."
        if len(saved) > 1
        else "That is the caller's own tensor, no copy."
    )
    text = (
        f"Kept for backward: {' and '.join(saved)}, which the derivative reads. {tensors} In "
        f"float32 this holds {plan.bytes_per_element} bytes per element."
    )
    output = _output(found)
    if output is not None and found.by_output is not None:
        text += (
            f" In exact arithmetic the output {output} would do as well, "
            f"df/d{names[found.variable]} being {renamed(found.by_output, names)}; but where "
            f"{output} is rounded to its limit, that is 0 or has lost its digits."
        )
    return text


def accuracy_text(computed: Iterable[Expr], written: Expr) -> str:
    """What makes the computed expressions accurate that the formula as written does not do."""
    means = techniques(computed, written)
    text = "Accuracy: everything is computed in a wider dtype and rounded once, at the end."
    if means:
        text += (
            " The formulas are rearranged, equal in exact arithmetic, so that this holds "
            "wherever a result fits its dtype:"
        )
    return "\n".join([fill(text, WIDTH), *(_filled(f"- {m}", 0, 2) for m in means)])


def techniques(computed: Iterable[Expr], written: Expr) -> list[str]:
    """What makes the computed expressions more accurate than the written one, in sentences."""
    nodes = {node for root in computed for node in walk(root)} - set(walk(written))
    calls = [node for node in nodes if isinstance(node, Call)]
    known = {node.function for node in walk(written) if isinstance(node, Call)}
    return [sentence for found, sentence in _PATTERNS if any(found(c) for c in calls)] + [
        sentence
        for functions, sentence in _FUNCTIONS
        if any(c.function in functions - known for c in calls)
    ]


def _is_damped(node: Call) -> bool:
    if node.function is not v.exp:
        return False
    (power,) = node.args
    inside = [power, *power.args] if isinstance(power, Call) else [power]
    return any(isinstance(part, Call) and part.function is v.abs_ for part in inside)


def _is_bound(node: Call) -> bool:
    if node.function not in (v.maximum, v.minimum):
        return False
    return any(isinstance(arg, Number) and abs(arg.value) >= _FAR for arg in node.args)


def _is_local(node: Call) -> bool:
    if node.function is not v.where:
        return False
    test = node.args[0]
    if not (isinstance(test, Call) and test.function in (v.LT, v.LE)):
        return False
    size, bound = test.args
    if not (isinstance(size, Call) and size.function is v.abs_):
        return False
    return isinstance(bound, Number) and bound.value < _FAR


_PATTERNS: tuple[tuple[Callable[[Call], bool], str], ...] = (
    (_is_damped, "Exponentials are taken of -|t| instead of t, so that none overflows."),
    (
        _is_bound,
        "The input is held where the result has reached its limit, so that nothing beyond it "
        "overflows on the way to a finite result.",
    ),
    (_is_local, "Around zero, where a difference would lose its digits, another form takes over."),
)
_FUNCTIONS = (
    (
        frozenset({v.product_error, v.sum_error}),
        "What rounding cuts off from a product or a sum is computed as well and added back.",
    ),
    (
        frozenset({v.log1p, v.expm1}),
        "log1p(t) and expm1(t) keep the digits that log(1 + t) and exp(t) - 1 lose for small t.",
    ),
    (
        frozenset({v.erfc, v.erfcx}),
        "erfc and erfcx keep the digits that 1 + erf and 1 - erf lose in the tails.",
    ),
)
