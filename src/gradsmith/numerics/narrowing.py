"""Choices among numbers that came in a narrower format are made there.

Half as many instructions choose among float32 as among float64, and what goes from 16 bits to 16
bits need not be converted at all. :class:`~gradsmith.numerics.builder.Builder` asks here before it
writes a product or a conversion; no bit of a number depends on the answer.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import isnan, nan
from typing import TYPE_CHECKING

from gradsmith.numerics.program import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    Constant,
    Op,
    Type,
    bits_of_number,
    number_of_bits,
)

if TYPE_CHECKING:
    from gradsmith.numerics.builder import Value


def narrowed(wide: Value, to: Type) -> Value | None:
    """The number of format ``to`` nearest to it, where it need not be rounded as it stands.

    One of the numbers that it is chosen from may have to be rounded. To round two takes longer
    than to choose among the wide ones.
    """
    known = _held(wide, to)
    if known is not None:
        return known
    choice = _choice(wide, to)
    computed = [value for value in _not_held(wide, to).values() if value.known is None]
    if choice is None or len(computed) > 1:
        return None
    test, *branches = choice
    write = wide.builder.write
    return write(Op.SELECT, test, *(write(Op.CONVERT, branch, type=to) for branch in branches))


def product_with_choice(a: Value, b: Value) -> Value | None:
    """A product with a choice between 1 and a constant: a choice of the product.

    Vectors multiply and choose in one instruction. Of what was float32 the choice is also one
    that can be made there, and so may the other number be any. A choice of NaN goes last for the
    sake of what was narrower.
    """
    for one, other in ((a, b), (b, a)):
        if one.op is not Op.SELECT:
            continue
        condition, yes, no = one.operands
        was_narrow = other.op is Op.CONVERT and other.operands[0].type.bits < other.type.bits
        any_number = was_narrow and other.type is F64
        nan_if, nan_else = (number if was_narrow else None for number in _not_numbers(condition))
        if _is_one(no) and (any_number or yes.known is not None):
            branches = other * yes, other
        elif _is_one(yes) and (any_number or no.known is not None):
            branches = other, other * no
        elif yes.number == nan_if:
            branches = yes, other * no
        elif no.number == nan_else:
            branches = other * yes, no
        else:
            continue
        return one.builder.write(Op.SELECT, condition, *branches)
    return None


def _is_one(value: Value) -> bool:
    return value.known == 1.0


def _held(wide: Value, to: Type) -> Value | None:
    """The same number in format ``to``, where it came from there or is a constant."""
    if wide.op is Op.CONVERT:
        (source,) = wide.operands
        return source if source.type is to else None
    held = None if wide.known is None else _bits_in(to, wide.known)
    return None if held is None else wide.builder.constant(to, held)


def _bits_in(kind: Type, value: float) -> Constant | None:
    """The bits of a number that the format holds; None of any other."""
    if kind is F16:
        try:
            bits = int(struct.unpack("<h", struct.pack("<e", value))[0])
        except OverflowError:
            return None
        near = float(struct.unpack("<e", struct.pack("<h", bits))[0])
    else:
        bits = bits_of_number(F32, value)
        if kind is BF16:
            bits &= -(2**16)
        near = number_of_bits(F32, bits)
    if near != value and not isnan(value):
        return None
    return bits >> 16 if kind is BF16 else bits


def _choice(wide: Value, to: Type) -> Sequence[Value] | None:
    """Condition and branches; None where it is no choice, or not one to be made among narrow ones.

    Where a number is NaN, so is what is computed of it.
    """
    if wide.op is not Op.SELECT:
        return None
    condition, *branches = wide.operands
    test = _test(condition) if to is F32 else condition
    if test is None:
        return None
    for at, (branch, none) in enumerate(zip(branches, _not_numbers(condition), strict=True)):
        of = [operand.number for operand in branch.operands]
        if branch.op in _ARITHMETIC and none in of:
            branches[at] = wide.builder.number(wide.type, nan)
    return (test, *branches)


def _not_numbers(condition: Value) -> Sequence[int | None]:
    """Which value is known to be NaN: where the condition holds, and where it does not."""
    if condition.op is Op.NOT:
        return _not_numbers(*condition.operands)[::-1]
    if condition.op is Op.EQ:
        a, b = condition.operands
        return None, a.number if a.number == b.number else None
    return None, None


_ARITHMETIC = (Op.ADD, Op.SUB, Op.MUL, Op.DIV, Op.FMA, Op.SQRT, Op.RINT)


def _not_held(wide: Value, to: Type) -> dict[int, Value]:
    """Those that would be rounded if the choice were made among numbers of format ``to``."""
    if _held(wide, to) is not None:
        return {}
    choice = _choice(wide, to)
    if choice is None:
        return {wide.number: wide}
    _, *branches = choice
    return {number: value for b in branches for number, value in _not_held(b, to).items()}


def _test(test: Value) -> Value | None:
    """The same truth value, of numbers of 32 bits; None where there are others."""
    if test.op is None:
        return test
    operands = test.operands
    if all(operand.type.bits == 32 for operand in operands):
        return test
    if operands[0].type is BOOL:
        narrow = [_test(operand) for operand in operands]
    else:
        narrow = [_exactly(operand) for operand in operands]
    known = [value for value in narrow if value is not None]
    return test.builder.write(test.op, *known) if len(known) == len(operands) else None


def _exactly(wide: Value) -> Value | None:
    return narrowed(wide, F32) if wide.type is F64 and not _not_held(wide, F32) else None
