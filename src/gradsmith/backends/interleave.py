"""How many vectors a loop computes at a time, so that no one waits for its own last operation.

One vector is a chain of operations, each of which takes three to eleven cycles, while a processor
begins two to four a cycle: it needs others to go on with. It finds some by itself in what follows,
as far as it looks ahead; a longer chain with little beside it leaves it idle unless the program
puts more of them side by side. But eight chains have more numbers under way than there are
registers, so that a short chain, or a broad one, is better off with four.
"""

from __future__ import annotations

from math import inf

from gradsmith.numerics.program import BF16, F16, F32, Op, Program

FEW, MANY = 4, 8

# Measured over 160 Programs, with 256 bits: beyond the first two of these eight take up to 31 %
# less than four (one takes 3 % more), below them up to 23 % more; beyond the last one from 8 % less
# to 4 % more, and 3 % less on the mean, in float32.
_LONG = 48
_CYCLES_AN_OPERATION = 1.55
_LONGEST = 78

# Cycles until a result is there; one for all others.
_LATENCY = {
    Op.ADD: 3,
    Op.SUB: 3,
    Op.MUL: 4,
    Op.FMA: 4,
    Op.DIV: 11,
    Op.SQRT: 15,
    Op.RINT: 4,
    Op.LT: 2,
    Op.LE: 2,
    Op.EQ: 2,
    Op.LOOKUP: 4,
}
_FREE = (Op.CONST, Op.BITS)
# Cycles and instructions of a conversion: of halves with integers, and with parts put together.
_BETWEEN_WORDS = 4, 3
_FROM_HALF, _TO_HALF = (3, 2), (6, 6)


def vectors_at_a_time(program: Program, wide: bool) -> int:
    """Four or eight.

    Args:
        program: what is computed.
        wide: whether vectors have 512 bits: there are as many registers more, and two instructions
            a cycle at most, so that four are enough.
    """
    if wide:
        return FEW
    ready = dict.fromkeys(range(len(program.inputs)), 0)
    work = 0
    limit: float = _LONGEST
    for number, instruction in program.numbered():
        kinds = [instruction.type, *map(program.type_of, instruction.args)]
        cycles, count = _LATENCY.get(instruction.op, 1), 1
        if instruction.op in _FREE:
            cycles = count = 0
        elif instruction.op is Op.CONVERT:
            cycles, count = _BETWEEN_WORDS
            if BF16 in kinds or F16 in kinds:
                cycles, count = _FROM_HALF if instruction.type is F32 else _TO_HALF
        elif any(kind.bits == 64 for kind in kinds):
            count, limit = 2, inf
        work += count
        ready[number] = cycles + max((ready[arg] for arg in instruction.args), default=0)
    chain = max(ready[output] for output in program.outputs)
    return MANY if chain >= min(max(_LONG, _CYCLES_AN_OPERATION * work), limit) else FEW
