"""Random slopes of the native part. Oracle: PyTorch's own bits, and its generator's state."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from gradsmith.operator import extension, slopes
from tests.operator.extension_calls import WITH_NATIVE_PART

pytestmark = WITH_NATIVE_PART

DTYPES = (torch.float32, torch.float64, torch.bfloat16)
BLOCK, CHUNK = 624, 512  # words of the generator's state; elements that are served together
BOUNDS = 0.1, 0.37  # not in float32
SIZES = (
    *(0, 1, 2, 3, 15, 16, 17, 31, 33),
    *(n + i for n in (BLOCK // 2, CHUNK, BLOCK, 2 * CHUNK, 2 * BLOCK) for i in (-1, 0, 1)),
    100_000,
)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


def agree(x: Tensor, lower: float = BOUNDS[0], upper: float = BOUNDS[1]) -> None:
    """From where the generator stands both draw the same, and leave it in the same state."""
    state = torch.get_rng_state()
    found, after = extension.slopes()(x, lower, upper), torch.get_rng_state()
    torch.set_rng_state(state)
    expected = torch.empty_like(x)
    torch.ops.aten.rrelu_with_noise(x, expected, lower, upper, True)
    assert found.shape == x.shape
    assert found.dtype == x.dtype
    assert torch.equal(found.view(torch.int16), expected.view(torch.int16))
    assert torch.equal(after, torch.get_rng_state())


def draw_words(count: int) -> None:
    """Numbers of float32 take one word each."""
    torch.empty(count, dtype=torch.float32).uniform_()


def signs(n: int, positive: float, seed: int = 0) -> Tensor:
    """Numbers of which about this part is positive."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.rand(n, generator=generator) < positive
    return torch.where(chosen, 1.5, -0.5)


def words_left() -> int:
    """Of the block."""
    (left,) = struct.unpack_from("=i", bytes(torch.get_rng_state().tolist()), 8)
    return int(left) - 1


def test_numbers_take_as_many_words_as_these_tests_say() -> None:
    torch.manual_seed(0)
    draw_words(5)
    assert words_left() == BLOCK - 5
    torch.empty(3, dtype=torch.float64).uniform_()
    assert words_left() == BLOCK - 5 - 2 * 3


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("n", SIZES)
def test_sizes_about_those_of_blocks(n: int, dtype: torch.dtype) -> None:
    torch.manual_seed(n)
    for positive in (0.0, 0.1, 0.5, 0.9, 1.0):
        agree(signs(n, positive).to(dtype))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("ahead", [0, 1, 2, 3, 311, 312, 313, *range(BLOCK - 4, BLOCK + 5), 1247])
def test_a_generator_in_the_middle_of_a_block(ahead: int, dtype: torch.dtype) -> None:
    for n in (1, 2, 3, 40, BLOCK // 2, BLOCK, 5 * BLOCK):
        for positive in (0.0, 0.5):
            torch.manual_seed(3)
            draw_words(ahead)
            for _ in range(3):
                agree(signs(n, positive).to(dtype))


@pytest.mark.parametrize("left", range(1, 6))
@pytest.mark.parametrize("needed", range(5))
def test_the_last_words_of_a_block(left: int, needed: int) -> None:
    """After its last word a generator waits for the next number with the next block."""
    torch.manual_seed(5)
    draw_words(2 * BLOCK - left)
    agree(-torch.ones(needed))
    agree(-torch.ones(1))


@pytest.mark.parametrize("n", [CHUNK, 2 * CHUNK])
@pytest.mark.parametrize("more", [-1, 0, 1])
def test_chunks_whose_last_number_ends_a_block(n: int, more: int) -> None:
    count = n // CHUNK * BLOCK // 2 + more
    torch.manual_seed(5)
    x = torch.ones(n)
    x[-count:] = -1.0
    agree(x)
    agree(-torch.ones(1))


@settings(max_examples=150, derandomize=True, deadline=None)
@given(
    st.integers(0, 2**64 - 1),
    st.integers(0, 3 * BLOCK),
    st.integers(0, 4 * BLOCK),
    st.floats(0, 1),
    st.sampled_from(DTYPES),
    st.tuples(st.floats(-4, 4), st.floats(-4, 4)).map(sorted),
)
@example(1, 1, BLOCK, 0.0, torch.bfloat16, [-1.0, 1.0])
@example(1, 1, BLOCK, 0.0, torch.float32, [0.0, 1e-45])
@example(1, 1, BLOCK, 0.0, torch.float64, [-1e308, 7e307])
@example(1, 1, BLOCK, 0.0, torch.float32, [0.25, 0.25])
@example(1, 1, BLOCK, 0.0, torch.bfloat16, [-3.4e38, 3.4e38])
def test_any_seed_place_size_and_bounds(
    seed: int, ahead: int, n: int, positive: float, dtype: torch.dtype, bounds: list[float]
) -> None:
    torch.manual_seed(seed)
    draw_words(ahead)
    agree(signs(n, positive, seed % 997).to(dtype), *bounds)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.data(), st.sampled_from(DTYPES))
