"""A benchmark as a picture: how many times longer than ours each takes, over the size.

Lines differ in markers and dashes as well as in colour, and the area above 1, where we are faster,
can be told at a glance. Neither a display nor matplotlib's global state is touched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gradsmith.bench.contestants import COPY, FRESH_COPY, OURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from gradsmith.bench.benchmark import Benchmark

# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of colour vision.
_STYLES: Final[dict[str, dict[str, Any]]] = {
    "builtin": {"color": "#D55E00", "marker": "o", "linestyle": "-"},
    "eager": {"color": "#0072B2", "marker": "s", "linestyle": "--"},
    "compiled": {"color": "#009E73", "marker": "^", "linestyle": "-."},
    "tutorial": {"color": "#CC79A7", "marker": "D", "linestyle": (0, (5, 1))},
    COPY: {"color": "#606060", "marker": "", "linestyle": ":"},
    FRESH_COPY: {"color": "#A0A0A0", "marker": "", "linestyle": ":"},
}
_WIDTH, _HEIGHT, _LEGEND = 3.6, 2.9, 0.9  # inches of a panel, and of what is around all of them


def draw(found: Benchmark) -> Figure:
    """Panels side by side for the passes, one row for each number of threads."""
    from matplotlib.figure import Figure

    rows, columns = len(found.threads), len(found.passes)
    size = (max(6.4, _WIDTH * columns), _HEIGHT * rows + _LEGEND)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for i, threads in enumerate(found.threads):
        for j, direction in enumerate(found.passes):
            _panel(panels[i, j], found, direction, threads)
    for panel in panels[-1]:
        panel.set_xlabel("elements")
    for panel in panels[:, 0]:
        panel.set_ylabel("time, divided by ours")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        fontsize=9,
        frameon=False,
        ncols=min(3, len(labels)),
    )
    figure.suptitle(f"{found.name}, {found.dtype}: above 1, gradsmith is faster", fontsize=12)
    return figure


def _panel(axes: Axes, found: Benchmark, direction: str, threads: int) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator

    sizes = found.sizes
    for key, label in found.contestants.items():
        if key == OURS:
            continue
        ratios = [found.ratio(key, direction, size, threads) for size in sizes]
        middle = [ratio.median for ratio in ratios]
        error = [
            [ratio.median - ratio.lower for ratio in ratios],
            [ratio.upper - ratio.median for ratio in ratios],
        ]
        axes.errorbar(sizes, middle, yerr=error, label=label, capsize=2, lw=1.6, **_STYLES[key])
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes)
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _fraction(value)))
    axes.axhline(1, color="#000000", lw=1.2, zorder=1)
    axes.axhspan(1, 2**20, color="#009E73", alpha=0.06, lw=0, zorder=0)
    axes.grid(visible=True, color="#D8D8D8", lw=0.6)
    axes.set_axisbelow(True)
    what = "forward and backward" if direction == "both" else direction
    axes.set_title(f"{what}, {threads} thread{'s' * (threads != 1)}", fontsize=10)
    low, high = _limits(found)
    axes.set_ylim(low / 1.3, high * 1.3)


def _fraction(value: float) -> str:
    return f"{value:g}" if value >= 1 else f"1/{1 / value:g}"


def _limits(found: Benchmark) -> tuple[float, float]:
    ratios = [
        found.ratio(t.contestant, t.direction, t.size, t.threads)
        for t in found.timings
        if t.contestant != OURS
    ]
    return (
        min([1.0, *(ratio.lower for ratio in ratios)]),
        max([1.0, *(ratio.upper for ratio in ratios)]),
    )
