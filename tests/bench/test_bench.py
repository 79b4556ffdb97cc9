"""``gs.bench``: who and what is measured, ratios, records, errors. No times are asserted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import gradsmith as gs
from gradsmith.bench import contestants as who
from gradsmith.bench import run
from gradsmith.bench.benchmark import Benchmark, Timing
from gradsmith.bench.first import first_gradient
from gradsmith.bench.kept import Kept
from gradsmith.bench.machine import Machine
from gradsmith.errors import FormulaError
from gradsmith.formula.parse import parse

QUICK: dict[str, Any] = {
    "sizes": (64, 1000),
    "threads": (1,),
    "rounds": 2,
    "compiled": False,
    "first": False,
    "least": 1e-6,
    "progress": False,
}


def quick(activation: Any, *arguments: Any, **changed: Any) -> Benchmark:
    return gs.bench(activation, *arguments, **{**QUICK, **changed})


@pytest.fixture(scope="module")
def found() -> Benchmark:
    return quick("mish", threads=(1, 2), rounds=3)


def test_everyone_is_timed_everywhere(found: Benchmark) -> None:
    everyone = ["ours", "builtin", "eager", "tutorial", "copy", "fresh copy"]
    assert list(found.contestants) == everyone
    assert found.contestants["builtin"] == "torch.nn.functional.mish"
    places = [(t.contestant, t.direction, t.size, t.threads) for t in found.timings]
    wanted = {
        (contestant, direction, size, threads)
        for contestant in everyone
        for direction in ("forward", "backward", "both")
        for size in (64, 1000)
        for threads in (1, 2)
    }
    assert len(places) == len(wanted)
    assert set(places) == wanted
    assert all(len(t.seconds) == 3 and min(t.seconds) > 0 for t in found.timings)
    assert (found.sizes, found.threads) == ([64, 1000], [1, 2])
    assert (found.name, found.dtype, found.rounds) == ("mish", "float32", 3)


def test_what_is_kept(found: Benchmark) -> None:
    assert found.kept == {
        "ours": Kept(4, 0, 0),
        "builtin": Kept(4, 0, 0),
        "eager": Kept(4, 0, 12),
        "tutorial": Kept(4, 0, 0),
    }


def made(**seconds: tuple[float, ...]) -> Benchmark:
    times = tuple(Timing(k, "both", 1024, n, s) for k, s in seconds.items() for n in (1, 2))
    labels = {key: f"<{key}>" for key in seconds}
    rounds = len(seconds["ours"])
    kept = {"ours": Kept(4, 0, 0)}
    skipped = {"another": "no & no"}
    return Benchmark(
        "f", "x", {"a": 1.5}, "float32", rounds, Machine.here(), labels, times, kept,
        {"ours": 0.25}, skipped,
    )  # fmt: skip


def test_ratios_are_taken_within_a_round() -> None:
    # The machine slows down by and by; what is compared in a round is not touched by it.
    ours, theirs = (1e-6, 2e-6, 4e-6, 8e-6), (3e-6, 6e-6, 12e-6, 16e-6)
    ratio = made(ours=ours, builtin=theirs).ratio("builtin", "both", 1024, 1)
    expected = np.percentile(np.divide(theirs, ours), [50, 25, 75])
    np.testing.assert_allclose((ratio.median, ratio.lower, ratio.upper), expected)
    assert ratio.median == pytest.approx(3)


def test_scaling_is_from_the_fewest_to_the_most_threads() -> None:
    times = (
        Timing("ours", "both", 1024, 1, (6.0, 9.0)),
        Timing("ours", "both", 1024, 4, (2.0, 3.0)),
        Timing("ours", "both", 1024, 2, (5.0, 5.0)),
    )
    benchmark = replace(made(ours=(1.0, 2.0)), timings=times)
    assert benchmark.scaling("both", 1024).median == 3


def test_what_was_not_measured_is_said() -> None:
    with pytest.raises(KeyError, match="not measured: eager, both, 1024 elements, 1 threads"):
        made(ours=(1.0,)).ratio("eager", "both", 1024, 1)


def test_as_text() -> None:
    text = str(made(ours=(1.5e-6, 1.5e-6), builtin=(3e-6, 6e-6)))
    assert text.startswith("f: x, a = 1.5\nfloat32, 2 rounds; ")
    assert re.search(r"^forward and backward, 1 thread +2¹⁰\n<ours> +1\.5 µs$", text, re.M)
    assert re.search(r"^<builtin> +3\.00 ±0\.50$", text, re.M)
    assert re.search(r"^forward and backward, 2 threads ", text, re.M)
    assert re.search(r"^<ours> +4 \(input\)$", text, re.M)
    assert re.search(r"^<ours> +250 ms$", text, re.M)
    assert "above 1 we are faster" in text
    assert text.endswith("Not timed: another: no & no")
    assert all(line == line.rstrip() for line in text.splitlines())


def test_in_a_notebook() -> None:
    page = made(ours=(1.5e-6,), builtin=(3e-6,))._repr_html_()
    assert "<td>&lt;builtin&gt;</td><td>2.00 ±0.00</td>" in page
    assert "no &amp; no" in page
    assert page.count("<table>") == page.count("</table>") == 4


def test_data_round_trips(found: Benchmark, tmp_path: Path) -> None:
    assert Benchmark.from_json(found.to_json()) == found
    found.save(tmp_path / "mish.json")
    assert Benchmark.from_json((tmp_path / "mish.json").read_text()) == found
    lines = found.to_json().splitlines()
    assert sum('"seconds"' in line for line in lines) == len(found.timings)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": "gradsmith benchmark"}', "3"])
def test_what_is_no_benchmark(text: str) -> None:
    with pytest.raises(ValueError, match="this is no benchmark of gradsmith"):
        Benchmark.from_json(text)


def test_a_record_cannot_be_changed(found: Benchmark) -> None:
    with pytest.raises(AttributeError):
        found.name = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        found.kept["ours"] = Kept(0, 0, 0)  # type: ignore[index]


def test_the_picture_shows_the_ratios(found: Benchmark, tmp_path: Path) -> None:
    path = tmp_path / "mish.png"
    figure = found.plot(path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert len(figure.axes) == 6
    drawn = {axes.get_title(): axes for axes in figure.axes}
    axes = drawn["forward and backward, 2 threads"]
    bars = {str(bar.get_label()): bar for bar in axes.containers}
    assert list(bars) == list(found.contestants.values())[1:]
    line: Any = bars["torch.nn.functional.mish"][0]
    expected = [found.ratio("builtin", "both", size, 2).median for size in (64, 1000)]
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), expected)
    low, high = axes.get_ylim()
    assert all(low < value < high for value in [*expected, 1])


def test_threads_are_put_back_and_left_out_mean_one_and_all() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        options = {"sizes": (64,), "passes": ("forward",), "rounds": 1}
        assert quick("relu", **options, threads=None).threads == [1, 2]
        assert torch.get_num_threads() == 2
        torch.set_num_threads(1)
        assert quick("relu", **options, threads=None).threads == [1]
    finally:
        torch.set_num_threads(before)


def test_progress_counts_every_sample() -> None:
    told: list[tuple[str, int, int]] = []
    one = quick("relu", progress=lambda *what: told.append(what))
    samples = sum(len(timing.seconds) for timing in one.timings)
    counted = [done for what, done, total in told if total == samples]
    assert counted == sorted(counted)
    assert set(counted) == set(range(samples))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_dtypes(dtype: torch.dtype) -> None:
    one = quick("sigmoid", dtype=dtype, sizes=(65,), passes=("both",), rounds=1)
    assert one.dtype == str(dtype).removeprefix("torch.")
    assert one.kept["builtin"] == Kept(0, dtype.itemsize, 0)
    assert not one.skipped


def test_formulas_functions_parameters_and_several_inputs() -> None:
    few: dict[str, Any] = {"sizes": (64,), "passes": ("both",), "rounds": 1}
    formula = quick("x*sin(x)", **few)
    assert "builtin" not in formula.contestants
    assert formula.name == "x*sin(x)"
    pair = quick(gs.activation("a*sigmoid(b)", inputs=("a", "b")), **few)
    assert pair.kept["ours"].total == 8
    curved = quick(gs.activation("x*sigmoid(beta*x)", beta=1.5), **few)
    assert curved.parameters == {"beta": 1.5}
    assert "builtin" not in curved.contestants

    def function(x: Tensor) -> Tensor:
        return x * torch.tanh(x)

    assert quick(function, **few).name == "function"


def test_against_takes_the_place_of_pytorchs_own() -> None:
    one = quick("sigmoid", "torch.tanh", sizes=(64,), passes=("forward",), rounds=1)
    assert one.contestants["builtin"] == "torch.tanh"
    with pytest.raises(ValueError, match="of shape"):
        quick("sigmoid", torch.sum)
    with pytest.raises(ValueError, match="no gradient"):
        quick("sigmoid", lambda x: x.detach())
    with pytest.raises(ValueError, match="a list instead of a tensor"):
        quick("sigmoid", lambda x: [x])
    with pytest.raises(FormulaError):
        quick("sigmoid", "no_such_thing")


def test_what_does_not_work_here_is_skipped_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*arguments: Any, **options: Any) -> Any:
        raise RuntimeError("no C++ compiler was found\nand more")

    monkeypatch.setattr(torch, "compile", broken)
    one = quick("relu", sizes=(64,), passes=("forward",), rounds=1, compiled=True)
    assert one.skipped == {who.LABELS[who.COMPILED]: "no C++ compiler was found"}
    assert who.COMPILED not in one.contestants
    assert "Not timed: the formula, torch.compile: no C++ compiler was found" in str(one)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dtype": torch.int32}, "float32, float64, float16, bfloat16; got torch.int32"),
        ({"device": "cuda"}, "only the CPU can be timed so far, got device 'cuda'"),
        ({"sizes": ()}, r"a size is needed: one or several whole numbers, got \(\)"),
        ({"sizes": 1024}, "a size is needed: one or several whole numbers, got 1024"),
        ({"sizes": (0,)}, "a size is a whole number from 1, got 0"),
        ({"sizes": (2.0,)}, "a size is a whole number from 1, got 2.0"),
        ({"threads": (0,)}, "a number of threads is a whole number from 1, got 0"),
        ({"threads": [True]}, "a number of threads is a whole number from 1, got True"),
        ({"passes": "both"}, "passes are some of forward, backward, both; got 'both'"),
        ({"passes": ("sideways",)}, "passes are some of"),
        ({"rounds": 0}, "rounds is a whole number from 1, got 0"),
        ({"least": 0.0}, "least is a number of seconds above 0, got 0.0"),
    ],
)
def test_bad_arguments(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick("relu", **changed)


def test_inputs_are_normal_none_is_subnormal_and_a_seed_fixes_them() -> None:
    for dtype in (torch.float32, torch.float16):
        x, g = run.tensors(1, 2**20, dtype)
        assert not torch.equal(x, g)
        assert torch.equal(x, run.tensors(1, 2**20, dtype)[0])
        assert not torch.equal(x, run.tensors(1, 2**20, dtype, seed=1)[0])
        assert x.abs().min() >= torch.finfo(dtype).tiny
        # Five standard errors of mean and standard deviation.
        assert abs(x.double().mean()) < 5 * 3 / 2**10
        assert abs(x.double().std() - 3) < 5 * 3 / 2**10.5


def test_what_the_roofline_moves() -> None:
    def passes(text: str, inputs: tuple[str, ...] = ("x",)) -> list[tuple[int, int]]:
        ours = gs.activation(text, inputs=inputs)
        found = [run.traffic(ours, pass_, torch.float32) for pass_ in ("forward", "backward")]
        assert run.traffic(ours, "both", torch.float32) == found[0] + found[1]
        return [(one.reads, one.writes) for (one,) in found]

    assert passes("x*sigmoid(x)") == [(1, 1), (2, 1)]
    assert passes("3*x") == [(1, 1), (1, 1)]  # g alone
    assert passes("a*sigmoid(b)", ("a", "b")) == [(2, 1), (3, 2)]


def test_first_gradient_in_a_fresh_process() -> None:
    formula = parse("x*sigmoid(b*x) + 0.1*u", {"b": 1.5}, ("x", "u"))
    assert first_gradient(formula, "float32", who.OURS) > 0
    with pytest.raises(RuntimeError, match="floating point"):
        first_gradient(formula, "int32", who.OURS)


def test_public_names() -> None:
    assert gs.Benchmark is Benchmark
    assert callable(gs.bench)
