"""Random Programs over all operations and types, and the values to try them on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from gradsmith.numerics.builder import Builder, Value, bits, convert, equal, select
from gradsmith.numerics.interpreter import DTYPES
from gradsmith.numerics.program import BF16, BOOL, F16, F32, F64, I32, I64, Op, Program, Type

Array = NDArray[Any]

FLOATS = (F32, F64)
INTEGERS = (I32, I64)
UNARY = (Op.SQRT, Op.RINT, Op.NEG, Op.ABS)
ARITHMETIC = (Op.ADD, Op.SUB, Op.MUL, Op.DIV)
COMPARISONS = (Op.LT, Op.LE, Op.EQ)
LOGIC = (Op.AND, Op.OR, Op.XOR)
SHIFTS = (Op.SHL, Op.SHR, Op.USHR)
CONVERSIONS = {F64: (F32,), F32: (F64, F16, BF16), F16: (F32,), BF16: (F32,)}

# Signed zeros, subnormals, the ends of the ranges, halves and their neighbours, both infinities.
_SIZES = (
    *(0.0, 5e-324, 2.2250738585072014e-308, 2.2250738585072009e-308, 1e-45, 2.0**-149, 2.0**-126),
    *(
        1.1754942e-38,
        2.0**-25,
        2.0**-24,
        2.0**-14,
        0.4999999701976776,
        0.5,
        1.0,
        1.0000000000000002,
    ),
    *(1.5, 2.5, 3.0, 2.0**23 + 0.5, 2.0**24 + 1, 2.0**52 + 0.5, 65504.0, 65519.99, 65520.0),
    *(3.4028234663852886e38, 3.4028235677973366e38, 1.7976931348623157e308, np.inf),
)
SPECIAL = np.array([sign * size for size in _SIZES for sign in (1.0, -1.0)] + [np.nan])


def special(kind: Type) -> Array:
    """The values of that type at which something may go wrong."""
    if kind is BOOL:
        return np.array([False, True])
    if kind in INTEGERS:
        limits = np.iinfo(DTYPES[kind])
        values = [0, 1, -1, 2, 63, limits.min, limits.max, limits.min + 1, 1 << 23, -(1 << 29)]
        return np.array(values, dtype=DTYPES[kind])
    with np.errstate(all="ignore"):
        if kind is BF16:
            return (SPECIAL.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)
        return SPECIAL.astype(DTYPES[kind])


def values(kind: Type, count: int, random: np.random.Generator) -> Array:
    """Special values, everyday numbers and arbitrary bits, mixed."""
    if kind is BOOL:
        return random.integers(0, 2, count).astype(np.bool)
    raw = random.integers(0, 256, count * kind.bits // 8, dtype=np.uint8).view(DTYPES[kind])
    everyday = raw
    if kind in (F16, F32, F64):
        everyday = (random.standard_normal(count) * 4).astype(DTYPES[kind])
    elif kind is BF16:
        normal = (random.standard_normal(count) * 4).astype(np.float32)
        everyday = (normal.view(np.uint32) >> 16).astype(np.uint16)
    choice = random.integers(0, 3, count)
    mixed: Array = np.choose(choice, [raw.view(_raw(kind)), everyday.view(_raw(kind)), 0])
    mixed = mixed.astype(_raw(kind)).view(DTYPES[kind])
    mixed[choice == 2] = random.choice(special(kind), int((choice == 2).sum()))
    return mixed


# Of look-ups: bits of float32, but for NaN.
ENTRIES = [int(bits) for bits in special(F32)[:-1].view(np.int32)]


def _raw(kind: Type) -> str:
    return f"u{kind.bits // 8}"


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Straight-line code whose result does not depend on which NaN an operation returns."""
    builder = Builder()
    kinds = draw(st.lists(st.sampled_from(list(Type)), min_size=1, max_size=3))
    if not set(kinds) & {F32, F64}:
        kinds.append(draw(st.sampled_from(FLOATS)))
    known: list[Value] = [builder.input(f"x{i}", kind) for i, kind in enumerate(kinds)]
    inputs = len(known)
    for _ in range(draw(st.integers(1, 14))):
        known.extend(_step(draw, known))
    made = known[inputs:] or known
    outputs = draw(st.lists(st.sampled_from(made), min_size=1, max_size=3))
    return builder.program(*outputs, known[-1])


def _step(draw: st.DrawFn, known: Sequence[Value]) -> list[Value]:
    """What one random operation on earlier values adds, if there are values for it."""

    def one(*kinds: Type) -> Value:
        fitting = [value for value in known if value.type in kinds]
        chance: int = draw(st.integers(0, 4))
        if fitting and chance:
            return draw(st.sampled_from(fitting))
        kind = draw(st.sampled_from(kinds))
        return _constant(draw, known[0].builder, kind)

    op = draw(st.sampled_from([op for op in Op if op is not Op.CONST]))
    first = one(*_taken(op))
    write = first.builder.write
    if op in UNARY or op is Op.NOT:
        return [write(op, first)]
    if op in SHIFTS:
        return [write(op, first, constant=draw(st.integers(0, first.type.bits - 1)))]
    if op is Op.LOOKUP:
        size = 2 ** draw(st.integers(0, 6))
        entries = draw(st.lists(st.sampled_from(ENTRIES), min_size=size, max_size=size))
        return [write(op, first, table=tuple(entries))]
    if op is Op.FMA:
        return [write(op, first, one(first.type), one(first.type))]
    if op is Op.SELECT:
        a = one(*FLOATS, *INTEGERS, F16, BF16)
        return [write(op, first, a, one(a.type))]
    if op is Op.BITS:
        if first.type in INTEGERS:
            return [bits(first)]
        return [select(equal(first, first), bits(first), 0)]  # which NaN it is, is free
    if op is Op.CONVERT:
        return [convert(first, draw(st.sampled_from(CONVERSIONS[first.type])))]
    if op in COMPARISONS or op in ARITHMETIC or op in LOGIC:
        return [write(op, first, one(first.type))]
    raise AssertionError(op)


def _taken(op: Op) -> tuple[Type, ...]:
    if op is Op.CONVERT:
        return tuple(CONVERSIONS)
    if op is Op.LOOKUP:
        return (I32,)
    if op in SHIFTS:
        return INTEGERS
    if op in LOGIC:
        return (*INTEGERS, BOOL)
    if op in (Op.NOT, Op.SELECT):
        return (BOOL,)
    if op in (*COMPARISONS, Op.ADD, Op.SUB, Op.BITS):
        return (*FLOATS, *INTEGERS)
    return FLOATS


def _constant(draw: st.DrawFn, builder: Builder, kind: Type) -> Value:
    if kind is BOOL:
        return builder.constant(BOOL, draw(st.integers(0, 1)))
    if kind in INTEGERS:
        return builder.constant(kind, int(draw(st.sampled_from(list(special(kind))))))
    if kind in (F16, BF16):
        return builder.constant(kind, int(draw(st.sampled_from(special(kind).view(np.int16)))))
    return builder.number(kind, float(draw(st.sampled_from(list(SPECIAL[:-1])))))
