"""An activation of the catalogue: its formula, called the way ``torch.nn.functional`` calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gradsmith import catalogue
from gradsmith.activation import Activation
from gradsmith.catalogue.documentation import document
from gradsmith.catalogue.signatures import (
    INPLACE,
    INPUT,
    OUT,
    Arguments,
    function_signature,
    input_names,
)
from gradsmith.formula.tracer import Tracer
from gradsmith.operator.autograd import is_recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gradsmith.catalogue.record import Entry


class NamedActivation(Activation):
    """What ``gradsmith.<name>`` is: an :class:`Activation` with PyTorch's signature.

    Where PyTorch's arguments are not the formula's own, both are understood: ``glu(input, dim=1)``
    and ``glu(a, b)``, ``rrelu(input, training=True)`` and ``rrelu(input, slope=0.25)``.

    ``inplace=True`` overwrites the input and returns it. Autograd and its errors are then as with
    PyTorch's own; only that a copy of the input is kept for the backward pass, so that memory is
    saved where no gradient is needed.
    """

    entry: Entry
    arguments: Arguments
    choices: Mapping[str, NamedActivation]
    _is_unary: bool
    _options: tuple[str, ...]

    def __init__(self, entry: Entry) -> None:
        super().__init__(catalogue.formula_of(entry.name))
        signature = function_signature(entry)
        arguments = Arguments(entry.name, signature)
        options = () if entry.convention is None else arguments.names[1:]
        self.__dict__.update(
            entry=entry,
            arguments=arguments,
            choices={entry.name: self, **{n: catalogue.named(n) for n in entry.variants}},
            doc=entry.summary,
            __signature__=signature,
            _is_unary=entry.convention is None and len(entry.inputs) == 1,
            _options=tuple(name for name in options if name != INPLACE),
        )

    def __call__(self, *args: Any, out: Tensor | None = None, **kwargs: Any) -> Tensor:
        """Apply it; ``inspect.signature`` and the docstring of the object say to what.

        Raises:
            TypeError: an argument is missing, unknown, given twice, or of a kind not accepted.
            ValueError: an argument has a value for which the function is not defined.
        """
        quickly = self._is_unary and len(args) == 1 and not kwargs and out is None
        if quickly and not torch.compiler.is_dynamo_compiling():
            result = self.operation.quick(args + self._defaults)
            if result is not None:
                return result
        if self._is_conventional(args, kwargs):
            if self.entry.valid and (kwargs or len(args) > 1):
                names = (INPUT, *self._options)
                self.entry.check({**dict(zip(names, args, strict=False)), **kwargs})
            return self.conventionally(*args, out=out, **kwargs)
        if self._in_own_terms(args, kwargs):
            return super().__call__(*args, out=out, **kwargs)
        bound = self.arguments.bind(args, kwargs)
        self.entry.check(bound)
        if not bound.pop(INPLACE, False):
            return self._apply(bound, out)
        if out is not None:
            raise TypeError(f"{self.entry.name} takes {INPLACE}=True or {OUT}, not both")
        return self._overwrite(bound)

    def _is_conventional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether a call is plainly one of PyTorch's: an input, then options."""
        options = self._options
        if not options or not args or not isinstance(args[0], Tensor):
            return False
        if len(args) == 1:
            return not kwargs or set(options).issuperset(kwargs)
        return not kwargs and len(self.inputs) == 1 and len(args) <= 1 + len(options)

    def conventionally(
        self, input: Tensor, *options: Any, out: Tensor | None = None, **named: Any
    ) -> Tensor:
        """The call as PyTorch has it, of an entry that has a convention.

        Args:
            input: a tensor.
            options: the convention's arguments, which have been checked.
            out: where to write the result.
            named: options by their names.
        """
        convention = self.entry.convention
        assert convention is not None
        name, operands, halved = convention(input, *options, **named)
        chosen = self.choices[name]
        quickly = out is None and not torch.compiler.is_dynamo_compiling()
        if halved is not None:
            result = chosen.operation.quick_halves(input, halved) if quickly else None
            if result is not None:
                return result
            # Of all ways to halve a tensor, this is the one whose gradient is put together in one
            # pass.
            operands = input.split_with_sizes([input.size(halved) // 2] * 2, halved)
        result = chosen.operation.quick(operands) if quickly else None
        return Activation.__call__(chosen, *operands, out=out) if result is None else result

    def _in_own_terms(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether a call names what only the formula has, or gives all of its several tensors."""
        theirs, own = self.arguments.names, self.formula.arguments
        if any(name in own and name not in theirs for name in kwargs):
            return True
        inputs = len(self.inputs)
        return 1 < inputs <= len(args) and not any(isinstance(a, int) for a in args[:inputs])

    def _apply(self, bound: dict[str, Any], out: Tensor | None) -> Tensor:
        if self.entry.convention is None:
            inputs = [bound.pop(name) for name in input_names(self.entry)]
            return super().__call__(*inputs, out=out, **bound)
        # In a function that becomes a formula, the convention says which formula is meant.
        if not isinstance(bound[INPUT], (Tensor, Tracer)):
            given = bound if out is None else bound | {OUT: out}
            return self._not_a_tensor(INPUT, bound[INPUT], (), given)
        return self.conventionally(bound.pop(INPUT), out=out, **bound)

    def _overwrite(self, bound: dict[str, Any]) -> Tensor:
        input = bound[INPUT]
        if not isinstance(input, Tensor):
            return self._not_a_tensor(INPUT, input, (), bound | {INPLACE: True})
        # A derivative may need the input, which is about to be overwritten.
        kept = input.clone() if is_recorded(bound.values()) else input
        result = self._apply(bound | {INPUT: kept}, None)
        if result.shape != input.shape or result.dtype != input.dtype:
            raise TypeError(
                f"{INPLACE}=True needs a result like the input, which is {tuple(input.shape)} "
                f"{input.dtype}; it would be {tuple(result.shape)} {result.dtype}"
            )
        return input.copy_(result)

    def __reduce__(self) -> tuple[Callable[[str], NamedActivation], tuple[str]]:
        return catalogue.named, (self.entry.name,)


class _Documentation:
    """The docstring of the class for the class, and of the entry for what is made of one.

    Composed when it is asked for, since it says where the kinks are, which is to be found out.
    """

    def __init__(self, of_class: str | None) -> None:
        self.of_class = of_class

    def __get__(self, instance: NamedActivation | None, owner: type) -> str | None:
        if instance is None:
            return self.of_class
        return document(instance.entry, instance.__signature__, instance.formula)


NamedActivation.__doc__ = _Documentation(NamedActivation.__doc__)  # type: ignore[assignment]
