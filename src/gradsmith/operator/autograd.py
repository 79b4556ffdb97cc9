"""What autograd calls: forward, backward, forward mode and batching of a pointwise operation.

Each is written in terms of the operation's own gradients, which are operations of the same kind;
so each can be differentiated again, to any order and by any transform of ``torch.func``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch._C._functorch import TransformType
from torch.autograd import forward_ad
from torch.autograd.function import Function

from gradsmith.backends.dispatch import Precision
from gradsmith.operator.broadcast import same_shape, summed_to
from gradsmith.operator.saving import OUTPUT

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise


class Like(NamedTuple):
    """What a gradient must look like: the operand that it is the gradient of."""

    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


def is_recorded(operands: Iterable[Any]) -> bool:
    """Whether autograd, forward mode or a transform of ``torch.func`` may look at the operation."""
    if may_be_forward_mode():
        return True
    if not torch.is_grad_enabled():
        return False
    return any(isinstance(operand, Tensor) and operand.requires_grad for operand in operands)


def needs_gradient(operands: Iterable[Any]) -> bool:
    """Whether a derivative is asked for, backward or forward, or a ``torch.func`` transform."""
    tensors = [operand for operand in operands if isinstance(operand, Tensor)]
    if torch._C._are_functorch_transforms_active():
        return True
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return True
    return _in_forward_mode() and any(
        forward_ad.unpack_dual(t).tangent is not None for t in tensors
    )


def _in_forward_mode() -> bool:
    return forward_ad._current_level >= 0


def may_be_forward_mode() -> bool:
    """Whether a tangent may come along, now or later."""
    # A transform that the compiler replays does not set the level.
    return torch._C._are_functorch_transforms_active() or _in_forward_mode()


def recorded(operation: Pointwise, precision: Precision, operands: Sequence[Any]) -> Tensor:
    """The operation where :func:`is_recorded` holds of its operands."""
    if torch._C._get_tracing_state() is not None:
        # A graph of torch.jit.trace can be saved if it consists of torch's own operations.
        return operation.evaluate(operands, precision)
    if torch._C._are_functorch_transforms_active():
        innermost = torch._C._functorch.peek_interpreter_stack()
        if innermost is not None and innermost.key() == TransformType.Functionalize:
            return _functionalized(operation, precision, operands)
    result: Tensor = PointwiseFunction.apply(operation, precision, *operands)  # type: ignore[no-untyped-call]
    return result


def _functionalized(operation: Pointwise, precision: Precision, operands: Sequence[Any]) -> Tensor:
    """The operation beneath ``torch.func.functionalize``, for which there is nothing to do.

    It writes to nothing and takes no view; torch has no rule that says so of an autograd function.
    """
    from torch._functorch.pyfunctorch import retrieve_current_functorch_interpreter
    from torch._subclasses.functional_tensor import FunctorchFunctionalizeAPI

    innermost: Any = retrieve_current_functorch_interpreter()
    transform: Any = FunctorchFunctionalizeAPI(innermost)
    unwrapped = transform.unwrap_tensors(tuple(operands))
    with transform.redispatch_to_next():
        result = operation.apply(unwrapped, precision)
    wrapped: Tensor = transform.wrap_tensors(result)
    return wrapped


class PointwiseFunction(Function):
    """``apply(operation, precision, *operands)``; operands are tensors and Python floats."""

    @staticmethod
    def forward(operation: Pointwise, precision: Precision, *operands: Any) -> Tensor:
        """The value."""
        return operation.evaluate(operands, precision)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep what the gradients read, and nothing of what autograd will not ask for."""
        operation, precision, *operands = inputs
        named = dict(zip(operation.operands, operands, strict=True))
        forward_mode = may_be_forward_mode()
        if forward_mode:
            kept = operation.operands  # which of them carry a tangent is not known yet
        else:
            needs = zip(operation.operands, ctx.needs_input_grad[2:], strict=True)
            needed = tuple(name for name, is_needed in needs if is_needed)
            kept = operation.general_plan(needed).saved
        ctx.operation, ctx.precision, ctx.shape = operation, precision, output.shape
        named[OUTPUT] = output
        ctx.tensors = [name for name in kept if isinstance(named[name], Tensor)]
        ctx.numbers = {name: named[name] for name in kept if name not in ctx.tensors}
        ctx.like = [
            Like(o.shape, o.dtype, o.device) if isinstance(o, Tensor) else None for o in operands
        ]
        ctx.set_materialize_grads(False)
        tensors = [named[name] for name in ctx.tensors]
        ctx.save_for_backward(*tensors)
        if forward_mode:
            ctx.save_for_forward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor | None) -> tuple[Tensor | None, ...]:
        """The vector-Jacobian products of the operands that need one."""
        if g is None:
            return (None,) * len(ctx.needs_input_grad)
        operation, precision, values = ctx.operation, ctx.precision, _values(ctx)
        products: list[Tensor | None] = []
        for name, like, needed in zip(
            operation.operands, ctx.like, ctx.needs_input_grad[2:], strict=True
        ):
            if not needed:
                products.append(None)
                continue
            gradient, reads = operation.backward(name, OUTPUT in values)
            operands = [values[read] for read in reads]
            products.append(vector_jacobian_product(gradient, operands, g, like, precision))
        return None, None, *products

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        """The Jacobian-vector product."""
        values = _values(ctx)
        if not torch._C._are_functorch_transforms_active():
            return _pushed_forward(ctx, values, tangents)
        # Autograd switches forward mode off in here, but an outer jvp of torch.func still needs
        # it. This level's own tangents must not take part: theirs is what is being computed.
        values = {n: _primal(v) if isinstance(v, Tensor) else v for n, v in values.items()}
        with forward_ad._set_fwd_grad_enabled(True):
            return _pushed_forward(ctx, values, tangents)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: Sequence[int | None],
        operation: Pointwise,
        precision: Precision,
        *operands: Any,
    ) -> tuple[Tensor, int]:
        """The operation on whole batches: their dimension comes first, ranks are aligned."""
        dims = in_dims[2:]
        tensors = [
            (o.dim() - (dim is not None))
            for o, dim in zip(operands, dims, strict=True)
            if isinstance(o, Tensor)
        ]
        rank = max(tensors)
        batched = [
            operand if dim is None else _batch_first(operand, dim, rank)
            for operand, dim in zip(operands, dims, strict=True)
        ]
        return operation.apply(batched, precision), 0


