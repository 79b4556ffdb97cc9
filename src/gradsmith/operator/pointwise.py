"""The operation: a pointwise expression as a citizen of PyTorch's automatic differentiation.

One idea carries it: the gradient of a pointwise operation is a pointwise operation. Backward of
any order, forward mode, several inputs and gradients of parameters are that one mechanism,
made when first needed and kept. The backward pass reads only what it needs, in the precision it
needs, and never writes to what is not its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from gradsmith.backends import dispatch
from gradsmith.backends.dispatch import Precision
from gradsmith.calculus.derivative import derivative
from gradsmith.formula.expression import Expr, Symbol, free_symbols
from gradsmith.operator import extension, native
from gradsmith.operator.autograd import (
    is_recorded,
    may_be_forward_mode,
    needs_gradient,
    recorded,
)
from gradsmith.operator.by_output import OutputForm, output_form
from gradsmith.operator.by_torch import TorchKernel, computed_by_torch
from gradsmith.operator.graph import constant_or_tensor, graph_entrance
from gradsmith.operator.kernels import Kernel
from gradsmith.operator.masked import Mask, mask_of
from gradsmith.operator.numerical import Numerical
from gradsmith.operator.product import ZERO
from gradsmith.operator.recorded import Backward, record
from gradsmith.operator.saving import AUTO, SavePlan, plan
from gradsmith.operator.usual import Defaults

_INTERNED: WeakValueDictionary[tuple[Any, ...], Pointwise] = WeakValueDictionary()


class Pointwise(Numerical):
    """``factor · … · factor · core(arguments)``, elementwise with broadcasting.

    Immutable, and the same object for the same expression, names and defaults. Its operands are
    the arguments, then the factors; each is a tensor or a Python number, at least one a tensor.

    Args:
        core: the expression; its symbols are among ``arguments``.
        arguments: names of what the expression is applied to.
        factors: names of what the result is multiplied by: upstream gradients and tangents. The
            numerics never see them.
        defaults: numbers that stand for the parameters among the arguments while the numerics
            look for a stable expression. An argument without one is an input.
        origin: what ``core`` is the derivative of, and in which symbol, where it is one. The
            derivative of its stable form is a proposal for the numerics.
        max_ulp: the error that a float32 result may have; above 1 it may be computed in float32.
        save: what is kept for backward, one of :data:`~gradsmith.operator.saving.CHOICES`.
    """

    __slots__ = (
        "__weakref__",
        "_computations",
        "_gradients",
        "_key",
        "_mask",
        "_output_form",
        "_plans",
        "_stable",
        "arguments",
        "backwards",
        "by_torch",
        "call",
        "core",
        "defaults",
        "enter_graph",
        "factors",
        "graph_call",
        "max_ulp",
        "native",
        "operands",
        "origin",
        "save",
        "usual",
    )
    operands: tuple[str, ...]
    save: str
    enter_graph: Callable[[], None]
    _gradients: dict[str, Pointwise | None]
    _key: tuple[Any, ...]
    graph_call: Callable[..., Tensor] | None
    by_torch: dict[tuple[Any, ...], TorchKernel]
    _mask: list[Mask | None]
    _output_form: list[OutputForm | None]
    _plans: dict[tuple[Any, ...], SavePlan]
    native: dict[tuple[Any, ...], Kernel | None]
    backwards: dict[tuple[bool, ...], Backward]
    call: Callable[[Pointwise, Sequence[Any]], Tensor | None] | None
    usual: Defaults

    def __new__(
        cls,
        core: Expr,
        arguments: Sequence[str],
        factors: Sequence[str] = (),
        defaults: Mapping[str, float] | None = None,
        origin: tuple[Pointwise, Symbol] | None = None,
        max_ulp: float = 1.0,
        save: str = AUTO,
    ) -> Pointwise:
        """The operation; an existing one where it is the same."""
        arguments, factors = tuple(arguments), tuple(factors)
        known = {n: float(d) for n, d in (defaults or {}).items() if n in arguments}
        # What it derives from is part of it: the stable form must not depend on who came first.
        # By its key: the table must not keep alive what it refers to weakly.
        whence = origin and (origin[0]._key, origin[1])
        key = (cls, core, arguments, factors, tuple(known.items()), whence, max_ulp, save)
        found = _INTERNED.get(key)
        if found is not None:
            return found
        operands = (*arguments, *factors)
        missing = [s.name for s in free_symbols(core) if s.name not in arguments]
        if missing or len(set(operands)) != len(operands):
            raise ValueError(f"the operands {operands} must be distinct and include {missing}")
        self = object.__new__(cls)
        contents = {
            "core": core,
            "arguments": arguments,
            "factors": factors,
            "defaults": MappingProxyType(known),
            "operands": operands,
            "enter_graph": graph_entrance(self),
            "max_ulp": max_ulp,
            "save": save,
            "_gradients": {},
            "graph_call": None,
            "by_torch": {},
            "_key": key,
            "origin": origin,
            "_mask": [],
            "_output_form": [],
            "_plans": {},
            "_stable": {},
            "_computations": {},
            "native": {},
            "backwards": {},
            "call": extension.unknown,
            "usual": tuple(known.get(name) for name in operands) if known else (),
        }
        for name, value in contents.items():
            object.__setattr__(self, name, value)
        return _INTERNED.setdefault(key, self)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __reduce__(self) -> tuple[type[Pointwise], tuple[Any, ...]]:
        defaults = dict(self.defaults)
        given = (self.core, self.arguments, self.factors, defaults)
        return type(self), (*given, self.origin, self.max_ulp, self.save)

    def __copy__(self) -> Pointwise:
        return self

    def __deepcopy__(self, memo: object) -> Pointwise:
        return self

    def __repr__(self) -> str:
        product = " · ".join([*self.factors, f"({self.core})" if self.factors else str(self.core)])
        return f"Pointwise({', '.join(self.operands)} ↦ {product})"

    def gradient(self, operand: str) -> Pointwise | None:
        """The operation that multiplies ∂/∂operand by one more factor, its last operand.

        With the upstream gradient as that factor it is the backward pass, before reduction to
        the operand's shape; with a tangent it is the forward mode. None where the derivative is
        zero everywhere. It takes only those arguments that it reads.
        """
        if operand not in self._gradients:
            self._gradients[operand] = self._differentiated(operand)
        return self._gradients[operand]

    def _differentiated(self, operand: str) -> Pointwise | None:
        if operand not in self.operands:
            raise ValueError(f"no operand {operand!r}; there are {', '.join(self.operands)}")
        kept = tuple(name for name in self.factors if name != operand)
        factors = (*kept, _unused_name((*self.arguments, *kept)))
        if operand in self.factors:
            return self._with_core(self.core, factors, self.origin)
        symbol = Symbol(operand)
        core = derivative(self.core, symbol)
        if core is ZERO:
            return None
        return self._with_core(core, factors, (self, symbol))

    def _with_core(
        self,
        core: Expr,
        factors: tuple[str, ...],
        origin: tuple[Pointwise, Symbol] | None = None,
    ) -> Pointwise:
        read = {symbol.name for symbol in free_symbols(core)}
        arguments = tuple(name for name in self.arguments if name in read)
        return Pointwise(core, arguments, factors, self.defaults, origin, self.max_ulp)

    def save_plan(
        self, needed: Collection[str] | None = None, dtype: torch.dtype = torch.float32
    ) -> SavePlan:
        """What is kept for backward, of large tensors too.

        Args:
            needed: the operands that need a gradient; left out, those that are not parameters.
            dtype: of the operands, for the count of bytes.
        """
        if needed is None:
            needed = [name for name in self.operands if name not in self.defaults]
        made = self.general_plan(needed, dtype)
        if self._is_one(needed) and self.mask is not None:
            made = replace(made, large=self.mask.plan(dtype))
        return made

    def general_plan(self, needed: Collection[str], dtype: torch.dtype = torch.float32) -> SavePlan:
        """:meth:`save_plan` for tensors of any size and layout; of large ones nothing is asked."""
        key = (tuple(needed), dtype)
        if key not in self._plans:
            form = self.output_form if self._is_one(needed) else None
            backward = {n: self.backward(n, form is not None) for n in self.operands if n in needed}
            reads = {name: read for name, (_, read) in backward.items()}
            note = "" if form is None else form.note
            self._plans[key] = plan(reads, self.operands, self.defaults, dtype.itemsize, note)
        return self._plans[key]

    def _is_one(self, needed: Collection[str]) -> bool:
        """Whether that is the input, where there is but one; or nothing, where there are more."""
        return [name for name in self.operands if name in needed] == self._one

    @property
    def _one(self) -> list[str]:
        """The input, where there is but one."""
        inputs = [name for name in self.arguments if name not in self.defaults]
        return inputs if len(inputs) == 1 and not self.factors else []

    @property
    def output_form(self) -> OutputForm | None:
        """The derivative in its one input as it is computed from the output; None if it is not."""
        if not self._output_form:
            self._output_form.append(output_form(self))
        return self._output_form[0]

    @property
    def mask(self) -> Mask | None:
        """How the gradient in its one input is had from a mask; None where it is not."""
        if not self._mask:
            found = mask_of(self)
            if found is not None:
                extension.register_mask(self, found.position, found.least)
            self._mask.append(found)
        return self._mask[0]

    def backward(
        self, operand: str, from_output: bool = False
    ) -> tuple[Pointwise | None, tuple[str, ...]]:
        """:meth:`gradient`, and what it reads ahead of its last factor: names of what is kept.

        Args:
            operand: in which.
            from_output: whether it reads the output in place of the input.
        """
        if from_output:
            form = self.output_form
            assert form is not None
            return form.gradient, form.reads
        gradient = self.gradient(operand)
        return gradient, gradient.operands[:-1] if gradient else ()

    def __call__(self, *operands: Tensor | float, out: Tensor | None = None) -> Tensor:
        """Apply it.

        Args:
            operands: tensors that broadcast, and Python numbers. The result has the dtype that
                torch's promotion gives, integers and bool promoted to the default dtype; under
                autocast that of the inputs, whatever the parameters are. It is computed in a
                wider one and rounded once.
            out: where to write the result, as for torch's unary functions: it is resized, may
                have another dtype that the result can be cast to, may be an operand itself.

        Raises:
            TypeError: a tensor is complex, or an operand is neither a tensor nor a number.
            ValueError: shapes do not broadcast, or devices differ.
            RuntimeError: ``out`` is given where a gradient is needed, or of a dtype to which the
                result cannot be cast.
        """
        if torch.compiler.is_dynamo_compiling():
            self.enter_graph()
            return self.graph_call(*operands, out=out)  # type: ignore[misc]
        if out is None:
            result = self.quick(operands)
            if result is not None:
                return result
        return self.run(operands, out)

    def quick(self, operands: Sequence[Any]) -> Tensor | None:
        """The operation on plain CPU tensors of one dtype; None where there is more to ask.

        Not for code that is being compiled.
        """
        call = self.call
        if call is not None:
            result = call(self, operands)
            if result is not None:
                return result
        if len(operands) != len(self.operands) or may_be_forward_mode() or not native.unwatched():
            return None
        if torch.is_grad_enabled():
            for operand in operands:
                if isinstance(operand, Tensor) and operand.requires_grad:
                    return record(self, operands)
        known = native.pattern(operands, self.usual)
        if known is not None:
            return native.quick(self, operands, known)
        if native.common_dtype(operands) is None:
            return None
        return native.quick_with_singles(self, operands)

    def quick_halves(self, whole: Tensor, dim: int) -> Tensor | None:
        """The operation, of two operands, on the halves of a tensor; None where Python must do it.

        Their gradients are the halves of one tensor too, which nobody has to put together.
        """
        return extension.halves(self, whole, dim)

    def run(self, operands: Sequence[Tensor | float], out: Tensor | None = None) -> Tensor:
        """:meth:`__call__` without the short way and without asking who captures the call."""
        if len(operands) != len(self.operands):
            raise TypeError(f"takes {', '.join(self.operands)}; got {len(operands)} operands")
        tensors = [operand for operand in operands if isinstance(operand, Tensor)]
        if len(tensors) < len(operands):
            operands = [
                operand if isinstance(operand, Tensor) else _number(name, operand)
                for name, operand in zip(self.operands, operands, strict=True)
            ]
            if not tensors:
                raise TypeError(f"one of {', '.join(self.operands)} must be a tensor")
        device_type = tensors[0].device.type
        if len(tensors) > 1 and dispatch.in_autocast(device_type):
            # The parameters of a model in mixed precision are wider than what flows through it.
            named = zip(self.operands, operands, strict=True)
            inputs = [o for n, o in named if isinstance(o, Tensor) and n not in self.defaults]
            tensors = inputs or tensors
        storage = dispatch.result_dtype(tensors)
        precision = dispatch.precision(storage, device_type)
        if len(tensors) < len(operands):
            operands = [constant_or_tensor(o, precision, tensors[0].device) for o in operands]
        if out is None:
            return self.apply(operands, precision)
        return self._into(out, operands, precision)

    def apply(self, operands: Sequence[Any], precision: Precision) -> Tensor:
        """The operation in a given precision, recorded by autograd where anything needs it."""
        if is_recorded(operands):
            return recorded(self, precision, operands)
        return self.evaluate(operands, precision)

    def evaluate(self, operands: Sequence[Any], precision: Precision) -> Tensor:
        """The operation, unknown to autograd: by native code where it can serve."""
        if native.serves(operands):
            result = native.run(self, operands, precision)
            if result is not None:
                return result
        return computed_by_torch(self, operands, precision)

    def _into(self, out: Tensor, operands: Sequence[Any], precision: Precision) -> Tensor:
        if not isinstance(out, Tensor):
            raise TypeError(f"out must be a tensor, got {type(out).__name__}")
        if needs_gradient([*operands, out]):
            raise RuntimeError(
                "out= does not support automatic differentiation, but an operand or out itself "
                "requires a gradient; use torch.no_grad() or leave out= away"
            )
        if not torch.can_cast(precision.storage, out.dtype):
            raise RuntimeError(
                f"the result is {precision.storage}; it cannot be cast to out, which is {out.dtype}"
            )
        if native.serves(operands) and native.may_write_to(out, self, operands, precision.storage):
            written = native.run(self, operands, precision, out)
            if written is not None:
                return written
        # A multiplication by 1 resizes, casts and checks as torch's own functions do; the result
        # is complete before anything is written.
        return torch.mul(self.evaluate(operands, precision), 1, out=out)


def _number(name: str, value: Any) -> Any:
    if isinstance(value, (torch.SymFloat, torch.SymInt)):  # as a float it would be a constant
        return torch.sym_float(value)
    if isinstance(value, (int, float)) or hasattr(value, "__float__"):
        try:
            return float(value)
        except OverflowError:
            raise ValueError(f"{name} is larger than any float64") from None
    raise TypeError(f"{name} must be a tensor or a real number, got {type(value).__name__}")


def _unused_name(taken: Collection[str]) -> str:
    name, count = "g", 1
    while name in taken:
        count += 1
        name = f"g{count}"
    return name
