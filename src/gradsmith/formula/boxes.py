"""How a formula is set on paper: boxes, and the rules by which they are put together.

A :class:`Box` is what stands on the page, the same for LaTeX and for MathML. A :class:`Piece` is a
box that still knows how tightly it binds, so that the next operator adds brackets where leaving
them out would change the meaning, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """A rectangle of type; a leaf has a text, the others have parts.

    Attributes:
        parts: the boxes inside.
        text: what a leaf shows, in Unicode.
        tall: higher than a line, so that brackets around it grow.
        width: number of characters.
        level: how deep superscripts are nested in it.
    """

    parts: tuple[Box, ...] = ()
    text: str = ""
    tall: bool = field(init=False)
    width: int = field(init=False)
    level: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tall", self._is_tall())
        object.__setattr__(self, "width", sum((p.width for p in self.parts), len(self.text)))
        object.__setattr__(self, "level", self._nesting())

    def _is_tall(self) -> bool:
        return any(part.tall for part in self.parts)

    def _nesting(self) -> int:
        return max((part.level for part in self.parts), default=0)


class Letter(Box):
    """A variable of one letter, set in italics."""

    __slots__ = ()


class Word(Box):
    """A variable of several letters, set upright."""

    __slots__ = ()


class Name(Box):
    """The name of a function."""

    __slots__ = ()


class Digits(Box):
    """A number without a sign."""

    __slots__ = ()


class Sign(Box):
    """An operator between two boxes."""

    __slots__ = ()


class Prefix(Sign):
    """An operator before its only operand."""

    __slots__ = ()


class Prose(Box):
    """A word of English."""

    __slots__ = ()


class Row(Box):
    """Boxes side by side."""

    __slots__ = ()


class Fraction(Box):
    """The first part above the second."""

    __slots__ = ()

    def _is_tall(self) -> bool:
        return True


class Script(Box):
    """A base with what stands at its lower and upper right; either may be an empty row."""

    __slots__ = ()

    @property
    def upper(self) -> Box:
        """What is raised."""
        return self.parts[2]

    @property
    def lower(self) -> Box:
        """What is lowered."""
        return self.parts[1]

    def _is_tall(self) -> bool:
        return self.parts[0].tall or self.upper.tall

    def _nesting(self) -> int:
        base, lower, upper = self.parts
        raised = upper.level + 1 if upper.width else 0
        return max(base.level, lower.level, raised)


class Root(Box):
    """A square root."""

    __slots__ = ()


class Fence(Box):
    """A box between two delimiters, which are the two characters of ``text``."""

    __slots__ = ()


class Applied(Box):
    """A function's name, or another operator, and its arguments in brackets."""

    __slots__ = ()


class Cases(Box):
    """Values and conditions in turn, a row for each pair."""

    __slots__ = ()

    def _is_tall(self) -> bool:
        return True


EMPTY = Row()
TIMES = Sign(text="\u2062")
"""The product that is not shown."""
GAP = Sign(text="\u2009")
"""The product that is shown as a thin space."""
DOT = Sign(text="·")
APPLY = Sign(text="\u2061")


class Binding(IntEnum):
    """What a piece is, from what binds loosest."""

    OR = 0
    AND = 1
    RELATION = 2
    SUM = 3
    QUOTIENT = 4
    """Written on one line, a/b."""
    PRODUCT = 5
    FACTOR = 6
    """Needs no brackets in a product, but does under an exponent."""
    ATOM = 7


@dataclass(frozen=True, slots=True)
class Piece:
    """A box on its way into a larger one.

    Attributes:
        box: without its leading minus sign.
        binding: what it is.
        minus: whether a minus sign comes first, so that a sum can put it for its plus.
        open: whether nothing marks its right end, so that nothing may follow without brackets.
    """

    box: Box
    binding: Binding = Binding.ATOM
    minus: bool = False
    open: bool = False

    @property
    def whole(self) -> Box:
        """The box with its sign."""
        return row(Prefix(text="−"), self.box) if self.minus else self.box


def fold(root: Box, paint: Callable[[Box, list[str]], str]) -> str:
    """``paint(box, painted parts)`` from the leaves up, however deep the boxes are nested."""
    done: dict[Box, str] = {}
    stack = [root]
    while stack:
        box = stack[-1]
        missing = [part for part in box.parts if part not in done]
        if missing:
            stack.extend(missing)
        else:
            done[stack.pop()] = paint(box, [done[part] for part in box.parts])
    return done[root]


def row(*boxes: Box) -> Box:
    """The boxes side by side, without rows inside rows."""
    flat: list[Box] = []
    for box in boxes:
        flat.extend(box.parts if isinstance(box, Row) else (box,))
    return flat[0] if len(flat) == 1 else Row(tuple(flat))


def bracket(piece: Piece, delimiters: str = "()") -> Piece:
    """The piece in brackets."""
    return Piece(Fence((piece.whole,), delimiters))


def apply(head: Box, arguments: Sequence[Piece], delimiters: str = "()") -> Piece:
    """``head(a, b)``."""
    inside: list[Box] = []
    for argument in arguments:
        inside.extend((Sign(text=","), argument.whole) if inside else (argument.whole,))
    return Piece(Applied((head, Fence((row(*inside),), delimiters))), Binding.FACTOR)


def binary(a: Piece, sign: Box, b: Piece, binding: Binding, least: Binding) -> Piece:
    """``a sign b`` of an operator with the same demand on both sides."""
    left, right = _first(a, least), _last(b, least, signed=True)
    return Piece(row(left.whole, sign, right.whole), binding, open=right.open)