def _values(ctx: Any) -> dict[str, Any]:
    return {**dict(zip(ctx.tensors, ctx.saved_tensors, strict=True)), **ctx.numbers}


def _primal(tensor: Tensor) -> Tensor:
    primal: Tensor = torch._VF._unpack_dual(tensor, level=0)[0]
    return primal


def _pushed_forward(ctx: Any, values: dict[str, Any], tangents: Sequence[Tensor | None]) -> Tensor:
    operation, precision = ctx.operation, ctx.precision
    named = zip(operation.operands, tangents[2:], strict=True)
    terms = [(operation.gradient(name), t) for name, t in named if t is not None]
    present = [(gradient, t) for gradient, t in terms if gradient is not None]
    if not present:
        like = next(t for _, t in terms)
        return torch.zeros(ctx.shape, dtype=precision.storage, device=like.device)
    if len(present) > 1:
        precision = precision.stored_as(precision.compute)  # rounded after the sum
    products = [
        gradient.apply([*(values[n] for n in gradient.operands[:-1]), t], precision)
        for gradient, t in present
    ]
    total = reduce(torch.add, products)
    # A tangent of a broadcast operand may be smaller than the result.
    if not same_shape(total.shape, ctx.shape):
        total = total.expand(ctx.shape).clone()
    result: Tensor = total.to(ctx.precision.storage)
    return result


def vector_jacobian_product(
    gradient: Pointwise | None,
    operands: Sequence[Any],
    g: Tensor,
    like: Like,
    precision: Precision,
) -> Tensor:
    """The gradient of one operand, which autograd may record in its turn.

    Args:
        gradient: the derivative times an upstream gradient; None where it is zero.
        operands: what it reads ahead of the upstream gradient.
        g: the upstream gradient.
        like: what the gradient must look like.
        precision: of the operation.
    """
    if gradient is None:
        # Of the kind of g, which may be a DTensor.
        return g.new_zeros(like.shape, dtype=like.dtype, device=like.device)
    if same_shape(g.shape, like.shape):
        product = gradient.apply([*operands, g], precision.stored_as(like.dtype))
        return product.to(like.device)
    product = gradient.apply([*operands, g], precision.stored_as(precision.compute))
    return summed_to(product, like.shape).to(like.device, like.dtype)


def _batch_first(operand: Tensor, dim: int, rank: int) -> Tensor:
    moved = operand.movedim(dim, 0)
    aligned = (moved.shape[0], *[1] * (rank - moved.dim() + 1), *moved.shape[1:])
    return moved.reshape(aligned)
