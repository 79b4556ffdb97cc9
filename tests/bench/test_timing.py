"""The engine that times: turns, repeats, what is counted, and that everything is put back."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from gradsmith.bench import timing
from gradsmith.bench.timing import Job, Seconds, Spread, backward, both, forward, race

LEAST = 1e-3


@pytest.fixture
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    yield before
    torch.set_num_threads(before)


def steady(each: float, log: list[tuple[str, int, int]], name: str) -> Seconds:
    """A job whose calls take ``each`` seconds; it writes down name, calls and threads."""

    def seconds(count: int) -> float:
        log.append((name, count, torch.get_num_threads()))
        return each * count

    return seconds


def test_each_round_has_every_job_once_in_a_changing_order(threads: int) -> None:
    log: list[tuple[str, int, int]] = []
    told: list[tuple[str, int]] = []
    jobs = [Job(name, 1, steady(2 * LEAST, log, name)) for name in "abcd"]
    times = race(jobs, 12, least=LEAST, tell=lambda label, turn: told.append((label, turn)))
    assert [len(found) for found in times] == [12] * 4
    rounds = [tuple(name for name, _ in told[i : i + 4]) for i in range(0, 48, 4)]
    assert all(sorted(names) == list("abcd") for names in rounds)
    assert len(set(rounds)) > 4
    assert [turn for _, turn in told] == list(range(48))
    # Each is called once just before, which is not timed.
    assert [name for name, _, _ in log[-96::2]] == [name for name, _ in told]
    assert [name for name, _, _ in log[-95::2]] == [name for name, _ in told]


def test_times_are_per_call_and_belong_to_their_job(threads: int) -> None:
    log: list[tuple[str, int, int]] = []
    costs = {"short": 3e-6, "long": 4e-3}
    jobs = [Job(name, 1, steady(cost, log, name)) for name, cost in costs.items()]
    short, long = race(jobs, 5, least=LEAST)
    np.testing.assert_allclose(short, [3e-6] * 5, rtol=1e-12)
    np.testing.assert_allclose(long, [4e-3] * 5, rtol=1e-12)
    samples = [count for name, count, _ in log[-10:] if name == "short" and count > 1]
    assert samples
    assert all(count * costs["short"] >= LEAST for count in samples)
    assert all(count == 1 for name, count, _ in log if name == "long")  # one is enough


def test_each_job_has_its_threads_and_the_number_is_put_back(threads: int) -> None:
    log: list[tuple[str, int, int]] = []
    jobs = [Job(f"{name}{n}", n, steady(LEAST, log, f"{name}{n}")) for name in "ab" for n in (1, 2)]
    torch.set_num_threads(2)
    told: list[str] = []
    race(jobs, 8, least=LEAST, tell=lambda label, turn: told.append(label))
    assert all(count == int(name[-1]) for name, _, count in log)
    assert torch.get_num_threads() == 2
    for i in range(0, len(told), 4):  # one change of threads in a round
        assert len({name[-1] for name in told[i : i + 2]}) == 1
    assert {told[i][-1] for i in range(0, len(told), 4)} == {"1", "2"}


@pytest.mark.parametrize("collecting", [True, False])
def test_everything_is_put_back_when_a_job_fails(threads: int, collecting: bool) -> None:
    seen: list[bool] = []

    def seconds(count: int) -> float:
        seen.append(gc.isenabled())
        raise RuntimeError("no")

    torch.set_num_threads(2)
    if not collecting:
        gc.disable()
    try:
        with pytest.raises(RuntimeError, match="no"):
            race([Job("a", 1, seconds)], 1)
        assert seen == [False]
        assert gc.isenabled() == collecting
        assert torch.get_num_threads() == 2
    finally:
        gc.enable()


def test_nothing_to_time_is_an_error() -> None:
    with pytest.raises(ValueError, match="a job and a round, got 0 and 3"):
        race([], 3)
    with pytest.raises(ValueError, match="a job and a round, got 1 and 0"):
        race([Job("a", 1, lambda count: 1.0)], 0)


def test_what_takes_no_time_ends_all_the_same(threads: int) -> None:
    assert race([Job("nothing", 1, lambda count: 0.0)], 2, least=LEAST) == [(0.0, 0.0)]


class Clock:
    """A clock that only what is called moves."""

    now = 0.0


class Slow(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        Clock.now += 100
        return x.clone()

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        Clock.now += 1
        return g.clone()


def test_what_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timing, "perf_counter", lambda: Clock.now)
    x, g = torch.ones(3, requires_grad=True), torch.ones(3)
    given = (Slow.apply, [x], [x], g)
    assert forward(Slow.apply, [x])(5) == 500
    assert backward(*given)(5) == 5
    assert both(*given)(5) == 505


def test_spread_is_that_of_numpy() -> None:
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6]
    found = Spread.of(values)
    expected = np.percentile(values, [50, 25, 75])
    np.testing.assert_allclose((found.median, found.lower, found.upper), expected, rtol=1e-15)
    assert Spread.of([2.0]) == Spread(2.0, 2.0, 2.0)
    assert str(Spread(2.0, 1.5, 2.25)) == "2.00 ±0.38"
