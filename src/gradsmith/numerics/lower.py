"""Stable expression to Program: each function becomes instructions, each constant its bits.

Constants are rounded once from their exact value. A product that only feeds a sum is fused with
it, unless the expression itself keeps account of its rounding errors. A comparison with a number
that the format does not hold decides as the exact one would.
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from threading import Lock
from typing import Any

from gradsmith.calculus.exact import Evaluator, middle
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
from gradsmith.numerics.arithmetic import DOUBLE_WORDS, Arithmetic, of_words
from gradsmith.numerics.builder import Builder, Value, convert, fma
from gradsmith.numerics.double_word import of_number
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.fewer_divisions import with_fewer_choices, with_fewer_divisions
from gradsmith.numerics.known_ranges import known_ranges
from gradsmith.numerics.program import (
    BOOL,
    F32,
    F64,
    Program,
    Type,
    bits_of_number,
    is_power_of_two,
    number_of_bits,
)

_CONSTANT_BITS = 200  # far beyond any format's, so that rounding the midpoint rounds the constant
_COMPENSATION = frozenset({v.product_error, v.sum_error})


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a Program computes: in which format, with elementary functions how accurate.

    With ``double_word``, which float32 alone has, each number is a sum of two of the format, and
    results are rounded once: its functions have one accuracy.
    """

    compute: Type
    accuracy: Accuracy
    double_word: bool = False

    def __post_init__(self) -> None:
        if self.double_word and self.compute is not F32:
            raise ValueError(f"there are double words of f32 only, not of {self.compute.label}")

    def __str__(self) -> str:
        how = "double words" if self.double_word else f"{self.accuracy.name.lower()} accuracy"
        return f"{self.compute.label}, {how}"

    @property
    def arithmetic(self) -> Arithmetic:
        """What its numbers are, and what is done with them."""
        return DOUBLE_WORDS if self.double_word else of_words(self.compute, self.accuracy)


def lower(
    roots: Sequence[Expr],
    inputs: Mapping[str, Type],
    scheme: Scheme,
    storage: Type | Sequence[Type] | None = None,
    numbers: Collection[str] = (),
    short: Collection[str] = (),
) -> Program:
    """A Program that computes ``roots``.

    Args:
        roots: expressions over ``inputs``; shared parts are computed once.
        inputs: the type in which each input comes.
        scheme: how to compute.
        storage: what the results are rounded to, all alike or each; left out, they stay as
            computed.
        numbers: names of the inputs that are one number for all elements: what is computed of
            them alone costs nothing.
        short: names of the float64 inputs that float32 holds too.

    Raises:
        NotImplementedError: a function has neither instructions nor a definition.
    """
    writer = _begun(roots, inputs, scheme, numbers, short)
    kinds = storage or scheme.compute
    kinds = [kinds] * len(roots) if isinstance(kinds, Type) else kinds
    rounded = map(scheme.arithmetic.rounded, map(writer.value, writer.roots), kinds)
    return writer.builder.program(*rounded)


class Written:
    """What computes an expression: Programs that differ in the type of the result alone.

    For the arguments see :func:`lower`.
    """

    def __init__(
        self, root: Expr, inputs: Mapping[str, Type], scheme: Scheme, numbers: Collection[str] = ()
    ) -> None:
        self._writer = _begun((root,), inputs, scheme, numbers)
        self._value = self._writer.value(*self._writer.roots)
        self._programs: dict[Type, Program] = {}
        self._writing = Lock()

    def stored_as(self, kind: Type | None = None) -> Program:
        """The Program with a result of that type; left out, the one that is computed in."""
        arithmetic, builder = self._writer.arithmetic, self._writer.builder
        kind = kind or arithmetic.kind
        with self._writing:
            if kind not in self._programs:
                self._programs[kind] = builder.program(arithmetic.rounded(self._value, kind))
            return self._programs[kind]


def _begun(
    roots: Sequence[Expr],
    inputs: Mapping[str, Type],
    scheme: Scheme,
    numbers: Collection[str],
    short: Collection[str] = (),
) -> _Writer:
    """What has written nothing yet but the inputs."""
    # The quotients of double words keep account of more than their values, and of more range.
    roots = with_fewer_choices(roots) if scheme.double_word else with_fewer_divisions(roots)
    builder = Builder()
    given = {name: builder.input(name, kind) for name, kind in inputs.items()}
    arithmetic = scheme.arithmetic
    held = [Symbol(n) for n, kind in inputs.items() if kind is not F64 and n not in numbers]
    writer = _Writer(builder, arithmetic, roots, numbers, held)
    for name, value in given.items():
        is_short = name in short and scheme.compute is F32
        taken = arithmetic.taken(convert(value, F32) if is_short else value)
        one_for_all = scheme.double_word and name in numbers
        writer.done[Symbol(name)] = of_number(taken) if one_for_all else taken
    return writer


