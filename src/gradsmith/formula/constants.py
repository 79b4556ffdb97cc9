"""How large a formula and its constants can get, found without computing what would be too large.

Constants are folded later, exactly, so that a text as short as ``9**9**9`` could take for ever; and
functions of the catalogue can nest so that a short text stands for a huge formula.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Call, Expr, Function, Number, size, walk
from gradsmith.formula.vocabulary import (
    ADD,
    DIV,
    MUL,
    NEG,
    POW,
    SUB,
    e,
    exp,
    log,
    log1p,
    log2,
    log10,
    pi,
    rsqrt,
    sqrt,
)

MAX_SIZE = 50_000
"""Nodes of a formula whose catalogue functions are written out."""
MAX_DIGITS = 2**16
"""Binary digits of the numerator and the denominator of a constant together."""

_LARGEST = 1024  # log2 of what float64 holds

Constant = Fraction | float
"""The exact value where it is rational, and otherwise a float close to it."""


def refuse_excess(root: Expr) -> None:
    """Refuse a formula that takes too long to look at, or whose constants have no float64 value.

    Raises:
        FormulaError: says what is too large.
    """
    length = size(root)
    if length > MAX_SIZE:
        raise FormulaError(
            f"the formula has {float(min(length, 10**300)):.2g} terms when its functions are "
            f"written out; at most {MAX_SIZE:,} are read"
        )
    values: dict[Expr, Constant | None] = {}
    cancelling: set[Expr] = set()
    for node in walk(root):
        try:
            args = [values[arg] for arg in node.args]
            sure = [
                isinstance(v, Fraction) or a not in cancelling
                for v, a in zip(args, node.args, strict=True)
            ]
            if isinstance(node, Call) and all(sure) and _undefined(node.function, args):
                raise FormulaError(f"a constant of the formula is no real number: {_shown(node)}")
            values[node] = _constant(node, args)
            if not all(sure) or (isinstance(node, Call) and node.function in (ADD, SUB)):
                cancelling.add(node)  # if its value is a float, not even its sign is sure
        except OverflowError:
            raise FormulaError(
                f"a constant of the formula is too large for float64: {_shown(node)}"
            ) from None
        except ZeroDivisionError:
            raise FormulaError(f"the formula divides by zero: {_shown(node)}") from None
        except _TooManyDigitsError:
            raise FormulaError(
                f"a constant of the formula has too many digits to be computed: {_shown(node)}"
            ) from None


class _TooManyDigitsError(Exception):
    pass


_DOMAIN: dict[Function, tuple[int, bool]] = {
    log: (0, False),
    log2: (0, False),
    log10: (0, False),
    log1p: (-1, False),
    rsqrt: (0, False),
    sqrt: (0, True),
}
"""Where a function begins to have a value, and whether it has one there."""

_EXACT: dict[Function, Callable[..., Constant]] = {
    ADD: operator.add,
    SUB: operator.sub,
    MUL: operator.mul,
    DIV: operator.truediv,
    NEG: operator.neg,
}
_APPROXIMATE: dict[Function, Callable[..., float]] = {
    exp: math.exp,
    log: math.log,
    sqrt: math.sqrt,
    pi: lambda: math.pi,
    e: lambda: math.e,
}


def _constant(node: Expr, args: list[Constant | None]) -> Constant | None:
    """The value of a node, or None where it is no constant or not worth knowing."""
    if isinstance(node, Number):
        float(node.value)
        return node.value
    if not isinstance(node, Call):
        return None
    if node.function is DIV and args[1] == 0:
        raise ZeroDivisionError
    known = [arg for arg in args if arg is not None]
    if len(known) < len(args):
        return None
    if node.function in _EXACT:
        value = _EXACT[node.function](*known)
    elif node.function is POW:
        raised = _power(*known)
        if raised is None:
            return None
        value = raised
    elif node.function is exp or (node.function in _APPROXIMATE and min(known, default=1) > 0):
        value = _APPROXIMATE[node.function](*known)
    else:
        return None
    return _checked(value)


def _undefined(function: Function, args: list[Constant | None]) -> bool:
    """Whether a function has no real value at constants, which are exact or have a sure sign."""
    if function is POW:
        base, exponent = args
        fractional = isinstance(exponent, Fraction) and not _whole(exponent)
        return fractional and base is not None and base < 0
    if function not in _DOMAIN or args[0] is None:
        return False
    start, included = _DOMAIN[function]
    if isinstance(args[0], Fraction):
        return args[0] < start or (args[0] == start and not included)
    return args[0] < start - 1e-9 * abs(start)  # rounding has moved it by less


def _power(base: Constant, exponent: Constant) -> Constant | None:
    if not (isinstance(base, Fraction) and isinstance(exponent, Fraction) and _whole(exponent)):
        raised = float(base) ** float(exponent)
        return None if isinstance(raised, complex) else raised
    if not base:
        return base**exponent.numerator
    logarithm = math.log2(abs(base.numerator)) - math.log2(base.denominator)
    if logarithm * exponent.numerator > _LARGEST:
        raise OverflowError
    if _digits(base) * abs(exponent.numerator) > MAX_DIGITS:
        raise _TooManyDigitsError
    return base**exponent.numerator


def _whole(value: Fraction) -> bool:
    return value.denominator == 1


def _digits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def _checked(value: Constant) -> Constant:
    if math.isinf(float(value)):  # of a fraction that is too large this is an OverflowError
        raise OverflowError
    if isinstance(value, Fraction) and _digits(value) > MAX_DIGITS:
        raise _TooManyDigitsError
    return value


def _shown(node: Expr) -> str:
    # A number of thousands of digits is not worth reading, and Python refuses to write it.
    if any(isinstance(n, Number) and _digits(n.value) > 200 for n in walk(node)):
        return "one of them"
    text = str(node)
    return text if len(text) < 60 else "one of them"
