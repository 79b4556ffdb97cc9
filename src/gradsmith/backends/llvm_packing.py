"""Codes of two bits: what a kernel keeps of an input of which it needs no more than that.

A loop reads and writes a byte for each element: 0, 1, 2 or 3. In memory 64 elements take 16 bytes:
the lower bits of all, then the upper ones, each in the order of the elements. So the worker of such
a kernel hands the loop blocks that stay in the cache, with bytes beside them that are packed
afterwards, or were unpacked before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

TOGETHER = 64
"""Elements whose codes lie together."""
BYTES = 16
"""What they take."""

BLOCK = 2048
"""Elements of a block."""


def size(count: int) -> int:
    """Bytes that the codes of so many elements take."""
    return -(-count // TOGETHER) * BYTES


def _each(number: int) -> str:
    return f"<{', '.join([f'i8 {number}'] * TOGETHER)}>"


FUNCTIONS = f"""
define internal void @pack(ptr %bytes, ptr %bits, i64 %n) nounwind noinline {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %from = getelementptr i8, ptr %bytes, i64 %i
  %codes = load <64 x i8>, ptr %from, align 64
  %low = trunc <64 x i8> %codes to <64 x i1>
  %halved = lshr <64 x i8> %codes, {_each(1)}
  %high = trunc <64 x i8> %halved to <64 x i1>
  %low.all = bitcast <64 x i1> %low to i64
  %high.all = bitcast <64 x i1> %high to i64
  %left = sub i64 %n, %i
  %whole = icmp sge i64 %left, 64
  %within = and i64 %left, 63
  %end = shl i64 1, %within
  %some = sub i64 %end, 1
  %there = select i1 %whole, i64 -1, i64 %some
  %low.there = and i64 %low.all, %there
  %high.there = and i64 %high.all, %there
  %place = lshr i64 %i, 2
  %to = getelementptr i8, ptr %bits, i64 %place
  store i64 %low.there, ptr %to, align 8
  %beside = getelementptr i8, ptr %to, i64 8
  store i64 %high.there, ptr %beside, align 8
  %next = add i64 %i, 64
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %exit
exit:
  ret void
}}
define internal void @unpack(ptr %bits, ptr %bytes, i64 %n) nounwind noinline {{
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %place = lshr i64 %i, 2
  %from = getelementptr i8, ptr %bits, i64 %place
  %low.all = load i64, ptr %from, align 8
  %beside = getelementptr i8, ptr %from, i64 8
  %high.all = load i64, ptr %beside, align 8
  %low = bitcast i64 %low.all to <64 x i1>
  %high = bitcast i64 %high.all to <64 x i1>
  %ones = zext <64 x i1> %low to <64 x i8>
  %twos = select <64 x i1> %high, <64 x i8> {_each(2)}, <64 x i8> zeroinitializer
  %codes = or <64 x i8> %ones, %twos
  %to = getelementptr i8, ptr %bytes, i64 %i
  store <64 x i8> %codes, ptr %to, align 64
  %next = add i64 %i, 64
  %more = icmp slt i64 %next, %n
  br i1 %more, label %loop, label %exit
exit:
  ret void
}}
"""
"""``pack(bytes, bits, n)`` and ``unpack(bits, bytes, n)``, of n > 0 elements; bytes are aligned."""


def block(entry: str, steps: Sequence[int], inputs: int, packed: Collection[int]) -> str:
    """What a worker does with its share: the IR from ``%begin`` to ``%end``.

    Args:
        entry: name of the loop.
        steps: for each pointer that the loop takes, bytes from one element to the next.
        inputs: how many of them come first that are read.
        packed: which of them are codes.
    """
    pointers: list[str] = []
    before: list[str] = []
    after: list[str] = []
    for k, step in enumerate(steps):
        if k not in packed:
            pointers.append(f"  %within{k} = mul i64 %position, {step}")
            pointers.append(f"  %pointer{k} = getelementptr i8, ptr %base{k}, i64 %within{k}")
            continue
        pointers.append(f"  %bits{k} = getelementptr i8, ptr %base{k}, i64 %packed")
        if k < inputs:
            before.append(f"  call void @unpack(ptr %bits{k}, ptr %pointer{k}, i64 %length)")
        else:
            after.append(f"  call void @pack(ptr %pointer{k}, ptr %bits{k}, i64 %length)")
    taken = ", ".join(["i64 %length", *(f"ptr %pointer{k}" for k in range(len(steps)))])
    return "\n".join(
        [
            "block:",
            "  %position = phi i64 [ %begin, %share ], [ %following, %block ]",
            "  %rest = sub i64 %end, %position",
            f"  %last = icmp slt i64 %rest, {BLOCK}",
            f"  %length = select i1 %last, i64 %rest, i64 {BLOCK}",
            "  %packed = lshr i64 %position, 2",
            *pointers,
            *before,
            f"  call void @{entry}({taken})",
            *after,
            "  %following = add i64 %position, %length",
            "  %again = icmp slt i64 %following, %end",
            "  br i1 %again, label %block, label %exit",
        ]
    )


def buffers(packed: Collection[int]) -> str:
    """The memory of the blocks' bytes, to stand ahead of them."""
    return "\n".join(f"  %pointer{k} = alloca [{BLOCK} x i8], align 64" for k in sorted(packed))