def test_whatever_elements_are(data: st.DataObject, dtype: torch.dtype) -> None:
    least = torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps
    special = [0.0, -0.0, least, -least, 1.0, -1.0]
    special += [float(word) for word in ("nan", "-nan", "inf", "-inf")]
    elements = data.draw(st.lists(st.sampled_from(special), max_size=70))
    torch.manual_seed(2)
    agree(torch.tensor(elements * data.draw(st.sampled_from([1, 9])), dtype=dtype))


def test_every_bfloat16() -> None:
    torch.manual_seed(4)
    bits = torch.arange(-(2**15), 2**15).to(torch.int16)
    agree(bits.view(torch.bfloat16))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_memory_that_begins_anywhere(dtype: torch.dtype) -> None:
    torch.manual_seed(6)
    for begin in range(18):
        agree(signs(1000, 0.5).to(dtype)[begin : begin + 600])


def test_what_is_behind_the_input_is_of_no_account() -> None:
    torch.manual_seed(6)
    for n in range(1, 40):
        agree((-torch.ones(64)).index_fill_(0, torch.arange(n), 1.0)[:n])
        agree(torch.ones(64).index_fill_(0, torch.arange(n), -1.0)[:n])


def test_normal_numbers_that_wait_go_on_waiting() -> None:
    torch.manual_seed(8)
    torch.empty(1, dtype=torch.float64).normal_()  # made in pairs
    waiting = torch.get_rng_state()
    agree(signs(2000, 0.5))
    other = torch.empty(1, dtype=torch.float64).normal_()
    torch.set_rng_state(waiting)
    assert torch.equal(other, torch.empty(1, dtype=torch.float64).normal_())


def standing(left: int, place: int) -> Tensor:
    """A state that counts words like this, as PyTorch keeps it in bytes."""
    torch.manual_seed(9)
    draw_words(1)
    state = bytearray(bytes(torch.get_rng_state().tolist()))
    struct.pack_into("=i", state, 8, left)
    struct.pack_into("=q", state, 16, place)
    return torch.tensor(list(state), dtype=torch.uint8)


@pytest.mark.parametrize(("left", "place"), [(1, 624), (1, 100), (101, 0), (100, 7), (624, 1)])
def test_a_state_that_ends_a_block_early(left: int, place: int) -> None:
    for n in (10, 50, 51, 700):
        torch.set_rng_state(standing(left, place))
        agree(-torch.ones(n))


@pytest.mark.parametrize(("left", "place"), [(2, 624), (624, 2), (300, 400)])
def test_a_state_that_goes_on_behind_a_block_is_not_served(left: int, place: int) -> None:
    torch.set_rng_state(standing(left, place))
    assert extension.slopes()(-torch.ones(3), *BOUNDS) is None
    assert torch.equal(torch.get_rng_state(), standing(left, place))


def test_what_pytorch_must_see_to_is_not_served() -> None:
    x = -torch.ones(6, 4)
    for other in (x.t(), x[:, ::2], x.half(), x.int()):
        assert extension.slopes()(other, *BOUNDS) is None
    for bounds in ((0.5, 0.25), (0.0, float("inf")), (float("nan"), 1.0), (-1e308, 1e308)):
        assert extension.slopes()(x.double(), *bounds) is None
    for gaps in (x.t(), x[:, ::2]):
        torch.manual_seed(1)
        found = slopes.random_slopes(gaps, *BOUNDS)
        torch.manual_seed(1)
        assert torch.equal(found, slopes._by_torch(gaps, *BOUNDS))


def test_one_that_errs_within_a_pair_of_words_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(x: Tensor, lower: float, upper: float) -> Tensor:
        at_a_pair = words_left() % 2 == 0
        found = slopes._by_torch(x, lower, upper)
        return found if at_a_pair else 2 * found

    monkeypatch.setattr(extension, "slopes", lambda: wrong)
    for ahead in (0, 1):
        monkeypatch.setattr(slopes, "_chosen", [slopes._first])
        torch.manual_seed(1)
        draw_words(ahead)
        slopes.random_slopes(-torch.ones(5), *BOUNDS)
        assert slopes._chosen == [slopes._never]
