"""Tables as numbers of an expression, and the instructions made of them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from gradsmith.formula.expression import Number, Symbol
from gradsmith.formula.vocabulary import abs_, minimum, tabulated
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.tabulated import SIDE, Pieces
from gradsmith.numerics.elementary.words import NOTHING
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.program import F32, F64

# Three roundings of what an exponential in two words leaves of itself, less than 1/16: of r, of
# eʳ − 1, and of the product of that and T. A search over 10⁶ points found as much, rounded up.
RELATIVE = 2.0**-27.3
SHORT = Scheme(F32, Accuracy.SHORT)
WORDS = Scheme(F32, Accuracy.FULL, double_word=True)
X = Symbol("x")
END = float(np.float32(-NOTHING))  # of tables of exponentials of −a
LIMITS = (Fraction(0), Fraction(1)), (Fraction(3, 7), Fraction(-2)), (Fraction(0), Fraction(0))


def constant(limits, flip=1, both=False, value=0.25, other=-0.5, last=4.0, **chosen):
    """T is a number, or one on each side; with ``last`` that goes on."""
    gentle, slanted = chosen.get("gentle", False), chosen.get("slanted", False)
    rate = chosen.get("rate", -1.0)
    count = 2 * SIDE if both else SIDE
    values = [value] * SIDE + [other] * (count - SIDE)
    columns = (tuple(0.5 for _ in range(count)), tuple(values), *[(0.0,) * count] * 4)
    span = -4.0, 4.0
    return Pieces(2, 3.0, last, both, flip, gentle, slanted, limits, rate, 2.0**-4, span, columns)


def of(pieces, root=None):
    a = minimum(abs_(X), Number(END))
    expression = tabulated(X, a, a * Number(-1 / pieces.rate), *map(Number, pieces.numbers()))
    return expression if root is None else root(expression)


def test_numbers_say_all_of_a_table():
    for both in (False, True):
        for chosen in ({}, {"gentle": True}, {"slanted": True}):
            pieces = constant(LIMITS[1], -1, both, **chosen)
            assert Pieces.of_numbers(list(pieces.numbers())) == pieces


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize(("flip", "rate"), [(1, -1.0), (-1, -1.0), (1, -0.5), (-1, -4.0)])
def test_one_table_serves_both_sides(limits, flip, rate):
    program = lower((of(constant(limits, flip, rate=rate)),), {"x": F32}, WORDS, F64)
    xs = np.concatenate([np.linspace(-30, 30, 901), [0.0, -0.0]]).astype(np.float32)
    (computed,) = run(program, xs)
    tail = np.exp(-np.abs(xs.astype(np.float64))) * 0.25
    true = np.where(np.signbit(xs), float(limits[0]) + tail, float(limits[1]) + flip * tail)
    assert np.allclose(computed, true, rtol=RELATIVE, atol=0)


def test_each_side_has_its_own_table():
    program = lower((of(constant(LIMITS[0], both=True)),), {"x": F32}, WORDS, F64)
    xs = np.linspace(-100, 100, 2001).astype(np.float32)
    (computed,) = run(program, xs)
    tail = np.exp(-np.abs(xs.astype(np.float64)))
    true = np.where(xs < 0, -0.5 * tail, 1 + 0.25 * tail)
    assert np.allclose(computed, true, rtol=RELATIVE, atol=0)


def test_every_piece_is_looked_up_in_its_place():
    """A table of the index itself: pieces change where the leading digits of 1 + 3·a do."""
    rows = tuple(float(i + 1) for i in range(2 * SIDE))
    columns = ((0.5,) * 2 * SIDE, rows, *[(0.0,) * 2 * SIDE] * 4)
    span = -99.0, 99.0
    pieces = Pieces(2, 3.0, 0.0, True, 1, False, False, LIMITS[2], -1.0, 2.0**-4, span, columns)
    program = lower((of(pieces),), {"x": F32}, WORDS, F64)
    sizes = np.linspace(0, 4.98, 997).astype(np.float32)
    sums = (1 + 3 * sizes.astype(np.float64)).astype(np.float32)
    octave = np.floor(np.log2(sums))
    piece = 4 * octave + np.floor((sums / 2**octave - 1) * 4)
    for sign, first in ((1, 1), (-1, SIDE + 1)):
        (computed,) = run(program, np.copysign(sizes, np.float32(sign)))
        ratio = computed * np.exp(sizes.astype(np.float64))
        assert np.allclose(ratio, piece + first, rtol=4 * RELATIVE)


def test_leaning_words_make_the_same_products():
    """An infinite factor gives infinity, for both words have the sign of their sum."""
    g = Symbol("g")
    pieces = constant(LIMITS[0], -1)
    program = lower((of(pieces, lambda k: k * g),), {"x": F32, "g": F32}, WORDS, F32)
    xs = np.linspace(-120, 120, 999).astype(np.float32)
    for factor in (np.inf, -np.inf):
        (computed,) = run(program, xs, np.full_like(xs, factor))
        assert np.array_equal(computed, np.full_like(xs, factor))
    ones = run(program, xs, np.ones_like(xs))[0]
    tail = np.exp(-np.abs(xs.astype(np.float64))) * 0.25
    true = np.where(xs < 0, tail, 1 - tail)
    normal = true > 2.0**-126
    errors = np.abs(ones - true)[normal] / np.spacing(true[normal].astype(np.float32))
    assert errors.max() <= 0.6


def line(limits, flip):
    """T is −a/4, and the asymptotes multiples of x."""
    flat = constant(limits, flip, value=0.0, slanted=True)
    places, values, _, *others = flat.columns
    slopes = (-0.25,) * len(places)
    return replace(flat, columns=(values, values, slopes, *others))


@pytest.mark.parametrize(
    ("limits", "flip"),
    [((0, 1), 1), ((0, 1), -1), ((1, 0), -1), ((0, 0), -1), ((Fraction(1, 2), 2), 1)],
)
def test_beside_a_line_every_number_has_its_sign_and_its_digits(limits, flip):
    """At ±0, at both infinities and from 2⁻¹⁴⁹ to 2¹²⁷."""
    pieces = line(tuple(map(Fraction, limits)), flip)
    sizes = np.ldexp(1.2345, np.arange(-149, 128))
    xs = np.concatenate([-sizes, [-0.0, 0.0], sizes]).astype(np.float32)
    wide = xs.astype(np.float64)
    tail = -np.abs(wide) * np.exp(-np.abs(wide)) / 4
    true = np.where(
        np.signbit(xs), wide * float(limits[0]) + tail, wide * float(limits[1]) + flip * tail
    )
    program = lower((of(pieces),), {"x": F32}, WORDS, F32)
    (computed,) = run(program, xs)
    assert np.array_equal(np.signbit(computed), np.signbit(xs))
    with np.errstate(over="ignore"):
        finite = np.isfinite(true.astype(np.float32))
        units = np.maximum(np.spacing(np.abs(true).astype(np.float32)), 2.0**-149)
    # Subnormal results are rounded twice.
    assert (np.abs(computed - true) / units)[finite].max() <= 0.76
    ends = run(program, np.array([-np.inf, np.inf, np.nan], np.float32))[0]
    assert np.isnan(ends[2])
    for end, limit, sign in zip(ends, limits, (-1, 1), strict=False):
        assert end == (sign * np.inf if limit else 0)
        assert np.signbit(end) == (sign < 0)


def test_beside_a_line_one_word_keeps_the_sign_of_zero():
    program = lower((of(line((Fraction(0), Fraction(1)), 1)),), {"x": F32}, SHORT, F32)
    (computed,) = run(program, np.array([-0.0, 0.0], np.float32))
    assert np.array_equal(np.signbit(computed), [True, False])


def test_where_nothing_is_left_of_the_exponential_a_large_factor_finds_nothing():
    g = Symbol("g")
    for gentle in (False, True):
        pieces = constant(LIMITS[0], -1, gentle=gentle, value=-0.25)
        program = lower((of(pieces, lambda k: k * g),), {"x": F32, "g": F32}, WORDS, F32)
        xs = np.array([-133.0, -1e4, -np.inf], np.float32)
        (computed,) = run(program, xs, np.full_like(xs, 1e38))
        assert np.array_equal(computed, [0, 0, 0])
        assert np.signbit(computed).all()
