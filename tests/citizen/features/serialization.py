"""Copies, files and other processes; and what TorchScript is told."""

from __future__ import annotations

import copy
import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, multiprocessing, nn

import gradsmith as gs
from tests.citizen.feature import Feature, has_parameters
from tests.citizen.subjects import Subject

FEW = {"relu", "gelu", "prelu", "glu", "own: parameter", "own: two inputs"}
"""For what starts processes: one of each kind."""


def _model(subject: Subject) -> nn.Module:
    """The module, its parameters no longer what they began as."""
    module = subject.module()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.0625)
    return module


def _loaded(written: Any, **options: Any) -> Any:
    file = io.BytesIO()
    torch.save(written, file)
    file.seek(0)
    return torch.load(file, **options)


def _same(made: Any, subject: Subject, like: Callable[..., Tensor]) -> None:
    operands = subject.tensors(torch.float32)
    assert torch.equal(made(*operands), like(*operands))


def _is_independent(made: nn.Module, original: nn.Module) -> None:
    for mine, theirs in zip(made.parameters(), original.parameters(), strict=True):
        assert mine is not theirs
        assert mine.data_ptr() != theirs.data_ptr()
        assert torch.equal(mine, theirs)
        assert mine.requires_grad == theirs.requires_grad


def _copied(subject: Subject) -> None:
    assert copy.deepcopy(subject.activation) == copy.copy(subject.activation) == subject.activation
    module = _model(subject)
    made = copy.deepcopy(module)
    _is_independent(made, module)
    _same(made, subject, module)


def _pickled(subject: Subject) -> None:
    module = _model(subject)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        made = pickle.loads(pickle.dumps(subject.activation, protocol))
        assert made == subject.activation
        _same(made, subject, subject.activation)
        made = pickle.loads(pickle.dumps(module, protocol))
        _is_independent(made, module)
        _same(made, subject, module)


def _saved_whole(subject: Subject) -> None:
    module = _model(subject)
    made = _loaded(module, weights_only=False)
    _is_independent(made, module)
    _same(made, subject, module)
    assert _loaded(subject.activation, weights_only=False) == subject.activation


def _saved_weights(subject: Subject) -> None:
    module = _model(subject)
    state = _loaded(module.state_dict(), weights_only=True)
    assert list(state) == [name for name, _ in module.named_parameters()]
    made = subject.module()
    made.load_state_dict(state)
    _same(made, subject, module)
    with torch.device("meta"):
        made = subject.module()
    made.load_state_dict(state, assign=True)
    _same(made, subject, module)


def _saved_whole_as_weights(subject: Subject) -> str:
    """As for the modules of torch.nn: a class must be allowed by whoever reads the file."""
    with pytest.raises(pickle.UnpicklingError, match="Unsupported global: GLOBAL gradsmith"):
        _loaded(_model(subject), weights_only=True)
    with pytest.raises(pickle.UnpicklingError, match=r"Unsupported global: GLOBAL torch\.nn"):
        _loaded(nn.SiLU(), weights_only=True)
    return "UnpicklingError: Weights only load failed … Unsupported global: GLOBAL gradsmith…"


def _serve(activation: Any, module: nn.Module, operands: tuple[Tensor, ...], answers: Any) -> None:
    torch.set_num_threads(1)
    leaves = [operand.clone().requires_grad_() for operand in operands]
    y = module(*leaves)
    y.sum().backward()
    # As lists: memory that is shared would have to outlive this process.
    answers.put([t.tolist() for t in (activation(*operands), y, *(x.grad for x in leaves))])


def _in_another_process(method: str) -> Callable[[Subject], None]:
    def check(subject: Subject) -> None:
        context = multiprocessing.get_context(method)
        module, operands = _model(subject).share_memory(), subject.tensors(torch.float32)
        leaves = [operand.clone().requires_grad_() for operand in operands]
        y = module(*leaves)  # before the fork: kernels, threads and caches are in use already
        y.sum().backward()
        expected = [subject.activation(*operands), y, *(x.grad for x in leaves)]
        answers = context.SimpleQueue()
        process = context.Process(
            target=_serve, args=(subject.activation, module, operands, answers)
        )
        process.start()
        got = answers.get()
        process.join(60)
        assert process.exitcode == 0
        assert got == [t.tolist() for t in expected]

    return check


def _shared(subject: Subject) -> None:
    module = _model(subject).share_memory()
    assert all(parameter.is_shared() for parameter in module.parameters())
    _same(module, subject, _model(subject))


def _scripted(subject: Subject) -> str:
    module = nn.Sequential(nn.Linear(3, 3), subject.module())
    error = "which is made from a formula; torch.jit.trace records it"
    for thing in (subject.activation, subject.module(), module):
        with pytest.raises(NotImplementedError) as raised:
            torch.jit.script(thing)
        assert error in str(raised.value)
        assert subject.name in str(raised.value)
    return f"NotImplementedError: TorchScript cannot compile …, {error} …"


def _trace(module: nn.Module, operands: tuple[Tensor, ...]) -> Any:
    with warnings.catch_warnings():
        if isinstance(module, gs.nn.PReLU):  # is there one weight for each channel?
            warnings.simplefilter("ignore", torch.jit.TracerWarning)
        return torch.jit.trace(module, operands)


def _jit_traced(subject: Subject) -> None:
    module, operands = _model(subject), subject.tensors(torch.float32)
    file = io.BytesIO()
    torch.jit.save(_trace(module, operands), file)
    file.seek(0)
    made = torch.jit.load(file)
    wide = tuple(operand.double() for operand in operands)
    exact = subject.reference(*wide, *(p.detach().double() for p in module.parameters()))
    # torch's own operations, computed in float64 and rounded once.
    torch.testing.assert_close(made(*operands).double(), exact, rtol=2.0**-23, atol=2.0**-149)


def _jit_trained(subject: Subject) -> str:
    """What was traced is a stable expression, not to be differentiated; so that is refused."""
    operands = subject.tensors(torch.float32)
    error = "derivative for aten::copy is not implemented"
    for traced_for_training in (True, False):
        examples = tuple(o.clone().requires_grad_(traced_for_training) for o in operands)
        traced = _trace(_model(subject), examples)
        y = traced(*(operand.clone().requires_grad_() for operand in operands))
        with pytest.raises(RuntimeError, match=error):
            y.sum().backward()
    return f"RuntimeError: {error}"


def _feature(name: str, check: Callable[[Subject], str | None], **options: Any) -> Feature:
    return Feature(name, "serialization", check, **options)


FEATURES = (
    _feature("deepcopy", _copied),
    _feature("pickle", _pickled),
    _feature("save, load", _saved_whole),
    _feature("state_dict, weights_only", _saved_weights),
    _feature("whole module, weights_only", _saved_whole_as_weights),
    _feature("share_memory", _shared, applies=has_parameters),
    _feature("spawned process", _in_another_process("spawn"), subjects=FEW),
    _feature("forked process", _in_another_process("fork"), subjects=FEW),
    _feature("torch.jit.script", _scripted),
    _feature("torch.jit.trace", _jit_traced),
    _feature("torch.jit.trace, backward", _jit_trained),
)
