"""``gradsmith.<name>`` is called as ``torch.nn.functional.<name>`` is, special cases included."""

from __future__ import annotations

import copy
import inspect
import pickle
import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gradsmith as gs
from gradsmith.catalogue import ENTRIES, Entry, named
from tests.catalogue.cases import CASES, KINKS, cases, every_entry, value_and_gradient

EPS = torch.finfo(torch.float64).eps


def _signature_in_docstring(function: Callable[..., Any]) -> inspect.Signature:
    """PyTorch's built-in functions have no signature but print it in their docstring."""
    first = (function.__doc__ or "").strip().splitlines()[0]
    match = re.fullmatch(r"(\w+)(\(.*\)) -> Tensor", first)
    assert match, first
    namespace: dict[str, Any] = {}
    exec(f"def f{match[2]}: ...", namespace)
    return inspect.signature(namespace["f"])


@pytest.mark.parametrize(
    "record", [e for e in ENTRIES if e.module and e.torch], ids=lambda record: record.name
)
def test_the_signature_is_pytorchs_and_out(record: Entry) -> None:
    counterpart = record.counterpart()
    assert counterpart is not None
    assert counterpart.__name__ in ("_threshold", *record.names)
    try:
        theirs = inspect.signature(counterpart)
    except ValueError:
        theirs = _signature_in_docstring(counterpart)
    expected = [(p.name, p.default) for p in theirs.parameters.values()]
    if record.name == "threshold":  # PyTorch requires them
        expected[1:3] = [("threshold", 0.0), ("value", 0.0)]
    if record.name == "prelu":  # PyTorch requires it
        expected[1:] = [("weight", 0.25)]
    ours = inspect.signature(getattr(gs, record.name)).parameters
    positional = [p for p in ours.values() if p.kind == p.POSITIONAL_OR_KEYWORD]
    assert [(p.name, p.default) for p in positional] == expected
    assert [p.name for p in ours.values() if p.kind == p.KEYWORD_ONLY] == ["out"]


@cases()
def test_arguments_by_position_and_by_keyword_are_the_same(
    record: Entry, given: dict[str, Any]
) -> None:
    x = torch.linspace(-2, 2, 10, dtype=torch.float64)
    function = getattr(gs, record.name)
    by_keyword = function(**{**given, function.arguments.names[0]: x})
    names = list(function.arguments.names[1:])
    defaults = function.arguments.defaults
    upto = max((names.index(name) for name in given), default=-1) + 1
    by_position = function(x, *[given.get(name, defaults.get(name)) for name in names[:upto]])
    assert torch.equal(by_keyword, by_position)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: gs.relu(), r"relu takes \(input, inplace=False, \*, out=None\), got \(\)"),
        (lambda x: gs.relu(x, slope=1), r"relu takes .*, got \(Tensor, slope=…\)"),
        (lambda x: gs.elu(x, 1.0, alpha=2.0), r"elu takes .*, got \(Tensor, float, alpha=…\)"),
        (lambda x: gs.relu(x, False, 1), "relu takes "),
        (lambda x: gs.relu(x, inplace=True, out=x), "relu takes inplace=True or out, not both"),
        (lambda x: gs.gelu(x, approximate="erf"), "'none' or 'tanh', got 'erf'"),
        (lambda x: gs.glu(x[:3]), r"size must be even; got an input of shape \(3,\)"),
        (lambda x: gs.glu(x.tolist()), r"glu\(input, .*: input must be a torch.Tensor, got list"),
        (lambda x: gs.relu(1.0), r"relu\(input, .*: x must be a torch.Tensor, got float"),
        (lambda x: gs.glu(x[0]), r"an input of shape \(\) has none"),
        (lambda x: gs.prelu(x.reshape(2, 2), torch.ones(3)), r"\(\), \(1,\) or \(2,\) .* \(3,\)"),
        (lambda x: gs.hardtanh(x, 1.0, -1.0), "needs min_val <= max_val"),
        (lambda x: gs.rrelu(x, 0.5, 0.25), "needs lower <= upper"),
        (lambda x: gs.elu(x.long(), inplace=True), r"torch.int64; it would be .* torch.float32"),
    ],
)
def test_a_bad_call_is_refused_with_what_is_accepted(
    call: Callable[[Tensor], object], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        call(torch.ones(4))


def test_softplus_is_exact_where_pytorchs_default_threshold_cuts_it_over() -> None:
    x = torch.tensor([20.5, 30.0], dtype=torch.float64)
    # x + log(1 + exp(-x)), whose correction is too small for rounding to matter.
    assert torch.equal(gs.softplus(x), x + (-x).exp().log1p())
    assert not torch.equal(F.softplus(x), x + (-x).exp().log1p())
    assert torch.equal(gs.softplus(x, threshold=19.0), x)
    float32 = x.float()
    assert torch.equal(gs.softplus(float32), F.softplus(float32))


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (2, 3, 4), (2, 3, 4, 5)])
@pytest.mark.parametrize("per_channel", [False, True])
def test_prelu_has_its_channels_where_pytorch_has_them(
    shape: tuple[int, ...], per_channel: bool
) -> None:
    channels = shape[1] if per_channel and len(shape) > 1 else 1
    generator = torch.Generator().manual_seed(0)
    weight = torch.rand(channels, generator=generator, dtype=torch.float64, requires_grad=True)
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    y = gs.prelu(x, weight)
    assert torch.equal(y, F.prelu(x, weight if x.dim() else weight.reshape(())))
    (ours,) = torch.autograd.grad(y.sum(), weight)
    reference = weight if x.dim() else weight.reshape(())
    (theirs,) = torch.autograd.grad(F.prelu(x, reference).sum(), weight)
    # Sums of at most 120 numbers of magnitude below 4, in any order.
    assert (ours - theirs).abs().max() <= 120 * 4 * EPS
    assert torch.equal(gs.prelu(x, 0.5), F.prelu(x, torch.tensor(0.5, dtype=torch.float64)))


