"""Two processes that train one model: DDP, FSDP2, DTensor and tensor parallelism.

Whatever is spread over processes must give what one process gives. So elementwise results are
compared bit for bit with those of the same activation on whole tensors; sums over what was spread,
such as the gradient of a parameter, up to the order of the terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.citizen.feature import Feature, has_parameters
from tests.citizen.subjects import SUBJECTS, Subject
from tests.citizen.team import SIZE, team

# One of each kind, since each cell has two processes work: pieces, a function, a parameter that is
# a number and one that is learned by convention, GLU, and a formula of a user's own.
REPRESENTATIVE = ("relu", "gelu", "softplus", "prelu", "glu", "own: two inputs, parameter")

Check = Callable[[Subject], str | None]

_ROWS, _COLUMNS = 5, 4  # rows do not divide by the number of processes


def _in_team(check: Check, subject: Subject) -> str | None:
    results = team().run(_checked, check, subject.name)
    assert all(result == results[0] for result in results), results
    answer: str | None = results[0]
    return answer


def _checked(check: Check, name: str) -> str | None:
    import warnings

    warnings.simplefilter("ignore")
    return check(SUBJECTS[name])


@cache
def _mesh(*shape: int) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    return init_device_mesh("cpu", shape or (SIZE,))


def _rank() -> int:
    return torch.distributed.get_rank()


def same_sum(got: Tensor, expected: Tensor, terms: float = _ROWS * _COLUMNS * 64.0) -> None:
    """Equal but for the order in which terms of that total size are added, in float64."""
    assert got.shape == expected.shape
    assert got.dtype is expected.dtype
    error = (got - expected).abs().max()
    assert error <= terms * torch.finfo(got.dtype).eps * 8, error


# Data parallelism: each process has all of the model and a part of the batch.


class _Model(nn.Module):
    """A linear layer per input, the activation, and a linear layer."""

    def __init__(self, subject: Subject, module: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.ModuleList(nn.Linear(3, 6) for _ in subject.inputs)
        self.act = module
        self.last = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.last(self.act(*(layer(x) for layer in self.first)))
        return result


def _trained(model: nn.Module, batches: Sequence[Tensor]) -> None:
    """A step for each batch, in place."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.125)
    for batch in batches:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()


def _batches() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(8, 3, dtype=torch.float64, generator=generator) for _ in range(3)]


def ddp(subject: Subject) -> None:
    """DDP: after three steps, the parameters of one process with whole batches."""
    from torch.nn.parallel import DistributedDataParallel

    model = _Model(subject, subject.module()).double()
    alone = deepcopy(model)
    _trained(DistributedDataParallel(model), [b.chunk(SIZE)[_rank()] for b in _batches()])
    _trained(alone, _batches())
    for got, expected in zip(model.parameters(), alone.parameters(), strict=True):
        same_sum(got.detach(), expected.detach())


def fsdp(subject: Subject) -> str | None:
    """FSDP2 shards no parameter without a dimension, and says what to do."""
    return _fsdp(subject, subject.module())


def fsdp_with_elements(subject: Subject) -> str | None:
    """The way out: each parameter is a tensor of one element."""
    values = {n: torch.tensor([v]) for n, v in subject.parameters.items()}
    return _fsdp(subject, subject.activation.module(learnable=True, **values))


def _fsdp(subject: Subject, module: nn.Module) -> str | None:
    from torch.distributed.fsdp import fully_shard

    model = _Model(subject, module).double()
    alone = deepcopy(model)
    scalar = [n for n, p in module.named_parameters() if p.dim() == 0]
    parts = (*model.first, model.act, model.last, model)
    if scalar:
        with pytest.raises(ValueError, match=f"scalar parameters.*{scalar[0]}.*1D") as refused:
            fully_shard(model.act, mesh=_mesh())
        return str(refused.value)
    for part in parts:
        fully_shard(part, mesh=_mesh())
    _trained(model, [b.chunk(SIZE)[_rank()] for b in _batches()])
    _trained(alone, _batches())
    for got, expected in zip(model.parameters(), alone.parameters(), strict=True):
        assert got.grad is not None
        same_sum(got.grad.full_tensor(), expected.grad)
        same_sum(got.detach().full_tensor(), expected.detach())
    return None


# DTensor: an operand is spread, each process computes a part of the result.


def _spread(tensor: Tensor, mesh: Any, placements: Sequence[Any]) -> Any:
    """As a DTensor that requires a gradient; a pending sum is ¼ here and ¾ there."""
    from torch.distributed.tensor import DTensor, Replicate, distribute_tensor

    whole = tensor.detach()
    if not any(p.is_partial() for p in placements):
        return distribute_tensor(whole, mesh, list(placements)).requires_grad_()
    parts = [Replicate() if p.is_partial() else p for p in placements]
    share = 0.25 if mesh.get_local_rank(0) == 0 else 0.75
    local = distribute_tensor(whole, mesh, parts).to_local() * share
    return DTensor.from_local(
        local, mesh, list(placements), shape=whole.shape, stride=whole.stride()
    ).requires_grad_()


