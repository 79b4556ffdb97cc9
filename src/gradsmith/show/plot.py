"""``plot``: an activation and its derivatives in one picture.

The picture must be readable without its caption: a legend that gives the formulas, kinks and
saturation marked, lines told apart by dashes as well as by colours that colour-blind readers
distinguish. It is an object of its own: neither a display nor matplotlib's global state is touched.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from gradsmith.activation import Activation, Resolvable, resolve
from gradsmith.calculus.kinks import Kink
from gradsmith.calculus.properties import SATURATED, Properties, measure_properties
from gradsmith.formula.expression import Call, Expr, Symbol
from gradsmith.formula.latex import to_latex
from gradsmith.formula.vocabulary import where

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = NDArray[np.float64]

# Okabe and Ito, "Color Universal Design" (2008): told apart with every kind of colour vision.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[Any, ...] = ("-", "--", ":", "-.", (0, (8, 3)))
_POINTS = 2001
_WIDEST = 5.2  # inches of the legend that a formula may take, or half of it in two columns
_FUNCTION_AFTER = re.compile(
    r"(?<=[\w})]) (?=\\(?:a?r?c?(?:sin|cos|tan)h?|exp|log|max|min|operat))"
)
_OTHERWISE = {r"\frac": r"\dfrac", r"\le": r"\leq", r"\ge": r"\geq", r"\lnot": r"\neg"}
_FONT = 10
_HEIGHT, _ROW = 4.4, 0.24  # inches of the axes, and of a line of the legend
_TRIMMED = 12.0  # of so many times the range of most values the rest is cut off


def plot(
    activation: Resolvable | Sequence[Resolvable],
    order: int = 1,
    *,
    range: tuple[float, float] = (-8.0, 8.0),
    wrt: str | None = None,
    ax: Axes | None = None,
    path: str | Path | None = None,
    title: str | None = None,
) -> Figure:
    """Draw one or several activations with their derivatives.

    Kinks are marked by dotted lines, with a dot for the derivative that holds at the point by
    convention. Saturated ranges, in which the slope stays below 1 % of the largest one from there
    on outward, are shaded; of several activations they are drawn as bars at the bottom.

    Args:
        activation: an activation, a catalogue name, a formula's text or a function; or several.
        order: the highest derivative to draw, from 0 for none to 4.
        range: the inputs to draw, from and to.
        wrt: the input to vary, the first by default. Parameters stand at their defaults, further
            inputs at 1.
        ax: where to draw; left out, in a new figure.
        path: a file to save the figure to; its ending chooses the format.
        title: a title in place of the default one.

    Returns:
        The figure, new or that of ``ax``.

    Raises:
        FormulaError: a formula cannot be read.
        ValueError: the order or the range cannot be drawn, or an activation has no such input.
    """
    if isinstance(order, bool) or not isinstance(order, int) or not 0 <= order <= 4:
        raise ValueError(f"order must be a whole number from 0 to 4, got {order!r}")
    low, high = (float(end) for end in range)
    if not (isfinite(low) and isfinite(high) and low < high):
        raise ValueError(f"range must be two finite numbers, the lower first, got {range!r}")
    several = isinstance(activation, Sequence) and not isinstance(activation, str)
    things: Sequence[Any] = activation if several else [activation]  # type: ignore[assignment]
    if not things:
        raise ValueError("there is nothing to plot: the sequence of activations is empty")
    widest = _WIDEST / (1 if len(things) == 1 else 2)
    curves = [_Curve(resolve(thing), wrt, order, (low, high), widest) for thing in things]
    if ax is None:
        from matplotlib.figure import Figure as NewFigure

        figure = NewFigure(figsize=(7.2, 4.0), layout="constrained")
        axes = figure.subplots()
    else:
        axes = ax
        figure = axes.figure.figure if hasattr(axes.figure, "figure") else axes.figure  # type: ignore[assignment]
    _draw(axes, curves, title, outside=ax is None)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    x: Values
    y: Values


class _Curve:
    """What is drawn of one activation."""

    def __init__(
        self,
        activation: Activation,
        wrt: str | None,
        order: int,
        ends: tuple[float, float],
        widest: float,
    ) -> None:
        self.variable = activation.inputs[0] if wrt is None else wrt
        if self.variable not in activation.inputs:
            has = ", ".join(activation.inputs)
            raise ValueError(f"{activation} has no input {wrt!r}; it has {has}")
        self.name = activation.name or "f"
        self.defaults = ", ".join(
            f"${to_latex(Symbol(n))}$ = {d:g}" for n, d in activation.parameters.items()
        )
        self.low, self.high = low, high = ends
        self.properties: Properties = measure_properties(activation.formula, self.variable)
        self.kinks: list[Kink] = [k for k in self.properties.kinks if low < k.at < high]
        self.lines = [self._line(activation, k, widest) for k in (0, 1, 2, 3, 4)[: order + 1]]

    @property
    def saturated(self) -> list[tuple[float, float]]:
        """The parts of the range that are saturated."""
        left, right = self.properties.flat_left, self.properties.flat_right
        parts = []
        if left is not None and left > self.low:
            parts.append((self.low, min(left, self.high)))
        if right is not None and right < self.high:
            parts.append((max(right, self.low), self.high))
        return parts

    def _line(self, activation: Activation, order: int, widest: float) -> _Line:
        x = self._places()
        derived = activation.derivative(self.variable, order)
        inputs = [
            torch.from_numpy(x)
            if name == self.variable
            else torch.ones(len(x), dtype=torch.float64)
            for name in activation.inputs
        ]
        y = derived(*inputs).numpy()
        y = np.where(np.isfinite(y), y, nan)
        # A line must not be drawn across a jump.
        for kink in self.kinks:
            at = int(np.searchsorted(x, kink.at))
            jumps = kink.jump != 0 if order == 0 else kink.left != kink.right or order > 1
            if jumps:
                y[at] = nan
        return _Line(self._label(derived, order, widest), x, y)

    def _places(self) -> Values:
        line = np.linspace(self.low, self.high, _POINTS)
        beside = [
            near
            for k in self.kinks
            for near in (np.nextafter(k.at, -np.inf), k.at, np.nextafter(k.at, np.inf))
        ]
        return np.unique(np.concatenate([line, np.array(beside)]))

    def _label(self, derived: Activation, order: int, widest: float) -> str:
        """The formula in mathematical notation, as text where that has none, or only its name."""
        name = to_latex(Symbol(self.name)) if len(self.name) == 1 else _upright(self.name)
        left = f"{name}{chr(39) * order}({to_latex(Symbol(self.variable))})"
        if f"{self.name}({self.variable})" == str(derived.expression):
            return f"${left}$"  # tanh(x) = tanh(x) says nothing
        for lines in _written(left, derived.expression):
            if all(_size(line)[0] <= widest for line in lines):
                return "\n".join(lines)
        return f"${left}$"


def _written(left: str, expression: Expr) -> Iterator[list[str]]:
    """Ways to write ``left`` = ``expression``, the best first, each as lines of mathtext."""
    branches = list(_branches(expression))
    if len(branches) == 1:
        yield [f"${left} = {branches[0]}$"]
        return
    yield [f"${left} = " + r";\;\; ".join(branches) + "$"]
    first, *others = branches
    yield [f"${left} = {first};$", *(f"$\\qquad {branch}$" for branch in others)]


def _branches(expression: Expr) -> Iterator[str]:
    """``value if condition`` for each branch, then what holds elsewhere."""
    while isinstance(expression, Call) and expression.function is where:
        condition, value, expression = expression.args
        yield rf"{_mathtext(value)}\;\mathrm{{if}}\;{_mathtext(condition)}"
        if not (isinstance(expression, Call) and expression.function is where):
            yield rf"\mathrm{{else}}\;{_mathtext(expression)}"
            return
    yield _mathtext(expression)


def _mathtext(expression: Expr) -> str:
    """The formula in what mathtext knows of LaTeX, with fractions at full size."""
    text = _FUNCTION_AFTER.sub(lambda _: "\\,", to_latex(expression))
    for command, other in _OTHERWISE.items():
        text = re.sub(re.escape(command) + r"(?![A-Za-z])", re.escape(other), text)
    return text


def _upright(name: str) -> str:
    plain = re.sub(r"[^\w′ ]", " ", name).strip() or "f"  # what mathtext could take for a command
    return "\\mathrm{" + plain.replace("_", "\\_").replace("′", "'").replace(" ", "\\ ") + "}"


def _size(text: str) -> tuple[float, float]:
    """Width and height of mathtext in inches; infinitely wide where matplotlib cannot draw it."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.mathtext import MathTextParser

    try:
        parsed = MathTextParser("path").parse(text, dpi=72, prop=FontProperties(size=_FONT))
    except ValueError:
        return float("inf"), 0.0
    return parsed.width / 72, (parsed.height + parsed.depth) / 72