class _Writer:
    """One Program being written. What it holds of a number, its arithmetic alone knows."""

    def __init__(
        self,
        builder: Builder,
        arithmetic: Arithmetic,
        roots: Sequence[Expr],
        numbers: Collection[str],
        inputs: Collection[Expr] = (),
    ) -> None:
        self.builder = builder
        self.roots = roots
        self.numbers = {Symbol(name) for name in numbers}
        self.arithmetic = arithmetic
        self.kind = arithmetic.kind
        self.done: dict[Expr, Any] = {}
        self.within = known_ranges(roots, inputs, _constant) if arithmetic.within else {}
        calls = [node for node in walk(*roots) if isinstance(node, Call)]
        self.uses = Counter(arg for call in calls for arg in call.args)
        self.quotients = Counter(call.args[1] for call in calls if call.function is v.DIV)
        # What is computed of a rounding error holds for the rounded product, not for a fused one.
        self.may_fuse = arithmetic.fuses and not any(
            call.function in _COMPENSATION for call in calls
        )

    def value(self, root: Expr) -> Any:
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
        known = (self.arithmetic.rules, self.arithmetic.extrema, self.arithmetic.functions)
        if node.function in self.arithmetic.tables:
            return [arg for arg in node.args if not isinstance(arg, Number)]
        if not any(node.function in table for table in known):
            expanded = v.expand_definition(node)
            if expanded is node:
                raise NotImplementedError(f"no instructions for {node.function.name}")
            return (expanded,)
        return node.args

    def write(self, node: Expr) -> Any:
        """The instructions of one node whose operands are there."""
        if not free_symbols(node) and not _is_condition(node):
            return self.number(_constant(node))
        assert isinstance(node, Call)
        product = self.fused(node)
        if product is not None:
            return self.fused_sum(node, product)
        if node.function is v.POW and not free_symbols(node.args[1]):
            return self.arithmetic.power(self.done[node.args[0]], _constant(node.args[1]))
        if node.function in v.COMPARISONS:
            return self.comparison(node)
        if node.function in self.arithmetic.extrema:
            return self.extremum(node)
        if node.function in self.arithmetic.tables:
            operands = [self.done[arg] for arg in node.args if not isinstance(arg, Number)]
            entries = [arg.value for arg in node.args if isinstance(arg, Number)]
            return self.arithmetic.tables[node.function](*operands, entries)
        rules, functions = self.arithmetic.rules, self.arithmetic.functions
        if node.function is v.DIV and (by := self.reciprocal(node.args[1])) is not None:
            return rules[v.MUL](self.done[node.args[0]], self.number(by))
        if node.function is v.DIV and self.inverts(node.args[1]):
            inverse = rules[v.DIV](self.number(Fraction(1)), self.done[node.args[1]])
            is_one = node.args[0] == Number(1)
            return inverse if is_one else rules[v.MUL](self.done[node.args[0]], inverse)
        if node.function in rules or node.function in functions:
            write = rules.get(node.function) or functions[node.function]
            operands = [self.done[arg] for arg in node.args]
            if node in self.within and node.function in self.arithmetic.within:
                of, low, high = self.within[node]
                narrowed = self.arithmetic.within[node.function](low, self.done[of], high)
                operands = [narrowed if arg is of else self.done[arg] for arg in node.args]
            return write(*operands)
        return self.done[v.expand_definition(node)]

    def number(self, value: Fraction | float) -> Any:
        """A constant."""
        return self.arithmetic.number(self.builder, value)

    def fused(self, node: Expr) -> Call | None:
        """The product that can be computed together with the sum of which it is a term."""
        if not (self.may_fuse and isinstance(node, Call) and node.function in (v.ADD, v.SUB)):
            return None
        for arg in node.args:
            if not (isinstance(arg, Call) and arg.function is v.MUL and free_symbols(arg)):
                continue
            if self.uses[arg] == 1 and arg not in self.done:
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
        """What to multiply with instead: exact for powers of two, else where it is as good."""
        if free_symbols(divisor):
            return None
        value = _constant(divisor)
        if isinstance(value, float) or value == 0:
            return None
        return 1 / value if is_power_of_two(value) or not self.arithmetic.divides else None

    def inverts(self, divisor: Expr) -> bool:
        """Whether to multiply with the reciprocal: one for all elements, or several quotients."""
        symbols = free_symbols(divisor)
        if self.arithmetic.divides or not symbols:
            return False
        several = self.quotients[divisor] > 1 and self.arithmetic is not DOUBLE_WORDS
        return several or self.numbers.issuperset(symbols)

    def extremum(self, node: Call) -> Any:
        """Maximum or minimum, NaN if an operand is."""
        a, b = node.args if free_symbols(node.args[0]) else reversed(node.args)
        larger = self.arithmetic.extrema[node.function](self.done[a], self.done[b])
        if not free_symbols(b):
            return larger
        rules, other = self.arithmetic.rules, self.done[b]
        return rules[v.where](rules[v.EQ](other, other), larger, other)

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
                operands.append(self.number(self.beside(_constant(arg), up)))
        holds: Value = self.arithmetic.rules[node.function](*operands)
        return holds

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
    return middle(ball) if ball.mid().is_finite() else float(ball.mid())


_EXACTLY: dict[Function, Callable[..., bool]] = {
    v.LT: operator.lt,
    v.LE: operator.le,
    v.GT: operator.gt,
    v.GE: operator.ge,
    v.EQ: operator.eq,
    v.NE: operator.ne,
}
