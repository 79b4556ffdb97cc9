"""Signs of zeros: those of the exact value that underflows, and of the limit at ±0."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradsmith.formula.expression import Symbol
from gradsmith.formula.parse import parse
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import BFLOAT16, FLOAT32, FLOAT64
from gradsmith.numerics.zeros import with_signs

x = Symbol("x")

# The formula; the sign at −0, at +0, far on the left and far on the right, 0 where it is no zero.
# Worked out by hand: of x·Φ(x) the factor Φ(x) > 0 leaves the sign of x.
KNOWN = {
    "x*(1 + erf(x/sqrt(2)))/2": (-1, 1, -1, 0),
    "x*exp(-x**2)": (-1, 1, -1, 1),
    "x**2*exp(-x**2)": (1, 1, 1, 1),
    "-x**2*exp(-x**2)": (-1, -1, -1, -1),
    "x*sin(x) + atan(x)": (-1, 1, 0, 0),
    "x*tanh(log(1 + exp(x)))": (-1, 1, -1, 0),
    "exp(-x**2/2)*(x**3 - 3*x)": (1, -1, -1, 1),
}


@pytest.mark.parametrize("target", [FLOAT64, FLOAT32, BFLOAT16], ids=lambda target: target.name)
@pytest.mark.parametrize("text", KNOWN)
def test_a_zero_has_the_sign_of_what_it_stands_for(text, target):
    stable = stabilise(parse(text).expression, ("x",), {}, target=target).expression
    points = np.array([-0.0, 0.0, -1e30, 1e30, -60.0, 60.0])
    found = target.rounded(interpret(stable, {"x": points}, target.compute).astype(np.float64))
    signs = [int(math.copysign(1, v)) if v == 0 else 0 for v in found.tolist()]
    assert signs[:4] == list(KNOWN[text])
    assert all(sign in (0, far) for sign, far in zip(signs[4:], KNOWN[text][2:], strict=True))


def test_what_is_right_is_left_alone():
    root = parse("x*sigmoid(x)").expression
    stable = stabilise(root, ("x",), {}).expression
    assert with_signs(stable, root, ("x",), {}, FLOAT64) is stable


def test_where_nothing_is_known_nothing_changes():
    """Of a function that is zero on a whole side the sign there means nothing."""
    root = parse("where(x > 0, x, 0)").expression
    assert with_signs(root, root, ("x",), {}, FLOAT64) is root
    two = parse("x*y", inputs=("x", "y")).expression
    assert with_signs(two, two, ("x", "y"), {}, FLOAT64) is two
