"""The exact values at every finite number of a format, as polynomials with proven margins.

All numbers of a sign are one range of bit patterns. A range is accepted as a piece where a
polynomial (:mod:`gradsmith.truth.fit`) is within :data:`TOLERANCE` ULP of the exact values, or
where they provably round to zero or infinity or do not exist; else it is cut in two. What is left
of a kink is a few points, which the oracle answers one by one; so are the ranges where no
polynomial of moderate size follows the function, such as sin(x) at 10⁹.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from math import frexp, inf, ldexp

from flint import arb

from gradsmith.truth.fit import DEGREE, LONG_DEGREE, Polynomial, Range
from gradsmith.truth.formats import Format
from gradsmith.truth.oracle import Oracle
from gradsmith.truth.piece import Piece
from gradsmith.truth.series import UNDEFINED, Value

ORDERS = 3
"""Value, first and second derivative: covered together, from the same series."""
TOLERANCE = 2.0**-18
"""Margin of a piece, in ULP."""

_SHORT = 16  # so few numbers are cheaper to ask for than to cover
_PATIENCE = 1024  # ranges looked at in one binade before an order of which none is covered is left
_LIMIT = 20_000  # and in any case
_DEEP = 16  # parts of a binade from which on longer series are tried
_SIGNLESS = 64  # parts of a binade in which the sign of what rounds to zero is looked for
_MOST_CUTS = 12  # powers of two between the ends of one polynomial

_LEVEL = arb(1000)  # exp(1000) exceeds every format

Parts = list[Piece]


def pieces(oracle: Oracle, order: int, format: Format) -> tuple[Piece, ...]:
    """The pieces of a derivative, covering each finite number but zero exactly once.

    Args:
        oracle: of a formula with one argument.
        order: 0, 1 or 2; the others are found in the same run and kept.
        format: of inputs and results.

    Returns:
        Pieces by sign, the negative inputs first, and by magnitude.

    Raises:
        ValueError: the formula has several inputs, or the order is another.
    """
    if len(oracle.arguments) != 1:
        raise ValueError(f"pieces cover one input, got {', '.join(oracle.arguments)}")
    if not 0 <= order < ORDERS:
        raise ValueError(f"pieces are of order 0 to {ORDERS - 1}, got {order}")
    return _all_pieces(oracle, format)[order]


@lru_cache(maxsize=16)
def _all_pieces(oracle: Oracle, format: Format) -> tuple[tuple[Piece, ...], ...]:
    found: list[Parts] = [[] for _ in range(ORDERS)]
    for sign in (-1, 1):
        half = _Half(oracle, format, sign)
        half.cover()
        for parts, new in zip(found, half.parts, strict=True):
            parts += _merged(sorted(new, key=lambda piece: piece.first_bits))
    return tuple(map(tuple, found))


class _Half:
    """The numbers of one sign."""

    def __init__(self, oracle: Oracle, format: Format, sign: int) -> None:
        self.jets, self.format, self.sign = oracle.jets, format, sign
        self.parts: list[Parts] = [[] for _ in range(ORDERS)]
        self._tiny = arb(TOLERANCE * format.smallest)
        self._overflow = arb(format.overflow)
        self._patience = _PATIENCE
        self._signless = [_SIGNLESS] * ORDERS

    def cover(self) -> None:
        """Cut at the ends of binades first, then inside them."""
        stack = [(1, self.format.largest_bits, tuple(range(ORDERS)))]
        while stack:
            first, last, orders = stack.pop()
            low, high = self.format.binade(first), self.format.binade(last)
            if low == high:
                self._cover_binade(first, last, orders)
                continue
            orders = self._accept(first, last, orders)
            if orders:
                middle = self.format.binade_start((low + high + 1) // 2)
                stack += [(middle, last, orders), (first, middle - 1, orders)]

    def _cover_binade(self, first: int, last: int, orders: tuple[int, ...]) -> None:
        """The larger ranges first, so that it shows early whether covering makes progress."""
        whole = last - first + 1
        waiting = deque([(first, last, orders)])
        left = dict.fromkeys(orders, whole)
        looked = 0
        while waiting:
            first, last, orders = waiting.popleft()
            if looked >= self._patience:
                hopeless = {k for k in orders if left[k] > 0.99 * whole or looked >= _LIMIT}
                for k in hopeless:
                    self._add(k, first, last, kind="points")
                orders = tuple(k for k in orders if k not in hopeless)
            size = last - first + 1
            if size <= _SHORT:
                for k in orders:
                    self._add(k, first, last, kind="points")
                continue
            if not orders:
                continue
            looked += 1
            part = min(whole, last) // size
            open_ = self._accept(first, last, orders, part, part >= _DEEP)
            for k in orders:
                left[k] -= 0 if k in open_ else size
            if open_:
                middle = first + size // 2
                waiting += [(first, middle - 1, open_), (middle, last, open_)]
        given_up = looked >= self._patience and any(n > 0.99 * whole for n in left.values())
        self._patience = max(64, self._patience // 4) if given_up else _PATIENCE

    def _add_zero(self, order: int, first: int, last: int, sign: int) -> None:
        unit = self.format.smallest
        margin = TOLERANCE * unit
        self._add(order, first, last, kind="zero", margin=margin, unit=unit, value_sign=sign)
        # Where the sign was not found, it is looked for less hard in the next binade.
        self._signless[order] = _SIGNLESS if sign else 4

    def _add(self, order: int, first: int, last: int, **known: object) -> None:
        piece = Piece(sign=self.sign, first_bits=first, last_bits=last, **known)  # type: ignore[arg-type]
        self.parts[order].append(piece)

    def _accept(
        self,
        first: int,
        last: int,
        orders: tuple[int, ...],
        part: int = 0,
        deep: bool = False,
    ) -> tuple[int, ...]:
        """Cover the range in those orders in which one piece does it; the orders that are left."""
        ends = (self.sign * self.format.value(first), self.sign * self.format.value(last))
        found = Range(self.jets, ends, ORDERS, LONG_DEGREE if deep else DEGREE)
        if found.missing is not None:
            if found.missing is not UNDEFINED:
                return orders
            for k in orders:
                self._add(k, first, last, kind="undefined")
            return ()
        return tuple(
            k
            for k in orders
            if not self._accept_order(k, first, last, found, part >= self._signless[k])
        )

    def _accept_order(
        self, order: int, first: int, last: int, found: Range, signless: bool
    ) -> bool:
        value = found.value(order)
        bounds = _bounds(value)
        sign = value.sign() or 0
        unit = self.format.smallest
        if value.mantissa.is_zero():
            self._add(order, first, last, kind="zero", unit=unit)
            return True
        if bounds is None:
            return False
        low, high = bounds
        if high <= self._tiny and (sign or signless):
            self._add_zero(order, first, last, sign)
            return True
        if low >= self._overflow and sign:
            unit = self.format.unit(inf)
            self._add(order, first, last, kind="overflow", unit=unit, value_sign=sign)
            return True
        largest = float(high)
        if not found.remainder(order) <= self._tolerance(min(largest, self.format.overflow)):
            return False
        polynomial = found.polynomial(order, self._tolerance)
        if polynomial is None:
            return False
        return self._cut(order, first, last, polynomial, sign, signless)

    def _tolerance(self, size: float) -> float:
        return TOLERANCE * self.format.unit(size)

    def _cut(
        self, order: int, first: int, last: int, p: Polynomial, sign: int, signless: bool
    ) -> bool:
        """Make pieces of one polynomial, each with one unit."""
        sign = sign or (1 if p.low > 0 else -1 if p.high < 0 else 0)
        format = self.format
        if not sign and (not signless or p.largest >= format.smallest_normal):
            return False  # what rounds to zero has a sign: is it +0 or −0?
        if p.largest <= TOLERANCE * format.smallest:
            self._add_zero(order, first, last, sign)
            return True
        borders = list(self._borders(p.smallest, p.largest))
        if not borders:
            self._polynomial(order, first, last, p, sign, format.unit(p.largest), True)
            return True
        if p.high - p.low <= 16 * self._tolerance(p.smallest) and format.overflow not in borders:
            self._polynomial(order, first, last, p, sign, format.unit(p.smallest), False)
            return True
        if not p.monotonic or len(borders) > _MOST_CUTS:
            return False
        self._cut_at(order, first, last, p, sign, borders)
        return True

    def _borders(self, low: float, high: float) -> Iterable[float]:
        """Where the unit changes, or rounding to infinity begins, between two sizes."""
        border = 2 * self.format.smallest_normal  # the numbers below have the unit of the subnormal
        if low > border:
            border = ldexp(1.0, frexp(low)[1] - 1)
        while border <= high and border <= self.format.overflow:
            if border > low:
                yield border
            border *= 2
        if low < self.format.overflow <= high:
            yield self.format.overflow

    def _cut_at(
        self, order: int, first: int, last: int, p: Polynomial, sign: int, borders: list[float]
    ) -> None:
        """Cut where the polynomial crosses each border; within two margins it is not told where."""
        rising = abs(p(self._input(last))) > abs(p(self._input(first)))
        spread = 2 * p.margin
        levels = [level for border in borders for level in (border - spread, border + spread)]
        inside = range(first, last + 1)
        # In the direction of growing size, the number of inputs below each level.
        counts = [self._below(p, inside if rising else inside[::-1], level) for level in levels]
        edges = [0, *counts, len(inside)]
        for i, (start, stop) in enumerate(pairwise(edges)):
            if start >= stop:
                continue
            a, b = (start, stop - 1) if rising else (len(inside) - stop, len(inside) - 1 - start)
            self._between(order, inside[a], inside[b], p, sign, borders, i)

    def _between(
        self,
        order: int,
        first: int,
        last: int,
        p: Polynomial,
        sign: int,
        borders: list[float],
        i: int,
    ) -> None:
        """The piece below border i/2 for even i, or on it for odd i."""
        on_border, above = i % 2 == 1, i == 2 * len(borders)
        overflow = self.format.overflow
        if on_border and borders[i // 2] == overflow:
            self._add(order, first, last, kind="points")
        elif above and borders[-1] == overflow:
            unit = self.format.unit(inf)
            self._add(order, first, last, kind="overflow", unit=unit, value_sign=sign)
        else:
            unit = self.format.unit(borders[-1] if above else borders[i // 2] * (1 - 2.0**-30))
            self._polynomial(order, first, last, p, sign, unit, not on_border)

    def _below(self, p: Polynomial, inside: Sequence[int], level: float) -> int:
        """How many inputs of a range, ordered by growing size of p, have |p| below a level."""
        low, high = 0, len(inside)
        while low < high:
            middle = (low + high) // 2
            if abs(p(self._input(inside[middle]))) < level:
                low = middle + 1
            else:
                high = middle
        return low

    def _input(self, bits: int) -> float:
        return self.sign * self.format.value(bits)

    def _polynomial(
        self, order: int, first: int, last: int, p: Polynomial, sign: int, unit: float, exact: bool
    ) -> None:
        self._add(
            order,
            first,
            last,
            kind="polynomial",
            centre=p.centre,
            scale=p.scale,
            coefficients=p.coefficients,
            margin=p.margin,
            unit=unit,
            unit_exact=exact,
            value_sign=sign,
        )


def _bounds(value: Value) -> tuple[arb, arb] | None:
    """Bounds of the size, or None where there are none."""
    ball = value.ball()
    if value.exponent is not None and value.sign():
        # exp([2¹⁰⁰, 2¹⁰¹]) as a ball contains zero.
        level = value.magnitude()
        if level > _LEVEL or level < -_LEVEL:
            return (arb.pos_inf(),) * 2 if level > 0 else (arb(0), (-_LEVEL).exp())
    return (ball.abs_lower(), ball.abs_upper()) if ball.rad().is_finite() else None


def _merged(parts: Parts) -> Parts:
    """Neighbours of which the same is known, other than by polynomials, as one piece."""
    found: Parts = []
    for piece in parts:
        before = found[-1] if found else None
        if before is not None and _alike(before, piece):
            found[-1] = replace(before, last_bits=piece.last_bits)
        else:
            found.append(piece)
    return found


def _alike(a: Piece, b: Piece) -> bool:
    known = [(p.kind, p.sign, p.margin, p.unit, p.value_sign) for p in (a, b)]
    return a.kind != "polynomial" and known[0] == known[1] and a.last_bits + 1 == b.first_bits