def _draw(axes: Axes, curves: Sequence[_Curve], title: str | None, *, outside: bool) -> None:
    single = len(curves) == 1
    for i, curve in enumerate(curves):
        for order, line in enumerate(curve.lines):
            colour = _COLOURS[(order if single else i) % len(_COLOURS)]
            dashes = _DASHES[order]
            axes.plot(line.x, line.y, color=colour, linestyle=dashes, lw=2, label=line.label)
    _fit(axes, curves)
    handles, labels = axes.get_legend_handles_labels()
    marked: dict[str, Any] = {}
    for i, curve in enumerate(curves):
        marked |= _mark_kinks(axes, curve, i, single)
    marked |= _mark_saturation(axes, curves)
    axes.set_xlim(curves[0].low, curves[0].high)
    axes.set_xlabel(curves[0].variable)
    axes.set_ylabel("value, derivative" if len(curves[0].lines) > 1 else "value")
    axes.set_title(_title(curves) if title is None else title, fontsize=_FONT + 2)
    axes.grid(visible=True, color="#D8D8D8", lw=0.6)
    axes.set_axisbelow(True)
    axes.axhline(0, color="#808080", lw=0.8, zorder=1)
    axes.axvline(0, color="#808080", lw=0.8, zorder=1)
    handles += marked.values()
    labels += marked
    if outside:
        figure: Any = axes.figure
        columns = 1 if single else 2
        drawn = [line for label in labels for line in label.split("\n")]
        legend = sum(max(_ROW, _size(line)[1] + _ROW / 2) for line in drawn)
        figure.set_figheight(_HEIGHT + legend / columns)
        place = "outside lower center"
        figure.legend(handles, labels, loc=place, fontsize=_FONT, frameon=False, ncols=columns)
    else:
        axes.legend(handles, labels, fontsize=_FONT - 2)


