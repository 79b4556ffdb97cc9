"""Stable expression to Program: each function becomes instructions, each constant its bits.

Constants are rounded once from their exact value. A product that only feeds a sum is fused with
it, unless the expression itself keeps account of its rounding errors. A comparison with a number
that the format does not hold decides as the exact one would.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import (
    Call,
    Expr,
    Function,
    Number,
    Symbol,
    free_symbols,
    walk,
)
from gradsmith.numerics.builder import (
    Builder,
    Value,
    convert,
    equal,
    fma,
    maximum,
    minimum,
    round_to_odd,
    select,
)
from gradsmith.numerics.elementary import ELEMENTARY
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.power import integer_power
from gradsmith.numerics.program import BOOL, F32, F64, Program, Type, bits_of_number, number_of_bits

_CONSTANT_BITS = 200  # far beyond any format's, so that rounding the midpoint rounds the constant
_MAX_POWER = 64  # up to here by squaring
_COMPENSATION = frozenset({v.product_error, v.sum_error})


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a Program computes: in which format, with elementary functions how accurate."""

    compute: Type
    accuracy: Accuracy

    def __str__(self) -> str:
        return f"{self.compute.label}, {self.accuracy.name.lower()} accuracy"


def lower(
    roots: Sequence[Expr],
    inputs: Mapping[str, Type],
    scheme: Scheme,
    storage: Type | None = None,
) -> Program:
    """A Program that computes ``roots``.

    Args:
        roots: expressions over ``inputs``; shared parts are computed once.
        inputs: the type in which each input comes.
        scheme: how to compute.
        storage: what the results are rounded to; left out, they stay as computed.

    Raises:
        NotImplementedError: a function has neither instructions nor a definition.
    """
    builder = Builder()
    given = {name: builder.input(name, kind) for name, kind in inputs.items()}
    writer = _Writer(builder, scheme, roots)
    for name, value in given.items():
        writer.done[Symbol(name)] = _converted(value, scheme.compute)
    results = [writer.value(root) for root in roots]
    if storage is not None:
        results = [_converted(result, storage) for result in results]
    return builder.program(*results)


def _converted(value: Value, kind: Type) -> Value:
    if value.type is F64 and kind.bits == 16:
        value = round_to_odd(value)
    if value.type.bits == 16 and kind is F64:
        value = convert(value, F32)
    return convert(value, kind)


