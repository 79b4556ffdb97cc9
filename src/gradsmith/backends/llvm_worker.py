"""LLVM IR around the loop: one thread's share of a call, over rows of any layout.

``void worker(ptr task)`` is what a pool of threads runs at the same time, each with the same task:
an array of i64, laid out as :func:`task` says. A thread asks the runtime which of how many it is,
takes its share of the elements, and hands the loop one row after the other. A row is what lies
without gaps in every operand, or, for an operand that the loop takes as a scalar, one element.
Where each row starts follows from the sizes of the outer dimensions and the operands' strides.

Shares are multiples of 64 elements: no two threads write to the same cache line, unless the result
itself begins in the middle of one, and almost every share is whole vectors. So is every share
whole groups of packed codes, where the loop takes some: then there is one row, in blocks.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain

from gradsmith.backends import llvm_packing

WORKER = "worker"
"""Name of the function."""

# Positions in the task.
_COUNT, _RANK, _RANKS, _DIMS, _ROW, _FIRST = range(6)


def task(
    count: int,
    addresses: Sequence[int],
    row: int,
    sizes: Sequence[int] = (),
    strides: Sequence[Sequence[int]] = (),
    identify: tuple[int, int] = (0, 0),
) -> list[int]:
    """The numbers that a task consists of.

    Args:
        count: of all elements.
        addresses: of the first element of each input, then of each output.
        row: elements of one row.
        sizes: of the outer dimensions, the last one changing fastest.
        strides: for each of ``addresses``, the bytes between neighbours in each of ``sizes``.
        identify: addresses of ``int f(void)``: the number of this thread, and of how many. Zeros
            where there is only one.
    """
    return [count, *identify, len(sizes), row, *addresses, *sizes, *chain.from_iterable(strides)]


def worker(entry: str, steps: Sequence[int], inputs: int, packed: Collection[int] = ()) -> str:
    """The IR of the function, to stand beside the module of the loop.

    It is left as it is, which LLVM's optimisation hardly makes faster and takes as long for as for
    a short loop.

    Args:
        entry: name of the loop.
        steps: for each pointer that the loop takes, bytes from one element of a row to the next;
            0 for a scalar.
        inputs: how many of the pointers come first that are read.
        packed: which of them are codes of two bits; then the worker is for one row alone.
    """
    if packed:
        part = llvm_packing.block(entry, steps, inputs, packed)
        attributes, buffers = "", llvm_packing.buffers(packed)
        functions, start = llvm_packing.FUNCTIONS, "block"
    else:
        part = _rows(entry, steps)
        attributes, buffers = " optnone", ""
        functions, start = "", "row"
    bases = []
    for k in range(len(steps)):
        bases.append(f"  %base{k}.at = getelementptr i64, ptr %task, i64 {_FIRST + k}")
        bases.append(f"  %base{k} = load ptr, ptr %base{k}.at")
    return _WORKER.format(
        worker=WORKER,
        entry=entry,
        rank=_RANK,
        ranks=_RANKS,
        attributes=attributes,
        functions=functions,
        bases="\n".join(bases),
        buffers=buffers,
        start=start,
        part=part,
        takes=", ".join(["i64", *(["ptr"] * len(steps))]),
    )


def _rows(entry: str, steps: Sequence[int]) -> str:
    """What a worker does with its share, row by row: the IR from ``%begin`` to ``%end``."""
    lines: list[str] = []
    add = lines.append
    operands = range(len(steps))
    for k in operands:
        add(f"  %start{k} = phi i64 [ 0, %row ], [ %start{k}.next, %dim ]")
    starts = "\n".join(lines)
    lines.clear()
    for k in operands:
        # Strides of operand k stand after the sizes, one for each outer dimension.
        add(f"  %skip{k} = mul i64 %dims, {k + 1}")
        add(f"  %where{k} = add i64 %slot, %skip{k}")
        add(f"  %stride{k}.at = getelementptr i64, ptr %task, i64 %where{k}")
        add(f"  %stride{k} = load i64, ptr %stride{k}.at")
        add(f"  %moved{k} = mul i64 %index, %stride{k}")
        add(f"  %start{k}.next = add i64 %start{k}, %moved{k}")
    moves = "\n".join(lines)
    lines.clear()
    for k, step in enumerate(steps):
        add(f"  %within{k} = mul i64 %column, {step}")
        add(f"  %offset{k} = add i64 %start{k}.row, %within{k}")
        add(f"  %pointer{k} = getelementptr i8, ptr %base{k}, i64 %offset{k}")
    pointers = "\n".join(lines)
    chosen = "\n".join(
        f"  %start{k}.row = phi i64 [ 0, %row ], [ %start{k}.next, %dim ]" for k in operands
    )
    taken = ", ".join(["i64 %length", *(f"ptr %pointer{k}" for k in operands)])
    return _ROWS.format(
        entry=entry,
        first=_FIRST + len(steps),
        dims=_DIMS,
        row=_ROW,
        starts=starts,
        moves=moves,
        chosen=chosen,
        pointers=pointers,
        taken=taken,
    )


_WORKER = """
declare void @{entry}({takes}) nounwind
{functions}
define void @{worker}(ptr %task) nounwind noinline{attributes} {{
entry:
  %count = load i64, ptr %task
  %rank.at = getelementptr i64, ptr %task, i64 {rank}
  %rank.of = load ptr, ptr %rank.at
  %ranks.at = getelementptr i64, ptr %task, i64 {ranks}
  %ranks.of = load ptr, ptr %ranks.at
{bases}
{buffers}
  %alone = icmp eq ptr %rank.of, null
  br i1 %alone, label %share, label %ask
ask:
  %rank.asked = call i32 %rank.of()
  %ranks.asked = call i32 %ranks.of()
  br label %share
share:
  %rank.here = phi i32 [ 0, %entry ], [ %rank.asked, %ask ]
  %ranks.here = phi i32 [ 1, %entry ], [ %ranks.asked, %ask ]
  %rank = sext i32 %rank.here to i64
  %ranks = sext i32 %ranks.here to i64
  %rounded = add i64 %count, %ranks
  %above = sub i64 %rounded, 1
  %part = sdiv i64 %above, %ranks
  %up = add i64 %part, 63
  %each = and i64 %up, -64
  %begin = mul i64 %rank, %each
  %finish = add i64 %begin, %each
  %whole = icmp slt i64 %finish, %count
  %end = select i1 %whole, i64 %finish, i64 %count
  %some = icmp slt i64 %begin, %end
  br i1 %some, label %{start}, label %exit
{part}
exit:
  ret void
}}
"""

_ROWS = """\
row:
  %position = phi i64 [ %begin, %share ], [ %after, %compute ]
  %dims.at = getelementptr i64, ptr %task, i64 {dims}
  %dims = load i64, ptr %dims.at
  %row.at = getelementptr i64, ptr %task, i64 {row}
  %row.length = load i64, ptr %row.at
  %row.number = sdiv i64 %position, %row.length
  %row.first = mul i64 %row.number, %row.length
  %column = sub i64 %position, %row.first
  %outer = icmp sgt i64 %dims, 0
  br i1 %outer, label %dim, label %compute
dim:
  %left = phi i64 [ %row.number, %row ], [ %left.next, %dim ]
  %d = phi i64 [ %dims, %row ], [ %d.next, %dim ]
{starts}
  %d.next = sub i64 %d, 1
  %slot = add i64 %d.next, {first}
  %size.at = getelementptr i64, ptr %task, i64 %slot
  %size = load i64, ptr %size.at
  %left.next = sdiv i64 %left, %size
  %used = mul i64 %left.next, %size
  %index = sub i64 %left, %used
{moves}
  %more = icmp sgt i64 %d.next, 0
  br i1 %more, label %dim, label %compute
compute:
{chosen}
  %rest.row = sub i64 %row.length, %column
  %rest = sub i64 %end, %position
  %shorter = icmp slt i64 %rest, %rest.row
  %length = select i1 %shorter, i64 %rest, i64 %rest.row
{pointers}
  call void @{entry}({taken})
  %after = add i64 %position, %length
  %again = icmp slt i64 %after, %end
  br i1 %again, label %row, label %exit"""
