"""PyTorch's own test machinery over the catalogue: its samples, its layouts, its error inputs.

What ``torch.testing._internal`` generates for PyTorch's functions goes through ours, which must
give what PyTorch's own give in float64. Within what: a result is rounded once from something that
is accurate to 0.01 units in the last place, float64 excepted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import chain
from typing import Any

import pytest
import torch
from torch import Tensor

from gradsmith.catalogue import CATALOGUE, ENTRIES, named
from gradsmith.catalogue.record import Entry
from tests.citizen.features.tensors import same_strides
from tests.citizen.subjects import SUBJECTS, Subject

core = pytest.importorskip(
    "torch.testing._internal.opinfo.core", reason="torch's test machinery needs expecttest"
)
SampleInput = core.SampleInput

pytestmark = [
    # With a parameter no series about a root is known; that float64 loses there is told.
    pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning"),
]

FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
LIMIT = 1e30  # where every activation is as it is at infinity

Function = Callable[..., Any]


@cache
def op_infos() -> dict[str, Any]:
    from torch.testing._internal.common_methods_invocations import op_db

    return {op.name: op for op in op_db if not op.variant_test_name}


def info_of(entry: Entry) -> Any:
    """What PyTorch knows about its own function of that name."""
    assert entry.torch is not None
    known = op_infos()
    return known.get(entry.torch.removeprefix("torch.")) or known[entry.name]


# Entries that PyTorch's functions choose by an argument come with the samples of that argument.
of_pytorch = pytest.mark.parametrize(
    "entry", [e for e in ENTRIES if e.module is not None], ids=lambda entry: entry.name
)
unary = pytest.mark.parametrize(
    "subject", [s for s in SUBJECTS.values() if len(s.inputs) == 1], ids=repr
)
of_two = pytest.mark.parametrize(
    "subject",
    [  # the weight of prelu is one, or one for each channel
        s for s in SUBJECTS.values() if len(s.inputs) + len(s.parameters) == 2 and s.name != "prelu"
    ],
    ids=repr,
)


def taken(
    sample: Any, dtype: torch.dtype | None = None
) -> tuple[Tensor, list[Any], dict[str, Any]]:
    """The sample's own, or its tensors in another dtype; as leaves."""

    def leaf(value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        made = value.detach() if dtype is None else value.detach().to(dtype)
        return made.requires_grad_(made.is_floating_point())

    named_ = {name: leaf(value) for name, value in sample.kwargs.items()}
    return leaf(sample.input), [leaf(value) for value in sample.args], named_


def value_and_gradients(function: Function, sample: Any, dtype: Any = None) -> list[Tensor]:
    x, args, kwargs = taken(sample, dtype)
    leaves = [t for t in (x, *args, *kwargs.values()) if isinstance(t, Tensor)]
    torch.manual_seed(42)  # rrelu draws; PyTorch's machinery draws with this seed
    y = function(x, *args, **kwargs)
    return [y.detach(), *torch.autograd.grad(y, leaves, torch.ones_like(y))]


# ULP of a result that is not subnormal. A table may add a quarter of one to its rounding, and is
# not taken where a sample shows more.
LARGEST = {torch.float16: 0.51, torch.bfloat16: 0.51, torch.float32: 0.75}


def rounded_once(got: Tensor, exact: Tensor, dtype: torch.dtype) -> None:
    """``exact`` is torch's, in float64, where its gradients lose what 1 − y·y loses: 2⁻⁵³ of 1."""
    info = torch.finfo(dtype)
    near = LARGEST[dtype] * info.eps if dtype in LARGEST else 2.0**-48
    # A sum over a broadcast weight adds up to 2⁵ products of up to 2³.
    torch.testing.assert_close(
        got.double(), exact.double(), rtol=near, atol=max(2.0**-44, info.smallest_normal * info.eps)
    )


def samples_of(entry: Entry, dtype: torch.dtype) -> Iterator[Any]:
    return iter(info_of(entry).sample_inputs("cpu", dtype, requires_grad=False))


# PyTorch's own functions, with the arguments that PyTorch tries.


@of_pytorch
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pytorchs_samples(entry: Entry, dtype: torch.dtype) -> None:
    ours, info = named(entry.name), info_of(entry)
    # In torch's hardsigmoid 1/6 is a number of float32.
    oracle = SUBJECTS[entry.name].reference if entry.name == "hardsigmoid" else info.op
    if dtype not in info.dtypes:
        pytest.skip(f"torch does not have it for {dtype}")
    # The slopes that rrelu draws are numbers of the dtype.
    wide = None if entry.name == "rrelu" else torch.float64
    for sample in samples_of(entry, dtype):
        got = value_and_gradients(ours, sample)
        theirs = value_and_gradients(info.op, sample)
        exact = value_and_gradients(oracle, sample, wide)
        for mine, like, wanted in zip(got, theirs, exact, strict=True):
            assert (mine.dtype, mine.shape) == (like.dtype, like.shape)
            same_strides(mine, like)
            if wide is None:
                torch.testing.assert_close(mine, wanted, rtol=torch.finfo(dtype).eps, atol=0)
            else:
                rounded_once(mine, wanted, dtype)


@of_pytorch
def test_a_sample_that_is_not_contiguous_gives_the_same_bits(entry: Entry) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        for sample in samples_of(entry, dtype):
            together = value_and_gradients(named(entry.name), sample)
            apart = value_and_gradients(named(entry.name), sample.noncontiguous())
            for a, b in zip(together, apart, strict=True):
                # The sum over a broadcast weight is torch's, in an order that depends on strides.
                same = torch.equal if a.shape == together[0].shape else torch.allclose
                assert same(a, b)


@of_pytorch
def test_integers_are_taken_for_numbers_of_the_default_dtype(entry: Entry) -> None:
    info = info_of(entry)
    for dtype in sorted(info.dtypes, key=str):
        if dtype.is_floating_point or dtype.is_complex:
            continue
        for sample in samples_of(entry, dtype):
            got = named(entry.name)(sample.input, *sample.args, **sample.kwargs)
            assert got.dtype == torch.float32
            # Where torch computes in the integers themselves, the numbers are the same.
            exact = info.op(sample.input.double(), *sample.args, **sample.kwargs)
            rounded_once(got, exact, torch.float32)


@of_pytorch
def test_what_pytorch_refuses_is_refused(entry: Entry) -> None:
    info = info_of(entry)
    if info.error_inputs_func is None:
        pytest.skip("torch lists no errors")
    for error in info.error_inputs("cpu"):
        given = error.sample_input
        with pytest.raises((TypeError, ValueError, RuntimeError, IndexError)):
            named(entry.name)(given.input, *given.args, **given.kwargs)


@of_pytorch
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128], ids=str)
def test_complex_numbers_are_refused(entry: Entry, dtype: torch.dtype) -> None:
    with pytest.raises(TypeError, match="no activation of complex"):
        named(entry.name)(torch.ones(2, dtype=dtype))


