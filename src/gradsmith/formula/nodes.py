"""Expressions as plain data, and back: the very same tree, shared parts written once.

Text would not do: it shows 2/3 for a number and for a quotient of two, and leaves out what only
gradsmith writes. The data is lists, texts and integers, as JSON has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from gradsmith.formula import vocabulary  # noqa: F401  (fills the table of functions)
from gradsmith.formula.expression import FUNCTIONS, Call, Expr, Number, Symbol, walk


def to_nodes(*roots: Expr) -> list[Any]:
    """The nodes, operands first, and last the positions of the roots.

    A number is its numerator and denominator in hexadecimal, a symbol its name, and a call the
    name of the function before the positions of the operands.
    """
    positions: dict[Expr, int] = {}
    nodes: list[Any] = []
    for node in walk(*roots):
        if node not in positions:
            positions[node] = len(nodes)
            nodes.append(_written(node, positions))
    return [*nodes, [positions[root] for root in roots]]


def of_nodes(nodes: Sequence[Any]) -> tuple[Expr, ...]:
    """The roots of which :func:`to_nodes` made the data.

    Raises:
        ValueError: it is not such data.
    """
    try:
        *written, roots = nodes
        made: list[Expr] = []
        for node in written:
            made.append(_read(node, made))
        return tuple(made[root] for root in roots)
    except (TypeError, ValueError, KeyError, IndexError, ZeroDivisionError) as error:
        raise ValueError(f"not the nodes of an expression: {error!r}") from error


def _written(node: Expr, positions: dict[Expr, int]) -> Any:
    if isinstance(node, Number):
        return [hex(node.value.numerator), hex(node.value.denominator)]
    if isinstance(node, Symbol):
        return node.name
    assert isinstance(node, Call)
    return [node.function.name, [positions[arg] for arg in node.args]]


def _read(node: Any, made: Sequence[Expr]) -> Expr:
    if isinstance(node, str):
        return Symbol(node)
    first, second = node
    if isinstance(second, str):
        return Number(Fraction(int(first, 16), int(second, 16)))
    function, operands = FUNCTIONS[first], tuple(made[position] for position in second)
    if function.arity not in (None, len(operands)) or any(position < 0 for position in second):
        raise ValueError(f"not the operands of {first}: {second}")
    return Call(function, operands)
