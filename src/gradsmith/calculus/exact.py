"""The exact value of an expression, as a ball that knows its own error.

Ball arithmetic (FLINT's ``arb``; Johansson, "Arb: efficient arbitrary-precision
midpoint-radius interval arithmetic", IEEE Trans. Computers 66, 2017) evaluates the formula as it
was written; the precision rises until the ball is as narrow as asked. Nothing here knows of the
rewriting that it is used to judge.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise, repeat
from math import inf, isnan, nan
from typing import Any

import flint
from flint import arb, fmpq

from gradsmith.formula.expression import Call, Expr, Function, Number, Symbol, free_symbols, walk
from gradsmith.formula.vocabulary import (
    ADD,
    AND,
    DIV,
    EQ,
    GE,
    GT,
    LE,
    LT,
    MUL,
    NE,
    NEG,
    NOT,
    OR,
    POW,
    SUB,
    abs_,
    asinh,
    atan,
    cos,
    cosh,
    e,
    erf,
    erfc,
    exp,
    expand_definition,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    pi,
    sign,
    sin,
    sinh,
    sqrt,
    tan,
    tanh,
    where,
)

START_BITS = 96
MAX_BITS = 6144
NEGLIGIBLE = arb(2) ** -1400
"""Below this every dtype rounds to zero; a ball inside it need not become narrower."""

_FAR = (20, 28, 40, 57, 80, 160, 320, 640)
"""Powers of two, evenly spaced on a logarithmic scale as long as exp(x) is within arb's range."""
_PLACES = ((1.0, 0.0), (1.375, 0.3125))
"""At each distance 2ᵏ the points m·2ᵏ + c: what oscillates differs between them."""
_SETTLED = 2.0**-60

Truth = bool | None  # None: the balls overlap, so that the comparison is not decided


def _pow(a: arb, b: arb) -> arb:
    exponent = b.unique_fmpz() if b.is_integer() else None
    if exponent is not None and abs(exponent) <= 4096:
        return _integer_power(a, int(exponent))
    if a.is_zero():
        return arb(0) if b > 0 else arb.nan()
    return a**b


def _integer_power(a: arb, n: int) -> arb:
    # arb's own operator takes a logarithm where the ball contains zero, and gives NaN.
    if n < 0:
        return 1 / _integer_power(a, -n)
    result, square = arb(1), a
    while n:
        if n & 1:
            result = result * square
        n >>= 1
        square = square * square if n else square
    return result


def _log(a: arb) -> arb:
    return arb.neg_inf() if a.is_zero() else a.log()


def _less(a: arb, b: arb) -> Truth:
    return True if a < b else (False if a >= b else None)


def _equal(a: arb, b: arb) -> Truth:
    if a.is_exact() and b.is_exact():
        return bool(a == b)
    return None if a.overlaps(b) else False


def _not(a: Truth) -> Truth:
    return None if a is None else not a


def _and(a: Truth, b: Truth) -> Truth:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def _where(condition: Truth, a: arb, b: arb) -> arb:
    if condition is None:
        return arb.nan() if isnan_ball(a) or isnan_ball(b) else a.union(b)
    return a if condition else b


_RULES: dict[Function, Callable[..., Any]] = {
    ADD: operator.add,
    SUB: operator.sub,
    MUL: operator.mul,
    DIV: operator.truediv,
    NEG: operator.neg,
    POW: _pow,
    LT: _less,
    LE: lambda a, b: _not(_less(b, a)),
    GT: lambda a, b: _less(b, a),
    GE: lambda a, b: _not(_less(a, b)),
    EQ: _equal,
    NE: lambda a, b: _not(_equal(a, b)),
    AND: _and,
    OR: lambda a, b: _not(_and(_not(a), _not(b))),
    NOT: _not,
    where: _where,
    pi: lambda: arb.pi(),
    e: lambda: arb.const_e(),
    exp: arb.exp,
    expm1: arb.expm1,
    log: _log,
    log1p: lambda a: _log(1 + a) if a == -1 else a.log1p(),
    sqrt: arb.sqrt,
    sin: arb.sin,
    cos: arb.cos,
    tan: arb.tan,
    atan: arb.atan,
    sinh: arb.sinh,
    cosh: arb.cosh,
    tanh: arb.tanh,
    asinh: arb.asinh,
    erf: arb.erf,
    erfc: arb.erfc,
    abs_: abs,
    sign: arb.sgn,
    maximum: arb.max,
    minimum: arb.min,
}


