"""A choice by the sign that only kept an exponential small is spared, and the function is the same.

Oracle: the stable form itself, in float64; what is chosen is measured against exact values.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.formula.expression import Call, walk
from gradsmith.formula.parse import parse
from gradsmith.formula.vocabulary import where
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.ladder import SHORT64, choose
from gradsmith.numerics.one_sided import one_sided
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import FLOAT32

HELD = 128
UNIT = 2.0**-53
FAR = 60
# Both forms round up to eight times after their exponentials, each of which is within 1 ULP and may
# have an exponent that was rounded: that of 2·60 + 1 by as many units.
RELATIVE, ABSOLUTE = (2 * FAR + 1 + 8 + 8 + 4) * UNIT, 8 * UNIT
SMALL = "exp(-abs({u}))"
TWO_SIDED = {
    "logistic": "where({u} >= 0, 1, {t})/(1 + {t})",
    "mish": "where({u} > 0, (1 + 2*{t})/(1 + (2 + 2*{t})*{t}), {t}*(2 + {t})/(2 + (2 + {t})*{t}))",
    "tanh": "where(0 < {u}, (1 - {t})/(1 + {t}), ({t} - 1)/(1 + {t}))",
    "slower": "where({u} > 0, 1/(1 + {s}), {s}/(1 + {s}))",
    "opposite": "where(-{u} <= 0, 1/(1 + {t}), {t}/(1 + {t}))",
}
ARGUMENTS = ["x", "-x", "2*x - 1", "min(x, 7)", "max(min(x, 200), -90)"]
KEPT = [
    "where(x > 0, x, 0) + log(1 + exp(-abs(x)))",  # no branch has the exponential
    "where(x > 1, 1, exp(-abs(x)))",  # by another place
    "where(y > 0, 1, exp(-abs(x)))",  # by another number
    "where(x > 0, x, exp(x))",  # no size in the exponent
    "exp(-abs(x))/(1 + exp(-abs(x)))**2",
]


def expression(text):
    return parse(text, {}, ["x", "y"]).expression


def written(name, u):
    small = SMALL.format(u=f"({u})")
    return TWO_SIDED[name].format(u=f"({u})", t=small, s=small.replace("-abs", "-0.2*abs"))


def choices(root):
    return sum(isinstance(node, Call) and node.function is where for node in walk(root))


@pytest.mark.parametrize("u", ARGUMENTS)
@pytest.mark.parametrize("name", TWO_SIDED)
def test_the_function_is_the_same_as_far_as_the_exponential_goes(name, u):
    root = expression(written(name, u))
    forms = list(one_sided(root, HELD))
    assert len(forms) == 2
    assert choices(root) == 1
    xs = np.linspace(-FAR, FAR, 2401)
    expected = interpret(root, {"x": xs})
    for form in forms:
        assert choices(form) == 0
        # Of what is subtracted from 1 only the digits of 1 count: t − 1 is eᵘ − 1.
        found = interpret(form, {"x": xs})
        np.testing.assert_allclose(found, expected, rtol=RELATIVE, atol=ABSOLUTE)


@pytest.mark.parametrize("name", ["logistic", "mish"])
def test_no_exponential_is_infinite_and_limits_are_reached(name):
    root = expression(written(name, "x"))
    decaying, _ = one_sided(root, HELD)
    xs = np.array([-700.0, -200.0, 1e3, 1e30, 1e300, np.inf])
    with np.errstate(over="raise", invalid="raise"):
        found = interpret(decaying, {"x": xs})
    np.testing.assert_allclose(found, interpret(root, {"x": xs}), rtol=RELATIVE, atol=0)
    assert np.isnan(interpret(decaying, {"x": np.array([np.nan])})).all()


def test_what_is_bounded_is_not_held_again():
    root = expression(written("logistic", "min(x, 7)"))
    decaying, growing = one_sided(root, HELD)
    assert str(HELD) not in str(decaying)
    assert str(HELD) in str(growing)


@pytest.mark.parametrize("text", KEPT)
def test_where_none_is_spared_there_is_no_such_form(text):
    assert list(one_sided(expression(text), HELD)) == []


@settings(max_examples=15, deadline=None, derandomize=True)
@given(scale=st.decimals("0.2", "4", places=2))
def test_float64_takes_it_for_a_gate(scale):
    """The choice of the stable form is not in what is computed."""
    formula = parse(f"x*tanh(log(1 + exp({scale}*x)))")
    found = stabilise(formula.expression, formula.arguments, formula.parameters, target=FLOAT32)
    way = choose(found)
    assert way.scheme is SHORT64
    assert way.error <= FLOAT32.budget
    assert choices(way.stable.expression) < choices(found.expression)
