"""Which compiled code serves an operation, or the gradients of one together, and what it reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from ctypes import addressof, c_double
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor

from gradsmith.backends import dispatch
from gradsmith.backends.dispatch import Precision
from gradsmith.backends.llvm import NativeKernel
from gradsmith.formula.expression import Expr, free_symbols
from gradsmith.numerics.fit import WORDS, Fit, fit
from gradsmith.numerics.joint import may_share
from gradsmith.numerics.ladder import rank
from gradsmith.numerics.lower import Scheme
from gradsmith.numerics.stabilise import Stable
from gradsmith.numerics.target import Target
from gradsmith.operator import extension, plans
from gradsmith.operator.product import times_factors
from gradsmith.operator.usual import USUAL, at_defaults

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise

Kind = torch.dtype | Fit | Literal["usual"]
"""The dtype of a tensor operand; of a number how float32 holds it, or that it is the default."""

_MOST_NUMBERS = 64


@dataclass(frozen=True, slots=True)
class Computation:
    """What native code computes for an operation, and how.

    Attributes:
        core: an expression over the operands.
        target: the format and precision that it was found for.
        scheme: the precision, and that of the elementary functions.
        particular: whether the expression is for this scheme alone.
        factors: operands that the core is multiplied with.
        stable: the stable form that the core is the way to compute of, where it is that of one.
    """

    core: Expr
    target: Target
    scheme: Scheme
    particular: bool = False
    factors: tuple[str, ...] = ()
    stable: Stable | None = None

    @property
    def expression(self) -> Expr:
        """The core times its factors."""
        return times_factors(self.core, self.factors)


_HELD = (torch.float32, torch.float16, torch.bfloat16)
"""Formats of which float32 holds every number."""


class Kernel:
    """Compiled code and the operands that it reads, by their positions in the call."""

    __slots__ = ("_numbers", "code", "raw", "reads")

    def __init__(self, code: NativeKernel, reads: tuple[int, ...]) -> None:
        self.code = code
        self.raw = code.raw
        self.reads = reads
        self._numbers: dict[float, tuple[int, c_double]] = {}

    def address_of(self, operand: Tensor | float) -> tuple[int, object]:
        """Where its first element lies, and what must be kept as long as that is so.

        A number has the same memory from call to call, so that none is allocated.
        """
        if isinstance(operand, Tensor):
            return operand.data_ptr(), operand
        found = self._numbers.get(operand)
        if found is None or operand == 0:  # 0 and −0 are equal
            if len(self._numbers) >= _MOST_NUMBERS:
                self._numbers = {}
            memory = c_double(operand)
            found = self._numbers[operand] = (addressof(memory), memory)
        return found


def lookup(
    operation: Pointwise,
    operands: Sequence[Any],
    singles: tuple[bool, ...] | None,
    precision: Precision,
    usual: bool,
) -> Kernel | None:
    """The kernel for such operands, compiled when first needed; None where there can be none.

    Args:
        operation: what to compute.
        operands: tensors and numbers.
        singles: which of them are one element for a whole row; left out, the numbers.
        precision: of the result.
        usual: whether the numbers are defaults, and there is a kernel for these alone.
    """
    kinds = kinds_of(operands, usual)
    if singles is None:
        singles = tuple([not isinstance(operand, Tensor) for operand in operands])
    key = (precision, kinds, singles)
    try:
        return operation.native[key]
    except KeyError:
        chosen = in_place((operation,), kinds)
        made = compiled(chosen, operation.operands, kinds, singles, precision)
        operation.native[key] = made
        if made is not None:
            extension.register_kernel(operation, kinds, singles, precision, made)
        return made


def kinds_of(operands: Sequence[Any], usual: bool) -> tuple[Kind, ...]:
    """What decides which kernel serves each operand."""
    return tuple([_kind(operand, usual) for operand in operands])


def _kind(operand: Tensor | float, usual: bool) -> Kind:
    if isinstance(operand, Tensor):
        return operand.dtype
    return USUAL if usual else fit(operand)


class Computed(Protocol):
    """What a kernel can compute: an operation, or what is derived from one."""

    def computation_for(self, precision: Precision, alone: bool, in_words: bool) -> Computation:
        """What native code computes, and how."""

    def computation_in(self, target: Target, scheme: Scheme) -> Computation:
        """The stable form for results of one format, in a scheme of which it knows nothing."""


def in_place(operations: Sequence[Pointwise], kinds: Sequence[Kind]) -> Sequence[Pointwise]:
    """The operations, or what is left of them where their parameters are defaults."""
    if USUAL in kinds:
        return [at_defaults(operation) for operation in operations]
    return operations


def compiled(
    operations: Sequence[Computed],
    names: Sequence[str],
    kinds: Sequence[Kind],
    singles: Sequence[bool],
    precision: Precision,
    packed: Collection[str | int] = (),
) -> Kernel | None:
    """One kernel that computes all operations in one pass, in the most accurate of their schemes.

    None where a function has no instructions.

    Args:
        operations: what to compute.
        names: of their operands, together.
        kinds: of each of ``names``.
        singles: which of ``names`` are one element for a whole row.
        precision: of the results.
        packed: which of ``names``, and results by position, are codes of two bits.
    """
    each, best = chosen(operations, kinds, precision)
    expressions = [one.expression for one in _sharing(each, best.scheme)]
    needed = {symbol.name for symbol in free_symbols(*expressions)}
    reads = tuple(i for i, name in enumerate(names) if name in needed)
    given = {names[i]: kinds[i] for i in reads}
    inputs = {n: kind if isinstance(kind, torch.dtype) else None for n, kind in given.items()}
    short = [name for name, kind in given.items() if kind is Fit.ONE_WORD]
    scalars = [names[i] for i in reads if singles[i]]
    try:
        code = dispatch.native_kernel(
            expressions, inputs, scalars, best.scheme, precision.storage, short, packed
        )
    except (NotImplementedError, RuntimeError):  # no instructions, or LLVM cannot do it here
        return None
    return Kernel(code, reads)


def chosen(
    operations: Sequence[Computed], kinds: Sequence[Kind], precision: Precision
) -> tuple[Sequence[Computation], Computation]:
    """How one kernel computes each operation, and the one of which all have the scheme.

    For the arguments see :func:`compiled`. It is found once, and remembered.
    """
    alone = all(kind in (torch.float32, Fit.ONE_WORD, USUAL) for kind in kinds)
    in_words = all(kind in (*_HELD, *WORDS, USUAL) for kind in kinds)
    each = [operation.computation_for(precision, alone, in_words) for operation in operations]
    best = max(each, key=lambda one: (one.target.compute == "float64", rank(one.scheme)))
    return [
        one
        if one.target is best.target and (one.scheme is best.scheme or not one.particular)
        else operation.computation_in(best.target, best.scheme)
        for operation, one in zip(operations, each, strict=True)
    ], best


def _sharing(each: Sequence[Computation], scheme: Scheme) -> Sequence[Computation]:
    """The same results, in forms that take less together."""
    stables = [one.stable for one in each if one.stable is not None]
    if len(stables) < len(each) or not may_share(len(each), scheme):
        return each
    cores = plans.shared_forms(stables, [one.core for one in each], scheme)
    return [replace(one, core=core) for one, core in zip(each, cores, strict=True)]
