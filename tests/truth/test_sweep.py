"""Sweeping by polynomials says what asking the oracle for every input says, only faster.

The oracle of these tests is the same measurement without polynomials, input by input.
"""

from __future__ import annotations

import math
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gradsmith as gs
from gradsmith.truth import distribute, inputs, sweep
from gradsmith.truth.accuracy import Accuracy
from gradsmith.truth.certificate import Coverage
from gradsmith.truth.certify import certify, stated
from gradsmith.truth.distribute import State
from gradsmith.truth.quantities import quantities
from gradsmith.truth.subject import Comparable, subject
from gradsmith.truth.sweep import Sweep, Task

LENGTH = 60  # patterns in a row


def task(
    thing: Comparable,
    ranges: list[range],
    formula: str | None = None,
    dtype: torch.dtype = torch.float32,
    orders: tuple[int, ...] = (0, 1, 2),
) -> Task:
    measured = subject(thing)
    exact = stated(measured, formula, {})
    covered = Coverage(tuple((r.start, r.stop, r.step) for r in ranges))
    return Task(measured, exact, dtype, quantities(exact, orders, None), covered)


def spread() -> list[range]:
    """Patterns in a row all over float32, and where formats and functions change."""
    generator = random.Random(1)
    starts = [generator.randrange(0, 2**32 - LENGTH) for _ in range(12)]
    middles = [0.0, 2.0**-149, 2.0**-126, 1e-20, 1e-5, 0.24, 0.7517916, 1.0, 1.1924, 6.0, 9.0104]
    middles += [13.0, 17.0, 44.0, 88.7, 89.7, 103.97, 3.4e7, 1e19, 1e23, 3e38, math.inf, math.nan]
    for x in middles:
        bits = int(inputs.bits_of(torch.tensor([x]))[0], 16)
        for sign in (0, 2**31):
            starts.append(min(max(bits - LENGTH // 2, 0) + sign, 2**32 - LENGTH))
    starts.sort()
    kept = [a for a, b in zip(starts, [*starts[1:], 2**40], strict=True) if a + LENGTH <= b]
    return [range(a, a + LENGTH) for a in kept]


def whole(found: Sweep) -> list[Accuracy]:
    parts = [found.run(chunk) for chunk in range(found.chunks)]
    total = parts[0]
    for part in parts[1:]:
        total = [a + b for a, b in zip(total, part, strict=True)]
    return total


def alike(swept: Accuracy, asked: Accuracy) -> None:
    assert swept.checked == asked.checked
    assert swept.undecided == asked.undecided
    assert swept.unavailable == asked.unavailable
    # Some signs of zeros are known for a range that are not known for each of its numbers.
    signs = {"sign of zero": swept.wrong.get("sign of zero", (0, None))[0]}
    counts = [{k: n for k, (n, _) in found.wrong.items()} for found in (swept, asked)]
    assert signs["sign of zero"] >= counts[1].get("sign of zero", 0)
    assert counts[0] == {**counts[1], **{k: n for k, n in signs.items() if n}}
    for kind in asked.wrong:
        assert str(swept.wrong[kind][1]) == str(asked.wrong[kind][1]), kind
        assert repr(swept.wrong[kind][1].exact) == repr(asked.wrong[kind][1].exact), kind
    assert swept.max_ulp == pytest.approx(asked.max_ulp, rel=1e-4, abs=1e-5)
    assert asked.max_ulp <= swept.bound <= asked.max_ulp * (1 + 1e-4) + 2.0**-15
    # Errors within the margin, 2⁻¹⁸ ULP, of an edge are counted below it: rows of numbers with
    # nearly the same exact value lie there.
    for threshold, count in asked.above.items():
        assert abs(swept.above[threshold] - count) <= 0.02 * asked.checked
    for k in {*swept.histogram, *asked.histogram}:
        apart = abs(swept.histogram.get(k, 0) - asked.histogram.get(k, 0))
        assert apart <= 0.03 * asked.checked, (k, swept.histogram, asked.histogram)
    assert sum(swept.histogram.values()) == sum(asked.histogram.values())


@pytest.mark.parametrize(
    ("thing", "formula"),
    [
        ("gelu", None),
        ("relu", None),
        ("tanhshrink", None),
        ("x*x", None),
        ("1/x", None),
        ("log(x)", None),
        (torch.sigmoid, "1/(1 + exp(-x))"),
        (F.gelu, "x*(1 + erf(x/sqrt(2)))/2"),
        (F.mish, "x*tanh(log(1 + exp(x)))"),
        (F.hardswish, None),
        (torch.square, "x*x"),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
@pytest.mark.filterwarnings("ignore::gradsmith.errors.AccuracyWarning")
def test_polynomials_and_the_oracle_give_the_same_figures(
    thing: Comparable, formula: str | None
) -> None:
    job = task(thing, spread(), formula)
    by_pieces, one_by_one = Sweep(job, by_pieces=True), Sweep(job, by_pieces=False)
    for swept, asked in zip(whole(by_pieces), whole(one_by_one), strict=True):
        alike(swept, asked)


def flawed(kind: str) -> Callable[[Tensor], Tensor]:
    """x·sigmoid(x) with one kind of flaw at every seventh number."""

    def function(x: Tensor) -> Tensor:
        y = (x.double() * torch.sigmoid(x.double())).float()
        bits = y.view(torch.int32)
        spoiled = {
            "zero": torch.zeros_like(y),
            "negative zero": -torch.zeros_like(y),
            "sign": -y,
            "infinity": torch.full_like(y, torch.inf),
            "nan": torch.full_like(y, torch.nan),
            "two units": torch.where(y.isfinite(), (bits + 2).view(torch.float32), y),
            "half the digits": (bits & -4096).view(torch.float32),
            "number": torch.ones_like(y),
        }[kind]
        return torch.where(x.view(torch.int32) % 7 == 0, spoiled, y)

    return function


@pytest.mark.parametrize(
    "kind",
    ["zero", "negative zero", "sign", "infinity", "nan", "two units", "half the digits", "number"],
)
def test_flaws_are_counted_alike(kind: str) -> None:
    job = task(flawed(kind), spread(), "x*sigmoid(x)", orders=(0,))
    (swept,), (asked,) = whole(Sweep(job, by_pieces=True)), whole(Sweep(job, by_pieces=False))
    alike(swept, asked)
    flaws = asked.mistakes if kind not in ("two units", "half the digits") else asked.above[1.0]
    assert flaws > asked.checked / 30


@pytest.mark.parametrize(
    ("formula", "pattern", "flaw", "kind"),
    [
        ("x", 1, 0.0, "zero"),  # off by one unit only, with the right sign
        ("x", 0x80000001, -0.0, "zero"),
        ("x/8", 2, -0.0, "sign of zero"),  # off by a quarter
        ("x/8", 0x80000002, 0.0, "sign of zero"),
        ("x/4", 3, -0.0, "sign of zero"),
        ("x", 3, -0.0, "zero"),
    ],
)
def test_among_subnormals_a_small_error_may_be_a_wrong_result(
    formula: str, pattern: int, flaw: float, kind: str
) -> None:
    right = gs.activation(formula)

    def flawed(x: Tensor) -> Tensor:
        y = right(x)
        here = x == inputs.from_patterns(range(pattern, pattern + 1), torch.float32)
        return torch.where(here, torch.full_like(y, flaw), y)

    job = task(flawed, [range(pattern, pattern + 1)], formula, orders=(0,))
    for by_pieces in (True, False):
        (found,) = whole(Sweep(job, by_pieces=by_pieces))
        assert [(k, n) for k, (n, _) in found.wrong.items()] == [(kind, 1)]
        assert found.wrong[kind][1].bits == (f"0x{pattern:08x}",)


def test_every_pattern_is_in_one_chunk() -> None:
    job = task("relu", [range(2**32)], orders=(0,))
    swept = Sweep(job)
    assert swept.by_pieces
    end = 0
    for part in swept._chunks:
        assert part.start == end
        assert part.step == 1
        end = part.stop
    assert end == 2**32
    assert sum(map(swept.size, range(swept.chunks))) == swept.count == 2**32


def test_a_range_with_steps_is_swept() -> None:
    ranges = [range(0x3F000000, 0x41800000, 8191), range(0xBF000000, 0xC2C80000, 8191)]
    job = task(F.silu, ranges, "x*sigmoid(x)")
    by_pieces, one_by_one = Sweep(job, by_pieces=True), Sweep(job, by_pieces=False)
    for swept, asked in zip(whole(by_pieces), whole(one_by_one), strict=True):
        alike(swept, asked)


# Which inputs.


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str
)
def test_numbers_and_ordinals_are_each_others_reverse(dtype: torch.dtype) -> None:
    values = torch.tensor([0.0, 1.0, -1.0, 3e4, -(2.0**-14), 0.1], dtype=torch.float64).to(dtype)
    found = inputs.ordinals(values)
    assert torch.equal(inputs.numbers(found, dtype), values)
    assert (np.sign(found) == values.double().sign().numpy()).all()
    above = inputs.numbers(found + 1, dtype)
    assert torch.equal(above, torch.nextafter(values, torch.full_like(values, torch.inf)))


def sampled(name: str, dtype: torch.dtype, count: int, seed: int = 0) -> Tensor:
    measured = subject(name)
    exact = stated(measured, None, {})
    job = Task(
        measured, exact, dtype, quantities(exact, (0, 1, 2), None), Coverage((), count, seed)
    )
    (column,) = Sweep(job)._columns
    return column


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_sample_is_dense_where_errors_are(dtype: torch.dtype) -> None:
    column = sampled("gelu", dtype, 50_000)
    finite = column[column.isfinite()]
    assert len(finite.unique()) >= 50_000
    assert column.isnan().any()
    assert torch.inf in column
    assert -torch.inf in column
    found = set(inputs.ordinals(finite).tolist())
    limits = torch.finfo(dtype)
    # The derivative of x·Φ(x) is Φ(x) + x·φ(x).
    root_of_slope = float(mpmath.findroot(lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x), -0.75))
    inflection = math.sqrt(2)
    for x in (0.0, limits.smallest_normal, 1.0, root_of_slope, inflection, -inflection):
        (middle,) = inputs.ordinals(torch.tensor([x], dtype=torch.float64).to(dtype))
        assert all(middle + i in found for i in range(-20, 21)), x
    for edge in (limits.max, -limits.max, limits.smallest_normal * limits.eps):
        assert edge in finite
    for exponent in range(-100, 100, 7):
        assert 2.0**exponent in finite
    subnormal = (finite.abs() < limits.smallest_normal) & (finite != 0)
    assert int(subnormal.sum()) > 100
    ordinary = (finite.abs() < 16) & (finite.abs() > 1e-6)
    assert int(ordinary.sum()) > 15_000


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    first, again, other = (sampled("silu", torch.float32, 1000, seed) for seed in (0, 0, 1))
    assert inputs.bits_of(first) == inputs.bits_of(again)
    assert inputs.bits_of(first) != inputs.bits_of(other)


def test_patterns_are_the_numbers_of_the_format() -> None:
    found = inputs.from_patterns(range(0, 2**16, 1), torch.float16)
    expected = np.arange(2**16, dtype=np.uint16).view(np.float16)
    np.testing.assert_array_equal(found.numpy(), expected)
    ends = inputs.from_patterns(range(0x7F7FFFFF, 2**32, 2**31), torch.float32)
    assert ends.tolist() == [torch.finfo(torch.float32).max, -torch.finfo(torch.float32).max]
    with pytest.raises(ValueError, match="bit patterns"):
        inputs.from_patterns(range(2**16 + 1), torch.bfloat16)


# Divided, interrupted, taken up again.

HALVES = [range(0x4100, 0x4300), range(0xC100, 0xC300)]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Task:
    """A task of sixteen chunks."""
    monkeypatch.setattr(sweep, "_ASKED", 64)
    return task(torch.sigmoid, HALVES, dtype=torch.bfloat16)


def data(results: list[Accuracy]) -> list[Any]:
    return [result.as_data() for result in results]


def test_two_processes_find_what_one_finds(small: Task) -> None:
    told: list[tuple[str, int, int]] = []
    alone = distribute.run(small, processes=1)
    two = distribute.run(small, processes=2, tell=lambda *what: told.append(what))
    assert data(two) == data(alone)
    assert told[0][0] == "preparing"
    assert told[-1] == ("certifying", 1024, 1024)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)


def test_started_afresh_they_find_the_same(small: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distribute, "_may_fork", lambda: False)
    monkeypatch.setattr(sweep, "_ASKED", 1 << 12)  # a fresh process knows nothing of patches
    assert data(distribute.run(small, processes=2)) == data(distribute.run(small, processes=1))


def broken(x: Tensor) -> Tensor:
    # The probes of the parent pass, the numbers of the sweep do not.
    if x.numel() > 10:
        raise RuntimeError("broken on purpose")
    return torch.sigmoid(x)


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_of_the_subject_arrives(small: Task, processes: int) -> None:
    with pytest.raises(RuntimeError, match="broken on purpose"):
        distribute.run(replace(small, subject=subject(broken)), processes)


def killed(x: Tensor) -> Tensor:
    if x.numel() > 10:
        os.kill(os.getpid(), signal.SIGKILL)
    return torch.sigmoid(x)


def test_a_worker_that_dies_ends_the_run(small: Task) -> None:
    with pytest.raises(RuntimeError, match="terminated abruptly"):
        distribute.run(replace(small, subject=subject(killed)), 2)


class InterruptionError(Exception):
    pass


def test_an_interrupted_run_goes_on(
    small: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = {"task": "sigmoid"}

    def until(_: str, done: int, total: int) -> None:
        if done >= total / 2 > 0:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        distribute.run(small, 1, until, State(tmp_path / "parts", key))
    left = 0
    run = Sweep.run

    def counting(self: Sweep, chunk: int) -> list[Accuracy]:
        nonlocal left
        left += 1
        return run(self, chunk)

    monkeypatch.setattr(Sweep, "run", counting)
    again = distribute.run(small, 1, None, State(tmp_path / "parts", key))
    assert left == 8
    assert data(again) == data(distribute.run(small, 1))
    left = 0
    distribute.run(small, 1, None, State(tmp_path / "parts", key))
    assert left == 0


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", "{}", '{"task": "of another", "chunk": 3, "results": []}']
)
def test_a_damaged_chunk_is_done_again_and_said(small: Task, tmp_path: Path, damage: str) -> None:
    expected = distribute.run(small, 1, None, State(tmp_path, {"task": 1}))
    (tmp_path / "chunk-00003.json").write_text(damage)
    with pytest.warns(RuntimeWarning, match=r"chunk-00003.json is damaged"):
        again = distribute.run(small, 1, None, State(tmp_path, {"task": 1}))
    assert data(again) == data(expected)
    kept = (tmp_path / "chunk-00003.json").read_text()
    assert kept != damage


def test_chunks_of_another_task_are_refused(tmp_path: Path) -> None:
    options: dict[str, Any] = {"orders": (0,), "processes": 1, "progress": False}
    few = {"patterns": range(4), "state": tmp_path / "parts"}
    gs.certify("relu", torch.bfloat16, **few, **options)
    with pytest.raises(
        ValueError, match=r"another task: its dtype is 'bfloat16', here .*'float16'"
    ):
        gs.certify("relu", torch.float16, **few, **options)
    with pytest.raises(ValueError, match="another task: its subject is"):
        gs.certify("relu6", torch.bfloat16, **few, **options)
    gs.certify("relu", torch.bfloat16, **few, **options)
    (tmp_path / "parts" / "task.json").write_text("{")
    with pytest.raises(ValueError, match=r"task.json is damaged; give another folder"):
        gs.certify("relu", torch.bfloat16, **few, **options)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        State(tmp_path, {})
    with pytest.raises(ValueError, match="is a file"):
        State(tmp_path / "thesis.txt", {})
    distribute.discard(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_a_stride_that_does_not_divide_the_range_ends_with_its_last_number() -> None:
    certificate = certify("tanh", torch.bfloat16, patterns=range(0, 2**16, 61), processes=1)
    assert {result.checked for result in certificate.results} == {len(range(0, 2**16, 61))}
