"""Sums, products, quotients, roots and powers of double words; see :mod:`.double_word`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from math import inf

from gradsmith.numerics.builder import Value, fma, select, sqrt, two_sum
from gradsmith.numerics.double_word import (
    EVERYTHING,
    LEAST,
    MODERATE,
    DoubleWord,
    Range,
    negative,
    normalised,
    number,
    plain,
    word,
)
from gradsmith.numerics.program import is_power_of_two

ASIDE = 64
"""What is tiny is kept times 2 to this power."""
_LARGE = 2.0**30
_TINY = 2.0**-90  # and a product of which the second word is subnormal
_STEPS = 4  # up to so many divisions


def add(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """The sum a + b."""
    if a.sizes[::-1] < b.sizes[::-1]:
        a, b = b, a
    together = a.factor is b.factor or a.factor == b.factor
    if not together:
        a = plain(a)
    larger = a.sizes[0] >= b.sizes[1]
    if not (together or larger):
        b = plain(b)
    factor = 1.0 if together else b.factor
    low: Value | None
    if larger:
        high, low = _sum_of_larger(a.high, b.high, factor)
    else:
        high, low = two_sum(a.high, b.high)
    if b.low is not None:
        low = low + b.low if factor == 1.0 else fma(b.low, factor, low)
    low = low if a.low is None else low + a.low
    span = _range(a.range[0] + b.range[0], a.range[1] + b.range[1])
    finite = a.sound and b.sound and max(map(abs, span)) < MODERATE
    result = DoubleWord(high, low, span, a.factor, sound=finite)
    cancels = a.range[0] < 0 < b.range[1] or b.range[0] < 0 < a.range[1]
    exact = a.low is None and b.low is None
    return normalised(result) if cancels and not exact else result


def _sum_of_larger(a: Value, b: Value, factor: float | Value) -> tuple[Value, Value]:
    """The sum a + b·factor, where the first is the larger, and what it loses."""
    if factor == 1.0:
        high = a + b
        return high, (a - high) + b
    high = fma(b, factor, a)
    return high, fma(b, factor, a - high)


def subtract(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """The difference a − b."""
    return add(a, negative(b))


def multiply(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """The product a·b."""
    if (common := _by_the_same(a, b)) is not None:
        above, below = common
        return divide(above, multiply(below, below))
    if a.factor == 1.0:
        a, b = b, a
    b = plain(b)
    for one, other in ((a, b), (b, a)):
        if one.known is not None and one.low is None and is_power_of_two(one.known):
            return _times_power_of_two(other, one)
    if a.factor != 1.0:
        return _product_of(a, b) if b.moderate else _product_of(*_balanced(a, b, a.factor))
    result = _product_of(a, b)
    if a.low is None:
        a, b = b, a  # b is the one that is moved
    if a.low is None or b.sizes[0] > 1 / MODERATE:
        return result
    return replace(result, careful=lambda: _product_of(*_balanced(a, b, None)))


def _by_the_same(a: DoubleWord, b: DoubleWord) -> tuple[DoubleWord, DoubleWord] | None:
    """Of a·b = 1/q·p/q the parts p and q: of p/q² less is to be kept account of."""
    if a.quotient is None or b.quotient is None or a.quotient[1] is not b.quotient[1]:
        return None
    (one, other), below = (a.quotient[0], b.quotient[0]), a.quotient[1]
    if other.known == 1:
        one, other = other, one
    moderate = below.sizes[0] > 1 / _LARGE and below.sizes[1] < _LARGE
    return (other, below) if one.known == 1 and moderate else None


def _times_power_of_two(a: DoubleWord, power: DoubleWord) -> DoubleWord:
    if power.known == 1:
        return a
    low = None if a.low is None else a.low * power.high
    return DoubleWord(a.high * power.high, low, _span(a, power), a.factor, sound=a.sound)


def _product_of(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    high = a.high * b.high
    low = fma(a.high, b.high, -high)
    if a is b and a.low is not None:
        low = fma(a.high + a.high, a.low, low)
    elif a is not b:
        low = low if b.low is None else fma(a.high, b.low, low)
        low = low if a.low is None else fma(b.high, a.low, low)
    finite = a.sound and b.sound and a.moderate and b.moderate
    return DoubleWord(high, low, _span(a, b), a.factor, sound=finite)


def _span(a: DoubleWord, b: DoubleWord) -> Range:
    ends = [_product(p, q) for p in a.range for q in b.range]
    low, high = _range(min(ends), max(ends))
    return (max(low, LEAST) if a.positive and b.positive else low), high


def _balanced(
    a: DoubleWord, b: DoubleWord, factor: float | Value | None
) -> tuple[DoubleWord, DoubleWord]:
    """The operands of a product such that it stays in range, by a factor of its own.

    The factor of ``a`` is given to ``b`` where that is large. Where there is none, a tiny product
    gets one.
    """
    one = word(b, 1.0)
    if factor is None:
        tiny = abs(a.high * b.high) < _TINY
        moved = select(tiny, word(b, 2.0**ASIDE), one)
        kept = select(tiny, word(b, 2.0**-ASIDE), one)
    else:
        within = b.high < _LARGE if b.range[0] > -_LARGE else abs(b.high) < _LARGE
        moved = select(within, one, factor)
        kept = select(within, factor, one)
    low = None if b.low is None else b.low * moved
    held = DoubleWord(b.high * moved, low, b.range, sound=b.sound)
    return replace(a, factor=kept, careful=None), held


def divide(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """The quotient a/b; where bⁿ may be out of range a/bⁿ in n steps."""
    if b.power is not None:
        base, exponent = b.power
        for _ in range(exponent):
            a = divide(a, base)
        return a
    given = a, b
    b = plain(b)
    inverse = 1.0 / b.high
    high = inverse if a.known == 1 else a.high * inverse
    left = fma(-high, b.high, a.high)
    left = left if a.low is None else left + a.low
    left = left if b.low is None else fma(-high, b.low, left)
    least, most = b.sizes
    span = EVERYTHING
    if b.range[0] > 0 or b.range[1] < 0:
        ends = [_quotient(p, q) for p in a.range for q in b.range]
        span = _range(min(ends), max(ends))
    if a.positive and b.positive:
        span = max(span[0], LEAST), span[1]
    moderate = least > 1 / MODERATE and most < MODERATE and a.moderate
    finite = a.sound and b.sound and moderate
    return DoubleWord(high, left * inverse, span, a.factor, sound=finite, quotient=given)


def square_root(a: DoubleWord) -> DoubleWord:
    """√a."""
    a = plain(a)
    high = sqrt(a.high)
    left = fma(-high, high, a.high)
    left = left if a.low is None else left + a.low
    span = tuple(max(end, 0.0) ** 0.5 for end in a.range)
    finite = a.sound and a.range[0] > 1 / MODERATE and a.moderate
    return DoubleWord(high, left * (0.5 / high), (span[0], span[1]), sound=finite)


def integer_power(base: DoubleWord, exponent: int) -> DoubleWord:
    """baseⁿ by squaring."""
    if exponent < 0:
        return divide(number(base.high.builder, Fraction(1)), integer_power(base, -exponent))
    if exponent == 0:
        return number(base.high.builder, Fraction(1))
    result, rest, factor = None, exponent, base
    while rest:
        if rest & 1:
            result = factor if result is None else multiply(result, factor)
        rest >>= 1
        factor = multiply(factor, factor) if rest else factor
    assert result is not None
    in_steps = 1 < exponent <= _STEPS and not base.moderate
    return replace(result, power=(base, exponent)) if in_steps else result


def _range(low: float, high: float) -> Range:
    return (low, high) if low <= high else EVERYTHING  # of NaN nothing is known


def _product(p: float, q: float) -> float:
    return 0.0 if p == 0 or q == 0 else p * q


def _quotient(p: float, q: float) -> float:
    return 0.0 if p == 0 or abs(q) == inf else p / q