class _Writer:
    """One Program being written."""

    def __init__(self, builder: Builder, scheme: Scheme, roots: Sequence[Expr]) -> None:
        self.builder = builder
        self.kind = scheme.compute
        self.accuracy = scheme.accuracy
        self.done: dict[Expr, Value] = {}
        self.uses: dict[Expr, int] = {}
        for node in walk(*roots):
            for arg in node.args:
                self.uses[arg] = self.uses.get(arg, 0) + 1
        # What is computed of a rounding error holds for the rounded product, not for a fused one.
        self.may_fuse = not any(
            isinstance(node, Call) and node.function in _COMPENSATION for node in walk(*roots)
        )

    def value(self, root: Expr) -> Value:
        """The value of an expression; what was written before is used again."""
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.done:
                stack.pop()
                continue
            missing = [arg for arg in self.needed(node) if arg not in self.done]
            if missing:
                stack.extend(reversed(missing))
            else:
                self.done[stack.pop()] = self.write(node)
        return self.done[root]

    def needed(self, node: Expr) -> Sequence[Expr]:
        """What must be there before the node is written."""
        if not free_symbols(node) and not _is_condition(node):
            return ()
        product = self.fused(node)
        if product is not None:
            others = [arg for arg in node.args if arg is not product]
            return (*product.args, *others)
        assert isinstance(node, Call)
        if node.function is v.POW and not free_symbols(node.args[1]):
            return node.args[:1]
        if node.function in v.COMPARISONS:
            return [arg for arg in node.args if free_symbols(arg)]
        if not any(node.function in table for table in (_RULES, _EXTREMA, ELEMENTARY)):
            expanded = v.expand_definition(node)
            if expanded is node:
                raise NotImplementedError(f"no instructions for {node.function.name}")
            return (expanded,)
        return node.args

    def write(self, node: Expr) -> Value:
        """The instructions of one node whose operands are there."""
        if not free_symbols(node) and not _is_condition(node):
            return self.builder.number(self.kind, _constant(node))
        assert isinstance(node, Call)
        product = self.fused(node)
        if product is not None:
            return self.fused_sum(node, product)
        if node.function is v.POW and not free_symbols(node.args[1]):
            return self.power(self.done[node.args[0]], _constant(node.args[1]))
        if node.function in v.COMPARISONS:
            return self.comparison(node)
        if node.function in _EXTREMA:
            return self.extremum(node)
        if node.function is v.DIV and (by := self.reciprocal(node.args[1])) is not None:
            return self.done[node.args[0]] * by
        if node.function in _RULES:
            return _RULES[node.function](*(self.done[arg] for arg in node.args))
        if node.function in ELEMENTARY:
            operands = [self.done[arg] for arg in node.args]
            return ELEMENTARY[node.function](*operands, self.accuracy)
        return self.done[v.expand_definition(node)]

    def fused(self, node: Expr) -> Call | None:
        """The product that can be computed together with the sum of which it is a term."""
        if not (self.may_fuse and isinstance(node, Call) and node.function in (v.ADD, v.SUB)):
            return None
        for arg in node.args:
            if not (isinstance(arg, Call) and arg.function is v.MUL and free_symbols(arg)):
                continue
            if self.uses.get(arg, 0) == 1 and arg not in self.done:
                return arg
        return None

    def fused_sum(self, node: Call, product: Call) -> Value:
        """a·b + c, a·b − c or c − a·b with one rounding."""
        a, b = (self.done[arg] for arg in product.args)
        first = node.args[0] is product
        other = self.done[node.args[1 if first else 0]]
        if node.function is v.ADD:
            return fma(a, b, other)
        return fma(a, b, -other) if first else fma(-a, b, other)

    def reciprocal(self, divisor: Expr) -> Fraction | None:
        """What to multiply with instead: exact for powers of two, else where digits are spare."""
        if free_symbols(divisor):
            return None
        value = _constant(divisor)
        if isinstance(value, float) or value == 0:
            return None
        size = abs(value)
        power_of_two = (
            (size.numerator & (size.numerator - 1))
            == 0
            == (size.denominator & (size.denominator - 1))
        )
        return 1 / value if power_of_two or self.accuracy is Accuracy.SHORT else None

    def power(self, base: Value, exponent: Fraction | float) -> Value:
        """A power with a constant exponent."""
        if isinstance(exponent, Fraction) and exponent.denominator <= 2:
            whole, half = divmod(exponent, 1)
            if abs(whole) <= _MAX_POWER and not half:
                return integer_power(base, int(whole), self.accuracy)
            if exponent == Fraction(1, 2):
                return ELEMENTARY[v.sqrt](base, self.accuracy)
        by = self.builder.number(self.kind, exponent)
        return ELEMENTARY[v.POW](base, by, self.accuracy)

    def extremum(self, node: Call) -> Value:
        """Maximum or minimum, NaN if an operand is."""
        a, b = node.args if free_symbols(node.args[0]) else reversed(node.args)
        larger = _EXTREMA[node.function](self.done[a], self.done[b])
        if not free_symbols(b):
            return larger
        return select(equal(self.done[b], self.done[b]), larger, self.done[b])

    def comparison(self, node: Call) -> Value:
        """A constant is moved to the neighbour on the side where nothing else changes."""
        known = [_constant(arg) for arg in node.args if not free_symbols(arg)]
        if len(known) == 2:
            return self.truth(_EXACTLY[node.function](*known))
        if node.function in (v.EQ, v.NE) and any(self.beside(c, True) != c for c in known):
            return self.truth(node.function is v.NE)  # no number of the format is that constant
        operands = []
        for position, arg in enumerate(node.args):
            if free_symbols(arg):
                operands.append(self.done[arg])
            else:
                up = (node.function in (v.LT, v.GE)) == (position == 1)
                operands.append(self.builder.number(self.kind, self.beside(_constant(arg), up)))
        return _RULES[node.function](*operands)

    def truth(self, holds: bool) -> Value:
        """A truth value as a constant."""
        return self.builder.constant(BOOL, int(holds))

    def beside(self, value: Fraction | float, up: bool) -> Fraction | float:
        """The number itself, or the next one above or below that the format holds."""
        bits = bits_of_number(self.kind, value)
        near = number_of_bits(self.kind, bits)
        if not isfinite(near) or near == value or (near > value) == up:
            return near
        # Counting up moves away from zero, on either side of it.
        away = (near > 0 or (near == 0 and up)) == up
        return number_of_bits(self.kind, bits + (1 if away else -1))


def _is_condition(node: Expr) -> bool:
    return isinstance(node, Call) and node.function.boolean


def _constant(node: Expr) -> Fraction | float:
    """The exact value of a constant expression as closely as any format could ask."""
    if isinstance(node, Number):
        return node.value
    ball = Evaluator(node, ())(bits=_CONSTANT_BITS)
    middle = ball.mid()
    if not middle.is_finite():
        return float(middle)
    mantissa, exponent = middle.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _product_error(a: Value, b: Value) -> Value:
    return _finite_or_zero(fma(a, b, -(a * b)))


def _sum_error(a: Value, b: Value) -> Value:
    total = a + b
    part = total - a
    return _finite_or_zero((a - (total - part)) + (b - part))


def _finite_or_zero(error: Value) -> Value:
    return select(equal(error - error, 0.0), error, 0.0)


_EXACTLY: dict[Function, Callable[..., bool]] = {
    v.LT: operator.lt,
    v.LE: operator.le,
    v.GT: operator.gt,
    v.GE: operator.ge,
    v.EQ: operator.eq,
    v.NE: operator.ne,
}
_EXTREMA: dict[Function, Callable[[Value, Value], Value]] = {
    v.maximum: maximum,  # each keeps NaN of its first operand
    v.minimum: minimum,
}

_RULES: dict[Function, Callable[..., Value]] = {
    v.ADD: lambda a, b: a + b,
    v.SUB: lambda a, b: a - b,
    v.MUL: lambda a, b: a * b,
    v.DIV: lambda a, b: a / b,
    v.NEG: lambda a: -a,
    v.LT: lambda a, b: a < b,
    v.LE: lambda a, b: a <= b,
    v.GT: lambda a, b: a > b,
    v.GE: lambda a, b: a >= b,
    v.EQ: equal,
    v.NE: lambda a, b: ~equal(a, b),
    v.AND: lambda a, b: a & b,
    v.OR: lambda a, b: a | b,
    v.NOT: lambda a: ~a,
    v.where: select,
    v.product_error: _product_error,
    v.sum_error: _sum_error,
}
