"""Sums, products, quotients, roots and powers of double words; see :mod:`.double_word`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from math import frexp, inf

from gradsmith.numerics.builder import Value, fma, maximum, minimum, select, sqrt, two_sum
from gradsmith.numerics.double_word import (
    EVERYTHING,
    LEAST,
    MODERATE,
    UNIT,
    DoubleWord,
    Range,
    changed,
    choose,
    negative,
    normalised,
    number,
    or_zero,
    plain,
    slack,
    with_factor_of,
    word,
)
from gradsmith.numerics.program import is_power_of_two

ASIDE = 64
"""What is tiny is kept times 2 to this power."""
_LARGE = 2.0**30
_LARGEST = 2.0**126
_TINY = 2.0**-90  # and a product of which the second word is subnormal
LEAN = 2.0**-20
"""By this share first words are smaller than their number, so that second ones are positive: more
than all that first words lack anyway, and so little that what it makes a product of second words
is still far below what counts."""
_STEPS = 4  # up to so many divisions


def add(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """The sum a + b."""
    if a.sizes[::-1] < b.sizes[::-1]:
        a, b = b, a
    for one, other in ((a, b), (b, a)):
        if one.known == 1 and other.plus_one is not None:
            return other.plus_one()
    b = with_factor_of(a, b)
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
    elif min(a.range[0], b.range[0]) >= 0:
        high = a.high + b.high
        low = minimum(a.high, b.high) - (high - maximum(a.high, b.high))
    else:
        high, low = two_sum(a.high, b.high)
    if b.low is not None:
        low = low + b.low if factor == 1.0 else fma(b.low, factor, low)
    low = low if a.low is None else low + a.low
    span = _range(a.range[0] + b.range[0], a.range[1] + b.range[1])
    finite = a.sound and b.sound and max(map(abs, span)) < MODERATE
    result = DoubleWord(high, low, span, a.factor, sound=finite)
    if a.low is None and b.low is None:
        return replace(result, slack=1.0, nearest=lambda: high)
    if a.range[0] < 0 < b.range[1] or b.range[0] < 0 < a.range[1]:  # where terms cancel
        return normalised(result)
    return replace(result, slack=1.0 + max(slack(a), slack(b)))


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
    elif b.factor == a.factor and not (a.invertible or b.invertible):
        # Both may be tiny, but only one can stay set apart: the smaller.
        larger = abs(b.high) < abs(a.high)
        a, b = choose(larger, b, a), choose(larger, a, b)
    a, b = plain(a) if a.invertible else a, plain(b)
    for one, other in ((a, b), (b, a)):
        if one.known is not None and one.low is None and is_power_of_two(one.known):
            return _times_power_of_two(other, one)
    if a.factor != 1.0:
        return _product_of(a, b) if b.moderate else _product_of(*_balanced(a, b, a.factor))
    result = _product_of(a, b)
    if a.low is None:
        a, b = b, a  # b is the one that is moved
    if a.low is None or b.sizes[0] > 1 / MODERATE or (a.linear and b.ordinary):
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
    assert power.known is not None
    if power.known == 1:
        return a
    result = replace(
        a,
        range=_span(a, power),
        known=None,
        power=None,
        quotient=None,
        careful=None,
        single=None,
        leaning=changed(partial(_times_power_of_two, power=power), a.leaning),
    )
    if isinstance(a.factor, float) and a.factor != 1.0 and 0 < power.known < _LARGE:
        return replace(result, factor=a.factor * float(power.known))
    low = None if a.low is None else a.low * power.high
    word = changed(lambda value: value * power.high, a.nearest if abs(power.known) > 1 else None)
    return replace(result, high=a.high * power.high, low=low, nearest=word)


def _product_of(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    high = a.high * b.high
    low = fma(a.high, b.high, -high)
    if a is b and a.low is not None:
        low = fma(a.high + a.high, a.low, low)
    elif a is not b:
        low = low if b.low is None else fma(a.high, b.low, low)
        low = low if a.low is None else fma(b.high, a.low, low)
    finite = a.sound and b.sound and a.moderate and b.moderate
    result = DoubleWord(
        high, low, _span(a, b), a.factor, sound=finite, slack=1.0 + slack(a) + slack(b)
    )
    result = replace(result, nearest=lambda: _nearest_product(a, b, result))
    if not finite or result.slack + 1.0 >= LEAN / UNIT:
        return result
    for one, other in ((a, b), (b, a)):
        if one.leaning is not None:
            return replace(result, leaning=partial(_leaning_product, one.leaning, other))
    return result


def _leaning_product(leaning: Callable[[], DoubleWord], b: DoubleWord) -> DoubleWord:
    product = _product_of(replace(leaning(), leaning=None), replace(b, leaning=None))
    return replace(product, nearest=None)


def _nearest_product(a: DoubleWord, b: DoubleWord, product: DoubleWord) -> Value:
    """The product in one word: what its first word loses need not be known to be rounded with."""
    if a.low is None and b.low is None:
        return product.high
    for one, other in ((a, b), (b, a)):
        if other.low is None and one.leaning is not None:
            return _times_one_word(one.leaning(), other.high)
    if a is b:
        rest = (a.high + a.high) * or_zero(a)
    elif a.low is None:
        rest = a.high * or_zero(b)
    else:
        rest = b.high * a.low
        rest = rest if b.low is None else fma(a.high, b.low, rest)
    total = fma(a.high, b.high, rest)
    return total if product.safe else select(abs(rest) < abs(product.high), total, product.high)


def _times_one_word(leaning: DoubleWord, b: Value) -> Value:
    """The product in one word, infinities and zeros included."""
    return fma(leaning.high, b, or_zero(leaning) * b)


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
        size = abs(a.high * b.high)
        tiny = size < _TINY
        if a.sizes[0] < 1 / MODERATE:  # 0 times what is large stays 0
            tiny = tiny & (size > 0.0)
        moved = select(tiny, word(b, 2.0**ASIDE), one)
        kept = select(tiny, word(b, 2.0**-ASIDE), one)
    else:
        large = _too_large(a, b, factor)
        moved = select(large, factor, one)
        kept = select(large, one, factor)
    low = None if b.low is None else b.low * moved
    held = DoubleWord(b.high * moved, low, b.range, sound=b.sound)
    return replace(a, factor=kept, careful=None, single=None), held


def _too_large(a: DoubleWord, b: DoubleWord, factor: float | Value) -> Value:
    """Whether multiples of the first words may overflow where those of the numbers do not."""
    most = a.sizes[1] / factor if isinstance(factor, float) else inf
    if most == inf:
        return abs(a.high * b.high) >= _LARGEST
    end = min(2.0 ** (126 - frexp(most)[1]), MODERATE)
    return (b.high if b.range[0] > -end else abs(b.high)) >= end


def divide(a: DoubleWord, b: DoubleWord) -> DoubleWord:
    """The quotient a/b; where bⁿ may be out of range a/bⁿ in n steps."""
    if b.power is not None:
        base, exponent = b.power
        for _ in range(exponent):
            a = divide(a, base)
        return a
    given = a, b
    factor = a.factor
    if a.factor == 1.0 and isinstance(b.factor, float) and b.factor > 1.0:
        factor, b = 1.0 / b.factor, replace(b, factor=1.0)
    b = plain(b)
    inverse = _over(1.0, b)
    high = inverse if a.known == 1 else a.high * inverse
    left = _left_over(a, b, high)
    least, most = b.sizes
    span = EVERYTHING
    if b.range[0] > 0 or b.range[1] < 0:
        ends = [_quotient(p, q) for p in a.range for q in b.range]
        span = _range(min(ends), max(ends))
    if a.positive and b.positive:
        span = max(span[0], LEAST), span[1]
    moderate = (b.invertible or (least >= 1 / MODERATE and most <= MODERATE)) and a.moderate
    finite = a.sound and b.sound and moderate
    result = DoubleWord(high, left * inverse, span, factor, sound=finite, quotient=given)
    lacks = slack(a) + slack(b) + 2.0
    result = replace(result, slack=lacks)
    leans = b.positive and lacks < LEAN / UNIT - 1.0
    if not result.safe:
        if a.low is None and b.sound and leans and least >= 1 / MODERATE and most <= MODERATE:
            # The sign of the dividend is that of both terms.
            one = number(b.high.builder, Fraction(1))
            reciprocal = partial(_leaning_quotient, one, b, result)
            result = replace(result, nearest=lambda: _times_one_word(reciprocal(), a.high))
        return result
    if a.known == 1:
        # What is beyond is nothing in one word.
        whole = 1.0 / b.high
        result = replace(result, nearest=lambda: fma(whole, _left_over(a, b, whole), whole))
    elif a.low is not None:
        result = replace(result, nearest=lambda: _nearest_quotient(a, b, inverse))
    if result.positive and leans:
        result = replace(result, leaning=lambda: _leaning_quotient(a, b, result))
    return result


def _over(number: float, b: DoubleWord) -> Value:
    """The number over the first word of ``b``."""
    quotient = number / b.high
    return quotient if b.beyond is None else select(b.beyond, 0.0, quotient)


def _left_over(a: DoubleWord, b: DoubleWord, quotient: Value) -> Value:
    """What is left of ``a`` after the division."""
    left = fma(-quotient, b.high, a.high)
    left = left if a.low is None else left + a.low
    return left if b.low is None else fma(-quotient, b.low, left)


def _nearest_quotient(a: DoubleWord, b: DoubleWord, inverse: Value) -> Value:
    """The quotient in one word: its first one need not be known to be rounded with."""
    lost = fma(-inverse, b.high, 1.0)
    lost = lost if b.low is None else fma(-inverse, b.low, lost)
    return fma(a.high, inverse, fma(a.high, lost, or_zero(a)) * inverse)


def _leaning_quotient(a: DoubleWord, b: DoubleWord, quotient: DoubleWord) -> DoubleWord:
    inverse = _over(1.0 - LEAN, b)
    high = inverse if a.known == 1 else a.high * inverse
    low = _left_over(a, b, high) * inverse
    return replace(quotient, high=high, low=low, nearest=None, leaning=None, quotient=None)


def square_root(a: DoubleWord) -> DoubleWord:
    """√a."""
    a = plain(a)
    high = sqrt(a.high)
    left = fma(-high, high, a.high)
    left = left if a.low is None else left + a.low
    span = tuple(max(end, 0.0) ** 0.5 for end in a.range)
    finite = a.sound and a.range[0] > 1 / MODERATE and a.moderate
    return DoubleWord(
        high, left * (0.5 / high), (span[0], span[1]), sound=finite, slack=2.0 + slack(a)
    )


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
