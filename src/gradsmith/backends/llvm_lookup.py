"""Look-ups in small tables of float32, as LLVM IR that a vectoriser widens into permutations.

A load at a variable index becomes a gather, which takes longer than what a table saves. Registers
can be looked up in at once, but nothing in scalar IR says so. Hence a look-up is a call of a
function that has vector variants, which LLVM's vectoriser is told of by the attribute
``vector-function-abi-variant``; :mod:`~gradsmith.backends.native` puts them in place of their
calls afterwards. The scalar function serves what remains of a loop: it is put in place there, and
calls one that serves all tables, for to make code of many takes long, however short they are. Where
there are no variants it is put in place before anything else. Functions that have variants, and
these, stand in a module of their own, which is not optimised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gradsmith.numerics.program import Constant

AVX2, AVX512 = "avx2", "avx512"
"""Sets of instructions that look up in registers: 8 entries of 32 bits, or 32."""

_LANES = {AVX2: (8,), AVX512: (8, 16)}
_LARGEST = 32  # entries that variants are worth while for

_DECLARATIONS = """\
declare <8 x float> @llvm.x86.avx2.permps(<8 x float>, <8 x i32>)
declare <16 x float> @llvm.x86.avx512.permvar.sf.512(<16 x float>, <16 x i32>)
declare <16 x float> @llvm.x86.avx512.vpermi2var.ps.512(<16 x float>, <16 x i32>, <16 x float>)
"""


def is_lookup(name: str) -> bool:
    """Whether a function of that name looks up in a table, for one index or for a vector."""
    return name.startswith("lookup")


class Tables:
    """The tables of one module, and the functions that look up in them.

    Args:
        instructions: :data:`AVX2`, :data:`AVX512`, or None for another processor.
    """

    def __init__(self, instructions: str | None) -> None:
        self._lanes = _LANES[instructions] if instructions is not None else ()
        self._tests_bits = instructions == AVX512
        self._known: dict[tuple[Constant, ...], int] = {}

    def call(self, table: tuple[Constant, ...], index: str) -> str:
        """The instruction that looks up at an i32."""
        number = self._known.setdefault(table, len(self._known))
        variants = self._variants(number, len(table))
        names = ",".join(f"_ZGV_LLVM_N{n}v_lookup{number}({name})" for n, name in variants.items())
        told = f' "vector-function-abi-variant"="{names}"' if names else ""
        return f"call float @lookup{number}(i32 {index}){told}"

    def _variants(self, number: int, size: int) -> Mapping[int, str]:
        if not 8 <= size <= _LARGEST:
            return {}
        return {lanes: f"lookup{number}by{lanes}" for lanes in self._lanes}

    def definitions(self) -> tuple[str, str]:
        """What is defined or declared in the module of the kernel, and what beside it."""
        within: list[str] = []
        beside: list[str] = []
        used: list[str] = []
        for table, number in self._known.items():
            size, variants = len(table), self._variants(number, len(table))
            constant = (
                f"@table{number} = internal unnamed_addr constant [{size} x float]"
                f" [{_entries(table)}], align 64"
            )
            place = {"number": number, "mask": size - 1}
            if not variants:
                within += [constant, _SCALAR.format(**place)]
                continue
            beside += [constant, _ONE_OF_MANY.format(**place)]
            within.append(f"declare hidden float @lookup{number}(i32) noinline {_PURE}")
            for lanes, name in variants.items():
                lines, value = _by_8(table, self._tests_bits) if lanes == 8 else _by_16(table)
                body = "".join(f"  {line}\n" for line in lines)
                beside.append(_VARIANT.format(lanes=lanes, name=name, body=body, value=value))
                within.append(f"declare <{lanes} x float> @{name}(<{lanes} x i32>) {_PURE}")
                used.append(f"ptr @{name}")
        if used:  # only the vectoriser calls them
            beside.insert(0, _DECLARATIONS + _OF_ANY)
            within.append(
                f"@llvm.compiler.used = appending global [{len(used)} x ptr] [{', '.join(used)}],"
                ' section "llvm.metadata"'
            )
        return _lines(within), _lines(beside)


def _lines(parts: Sequence[str]) -> str:
    return "".join(f"{part}\n" for part in parts)


_PURE = "nounwind willreturn memory(none)"

_SCALAR = f"""\
define internal float @lookup{{number}}(i32 %i) alwaysinline {_PURE} {{{{
  %entry = and i32 %i, {{mask}}
  %place = getelementptr inbounds float, ptr @table{{number}}, i32 %entry
  %value = load float, ptr %place, align 4
  ret float %value
}}}}"""

_ONE_OF_MANY = f"""\
define hidden float @lookup{{number}}(i32 %i) alwaysinline {_PURE} {{{{
  %entry = and i32 %i, {{mask}}
  %value = call float @entry(ptr @table{{number}}, i32 %entry)
  ret float %value
}}}}"""

_OF_ANY = """\
define internal float @entry(ptr %table, i32 %entry) noinline nounwind memory(argmem: read) {
  %place = getelementptr inbounds float, ptr %table, i32 %entry
  %value = load float, ptr %place, align 4
  ret float %value
}
"""

_VARIANT = f"""\
define <{{lanes}} x float> @{{name}}(<{{lanes}} x i32> %i) alwaysinline {_PURE} {{{{
{{body}}  ret <{{lanes}} x float> {{value}}
}}}}"""


def _entries(table: Sequence[Constant]) -> str:
    return ", ".join(f"float bitcast (i32 {entry} to float)" for entry in table)


def _by_8(table: Sequence[Constant], tests_bits: bool) -> tuple[list[str], str]:
    """Each eight entries are looked up in by themselves; further bits choose among the results.

    AVX-512 tests a bit wherever it stands, AVX2 the uppermost one. Of zeros in place of a result
    LLVM makes a mask.
    """
    lines, values = [], []
    for first in range(0, len(table), 8):
        part = table[first : first + 8]
        values.append(f"%part{first}" if any(part) else _ZEROS)
        if any(part):
            lines.append(
                f"%part{first} = call <8 x float> @llvm.x86.avx2.permps("
                f"<8 x float> <{_entries(part)}>, <8 x i32> %i)"
            )
    bit = 3
    while len(values) > 1:
        operation, operand, below = "shl", f"i32 {31 - bit}", "icmp sge"
        if tests_bits:
            operation, operand, below = "and", f"i32 {1 << bit}", "icmp eq"
        lines.append(f"%bits{bit} = {operation} <8 x i32> %i, <{', '.join([operand] * 8)}>")
        lines.append(f"%lower{bit} = {below} <8 x i32> %bits{bit}, zeroinitializer")
        chosen = []
        for number, (low, high) in enumerate(zip(values[::2], values[1::2], strict=True)):
            chosen.append(f"%by{bit}part{number}")
            lines.append(
                f"{chosen[-1]} = select <8 x i1> %lower{bit}, <8 x float> {low}, <8 x float> {high}"
            )
        values, bit = chosen, bit + 1
    return lines, values[0]


_ZEROS = "zeroinitializer"


def _by_16(table: Sequence[Constant]) -> tuple[list[str], str]:
    if len(table) <= 16:
        whole = [*table] * (16 // len(table))
        found = f"@llvm.x86.avx512.permvar.sf.512(<16 x float> <{_entries(whole)}>, <16 x i32> %i)"
    else:
        found = (
            "@llvm.x86.avx512.vpermi2var.ps.512("
            f"<16 x float> <{_entries(table[:16])}>, <16 x i32> %i,"
            f" <16 x float> <{_entries(table[16:])}>)"
        )
    return [f"%value = call <16 x float> {found}"], "%value"
