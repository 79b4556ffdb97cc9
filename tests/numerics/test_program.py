"""Programs: what is written is what runs, to the last bit, against exact rational arithmetic."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradsmith.numerics.builder import (
    Builder,
    bits,
    convert,
    equal,
    fma,
    maximum,
    minimum,
    rint,
    round_to_odd,
    select,
    sqrt,
    unsigned_shift,
    with_sign_of,
)
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import (
    BF16,
    BOOL,
    F16,
    F32,
    F64,
    I32,
    I64,
    Op,
    Type,
    bits_of_number,
    number_of_bits,
)

float64 = st.floats(width=64)
float32 = st.floats(width=32)
DTYPE = {F64: np.float64, F32: np.float32}
PRECISION = {F64: (53, -1074, 1024), F32: (24, -149, 128)}


def rounded(exact: Fraction, kind: Type) -> float:
    """The nearest number of the format, ties to even, worked out with integers alone."""
    digits, lowest, highest = PRECISION[kind]
    if exact == 0:
        return 0.0
    size = abs(exact)
    exponent = lowest
    while size >= Fraction(2) ** (exponent + digits):
        exponent += 1
    unit = Fraction(2) ** exponent
    count = round(size / unit)  # Python rounds ties to even
    value = math.inf if count * unit >= Fraction(2) ** highest else float(count * unit)
    return value if exact > 0 else -value


def of_two(operation, kind, a, b):
    builder = Builder()
    x, y = builder.input("x", kind), builder.input("y", kind)
    program = builder.program(operation(x, y))
    return run(program, np.array(a, DTYPE[kind]), np.array(b, DTYPE[kind]))[0][()]


def fused(kind, a, b, c):
    builder = Builder()
    operands = [builder.input(name, kind) for name in "xyz"]
    program = builder.program(fma(*operands))
    return float(run(program, *(np.array(v, DTYPE[kind]) for v in (a, b, c)))[0])


@pytest.mark.parametrize("kind", [F64, F32])
def test_fma_is_rounded_once(kind):
    wide = kind is F64
    strategy = st.floats(width=64 if wide else 32, allow_nan=False, allow_infinity=False)

    @given(strategy, strategy, strategy)
    def check(a, b, c):
        exact = Fraction(a) * Fraction(b) + Fraction(c)
        assert exact == 0 or fused(kind, a, b, c) == rounded(exact, kind)

    check()


@pytest.mark.parametrize("kind", [F64, F32])
def test_fma_where_the_product_cancels(kind):
    """c next to −a·b: nothing is left but the product's rounding error, subnormal ones included."""
    generator = np.random.default_rng(3)
    dtype = DTYPE[kind]
    for scale in (0, -20, -60, -70) if kind is F32 else (0, -300, -500, -530):
        a, b = (
            (generator.standard_normal(200) * 2.0**scale).astype(dtype),
            generator.standard_normal(200).astype(dtype),
        )
        b = (b * dtype(2.0**scale)).astype(dtype)
        c = np.nextafter(-(a * b), dtype(generator.choice([-1, 1])))
        for x, y, z in zip(a.tolist(), b.tolist(), c.tolist(), strict=True):
            exact = Fraction(x) * Fraction(y) + Fraction(z)
            assert fused(kind, x, y, z) == rounded(exact, kind)


@pytest.mark.parametrize(
    ("a", "b", "c", "expected"),
    [
        (math.inf, 0.0, 1.0, math.nan),
        (math.inf, 2.0, -math.inf, math.nan),
        (1e308, 10.0, -math.inf, -math.inf),
        (1e308, 10.0, 0.0, math.inf),
        (1e308, 10.0, -1.7e308, math.inf),
        (1.7e308, 1.5, -1.7e308, 0.5 * 1.7e308),
        (-1.0, 0.0, 0.0, 0.0),
        (-1.0, 0.0, -0.0, -0.0),
        (1.0, 1.0, -1.0, 0.0),
        (5e-324, 0.5, 0.0, 0.0),
        (5e-324, -0.5, 0.0, -0.0),
        (math.nan, 1.0, 1.0, math.nan),
    ],
)
def test_fma_at_the_ends_of_the_range(a, b, c, expected):
    result = fused(F64, a, b, c)
    same = math.isnan(result) if math.isnan(expected) else result == expected
    assert same
    assert expected != 0 or math.copysign(1, result) == math.copysign(1, expected)