def _whole(tensor: Any) -> Tensor:
    result: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return result.detach()


def _first_and_second(
    subject: Subject, operands: Sequence[Any], g: Any
) -> tuple[Any, list[Any], list[Any]]:
    """The result, its gradients, and the gradients of their sum, in the upstream gradient too."""
    y = subject(*operands)
    first = torch.autograd.grad(y, operands, g, create_graph=True, materialize_grads=True)
    total = sum(f.sum() for f in first)
    second = torch.autograd.grad(total, (*operands, g), materialize_grads=True)
    return y, list(first), list(second)


def _placed(
    subject: Subject, mesh: Any, of_operand: Callable[[int, Tensor], Sequence[Any]], of_g: Any
) -> Any:
    """Everything on DTensors, compared with whole tensors; the result for what else to check."""
    whole = subject.operands(shape=(_ROWS, _COLUMNS), requires_grad=True)
    g = subject.operands(shape=(_ROWS, _COLUMNS), seed=1)[0].requires_grad_()
    expected = _first_and_second(subject, whole, g)
    spread = [_spread(o, mesh, of_operand(i, o)) for i, o in enumerate(whole)]
    y, first, second = _first_and_second(subject, spread, _spread(g, mesh, of_g))
    assert torch.equal(_whole(y), expected[0].detach())
    inputs = len(subject.inputs)
    for got, known in zip((first, second), expected[1:], strict=True):
        for i, (one, other) in enumerate(zip(got, known, strict=True)):
            if inputs <= i < len(whole):
                same_sum(_whole(one), other.detach())
            elif got is first:
                assert torch.equal(_whole(one), other.detach())
            else:  # a sum of the terms of several inputs and parameters
                same_sum(_whole(one), other.detach(), 1024.0)
    return y


def _flat(operand: Tensor, placement: Any) -> list[Any]:
    """A parameter has no dimension to shard."""
    from torch.distributed.tensor import Replicate

    return [placement if operand.dim() else Replicate()]


def dtensor_sharded(dim: int, subject: Subject) -> None:
    """Inputs and upstream gradient sharded alike: nothing is communicated for the result."""
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.debug import CommDebugMode

    mesh = _mesh()
    y = _placed(subject, mesh, lambda i, o: _flat(o, Shard(dim)), [Shard(dim)])
    assert y.placements == (Shard(dim),)
    tensors = subject.tensors(shape=(_ROWS, _COLUMNS))
    spread = [_spread(o, mesh, [Shard(dim)]) for o in tensors]
    parameters = [_spread(p, mesh, [Replicate()]) for p in subject.operands()[len(tensors) :]]
    with CommDebugMode() as communication:
        y = subject(*spread, *parameters)
        torch.autograd.grad(y, spread, y.detach())
    assert communication.get_total_counts() == 0


def dtensor_replicated(subject: Subject) -> None:
    """Everything everywhere, the upstream gradient sharded: it is gathered or the others split."""
    from torch.distributed.tensor import Replicate, Shard

    y = _placed(subject, _mesh(), lambda i, o: [Replicate()], [Shard(0)])
    assert y.placements == (Replicate(),)


def dtensor_pending(subject: Subject) -> None:
    """Sums that are pending are added up first: f(a + b) is not f(a) + f(b)."""
    from torch.distributed.tensor import Partial

    mesh = _mesh()
    y = _placed(subject, mesh, lambda i, o: [Partial()], [Partial()])
    assert not y.placements[0].is_partial()


def dtensor_mixed(subject: Subject) -> None:
    """Each operand and the upstream gradient placed otherwise, on a mesh of two dimensions."""
    from torch.distributed.tensor import Partial, Replicate, Shard

    ways = [(Shard(1), Shard(0)), (Replicate(), Shard(1)), (Partial(), Replicate())]

    def of_operand(i: int, operand: Tensor) -> Sequence[Any]:
        return ways[i % 3] if operand.dim() else (Replicate(), Replicate())

    y = _placed(subject, _mesh(SIZE, 1), of_operand, ways[2])
    assert y.placements == ways[0]


def dtensor_per_channel(subject: Subject) -> None:
    """Parameters of one value per column, sharded with the columns or not at all."""
    from torch.distributed.tensor import Replicate, Shard

    mesh = _mesh()
    for of_input, of_parameter in (
        (Shard(1), Shard(0)),
        (Shard(1), Replicate()),
        (Shard(0), Replicate()),
        (Replicate(), Shard(0)),
    ):
        shape = (_ROWS, _COLUMNS)
        whole = subject.operands(shape=shape, requires_grad=True, parameter_shape=(_COLUMNS,))
        count = len(subject.inputs)
        spread = [
            _spread(o, mesh, [of_input if i < count else of_parameter]) for i, o in enumerate(whole)
        ]
        y, alone = subject(*spread), subject(*whole)
        assert torch.equal(_whole(y), alone.detach())
        g = subject.tensors(shape=shape, seed=1)[0]
        got = torch.autograd.grad(y, spread, _spread(g, mesh, [Shard(0)]))
        expected = torch.autograd.grad(alone, whole, g)
        for one, other in zip(got, expected, strict=True):
            same_sum(_whole(one), other)


