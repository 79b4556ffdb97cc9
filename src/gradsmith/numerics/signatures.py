"""Which types each operation of a Program takes, and of which type its result is."""

from __future__ import annotations

from collections.abc import Callable

from gradsmith.numerics.program import BF16, BOOL, F16, F32, F64, I32, Op, Type

Signature = Callable[[tuple[Type, ...], Type | None], Type | None]
"""The type of the result, given those of the operands and the one that is asked for; None where
they do not fit."""


def _floats(count: int, result: Type | None = None) -> Signature:
    def signature(types: tuple[Type, ...], to: Type | None) -> Type | None:
        alike = len(types) == count and len(set(types)) == 1 and types[0].computes
        return (result or types[0]) if alike else None

    return signature


def _sum(types: tuple[Type, ...], to: Type | None) -> Type | None:
    alike = len(types) == 2 and types[0] is types[1]
    return types[0] if alike and (types[0].computes or types[0].is_integer) else None


def _equality(types: tuple[Type, ...], to: Type | None) -> Type | None:
    return BOOL if _sum(types, to) else None


def _logic(types: tuple[Type, ...], to: Type | None) -> Type | None:
    alike = len(types) == 2 and types[0] is types[1]
    return types[0] if alike and (types[0].is_integer or types[0] is BOOL) else None


def _select(types: tuple[Type, ...], to: Type | None) -> Type | None:
    fits = len(types) == 3 and types[0] is BOOL and types[1] is types[2]
    return types[1] if fits else None


def _shift(types: tuple[Type, ...], to: Type | None) -> Type | None:
    return types[0] if len(types) == 1 and types[0].is_integer else None


def _bits(types: tuple[Type, ...], to: Type | None) -> Type | None:
    known = len(types) == 1 and (types[0].is_integer or types[0].computes)
    return types[0].same_size_integer if known else None


_CONVERSIONS = {(F32, F64), (F64, F32), (F16, F32), (F32, F16), (BF16, F32), (F32, BF16)}


def _convert(types: tuple[Type, ...], to: Type | None) -> Type | None:
    return to if len(types) == 1 and (types[0], to) in _CONVERSIONS else None


SIGNATURES: dict[Op, Signature] = {
    Op.ADD: _sum,
    Op.SUB: _sum,
    Op.MUL: _floats(2),
    Op.DIV: _floats(2),
    Op.FMA: _floats(3),
    Op.SQRT: _floats(1),
    Op.RINT: _floats(1),
    Op.NEG: _floats(1),
    Op.ABS: _floats(1),
    Op.LT: _equality,
    Op.LE: _equality,
    Op.EQ: _equality,
    Op.AND: _logic,
    Op.OR: _logic,
    Op.XOR: _logic,
    Op.NOT: lambda types, to: BOOL if types == (BOOL,) else None,
    Op.SELECT: _select,
    Op.SHL: _shift,
    Op.SHR: _shift,
    Op.USHR: _shift,
    Op.BITS: _bits,
    Op.LOOKUP: lambda types, to: F32 if types == (I32,) else None,
    Op.CONVERT: _convert,
}
