"""The picture shows the function, its derivatives, its kinks and where it saturates.

Oracles: mpmath for the curves and for where the slope is 1 % of its largest.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

import gradsmith as gs
from gradsmith.catalogue import ENTRIES
from gradsmith.show.plot import plot


def axes_of(figure: Figure) -> Axes:
    (axes,) = figure.axes
    return axes


def curves(figure: Figure) -> list[Any]:
    """The drawn functions: every other line has a point or two."""
    return [line for line in axes_of(figure).lines if len(line.get_xdata()) > 100]


def labels(figure: Figure) -> list[str]:
    (legend,) = figure.legends
    return [text.get_text() for text in legend.get_texts()]


def spans(figure: Figure) -> list[tuple[float, float]]:
    boxes = [patch.get_extents() for patch in axes_of(figure).patches]
    inverse = axes_of(figure).transData.inverted()
    return [tuple(inverse.transform(box)[:, 0]) for box in boxes]


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


@pytest.mark.parametrize("order", [0, 1, 2, 3])
def test_the_lines_are_the_function_and_its_derivatives(order: int) -> None:
    drawn = curves(plot("1/(1 + exp(-x))", order))
    assert len(drawn) == order + 1
    for k, line in enumerate(drawn):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert (x[0], x[-1]) == (-8.0, 8.0)
        for i in range(0, len(x), 200):
            with mpmath.workdps(40):
                expected = float(mpmath.diff(sigmoid, mpmath.mpf(float(x[i])), k))
            # What gradsmith computes in float64 is within a few ULP; a pixel is far more.
            assert y[i] == pytest.approx(expected, rel=1e-12, abs=1e-15)


def test_the_legend_names_the_formulas() -> None:
    value, slope, *_ = labels(plot("sigmoid"))
    assert value == r"$\mathrm{sigmoid}(x) = \dfrac{1}{1 + e^{-x}}$"
    assert slope.startswith(r"$\mathrm{sigmoid}'(x) = \dfrac{e^{-x}}")


def test_branches_are_written_out_in_the_legend() -> None:
    value, slope, *rest = labels(plot("relu"))
    assert r"0\;\mathrm{if}\;x \leq 0" in value
    assert r"\mathrm{else}\;1" in slope
    assert "kink" in rest
    assert "derivative at a kink, by convention" in rest


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_whole_catalogue_can_be_drawn(entry: Any, tmp_path: Path) -> None:
    file = tmp_path / "plot.png"
    figure = plot(entry.name, 2, path=file)  # drawing parses every label; warnings are errors
    assert file.read_bytes().startswith(b"\x89PNG")
    assert figure.get_size_inches()[0] < 10
    assert all(label.startswith("$") for label in labels(figure)[:3])


@pytest.mark.parametrize(("ending", "start"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_ending_of_the_path_chooses_the_format(
    ending: str, start: bytes, tmp_path: Path
) -> None:
    file = tmp_path / f"plot.{ending}"
    plot("tanh", path=str(file))
    assert file.read_bytes().startswith(start)


def test_saturation_is_shaded_where_the_slope_is_below_one_percent() -> None:
    figure = plot("sigmoid")
    with mpmath.workdps(30):
        # σ′ is at most 1/4.
        edge = float(mpmath.findroot(lambda x: mpmath.diff(sigmoid, x) - mpmath.mpf(1) / 400, 6))
    left, right = sorted(spans(figure))
    assert left == pytest.approx((-8.0, -edge), abs=1e-6)
    assert right == pytest.approx((edge, 8.0), abs=1e-6)
    assert spans(plot("sigmoid", range=(-2, 2))) == []
    assert spans(plot("x**2")) == []


def test_kinks_are_marked_with_the_derivative_that_holds_there() -> None:
    figure = plot("hardswish")
    dotted = [line for line in axes_of(figure).lines if line.get_linestyle() == ":"]
    assert len(curves(figure)) == 2  # drawn with other dashes
    assert sorted(float(line.get_xdata()[0]) for line in dotted) == [-3.0, 3.0]
    dots = {
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axes_of(figure).lines
        if line.get_marker() == "o" and line.get_markerfacecolor() != "white"
    }
    assert {(-3.0, 0.0), (3.0, 1.0), (3.0, 3.0)} <= dots  # hardswish′(−3) = 0, ′(3) = 1


def test_no_line_is_drawn_across_a_jump() -> None:
    value, slope = curves(plot("hardshrink"))
    for line, at in ((value, 0.5), (slope, 0.5), (slope, -0.5)):
        x, y = np.asarray(line.get_xdata()), np.asarray(line.get_ydata())
        assert np.isnan(y[x == at]).all()
        assert np.isfinite(y[np.nextafter(x, -9) != x][:10]).all()
    relu, _ = curves(plot("relu"))
    assert np.isfinite(relu.get_ydata()).all()  # it has a kink, but no jump


def test_several_activations_are_told_apart_without_colour_too() -> None:
    figure = plot(["sigmoid", gs.tanh, "x*sigmoid(2*x)"], 2)
    drawn = curves(figure)
    assert len(drawn) == 9
    looks = {(line.get_color(), str(line.get_linestyle())) for line in drawn}
    assert len(looks) == 9
    assert [line.get_linestyle() for line in drawn] == ["-", "--", ":"] * 3


def test_the_colours_differ_in_brightness() -> None:
    def brightness(colour: Any) -> float:
        weights = np.array([0.2126, 0.7152, 0.0722])  # of ITU-R BT.709
        return float(np.array(to_rgb(colour)) ** 2.2 @ weights)

    first, second = (brightness(line.get_color()) for line in curves(plot("sigmoid")))
    assert abs(first - second) > 0.03


def test_a_given_axes_is_drawn_into() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert plot("sigmoid", ax=right, title="mine") is figure
    assert not left.lines
    assert right.get_title() == "mine"
    assert right.get_legend() is not None


def test_a_pole_does_not_flatten_the_rest() -> None:
    low, high = axes_of(plot("1/x", 2)).get_ylim()
    assert high - low < 100  # near 0 the second derivative reaches 4,000,000


def test_what_is_not_defined_is_left_out() -> None:
    (value,) = curves(plot("log(x)", 0))
    x, y = np.asarray(value.get_xdata()), np.asarray(value.get_ydata())
    assert np.isnan(y[x <= 0]).all()
    assert np.isfinite(y[x > 0]).all()


def test_further_inputs_stand_at_one() -> None:
    value, _ = curves(plot("glu", wrt="b"))
    x, y = np.asarray(value.get_xdata()), np.asarray(value.get_ydata())
    assert y == pytest.approx(1 / (1 + np.exp(-x)), rel=1e-14)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"order": 5}, "from 0 to 4"),
        ({"order": -1}, "from 0 to 4"),
        ({"order": True}, "from 0 to 4"),
        ({"range": (1, 1)}, "lower first"),
        ({"range": (0, float("inf"))}, "finite"),
        ({"wrt": "z"}, "has no input 'z'"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plot("sigmoid", **arguments)


def test_nothing_to_plot_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to plot"):
        plot([])


def test_neither_pyplot_nor_a_backend_is_touched(tmp_path: Path) -> None:
    program = """
import sys
from gradsmith.show.plot import plot
assert "matplotlib" not in sys.modules
import matplotlib
before = matplotlib.rcParams.copy()
plot("sigmoid", path=sys.argv[1])
assert matplotlib.rcParams.copy() == before
assert "matplotlib.pyplot" not in sys.modules
"""
    file = tmp_path / "plot.png"
    subprocess.run([sys.executable, "-c", program, str(file)], check=True, timeout=120)
    assert file.exists()
