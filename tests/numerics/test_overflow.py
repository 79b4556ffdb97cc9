"""Where functions leave the range of float32; a way that is infinite too soon is not taken."""

from __future__ import annotations

import numpy as np
import pytest

from gradsmith.formula.parse import parse
from gradsmith.numerics.ladder import WORDS32, choose
from gradsmith.numerics.overflow import ends_of_range
from gradsmith.numerics.stabilise import stabilise
from gradsmith.numerics.target import FLOAT32
from gradsmith.numerics.trial import measured

LARGEST = float(np.finfo(np.float32).max)
AT = np.concatenate([-np.exp2(np.arange(-10.0, 127.5)), np.exp2(np.arange(-10.0, 127.5))])


@pytest.mark.parametrize(
    ("function", "ends"),
    [
        (np.exp, [np.log(LARGEST)]),
        (lambda x: x * x, [-np.sqrt(LARGEST), np.sqrt(LARGEST)]),
        (lambda x: 1.25 * x, [-0.8 * LARGEST, 0.8 * LARGEST]),
        (lambda x: 0.5 * x, []),
        (lambda x: 1 / (x - 3), []),
        (lambda x: np.where(x > 100, np.nan, np.exp(x)), [np.log(LARGEST)]),
    ],
)
def test_ends_are_found_with_what_is_beside_them(function, ends):
    with np.errstate(all="ignore"):
        found = ends_of_range(function, AT, LARGEST)
    assert found.size == 7 * len(ends)
    for end in ends:
        near = np.float32(end)
        beside = [near, np.nextafter(near, np.float32(0)), np.nextafter(near, np.float32(np.inf))]
        assert np.isin(np.float64(beside), found).all()


def test_a_first_word_that_is_infinite_too_soon_is_noticed():
    """Between 3.2386221e38 and the next float32 its product with 1.0507… is out of range."""
    formula = parse("1.0507009873554805*x - exp(-abs(x))").expression
    found = stabilise(formula, ("x",), {}, target=FLOAT32)
    assert measured(found, WORDS32) == np.inf
    assert choose(found, alone=True).scheme is not WORDS32
