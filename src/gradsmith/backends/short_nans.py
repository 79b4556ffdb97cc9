"""Which values of a Program cannot be a NaN that rounding to bfloat16 would turn into a number.

Rounding adds to the 16 bits that are cut off, and a carry out of a NaN's payload would leave an
infinity or a zero. But an operation makes no payload: its NaN has that of an operand or none, on
x86 and ARM (LLVM's language reference, "Behavior of Floating-Point NaN values"). So where numbers
come from bfloat16, 16 zeros end whatever NaN becomes of them, and nothing is carried.
"""

from __future__ import annotations

from collections.abc import Collection

from gradsmith.numerics.program import (
    BF16,
    F32,
    F64,
    Constant,
    Instruction,
    Op,
    Program,
    Type,
    number_of_bits,
)

_CUT = {F32: 16, F64: 45}
"""Bits below those that bfloat16 keeps."""

_ARITHMETIC = (Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.FMA, Op.SQRT, Op.RINT)
_PASSING = (*_ARITHMETIC, Op.NEG, Op.ABS, Op.SELECT, Op.CONVERT)


def short_nans(program: Program, packed: Collection[str | int] = ()) -> set[int]:
    """The numbers of the values whose NaN ends in zeros, if there is one.

    Args:
        program: what is computed.
        packed: names of inputs that are codes of two bits.
    """
    short = {number for number, (name, _) in enumerate(program.inputs) if name in packed}
    for number, instruction in program.numbered():
        if _is_short(program, instruction, short):
            short.add(number)
    return short


def _is_short(program: Program, instruction: Instruction, short: Collection[int]) -> bool:
    op, kind, args = instruction.op, instruction.type, instruction.args
    if kind not in _CUT:
        return False
    if op is Op.CONST:
        return _ends_in_zeros(kind, instruction.constant)
    if op is Op.LOOKUP:
        return all(_ends_in_zeros(kind, entry) for entry in instruction.table)
    if op is Op.BITS:  # a power of two from its exponent
        made = program.made(args[0])
        return made is not None and made.op is Op.SHL and made.constant >= _CUT[kind]
    if op is Op.CONVERT and program.type_of(args[0]) is BF16:
        return True
    if op is Op.SELECT:
        args = args[1:]
    return op in _PASSING and all(arg in short for arg in args)


def _ends_in_zeros(kind: Type, bits: Constant) -> bool:
    value = number_of_bits(kind, bits)
    return value == value or bits % 2 ** _CUT[kind] == 0
