"""Programs: typed straight-line code of operations whose result IEEE 754 fixes.

A stable expression says what to compute; a Program says it to the last bit. It knows addition,
multiplication, fused multiply-add, division, square root, comparisons, selection, conversions,
integer arithmetic on the bits of a number and small tables, and no library function: whoever
carries it out, on whatever lanes, threads or device, gets the same bits. A backend may not
reassociate, contract or flush anything.

:mod:`gradsmith.numerics.builder` writes them, :mod:`gradsmith.numerics.interpreter` runs them
slowly and plainly, for every backend to be compared with.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from math import isfinite


class Type(Enum):
    """What a value is: the name, its bits, and whether it is a number to calculate with."""

    F64 = ("f64", 64, True)
    F32 = ("f32", 32, True)
    F16 = ("f16", 16, False)  # storage formats: read and written, never computed in
    BF16 = ("bf16", 16, False)
    I64 = ("i64", 64, False)
    I32 = ("i32", 32, False)
    BOOL = ("bool", 1, False)

    __hash__ = object.__hash__  # that of an Enum is a function in Python, and asked for often

    def __init__(self, label: str, bits: int, computes: bool) -> None:
        self.label = label
        self.bits = bits
        self.computes = computes

    @property
    def is_integer(self) -> bool:
        """Whether it is one of the integers that hold the bits of a number."""
        return self in (Type.I32, Type.I64)

    @property
    def digits(self) -> int:
        """Binary digits of the significand of a format that is computed in."""
        return _DIGITS[self]

    @property
    def same_size_integer(self) -> Type:
        """The integer that holds the bits of a number of this type, and the other way round."""
        return _SAME_SIZE[self]


F64, F32, F16, BF16, I64, I32, BOOL = Type

_DIGITS = {F64: 53, F32: 24}
_SAME_SIZE = {F64: I64, F32: I32, I64: F64, I32: F32}


class Op(Enum):
    """The operations. Each is exact, or rounded once to nearest, ties to even."""

    __hash__ = object.__hash__

    CONST = "const"
    ADD = "add"
    SUB = "sub"
    MUL = "mul"
    DIV = "div"
    FMA = "fma"  # a·b + c with one rounding
    SQRT = "sqrt"
    RINT = "rint"  # to the nearest integer, ties to even
    NEG = "neg"  # flips the sign bit, of NaN and zero too
    ABS = "abs"  # clears the sign bit
    LT = "lt"  # comparisons are false where an operand is NaN; −0 equals 0
    LE = "le"
    EQ = "eq"
    AND = "and"  # of truth values, or of the bits of integers
    OR = "or"
    XOR = "xor"
    NOT = "not"  # of truth values
    SELECT = "select"  # select(c, a, b): a where c holds, else b; looks at no other bit
    SHL = "shl"  # integers wrap around; shifts are by a constant
    SHR = "shr"  # with the sign
    USHR = "ushr"  # with zeros
    BITS = "bits"  # the bits of a number as an integer, or back
    LOOKUP = "lookup"  # the f32 of a table at an i32, of which the lowest bits count
    CONVERT = "convert"  # between f32, f64, f16 and bf16, rounded once; which NaN is free


Constant = int
"""A constant is its bits; of an integer or a truth value, its value."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """``op`` applied to earlier values, given by their numbers.

    Attributes:
        op: the operation.
        args: numbers of the operands: inputs first, then instructions, counted from 0.
        type: of the result.
        constant: bits of a constant, or the number of places of a shift.
        table: bits of the constants to choose from, as many as a power of two.
    """

    op: Op
    args: tuple[int, ...]
    type: Type
    constant: Constant = 0
    table: tuple[Constant, ...] = ()


@dataclass(frozen=True)
class Program:
    """Straight-line code.

    Attributes:
        inputs: name and type of each input.
        instructions: in an order in which operands come before their use.
        outputs: the numbers of the results.
    """

    inputs: tuple[tuple[str, Type], ...]
    instructions: tuple[Instruction, ...]
    outputs: tuple[int, ...]

    def type_of(self, number: int) -> Type:
        """The type of the value of that number."""
        count = len(self.inputs)
        return self.inputs[number][1] if number < count else self.instructions[number - count].type

    def made(self, number: int) -> Instruction | None:
        """The instruction that computes the value of that number; None of an input."""
        count = len(self.inputs)
        return self.instructions[number - count] if number >= count else None

    def numbered(self) -> Iterator[tuple[int, Instruction]]:
        """Each instruction with the number of its result."""
        return enumerate(self.instructions, len(self.inputs))

    def __str__(self) -> str:
        names = [name for name, _ in self.inputs]
        head = ", ".join(f"{name}: {kind.label}" for name, kind in self.inputs)
        lines = [f"program({head})"]
        for number, instruction in self.numbered():
            names.append(f"%{number}")
            lines.append(f"  %{number} = {_written(instruction, names)}")
        lines.append("  return " + ", ".join(names[output] for output in self.outputs))
        return "\n".join(lines)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of the whole text: programs with the same one compute the same bits."""
        return sha256(str(self).encode()).hexdigest()

    def count(self, *ops: Op) -> int:
        """How many instructions there are of these kinds, or of all but constants."""
        wanted = ops or tuple(op for op in Op if op is not Op.CONST)
        return sum(instruction.op in wanted for instruction in self.instructions)


