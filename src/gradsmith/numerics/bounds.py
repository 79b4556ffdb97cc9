"""What is known of the size of a value while its Program is written: it spares instructions.

The exponential of −|x| needs no guard against overflow, and log(1 + t) of such a one has its
argument between 0 and 1. Bounds follow from the instructions, rounding included; what they cannot
show, whoever writes an elementary function adds. They hold wherever the value is a number: NaN is
within all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

from gradsmith.numerics.program import F32, F64, Instruction, Op, number_of_bits

Bounds = tuple[float, float]
UNKNOWN: Bounds = (-inf, inf)


def bounds_of(
    instruction: Instruction, operands: Sequence[Bounds], made: Callable[[int], Instruction | None]
) -> Bounds:
    """Bounds of a result, from those of its operands.

    Args:
        instruction: what computes it.
        operands: bounds of each operand.
        made: the instruction that computes a value; None of an input.
    """
    kind = instruction.type
    if kind not in (F32, F64):
        return UNKNOWN
    match instruction.op:
        case Op.CONST:
            value = number_of_bits(kind, instruction.constant)
            return (value, value) if value == value else UNKNOWN
        case Op.LOOKUP:
            entries = [number_of_bits(kind, bits) for bits in instruction.table]
            numbers = [entry for entry in entries if entry == entry]
            return min(numbers, default=-inf), max(numbers, default=inf)
        case Op.NEG:
            return _negative(operands[0])
        case Op.ABS:
            return _size(operands[0])
        case Op.SELECT:
            return _selected(instruction, operands, made)
        case Op.MUL if instruction.args[0] == instruction.args[1]:
            low, high = _size(operands[0])
            # In float32 what rounds is not what these bounds are computed in.
            return (low * low, high * high) if kind is F64 else (0.0, inf)
        case Op.MUL if kind is F64:
            return _product(*operands)
        case Op.CONVERT if kind is F64:
            return operands[0]
    return UNKNOWN


def _negative(bounds: Bounds) -> Bounds:
    return -bounds[1], -bounds[0]


def _size(bounds: Bounds) -> Bounds:
    low, high = bounds
    least = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return least, max(abs(low), abs(high))


def _product(a: Bounds, b: Bounds) -> Bounds:
    ends = [p * q for p in a for q in b]
    if any(end != end for end in ends):  # 0·∞
        return UNKNOWN
    return min(ends), max(ends)


def _selected(
    instruction: Instruction, operands: Sequence[Bounds], made: Callable[[int], Instruction | None]
) -> Bounds:
    _, a, b = operands
    condition, yes, no = instruction.args
    comparison, number = made(condition), made(yes)
    # Of two variables either may be chosen because the other one is NaN, whatever its bounds are.
    constant = number is not None and number.op is Op.CONST
    if constant and comparison is not None and comparison.op is Op.LT:
        if comparison.args == (no, yes):  # the larger one
            return max(a[0], b[0]), max(a[1], b[1])
        if comparison.args == (yes, no):
            return min(a[0], b[0]), min(a[1], b[1])
    return min(a[0], b[0]), max(a[1], b[1])
