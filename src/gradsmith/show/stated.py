"""A long expression as lines that a person can follow: each part that recurs gets a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction

from gradsmith.formula.expression import Call, Expr, Number, Symbol, free_symbols, walk, with_args

_LONGEST = 24  # characters of a number
_NAMES = "uvwstrpqhkmn"


def stated(expression: Expr) -> list[str]:
    """``u = …`` for every part that occurs more than once, then the whole in terms of them."""
    uses = Counter(arg for node in walk(expression) for arg in node.args)
    names = _unused({symbol.name for symbol in free_symbols(expression)})
    done: dict[Expr, Expr] = {}
    lines = []
    for node in walk(expression):
        rebuilt = with_args(node, tuple(done[arg] for arg in node.args))
        if isinstance(node, Number):
            rebuilt = _short(node)
        elif isinstance(node, Call) and node.args and uses[node] > 1 and free_symbols(node):
            name = Symbol(next(names))
            lines.append(f"{name} = {rebuilt}")
            rebuilt = name
        done[node] = rebuilt
    return [*lines, str(done[expression])]


def _short(number: Number) -> Expr:
    """A number that takes many digits as a power of two or as the nearest float."""
    if len(str(number)) <= _LONGEST:
        return number
    size = abs(number.value)
    sign = "-" if number.value < 0 else ""
    exponent = (size.numerator.bit_length() - 1) - (size.denominator.bit_length() - 1)
    power = f"2**{exponent}" if exponent >= 0 else f"2**({exponent})"
    return Symbol(sign + (power if size == Fraction(2) ** exponent else repr(float(size))))


def _unused(taken: set[str]) -> Iterator[str]:
    round_ = 0
    while True:
        for letter in _NAMES:
            name = letter + (str(round_) if round_ else "")
            if name not in taken:
                yield name
        round_ += 1
