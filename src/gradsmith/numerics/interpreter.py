"""The reference of what a Program computes: NumPy, one instruction at a time, slow and plain.

Every backend must give these bits. NumPy's arithmetic, square root, rounding and conversions are
IEEE 754's; only the fused multiply-add has to be made of other operations, and is exact here by
construction: for float32 by way of float64 rounded to odd, for float64 by error-free
transformations, with exact rationals where those would leave the range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import copysign, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradsmith.numerics.program import BOOL, F16, F32, F64, I32, I64, Op, Program, Type

Array = NDArray[Any]
Fma = Callable[[Array, Array, Array], Array]

DTYPES: dict[Type, np.dtype[Any]] = {
    F64: np.dtype(np.float64),
    F32: np.dtype(np.float32),
    F16: np.dtype(np.float16),
    Type.BF16: np.dtype(np.uint16),  # its bits: NumPy has no bfloat16
    I64: np.dtype(np.int64),
    I32: np.dtype(np.int32),
    BOOL: np.dtype(np.bool),
}


def run(program: Program, *inputs: Array, fused: Fma | None = None) -> list[Array]:
    """The outputs of a Program.

    Args:
        program: what to compute.
        inputs: one array per input, of the type's dtype (bfloat16 as its bits in uint16);
            shapes broadcast.
        fused: what to compute a·b + c with, by default :func:`fma`.

    Raises:
        TypeError: an input is missing or of another dtype.
    """
    if len(inputs) != len(program.inputs):
        names = ", ".join(name for name, _ in program.inputs)
        raise TypeError(f"the program takes ({names}), got {len(inputs)} arrays")
    values: list[Array] = []
    for (name, kind), array in zip(program.inputs, inputs, strict=True):
        given = np.asarray(array)
        if given.dtype != DTYPES[kind]:
            raise TypeError(f"{name} must be {DTYPES[kind]}, got {given.dtype}")
        values.append(given)
    shape = np.broadcast_shapes(*(array.shape for array in values))
    with np.errstate(all="ignore"):
        for instruction in program.instructions:
            operands = [values[arg] for arg in instruction.args]
            if instruction.op is Op.FMA:
                result = (fused or fma)(*operands)
            elif instruction.op is Op.CONST:
                result = _constant(instruction.type, instruction.constant)
            elif instruction.op is Op.LOOKUP:
                result = _constants(instruction.type, instruction.table)[
                    operands[0] & (len(instruction.table) - 1)
                ]
            elif instruction.op is Op.BITS:
                result = np.asarray(operands[0]).view(DTYPES[instruction.type])
            elif instruction.op is Op.CONVERT:
                source = program.type_of(instruction.args[0])
                result = _converted(operands[0], source, instruction.type)
            elif instruction.op in _SHIFTS:
                result = _SHIFTS[instruction.op](operands[0], instruction.constant)
            else:
                result = _OPERATIONS[instruction.op](*operands)
            values.append(np.asarray(result, dtype=DTYPES[instruction.type]))
    return [np.broadcast_to(values[output], shape).copy() for output in program.outputs]


def _constant(kind: Type, bits: int) -> Array:
    if kind.computes:
        return np.array(bits, dtype=DTYPES[kind.same_size_integer]).view(DTYPES[kind])
    if kind.bits == 16:
        return np.array(bits % 2**16, dtype=np.uint16).view(DTYPES[kind])
    return np.array(bits, dtype=DTYPES[kind])


def _constants(kind: Type, entries: Sequence[int]) -> Array:
    return np.stack([_constant(kind, bits) for bits in entries])


def _converted(a: Array, source: Type, to: Type) -> Array:
    if source is Type.BF16:
        return (a.astype(np.uint32) << 16).view(np.float32)
    if to is Type.BF16:
        bits = a.view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> 16
        quiet = (bits >> np.uint32(16)) | np.uint32(0x40)
        return np.where(np.isnan(a), quiet, rounded).astype(np.uint16)
    return a.astype(DTYPES[to])


def _unsigned_shift(a: Array, places: int) -> Array:
    unsigned: Array = a.view(np.uint64 if a.dtype == np.int64 else np.uint32)
    shifted: Array = np.right_shift(unsigned, unsigned.dtype.type(places)).view(a.dtype)
    return shifted


_SHIFTS: dict[Op, Callable[[Array, int], Array]] = {
    Op.SHL: lambda a, places: np.left_shift(a, a.dtype.type(places)),
    Op.SHR: lambda a, places: np.right_shift(a, a.dtype.type(places)),
    Op.USHR: _unsigned_shift,
}


def fma(a: Array, b: Array, c: Array) -> Array:
    """a·b + c, rounded once."""
    return _fma32(a, b, c) if a.dtype == np.float32 else _fma64(a, b, c)


def _two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _odd_sum(a: Array, b: Array) -> Array:
    """The float64 sum rounded to odd: what is cut off leaves the last bit set."""
    total, error = _two_sum(a, b)
    bits = total.view(np.int64)
    # The neighbour on the side of the error: away from zero it is the next pattern of bits.
    toward = (error.view(np.int64) ^ bits) >> 63 | 1
    even = (bits & 1) == 0
    return np.where((error != 0) & np.isfinite(total) & even, bits + toward, bits).view(np.float64)


def _fma32(a: Array, b: Array, c: Array) -> Array:
    # 24 + 24 digits fit into float64, so the product is exact; the sum rounded to odd keeps 53,
    # more than two beyond the final 24, so that the last rounding is right (Boldo, Melquiond,
    # IEEE Trans. Computers 57, 2008).
    product = np.multiply(a, b, dtype=np.float64)
    return _odd_sum(product, c.astype(np.float64)).astype(np.float32)


_SPLITTER = 134217729.0  # 2²⁷ + 1
_SAFE_PRODUCT = (-900, 900)  # exponents between which no part of a product leaves the range


def _two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded product and its error (Dekker)."""
    product = a * b
    big_a, big_b = _SPLITTER * a, _SPLITTER * b
    high_a, high_b = big_a - (big_a - a), big_b - (big_b - b)
    low_a, low_b = a - high_a, b - high_b
    error = low_a * low_b - (((product - high_a * high_b) - low_a * high_b) - high_a * low_b)
    return product, error