@of_pytorch
def test_out(entry: Entry) -> None:
    ours = named(entry.name)
    for sample in samples_of(entry, torch.float32):
        torch.manual_seed(0)
        expected = ours(sample.input, *sample.args, **sample.kwargs)

        def into(out: Tensor, sample: Any = sample) -> Tensor:
            torch.manual_seed(0)
            return ours(sample.input, *sample.args, **sample.kwargs, out=out)

        shape = expected.shape
        for out in (
            torch.full(shape, float("nan")),
            torch.full((*shape, 2), float("nan"))[..., 0],
            torch.full(shape[::-1], float("nan")).permute([*range(len(shape))][::-1]),
            torch.full(shape, float("nan"), dtype=torch.float64),
        ):
            before = (out.data_ptr(), out.stride())
            assert into(out) is out
            assert (out.data_ptr(), out.stride()) == before
            assert torch.equal(out, expected.to(out.dtype))
        empty = torch.empty(0)
        assert torch.equal(into(empty), expected)
        if expected.numel():
            with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
                resized = into(torch.empty(expected.numel() + 1))
            assert torch.equal(resized, expected)
        with pytest.raises(RuntimeError, match="cannot be cast"):
            into(torch.empty(shape, dtype=torch.int32))
        with pytest.raises(RuntimeError, match="out= does not support automatic differentiation"):
            into(torch.empty(shape).requires_grad_())


# What the generators for any elementwise function make: sizes, layouts, small, large, extremal.


@cache
def unary_info(subject: Subject) -> Any:
    return core.UnaryUfuncInfo(subject.name, op=subject, ref=None, dtypes=frozenset(FLOATS))


@cache
def binary_info(subject: Subject) -> Any:
    return core.BinaryUfuncInfo(subject.name, op=subject, ref=None, dtypes=frozenset(FLOATS))


def exact(subject: Subject) -> Function:
    """In float64, as a function of the input alone: PyTorch's own, which knows its large inputs."""
    entry = CATALOGUE.get(subject.name)
    if entry is None or entry.name in ("rrelu", "softplus", "hardsigmoid"):
        return subject.reference
    theirs = entry.counterpart()
    if entry.name == "prelu":
        weight = torch.tensor([subject.parameters["weight"]], dtype=torch.float64)
        return partial(theirs, weight=weight)
    return partial(theirs, **subject.parameters)


