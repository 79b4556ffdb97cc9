"""Truncated Taylor series over balls, from 2^-(2^100) to 2^(2^100) and next to a constant.

A series in one variable t holds the coefficients of t⁰, t¹, … as balls, so that a value and its
derivatives come together. FLINT's ``arb_series`` is that, but what it holds as one number it loses
on wide balls: exp(x)/(1 + exp(x)) for x in [2¹⁰⁰, 2¹⁰¹], or the sign of 1 − tanh(x) there. A
:class:`Tail` therefore keeps exponents apart:

    value = exp(scale)·(main + exp(shift)·rest),    shift ≪ 0

A sum factors out its dominating scale, a product adds scales, a quotient subtracts them, and what
remains beside a constant keeps its own exponent until it is all there is. Where balls are
moderate, everything is a plain ``arb_series``. The number of coefficients is ``flint.ctx.cap``, the
precision ``flint.ctx.prec``.
"""

from __future__ import annotations

from typing import NamedTuple

from flint import arb, arb_series, ctx

_NARROW = arb(2) ** -20
_HUGE = arb(2) ** 64  # exponents in whose place an infinity or a zero stands


class Missing:
    """In place of a series: there is none, or the balls are too wide to tell."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


UNDEFINED = Missing("UNDEFINED")
"""Proven to have no value: log(−1), 1/0."""
UNDECIDED = Missing("UNDECIDED")
"""The balls overlap a pole, a kink or a boundary; more precision or a narrower input may tell."""


class Tail:
    """exp(scale)·(main + exp(shift)·rest); a missing scale is 0, a missing rest likewise."""

    __slots__ = ("main", "rest", "scale", "shift")

    def __init__(
        self,
        scale: arb_series | None,
        main: arb_series,
        shift: arb_series | None = None,
        rest: arb_series | None = None,
    ) -> None:
        self.scale, self.main, self.shift, self.rest = scale, main, shift, rest

    @property
    def terms(self) -> list[_Term]:
        """What is added to main: one term or none."""
        return [] if self.rest is None or self.shift is None else [(self.shift, self.rest)]

    def unscaled(self) -> arb_series:
        """As one series: main + exp(shift)·rest."""
        if self.rest is None or self.shift is None:
            return self.main
        return self.main + self.shift.exp() * self.rest


_Term = tuple[arb_series, arb_series]
Series = arb_series | Tail | Missing


class Value(NamedTuple):
    """mantissa·exp(exponent); a missing exponent is 0."""

    mantissa: arb
    exponent: arb | None = None

    def ball(self) -> arb:
        """As one ball: infinite, or around zero, where the exponent is beyond 2⁶⁴."""
        if self.exponent is None:
            return self.mantissa
        if self.exponent > _HUGE and not self.mantissa.contains(0):
            return arb.pos_inf() if self.mantissa > 0 else arb.neg_inf()
        if self.exponent < -_HUGE and abs(self.mantissa) < arb(2) ** (2**62):
            tiny = arb(2) ** -(2**64)
            return (-tiny).union(tiny)
        return self.mantissa * self.exponent.exp()

    def sign(self) -> int | None:
        """−1, 0 or 1, or None where the ball does not tell."""
        return sign_of(self.mantissa)

    def magnitude(self) -> arb:
        """The logarithm of the absolute value."""
        size = abs(self.mantissa).log()
        return size if self.exponent is None else size + self.exponent


def near(exponent: arb) -> bool:
    """Whether exp(exponent) is a plain factor.

    Over an interval exponents are kept apart much earlier than at a point: exp(x)/(1 + exp(x))
    would lose to its width what more precision does not bring back.
    """
    return bool(abs(exponent) < (64 if exponent.rad() < _NARROW else 8))


def far(exponent: arb, part: int = 1) -> bool:
    """Whether a term smaller by exp(exponent) keeps its own exponent beside a larger one.

    Args:
        exponent: of the ratio.
        part: a threshold that many times smaller.
    """
    return bool(exponent < (-32 if exponent.rad() < _NARROW else -6) / part)


def sign_of(ball: arb) -> int | None:
    """The sign of a ball, or None where it does not tell."""
    if ball > 0:
        return 1
    if ball < 0:
        return -1
    return 0 if ball.is_zero() else None


def missing(*operands: Series) -> Missing | None:
    """What an operation on these comes to, if one of them is missing."""
    if any(operand is UNDEFINED for operand in operands):
        return UNDEFINED
    return UNDECIDED if any(operand is UNDECIDED for operand in operands) else None


def constant(value: arb | int) -> arb_series:
    """The series of a constant."""
    return arb_series([value])


def as_tail(a: arb_series | Tail) -> Tail:
    """``a`` with its parts, a plain series being all main."""
    return a if isinstance(a, Tail) else Tail(None, a)


def collapse(a: arb_series | Tail) -> arb_series:
    """``a`` as a plain series, however wide that becomes."""
    if isinstance(a, arb_series):
        return a
    whole = a.unscaled()
    return whole if a.scale is None else a.scale.exp() * whole


def tail(scale: arb_series | None, main: arb_series, terms: list[_Term]) -> arb_series | Tail:
    """exp(scale)·(main + Σ exp(shift)·rest) with at most one rest, as plain as it may be."""
    terms = [term for term in terms if term[1].length()]
    while len(terms) > 1:
        terms = [_joined(terms[0], terms[1]), *terms[2:]]
    if terms and not far(terms[0][0][0], 2):
        shift, rest = terms.pop()
        main = main + shift.exp() * rest
    if not main.length():
        if not terms:
            return main
        scale, main, terms = _sum(scale, terms[0][0]), terms[0][1], []
    if scale is not None and near(scale[0]):
        factor, scale = scale.exp(), None
        main, terms = main * factor, [(shift, rest * factor) for shift, rest in terms]
    if not terms:
        return main if scale is None else Tail(scale, main)
    return Tail(scale, main, *terms[0])


def _joined(a: _Term, b: _Term) -> _Term:
    if a[0] is b[0]:
        return a[0], a[1] + b[1]
    apart = b[0] - a[0]
    if apart[0] > 0:
        a, b, apart = b, a, -apart
    return a[0], a[1] + b[1] * apart.exp()


def _sum(a: arb_series | None, b: arb_series | None) -> arb_series | None:
    total = b if a is None else a if b is None else a + b
    return total if total is not None and total.length() else None


def add(a: Series, b: Series) -> Series:
    """The sum a + b."""
    if type(a) is arb_series and type(b) is arb_series:
        return a + b
    gone = missing(a, b)
    if gone is not None:
        return gone
    assert not isinstance(a, Missing)
    assert not isinstance(b, Missing)
    return _add(as_tail(a), as_tail(b))


def _add(a: Tail, b: Tail) -> Series:
    if a.scale is b.scale:
        return tail(a.scale, a.main + b.main, a.terms + b.terms)
    zero = constant(0)
    apart = (zero if b.scale is None else b.scale) - (zero if a.scale is None else a.scale)
    if apart[0] > 0:
        a, b, apart = b, a, -apart
    elif not apart[0] < 0 and not abs(apart[0]) < 1024:
        return UNDECIDED
    if far(apart[0]):
        return tail(a.scale, a.main, [*a.terms, (apart, b.unscaled())])
    factor = apart.exp()
    terms = [(shift, rest * factor) for shift, rest in b.terms]
    return tail(a.scale, a.main + b.main * factor, a.terms + terms)


def neg(a: Series) -> Series:
    """−a."""
    if type(a) is arb_series:
        return -a
    if isinstance(a, Tail):
        return Tail(a.scale, -a.main, a.shift, None if a.rest is None else -a.rest)
    return a


def sub(a: Series, b: Series) -> Series:
    """The difference a − b."""
    if type(a) is arb_series and type(b) is arb_series:
        return a - b
    return add(a, neg(b))


def mul(a: Series, b: Series) -> Series:
    """a·b."""
    if type(a) is arb_series and type(b) is arb_series:
        return a * b
    gone = missing(a, b)
    if gone is not None:
        return gone
    assert not isinstance(a, Missing)
    assert not isinstance(b, Missing)
    a, b = as_tail(a), as_tail(b)
    whole = b.unscaled()
    terms = [(shift, rest * whole) for shift, rest in a.terms]
    terms += [(shift, rest * a.main) for shift, rest in b.terms]
    return tail(_sum(a.scale, b.scale), a.main * b.main, terms)


def div(a: Series, b: Series) -> Series:
    """a/b."""
    if type(a) is arb_series and type(b) is arb_series:
        divisor = b[0]
        if divisor.contains(0) or not divisor.is_finite():
            return UNDEFINED if divisor.is_zero() else UNDECIDED
        return a / b
    return mul(a, reciprocal(b))


def reciprocal(a: Series) -> Series:
    """1/a."""
    if isinstance(a, Missing):
        return a
    if isinstance(a, arb_series):
        return div(constant(1), a)
    whole = a.unscaled()
    if whole[0].contains(0) or not whole[0].is_finite():
        return UNDECIDED
    scale = None if a.scale is None else -a.scale
    if a.rest is None or a.main[0].contains(0):
        return tail(scale, constant(1) / whole, [])
    assert a.shift is not None
    return tail(scale, constant(1) / a.main, [(a.shift, -a.rest / (a.main * whole))])


def power(a: Series, n: int) -> Series:
    """aⁿ for a whole number n."""
    if n < 0:
        return reciprocal(power(a, -n))
    result: Series = constant(1)
    square, left = a, n
    while left:
        if left & 1:
            result = mul(result, square)
        left >>= 1
        if left:
            square = mul(square, square)
    if isinstance(a, Missing):
        return a
    if n > 1 and isinstance(a, arb_series) and isinstance(result, arb_series):
        low, high = a[0].lower(), a[0].upper()
        if not low.is_zero() and not high.is_zero() and (low > 0 or high < 0) and low < high:
            # Of a wide ball a product of n factors is much wider than the powers of its ends.
            return with_constant(result, (low**n).union(high**n))
    return result


def sign(a: arb_series | Tail) -> int | None:
    """The sign of the value, or None where the balls do not tell."""
    if isinstance(a, arb_series):
        return sign_of(a[0])
    if a.main[0].is_zero() and a.rest is not None:
        return sign_of(a.rest[0])
    return sign_of(a.unscaled()[0])


def coefficients(a: arb_series | Tail, count: int) -> list[Value]:
    """The coefficients of t⁰ … tᶜᵒᵘⁿᵗ⁻¹."""
    if isinstance(a, arb_series):
        return [Value(c) for c in _known(a, count)]
    before, ctx.cap = ctx.cap, count
    try:
        if a.scale is not None:
            whole, level = _without_constant(a.scale).exp() * a.unscaled(), a.scale[0]
            return [Value(c, level) for c in _known(whole, count)]
        assert a.shift is not None
        assert a.rest is not None
        rest, level = _without_constant(a.shift).exp() * a.rest, a.shift[0]
        factor = level.exp()
        return [
            Value(small, level) if large.is_zero() else Value(large + factor * small)
            for large, small in zip(_known(a.main, count), _known(rest, count), strict=True)
        ]
    finally:
        ctx.cap = before


def _known(a: arb_series, count: int) -> list[arb]:
    """The first coefficients; those beyond its order a series reads as zero, which they are not."""
    if a.prec < count:
        raise ValueError(f"{count} coefficients are asked for of a series of order {a.prec}")
    return [a[k] for k in range(count)]


def with_constant(a: arb_series, value: arb) -> arb_series:
    """``a`` with another enclosure of its first coefficient."""
    return arb_series([value, *a.coeffs()[1:]])


def _without_constant(a: arb_series) -> arb_series:
    return with_constant(a, arb(0))


def majorant(a: arb_series) -> arb_series:
    """The upper bounds of the coefficients' sizes."""
    return arb_series([c.abs_upper() for c in a.coeffs()])


def symmetric(a: arb_series) -> arb_series:
    """Balls around zero with the coefficients of ``a`` as radii."""
    return arb_series([(-c).union(c) for c in a.coeffs()])


def unknown() -> list[arb]:
    """Coefficients t¹, t², … of which nothing is known."""
    return [arb.nan()] * (ctx.cap - 1)
