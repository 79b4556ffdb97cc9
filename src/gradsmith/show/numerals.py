"""Numbers as people write them: a real minus sign, powers of ten, no more digits than are read."""

from __future__ import annotations

import math

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def raised(exponent: int) -> str:
    """An exponent, as in 10⁻⁴."""
    return str(exponent).translate(_RAISED)


def number(value: float, digits: int = 4) -> str:
    """``value`` to so many significant digits; from 10⁻³ to 10⁴ without a power of ten."""
    if math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if value == 0 or 1e-3 <= abs(value) < 1e4:
        places = max(
            digits, len(str(int(abs(value))))
        )  # 6548, not 6.5·10³, at any number of digits
        text = f"{value:.{places}g}"
    else:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        if "." in mantissa:
            mantissa = mantissa.rstrip("0").rstrip(".")
        power = f"10{raised(int(exponent))}"
        text = {"1": power, "-1": f"-{power}"}.get(mantissa, f"{mantissa}·{power}")
    return text.replace("-", "−")


def share(value: float | None) -> str:
    """A percentage; a dash where there is none."""
    return "—" if value is None else f"{value:.0%}"
