"""Constants go into a choice where that takes no more products, and nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.formula.expression import Expr, Number, Symbol
from gradsmith.formula.vocabulary import LT, abs_, exp, where
from gradsmith.numerics.constants_inward import constants_inward
from gradsmith.numerics.interpret import interpret

x = Symbol("x")
POSITIVE = LT(Number(0), x)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (3 * where(POSITIVE, x, 2 * exp(x)), where(POSITIVE, 3 * x, 6 * exp(x))),
        (where(POSITIVE, 1, exp(x)) * 3, where(POSITIVE, 3, 3 * exp(x))),
        (2 * where(POSITIVE, x, -exp(x) / 2), where(POSITIVE, 2 * x, -exp(x))),
        (
            5 * where(POSITIVE, where(LT(1, x), 7, 2 * x), 3 * exp(x)),
            where(POSITIVE, where(LT(1, x), 35, 10 * x), 15 * exp(x)),
        ),
        # One more product than before.
        (3 * where(POSITIVE, x, exp(x)), 3 * where(POSITIVE, x, exp(x))),
        (3 * where(POSITIVE, x, -exp(x)), 3 * where(POSITIVE, x, -exp(x))),
        # 0 times infinity is NaN.
        (0 * where(POSITIVE, x, 2 * x), 0 * where(POSITIVE, x, 2 * x)),
    ],
)
def test_where_products_are_not_more(given: Expr, expected: Expr) -> None:
    assert constants_inward(given) is expected


constants = st.sampled_from([-3, -1, 1, 2, 5]).map(Number)
leaves = st.one_of(constants, st.just(x), st.just(abs_(x)))
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: where(POSITIVE, a, b), inner, inner),
        st.builds(lambda c, a: c * a, constants, inner),
    ),
    max_leaves=8,
)


@given(trees)
@settings(max_examples=300, derandomize=True)
def test_the_value_is_the_same(tree: Expr) -> None:
    at = {"x": np.array([-2.0, -0.5, 0.0, 1.0, 3.0])}
    # Products of few digits are exact in either order.
    np.testing.assert_array_equal(interpret(constants_inward(tree), at), interpret(tree, at))
