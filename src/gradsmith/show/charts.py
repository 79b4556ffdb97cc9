"""Small line charts as SVG for a page: text that can be read and found, colours from its style.

Lines differ in dashes as well as in colour, and each is labelled where it ends.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from gradsmith.show.numerals import raised

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 104, 10, 42
_LINE = 15  # height of a label
_MOST_TICKS = 5
_LABEL = 10  # characters of a label that fit


@dataclass(frozen=True, slots=True)
class Series:
    """One line: a label and its values, at 1, 2, 3, … or from ``first`` on."""

    label: str
    values: tuple[float, ...]
    first: int = 1


def log_chart(
    name: str,
    title: str,
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    markers: bool = False,
) -> str:
    """An ``svg`` element with a logarithmic vertical axis.

    Args:
        name: prefix of the ids in it, unique on the page.
        title: what it shows, for those who cannot see it.
        series: at most six lines; values that are not positive and finite leave gaps.
        x_label: what runs along the horizontal axis.
        y_label: what runs along the vertical axis.
        markers: whether each value gets a dot.
    """
    drawable = [v for s in series for v in s.values if _is_drawable(v)]
    if not drawable:
        return ""
    low, high = math.floor(math.log10(min(drawable))), math.ceil(math.log10(max(drawable)))
    high = max(high, low + 1)
    last = max(s.first + len(s.values) - 1 for s in series)
    first = min(s.first for s in series)
    plot = _Plot(first, max(last, first + 1), low, high)
    parts = [
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title"><title id="{name}-title">{escape(title)}</title>',
        *plot.axes(x_label, y_label),
        *(plot.line(i, s, markers) for i, s in enumerate(series)),
        *plot.labels(series),
        "</svg>",
    ]
    return "".join(parts)


def _is_drawable(value: float) -> bool:
    return math.isfinite(value) and value > 0


@dataclass(frozen=True, slots=True)
class _Plot:
    """From values to places: x from ``first`` to ``last``, y from 10^low to 10^high."""

    first: int
    last: int
    low: int
    high: int

    def x(self, value: float) -> float:
        return _LEFT + (value - self.first) / (self.last - self.first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)

    def axes(self, x_label: str, y_label: str) -> list[str]:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        step = -(-(self.high - self.low) // _MOST_TICKS)
        found = []
        for exponent in range(self.low, self.high + 1, step):
            y = self.y(10.0**exponent)
            found.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
            found.append(_text(_LEFT - 8, y + 4, _power(exponent), "end"))
        for value in self._places():
            x = self.x(value)
            found.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
            found.append(_text(x, bottom + 17, str(value), "middle"))
        middle = (_TOP + bottom) / 2
        found.append(_text((_LEFT + right) / 2, _HEIGHT - 6, x_label, "middle"))
        turned = f'transform="rotate(-90 14 {middle:.1f})"'
        found.append(_text(14, middle, y_label, "middle", turned))
        return found

    def _places(self) -> list[int]:
        span = self.last - self.first
        if span <= _MOST_TICKS:
            return list(range(self.first, self.last + 1))
        step = next(
            s * 10**k for k in range(9) for s in (1, 2, 5) if span <= _MOST_TICKS * s * 10**k
        )
        start = -(-self.first // step) * step
        return list(range(start, self.last + 1, step))

    def line(self, index: int, series: Series, markers: bool) -> str:
        points = [
            (self.x(series.first + i), self.y(v)) if _is_drawable(v) else None
            for i, v in enumerate(series.values)
        ]
        path, pen_down = "", False
        for point in points:
            if point is not None:
                path += f"{'L' if pen_down else 'M'}{point[0]:.1f} {point[1]:.1f}"
            pen_down = point is not None
        drawn = f'<path class="line s{index}" d="{path}"/>' if path else ""
        if markers:
            dots = (p for p in points if p is not None)
            drawn += "".join(
                f'<circle class="dot s{index}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in dots
            )
        return drawn

    def labels(self, series: Sequence[Series]) -> list[str]:
        """Each line's label beside its last point, moved apart where they would overlap."""
        ends = []
        for index, s in enumerate(series):
            values = [v for v in s.values if _is_drawable(v)]
            if values:
                ends.append((self.y(values[-1]), index, s.label))
        ends.sort()
        placed: list[float] = []
        for y, _, _ in ends:
            placed.append(max(y, placed[-1] + _LINE) if placed else y)
        overflow = max(0.0, placed[-1] - (_HEIGHT - _BOTTOM)) if placed else 0.0
        x = _WIDTH - _RIGHT + 8
        return [
            f'<path class="line s{index}" d="M{x} {y - overflow:.1f}h16"/>'
            + _text(x + 20, y - overflow + 4, _shortened(label), "start")
            for y, (_, index, label) in zip(placed, ends, strict=True)
        ]


def _text(x: float, y: float, text: str, anchor: str, extra: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{escape(text)}</text>'


def _power(exponent: int) -> str:
    if -3 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return f"10{raised(exponent)}"


def _shortened(label: str) -> str:
    return label if len(label) <= _LABEL else label[: _LABEL - 1] + "…"