def isnan_ball(ball: arb) -> bool:
    """Whether ``ball`` holds no information: undefined, or without bounds."""
    return bool(ball.is_nan()) or not ball.rad().is_finite()


def middle(ball: arb) -> Fraction:
    """The exact value of the midpoint of a finite ball."""
    mantissa, exponent = ball.mid().man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


_Step = tuple[int, Callable[..., Any], tuple[int, ...]]
"""Where the result goes, and what of what it is."""


class Evaluator:
    """The exact value of ``root`` at given values of its symbols.

    Args:
        root: the expression; defined functions are unfolded to their definitions.
        arguments: the symbols' names in the order in which values are passed.
    """

    def __init__(self, root: Expr, arguments: Sequence[str]) -> None:
        root = _unfold(root)
        slots: dict[Expr, int] = {}
        position = {name: i for i, name in enumerate(arguments)}
        self._numbers: list[tuple[int, fmpq]] = []
        self._symbols: list[tuple[int, int]] = []
        self._constant: list[_Step] = []
        self._steps: list[_Step] = []
        for node in walk(root):
            slot = slots[node] = len(slots)
            if isinstance(node, Number):
                exact = fmpq(node.value.numerator, node.value.denominator)
                self._numbers.append((slot, exact))
            elif isinstance(node, Symbol):
                self._symbols.append((slot, position[node.name]))
            elif isinstance(node, Call):
                step = slot, _RULES[node.function], tuple(slots[arg] for arg in node.args)
                (self._steps if free_symbols(node) else self._constant).append(step)
        self._count = len(slots)
        self._known: dict[int, list[Any]] = {}

    def at_precision(self, values: Sequence[float | arb], bits: int) -> arb:
        """One evaluation with ``bits`` of working precision."""
        with flint.ctx.workprec(bits):
            memory = self._constants(bits).copy()
            for slot, position in self._symbols:
                value = values[position]
                memory[slot] = value if isinstance(value, arb) else arb(value)
            for slot, rule, sources in self._steps:
                if len(sources) == 2:  # most are such; to ask for a list takes longer than to add
                    a, b = sources
                    memory[slot] = rule(memory[a], memory[b])
                else:
                    memory[slot] = rule(*[memory[source] for source in sources])
            result: arb = memory[-1]
            return result

    def _constants(self, bits: int) -> list[Any]:
        """What does not depend on the arguments, in its slots; evaluated once for a precision."""
        memory = self._known.get(bits)
        if memory is None:
            memory = [None] * self._count
            for slot, exact in self._numbers:
                memory[slot] = arb(exact)
            for slot, rule, sources in self._constant:
                memory[slot] = rule(*[memory[source] for source in sources])
            self._known[bits] = memory
        return memory

    def __call__(self, *values: float | arb, bits: int = 80) -> arb:
        """The value with a relative accuracy of ``bits`` bits.

        The ball may be wider where the value is negligible (smaller than every dtype holds) or
        zero, which no finite precision proves, and where :data:`MAX_BITS` do not decide a
        comparison. Where the formula has no value the ball is NaN.
        """
        if any(isinstance(value, float) and isnan(value) for value in values):
            return arb.nan()
        return self._narrowed(values, bits, _least_bits(bits))

    def _narrowed(self, values: Sequence[float | arb], bits: int, precision: int) -> arb:
        while True:
            ball = self.at_precision(values, precision)
            if _is_narrow(ball, bits) or precision >= MAX_BITS:
                return ball
            precision *= 4

    def at_points(
        self, columns: Sequence[Sequence[float]], bits: int | Sequence[int] = 80
    ) -> list[arb]:
        """What a call gives at each of many points, in a third of the time.

        Args:
            columns: the values of each argument, none of them NaN.
            bits: as for a call; the same at all points, or one for each.
        """
        points = list(zip(*columns, strict=True))
        wanted = [bits] * len(points) if isinstance(bits, int) else bits
        together: dict[int, list[int]] = {}
        for i, count in enumerate(wanted):
            together.setdefault(_least_bits(count), []).append(i)
        found: dict[int, arb] = {}
        for precision, places in together.items():
            higher = min(4 * precision, MAX_BITS)
            balls = self._columns([points[i] for i in places], precision)
            for i, ball in zip(places, balls, strict=True):
                narrow = _is_narrow(ball, wanted[i])
                found[i] = ball if narrow else self._narrowed(points[i], wanted[i], higher)
        return [found[i] for i in range(len(points))]

    def _columns(self, points: Sequence[tuple[float, ...]], bits: int) -> list[arb]:
        """:meth:`at_precision` at each point."""
        if not self._steps:
            return [self.at_precision(point, bits) for point in points]
        with flint.ctx.workprec(bits):
            # One function after the other, each at all points: less is asked for each of them.
            memory: list[Any] = [repeat(known) for known in self._constants(bits)]
            for slot, position in self._symbols:
                memory[slot] = [arb(point[position]) for point in points]
            for slot, rule, sources in self._steps:
                memory[slot] = list(map(rule, *[memory[source] for source in sources]))
            balls: list[arb] = memory[-1]
            return balls

    def limit(self, values: Mapping[int, float], at: int, sign: int) -> float:
        """The limit as argument number ``at`` goes to infinity with ``sign``.

        Read off the values at ever farther points: a sequence that settles (to a constant or to
        zero) or grows without bound is told apart from one that oscillates.

        Args:
            values: the other arguments' values by their number.
            at: the argument that goes to infinity.
            sign: 1 or -1.

        Returns:
            A float, ±inf, or NaN where no limit was recognised.
        """
        point: list[float | arb] = [values.get(i, 0.0) for i in range(len(values) + 1)]
        found: list[arb] = []
        for exponent in _FAR:
            pair = []
            for mantissa, offset in _PLACES:
                with flint.ctx.workprec(2 * _FAR[-1]):
                    point[at] = sign * (mantissa * arb(2) ** exponent + offset)
                pair.append(self(*point))
            if any(map(isnan_ball, pair)):
                break  # exp(x) leaves even arb's range here, or the formula has no value
            found += pair
        return _limit_of(found)


