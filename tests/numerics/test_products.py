"""Products of several numbers in two words, where only the whole is in range.

Oracle: exact rational arithmetic, and ball arithmetic.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.parse import parse
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.program import F32
from tests.numerics.accuracy import float32_errors

WORDS = Scheme(F32, Accuracy.FULL, double_word=True)


@pytest.mark.parametrize("factors", [2, 3])
def test_an_exponential_kept_apart_overflows_no_sooner_than_the_product(factors):
    """exp(−|t|) is held times 2⁶⁴, which must go before the others make it overflow."""
    names = "abc"[:factors]
    text = "*".join(("exp(-abs(t))", *names))
    root = parse(text, inputs=("t", *names)).expression
    program = lower((root,), dict.fromkeys(("t", *names), F32), WORDS, F32)
    rng = np.random.default_rng(2)
    count = 4000
    t = rng.choice([0.0, 2.0**-30], count).astype(np.float32)  # exp is 1, or close to it
    given = [
        np.ldexp(rng.uniform(1, 2, count), rng.integers(0, 64, count)).astype(np.float32)
        for _ in names
    ]
    (computed,) = run(program, t, *given)
    largest = Fraction(float(np.finfo(np.float32).max))
    for value, small, *sizes in zip(computed.tolist(), t.tolist(), *given, strict=True):
        exact = Fraction(1) - Fraction(small)
        for size in sizes:
            exact *= Fraction(float(size))
        if exact > largest * (1 + Fraction(1, 2**25)):
            assert value == np.inf
        elif 2.0**-120 < exact < largest:
            assert abs(Fraction(value) / exact - 1) < Fraction(1, 2**23)


@pytest.mark.parametrize(
    "text",
    [
        "exp(-abs(s))*exp(-abs(t))",
        "exp(-abs(t))*exp(-abs(s))",
        "erfc(s)*(1/(1 + exp(-abs(t)))*exp(-abs(t)))",
        "exp(-abs(s))*(1/(1 + exp(-abs(t)))*exp(-abs(t)))",
    ],
)
def test_of_two_numbers_kept_apart_the_smaller_one_stays_so(text):
    """Each may be so small that its second word is lost in the range of float32."""
    root = parse(text, inputs=("s", "t")).expression
    program = lower((root,), {"s": F32, "t": F32}, WORDS, F32)
    rng = np.random.default_rng(4)
    small, large = rng.uniform(60, 86, 1500), rng.uniform(-2, 0.7, 1500)
    if "erfc" not in text:
        small, large = np.append(small, large), np.append(large, small)
    s, t = (column.astype(np.float32) for column in (large, small))
    (computed,) = run(program, s, t)
    exact = Evaluator(root, ("s", "t"))
    trues = [exact(*at) for at in zip(s.tolist(), t.tolist(), strict=True)]
    normal = np.array([abs(float(true.mid())) > 2.0**-125 for true in trues])
    assert float32_errors(computed, trues)[normal].max() <= 0.56
