"""Writing a :class:`~gradsmith.numerics.program.Program`: values that behave like numbers.

Equal instructions are written once, what no output needs is left out, and types are checked as
one writes::

    b = Builder()
    x = b.input("x", F64)
    program = b.program(fma(x, x, 1.0))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from gradsmith.numerics.bounds import UNKNOWN, Bounds, bounds_of
from gradsmith.numerics.narrowing import narrowed, product_with_choice
from gradsmith.numerics.program import (
    F32,
    F64,
    Constant,
    Instruction,
    Op,
    Program,
    Type,
    bits_of_number,
    number_of_bits,
)
from gradsmith.numerics.signatures import SIGNATURES


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """A value of a program that is being written; operators write instructions."""

    builder: Builder
    number: int
    type: Type

    def __add__(self, other: Operand) -> Value:
        return self._with(Op.ADD, other)

    def __radd__(self, other: Operand) -> Value:
        return self._lifted(other) + self

    def __sub__(self, other: Operand) -> Value:
        return self._with(Op.SUB, other)

    def __rsub__(self, other: Operand) -> Value:
        return self._lifted(other) - self

    def __mul__(self, other: Operand) -> Value:
        return self._with(Op.MUL, other)

    def __rmul__(self, other: Operand) -> Value:
        return self._lifted(other) * self

    def __truediv__(self, other: Operand) -> Value:
        return self._with(Op.DIV, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return self._lifted(other) / self

    def __neg__(self) -> Value:
        return self.builder.write(Op.NEG, self)

    def __abs__(self) -> Value:
        return self.builder.write(Op.ABS, self)

    def __lt__(self, other: Operand) -> Value:
        return self._with(Op.LT, other)

    def __le__(self, other: Operand) -> Value:
        return self._with(Op.LE, other)

    # Not by < and <=: Python would ask the one whose class is derived from the other's first.
    def __gt__(self, other: Operand) -> Value:
        return self._lifted(other)._with(Op.LT, self)

    def __ge__(self, other: Operand) -> Value:
        return self._lifted(other)._with(Op.LE, self)

    def __and__(self, other: Operand) -> Value:
        return self._with(Op.AND, other)

    def __or__(self, other: Operand) -> Value:
        return self._with(Op.OR, other)

    def __xor__(self, other: Operand) -> Value:
        return self._with(Op.XOR, other)

    def __invert__(self) -> Value:
        return self.builder.write(Op.NOT, self)

    def __lshift__(self, places: int) -> Value:
        return self.builder.write(Op.SHL, self, constant=places)

    def __rshift__(self, places: int) -> Value:
        """With the sign; :func:`unsigned_shift` shifts in zeros."""
        return self.builder.write(Op.SHR, self, constant=places)

    def __bool__(self) -> bool:
        raise TypeError("a value is known only when the program runs; use select")

    def _with(self, op: Op, other: Operand) -> Value:
        return self.builder.write(op, self, self._lifted(other))

    def _lifted(self, other: Operand) -> Value:
        return other if isinstance(other, Value) else self.builder.number(self.type, other)

    @property
    def bounds(self) -> Bounds:
        """Between which it lies wherever it is a number; see :mod:`~gradsmith.numerics.bounds`."""
        return self.builder.bounds_of(self)

    @property
    def op(self) -> Op | None:
        """What computes it; None of an input."""
        made = self.builder.made(self)
        return None if made is None else made.op

    @property
    def operands(self) -> list[Value]:
        """What it is computed of."""
        made = self.builder.made(self)
        return [] if made is None else self.builder.values(made.args)

    @property
    def known(self) -> float | None:
        """The number, of a constant."""
        made = self.builder.made(self)
        if made is None or made.op is not Op.CONST or not self.type.computes:
            return None
        return number_of_bits(self.type, made.constant)


Operand = Value | int | float | Fraction


class Builder:
    """Writes one Program; equal instructions become one."""

    def __init__(self) -> None:
        self._inputs: list[tuple[str, Type]] = []
        self._instructions: list[Instruction] = []
        self._types: list[Type] = []
        self._known: dict[Instruction, Value] = {}
        self._bounds: list[Bounds] = []

    def input(self, name: str, kind: Type) -> Value:
        """The next input; all of them come before the first instruction."""
        if self._instructions:
            raise ValueError(f"input {name!r} comes after the first instruction")
        if any(name == known for known, _ in self._inputs):
            raise ValueError(f"two inputs are called {name!r}")
        self._inputs.append((name, kind))
        self._types.append(kind)
        self._bounds.append(UNKNOWN)
        return Value(self, len(self._types) - 1, kind)

    def number(self, kind: Type, value: int | float | Fraction) -> Value:
        """A constant: the number of that type nearest to ``value``, or the integer itself."""
        if kind.computes:
            exact = Fraction(value) if isinstance(value, int) else value
            return self.constant(kind, bits_of_number(kind, exact))
        if not isinstance(value, int):
            raise TypeError(f"a constant of type {kind.label} is an integer, got {value!r}")
        return self.constant(kind, value)

    def constant(self, kind: Type, bits: Constant) -> Value:
        """A constant given by its bits, as a signed integer."""
        return self._enter(Instruction(Op.CONST, (), kind, bits))

    def write(
        self,
        op: Op,
        *operands: Value,
        type: Type | None = None,
        constant: Constant = 0,
        table: tuple[Constant, ...] = (),
    ) -> Value:
        """One instruction; its result.

        Raises:
            TypeError: the operands are not of the types that ``op`` takes.
            ValueError: an operand belongs to another program, a shift is by too many places, or
                the entries of a table are not as many as a power of two.
        """
        types = tuple(operand.type for operand in operands)
        if any(operand.builder is not self for operand in operands):
            raise ValueError("an operand belongs to another program")
        result = SIGNATURES[op](types, type)
        if result is None:
            given = ", ".join(kind.label for kind in types)
            to = f" to {type.label}" if type else ""
            raise TypeError(f"{op.value} does not take ({given}){to}")
        if op in (Op.SHL, Op.SHR, Op.USHR) and not 0 <= constant < result.bits:
            raise ValueError(f"{result.label} is shifted by 0 to {result.bits - 1}, not {constant}")
        if (len(table).bit_count() == 1) != (op is Op.LOOKUP):
            raise ValueError(f"{op.value} does not take a table of {len(table)} entries")
        args = tuple(operand.number for operand in operands)
        if op is Op.MUL and (choice := product_with_choice(*operands)) is not None:
            return choice
        if op is Op.CONVERT and result.bits < operands[0].type.bits:
            narrow = narrowed(operands[0], result)
            if narrow is not None:
                return narrow
        if op in _EVEN and len(set(args)) == 1:
            args = (self._without_sign(args[0]),) * len(args)
        return self._enter(Instruction(op, args, result, constant, table))

    def bounds_of(self, value: Value) -> Bounds:
        """What is known of the size of a value, wherever it is a number."""
        return self._bounds[value.number]

    def made(self, value: Value) -> Instruction | None:
        """The instruction that computes a value; None of an input."""
        return self._made(value.number)

    def values(self, numbers: Sequence[int]) -> list[Value]:
        """What was written, by number."""
        return [Value(self, number, self._types[number]) for number in numbers]

    def note(self, value: Value, low: float, high: float) -> Value:
        """The value, of which the writer knows more than its instructions show."""
        known = self._bounds[value.number]
        self._bounds[value.number] = max(low, known[0]), min(high, known[1])
        return value

    def _without_sign(self, number: int) -> int:
        """The same value, or the one of which it is the opposite or the size."""
        made = self._made(number)
        return made.args[0] if made is not None and made.op in (Op.NEG, Op.ABS) else number

    def _made(self, number: int) -> Instruction | None:
        count = len(self._inputs)
        return self._instructions[number - count] if number >= count else None

    def _enter(self, instruction: Instruction) -> Value:
        known = self._known.get(instruction)
        if known is None:
            self._instructions.append(instruction)
            self._types.append(instruction.type)
            operands = [self._bounds[arg] for arg in instruction.args]
            self._bounds.append(bounds_of(instruction, operands, self._made))
            known = Value(self, len(self._types) - 1, instruction.type)
            self._known[instruction] = known
        return known

    def program(self, *outputs: Value) -> Program:
        """What was written, without instructions that no output needs."""
        count = len(self._inputs)
        needed = {output.number for output in outputs}
        for number in range(len(self._types) - 1, count - 1, -1):
            if number in needed:
                needed.update(self._instructions[number - count].args)
        renumbered = {number: number for number in range(count)}
        kept: list[Instruction] = []
        for number, old in enumerate(self._instructions, count):
            if number in needed:
                renumbered[number] = count + len(kept)
                args = tuple(renumbered[arg] for arg in old.args)
                kept.append(Instruction(old.op, args, old.type, old.constant, old.table))
        results = tuple(renumbered[output.number] for output in outputs)
        return Program(tuple(self._inputs), tuple(kept), results)


_EVEN = (Op.ABS, Op.MUL)
"""What loses the sign of its operand: |a|, and a·a."""


def fma(a: Value, b: Operand, c: Operand) -> Value:
    """a·b + c, rounded once."""
    return a.builder.write(Op.FMA, a, a._lifted(b), a._lifted(c))


def sqrt(a: Value) -> Value:
    """√a."""
    return a.builder.write(Op.SQRT, a)


def rint(a: Value) -> Value:
    """The integer nearest to ``a``, ties to even."""
    return a.builder.write(Op.RINT, a)


def equal(a: Value, b: Operand) -> Value:
    """Whether a = b; false for NaN."""
    return a.builder.write(Op.EQ, a, a._lifted(b))


def select(condition: Value, a: Operand, b: Operand) -> Value:
    """``a`` where the condition holds, else ``b``; at least one of them is a Value."""
    like = a if isinstance(a, Value) else b
    if not isinstance(like, Value):
        raise TypeError("select needs the type of its branches: make one of them a Value")
    return condition.builder.write(Op.SELECT, condition, like._lifted(a), like._lifted(b))


def lookup(index: Value, table: Sequence[float | Fraction]) -> Value:
    """The float32 nearest to the entry at ``index``, an I32 taken modulo their number."""
    entries = tuple(bits_of_number(F32, entry) for entry in table)
    return index.builder.write(Op.LOOKUP, index, table=entries)


def bits(a: Value) -> Value:
    """The bits of a number as an integer of its size, or the number of such an integer."""
    return a.builder.write(Op.BITS, a)


def unsigned_shift(a: Value, places: int) -> Value:
    """An integer's bits moved down by that many places, zeros moving in."""
    return a.builder.write(Op.USHR, a, constant=places)


