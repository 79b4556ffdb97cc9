"""Rows of operands: whatever the shapes, strides and threads, the bits of contiguous tensors.

Oracle: the same kernel on contiguous copies, expanded in full, on one thread.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gradsmith as gs
from gradsmith.backends import dispatch, threads
from gradsmith.operator.layout import arrange, empty_result

pytestmark = pytest.mark.skipif(
    dispatch.native_reason() is not None, reason="no native code on this machine"
)

FUSED = gs.activation("a*sigmoid(b*x) + x", inputs=["x", "a", "b"])


@pytest.fixture
def all_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@st.composite
def laid_out(draw: st.DrawFn, shape: tuple[int, ...]) -> torch.Tensor:
    """A tensor that broadcasts to the shape, its dimensions in any order and step."""
    own = [size if draw(st.integers(0, 3)) else 1 for size in shape]
    own = own[draw(st.integers(0, len(own) - 1)) if draw(st.integers(0, 3)) == 0 else 0 :]
    order = draw(st.permutations(range(len(own))))
    steps = [draw(st.sampled_from([1, 1, 1, 2])) for _ in own]
    padding = [draw(st.sampled_from([0, 0, 3])) for _ in own]
    storage = torch.randn(
        [own[dim] * steps[dim] + padding[dim] for dim in order],
        generator=torch.Generator().manual_seed(draw(st.integers(0, 99))),
    )
    tensor = storage.permute([order.index(dim) for dim in range(len(own))])
    for dim, (size, step) in enumerate(zip(own, steps, strict=True)):
        tensor = tensor.narrow(dim, 0, size * step)[
            (slice(None),) * dim + (slice(None, None, step),)
        ]
    if draw(st.integers(0, 4)) == 0:
        tensor = tensor.expand(shape)
    return tensor


@given(st.data())
@settings(max_examples=150, derandomize=True, deadline=None)
def test_any_layout_gives_the_bits_of_contiguous_tensors(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 70, 129]), min_size=1, max_size=3)))
    operands = [data.draw(laid_out(shape)) for _ in range(3)]
    full = torch.broadcast_shapes(*(o.shape for o in operands))
    expected = FUSED(*(o.expand(full).contiguous() for o in operands))
    found = FUSED(*operands)
    assert found.shape == full
    assert torch.equal(found, expected)


@pytest.mark.parametrize("count", [4000, 20_000, threads.GRAIN + 1, 3 * threads.GRAIN + 77])
def test_any_number_of_threads_gives_the_same_bits(all_threads: None, count: int) -> None:
    x, a, b = torch.randn(3, count, generator=torch.Generator().manual_seed(1))
    rows = torch.randn(count // 100, 150)[:, :100]  # shares begin in the middle of rows
    many = [FUSED(x, a, b), FUSED(rows, a[:100], b[: len(rows)].unsqueeze(1))]
    torch.set_num_threads(1)
    one = [FUSED(x, a, b), FUSED(rows, a[:100], b[: len(rows)].unsqueeze(1))]
    assert all(map(torch.equal, many, one))


def test_rows_are_as_long_as_they_can_be() -> None:
    x = torch.randn(4, 6, 8, 16)
    weight = torch.randn(6, 1, 1)
    result = empty_result([x, weight], x.shape, x.dtype)
    _, layout = arrange([x, weight], result)
    assert (layout.row, layout.sizes) == (128, (4, 6))
    assert layout.singles == (False, True)
    assert layout.strides[1] == (0, 1)

    nhwc = x.contiguous(memory_format=torch.channels_last)
    result = empty_result([nhwc], x.shape, x.dtype)
    assert result.stride() == nhwc.stride()
    assert arrange([nhwc], result)[1].row == x.numel()

    halves = torch.randn(10, 512).chunk(2, 1)
    given, layout = arrange(halves, empty_result(halves, halves[0].shape, x.dtype))
    assert (layout.row, layout.sizes) == (256, (10,))
    assert given is halves

    expanded = torch.ones(()).expand(40, 40)
    _, layout = arrange([expanded, 2.0], torch.empty(40, 40))
    assert (layout.row, layout.sizes, layout.singles) == (1600, (), (True, True))


def test_what_would_be_short_rows_is_copied() -> None:
    x = torch.randn(200, 3)[:, :2]
    (given,), layout = arrange([x], torch.empty(200, 2))
    assert layout.row == 400
    assert given.is_contiguous()


@pytest.mark.parametrize(("size", "row"), [(15, 0), (16, 16), (24, 0), (48, 48), (63, 0), (64, 64)])
def test_rows_of_whole_vectors_pay_when_they_are_short(size: int, row: int) -> None:
    x = torch.randn(10, 2 * size)[:, :size]
    (given,), layout = arrange([x], torch.empty(10, size))
    assert layout.row == (row or 10 * size)
    assert (given is x) == bool(row)
