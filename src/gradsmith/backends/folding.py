"""What happens to an expression before it is written as code.

Constants become numbers, small powers become products, and functions that the target does not
have are written out.
Nothing here changes a value by more than the rounding of the constants it computes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Function, Number, rebuild, with_args

MAX_POWER = 4
"""Up to here a power is a product: at most two multiplications, 1.5 ULP. ``pow`` has under 1."""

_MAX_BITS = 4096  # beyond, a rational number is rounded to float64
_HALF = Fraction(1, 2)

_MATH: dict[Function, Callable[[float], float]] = {
    v.exp: math.exp,
    v.expm1: math.expm1,
    v.exp2: math.exp2,
    v.log: math.log,
    v.log1p: math.log1p,
    v.log2: math.log2,
    v.log10: math.log10,
    v.sqrt: math.sqrt,
    v.sin: math.sin,
    v.cos: math.cos,
    v.tan: math.tan,
    v.atan: math.atan,
    v.sinh: math.sinh,
    v.cosh: math.cosh,
    v.tanh: math.tanh,
    v.asinh: math.asinh,
    v.erf: math.erf,
    v.erfc: math.erfc,
}
_EXACT: dict[Function, Callable[..., Fraction]] = {
    v.ADD: lambda a, b: a + b,
    v.SUB: lambda a, b: a - b,
    v.MUL: lambda a, b: a * b,
    v.DIV: lambda a, b: a / b,
    v.NEG: lambda a: -a,
    v.abs_: abs,
    v.sign: lambda a: Fraction((a > 0) - (a < 0)),
    v.maximum: max,
    v.minimum: min,
    v.square: lambda a: a * a,
    v.reciprocal: lambda a: 1 / a,
}
_CONSTANTS = {v.pi: math.pi, v.e: math.e}
_COMPARISONS: dict[Function, Callable[[Fraction, Fraction], bool]] = {
    v.LT: lambda a, b: a < b,
    v.LE: lambda a, b: a <= b,
    v.GT: lambda a, b: a > b,
    v.GE: lambda a, b: a >= b,
    v.EQ: lambda a, b: a == b,
    v.NE: lambda a, b: a != b,
}

# Their definitions do not give what they compute in floating point.
_ROUNDING = frozenset({v.product_error, v.sum_error, v.erfcx})

# Safe on the whole range, which the definitions that a reader knows are not.
_SAFE: dict[Function, Callable[..., Expr]] = {
    v.softplus: lambda x: v.maximum(x, 0) + v.log1p(v.exp(-v.abs_(x))),
    v.sech2: lambda x: (1 / v.cosh(x)) ** 2,
}


def prepare(root: Expr, has: Callable[[Call], bool]) -> Expr:
    """``root`` ready to be written for a target that has the calls for which ``has`` holds."""

    def replace(node: Expr, args: tuple[Expr, ...]) -> Expr:
        node = with_args(node, args)
        if not isinstance(node, Call):
            return node
        if (folded := _fold(node)) is not None:
            return folded
        if (simpler := _simpler(node)) is not None:
            return simpler
        clipped = _as_clip(node)
        if clipped is not None and has(clipped):
            return clipped
        if not has(node):
            return rebuild(_expanded(node), replace)
        if _is_constant(node) and node.function not in _ROUNDING:
            expanded = v.expand_definition(node)
            if expanded is not node:
                folded = rebuild(expanded, replace)
                return folded if isinstance(folded, Number) else node
        return node

    return rebuild(root, replace)


def _expanded(node: Call) -> Expr:
    if node.function in _SAFE:
        return _SAFE[node.function](*node.args)
    expanded = v.expand_definition(node)
    if expanded is node:
        raise NotImplementedError(f"no torch spelling and no definition of {node.function.name}")
    return expanded


def _simpler(node: Call) -> Expr | None:
    """The same value to the last bit, with fewer operations; None where there is none."""
    one, minus_one = Number(1), Number(-1)
    match node.function, node.args:
        case (v.MUL, (a, b)) if a is one or b is one:
            return b if a is one else a
        case (v.MUL, (a, b)) if a is minus_one or b is minus_one:
            return -b if a is minus_one else -a
        case (v.DIV, (a, b)) if b is one:
            return a
        case (v.ADD, (a, Number() as b)) if b.value < 0:
            return a - Number(-b.value)
        case (v.SUB, (a, Number() as b)) if b.value < 0:
            return a + Number(-b.value)
        case (v.POW, (a, Number() as b)):
            return _power(a, b.value)
        case (v.where, (condition, a, b)):
            holds = _truth(condition)
            return None if holds is None else (a if holds else b)
    return None


def _as_clip(node: Call) -> Call | None:
    """``max(min(a, high), low)`` in one step, for numbers in order."""
    inner = node.args[0]
    if not (node.function is v.maximum and isinstance(inner, Call) and inner.function is v.minimum):
        return None
    (a, high), low = inner.args, node.args[1]
    if not (isinstance(low, Number) and isinstance(high, Number) and low.value <= high.value):
        return None
    return Call(v.clip, (a, low, high))


def _power(base: Expr, exponent: Fraction) -> Expr | None:
    if exponent == _HALF:
        return v.sqrt(base)
    if exponent.denominator != 1 or abs(exponent) > MAX_POWER:
        return None
    if exponent < 0:
        # The reciprocal first: base**4 leaves the range long before the result does.
        base = 1 / base
    squared = base * base
    return (Number(1), base, squared, squared * base, squared * squared)[abs(int(exponent))]


def _truth(condition: Expr) -> bool | None:
    if not isinstance(condition, Call):
        return None
    if condition.function in _COMPARISONS:
        a, b = condition.args
        if isinstance(a, Number) and isinstance(b, Number):
            return _COMPARISONS[condition.function](a.value, b.value)
        return None
    known = [_truth(arg) for arg in condition.args]
    if condition.function is v.NOT:
        return None if known[0] is None else not known[0]
    decisive = condition.function is v.OR
    if decisive in known:
        return decisive
    return None if None in known else not decisive


def _fold(node: Call) -> Expr | None:
    """The constant call as a number; None where it is not constant or has no finite value."""
    values = [arg.value for arg in node.args if isinstance(arg, Number)]
    if not _is_constant(node):
        return None
    try:
        value = _evaluate(node.function, values)
    except (ArithmeticError, ValueError):
        return None
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    exact = Fraction(value)
    if exact.numerator.bit_length() + exact.denominator.bit_length() > _MAX_BITS:
        exact = Fraction(float(exact))
    return Number(exact)


def _is_constant(node: Call) -> bool:
    return all(isinstance(arg, Number) for arg in node.args)


def _evaluate(function: Function, values: list[Fraction]) -> Fraction | float | None:
    if function in _CONSTANTS:
        return _CONSTANTS[function]
    if function in _EXACT:
        return _EXACT[function](*values)
    if function in _MATH:
        return _MATH[function](float(values[0]))
    if function is v.POW:
        return _constant_power(*values)
    return None


def _constant_power(base: Fraction, exponent: Fraction) -> Fraction | float | None:
    bits = base.numerator.bit_length() + base.denominator.bit_length()
    if exponent.denominator == 1 and abs(exponent) * bits <= _MAX_BITS:
        return base**exponent
    if base < 0 and exponent.denominator != 1:
        return None
    return math.pow(base, exponent)
