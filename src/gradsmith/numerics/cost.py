"""An estimate of how long a Program takes for one element."""

from __future__ import annotations

from collections.abc import Collection

from gradsmith.numerics.program import F32, F64, Op, Program

# Measured on one core with 512-bit vectors, a float32 operation on one lane being 1.
_WIDE = 2.25
# Between that, where one instruction looks up in 32 numbers, and 256 bits, where it is one in 8.
_LOOKUP = {16: 2.0, 32: 4.0}
_CONVERSION = 4.0
_SLOW = {
    (Op.DIV, F32): 10.0,
    (Op.SQRT, F32): 13.0,
    (Op.DIV, F64): 46.0,
    (Op.SQRT, F64): 63.0,
}


def cost(program: Program, numbers: Collection[str] = ()) -> float:
    """An estimate of the time for one element of float32 tensors, in float32 operations.

    Divisions and square roots have a unit of their own, which works while the others do: the
    busier side counts. What depends on ``numbers`` alone, the inputs that are one for all
    elements, is computed once.
    """
    quick = slow = 0.0
    once = {number for number, (name, _) in enumerate(program.inputs) if name in numbers}
    for number, instruction in program.numbered():
        if once.issuperset(instruction.args):
            once.add(number)
        elif instruction.op in (Op.DIV, Op.SQRT):
            slow += _SLOW[instruction.op, instruction.type]
        elif instruction.op is Op.CONVERT:
            quick += _CONVERSION
        elif instruction.op is Op.LOOKUP:
            quick += _LOOKUP.get(len(instruction.table), 1.0)
        elif instruction.op is not Op.BITS:
            kinds = (program.type_of(arg) for arg in instruction.args)
            quick += _WIDE if any(kind.bits == 64 for kind in kinds) else 1.0
    return max(quick, slow)
