"""A mask in place of a large input: which of its few values the derivative has, in two bits.

The derivative of a function that is linear between kinks, such as hardtanh or leaky_relu, is one of
two or three numbers. The forward pass knows which; so it keeps a code of two bits for each element
(0 stands for NaN), a sixteenth of a float32 input, and the backward pass reads that much less. The
codes are those of the very comparisons that the derivative makes, so that no bit of a gradient
changes. They take some time to write and to read, which pays where memory is what a pass waits
for: from :data:`~gradsmith.operator.saving.LARGE` elements on, for one dense tensor among numbers.
Where transforms look on, and where the output tells as much, the general plan holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from gradsmith.backends import dispatch, llvm_packing, pages
from gradsmith.backends.dispatch import Precision
from gradsmith.calculus.fold import fold
from gradsmith.calculus.terms import chosen_from
from gradsmith.formula.expression import Call, Expr, Number, Symbol, free_symbols, substitute
from gradsmith.formula.vocabulary import LE, NE, where
from gradsmith.numerics.lower import Scheme
from gradsmith.numerics.target import Target
from gradsmith.operator import native, saving
from gradsmith.operator.autograd import Like, may_be_forward_mode, vector_jacobian_product
from gradsmith.operator.by_output import unused
from gradsmith.operator.kernels import (
    Computation,
    Computed,
    Kernel,
    Kind,
    compiled,
    in_place,
    kinds_of,
)
from gradsmith.operator.layout import empty_result, is_dense
from gradsmith.operator.saving import MASK, SavePlan
from gradsmith.operator.usual import NUMBERS, at_defaults, is_usual

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise

_MOST_VALUES = 3


class _Kept(NamedTuple):
    """What is known of a call in its backward pass.

    Attributes:
        like: its input.
        strides: of the input.
        numbers: its other operands, by name.
    """

    like: Like
    strides: tuple[int, ...]
    numbers: dict[str, float]


class Mask:
    """How the gradient of an operation in its one input is had from a mask.

    Attributes:
        operation: what is called.
        position: of the input among its operands.
        values: those that the derivative has, in the order of their codes.
        least: elements from which on a mask is kept.
        gradient: the operation that multiplies the derivative by an upstream gradient, from codes:
            NaN, 1, 2 or 3.
    """

    __slots__ = ("_backward", "_forward", "gradient", "least", "operation", "position", "values")

    def __init__(self, operation: Pointwise, name: str, gradient: Pointwise) -> None:
        self.operation = operation
        self.position = operation.operands.index(name)
        self.values = tuple(dict.fromkeys(chosen_from(gradient.core)))
        code, g = (unused(own, operation.operands) for own in ("code", "g"))
        core = _decoded(Symbol(code), self.values)
        read = {symbol.name for symbol in free_symbols(core)}
        arguments = (code, *(n for n in operation.arguments if n in read))
        self.gradient = type(operation)(
            core, arguments, (g,), operation.defaults, None, operation.max_ulp
        )
        self.least = saving.LARGE
        self._forward: dict[Any, Kernel | None] = {}
        self._backward: dict[Any, Kernel | None] = {}

    def plan(self, dtype: torch.dtype) -> SavePlan | None:
        """What is kept of inputs of that dtype; None where it is no mask."""
        target = dispatch.precision(dtype, "cpu").target
        if self._codes(bool(self.operation.defaults), target) is None:
            return None
        name = self.operation.operands[self.position]
        reason = (
            f"the gradient with respect to {name} has {len(self.values)} values, "
            "and two bits say which"
        )
        return SavePlan((MASK,), llvm_packing.BYTES / llvm_packing.TOGETHER, reason)

    def product(self, kept: _Kept, packed: Tensor, link: Tensor, g: Tensor) -> Tensor:
        """The gradient of the input.

        Args:
            kept: of the call, beside the tensors.
            packed: the codes.
            link: leads to the input, where the gradient is differentiated again.
            g: the upstream gradient.
        """
        precision = dispatch.precision(kept.like.dtype, "cpu")
        numbers = [kept.numbers[name] for name in self.gradient.operands[1:-1]]
        # An upstream gradient may carry a tangent that the operands did not have.
        if not (torch.is_grad_enabled() or may_be_forward_mode()) and native.unwatched():
            found = self._quickly(kept, packed, numbers, g, precision)
            if found is not None:
                return found
        codes = _unpacked(packed, kept)
        if torch.is_grad_enabled():
            codes = _Tied.apply(link, codes)  # type: ignore[no-untyped-call]
        return vector_jacobian_product(self.gradient, [codes, *numbers], g, kept.like, precision)

    def _quickly(
        self, kept: _Kept, packed: Tensor, numbers: Sequence[Any], g: Tensor, precision: Precision
    ) -> Tensor | None:
        like, count = kept.like, kept.like.shape.numel()
        if not (native.plain(g) and g.dtype is like.dtype and g.shape == like.shape):
            return None
        if type(packed) is not Tensor or not packed.is_cpu or not packed.is_contiguous():
            return None  # a hook may give back what it likes
        single = g.numel() > 1 and not any(g.stride())
        kernel = self._kernel_back(numbers, g, single, precision)
        if kernel is None:
            return None
        made = pages.advised(torch.empty_strided(like.shape, kept.strides, dtype=like.dtype))
        if not single and g.stride() != kept.strides:
            g = torch.empty_like(made).copy_(g)
        # What an address is taken of must outlive the call.
        held = [kernel.address_of((packed, *numbers, g)[i]) for i in kernel.reads]
        kernel.code.over(count, [*(address for address, _ in held), made.data_ptr()])
        return made

    def serves(self, operands: Sequence[Any]) -> bool:
        """Whether a call is such that a mask is kept of it: plain tensors of one dtype, numbers."""
        x = operands[self.position]
        if not (isinstance(x, Tensor) and x.requires_grad):
            return False
        if x.numel() < self.least or not is_dense(x):
            return False
        others = (*operands[: self.position], *operands[self.position + 1 :])
        return all(type(other) in NUMBERS for other in others)

    def record(self, operands: Sequence[Any]) -> Tensor | None:
        """The operation on operands that it :meth:`serves`; None where there is no kernel."""
        x = operands[self.position]
        kernel = self._kernel(operands, dispatch.precision(x.dtype, "cpu"))
        if kernel is None:
            return None
        result: Tensor = _apply(self, kernel, *operands)[0]  # type: ignore[no-untyped-call]
        return result

    def _kernel(self, operands: Sequence[Any], precision: Precision) -> Kernel | None:
        """What computes the value and the codes."""
        usual = is_usual(operands, self.operation.usual)
        kinds = kinds_of(operands, usual)
        key = (precision, kinds)
        if key not in self._forward:
            codes = self._codes(usual, precision.target)
            made = None
            if codes is not None:
                singles = tuple(i != self.position for i in range(len(operands)))
                names = self.operation.operands
                both: tuple[Computed, ...] = (*in_place((self.operation,), kinds), codes)
                made = compiled(both, names, kinds, singles, precision, packed=(1,))
            self._forward[key] = made
        return self._forward[key]

    def _codes(self, usual: bool, target: Target) -> _Codes | None:
        """What computes the codes; None where that is not found.

        Args:
            usual: whether parameters are their defaults.
            target: the format of the result.
        """
        operation, values = self.operation, self.values
        if usual:
            operation = at_defaults(operation)
            defaults = self.operation.defaults.items()
            numbers: dict[Expr, Expr] = {Symbol(name): Number(value) for name, value in defaults}
            values = tuple(fold(substitute(value, numbers)) for value in values)
        derivative = _of_codes(operation, self.operation.operands[self.position])
        found = None if derivative is None else _Codes(derivative, values)
        return found if found is not None and found.are_known(target) else None

    def _kernel_back(
        self, numbers: Sequence[Any], g: Tensor, single: bool, precision: Precision
    ) -> Kernel | None:
        """What computes the gradient; ``single``: of an upstream gradient that is one element."""
        usual = is_usual((g, *numbers, g), self.gradient.usual)
        kinds: tuple[Kind, ...] = (torch.float32, *kinds_of((*numbers, g), usual))
        key = (precision, kinds, single)
        if key not in self._backward:
            names = self.gradient.operands
            singles = (False, *[True] * len(numbers), single)
            self._backward[key] = compiled(
                in_place((self.gradient,), kinds), names, kinds, singles, precision, names[:1]
            )
        return self._backward[key]


def mask_of(operation: Pointwise) -> Mask | None:
    """How a mask serves the gradient of an operation; None where it does not."""
    inputs = [name for name in operation.arguments if name not in operation.defaults]
    if len(inputs) != 1 or operation.factors or operation.output_form is not None:
        return None
    gradient = _of_codes(operation, inputs[0])
    return None if gradient is None else Mask(operation, inputs[0], gradient)


def _of_codes(operation: Pointwise, name: str) -> Pointwise | None:
    """The derivative in the input times g, if two bits can say which value it has."""
    gradient = operation.gradient(name)
    if gradient is None or name not in gradient.arguments:
        return None
    values = set(chosen_from(gradient.core))
    constant = all(Symbol(name) not in free_symbols(value) for value in values)
    return gradient if constant and len(values) <= _MOST_VALUES else None


class _Codes(NamedTuple):
    """What says which value a derivative has, computed as the derivative is: 0 for NaN, 1, 2, 3."""

    gradient: Pointwise
    values: tuple[Expr, ...]

    def are_known(self, target: Target) -> bool:
        """Whether the stable form of the derivative consists of the same choices."""
        try:
            self.core_for(target)
        except KeyError:
            return False
        return True

    def core_for(self, target: Target) -> Expr:
        """Over the operation's arguments."""
        codes: dict[Expr, Expr] = {fold(v): Number(i + 1) for i, v in enumerate(self.values)}
        return _coded(self.gradient.stable_for(target).expression, codes)

    def computation_for(self, precision: Precision, alone: bool, in_words: bool) -> Computation:
        """The same, and how it is computed."""
        return self._of(self.gradient.computation_for(precision, alone, in_words))

    def computation_in(self, target: Target, scheme: Scheme) -> Computation:
        """The same in that scheme."""
        return self._of(self.gradient.computation_in(target, scheme))

    def _of(self, derivative: Computation) -> Computation:
        core = self.core_for(derivative.target)
        return replace(derivative, core=core, factors=(), stable=None)