def tensor_parallel(subject: Subject) -> None:
    """Columns, activation, rows, as in a transformer's feed-forward block, parameters learned."""
    from torch.distributed.tensor import Replicate, distribute_tensor
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        RowwiseParallel,
        parallelize_module,
    )

    model = _Model(subject, subject.module()).double()
    alone = deepcopy(model)
    mesh = _mesh()
    # DTensors all the way to the activation, so that its own parameters know what they see.
    columns = {
        f"first.{i}": ColwiseParallel(use_local_output=False) for i in range(len(model.first))
    }
    parallelize_module(model, mesh, {**columns, "last": RowwiseParallel()})
    for name, parameter in list(model.act.named_parameters()):
        shared = nn.Parameter(distribute_tensor(parameter.detach(), mesh, [Replicate()]))
        model.act.register_parameter(name, shared)
    _trained(model, _batches())
    _trained(alone, _batches())
    for got, expected in zip(model.parameters(), alone.parameters(), strict=True):
        same_sum(_whole(got), expected.detach())


def compiled(subject: Subject) -> None:
    """Sharded, in a compiled function without a graph break.

    PyTorch 2.13 cannot compile any function of shards of different sizes twice.
    """
    from torch.distributed.tensor import Replicate, Shard

    mesh = _mesh()
    shape = (2 * SIZE, _COLUMNS)
    whole = subject.operands(shape=shape, requires_grad=True)
    spread = [_spread(o, mesh, [Shard(0)] if o.dim() else [Replicate()]) for o in whole]
    activation, names, count = subject.activation, tuple(subject.parameters), len(subject.inputs)

    def doubled(*operands: Any) -> Any:
        given = dict(zip(names, operands[count:], strict=True))
        return activation(*operands[:count], **given) * 2

    torch.compiler.reset()
    function = torch.compile(doubled, backend="aot_eager", fullgraph=True)
    y, expected = function(*spread), subject(*whole) * 2
    g = subject.tensors(shape=shape, seed=1)[0]
    got = torch.autograd.grad(y, spread, _spread(g, mesh, [Shard(0)]))
    known = torch.autograd.grad(expected, whole, g)
    # torch's own operations compute here, which in float64 may be 4 ULP off.
    for one, other in zip((y, *got), (expected, *known), strict=True):
        same_sum(_whole(one), other.detach())


def forward_mode(subject: Subject) -> str:
    """PyTorch has no forward mode of DTensors, and says so for every function."""
    from torch.autograd import forward_ad
    from torch.distributed.tensor import Shard

    mesh = _mesh()
    spread = [_spread(o, mesh, [Shard(0)]) for o in subject.tensors()]
    with forward_ad.dual_level(), pytest.raises(NotImplementedError) as refused:
        subject(*(forward_ad.make_dual(o.detach(), o.detach()) for o in spread))
    return str(refused.value)


def plain_among_dtensors(subject: Subject) -> str:
    """Of a plain tensor nobody knows whether it is the same in every process."""
    from torch.distributed.tensor import Shard

    mesh = _mesh()
    operands = list(subject.operands(shape=(_ROWS, _COLUMNS), parameter_shape=(_COLUMNS,)))
    operands[0] = _spread(operands[0], mesh, [Shard(0)])
    with pytest.raises(TypeError) as refused:
        subject(*operands)
    return str(refused.value)


def _feature(
    name: str, check: Check, applies: Callable[[Subject], bool] = lambda subject: True
) -> Feature:
    return Feature(name, "distributed", partial(_in_team, check), applies, subjects=REPRESENTATIVE)


FEATURES = (
    _feature("DDP", ddp),
    _feature("FSDP2", fsdp),
    _feature("FSDP2, parameters of one element", fsdp_with_elements, has_parameters),
    _feature("DTensor, rows sharded", partial(dtensor_sharded, 0)),
    _feature("DTensor, columns sharded", partial(dtensor_sharded, 1)),
    _feature("DTensor, replicated", dtensor_replicated),
    _feature("DTensor, pending sums", dtensor_pending),
    _feature("DTensors placed differently", dtensor_mixed),
    _feature("DTensor, parameter per channel", dtensor_per_channel, has_parameters),
    _feature("tensor parallel", tensor_parallel),
    _feature("compiled DTensor", compiled),
    _feature("forward mode of DTensors", forward_mode),
    _feature(
        "plain tensor among DTensors",
        plain_among_dtensors,
        lambda subject: len(subject.inputs) + len(subject.parameters) > 1,
    ),
)
