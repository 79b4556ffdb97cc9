"""Figures as images that a page carries inside it, in colours for light and for dark pages."""

from __future__ import annotations

import io
from base64 import b64encode
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GREY = 0.12  # the channels of a colour at most so far apart: it is ink or paper, not a line's
_INK, _PAPER = 0.9, 0.08  # what black and white become
_LIGHTER = 0.3  # of the way to white for the lines


def light_and_dark(figure: Figure) -> tuple[str, str]:
    """The figure as two ``data:`` addresses; its own colours are changed for the second."""
    light = _address(figure)
    _darken(figure)
    return light, _address(figure)


def _address(figure: Figure) -> str:
    import matplotlib

    buffer = io.BytesIO()
    # The salt and the missing date make the same figure the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "gradsmith", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return f"data:image/svg+xml;base64,{b64encode(buffer.getvalue()).decode('ascii')}"


def _darken(figure: Figure) -> None:
    """Black becomes light, white dark, and the colours of the lines lighter."""
    for artist in figure.findobj():
        for name in ("color", "facecolor", "edgecolor", "markerfacecolor", "markeredgecolor"):
            get, set_ = (getattr(artist, f"{verb}_{name}", None) for verb in ("get", "set"))
            if get is not None and set_ is not None:
                set_(_turned(get()))


def _turned(colour: Any) -> Any:
    from matplotlib.colors import to_rgba, to_rgba_array

    if isinstance(colour, str) and colour in ("none", "auto"):
        return colour
    several = to_rgba_array(colour)
    if len(several) != 1:
        return [_turned(tuple(one)) for one in several] or colour
    red, green, blue, opacity = to_rgba(tuple(several[0]))
    if max(red, green, blue) - min(red, green, blue) > _GREY:
        return (*(c + (1 - c) * _LIGHTER for c in (red, green, blue)), opacity)
    grey = _INK + (_PAPER - _INK) * (red + green + blue) / 3
    return (grey, grey, grey, opacity)
