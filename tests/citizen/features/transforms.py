"""The transforms of ``torch.func``, and all of them composed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, grad, hessian, jacfwd, jacrev, jvp, linearize, vjp, vmap

from tests.citizen.derivatives import (
    Function,
    Transform,
    assert_close,
    directions,
    everything,
    pulled,
    pushed,
    same,
    total,
)
from tests.citizen.feature import Check, Feature
from tests.citizen.subjects import Subject


def _jvp_of_each(function: Function, subject: Subject) -> Function:
    """Tangents of one operand at a time; the others are constants."""

    def products(*operands: Tensor) -> Any:
        tangents = directions(operands, 3)
        found = []
        for i, tangent in enumerate(tangents):

            def of_one(moved: Tensor, i: int = i) -> Any:
                return function(*operands[:i], moved, *operands[i + 1 :])

            found.append(jvp(of_one, (operands[i],), (tangent,)))
        return found

    return products


def _jvp_of_vjp(function: Function, subject: Subject) -> Function:
    def product(*operands: Tensor) -> Any:
        gradient = grad(total(function), everything(subject))
        return jvp(gradient, operands, directions(operands, 4))

    return product


def _vjp_of_jvp(function: Function, subject: Subject) -> Function:
    def product(*operands: Tensor) -> Any:
        y, pull = vjp(lambda *o: pushed(function, subject)(*o)[1], *operands)
        return y, pull(*directions((y,), 5))

    return product


def _jvp_of_jvp(function: Function, subject: Subject) -> Function:
    def product(*operands: Tensor) -> Any:
        inner = pushed(function, subject)
        return jvp(inner, operands, directions(operands, 6))

    return product


def _linearized(function: Function, subject: Subject) -> Function:
    def product(*operands: Tensor) -> Any:
        with warnings.catch_warnings():  # torch's own, of a graph that contains a constant
            warnings.filterwarnings("ignore", "Attempted to insert a get_attr Node")
            y, push = linearize(function, *operands)
        return y, push(*directions(operands, 7))

    return product


def _third(function: Function, subject: Subject) -> Function:
    first = lambda *o: sum(d.sum() for d in grad(total(function), everything(subject))(*o))  # noqa: E731
    return grad(total(grad(total(first), 0)), everything(subject))


THIRD = {"relu", "tanh", "softplus", "glu", "own: parameter", "own: two inputs"}
"""For third derivatives: half a second for a smooth one, to look for a stable expression."""


# vmap, whose oracle is a loop over the composition.


def _looped(function: Function, in_dims: tuple[int | None, ...]) -> Function:
    def loop(*operands: Tensor) -> Any:
        batched = zip(operands, in_dims, strict=True)
        parts = []
        for i in range(next(o.shape[dim] for o, dim in batched if dim is not None)):
            taken = [
                o if dim is None else o.select(dim, i)
                for o, dim in zip(operands, in_dims, strict=True)
            ]
            parts.append(function(*taken))
        return torch.utils._pytree.tree_map(lambda *leaves: torch.stack(leaves), *parts)

    return loop


def _vmapped(subject: Subject) -> None:
    inputs, parameters = len(subject.inputs), len(subject.parameters)
    single, several = subject.operands(), subject.operands(parameter_shape=(4,))
    cases = [(single, (dim,) * inputs + (None,) * parameters) for dim in (0, 1, -1)]
    cases += [(several, (0,) * (inputs + parameters))]
    if parameters:
        cases += [(several, (None,) * inputs + (0,) * parameters)]
    for i in range(inputs if inputs > 1 else 0):  # one input alone is a batch
        row = [o if j in (i, *range(inputs, len(single))) else o[0] for j, o in enumerate(single)]
        cases += [(tuple(row), tuple(0 if j == i else None for j in range(len(single))))]
    for operands, in_dims in cases:
        expected = _looped(subject.reference, in_dims)(*operands)
        for out_dim in (0, 1, -1):
            got = vmap(subject, in_dims, out_dim)(*operands)
            assert_close(got, expected.movedim(0, out_dim))


def _rows(subject: Subject) -> tuple[int | None, ...]:
    """``in_dims`` of a batch of inputs, the parameters the same for all."""
    return (0,) * len(subject.inputs) + (None,) * len(subject.parameters)


def _vmap_of_grad(function: Function, subject: Subject) -> Function:
    return vmap(grad(total(function), everything(subject)), _rows(subject))


def _vmap_of_vmap(function: Function, subject: Subject) -> Function:
    inputs, parameters = len(subject.inputs), len(subject.parameters)
    inner = vmap(function, (1,) * inputs + (None,) * parameters, 0)
    return vmap(inner, (1,) * inputs + (None,) * parameters, -1)


def _per_sample_gradients(subject: Subject) -> None:
    """The gradients of a model in each sample alone, the activation a module in the midst of it."""
    activation = subject.module().double()
    names = [name for name, _ in activation.named_parameters()]
    held = tuple(activation.parameters())
    inputs = subject.tensors(shape=(5, 3))

    def loss(given: dict[str, Tensor], *sample: Tensor) -> Tensor:
        return total(partial(functional_call, activation, given))(sample)

    in_dims = (None, *(0 for _ in inputs))
    got = vmap(grad(loss, tuple(range(1 + len(inputs)))), in_dims)(
        dict(zip(names, held, strict=True)), *inputs
    )
    wanted = tuple(range(len(inputs) + len(held)))
    composed = _looped(
        grad(total(subject.reference), wanted),
        (0,) * len(inputs) + (None,) * len(held),
    )(*inputs, *(parameter.detach() for parameter in held))
    assert_close([*got[1:], *(got[0][name] for name in names)], [*composed])


def _random_under_vmap(subject: Subject) -> None:
    """Each sample draws its own slopes, or all the same, or none may be drawn, as vmap is told."""
    x = -torch.ones(64, 3, dtype=torch.float64)

    def slopes(randomness: str) -> Tensor:
        torch.manual_seed(0)
        trained = partial(subject.activation, lower=0.25, upper=0.5, training=True)
        derivative = vmap(grad(lambda row: trained(row).sum()), randomness=randomness)(x)
        torch.manual_seed(0)
        assert torch.equal(-derivative, vmap(trained, randomness=randomness)(x))
        return derivative

    different, same_for_all = slopes("different"), slopes("same")
    assert ((different >= 0.25) & (different <= 0.5)).all()
    assert len(different.unique()) == different.numel()
    assert torch.equal(same_for_all, same_for_all[:1].expand(64, 3))
    assert len(same_for_all.unique()) == 3
    with pytest.raises(RuntimeError, match="called random operation while in randomness error"):
        slopes("error")


# torch.func.functionalize.


def _functionalized_beneath(function: Function, subject: Subject) -> Function:
    return grad(total(torch.func.functionalize(function)), everything(subject))


def _functionalized_above(subject: Subject) -> str:
    transformed = grad(total(subject), everything(subject))
    error = "NYI: Functionalize rule for custom_function_call"  # of any autograd.Function
    with pytest.raises(RuntimeError, match=error):
        torch.func.functionalize(transformed)(*subject.operands())
    return f"RuntimeError: {error}"


def _of_all(transform: Callable[..., Function]) -> Transform:
    """A transform of torch.func with respect to all operands."""
    return lambda function, subject: transform(function, everything(subject))


def _composed(outer: Callable[..., Function], inner: Callable[..., Function]) -> Transform:
    def transform(function: Function, subject: Subject) -> Function:
        return outer(inner(function, everything(subject)), everything(subject))

    return transform


def _feature(name: str, check: Check, **options: Any) -> Feature:
    return Feature(name, "transforms", check, **options)


_JACOBIANS = {"jacfwd": jacfwd, "jacrev": jacrev}

FEATURES = (
    _feature("grad", same(lambda f, s: grad(total(f), everything(s)))),
    _feature("vjp", same(pulled)),
    _feature("jvp", same(pushed)),
    _feature("jvp in one", same(_jvp_of_each)),
    _feature("jacrev", same(_of_all(jacrev))),
    _feature("jacfwd", same(_of_all(jacfwd), parameter_shape=(3,))),
    _feature("hessian", same(lambda f, s: hessian(total(f), everything(s)), shape=(3,))),
    _feature("vmap", _vmapped),
    _feature("vmap∘vmap", same(_vmap_of_vmap, shape=(4, 3, 2))),
    _feature("vmap∘grad", same(_vmap_of_grad)),
    _feature("per-sample gradients", _per_sample_gradients),
    *(
        _feature(f"{o}∘{i}", same(_composed(_JACOBIANS[o], _JACOBIANS[i]), shape=(2,)))
        for o in _JACOBIANS
        for i in _JACOBIANS
    ),
    _feature("jvp∘vjp", same(_jvp_of_vjp)),
    _feature("vjp∘jvp", same(_vjp_of_jvp)),
    _feature("jvp∘jvp", same(_jvp_of_jvp)),
    _feature("grad∘grad∘grad", same(_third, shape=(3,)), subjects=THIRD),
    _feature("linearize", same(_linearized)),
    _feature("functionalize", same(lambda f, s: torch.func.functionalize(f))),
    _feature("grad∘functionalize", same(_functionalized_beneath)),
    _feature(
        "vmap∘functionalize",
        same(lambda f, s: vmap(torch.func.functionalize(f), _rows(s))),
    ),
    _feature("functionalize∘grad", _functionalized_above),
    _feature("random slopes, vmap", _random_under_vmap, applies=lambda s: s.name == "rrelu"),
)
