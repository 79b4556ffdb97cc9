"""What each function of the vocabulary becomes, for numbers of one word and of two.

:mod:`gradsmith.numerics.lower` writes Programs by either table, and knows nothing of its numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from math import inf
from typing import Any

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Function
from gradsmith.numerics import double_word as double
from gradsmith.numerics import double_word_arithmetic as double_arithmetic
from gradsmith.numerics.bounds import Bounds
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
    two_sum,
)
from gradsmith.numerics.double_word import DoubleWord
from gradsmith.numerics.elementary import (
    ELEMENTARY,
    error_function_words,
    tabulated,
    tabulated_short,
    words,
)
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.power import integer_power
from gradsmith.numerics.program import F32, F64, Type

_MAX_POWER = 64  # up to here by squaring


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """One kind of number, and what is done with it.

    Attributes:
        kind: the format of its words.
        number: a constant.
        taken: an input.
        rounded: a number in a format, rounded once.
        rules: operations and comparisons.
        extrema: maximum and minimum; each keeps NaN of its first operand.
        functions: the elementary functions.
        tables: functions that numbers describe, which they take together, and last.
        within: functions that profit from knowing between which numbers their argument lies, and
            what tells them.
        power: a number to a constant power.
        fuses: whether a product and a sum may be rounded together.
        divides: whether dividing by a constant is closer than multiplying by its reciprocal.
    """

    kind: Type
    number: Callable[[Builder, Fraction | float], Any]
    taken: Callable[[Value], Any]
    rounded: Callable[[Any, Type], Value]
    rules: Mapping[Function, Callable[..., Any]]
    extrema: Mapping[Function, Callable[[Any, Any], Any]]
    functions: Mapping[Function, Callable[..., Any]]
    tables: Mapping[Function, Callable[..., Any]]
    within: Mapping[Function, Callable[[float, Any, float], Any]]
    power: Callable[[Any, Fraction | float], Any]
    fuses: bool
    divides: bool


def of_words(kind: Type, accuracy: Accuracy) -> Arithmetic:
    """Numbers of that format, and functions of that accuracy."""
    short = accuracy is Accuracy.SHORT
    narrow = kind is F32 and short
    return Arithmetic(
        kind,
        number=lambda builder, value: builder.number(kind, value),
        taken=partial(converted, kind=kind),
        rounded=_in_steps if short else converted,
        rules={**_OF_WORDS, v.MUL: _product} if narrow else _OF_WORDS,
        extrema={v.maximum: maximum, v.minimum: minimum},
        functions={f: partial(_of_accuracy, writes, accuracy) for f, writes in ELEMENTARY.items()},
        tables={v.tabulated: tabulated_short.tabulated} if narrow else {},
        within=dict.fromkeys((v.exp, v.expm1, v.log1p), _between) if short else {},
        power=partial(_power, accuracy),
        fuses=True,
        divides=not short,
    )


def converted(value: Value, kind: Type) -> Value:
    """A value in another format, rounded once."""
    if value.type is F64 and kind.bits == 16:
        value = round_to_odd(value)
    if value.type.bits == 16 and kind is F64:
        value = convert(value, F32)
    return convert(value, kind)


def _in_steps(value: Value, kind: Type) -> Value:
    """A value to some 31 digits in another format; to one of 16 bits by way of float32.

    That is 2⁻¹³ ULP of a half format farther off than rounding once, which takes ten operations.
    """
    near = convert(value, F32) if value.type is F64 and kind.bits == 16 else value
    return converted(near, kind)


def _of_accuracy(writes: Callable[..., Value], accuracy: Accuracy, *operands: Value) -> Value:
    return writes(*operands, accuracy)


@dataclass(frozen=True, slots=True, eq=False)
class _Between(Value):
    """A value whose function counts only where it lies between these numbers."""

    low: float
    high: float

    @property
    def bounds(self) -> Bounds:
        """Of what counts."""
        low, high = self.builder.bounds_of(self)
        return max(low, self.low), min(high, self.high)


def _between(low: float, x: Value, high: float) -> Value:
    return _Between(x.builder, x.number, x.type, low, high)


def _product(a: Value, b: Value) -> Value:
    """The product, whose sign is known where those of the factors are; rounding leaves it."""
    signs = {_sign(a), _sign(b)}
    product = a * b
    if 0 in signs:
        return product
    return product.builder.note(product, *((0.0, inf) if len(signs) == 1 else (-inf, 0.0)))


def _sign(a: Value) -> int:
    low, high = a.bounds
    return 1 if low >= 0 else -1 if high <= 0 else 0


def _power(accuracy: Accuracy, base: Value, exponent: Fraction | float) -> Value:
    if isinstance(exponent, Fraction):
        if exponent.denominator == 1 and abs(exponent) <= _MAX_POWER:
            return integer_power(base, int(exponent), accuracy)
        if exponent == Fraction(1, 2):
            return ELEMENTARY[v.sqrt](base, accuracy)
    return ELEMENTARY[v.POW](base, base.builder.number(base.type, exponent), accuracy)


def _product_error(a: Value, b: Value) -> Value:
    return _finite_or_zero(fma(a, b, -(a * b)))


def _sum_error(a: Value, b: Value) -> Value:
    return _finite_or_zero(two_sum(a, b)[1])


def _finite_or_zero(error: Value) -> Value:
    return select(equal(error - error, 0.0), error, 0.0)


_LOGIC: dict[Function, Callable[..., Value]] = {
    v.AND: operator.and_,
    v.OR: operator.or_,
    v.NOT: operator.invert,
}
_COMPARISONS: dict[Function, Callable[[Value, Value], Value]] = {
    v.LT: operator.lt,
    v.LE: operator.le,
    v.GT: operator.gt,
    v.GE: operator.ge,
    v.EQ: equal,
    v.NE: lambda a, b: ~equal(a, b),
}
_OF_WORDS: dict[Function, Callable[..., Value]] = {
    v.ADD: operator.add,
    v.SUB: operator.sub,
    v.MUL: operator.mul,
    v.DIV: operator.truediv,
    v.NEG: operator.neg,
    v.where: select,
    v.product_error: _product_error,
    v.sum_error: _sum_error,
    **_LOGIC,
    **_COMPARISONS,
}


def _power_of_double_word(base: DoubleWord, exponent: Fraction | float) -> DoubleWord:
    if isinstance(exponent, Fraction):
        if exponent.denominator == 1 and abs(exponent) <= _MAX_POWER:
            return double_arithmetic.integer_power(base, int(exponent))
        if exponent == Fraction(1, 2):
            return double_arithmetic.square_root(base)
    raise NotImplementedError(f"no power {exponent} of numbers in two words")


def _rounded(a: DoubleWord, kind: Type) -> Value:
    return double.rounded(a, kind) if kind is F64 else converted(double.rounded(a), kind)


def _nothing(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """What a sum or a product of double words loses is not known, and far below what is wanted."""
    return double.number(a.high.builder, Fraction(0))


_OF_TWO_WORDS: dict[Function, Callable[..., DoubleWord]] = {
    v.exp: words.exp,
    v.expm1: words.expm1,
    v.log: words.log,
    v.log1p: words.log1p,
    v.tanh: words.tanh,
    v.erfc: error_function_words.erfc,
    v.sqrt: double_arithmetic.square_root,
    v.abs_: double.absolute,
    v.sign: double.sign,
}

DOUBLE_WORDS = Arithmetic(
    F32,
    number=double.number,
    taken=double.of_input,
    rounded=_rounded,
    rules={
        v.ADD: double_arithmetic.add,
        v.SUB: double_arithmetic.subtract,
        v.MUL: double_arithmetic.multiply,
        v.DIV: double_arithmetic.divide,
        v.NEG: double.negative,
        v.where: double.choose,
        v.product_error: _nothing,
        v.sum_error: _nothing,
        **_LOGIC,
        **{f: partial(double.compare, relation) for f, relation in _COMPARISONS.items()},
    },
    extrema={v.maximum: double.larger, v.minimum: double.smaller},
    functions=_OF_TWO_WORDS,
    tables={v.tabulated: tabulated.tabulated},
    within=dict.fromkeys((*_OF_TWO_WORDS, v.ADD, v.SUB, v.MUL), double.between),
    power=_power_of_double_word,
    fuses=False,
    divides=False,
)
"""float32 in two words: results within about 0.51 ULP of float32."""
