"""An activation as a ``torch.nn.Module``, its parameters numbers, buffers or learnable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn, Protocol

import torch
from torch import Tensor, nn

_RESERVED = frozenset({"activation", "learnable", "training"})


class _Activation(Protocol):
    """What the module needs of an activation."""

    @property
    def inputs(self) -> tuple[str, ...]: ...

    @property
    def parameters(self) -> Mapping[str, float]: ...

    def __call__(self, *inputs: Any, **parameters: Any) -> Tensor: ...


class ActivationModule(nn.Module):
    """Applies an activation; each of its parameters is an attribute of that name.

    Args:
        activation: what to apply.
        learnable: names of the parameters to be learned, or True for all of them.
        parameters: values in place of the defaults. A number stays one; a tensor becomes a
            buffer, or, if it is to be learned, the initial value of an ``nn.Parameter``. A number
            to be learned becomes a 0-dimensional ``nn.Parameter`` of the default dtype.

    Shape:
        Inputs of any shapes that broadcast. A parameter of one dimension and several elements
        holds one value per channel, which is dimension 1 of the input, as in ``nn.PReLU``.

    Raises:
        TypeError: a parameter is unknown, or neither a number nor a floating-point tensor.
        ValueError: a parameter has a name that every module uses itself.
    """

    def __init__(
        self,
        activation: _Activation,
        learnable: bool | str | Iterable[str] = (),
        **parameters: float | Tensor,
    ) -> None:
        super().__init__()
        known = tuple(activation.parameters)
        chosen = _names(learnable, known)
        unknown = [name for name in (*parameters, *chosen) if name not in known]
        if unknown:
            has = f"its parameters are {', '.join(known)}" if known else "it has none"
            raise TypeError(f"{activation!r} has no parameter {unknown[0]!r}; {has}")
        self.activation = activation
        for name in known:
            self._set(name, parameters.get(name, activation.parameters[name]), name in chosen)

    def _set(self, name: str, value: object, learn: bool) -> None:
        if name in _RESERVED or hasattr(nn.Module, name):
            raise ValueError(f"a module cannot have a parameter called {name!r}; rename it")
        if isinstance(value, Tensor):
            if not value.is_floating_point():
                raise TypeError(f"{name} must be a floating-point tensor, got {value.dtype}")
            own = value.detach().clone()
        elif isinstance(value, (int, float)):
            if not learn:
                setattr(self, name, float(value))
                return
            own = torch.tensor(float(value))
        else:
            given = type(value).__name__
            raise TypeError(f"{name} must be a number or a tensor, got {given}")
        if learn:
            self.register_parameter(name, nn.Parameter(own))
        else:
            self.register_buffer(name, own)

    @property
    def learnable(self) -> tuple[str, ...]:
        """Names of the parameters that are learned."""
        return tuple(name for name in self.activation.parameters if name in self._parameters)

    def forward(self, *inputs: Tensor) -> Tensor:
        """The activation of its inputs."""
        values = {n: self._aligned(n, inputs) for n in self.activation.parameters}
        return self.activation(*inputs, **values)

    def _aligned(self, name: str, inputs: tuple[Tensor, ...]) -> Any:
        value = getattr(self, name)
        if not isinstance(value, Tensor) or value.dim() != 1:
            return value
        if value.numel() == 1:
            return value.reshape(())
        dims = max((x.dim() for x in inputs if isinstance(x, Tensor)), default=0)
        channels = [x.shape[1] for x in inputs if isinstance(x, Tensor) and x.dim() == dims > 1]
        if value.numel() not in channels:
            shapes = ", ".join(str(tuple(x.shape)) for x in inputs if isinstance(x, Tensor))
            raise ValueError(
                f"{name} has {value.numel()} values, one for each channel (dimension 1); "
                f"got an input of shape {shapes}"
            )
        return value.reshape(-1, *[1] * (dims - 2))

    def __prepare_scriptable__(self) -> NoReturn:
        refuse_script(_described(self.activation))

    def extra_repr(self) -> str:
        """The activation and its parameters."""
        shown = [_described(self.activation)]
        for name in self.activation.parameters:
            value = getattr(self, name)
            if isinstance(value, Tensor):
                single = value.dim() == 0 and not value.is_meta
                value = value.item() if single else f"[{value.numel()} values]"
            shown.append(f"{name}={value}")
        if self.learnable:
            shown.append(f"learnable={self.learnable}")
        return ", ".join(shown)


def refuse_script(name: str) -> NoReturn:
    """What ``torch.jit.script`` is told, which would otherwise fail at something unrelated."""
    raise NotImplementedError(
        f"TorchScript cannot compile {name}, which is made from a formula; torch.jit.trace records "
        "it, torch.compile and torch.export capture it"
    )


def _names(learnable: bool | str | Iterable[str], known: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(learnable, bool):
        return known if learnable else ()
    return (learnable,) if isinstance(learnable, str) else tuple(learnable)


def _described(activation: _Activation) -> str:
    return getattr(activation, "name", None) or str(activation)