def test_rrelu_draws_what_pytorch_draws() -> None:
    x = torch.linspace(-4, 4, 101)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        torch.manual_seed(7)
        ours, gradient = value_and_gradient(gs.rrelu, x.to(dtype), training=True)
        torch.manual_seed(7)
        theirs, expected = value_and_gradient(F.rrelu, x.to(dtype), training=True)
        assert torch.equal(gradient, expected)
        # PyTorch's gradient uses the slope rounded to bfloat16, its value the slope before that.
        rounding = 2 * torch.finfo(dtype).eps / 2 if dtype == torch.bfloat16 else 0.0
        assert torch.all((ours - theirs).abs() <= theirs.abs() * rounding)
    half = gs.rrelu(-torch.ones(1000, dtype=torch.float16), 0.125, 0.25, training=True)
    assert half.dtype == torch.float16
    assert -half.max() >= 0.125 - 2**-14
    assert -half.min() <= 0.25
    assert half.unique().numel() > 100


@pytest.mark.parametrize("dim", [0, 1, 2, -1, -2])
def test_glu_halves_the_dimension_that_pytorch_halves(dim: int) -> None:
    x = torch.linspace(-4, 4, 2 * 4 * 6, dtype=torch.float64).reshape(2, 4, 6)
    y, gradient = value_and_gradient(gs.glu, x, dim=dim)
    expected, expected_gradient = value_and_gradient(F.glu, x, dim=dim)
    assert y.shape == expected.shape
    # Three operations on numbers of at most 4.
    assert (y - expected).abs().max() <= 3 * 4 * EPS
    assert (gradient - expected_gradient).abs().max() <= 3 * 4 * EPS
    a, b = x.chunk(2, dim)
    assert torch.equal(gs.glu(a, b), y)


@pytest.mark.parametrize(
    "record", [e for e in ENTRIES if e.inplace], ids=lambda record: record.name
)
def test_in_place_is_the_input_itself_with_pytorchs_gradient(record: Entry) -> None:
    function = getattr(gs, record.name)
    given = CASES.get(record.name, [{}])[0]
    x = torch.linspace(-4, 4, 100, dtype=torch.float64)
    expected, gradient = value_and_gradient(function, x, **given)

    overwritten = x.clone()
    assert function(overwritten, **given, inplace=True) is overwritten
    assert torch.equal(overwritten, expected)

    leaf = x.clone().requires_grad_()
    inner = leaf * 1
    outer = function(inner, **given, inplace=True)
    assert outer is inner
    (outer * 2).sum().backward()
    assert torch.equal(leaf.grad, gradient * 2)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        function(leaf, **given, inplace=True)


def test_in_place_on_what_another_backward_needs_is_noticed_as_in_pytorch() -> None:
    for function in (F.relu, gs.relu):
        leaf = torch.ones(3, requires_grad=True)
        saved = leaf.exp()  # exp keeps its output for backward
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            function(saved, inplace=True).sum().backward()


@every_entry
def test_out_takes_the_result(record: Entry) -> None:
    x = torch.linspace(-4, 4, 10, dtype=torch.float64)
    given = CASES.get(record.name, [{}])[0]
    function = getattr(gs, record.name)
    expected = function(x, **given)
    out = torch.empty_like(expected)
    assert function(x, **given, out=out) is out
    assert torch.equal(out, expected)


@every_entry
def test_a_named_activation_is_documented_and_copied_as_itself(record: Entry) -> None:
    function = getattr(gs, record.name)
    text = inspect.getdoc(function) or ""
    assert record.formula in text
    assert record.reference.split()[0] in text
    has_kinks = {*KINKS} - {"softsign", "softplus", "elu", "celu"}  # smooth at the defaults
    assert ("by convention" in text) == (record.name in has_kinks)
    assert all(f"{name}: " in text for name in inspect.signature(function).parameters)
    assert isinstance(function, gs.Activation)
    assert inspect.getdoc(type(function)) != text
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function
    for name in record.names:
        assert getattr(gs, name) is named(record.name) is function
        assert name in dir(gs)


def test_the_formulas_own_inputs_and_parameters_are_understood_too() -> None:
    x = torch.linspace(-2, 2, 6)
    a, b = x.chunk(2)
    assert torch.equal(gs.glu(a, b), gs.glu(x))
    assert torch.equal(gs.glu(a=a, b=b), gs.glu(x))
    assert torch.equal(gs.glu.module()(a, b), gs.glu(x))
    assert torch.equal(gs.rrelu(x, slope=0.5), F.leaky_relu(x, 0.5))
    assert torch.equal(gs.rrelu.module(slope=0.5)(x), F.leaky_relu(x, 0.5))
    assert torch.equal(gs.relu(x=x), F.relu(x))
    weight = torch.tensor([0.25, 0.5])
    per_channel = gs.prelu.module(learnable=True, weight=weight)
    assert torch.equal(per_channel(x.reshape(3, 2)), F.prelu(x.reshape(3, 2), weight))
    assert isinstance(gs.gelu.derivative(), gs.Activation)


@every_entry
def test_the_compiler_captures_a_call_whole(record: Entry) -> None:
    function = getattr(gs, record.name)
    given = {**CASES.get(record.name, [{}])[-1]}
    if record.inplace:
        given["inplace"] = True

    def model(x: Tensor) -> Tensor:
        return function(x * 1, **given) * 2

    x = torch.linspace(-4, 4, 10, dtype=torch.float64)
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.equal(compiled(x), model(x))