def add(a: Piece, b: Piece) -> Piece:
    """``a + b``, or ``a − b`` where b starts with a minus sign."""
    left, right = _first(a, Binding.SUM), _last(b, Binding.SUM, signed=True)
    sign = Sign(text="−" if right.minus else "+")
    return Piece(row(left.box, sign, right.box), Binding.SUM, left.minus, right.open)


def subtract(a: Piece, b: Piece) -> Piece:
    """``a − b``."""
    left, right = _first(a, Binding.SUM), _last(b, Binding.QUOTIENT)
    return Piece(row(left.box, Sign(text="−"), right.box), Binding.SUM, left.minus, right.open)


def negate(piece: Piece) -> Piece:
    """``−piece``."""
    inner = _last(piece, Binding.QUOTIENT)
    return replace(inner, binding=min(inner.binding, Binding.PRODUCT), minus=True)


def multiply(a: Piece, b: Piece) -> Piece:
    """``a b``, with a dot only where the two would otherwise be read as something else."""
    left, right = _first(a, Binding.PRODUCT), _last(b, Binding.PRODUCT)
    product = row(left.box, _between(left.box, right.box), right.box)
    return Piece(product, Binding.PRODUCT, left.minus, right.open)


def divide(a: Piece, b: Piece) -> Piece:
    """``a`` above ``b``; a minus sign of ``a`` comes before the whole."""
    hoist = a.minus and a.binding > Binding.SUM
    above = a.box if hoist else a.whole
    if isinstance(above, Fence) and above.text == "()":
        above = above.parts[0]  # −(a + b) has lost its sign, and needs them no longer
    fraction = Fraction((above, b.whole))
    return Piece(fraction, Binding.PRODUCT if hoist else Binding.FACTOR, hoist)


def divide_inline(a: Piece, b: Piece) -> Piece:
    """``a/b`` on one line, as an exponent has it."""
    left, right = _first(a, Binding.PRODUCT), _last(b, Binding.FACTOR)
    quotient = row(left.box, Sign(text="/"), right.box)
    return Piece(quotient, Binding.QUOTIENT, left.minus, right.open)


def raise_to(base: Piece, exponent: Piece) -> Piece:
    """``base`` to the power ``exponent``, as a superscript."""
    below = base if base.binding is Binding.ATOM and not base.minus else bracket(base)
    return Piece(_superscript(below.box, exponent.whole), Binding.FACTOR)


def raise_name(applied: Piece, exponent: Piece) -> Piece:
    """f²(x): the exponent stands at the name of the function."""
    head, arguments = applied.box.parts
    return Piece(Applied((_superscript(head, exponent.whole), arguments)), Binding.FACTOR)


def has_plain_name(piece: Piece) -> bool:
    """Whether the piece is ``f(x)`` with a name that has no exponent yet."""
    if piece.minus or not isinstance(piece.box, Applied):
        return False
    head = piece.box.parts[0]
    if isinstance(head, Script):
        return isinstance(head.parts[0], Name) and not head.upper.width
    return isinstance(head, Name)


def choose(condition: Piece, value: Piece, otherwise: Piece) -> Piece:
    """A row for the condition, and one or, where they are cases too, several for the rest."""
    first = (value.whole, row(Prose(text="if"), condition.whole))
    if isinstance(otherwise.box, Cases) and not otherwise.minus:
        rest = otherwise.box.parts
    else:
        rest = (otherwise.whole, Prose(text="otherwise"))
    return Piece(Cases((*first, *rest)), Binding.FACTOR, open=True)


def _first(piece: Piece, least: Binding) -> Piece:
    """The piece as it can stand before an operator; its minus sign then comes first of all."""
    return piece if piece.binding >= least and not piece.open else bracket(piece)


def _last(piece: Piece, least: Binding, *, signed: bool = False) -> Piece:
    """The piece as it can stand after an operator."""
    return piece if piece.binding >= least and (signed or not piece.minus) else bracket(piece)


def _superscript(base: Box, upper: Box) -> Box:
    if isinstance(base, Script) and not base.upper.width:
        return Script((base.parts[0], base.lower, upper))
    return Script((base, EMPTY, upper))


def _between(left: Box, right: Box) -> Box:
    """The sign of the product of two boxes: none, a thin space or a dot."""
    tail, head = _edge(left, -1), _edge(right, 0)
    if _starts_with_number(head, after=tail):
        return DOT
    if isinstance(head, Fence) and head.text == "()":
        # x(x + 1) is a product to every reader, f(x + 1) is not.
        return DOT if _reads_as_function(tail) else TIMES
    spaced = (Applied, Root, Word, Cases)
    if isinstance(_base(tail), spaced) or isinstance(_base(head), (*spaced, Fraction)):
        return GAP
    both_bars = isinstance(tail, Fence) and isinstance(head, Fence)
    decimal = isinstance(tail, Digits) and "." in tail.text
    return GAP if both_bars or decimal else TIMES


def _edge(box: Box, side: int) -> Box:
    return box.parts[side] if isinstance(box, Row) and box.parts else box


def _base(box: Box) -> Box:
    return box.parts[0] if isinstance(box, Script) else box


def _starts_with_number(box: Box, after: Box) -> bool:
    if isinstance(box, Fraction):
        # 2 beside 1/2 would be read as two and a half.
        numeric = all(isinstance(part, Digits) for part in box.parts)
        return numeric and isinstance(_base(after), (Digits, Fraction))
    return isinstance(_base(box), Digits)


def _reads_as_function(box: Box) -> bool:
    base = _base(box)
    return isinstance(base, Word) or (isinstance(base, Letter) and base.text[0] in "fghσΦD")