@given(float64, float64)
def test_operators_are_ieee_arithmetic(a, b):
    with np.errstate(all="ignore"):
        x, y = np.float64(a), np.float64(b)
        for operation, expected in (
            (lambda p, q: p + q, x + y),
            (lambda p, q: p - q, x - y),
            (lambda p, q: p * q, x * y),
            (lambda p, q: p / q, x / y),
            (lambda p, q: p < q, x < y),
            (lambda p, q: p >= q, x >= y),
            (equal, x == y),
        ):
            np.testing.assert_equal(of_two(operation, F64, a, b), expected)


@given(float32, float32)
def test_maximum_and_minimum_keep_a_nan_of_the_first(a, b):
    if math.isnan(a):
        assert math.isnan(of_two(maximum, F32, a, b))
        assert math.isnan(of_two(minimum, F32, a, b))
    elif not math.isnan(b):
        assert of_two(maximum, F32, a, b) == max(a, b)
        assert of_two(minimum, F32, a, b) == min(a, b)


@given(float32, float32)
def test_with_sign_of_takes_every_sign_bit(a, b):
    result = of_two(lambda size, x: with_sign_of(abs(size), x), F32, a, b)
    assert np.signbit(result) == np.signbit(np.float32(b))
    np.testing.assert_equal(abs(result), abs(np.float32(a)))


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 63))
def test_integers_wrap_around(value, places):
    builder = Builder()
    x = builder.input("x", I64)
    program = builder.program(x + x, x << places, x >> places, unsigned_shift(x, places), x ^ 5)
    total, up, down, unsigned, flipped = run(program, np.array(value))

    def wrapped(number):
        return (number + 2**63) % 2**64 - 2**63

    assert total == wrapped(2 * value)
    assert up == wrapped(value << places)
    assert down == value >> places
    assert unsigned == wrapped((value % 2**64) >> places)
    assert flipped == value ^ 5


@given(float64)
def test_rint_and_sqrt(a):
    builder = Builder()
    x = builder.input("x", F64)
    near, root = run(builder.program(rint(x), sqrt(x)), np.array(a))
    if math.isfinite(a):
        assert near == round(a)
    if 0 < a < math.inf:
        # The square lies between those of the neighbours' midpoints.
        low, up = (Fraction(math.nextafter(float(root), end)) for end in (0, math.inf))
        middle = Fraction(float(root))
        assert (low + middle) ** 2 <= 4 * Fraction(a) <= (up + middle) ** 2


@given(float64, st.sampled_from([F16, BF16]))
def test_float64_reaches_the_half_formats_with_one_rounding(a, kind):
    builder = Builder()
    x = builder.input("x", F64)
    (result,) = run(builder.program(convert(round_to_odd(x), kind)), np.array(a))
    if kind is F16:
        with np.errstate(over="ignore"):
            expected = np.float64(a).astype(np.float16)  # NumPy rounds float64 to float16 once
        np.testing.assert_equal(result, expected)
    elif math.isfinite(a):
        value = torch.tensor(int(result), dtype=torch.int32).to(torch.int16).view(torch.bfloat16)
        exact = abs(Fraction(a))
        unit = Fraction(2) ** -133
        while exact >= unit * 2**8:
            unit *= 2
        near = round(exact / unit) * unit
        assert float(value.abs()) == (float(near) if near < Fraction(2) ** 128 else math.inf)


@pytest.mark.parametrize("kind", [F16, BF16])
def test_next_to_a_midpoint_the_last_digit_of_float64_decides(kind):
    """float32 in between has the midpoint itself, which would go to the even neighbour."""
    digits = 10 if kind is F16 else 7
    generator = np.random.default_rng(5)
    numbers = 1 + generator.integers(0, 2**digits - 1, 300) * 2.0**-digits
    builder = Builder()
    x = builder.input("x", F64)
    program = builder.program(convert(convert(round_to_odd(x), kind), F32))
    for side in (-1, 1):
        middle = numbers + 2.0 ** -(digits + 1)
        (found,) = run(program, middle * (1 + side * 2.0**-45))
        np.testing.assert_array_equal(found, numbers + (side > 0) * 2.0**-digits)