def convert(a: Value, kind: Type) -> Value:
    """``a`` in another format, rounded once; see :func:`round_to_odd` for float64 to 16 bits."""
    return a if a.type is kind else a.builder.write(Op.CONVERT, a, type=kind)


def round_to_odd(a: Value) -> Value:
    """A float64 as float32 such that rounding that once more to 22 digits or fewer is right.

    What float32 cannot hold is cut off and leaves the last bit set (Boldo, Melquiond: "Emulation
    of FMA and correctly rounded sums: proved algorithms using rounding to odd", IEEE Trans.
    Computers 57, 2008).
    """
    near = convert(a, F32)
    back = convert(near, F64)
    pattern = bits(near)
    # The neighbour on the other side of ``a``, where ``near`` is an even number beside it.
    toward = select(abs(back) < abs(a), pattern + 1, pattern - 1)
    inexact = ~equal(back, a) & equal(a, a)
    even = equal(pattern & 1, 0)
    return bits(select(inexact & even, toward, pattern))


def maximum(a: Value, b: Operand) -> Value:
    """The larger; ``a`` where it is NaN."""
    other = a._lifted(b)
    return a if a.bounds[0] >= other.bounds[1] else select(a < other, other, a)


def minimum(a: Value, b: Operand) -> Value:
    """The smaller; ``a`` where it is NaN."""
    other = a._lifted(b)
    return a if a.bounds[1] <= other.bounds[0] else select(other < a, other, a)


def with_sign_of(size: Value, x: Value) -> Value:
    """A number whose sign bit is clear, or that of ``x``, with the sign bit of ``x``."""
    top = x.builder.number(x.type.same_size_integer, -(2 ** (x.type.bits - 1)))
    return bits(bits(size) | (bits(x) & top))


def clamped(x: Value, low: float, high: float) -> Value:
    """``x``, but not below ``low`` nor above ``high``; NaN stays NaN."""
    return minimum(maximum(x, low), high)


def two_sum(a: Value, b: Value) -> tuple[Value, Value]:
    """The sum and its error (Knuth: "The Art of Computer Programming", volume 2, 4.2.2)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)