def _least_bits(bits: int) -> int:
    """The first precision tried: no lower one gives so many bits, but of what is exact in it."""
    precision = START_BITS
    while precision < min(bits, MAX_BITS):
        precision *= 4
    return precision


def _is_narrow(ball: arb, bits: int) -> bool:
    return bool(ball.rel_accuracy_bits() >= bits or abs(ball) < NEGLIGIBLE)


def _limit_of(found: list[arb]) -> float:
    """The limit of values at the points of :data:`_FAR`, or NaN."""
    pairs = list(zip(found[::2], found[1::2], strict=True))
    if len(pairs) < 4:
        return nan
    last = found[-1]
    if not last.is_finite():
        return inf if last > 0 else -inf
    levels = [max(map(abs, pair)) for pair in pairs]
    if abs(last) < NEGLIGIBLE or all(3 * b < a for a, b in pairwise(levels)):
        return 0.0
    steps = [abs(b - a) for a, b in pairwise(found[::2])]
    if abs(found[-1] - found[-2]) + steps[-1] < abs(last) * _SETTLED:
        return float(last.mid())
    growing = all(b * last > a * last > 0 for a, b in pairwise(found))
    # A logarithm's steps grow, those of its logarithm stay, those of a bounded function shrink.
    return (inf if last > 0 else -inf) if growing and steps[-1] > 0.9 * steps[0] else nan


def _unfold(root: Expr) -> Expr:
    """``root`` over functions that :data:`_RULES` evaluates."""
    done: dict[Expr, Expr] = {}

    def visit(node: Expr) -> Expr:
        if node in done:
            return done[node]
        if isinstance(node, Call):
            new: Expr = Call(node.function, tuple(visit(arg) for arg in node.args))
            if node.function not in _RULES:
                new = visit(expand_definition(new))
        else:
            new = node
        done[node] = new
        return new

    return visit(root)


def constant_value(root: Expr) -> float:
    """A constant expression, correctly rounded to float64 (NaN where it has no value)."""
    return float(Evaluator(root, ())().mid())
