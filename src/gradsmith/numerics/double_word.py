"""Numbers as unevaluated sums of two words, for float32 results rounded once from float32 alone.

What a sum, a product, a quotient or a root loses to rounding is close to a number of the format,
and is kept as a second word (Joldes, Muller, Popescu: "Tight and rigorous error bounds for basic
building blocks of double-word arithmetic", ACM Trans. Math. Software 44(2), 2017). As the results
are rounded to one word in the end, what is far below its last place is left out: products of
second words, and the normalisation of sums in which nothing cancels.

Two things are known of each number while the Program is written, and spare instructions: a range,
so that of two summands the larger is known; and a power of two that it is multiplied with, so that
exponentials far below the smallest number of the format keep their digits until the end. And what
is a result, or is multiplied once more to be one, is often written in fewer instructions than both
of its words: those who write a number say how. Here is what does not round;
:mod:`gradsmith.numerics.double_word_arithmetic` has the rest.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf, isfinite, nextafter
from typing import TypeVar

from gradsmith.numerics.builder import (
    Builder,
    Value,
    bits,
    convert,
    equal,
    maximum,
    minimum,
    select,
    with_sign_of,
)
from gradsmith.numerics.program import (
    F32,
    F64,
    Type,
    bits_of_number,
    number_of_bits,
)

T = TypeVar("T")
Range = tuple[float, float]
EVERYTHING: Range = (-inf, inf)
LEAST = nextafter(0.0, 1.0)
"""A number not below this is positive, or +0 after an underflow: adding +0 keeps its sign."""
UNIT = 2.0**-24
"""The relative error of a rounding to one word."""
MODERATE = 2.0**60
"""Products and quotients of two numbers below this, and above its reciprocal, are in range."""


@dataclass(frozen=True, slots=True, eq=False)
class DoubleWord:
    """(high + low)·factor.

    Attributes:
        high: the nearest word, or one close to it.
        low: the rest; None where there is none. Where ``high`` is infinite it may be NaN, unless
            ``sound``.
        range: bounds of the number.
        factor: a power of two, 1 where nothing is set apart.
        known: the exact value of a constant.
        sound: whether ``low`` is finite wherever ``high`` is a number.
        power: of what it is which power, where it may be out of range.
        careful: writes the same for a result: what is tiny keeps its digits, which costs more.
        quotient: of what by what it is one.
        slack: the largest size of ``low``, in units of 2⁻²⁴ of the number.
        nearest: writes the word nearest to high + low, in fewer instructions than the sum takes.
        single: writes the float32 nearest to the number, where that takes fewer yet.
        leaning: writes the same with a second word of the sign of the first one, and 0 only where
            that is. Products with it need no guard: ∞ + ∞ is ∞, and −0 − 0 is −0.
        plus_one: writes 1 + the number in fewer instructions than the sum takes.
        invertible: whether its words have reciprocals, whatever the range says.
        beyond: where the number is so large that its reciprocal is taken for 0.
        ordinary: whether it is 0, or of a size from 2⁻⁶⁰ to 2⁶⁰.
        linear: whether ``low`` counts for nothing where the number is below 2⁻⁴⁰.
    """

    high: Value
    low: Value | None = None
    range: Range = EVERYTHING
    factor: float | Value = 1.0
    known: Fraction | None = None
    sound: bool = True
    power: tuple[DoubleWord, int] | None = None
    careful: Callable[[], DoubleWord] | None = None
    quotient: tuple[DoubleWord, DoubleWord] | None = None
    slack: float = inf
    nearest: Callable[[], Value] | None = None
    single: Callable[[], Value] | None = None
    leaning: Callable[[], DoubleWord] | None = None
    plus_one: Callable[[], DoubleWord] | None = None
    invertible: bool = False
    beyond: Value | None = None
    ordinary: bool = False
    linear: bool = False

    @property
    def positive(self) -> bool:
        """Whether it is positive, or +0."""
        return self.range[0] > 0

    @property
    def safe(self) -> bool:
        """Whether the sum of the words is finite where the first one is, and has its sign."""
        return self.sound and (self.range[0] > 0 or self.range[1] < 0)

    @property
    def moderate(self) -> bool:
        """Whether it is so far from overflow that products of two such numbers are too."""
        return self.ordinary or self.sizes[1] <= MODERATE

    @property
    def sizes(self) -> Range:
        """Bounds of its absolute value."""
        low, high = self.range
        least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
        return least, max(abs(low), abs(high))


def number(builder: Builder, value: Fraction | float) -> DoubleWord:
    """A constant."""
    near = number_of_bits(F32, bits_of_number(F32, value))
    high = builder.number(F32, value)
    if isinstance(value, float) or not isfinite(near):
        return DoubleWord(high, range=(near, near))
    rest = value - Fraction(near)
    low = builder.number(F32, rest) if rest else None
    leaning = (lambda: _leaning_number(builder, value)) if abs(near) > 1 / MODERATE else None
    span = float(value), float(value)
    return DoubleWord(high, low, span, known=value, slack=1.0, leaning=leaning)


def nearest_word(value: Fraction) -> Fraction:
    """The nearest float32 of a number in its range."""
    return Fraction(number_of_bits(F32, bits_of_number(F32, value)))


def _leaning_number(builder: Builder, value: Fraction) -> DoubleWord:
    below = value * (1 - Fraction(1, 2**23))
    high = nearest_word(below)
    low = builder.number(F32, value - high)
    return DoubleWord(builder.number(F32, high), low, (float(value), float(value)), known=value)


def of_input(value: Value) -> DoubleWord:
    """An input: exact, but of a float64 the nearest number of 48 digits."""
    if value.type is not F64:
        return DoubleWord(convert(value, F32))
    high = convert(value, F32)
    low = convert(value - convert(high, F64), F32)
    return DoubleWord(high, low, sound=False, slack=1.0)


def of_number(a: DoubleWord) -> DoubleWord:
    """An input that is one number for all elements: those far from 1 in size come as tensors."""
    return replace(a, ordinary=True, sound=True)


def between(low: float, a: DoubleWord, high: float) -> DoubleWord:
    """The same number where it is known to lie between two others, and anything elsewhere."""
    return replace(a, range=(max(a.range[0], low), min(a.range[1], high)), known=None)


def rounded(a: DoubleWord, kind: Type = F32) -> Value:
    """The nearest float32; −0 and infinity as the first word has them. As float64, all digits."""
    if a.single is not None and kind is not F64:
        return a.single()
    a = carefully(a)
    factor = a.factor if isinstance(a.factor, float) else convert(a.factor, kind)
    if kind is F64:
        total = convert(a.high, F64)
        total = total if a.low is None else total + convert(or_zero(sound(a)), F64)
    else:
        total = nearest(a)
    return total if factor == 1.0 else total * factor


def nearest(a: DoubleWord) -> Value:
    """The word nearest to high + low."""
    if a.low is None:
        return a.high
    if a.nearest is not None:
        return a.nearest()
    total = a.high + a.low
    return total if a.safe else select(abs(a.low) < abs(a.high), total, a.high)


def sound(a: DoubleWord) -> DoubleWord:
    """The same with a second word that is finite wherever the first one is a number."""
    if a.sound or a.low is None:
        return a
    return replace(a, low=select(equal(a.low - a.low, 0.0), a.low, 0.0), sound=True)


def plain(a: DoubleWord) -> DoubleWord:
    """The same number with nothing set apart."""
    if a.factor == 1.0:
        return a
    low = None if a.low is None else a.low * a.factor
    return DoubleWord(a.high * a.factor, low, a.range, sound=a.sound)


def with_factor_of(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """The number ``b`` with the factor of ``a``, where both are known and set something apart."""
    known = isinstance(a.factor, float) and isinstance(b.factor, float)
    if not known or a.factor == b.factor or 1.0 in (a.factor, b.factor):
        return b
    moved = plain(replace(b, factor=b.factor / a.factor))
    return replace(moved, factor=a.factor, slack=b.slack)


def negative(a: DoubleWord) -> DoubleWord:
    """−a."""
    low = None if a.low is None else -a.low
    known = None if a.known is None else -a.known
    span = -a.range[1], -a.range[0]
    return DoubleWord(
        -a.high,
        low,
        span,
        a.factor,
        known,
        a.sound,
        careful=changed(negative, a.careful),
        slack=a.slack,
        nearest=changed(operator.neg, a.nearest),
        leaning=changed(negative, a.leaning),
    )


def changed(change: Callable[[T], T], write: Callable[[], T] | None) -> Callable[[], T] | None:
    """Writes the changed number, where the other way of writing it is there."""
    return None if write is None else lambda: change(write())


def carefully(a: DoubleWord) -> DoubleWord:
    """The same number for a result: what is tiny keeps its digits, where that was arranged."""
    return a if a.careful is None else a.careful()


def absolute(a: DoubleWord) -> DoubleWord:
    """|a|."""
    if a.range[0] >= 0:
        return a
    low = None if a.low is None else bits(bits(a.low) ^ (bits(a.high) & -(2**31)))
    return DoubleWord(abs(a.high), low, a.sizes, a.factor, sound=a.sound, slack=a.slack)


def sign(a: DoubleWord) -> DoubleWord:
    """−1, 1, or what it is where that is ±0 or NaN."""
    return DoubleWord(select(a.high > 0.0, 1.0, select(a.high < 0.0, -1.0, a.high)), None, (-1, 1))


def with_sign(size: DoubleWord, x: DoubleWord) -> DoubleWord:
    """What is not negative, with the sign of ``x``."""
    low = None
    if size.low is not None:
        low = bits(bits(size.low) ^ (bits(x.high) & -(2**31)))
    most = size.range[1]
    high = with_sign_of(size.high, x.high)
    return DoubleWord(high, low, (-most, most), size.factor, sound=size.sound, slack=size.slack)


def normalised(a: DoubleWord) -> DoubleWord:
    """The same number with the nearest word as its first one."""
    a = sound(a)
    if a.low is None:
        return a
    high = a.high + a.low
    rest = (a.high - high) + a.low
    return DoubleWord(
        high, rest, a.range, a.factor, sound=a.moderate, slack=1.0, nearest=lambda: high
    )


def choose(condition: Value, a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """``a`` where the condition holds, else ``b``."""
    a, b = _set_apart_like(a, b), _set_apart_like(b, a)
    b = with_factor_of(a, b)
    factor = a.factor
    if not (factor is b.factor or factor == b.factor):
        factor = select(condition, word(a, a.factor), word(b, b.factor))
    low = None
    if a.low is not None or b.low is not None:
        low = select(condition, or_zero(a), or_zero(b))
    span = min(a.range[0], b.range[0]), max(a.range[1], b.range[1])
    high = select(condition, a.high, b.high)
    chosen = DoubleWord(high, low, span, factor, sound=a.sound and b.sound)
    chosen = replace(chosen, slack=max(slack(a), slack(b)))
    if a.careful is not None or b.careful is not None:
        chosen = replace(chosen, careful=lambda: choose(condition, carefully(a), carefully(b)))
    quick = a.nearest is not None and b.nearest is not None
    if quick or (a.low is None) != (b.low is None) or (a.safe and b.safe):
        chosen = replace(chosen, nearest=lambda: select(condition, nearest(a), nearest(b)))
    if (one := a.leaning) is not None and (other := b.leaning) is not None:
        chosen = replace(chosen, leaning=lambda: choose(condition, one(), other()))
    return chosen


def _set_apart_like(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """A constant with the same factor as a number that has one: then there is none to choose."""
    if a.known is None or a.factor != 1.0 or not isinstance(b.factor, float) or b.factor == 1.0:
        return a
    words = number(a.high.builder, a.known / Fraction(b.factor))

    def set_apart(words: DoubleWord) -> DoubleWord:
        return replace(words, range=a.range, factor=b.factor, known=None)

    return replace(set_apart(words), leaning=changed(set_apart, words.leaning))


def slack(a: DoubleWord) -> float:
    """The largest size of the second word, in units of 2⁻²⁴ of the number."""
    return 0.0 if a.low is None else a.slack


def or_zero(a: DoubleWord) -> Value:
    """The second word."""
    return word(a, 0.0) if a.low is None else a.low


def word(a: DoubleWord, value: float | Value) -> Value:
    """A word in the Program of ``a``."""
    return value if isinstance(value, Value) else a.high.builder.number(F32, value)


def larger(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """max(a, b); ``a`` where it is NaN."""
    span = max(a.range[0], b.range[0]), max(a.range[1], b.range[1])
    return _extremum(a, b, span, maximum, lambda p, q: p < q)


def smaller(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """min(a, b); ``a`` where it is NaN."""
    span = min(a.range[0], b.range[0]), min(a.range[1], b.range[1])
    return _extremum(a, b, span, minimum, lambda p, q: q < p)


def _extremum(
    a: DoubleWord,
    b: DoubleWord,
    span: Range,
    of_words: Callable[[Value, Value], Value],
    second: Callable[[Value, Value], Value],
) -> DoubleWord:
    a, b = plain(a), plain(b)
    if a.low is None and b.low is None:
        return DoubleWord(of_words(a.high, b.high), None, span)
    return replace(choose(compare(second, a, b), b, a), range=span)


def compare(relation: Callable[[Value, Value], Value], a: DoubleWord, b: DoubleWord) -> Value:
    """Whether the relation holds."""
    a, b = plain(a), plain(b)
    if a.low is None and b.low is None:
        return relation(a.high, b.high)
    a, b = sound(normalised(a)), sound(normalised(b))
    alike = equal(a.high, b.high)
    return (alike & relation(or_zero(a), or_zero(b))) | (~alike & relation(a.high, b.high))