def test_bfloat16_conversion_is_torchs_for_every_float16_and_edge():
    values = torch.cat(
        [
            torch.arange(-(2**15), 2**15, dtype=torch.int32)
            .to(torch.int16)
            .view(torch.float16)
            .float(),
            torch.randint(-(2**31), 2**31 - 1, (20000,), generator=torch.Generator().manual_seed(1))
            .to(torch.int32)
            .view(torch.float32),
        ]
    )
    builder = Builder()
    x = builder.input("x", F32)
    narrow = convert(x, BF16)
    result, back = run(builder.program(narrow, convert(narrow, F32)), values.numpy())
    expected = values.to(torch.bfloat16)
    ours = torch.from_numpy(result.view(np.int16)).view(torch.bfloat16)
    assert torch.equal(ours.nan_to_num(7.0), expected.nan_to_num(7.0))
    assert torch.equal(ours.isnan(), values.isnan())
    np.testing.assert_equal(back, ours.float().numpy())


@given(st.fractions())
def test_constants_are_the_nearest_numbers(value):
    for kind in (F64, F32):
        assert number_of_bits(kind, bits_of_number(kind, value)) == rounded(value, kind)


def test_equal_instructions_are_written_once_and_unused_ones_not_at_all():
    builder = Builder()
    x = builder.input("x", F64)
    builder.write(Op.SQRT, x)
    program = builder.program((x + 1.0) * (x + 1))
    assert program.count() == 2
    assert program.count(Op.SQRT) == 0
    assert run(program, np.array([2.0]))[0].tolist() == [9.0]


@pytest.mark.parametrize("kind", [F16, BF16])
def test_a_constant_of_a_storage_format_is_its_bits(kind):
    builder = Builder()
    one = builder.constant(kind, 0x3C00 if kind is F16 else 0x3F80)
    assert run(builder.program(convert(one, F32)))[0] == 1.0


def test_a_program_can_be_read_and_is_known_by_its_text():
    def written(constant):
        builder = Builder()
        x = builder.input("x", F32)
        return builder.program(select(x < 0, -x, x * constant))

    text = str(written(0.1))
    assert text.startswith("program(x: f32)")
    assert "0x1.99999a" in text
    assert "select.f32" in text
    assert written(0.1).fingerprint == written(0.1).fingerprint
    assert written(0.1).fingerprint != written(np.nextafter(0.1, 1).item() * 1.0000001).fingerprint


def test_types_are_checked():
    builder = Builder()
    x, n, h = builder.input("x", F64), builder.input("n", I32), builder.input("h", F16)
    with pytest.raises(TypeError, match=r"add does not take \(f64, i32\)"):
        x + n
    with pytest.raises(TypeError, match=r"add does not take \(f16, f16\)"):
        h + h
    with pytest.raises(TypeError, match=r"convert does not take \(f64\) to f16"):
        convert(x, F16)
    with pytest.raises(TypeError, match="integer"):
        n + 0.5
    with pytest.raises(TypeError, match="known only when the program runs"):
        bool(x < 1)
    with pytest.raises(ValueError, match="after the first instruction"):
        Builder.input(_after_an_instruction(), "y", F64)
    with pytest.raises(ValueError, match="shifted by 0 to 31, not 32"):
        n << 32
    with pytest.raises(ValueError, match="another program"):
        x + Builder().input("x", F64)
    assert (x < 1).type is BOOL
    assert bits(x).type is I64


def _after_an_instruction():
    builder = Builder()
    builder.number(F64, 1.0)
    return builder


def test_the_interpreter_checks_what_it_is_given():
    builder = Builder()
    x = builder.input("x", F32)
    program = builder.program(x * 2)
    with pytest.raises(TypeError, match="x must be float32, got float64"):
        run(program, np.array([1.0]))
    with pytest.raises(TypeError, match=r"takes \(x\), got 0"):
        run(program)