def _written(instruction: Instruction, names: Sequence[str]) -> str:
    parts = [names[arg] for arg in instruction.args]
    if instruction.op is Op.CONST:
        parts = [_constant_text(instruction.type, instruction.constant)]
    elif instruction.op in (Op.SHL, Op.SHR, Op.USHR):
        parts.append(str(instruction.constant))
    elif instruction.op is Op.LOOKUP:
        entries = (_constant_text(instruction.type, entry) for entry in instruction.table)
        parts.append(f"[{', '.join(entries)}]")
    return f"{instruction.op.value}.{instruction.type.label} {', '.join(parts)}"


def _constant_text(kind: Type, bits: Constant) -> str:
    if not kind.computes:
        return str(bits)
    value = number_of_bits(kind, bits)
    return value.hex() if value == value else f"nan:{bits:#x}"


_IN_RANGE = 2.0**127


def bits_of_number(kind: Type, value: float | Fraction) -> Constant:
    """The bits of the number of format ``kind`` nearest to ``value``; ±inf beyond its range."""
    if kind is F64:
        return int(struct.unpack("<q", struct.pack("<d", _nearest_float64(value)))[0])
    if isinstance(value, float) and abs(value) < _IN_RANGE:  # one rounding, and a quick one
        return int(struct.unpack("<i", struct.pack("<f", value))[0])
    if isinstance(value, float) and isfinite(value):
        value = Fraction(value)
    return int(struct.unpack("<i", struct.pack("<f", _nearest_float32(value)))[0])


def number_of_bits(kind: Type, bits: Constant) -> float:
    """The number that the bits stand for."""
    layout = ("<q", "<d") if kind is F64 else ("<i", "<f")
    return float(struct.unpack(layout[1], struct.pack(layout[0], bits))[0])


def is_power_of_two(value: Fraction) -> bool:
    """Whether it is ±2ᵏ for an integer k: multiplying by it, or by 1 over it, rounds nothing."""
    top, bottom = abs(value.numerator), value.denominator
    return top > 0 and top & (top - 1) == 0 and bottom & (bottom - 1) == 0


def _nearest_float64(value: float | Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _nearest_float32(value: float | Fraction) -> float:
    """Rounded once: float64 on the way would round twice."""
    if isinstance(value, float):
        return value  # NaN, an infinity or −0
    if value == 0:
        return 0.0
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    unit = Fraction(2) ** (max(exponent, -126) - 23)
    near = round(size / unit) * unit
    result = float("inf") if near >= 2**128 else float(near)
    return result if value > 0 else -result
