"""sin, cos, tan and atan: errors in ULP with atol 0, special values, symmetry, coefficients.

Oracle: ball arithmetic with 1400 bits, so that any float64 is reduced exactly. The limits are what
a search over 10⁶ points and more found, rounded up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import inf, nan, pi

import numpy as np
import pytest
from flint import arb, ctx

from gradsmith.numerics.builder import Value
from gradsmith.numerics.elementary import turns
from gradsmith.numerics.elementary.accuracy import Accuracy
from gradsmith.numerics.elementary.circular import atan, cos, sin, tan
from gradsmith.numerics.elementary.coefficients import circular as data
from gradsmith.numerics.elementary.polynomial import Fit
from gradsmith.numerics.program import F64
from tests.numerics.elementary import oracle
from tests.numerics.elementary.measured import SEED, Floats, computed, written

Elementary = Callable[..., Value]
PERIODIC: tuple[Elementary, ...] = (sin, cos, tan)
EXACT = {sin: oracle.sin, cos: oracle.cosine, tan: oracle.tan, atan: oracle.atan}
CLAIMED = {
    # function: ULP in float64, ULP in float32
    "sin": (0.76, 0.76),
    "cos": (0.76, 0.76),
    "tan": (0.95, 0.95),
    "atan": (1.00, 1.00),
}
# Where the words that matter change: 2⁵³ʲ⁻¹ and 2²⁴ʲ⁻¹, and those of the short variant.
EDGES = {
    np.float64: [2.0 ** (53 * j - 1) for j in range(20)],
    np.float32: [2.0 ** (24 * j - 1) for j in range(6)],
}
SHORT_EDGES = [2.0**52, 2.0**80, 2.0**108, turns.QUICKLY_UP_TO]
HARDEST = 6381956970095103 * 2.0**797
"""The float64 closest to a multiple of π/2, some 2⁻⁶¹ away (Muller: "Elementary Functions")."""


def closest_to_multiples(dtype: type) -> Floats:
    """Numbers as close to multiples of π/2 as any of their exponent.

    m·2ᵉ is close to one where m·(2ᵉ·2/π) is close to an integer; the best such m are the
    denominators of the continued fraction of 2ᵉ·2/π.
    """
    digits, last = (53, 971) if dtype is np.float64 else (24, 104)
    with ctx.workprec(2700):
        numerator = int((arb(2) ** 2601 / arb.pi()).floor().unique_fmpz())
    found = []
    for exponent in range(2 - digits, last + 1):
        above = 1 << (2600 + digits)
        below = (numerator << (exponent + digits)) % above
        m, before = 1, 0
        while below:
            quotient, rest = divmod(above, below)
            above, below = below, rest
            m, before = quotient * m + before, m
            if m >= 2**digits:
                break
            found.append(m * 2.0**exponent)
    assert dtype is np.float32 or HARDEST in found
    return np.array(found, dtype)


def points(dtype: type, count: int = 20_000) -> Floats:
    """Numbers of all sizes, and close to multiples of π/2 and their halves."""
    rng = np.random.default_rng(SEED)
    several = count // 8
    groups = [oracle.any_bits(3 * several, dtype, rng)]
    groups += [rng.uniform(-size, size, several).astype(dtype) for size in (0.8, 3, 30, 1e5)]
    groups.append(rng.uniform(0.95, 1.3, several).astype(dtype))  # around atan's change
    signs = rng.choice([-1.0, 1.0], several)
    groups.append((signs * np.exp2(rng.uniform(-60, 0, several))).astype(dtype))
    multiples = np.concatenate([np.arange(200), 2.0 ** np.arange(8, 50)]) * (pi / 4)
    groups.append(oracle.beside([*multiples, 0.5, 1.0, *EDGES[dtype]], dtype))
    return np.concatenate(groups)


def name_of(function: Elementary) -> str:
    return function.__name__


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("function", EXACT, ids=name_of)
def test_in_full(function: Elementary, dtype: type) -> None:
    error, at = oracle.worst_in_ulp(function, EXACT[function], points(dtype))
    assert error <= CLAIMED[function.__name__][dtype is np.float32], at


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("function", PERIODIC, ids=name_of)
def test_closest_to_multiples_of_a_quarter_turn(function: Elementary, dtype: type) -> None:
    every = closest_to_multiples(dtype)
    x = np.append(every[:: 1 + every.size // 6000], dtype(HARDEST) if dtype is np.float64 else 1)
    error, at = oracle.worst_in_ulp(function, EXACT[function], x.astype(dtype))
    assert error <= CLAIMED[function.__name__][dtype is np.float32], at


@pytest.mark.parametrize("function", EXACT, ids=name_of)
def test_float64_for_a_float32_result(function: Elementary) -> None:
    # Any float32, and the hardest of them; of other numbers, those a moderate distance away.
    x = np.concatenate([points(np.float32), closest_to_multiples(np.float32)]).astype(np.float64)
    error, at = oracle.worst_relative(function, EXACT[function], x)
    assert error <= 2.0**-38, at
    others = points(np.float64)
    others = np.concatenate([others, oracle.beside(SHORT_EDGES[:-1], np.float64)])
    others = others[np.abs(others) < turns.QUICKLY_UP_TO]
    near = np.array([abs(float(oracle.tan(float(v)))) for v in others])
    others = others[(near > 2.0**-36) & (near < 2.0**36) | (np.abs(others) < 1)]
    error, at = oracle.worst_relative(function, EXACT[function], others)
    assert error <= 2.0**-38, at


@pytest.mark.parametrize("function", [sin, cos], ids=name_of)
def test_the_short_variant_loses_only_what_is_tiny(function: Elementary) -> None:
    x = closest_to_multiples(np.float64)
    x = x[x < turns.QUICKLY_UP_TO]
    values = computed(function, Accuracy.SHORT, x)
    for at, y in zip(x, values, strict=True):
        true = EXACT[function](float(at))
        apart = abs(float(arb(float(y)) - true))
        assert apart <= max(2.0**-73, 2.0**-38 * abs(float(true))), at


@pytest.mark.parametrize("function", PERIODIC, ids=name_of)
def test_the_short_variant_says_where_it_ends(function: Elementary) -> None:
    last = turns.QUICKLY_UP_TO
    x = np.array([np.nextafter(last, 0.0), last, 1e300, -last])
    assert np.isnan(computed(function, Accuracy.SHORT, x)).tolist() == [False, True, True, True]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("function", EXACT, ids=name_of)
def test_symmetry_is_exact(function: Elementary, accuracy: Accuracy, dtype: type) -> None:
    x = points(dtype, 4000)
    if accuracy is Accuracy.SHORT and dtype is np.float64:
        x = x[np.abs(x) < turns.QUICKLY_UP_TO]
    plus, minus = computed(function, accuracy, x), computed(function, accuracy, -x)
    if function is cos:
        assert np.array_equal(plus, minus)
    else:
        assert np.array_equal(plus, -minus)
        small = np.abs(x) < 1
        assert np.array_equal(np.signbit(plus[small]), np.signbit(x[small]))


VALUES = {
    sin: {0.0: 0.0, inf: nan, -inf: nan},
    cos: {0.0: 1.0, inf: nan, -inf: nan},
    tan: {0.0: 0.0, inf: nan, -inf: nan},
    atan: {0.0: 0.0, inf: pi / 2, -inf: -pi / 2, 1e30: pi / 2, -1e30: -pi / 2},
}


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("function", VALUES, ids=name_of)
def test_special_values(function: Elementary, accuracy: Accuracy, dtype: type) -> None:
    table = VALUES[function] | {nan: nan}
    x, expected = (np.array(list(column), dtype) for column in (table, table.values()))
    values = computed(function, accuracy, x)
    number = ~np.isnan(expected)
    assert np.array_equal(np.isnan(values), ~number)
    apart = np.abs(values[number] - expected[number])
    short = accuracy is Accuracy.SHORT and dtype is np.float64
    assert (apart <= (2.0**-38 if short else 0.0)).all()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("accuracy", Accuracy)
@pytest.mark.parametrize("function", [sin, tan, atan], ids=name_of)
def test_zeros_keep_their_sign(function: Elementary, accuracy: Accuracy, dtype: type) -> None:
    values = computed(function, accuracy, np.array([0.0, -0.0], dtype))
    assert np.array_equal(values, [0.0, 0.0])
    assert np.array_equal(np.signbit(values), [False, True])


@pytest.mark.parametrize("function", [sin, tan, atan], ids=name_of)
def test_subnormal_arguments_are_kept(function: Elementary) -> None:
    x = np.array([5e-324, -5e-324, 2.2250738585072014e-308, 1.5e-310])
    assert np.array_equal(computed(function, Accuracy.FULL, x), x)
    near = np.array([1e-45, -1e-45, 1e-40, 1.1754944e-38], np.float32)
    assert np.array_equal(computed(function, Accuracy.FULL, near), near)


def test_the_short_variants_are_short() -> None:
    for function, limit in {sin: 54, cos: 55, tan: 62, atan: 28}.items():
        assert written(function, Accuracy.SHORT, F64).count() <= limit, function.__name__
    for function in EXACT:
        assert written(function, Accuracy.FULL, F64).count() <= 200, function.__name__


def test_the_digits_of_a_turn() -> None:
    with ctx.workprec(1500):
        digits = arb(2) ** turns._DIGIT_COUNT / (2 * arb.pi())
        assert int(digits.floor().unique_fmpz()) == turns._DIGITS


def root(f: Callable[[arb], arb], scale: float = 1.0) -> Callable[[arb], arb]:
    """f(x)/x in terms of x², or f(π·scale·x)/x."""

    def wanted(t: arb) -> arb:
        x = t.sqrt()
        return f(x if scale == 1.0 else arb.pi() * scale * x) / x

    return wanted


Approximation = tuple[Fit, Callable[[arb], arb], Callable[[arb, arb], arb]]


def odd(fit: Fit, f: Callable[[arb], arb]) -> Approximation:
    return fit, root(f), lambda t, p: 1 + t * p


def even(fit: Fit) -> Approximation:
    return fit, lambda t: t.sqrt().cos(), lambda t, p: 1 - t / 2 + t * t * p


FITS: dict[str, Approximation] = {
    "SIN_F64": odd(data.SIN_F64, arb.sin),
    "SIN_F32": odd(data.SIN_F32, arb.sin),
    "COS_F64": even(data.COS_F64),
    "COS_F32": even(data.COS_F32),
    "ATAN_F64": odd(data.ATAN_F64, arb.atan),
    "ATAN_F32": odd(data.ATAN_F32, arb.atan),
    "ATAN_SHORT": (data.ATAN_SHORT, root(arb.atan), lambda t, p: p),
    "SIN_SHORT": (
        data.SIN_SHORT,
        lambda t: (arb.pi() * t.sqrt()).sin() / t.sqrt(),
        lambda t, p: p,
    ),
    "SIN_QUARTER_SHORT": (data.SIN_QUARTER_SHORT, root(arb.sin, 0.5), lambda t, p: p),
    "COS_QUARTER_SHORT": (
        data.COS_QUARTER_SHORT,
        lambda t: (arb.pi() / 2 * t.sqrt()).cos(),
        lambda t, p: p,
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_the_error_of_a_fit_is_the_stated_one(name: str) -> None:
    fit, *approximation = FITS[name]
    assert fit.error / 2 <= oracle.error_of_fit(fit, *approximation) <= fit.error


@pytest.mark.parametrize("name", FITS)
def test_a_last_digit_of_a_leading_coefficient_matters(name: str) -> None:
    fit, *approximation = FITS[name]
    # SHORT has digits to spare: there it is the last of those that its accuracy needs.
    digits = 38 if name.endswith("SHORT") else 51 if name.endswith("F64") else 22
    for sign in (-1, 1):
        first, *others = fit.coefficients
        changed = replace(fit, coefficients=(first * (1 + sign * 2.0**-digits), *others))
        assert oracle.error_of_fit(changed, *approximation) > fit.error


def test_every_fit_is_listed() -> None:
    assert {name for name, value in vars(data).items() if isinstance(value, Fit)} == set(FITS)


def test_the_parts_of_a_right_angle() -> None:
    with ctx.workprec(300):
        for high, low, digits in (
            (data.HALF_PI_F64_HIGH, data.HALF_PI_F64_LOW, 53),
            (data.HALF_PI_F32_HIGH, data.HALF_PI_F32_LOW, 24),
        ):
            rest = arb.pi() / 2 - arb(high)
            assert abs(rest) < arb(2) ** -digits
            assert abs(rest - arb(low)) < arb(2) ** (-2 * digits)


def test_the_script_makes_these_coefficients() -> None:
    if not oracle.SCRIPTS.exists():
        pytest.skip("needs the source tree")
    assert oracle.is_what_the_script_makes("circular")
