"""Program → LLVM IR: one loop over the elements, written so that LLVM may widen it but not round.

The text must say exactly what the Program says. So there is not one fast-math flag, and integers
wrap; comparisons are ordered; a change of sign is ``fneg``; a constant is its bits; numbers of 16
bits are integers everywhere but in their conversions. The arithmetic has no call: each intrinsic
is one instruction wherever the processor has a fused multiply-add. (Only what a vector leaves over
calls a function for each look-up in a table.)

The function is ``void kernel(i64 n, ptr input..., ptr output...)``. An element is loaded before
any of the same index is stored, and no iteration depends on another, which
``llvm.loop.parallel_accesses`` states: an output may therefore *be* an input, and the vectoriser
needs neither ``noalias`` nor a check at run time. Buffers that overlap in any other way are not
allowed. A scalar input is loaded once, ahead of the loop. Nothing is assumed about alignment.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from gradsmith.backends import llvm_patterns
from gradsmith.backends.interleave import FEW
from gradsmith.backends.llvm_lookup import Tables
from gradsmith.backends.short_nans import short_nans
from gradsmith.numerics.program import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    I32,
    I64,
    Instruction,
    Op,
    Program,
    Type,
    number_of_bits,
)

ENTRY = "kernel"
"""Name of the function."""

_VALUE = {
    F64: "double",
    F32: "float",
    F16: "i16",
    BF16: "i16",
    I64: "i64",
    I32: "i32",
    BOOL: "i1",
}
_MEMORY = _VALUE | {BOOL: "i8"}
SIZES = {kind: max(1, kind.bits // 8) for kind in _VALUE}
"""Bytes of one element in memory."""

_NAN = {F64: 0x7FF8 << 48, F32: 0x7FC0 << 16}

# Of numbers, and of integers and truth values.
_BINARY = {
    Op.ADD: ("fadd", "add"),
    Op.SUB: ("fsub", "sub"),
    Op.MUL: ("fmul", ""),
    Op.DIV: ("fdiv", ""),
    Op.LT: ("fcmp olt", "icmp slt"),
    Op.LE: ("fcmp ole", "icmp sle"),
    Op.EQ: ("fcmp oeq", "icmp eq"),
    Op.AND: ("", "and"),
    Op.OR: ("", "or"),
    Op.XOR: ("", "xor"),
}
_INTRINSIC = {
    Op.ABS: "llvm.fabs",
    Op.FMA: "llvm.fma",
    Op.RINT: "llvm.roundeven",
    Op.SQRT: "llvm.sqrt",
}
_SHIFT = {Op.SHL: "shl", Op.SHR: "ashr", Op.USHR: "lshr"}


class Loop(NamedTuple):
    """The IR of a loop.

    Attributes:
        text: a module with the loop, to be optimised.
        beside: a module with functions that it calls, which gain nothing by that.
    """

    text: str
    beside: str


def loop(
    program: Program,
    scalars: Collection[str] = (),
    *,
    packed: Collection[str | int] = (),
    native_half: bool = True,
    lookups: str | None = None,
    vectors: int = FEW,
) -> Loop:
    """The IR of the loop.

    Args:
        program: what to compute for each element.
        scalars: names of inputs that are one value for the whole loop.
        packed: names of inputs and positions of outputs that are codes in memory, a byte for each
            element: 0, 1, 2 or 3. An input is NaN where it is 0.
        native_half: whether the processor converts half precision itself; if not, integer
            arithmetic does, since the functions that LLVM would call need not be there.
        lookups: how the processor looks up in tables; see
            :class:`~gradsmith.backends.llvm_lookup.Tables`.
        vectors: how many are computed at a time; see :mod:`~gradsmith.backends.interleave`.
    """
    writer = _Writer(native_half, Tables(lookups), short_nans(program, packed))
    kinds = [kind for _, kind in program.inputs]
    varies = [name not in scalars for name, _ in program.inputs]
    once = {i: writer.load(kinds[i], f"%in{i}", "") for i, moves in enumerate(varies) if not moves}
    head, writer.lines = writer.lines, []
    operands: list[str] = []
    for i, (name, kind) in enumerate(program.inputs):
        if name in packed:
            operands.append(writer.decoded(kind, f"%in{i}"))
        elif varies[i]:
            operands.append(writer.load(kind, writer.element(kind, f"%in{i}"), _GROUP))
        else:
            operands.append(once[i])
    for instruction in program.instructions:
        operands.append(writer.instruction(program, instruction, operands))
    for position, output in enumerate(program.outputs):
        kind, value = program.type_of(output), operands[output]
        if position in packed:
            writer.store_code(writer.code(program, output, operands), f"%out{position}")
        else:
            writer.store(kind, value, writer.element(kind, f"%out{position}"))
    parameters = [f"ptr %in{number}" for number in range(len(program.inputs))]
    parameters += [f"ptr %out{position}" for position in range(len(program.outputs))]
    tables, beside = writer.tables.definitions()
    text = _MODULE.format(
        entry=ENTRY,
        page=_PAGE,
        parameters=", ".join(["i64 %n", *parameters]),
        head="\n".join(head),
        body="\n".join(writer.lines),
        tables=tables,
        width=_TOGETHER if packed else _SIDE_BY_SIDE.format(vectors),
    )
    return Loop(text, beside)


_GROUP = ", !llvm.access.group !0"
_TOGETHER = '"llvm.loop.vectorize.width", i32 32'
"""Where there are bytes beside wider numbers: as many as are narrowed or widened at once."""
_SIDE_BY_SIDE = '"llvm.loop.interleave.count", i32 {}'
"""Vectors at a time: the more loads are on their way, too, the less of the time of memory is seen.
LLVM by itself, to spare registers, takes one where there are tables or many constants: that is some
8 % slower where the data is in the cache, and 20 % where it is not."""

_PAGE = 4096
"""Where two addresses differ by a multiple of this, a processor takes a load for one that has to
wait for a store. Constants begin a page; the numbers for which there are no registers lie below the
end of one, so that none of them waits for another: as chance has it, that takes up to 75 % longer.
"""

_MODULE = """\
define void @{entry}({parameters}) nounwind noinline {{
  %end = alloca i8, align {page}
  store volatile i8 0, ptr %end
  notail call void @{entry}.loop({parameters})
  ret void
}}
define internal void @{entry}.loop({parameters}) nounwind noinline {{
entry:
{head}
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %loop, label %exit
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{body}
  %next = add nuw nsw i64 %i, 1
  %done = icmp eq i64 %next, %n
  br i1 %done, label %exit, label %loop, !llvm.loop !1
exit:
  ret void
}}
!0 = distinct !{{}}
!1 = distinct !{{!1, !2, !3}}
!2 = !{{!"llvm.loop.parallel_accesses", !0}}
!3 = !{{!{width}}}
{tables}"""


@dataclass(slots=True)
class _Writer:
    native_half: bool
    tables: Tables
    short_nans: Collection[int]
    lines: list[str] = field(default_factory=list)
    _count: int = 0

    def put(self, text: str) -> str:
        """One line that defines a value; its name."""
        self._count += 1
        name = f"%v{self._count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def element(self, kind: Type, pointer: str) -> str:
        return self.put(f"getelementptr inbounds {_MEMORY[kind]}, ptr {pointer}, i64 %i")

    def load(self, kind: Type, pointer: str, group: str) -> str:
        value = self.put(f"load {_MEMORY[kind]}, ptr {pointer}, align 1{group}")
        return self.put(f"icmp ne i8 {value}, 0") if kind is BOOL else value

    def store(self, kind: Type, value: str, pointer: str) -> None:
        if kind is BOOL:
            value = self.put(f"zext i1 {value} to i8")
        self.lines.append(f"  store {_MEMORY[kind]} {value}, ptr {pointer}, align 1{_GROUP}")

    def decoded(self, kind: Type, pointer: str) -> str:
        code = self.put(f"load i8, ptr {self.element(BOOL, pointer)}, align 1{_GROUP}")
        name = _VALUE[kind]
        number = self.put(f"uitofp i8 {code} to {name}")
        known = self.put(f"icmp ne i8 {code}, 0")
        nan = _constant(kind, _NAN[kind])
        return self.put(f"select i1 {known}, {name} {number}, {name} {nan}")

    def code(self, program: Program, number: int, operands: list[str]) -> str:
        """A value that is 0, 1, 2 or 3, as a byte: choices among bytes are narrow throughout."""
        first = len(program.inputs)
        chosen = program.instructions[number - first] if number >= first else None
        if chosen is not None and chosen.op is Op.CONST:
            return str(int(number_of_bits(chosen.type, chosen.constant)))
        if chosen is not None and chosen.op is Op.SELECT:
            condition, *branches = chosen.args
            a, b = (self.code(program, branch, operands) for branch in branches)
            test = self.of_16_bits(program, condition, operands)
            return self.put(f"select i1 {test}, i8 {a}, i8 {b}")
        return self.put(f"fptoui {_VALUE[program.type_of(number)]} {operands[number]} to i8")

    def store_code(self, code: str, pointer: str) -> None:
        place = self.element(BOOL, pointer)
        self.lines.append(f"  store i8 {code}, ptr {place}, align 1{_GROUP}")

    def instruction(self, program: Program, instruction: Instruction, operands: list[str]) -> str:
        op, kind = instruction.op, instruction.type
        if op is Op.CONST:
            return _constant(kind, instruction.constant)
        args = [operands[arg] for arg in instruction.args]
        first = program.type_of(instruction.args[0])
        name = _VALUE[first]
        if op in _BINARY:
            return self.put(f"{_BINARY[op][not first.computes]} {name} {args[0]}, {args[1]}")
        if op in _INTRINSIC:
            taken = ", ".join(f"{name} {arg}" for arg in args)
            return self.put(f"call {name} @{_INTRINSIC[op]}.f{first.bits}({taken})")
        if op in _SHIFT:
            places = instruction.constant
            return self.put(f"{_SHIFT[op]} {name} {args[0]}, {places}")
        if op is Op.NEG:
            return self.put(f"fneg {name} {args[0]}")
        if op is Op.NOT:
            return self.put(f"xor i1 {args[0]}, true")
        if op is Op.SELECT:
            branch = _VALUE[kind]
            if kind.bits == 16:
                args[0] = self.of_16_bits(program, instruction.args[0], operands)
            return self.put(f"select i1 {args[0]}, {branch} {args[1]}, {branch} {args[2]}")
        if op is Op.LOOKUP:
            return self.put(self.tables.call(instruction.table, args[0]))
        if op is Op.BITS:
            return self.bits(name, args[0], _VALUE[kind])
        assert op is Op.CONVERT, op
        if kind is BF16:
            return self.float_to_bfloat(args[0], instruction.args[0] in self.short_nans)
        return self.convert(first, kind, args[0])

    def of_16_bits(self, program: Program, number: int, operands: list[str]) -> str:
        """A condition of a choice among what is not wider than 16 bits."""
        found = llvm_patterns.patterns(program, number)
        if found is None or found.number is None:
            return operands[number]
        way = llvm_patterns.stretches(found.results)
        return llvm_patterns.recognised(self.put, way, operands[found.number])

    def bits(self, have: str, value: str, want: str) -> str:
        return self.put(f"bitcast {have} {value} to {want}")

    def convert(self, have: Type, want: Type, value: str) -> str:
        match have, want:
            case Type.F32, Type.F64:
                return self.put(f"fpext float {value} to double")
            case Type.F64, Type.F32:
                return self.put(f"fptrunc double {value} to float")
            case Type.BF16, Type.F32:
                return self.bfloat_to_float(value)
            case Type.F16, Type.F32 if self.native_half:
                half = self.bits("i16", value, "half")
                return self.put(f"fpext half {half} to float")
            case Type.F32, Type.F16 if self.native_half:
                half = self.put(f"fptrunc float {value} to half")
                return self.bits("half", half, "i16")
            case Type.F16, Type.F32:
                return self.half_to_float(value)
            case _:
                return self.float_to_half(value)

    def bfloat_to_float(self, value: str) -> str:
        wide = self.put(f"zext i16 {value} to i32")
        return self.bits("i32", self.put(f"shl i32 {wide}, 16"), "float")

    def float_to_bfloat(self, value: str, short_nan: bool) -> str:
        bits = self.bits("float", value, "i32")
        rounded = self.to_nearest_even(bits, 16)
        if not short_nan:  # what is carried could make a number of it
            nan = self.put(f"fcmp uno float {value}, {value}")
            rounded = self.put(f"or i32 {rounded}, {self.put(f'sext i1 {nan} to i32')}")
        return self.put(f"trunc i32 {self.put(f'lshr i32 {rounded}, 16')} to i16")

    def to_nearest_even(self, bits: str, places: int) -> str:
        """The bits with what carries into the ones that remain after that many are cut off."""
        last = self.put(f"and i32 {self.put(f'lshr i32 {bits}, {places}')}, 1")
        half = self.put(f"add i32 {bits}, {2 ** (places - 1) - 1}")
        return self.put(f"add i32 {half}, {last}")

    def half_to_float(self, value: str) -> str:
        wide = self.put(f"zext i16 {value} to i32")
        size = self.put(f"shl i32 {self.put(f'and i32 {wide}, 32767')}, 13")
        sign = self.put(f"shl i32 {self.put(f'and i32 {wide}, 32768')}, 16")
        # The exponents are biased by 15 and by 127; those of infinity are 31 and 255.
        normal = self.put(f"add i32 {size}, {(127 - 15) << 23}")
        special = self.put(f"add i32 {size}, {(255 - 31) << 23}")
        # A subnormal, read with exponent 2⁻¹⁴ and a leading one, is too large by that one.
        one = self.put(f"add i32 {size}, {(127 - 14) << 23}")
        exact = self.put(
            f"fsub float {self.bits('i32', one, 'float')}, {_constant(F32, (127 - 14) << 23)}"
        )
        subnormal = self.bits("float", exact, "i32")
        is_special = self.put(f"icmp uge i32 {size}, {31 << 23}")
        is_subnormal = self.put(f"icmp ult i32 {size}, {1 << 23}")
        above = self.put(f"select i1 {is_special}, i32 {special}, i32 {normal}")
        chosen = self.put(f"select i1 {is_subnormal}, i32 {subnormal}, i32 {above}")
        return self.bits("i32", self.put(f"or i32 {chosen}, {sign}"), "float")

    def float_to_half(self, value: str) -> str:
        bits = self.bits("float", value, "i32")
        size = self.put(f"and i32 {bits}, {2**31 - 1}")
        sign = self.put(f"and i32 {self.put(f'lshr i32 {bits}, 16')}, 32768")
        rebiased = self.put(f"sub i32 {size}, {(127 - 15) << 23}")
        normal = self.put(f"lshr i32 {self.to_nearest_even(rebiased, 13)}, 13")
        # Next to 0.5 float32 is as coarse as the subnormals of half: the addition rounds.
        near = self.put(
            f"fadd float {self.bits('i32', size, 'float')}, {_constant(F32, 126 << 23)}"
        )
        subnormal = self.put(f"sub i32 {self.bits('float', near, 'i32')}, {126 << 23}")
        is_nan = self.put(f"icmp ugt i32 {size}, {255 << 23}")
        special = self.put(f"select i1 {is_nan}, i32 {0x7E00}, i32 {0x7C00}")
        is_special = self.put(f"icmp uge i32 {size}, {(127 + 16) << 23}")  # from 65536 on
        is_subnormal = self.put(f"icmp ult i32 {size}, {(127 - 14) << 23}")
        above = self.put(f"select i1 {is_special}, i32 {special}, i32 {normal}")
        chosen = self.put(f"select i1 {is_subnormal}, i32 {subnormal}, i32 {above}")
        return self.put(f"trunc i32 {self.put(f'or i32 {chosen}, {sign}')} to i16")


def _constant(kind: Type, bits: int) -> str:
    if kind is BOOL:
        return "true" if bits else "false"
    if kind.computes:
        return f"bitcast ({_VALUE[kind.same_size_integer]} {bits} to {_VALUE[kind]})"
    return str(bits)