def _coded(node: Expr, codes: dict[Expr, Expr]) -> Expr:
    """The code in place of each value.

    Raises:
        KeyError: it is made of other values.
    """
    if not (isinstance(node, Call) and node.function is where):
        return codes[fold(node)]
    condition, a, b = node.args
    if condition.args and condition == NE(a, a):  # of NaN it is NaN
        return where(condition, 0, _coded(b, codes))
    return where(condition, _coded(a, codes), _coded(b, codes))


def _decoded(code: Expr, values: Sequence[Expr]) -> Expr:
    """The value that a code stands for."""
    chosen = values[-1]
    for number in range(len(values) - 1, 0, -1):
        chosen = where(LE(code, number), values[number - 1], chosen)
    return chosen


class MaskedFunction(Function):
    """``apply(mask, kernel, *operands)``: the result, and what leads to the input."""

    @staticmethod
    def forward(ctx: Any, mask: Mask, kernel: Kernel, *operands: Any) -> tuple[Tensor, Tensor]:
        """The value; keeps the codes."""
        x = operands[mask.position]
        result = empty_result([x], x.shape, x.dtype)
        packed = torch.empty(llvm_packing.size(x.numel()), dtype=torch.uint8)
        held = [kernel.address_of(operands[i]) for i in kernel.reads]
        addresses = [*(address for address, _ in held), result.data_ptr(), packed.data_ptr()]
        kernel.code.over(x.numel(), addresses)
        # The input itself is let go. Its place in the graph is not: an empty tensor has it too.
        link = x.new_empty(0)
        named = zip(mask.operation.operands, operands, strict=True)
        numbers = {name: operand for name, operand in named if operand is not x}
        ctx.mask = mask
        ctx.kept = _Kept(Like(x.shape, x.dtype, x.device), result.stride(), numbers)
        ctx.save_for_backward(packed, link)
        ctx.set_materialize_grads(False)
        return result, link

    @staticmethod
    def backward(ctx: Any, g: Tensor | None, through: Tensor | None) -> tuple[Tensor | None, ...]:
        """The vector-Jacobian product; zero of what only comes through the link."""
        found: list[Tensor | None] = [None] * len(ctx.needs_input_grad)
        at = _FIRST + ctx.mask.position
        if g is not None:
            found[at] = ctx.mask.product(ctx.kept, *ctx.saved_tensors, g)
        elif through is not None:
            like = ctx.kept.like
            found[at] = through.new_zeros(like.shape, dtype=like.dtype)
        return tuple(found)


_FIRST = 2  # arguments of forward ahead of the operands

# Autograd's own, as in recorded.py.
_apply = super(Function, MaskedFunction).apply


class _Tied(Function):
    """``apply(link, codes)``: the codes, as if they were computed of what the link leads to."""

    generate_vmap_rule = True

    @staticmethod
    def forward(link: Tensor, codes: Tensor) -> Tensor:
        """The same codes."""
        return codes.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep nothing but a shape."""
        ctx.shape = inputs[0].shape

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        """A code does not change with the input."""
        return g.new_zeros(ctx.shape), None


def _unpacked(packed: Tensor, kept: _Kept) -> Tensor:
    """The codes as numbers, laid out like the input, by torch's operations."""
    like = kept.like
    shifts = torch.arange(8, device=packed.device)
    planes = packed.view(-1, 2, llvm_packing.TOGETHER // 8, 1) >> shifts & 1
    low, high = planes.flatten(2).unbind(1)
    codes = (low + 2 * high).flatten()[: like.shape.numel()].to(like.dtype)
    codes = torch.where(codes == 0, torch.nan, codes)
    return codes.as_strided(like.shape, kept.strides)