def _fma64(a: Array, b: Array, c: Array) -> Array:
    a, b, c = (np.array(v) for v in np.broadcast_arrays(a, b, c))
    # Boldo and Melquiond's emulation: the two halves of the sum, the lower one rounded to odd.
    high, low = _two_product(a, b)
    above, rest = _two_sum(high, c)
    lower = _odd_sum(rest, low)
    # a·b + c = above + (rest + low) is exact up to here.
    result = np.asarray(above + lower)
    exponents = [np.frexp(v)[1] for v in (a, b, c)]
    product = exponents[0] + exponents[1]
    lowest, highest = _SAFE_PRODUCT
    safe = (product > lowest) & (product < highest)
    safe &= (np.abs(exponents[0]) < 990) & (np.abs(exponents[1]) < 990)
    safe &= (exponents[2] < highest) & ((exponents[2] > lowest) | (c == 0))
    safe &= np.abs(result) > 2.0**-960
    special = ~(np.isfinite(a) & np.isfinite(b) & np.isfinite(c))
    product_is_finite = np.isfinite(a) & np.isfinite(b)  # however large: it may be rounded to inf
    result = np.where(special, np.where(product_is_finite, c, a * b + c), result)
    for index in map(tuple, np.argwhere(~safe & ~special)):
        result[index] = _fma_exactly(float(a[index]), float(b[index]), float(c[index]))
    return result


def _fma_exactly(a: float, b: float, c: float) -> float:
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        # A sum of zeros, or of opposite numbers: the sign is that of the addition.
        sign = copysign(1.0, a) * copysign(1.0, b)
        product = copysign(0.0, sign)
        return product + c if a == 0 or b == 0 else 0.0
    try:
        return exact.numerator / exact.denominator  # rounded once, by Python's division
    except OverflowError:
        return inf if exact > 0 else -inf


def _select(condition: Array, a: Array, b: Array) -> Array:
    return np.where(condition, a, b)


_OPERATIONS: dict[Op, Callable[..., Array]] = {
    Op.ADD: np.add,
    Op.SUB: np.subtract,
    Op.MUL: np.multiply,
    Op.DIV: np.divide,
    Op.SQRT: np.sqrt,
    Op.RINT: np.rint,
    Op.NEG: np.negative,
    Op.ABS: np.abs,
    Op.LT: np.less,
    Op.LE: np.less_equal,
    Op.EQ: np.equal,
    Op.AND: np.bitwise_and,
    Op.OR: np.bitwise_or,
    Op.XOR: np.bitwise_xor,
    Op.NOT: np.logical_not,
    Op.SELECT: _select,
}
