"""Autograd for plain CPU tensors: as little as a backward pass can cost in Python.

What is general (transforms of ``torch.func``, forward mode, compilers) goes by
:class:`~gradsmith.operator.autograd.PointwiseFunction`. Here nothing but autograd itself looks on,
so that ``forward`` and what it keeps are one function, ``apply`` is autograd's own, and backward
calls a kernel unless autograd records it too, for a gradient of the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import Function

from gradsmith.backends import dispatch
from gradsmith.backends.meanwhile import meanwhile
from gradsmith.operator import extension, native
from gradsmith.operator.autograd import Like, may_be_forward_mode, vector_jacobian_product
from gradsmith.operator.kernels import Kernel, chosen, compiled, in_place, kinds_of
from gradsmith.operator.layout import arrange, empty_result
from gradsmith.operator.saving import OUTPUT
from gradsmith.operator.usual import Defaults, is_usual

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise


class _Term(NamedTuple):
    """The gradient of one operand."""

    operand: int
    name: str
    gradient: Pointwise | None  # None where it is zero
    reads: tuple[int, ...]  # which of what is kept it takes ahead of g


class Backward(NamedTuple):
    """What the backward pass does for one choice of operands that need a gradient."""

    kept: tuple[int, ...]  # operands, by their positions; one beyond them is the output
    terms: tuple[_Term, ...]
    together: dict[Any, Kernel | None]  # kernels for all terms, as they were needed
    usual: Defaults  # of what is kept and the upstream gradient

    def kernel(
        self,
        operation: Pointwise,
        operands: Sequence[Any],
        singles: tuple[bool, ...],
        dtype: torch.dtype,
    ) -> Kernel | None:
        """One kernel for the gradients of all operands; None where there is none.

        Args:
            operation: what was applied.
            operands: what is kept, then the upstream gradient.
            singles: which of them are one element for a whole row.
            dtype: of the gradients.
        """
        kinds = kinds_of(operands, is_usual(operands, self.usual))
        key = (kinds, singles, dtype)
        if key not in self.together:
            gradients = [term.gradient for term in self.terms if term.gradient is not None]
            upstream = {gradient.operands[-1] for gradient in gradients}
            made = None
            if len(gradients) == len(self.terms) and len(upstream) == 1:
                names = [*([*operation.operands, OUTPUT][i] for i in self.kept), *upstream]
                precision = dispatch.precision(dtype, "cpu")
                made = compiled(in_place(gradients, kinds), names, kinds, singles, precision)
            self.together[key] = made
            if made is not None:
                extension.register_together(operation, self, kinds, singles, dtype, made)
        return self.together[key]


def backward_of(operation: Pointwise, needs: tuple[bool, ...]) -> Backward:
    """What is kept for the gradients that are needed, and how they are computed."""
    needed = tuple(n for n, is_needed in zip(operation.operands, needs, strict=True) if is_needed)
    kept = operation.general_plan(needed).saved
    terms = []
    for name in needed:
        gradient, reads = operation.backward(name, OUTPUT in kept)
        taken = tuple(kept.index(read) for read in reads)
        terms.append(_Term(operation.operands.index(name), name, gradient, taken))
    names = (*operation.operands, OUTPUT)
    usual = tuple(operation.defaults.get(name) for name in kept)
    usual = (*usual, None) if any(default is not None for default in usual) else ()
    return Backward(tuple(names.index(name) for name in kept), tuple(terms), {}, usual)


def _value(
    operation: Pointwise,
    pattern: native.Pattern | None,
    dtype: torch.dtype,
    operands: Sequence[Any],
) -> Tensor:
    if pattern is None:
        result = native.quick_with_singles(operation, operands)
    else:
        result = native.quick(operation, operands, pattern)
    if result is None:
        result = operation.evaluate(operands, dispatch.precision(dtype, "cpu"))
    return result


def _prepare(
    operation: Pointwise, needs: tuple[bool, ...], operands: Sequence[Any], dtype: torch.dtype
) -> None:
    """Finds how the gradients of such operands are computed, ahead of the backward pass."""
    if dtype is torch.float64:
        return  # of which its user may be told, who is told that in the backward pass
    plan = backward_of(operation, needs)
    gradients = [term.gradient for term in plan.terms if term.gradient is not None]
    like = next(operand for operand in operands if isinstance(operand, Tensor))
    given = [*[(*operands, like)[i] for i in plan.kept], like]
    kinds = kinds_of(given, is_usual(given, plan.usual))
    if gradients:
        chosen(in_place(gradients, kinds), kinds, dispatch.precision(dtype, "cpu"))


class RecordedFunction(Function):
    """``apply(operation, pattern, dtype, *operands)``, of plain tensors of one dtype and numbers.

    ``pattern`` is that of the operands, None if they have none.
    """

    @staticmethod
    def forward(
        ctx: Any,
        operation: Pointwise,
        pattern: native.Pattern | None,
        dtype: torch.dtype,
        *operands: Any,
    ) -> Tensor:
        """The value; keeps what the gradients read."""
        needs = ctx.needs_input_grad
        plan = operation.backwards.get(needs)
        if plan is None:
            with meanwhile(lambda: _prepare(operation, needs[_FIRST:], operands, dtype)):
                result = _value(operation, pattern, dtype, operands)
            plan = operation.backwards[needs] = backward_of(operation, needs[_FIRST:])
            extension.register_backward(operation, needs, plan)
        else:
            result = _value(operation, pattern, dtype, operands)
        ctx.operation, ctx.plan, ctx.dtype, ctx.numbers, ctx.likes = (
            operation,
            plan,
            dtype,
            (),
            None,
        )
        kept = [(*operands, result)[i] for i in plan.kept]
        if pattern is None or pattern[1]:
            ctx.numbers = [(i, o) for i, o in enumerate(kept) if not isinstance(o, Tensor)]
            kept = [operand for operand in kept if isinstance(operand, Tensor)]
            if pattern is None:
                ctx.likes = [_like(operands[term.operand]) for term in plan.terms]
        if kept:
            ctx.save_for_backward(*kept)
        ctx.set_materialize_grads(False)
        return result

    @staticmethod
    def backward(ctx: Any, g: Tensor | None) -> tuple[Tensor | None, ...]:
        """The vector-Jacobian products of the operands that need one."""
        found: list[Tensor | None] = [None] * len(ctx.needs_input_grad)
        if g is None:
            return tuple(found)
        plan = ctx.plan
        values = ctx.saved_tensors
        if ctx.numbers:
            values = list(values)
            for position, value in ctx.numbers:
                values.insert(position, value)
        products = _products(ctx.operation, plan, ctx.dtype, values, g, ctx.likes)
        for term, product in zip(plan.terms, products, strict=True):
            found[term.operand + _FIRST] = product
        return tuple(found)


def gradients(
    operation: Pointwise,
    needs: tuple[bool, ...],
    values: Sequence[Any],
    g: Tensor,
    shapes: Sequence[Sequence[int]],
    halved: int | None,
) -> list[Tensor]:
    """What the native part asks for where it cannot serve: a gradient for each that is needed.

    Args:
        operation: what was applied, to operands of the dtype of its result.
        needs: the key of a plan among ``operation.backwards``.
        values: of what the plan keeps; of two halves, the whole for both.
        g: the upstream gradient.
        shapes: of the gradients; empty where all have that of ``g``.
        halved: the dimension of which the operands are the halves, if they are; then there is one
            gradient, that of the whole.
    """
    plan = operation.backwards[needs]
    if halved is None:
        likes = [Like(torch.Size(shape), g.dtype, g.device) for shape in shapes]
        return _products(operation, plan, g.dtype, values, g, likes or None)
    parts: dict[int, Any] = {len(operation.operands): values[-1]} if values else {}
    if any(i < len(operation.operands) for i in plan.kept):
        parts.update(enumerate(values[0].split_with_sizes([g.shape[halved]] * 2, halved)))
    kept = [parts[i] for i in plan.kept]
    return [torch.cat(_products(operation, plan, g.dtype, kept, g, None), halved)]


def _products(
    operation: Pointwise,
    plan: Backward,
    dtype: torch.dtype,
    values: Sequence[Any],
    g: Tensor,
    likes: Sequence[Like] | None,
) -> list[Tensor]:
    """The vector-Jacobian products, in the order of the terms."""
    # An upstream gradient may carry a tangent that the operands did not have.
    quickly = not (torch.is_grad_enabled() or may_be_forward_mode()) and native.unwatched()
    if quickly and len(plan.terms) > 1:
        products = _in_one_pass(operation, plan, dtype, values, g, likes)
        if products is not None:
            return products
    found = []
    for number, term in enumerate(plan.terms):
        like = likes[number] if likes else _like(g)
        product = None
        if quickly and like.shape == g.shape:
            product = _by_kernel(term, values, g)
        if product is None:
            product = _in_general(term, values, g, like, dtype)
        found.append(product)
    return found


def _in_one_pass(
    operation: Pointwise,
    plan: Backward,
    dtype: torch.dtype,
    values: Sequence[Any],
    g: Tensor,
    likes: Sequence[Like] | None,
) -> list[Tensor] | None:
    """All gradients together, where the operands that need one were not broadcast."""
    if likes is not None and any(like.shape != g.shape for like in likes):
        return None
    operands: Sequence[Any] = [*values, g]
    pattern = native.pattern(operands, plan.usual)
    if pattern is not None:
        kernel = plan.together.get(pattern)
        if kernel is None:
            numbers = tuple([not isinstance(operand, Tensor) for operand in operands])
            kernel = plan.kernel(operation, operands, numbers, dtype)
            if kernel is None:
                return None
            plan.together[pattern] = kernel
        return native.results(kernel, operands, pattern, len(plan.terms))
    if native.common_dtype(operands) is not dtype or g.numel() == 0:
        return None
    made = [empty_result(operands, g.shape, dtype) for _ in plan.terms]
    operands, layout = arrange(operands, made[0])
    kernel = plan.kernel(operation, operands, layout.singles, dtype)
    if kernel is None:
        return None
    native.fill(kernel, operands, layout, made)
    return made


def _by_kernel(term: _Term, values: Sequence[Any], g: Tensor) -> Tensor | None:
    """The gradient of one operand, which has the shape of the result."""
    if term.gradient is None:
        return None
    operands = [*[values[i] for i in term.reads], g]
    pattern = native.pattern(operands, term.gradient.usual)
    if pattern is not None:
        return native.quick(term.gradient, operands, pattern)
    if native.common_dtype(operands) is not g.dtype:
        return None
    return native.quick_with_singles(term.gradient, operands)


def _in_general(
    term: _Term, values: Sequence[Any], g: Tensor, like: Like, dtype: torch.dtype
) -> Tensor:
    operands = [values[i] for i in term.reads]
    precision = dispatch.precision(dtype, "cpu")
    return vector_jacobian_product(term.gradient, operands, g, like, precision)


_FIRST = 3  # arguments of forward ahead of the operands


# Autograd's own, without what ``Function.apply`` asks first for the sake of ``torch.func``.
_apply = super(Function, RecordedFunction).apply


def record(operation: Pointwise, operands: Sequence[Any]) -> Tensor | None:
    """The operation on operands of which one at least requires a gradient.

    None where they are not plain tensors of one dtype and numbers.
    """
    pattern = native.pattern(operands, operation.usual)
    dtype = native.common_dtype(operands) if pattern is None else pattern[0]
    if dtype is None:
        return None
    mask = operation.mask
    if mask is not None and mask.serves(operands):
        masked = mask.record(operands)
        if masked is not None:
            return masked
    result: Tensor = _apply(operation, pattern, dtype, *operands)  # type: ignore[no-untyped-call]
    return result


def _like(operand: Tensor) -> Like:
    return Like(operand.shape, operand.dtype, operand.device)
