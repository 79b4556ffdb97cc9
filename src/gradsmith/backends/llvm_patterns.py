"""Conditions on one number of 16 bits, decided by its bits.

Whatever comparisons with constants such a condition is made of, it holds for some of the 65536
patterns: for a few stretches of consecutive ones. Integer instructions tell these apart, twice as
many numbers at a time as float32 would compare, and no number has to be converted for that.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gradsmith.numerics.interpreter import DTYPES, run
from gradsmith.numerics.program import F32, Instruction, Op, Program, Type, number_of_bits

Array = NDArray[Any]

_OPERATIONS: dict[Op, Callable[..., Array]] = {
    Op.LT: np.less,
    Op.LE: np.less_equal,
    Op.EQ: np.equal,
    Op.AND: np.logical_and,
    Op.OR: np.logical_or,
    Op.XOR: np.logical_xor,
    Op.NOT: np.logical_not,
}


class Patterns(NamedTuple):
    """A condition, or what is compared in one.

    Attributes:
        number: of the value of 16 bits that it depends on; None of a constant.
        results: for each pattern of the bits, counted up from 0.
    """

    number: int | None
    results: Array


def patterns(program: Program, number: int) -> Patterns | None:
    """Of a value of the Program; None where it depends on anything else."""
    made = program.made(number)
    if made is None:
        return None
    if made.op is Op.CONST and made.type is F32:
        return Patterns(None, np.array(number_of_bits(F32, made.constant), np.float32))
    if made.op is Op.CONVERT and program.type_of(made.args[0]).bits == 16:
        return Patterns(made.args[0], _numbers(program.type_of(made.args[0])))
    if made.op not in _OPERATIONS:
        return None
    parts = [patterns(program, arg) for arg in made.args]
    known = [part for part in parts if part is not None]
    numbers = {part.number for part in known if part.number is not None}
    if len(known) < len(parts) or len(numbers) != 1:
        return None
    return Patterns(numbers.pop(), _OPERATIONS[made.op](*(part.results for part in known)))


@cache
def _numbers(kind: Type) -> Array:
    """The float32 that each pattern stands for."""
    convert = Program((("x", kind),), (Instruction(Op.CONVERT, (0,), F32),), (1,))
    return run(convert, np.arange(2**16, dtype=np.uint16).view(DTYPES[kind]))[0]


class Stretches(NamedTuple):
    """How a set of patterns is recognised.

    Attributes:
        ends: of each stretch the first and the last pattern, as signed integers.
        negated: whether it is the others that are in the set.
        unsigned: whether the sign bit is cleared before.
    """

    ends: tuple[tuple[int, int], ...]
    negated: bool
    unsigned: bool

    @property
    def cost(self) -> int:
        """Instructions."""
        each = sum(1 if _is_quick(*ends) else 3 for ends in self.ends)
        return self.unsigned + each + max(len(self.ends) - 1, 0)


_LEAST, _LARGEST = -(2**15), 2**15 - 1


def stretches(holds: Array) -> Stretches:
    """The cheapest way to recognise the patterns for which it holds."""
    positive, negative = holds[: 2**15], holds[2**15 :]
    ways = [*_ways(np.concatenate([negative, positive]), _LEAST, unsigned=False)]
    if np.array_equal(positive, negative):
        ways += _ways(positive, 0, unsigned=True)
    return min(ways, key=lambda way: way.cost)


def _ways(holds: Array, first: int, *, unsigned: bool) -> list[Stretches]:
    changes = [first, *(np.flatnonzero(holds[1:] != holds[:-1]) + first + 1).tolist()]
    ends = list(zip(changes, [*(change - 1 for change in changes[1:]), _LARGEST], strict=True))
    start = int(not holds[0])
    return [
        Stretches(tuple(ends[start::2]), False, unsigned),
        Stretches(tuple(ends[1 - start :: 2]), True, unsigned),
    ]


def _is_quick(low: int, high: int) -> bool:
    return low in (_LEAST, high) or high == _LARGEST


def recognised(put: Callable[[str], str], way: Stretches, value: str) -> str:
    """The IR of the condition; its name.

    Args:
        put: writes a line that defines a value.
        way: how it is recognised.
        value: name of the 16 bits.
    """
    if way.unsigned:
        value = put(f"and i16 {value}, {_LARGEST}")
    inside = "false"
    for low, high in way.ends:
        if low == high:
            one = put(f"icmp eq i16 {value}, {low}")
        elif high == _LARGEST:
            one = put(f"icmp sge i16 {value}, {low}")
        elif low == _LEAST:
            one = put(f"icmp sle i16 {value}, {high}")
        else:
            one = put(f"icmp ule i16 {put(f'sub i16 {value}, {low}')}, {high - low}")
        inside = put(f"or i1 {inside}, {one}")
    return put(f"xor i1 {inside}, true") if way.negated else inside