@unary
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_sizes_and_layouts(subject: Subject, dtype: torch.dtype) -> None:
    options = {"device": "cpu", "dtype": dtype, "requires_grad": False}
    info = unary_info(subject)
    for sample in chain(
        core.generate_elementwise_unary_tensors(info, **options),
        core.generate_elementwise_unary_noncontiguous_tensors(info, **options),
        core.generate_elementwise_unary_arbitrarily_strided_tensors(info, **options),
    ):
        got = value_and_gradients(subject, sample)
        together = SampleInput(sample.input.contiguous())
        for mine, same, like in zip(
            got,
            value_and_gradients(subject, together),
            value_and_gradients(torch.sigmoid, sample),
            strict=True,
        ):
            assert torch.equal(mine, same)
            assert mine.dtype == dtype
            same_strides(mine, like)
        if sample.input.numel() < 1000:
            for mine, wanted in zip(
                got, value_and_gradients(exact(subject), sample, torch.float64), strict=True
            ):
                rounded_once(mine, wanted, dtype)


@unary
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_small_and_large_values(subject: Subject, dtype: torch.dtype) -> None:
    options = {"device": "cpu", "dtype": dtype}
    info = unary_info(subject)
    for sample in chain(
        core.generate_elementwise_unary_small_value_tensors(info, **options),
        core.generate_elementwise_unary_large_value_tensors(info, **options),
    ):
        got = value_and_gradients(subject, sample)
        wanted = value_and_gradients(exact(subject), sample, torch.float64)
        assert all(t.isfinite().all() for t in got)
        for mine, theirs in zip(got, wanted, strict=True):
            known = theirs.isfinite()  # torch's own overflow
            near = theirs.to(dtype).double()
            true = torch.where(near.isinf(), near, theirs)
            rounded_once(mine[known], true[known], dtype)


@unary
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_extremal_values(subject: Subject, dtype: torch.dtype) -> None:
    """NaN gives NaN, infinity the limit; torch's own give NaN for 0·∞ at some."""
    function = exact(subject)
    options = {"device": "cpu", "dtype": dtype}
    for sample in core.generate_elementwise_unary_extremal_value_tensors(
        unary_info(subject), **options
    ):
        x = sample.input
        value, slope = value_and_gradients(subject, sample)
        assert torch.equal(value.isnan(), x.isnan())
        at_limit = SampleInput(x.double().nan_to_num(0, LIMIT, -LIMIT))
        for mine, theirs in zip(
            (value, slope), value_and_gradients(function, at_limit), strict=True
        ):
            limit = torch.where(theirs.abs() > LIMIT / 100, theirs * float("inf"), theirs)
            known = x.isinf() & limit.isfinite() | limit.isinf()
            rounded_once(mine[known], limit[known], dtype)
            assert not mine[x.isinf()].isnan().any()


@of_two
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_two_operands(subject: Subject, dtype: torch.dtype) -> None:
    """Broadcast, strided and empty operands, be the second an input or a parameter."""
    info, options = binary_info(subject), {"device": "cpu", "dtype": dtype}
    for sample in chain(
        core.generate_elementwise_binary_broadcasting_tensors(info, **options),
        core.generate_elementwise_binary_noncontiguous_tensors(info, **options),
        core.generate_elementwise_binary_arbitrarily_strided_tensors(info, **options),
        core.generate_elementwise_binary_small_value_tensors(info, **options),
    ):
        (second,) = sample.args
        if subject.parameters:  # for which the formula is defined
            second = second.abs() / 4 + 0.25
        if sample.input.numel() > 5000:
            continue  # what is large has been tried with one operand
        sample = SampleInput(sample.input, args=(second,))
        got = value_and_gradients(subject, sample)
        reference = partial(_reference, subject)
        wide = value_and_gradients(reference, sample, torch.float64)
        full = SampleInput(sample.input.expand(wide[0].shape), args=(second.expand(wide[0].shape),))
        terms = value_and_gradients(reference, full, torch.float64)
        limits = torch.finfo(dtype)
        least = max(2.0**-44, limits.smallest_normal * limits.eps)
        for mine, theirs, term in zip(got, wide, terms, strict=True):
            assert (mine.dtype, mine.shape) == (dtype, theirs.shape)
            if mine.shape == term.shape:
                rounded_once(mine, theirs, dtype)
            else:
                # A sum in float32 or wider, rounded once. Its terms, as those of a parameter that
                # is not at its default, are as accurate as a few roundings of float32.
                terms_size = 2.0**-21 * term.abs().sum_to_size(theirs.shape)
                if dtype is torch.float64:
                    terms_size *= 2.0**-23
                bound = terms_size + theirs.abs() * limits.eps + least
                assert ((mine - theirs).abs() <= bound).all()


def _reference(subject: Subject, *operands: Tensor) -> Tensor:
    # A gradient of zero is a gradient too.
    return subject.reference(*operands) + sum(o * 0.0 for o in operands)