def _title(curves: Sequence[_Curve]) -> str:
    orders = len(curves[0].lines) - 1
    names = [
        ("the formula" if curve.name == "f" else curve.name)
        + (f" ({curve.defaults})" if curve.defaults else "")
        for curve in curves
    ]
    listed = ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
    if not orders:
        return listed
    whose = "its" if len(curves) == 1 else "their"
    return f"{listed}, with {whose} derivative{'s' if orders > 1 or len(curves) > 1 else ''}"


def _fit(axes: Axes, curves: Sequence[_Curve]) -> None:
    """Limits that a single pole does not decide."""
    y = np.concatenate([line.y[np.isfinite(line.y)] for curve in curves for line in curve.lines])
    if not len(y):
        return
    low, high = np.quantile(y, [0.03, 0.97])
    if np.ptp(y) > _TRIMMED * (high - low) > 0:
        margin = 0.5 * (high - low)
        axes.set_ylim(low - margin, high + margin)
    elif np.ptp(y) == 0:
        axes.set_ylim(y[0] - 1, y[0] + 1)


def _mark_kinks(axes: Axes, curve: _Curve, index: int, single: bool) -> dict[str, Any]:
    """Where the derivative jumps, and the value that it has there."""
    marked: dict[str, Any] = {}
    for kink in curve.kinks:
        dotted = axes.axvline(kink.at, color="#606060", lw=1, linestyle=":", zorder=1.5)
        value = float(np.interp(kink.at, *_finite(curve.lines[0])))
        colour = _COLOURS[0 if single else index % len(_COLOURS)]
        if not kink.jump:
            axes.plot([kink.at], [value], "o", color=colour, ms=5)
        marked["kink" if len(curve.kinks) == 1 else "kinks"] = dotted
        if len(curve.lines) > 1 and isfinite(kink.derivative):
            colour = _COLOURS[1 if single else index % len(_COLOURS)]
            (dot,) = axes.plot([kink.at], [kink.derivative], "o", color=colour, ms=5)
            for side in {kink.left, kink.right} - {kink.derivative}:
                axes.plot([kink.at], [side], "o", color=colour, ms=5, mfc="white")
            marked["derivative at a kink, by convention"] = dot
    return marked


def _finite(line: _Line) -> tuple[Values, Values]:
    kept = np.isfinite(line.y)
    return line.x[kept], line.y[kept]


def _mark_saturation(axes: Axes, curves: Sequence[_Curve]) -> dict[str, Any]:
    from matplotlib.patches import Patch

    label = f"saturated: slope below {SATURATED:.0%} of the largest"
    if len(curves) == 1:
        for low, high in curves[0].saturated:
            axes.axvspan(low, high, color="#000000", alpha=0.07, lw=0, zorder=0)
        return {label: Patch(color="#000000", alpha=0.07)} if curves[0].saturated else {}
    found = False
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom - 0.025 * len(curves) * (top - bottom), top)  # room for the bars
    in_axes: Callable[..., Any] = axes.get_xaxis_transform
    for i, curve in enumerate(curves):
        for low, high in curve.saturated:
            height = 0.015 + 0.02 * i
            axes.plot(
                [low, high],
                [height, height],
                color=_COLOURS[i % len(_COLOURS)],
                lw=4,
                solid_capstyle="butt",
                transform=in_axes(),
            )
            found = True
    return {f"bars: {label}": Patch(color="#808080")} if found else {}
