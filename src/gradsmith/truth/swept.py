"""Results at consecutive bit patterns beside polynomials proven to follow the exact values.

A few operations on a block of numbers that stays in a core's cache decide almost every result: it
is as near to the polynomial as it should be. What is left is judged one by one, and the largest
error of all is measured against the oracle itself.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradsmith.truth import tally, ulp
from gradsmith.truth.accuracy import COARSEST, FINEST, INFINITE, THRESHOLDS, Accuracy, Place
from gradsmith.truth.formats import FORMATS
from gradsmith.truth.inputs import bits_of, from_patterns
from gradsmith.truth.oracle import Oracle
from gradsmith.truth.piece import Piece
from gradsmith.truth.pieces import pieces

Floats = NDArray[np.float64]
Patterns = NDArray[np.int64]
Bits = NDArray[np.int32]

_SURE = 0.45  # units within which a subnormal result of the right sign is right
_ASKED_AT_MOST = 64  # results of a block that lie on the edge between right and wrong
_INFINITY = 0x7F800000  # as float32
_UNDERFLOWN = 2.0**-300
"""Stands for a value that rounds to zero and is not zero."""


class Cover:
    """The pieces of one quantity by bit patterns, the sign being the highest bit."""

    def __init__(self, oracle: Oracle, order: int, dtype: torch.dtype) -> None:
        self.oracle, self.order, self.dtype = oracle, order, dtype
        self.format = FORMATS[str(dtype).removeprefix("torch.")]
        above = 1 << (8 * dtype.itemsize - 1)
        found = [
            (piece.first_bits + (above if piece.sign < 0 else 0), piece)
            for piece in pieces(oracle, order, self.format)
        ]
        found.sort(key=lambda pair: pair[0])
        self._starts = [start for start, _ in found]
        self._pieces = [piece for _, piece in found]
        self._edges = np.array([(s, s + len(piece)) for s, piece in found], dtype=np.int64).ravel()

    def parts(self, patterns: range | Patterns) -> list[tuple[int, int, Piece | None]]:
        """The patterns cut at the ends of pieces: first and last index, and the piece or None."""
        if not isinstance(patterns, range):
            return self._parts_of(patterns)
        found: list[tuple[int, int, Piece | None]] = []
        index, count = 0, len(patterns)
        while index < count:
            pattern = patterns[index]
            at = bisect_right(self._starts, pattern) - 1
            piece = self._pieces[at] if at >= 0 else None
            if piece is not None and pattern < self._starts[at] + len(piece):
                end = self._starts[at] + len(piece)
            else:
                piece = None
                following = at + 1 < len(self._starts)
                end = self._starts[at + 1] if following else patterns.stop
            stop = min(count, -(-(end - patterns.start) // patterns.step))
            found.append((index, stop, piece))
            index = stop
        return found

    def _parts_of(self, patterns: Patterns) -> list[tuple[int, int, Piece | None]]:
        # An odd number of edges up to a pattern: it lies in a piece. A piece that begins where the
        # last one ends has both edges before its first pattern.
        passed = np.searchsorted(self._edges, patterns, side="right")
        cuts = [0, *(np.flatnonzero(np.diff(passed)) + 1).tolist(), len(patterns)]
        return [
            (start, stop, self._pieces[int(passed[start]) // 2] if passed[start] % 2 else None)
            for start, stop in pairwise(cuts)
        ]


def numbers(patterns: range | Patterns, dtype: torch.dtype) -> Tensor:
    """The numbers with these bit patterns."""
    if isinstance(patterns, range):
        return from_patterns(patterns, dtype)
    return torch.from_numpy(patterns.astype(np.uint32).view(np.float32))


class _Block:
    """Results at some bit patterns: a range of them, or an ascending choice."""

    __slots__ = ("bits", "computed", "patterns", "y")

    def __init__(self, patterns: range | Patterns, computed: Tensor, y: Floats, bits: Bits) -> None:
        self.patterns, self.computed, self.y, self.bits = patterns, computed, y, bits

    @classmethod
    def of(cls, patterns: range | Patterns, computed: Tensor) -> _Block:
        return cls(
            patterns, computed, computed.double().numpy(), computed.view(torch.int32).numpy()
        )

    def part(self, start: int, stop: int) -> _Block:
        here = slice(start, stop)
        return _Block(self.patterns[here], self.computed[here], self.y[here], self.bits[here])

    def only(self, where: NDArray[np.intp]) -> _Block:
        some = self.patterns
        if isinstance(some, range):
            patterns = some.start + some.step * where.astype(np.int64)
        else:
            patterns = some[where]
        computed = self.computed[torch.from_numpy(where)]
        return _Block(patterns, computed, self.y[where], self.bits[where])

    def inputs(self) -> Tensor:
        return numbers(self.patterns, self.computed.dtype)

    def x(self) -> Floats:
        wide: Floats = self.inputs().double().numpy()
        return wide


class Errors:
    """The errors of one quantity over one chunk, block by block.

    Args:
        start: an empty :class:`Accuracy` of the quantity.
        cover: its pieces.
        constant: its value, if it reads no input and so has this value at NaN as well.
    """

    def __init__(self, start: Accuracy, cover: Cover, constant: float | None = None) -> None:
        self._empty, self._cover, self._constant = start, cover, constant
        self._asked = start  # what was judged result by result
        self._checked = 0
        self._bound = 0.0
        self._largest, self._at, self._computed = -1.0, 0, torch.empty(0)
        self._above_ten = 0
        self._bins = np.zeros(COARSEST - FINEST + 1, dtype=np.int64)
        limits = torch.finfo(cover.dtype)
        self._smallest = limits.smallest_normal * limits.eps
        self._largest_unit = cover.format.unit(limits.max)
        # A result so near to a normal number has its sign and is no zero.
        self._near = 0.25 / limits.eps

    def block(self, patterns: range | Patterns, x: Floats, computed: Tensor) -> None:
        """Count the results of one block: inputs, also as float64, and what was computed."""
        block = _Block.of(patterns, computed.contiguous())
        for start, stop, piece in self._cover.parts(patterns):
            part = block.part(start, stop)
            if piece is None or piece.kind in ("points", "undefined"):
                self._ask(part, piece)
            elif piece.kind == "polynomial":
                self._follow(part, piece, x[start:stop])
            else:
                self._special(part, piece)

    def _follow(self, block: _Block, piece: Piece, x: Floats) -> None:
        reference = piece.reference(x)
        error = block.y - reference
        np.abs(error, out=error)
        largest = float(error.max())
        limit = self._near * piece.unit
        if piece.unit == self._smallest:
            # Among subnormals a zero, or a sign, may be right or not at any distance.
            if not largest < _SURE * piece.unit or not _all_signed(block.bits, piece.value_sign):
                self._subnormal(block, reference, piece)
                return
        elif not largest < limit and piece.unit == self._largest_unit:
            # Here an infinity may be right.
            self._judge(block, torch.from_numpy(reference), piece.margin / piece.unit)
            return
        elif not largest < limit:
            far = ~(error < limit)
            self._lost(block, np.flatnonzero(far), error, piece)
            near = np.flatnonzero(~far)
            if not len(near):
                return
            block, error = block.only(near), error[near]
            largest = float(error.max())
        self._count(error, largest, piece)
        if largest > self._largest * piece.unit:
            first = int(error.argmax())
            self._largest, self._at = largest / piece.unit, block.patterns[first]
            self._computed = block.computed[first : first + 1].clone()

    def _subnormal(self, block: _Block, reference: Floats, piece: Piece) -> None:
        size = np.abs(reference)
        edge = np.abs(size - self._smallest) <= piece.margin
        edge |= np.abs(size - self._smallest / 2) <= piece.margin
        unsure = np.flatnonzero(edge)
        if 0 < len(unsure) <= _ASKED_AT_MOST:
            self._ask(block.only(unsure), None)
            sure = np.flatnonzero(~edge)
            if not len(sure):
                return
            block, reference = block.only(sure), reference[sure]
        high = torch.from_numpy(_signed(reference, piece))
        self._judge(block, high, piece.margin / piece.unit)

    def _count(self, error: Floats, largest: float, piece: Piece) -> None:
        """How many errors lie in each bin; what is above a bound is so for certain."""
        unit, margin = piece.unit, piece.margin
        self._bound = max(self._bound, (largest + margin) / unit)
        self._checked += len(error)
        before = len(error)
        for k in range(FINEST, COARSEST):
            limit = 2.0**k * unit + margin
            more = int(np.count_nonzero(error > limit)) if largest > limit else 0
            self._bins[k - FINEST] += before - more
            before = more
            if not more:
                break
        if largest > 10 * unit + margin:
            self._above_ten += int(np.count_nonzero(error > 10 * unit + margin))

    def _lost(self, block: _Block, far: NDArray[np.intp], error: Floats, piece: Piece) -> None:
        """Results that have none of the digits of a normal number: most are wrong by kind."""
        y = block.y[far]
        kinds = (
            (ulp.NAN, np.isnan(y)),
            (ulp.INFINITY, np.isinf(y)),
            (ulp.ZERO, y == 0),
            (ulp.SIGN, np.signbit(y) != (piece.value_sign < 0)),
        )
        rest = np.ones(len(far), dtype=np.bool_)
        for kind, mask in kinds:
            here = mask & rest
            count = int(np.count_nonzero(here))
            if count:
                rest &= ~here
                some = far[here] if count < len(far) else far
                first = block.part(int(some[0]), int(some[0]) + 1)
                exact = float(piece.reference(first.x())[0])
                self._wrong(first, kind, exact, count, error[some] / piece.unit)
        if rest.any():
            some = block.only(far[rest])
            high = torch.from_numpy(_signed(piece.reference(some.x()), piece))
            self._judge(some, high, piece.margin / piece.unit)

    def _special(self, block: _Block, piece: Piece) -> None:
        """Results that should all be the same zero, or infinity."""
        lowest = -(2**31)
        overflow = piece.kind == "overflow"
        expected = (_INFINITY if overflow else 0) + (lowest if piece.value_sign < 0 else 0)
        size = block.bits & ~np.int32(lowest)
        signed = piece.value_sign != 0
        right = block.bits == expected if signed else size == expected
        if right.all():
            self._count_right(len(right), piece.margin / piece.unit)
            return
        self._count_right(int(right.sum()), piece.margin / piece.unit)
        left = ~right
        exact = piece.value_sign * (np.inf if overflow else _UNDERFLOWN)
        if not overflow and signed:
            opposite = left & (size == 0)
            count = int(np.count_nonzero(opposite))
            if count:
                at = int(opposite.argmax())
                self._wrong(block.part(at, at + 1), ulp.ZERO_SIGN, exact, count)
                left &= ~opposite
        if left.any():
            some = block.only(np.flatnonzero(left))
            high = torch.full((len(some.y),), exact, dtype=torch.float64)
            if piece.margin and not signed:  # not zero itself, of either sign
                high = torch.where(some.computed.signbit(), -_UNDERFLOWN, _UNDERFLOWN).double()
            self._judge(some, high)

    def _count_right(self, count: int, margin: float = 0.0) -> None:
        self._checked += count
        self._bins[0] += count
        self._bound = max(self._bound, margin)

    def _wrong(
        self, first: _Block, kind: int, exact: float, count: int, error: Floats | None = None
    ) -> None:
        """Count results that are wrong in one way.

        Args:
            first: the first of them.
            kind: in which way.
            exact: the exact value there.
            count: of these results.
            error: their errors in ULP, NaN and infinite ones included; none if left out.
        """
        x = first.inputs()
        place = Place((float(x),), tuple(bits_of(x)), float(first.y[0]), exact)
        bins, above = {FINEST: count}, dict.fromkeys(THRESHOLDS, 0)
        if error is not None:  # far beyond every threshold
            above = dict.fromkeys(THRESHOLDS, count)
            lost = np.isfinite(error)
            sizes = np.frexp(error if lost.all() else error[lost])[1]
            found = np.bincount(np.minimum(sizes, COARSEST)).tolist()
            bins = {k: n for k, n in enumerate(found) if n}
            bins |= {INFINITE: count - len(sizes)} if len(sizes) < count else {}
        wrong = {ulp.KINDS[kind]: (count, place)}
        self._asked += replace(self._empty, checked=count, above=above, histogram=bins, wrong=wrong)

    # What is judged result by result.

    def _ask(self, block: _Block, piece: Piece | None) -> None:
        x = block.x()
        none = np.isnan(x) if piece is None else np.full(len(x), piece.kind == "undefined")
        if none.all():
            lost = np.isnan(block.y)
            if lost.all() or (self._constant == 0 and not block.y.any()):
                self._count_right(len(x))
                return
            # What reads no input is right at NaN with its value, and with NaN.
            value = math.nan if self._constant is None else self._constant
            self._judge(block, torch.from_numpy(np.where(lost, math.nan, value)))
        elif none.any():  # infinity, and the NaNs that follow it
            for some in (~none, none):
                self._ask(block.only(np.flatnonzero(some)), None)
        else:
            exact = self._cover.oracle.exact(
                self._cover.order, {self._cover.oracle.arguments[0]: x}
            )
            high, low, sign_known, decided, rest = map(torch.from_numpy, exact)
            verdict = ulp.judge(
                block.computed, high, low, zero_sign=sign_known, decided=decided, rest=rest
            )
            self._add(block, high, verdict)

    def _judge(self, block: _Block, high: Tensor, margin: float = 0.0) -> None:
        self._add(block, high, ulp.judge(block.computed, high, torch.zeros_like(high)), margin)

    def _add(self, block: _Block, high: Tensor, verdict: ulp.Verdict, margin: float = 0.0) -> None:
        x = block.inputs()
        part = tally.counted(self._empty, (x,), block.computed, high, verdict)
        self._asked += replace(part, bound=part.bound + margin)

    def result(self) -> Accuracy:
        """The figures of the chunk; the largest error and the examples beside the oracle itself."""
        asked = self._asked
        wrong = {kind: (count, self._exactly(p)) for kind, (count, p) in asked.wrong.items()}
        worst = asked.worst and self._exactly(asked.worst)
        found = replace(asked, wrong=wrong, worst=worst)
        if not self._checked:
            return found
        counts = {k + FINEST: int(n) for k, n in enumerate(self._bins) if n}
        more = {t: sum(n for k, n in counts.items() if 2.0**k > t) for t in THRESHOLDS[:3]}
        above = {**more, 10.0: self._above_ten}
        swept = replace(self._empty, checked=self._checked, above=above, histogram=counts)
        if self._largest >= 0:
            largest = Errors(self._empty, self._cover)
            largest._ask(_Block.of(np.array([self._at], dtype=np.int64), self._computed), None)
            one = largest._asked
            swept = replace(swept, max_ulp=one.max_ulp, worst=one.worst)
        return found + replace(swept, bound=max(self._bound, swept.max_ulp))

    def _exactly(self, place: Place) -> Place:
        if math.isnan(place.inputs[0]):
            return place
        oracle = self._cover.oracle
        column = {oracle.arguments[0]: np.array(place.inputs)}
        exact = oracle.exact(self._cover.order, column)
        return replace(place, exact=float(exact.high[0]))


def _all_signed(bits: NDArray[np.int32], sign: int) -> bool:
    """Whether all results have the sign, zeros included; not if none is known."""
    return bool(sign) and bool(((bits < 0) == (sign < 0)).all())


def _signed(reference: Floats, piece: Piece) -> Floats:
    """The polynomial's values with the sign that is proven."""
    return np.copysign(reference, piece.value_sign) if piece.value_sign else reference
