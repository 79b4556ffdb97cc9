"""Whether the gradient is computed from the output, which then is all that is kept.

By default only where that loses nothing in any dtype and for any parameters. A derivative that is
constant between kinks, such as relu′, is the one kind that can pass, and the only one measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Call, Expr, free_symbols
from gradsmith.formula.vocabulary import where
from gradsmith.numerics.by_output import ByOutput, from_output
from gradsmith.numerics.target import BFLOAT16, FLOAT16, FLOAT32, FLOAT64, Target
from gradsmith.operator.saving import BY_OUTPUT, OUTPUT

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise

_FORMATS = (FLOAT32, FLOAT64, FLOAT16, BFLOAT16)
_NOTHING = 1e-3  # ULP: a constant such as 1/6 is rounded


class OutputForm(NamedTuple):
    """The derivative times the upstream gradient, from the output.

    Attributes:
        gradient: the operation; its first operands stand for ``reads``, the last is g.
        reads: names of operands, and :data:`~gradsmith.operator.saving.OUTPUT`.
        note: what is to be said of its accuracy.
    """

    gradient: Pointwise
    reads: tuple[str, ...]
    note: str


def output_form(operation: Pointwise) -> OutputForm | None:
    """How the gradient in the one input is computed from the output; None where it is not.

    Raises:
        FormulaError: that was asked for, and no such form was found.
    """
    forced = operation.save == BY_OUTPUT
    inputs = [name for name in operation.arguments if name not in operation.defaults]
    if len(inputs) != 1:
        if forced:
            raise FormulaError(
                f"save='output' is for one input; {operation.core} has {', '.join(inputs)}"
            )
        return None
    if operation.factors:
        return None
    if not forced and (operation.defaults or not _constant_between_kinks(operation)):
        return None
    output = unused("y", operation.arguments)
    found = {
        target.name: form
        for target in (_FORMATS[:1] if forced else _FORMATS)
        if (form := _found(operation, output, target)) is not None
    }
    if forced and not found:
        raise FormulaError(
            f"the derivative of {operation.core} was not found in terms of the output; "
            "leave out save='output'"
        )
    if not forced and (len(found) < len(_FORMATS) or _worst(found).error > _NOTHING):
        return None
    form = found[FLOAT32.name]
    read = {symbol.name for symbol in free_symbols(form.expression)}
    arguments = tuple(name for name in (output, *operation.defaults) if name in read)
    gradient = type(operation)(
        form.expression, arguments, (unused("g", arguments),), operation.defaults
    )
    reads = tuple(OUTPUT if name == output else name for name in arguments)
    return OutputForm(gradient, reads, _note(form) if forced else "which loses nothing")


def _found(operation: Pointwise, output: str, target: Target) -> ByOutput | None:
    return from_output(operation.core, operation.arguments, operation.defaults, output, target)


def _worst(found: dict[str, ByOutput]) -> ByOutput:
    return max(found.values(), key=lambda form: form.error)


def _note(form: ByOutput) -> str:
    if form.error > 2.0**24:
        return f"in float32 all digits are lost at x = {form.at:.9g}"
    return f"in float32 up to {form.error + 0.5:.3g} ULP, at x = {form.at:.9g}"


def _constant_between_kinks(operation: Pointwise) -> bool:
    (name,) = [name for name in operation.arguments if name not in operation.defaults]
    gradient = operation.gradient(name)
    return gradient is not None and bool(gradient.arguments) and _is_constant(gradient.core)


def _is_constant(node: Expr) -> bool:
    if isinstance(node, Call) and node.function is where:
        return all(_is_constant(branch) for branch in node.args[1:])
    return not free_symbols(node)


def unused(name: str, taken: tuple[str, ...]) -> str:
    """The name, or one like it that none of the operands has."""
    while name in taken:
        name += "_"
    return name
