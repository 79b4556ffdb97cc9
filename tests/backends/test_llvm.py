"""A native kernel gives the interpreter's bits: for any Program, element, length and layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.backends import llvm, native
from gradsmith.backends.llvm import NativeKernel, compile_program
from gradsmith.numerics.builder import Builder, convert, fma, select
from gradsmith.numerics.interpreter import run
from gradsmith.numerics.program import BF16, BOOL, F16, F32, F64, I32, Op, Program, Type
from tests.backends.agreement import (
    COUNT,
    PIECES,
    PRECISIONS,
    check,
    check_randomly,
    less_capable,
    polynomial,
    same,
    to_numpy,
    to_torch,
)
from tests.backends.programs import (
    ARITHMETIC,
    COMPARISONS,
    FLOATS,
    INTEGERS,
    LOGIC,
    SHIFTS,
    UNARY,
    programs,
    special,
    values,
)

pytestmark = pytest.mark.skipif(llvm.unavailable() is not None, reason=str(llvm.unavailable()))


@given(programs(), st.integers(0, 2**32 - 1))
@settings(max_examples=150)
def test_any_program_gives_the_interpreters_bits_at_any_length(program: Program, seed: int) -> None:
    check_randomly(compile_program(program), seed, PIECES)


@given(programs(), st.integers(0, 2**32 - 1), st.data())
@settings(max_examples=60)
def test_scalar_inputs_are_one_value_for_all_elements(
    program: Program, seed: int, data: st.DataObject
) -> None:
    names = [name for name, _ in program.inputs]
    scalars = data.draw(st.sets(st.sampled_from(names), min_size=1, max_size=len(names)))
    check_randomly(compile_program(program, sorted(scalars)), seed, [(0, 1), (1, 9), (3, 77)])


@pytest.mark.parametrize("machine", less_capable(), ids=lambda machine: machine.cpu)
@given(program=programs(), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_a_processor_with_less_gives_the_same_bits(
    machine: native.Machine, program: Program, seed: int
) -> None:
    check_randomly(NativeKernel(program, machine=machine), seed, [(0, 1), (0, COUNT), (3, 77)])


def each_operation() -> list[tuple[Op, tuple[Type, ...], Type | None, int]]:
    """Every operation with every type it takes: operands, result of a conversion, shift."""
    cases: list[tuple[Op, tuple[Type, ...], Type | None, int]] = []
    for kind in FLOATS:
        cases += [(op, (kind,), None, 0) for op in UNARY]
        cases += [(op, (kind, kind), None, 0) for op in ARITHMETIC + COMPARISONS]
        cases += [(Op.FMA, (kind,) * 3, None, 0), (Op.SELECT, (BOOL, kind, kind), None, 0)]
    for kind in INTEGERS:
        additive = (Op.ADD, Op.SUB)
        cases += [(op, (kind, kind), None, 0) for op in LOGIC + COMPARISONS + additive]
        cases += [(op, (kind,), None, n) for op in SHIFTS for n in (0, 1, 23, kind.bits - 1)]
        cases += [(Op.BITS, (kind,), None, 0), (Op.SELECT, (BOOL, kind, kind), None, 0)]
    cases += [(op, (BOOL, BOOL), None, 0) for op in LOGIC]
    cases += [(Op.NOT, (BOOL,), None, 0)]
    conversions = [(F64, F32), (F32, F64), (F32, F16), (F16, F32), (F32, BF16), (BF16, F32)]
    cases += [(Op.CONVERT, (have,), want, 0) for have, want in conversions]
    return cases


@pytest.mark.parametrize(
    "case",
    each_operation(),
    ids=lambda c: "-".join([c[0].value, *(k.label for k in c[1]), str(c[3])]),
)
def test_each_operation_on_all_combinations_of_special_values(
    case: tuple[Op, tuple[Type, ...], Type | None, int],
) -> None:
    op, kinds, to, places = case
    builder = Builder()
    operands = [builder.input(f"x{i}", kind) for i, kind in enumerate(kinds)]
    program = builder.program(builder.write(op, *operands, type=to, constant=places))
    lists = [special(kind) for kind in kinds]
    if op is Op.FMA:
        lists = [array[:: 2 + i] for i, array in enumerate(lists)]
    grid = [np.ascontiguousarray(a.ravel()) for a in np.meshgrid(*lists, indexing="ij")]
    check(compile_program(program), grid, [(0, grid[0].size)])


@pytest.mark.parametrize("kind", FLOATS)
def test_sums_and_products_are_neither_fused_nor_rearranged(kind: Type) -> None:
    builder = Builder()
    a, b, c = (builder.input(name, kind) for name in "abc")
    ordered = (a * b + c, a * b - c, (a + b) - a, (a + b) + c, (a * b) * c, a / b * b, a / 3.0)
    lost = (a * b - a * b, a * 0.0, a + 0.0, a - a, convert(convert(a, F32), kind) - a)
    kernel = compile_program(builder.program(*ordered, *lost))
    random = np.random.default_rng(0)
    check(kernel, [values(kind, 2000, random) for _ in "abc"], [(0, 2000)])


@pytest.mark.parametrize("kind", FLOATS)
def test_constants_may_be_looked_up_in_memory(kind: Type) -> None:
    builder = Builder()
    flag = builder.input("flag", BOOL)
    chosen = p = select(flag, builder.number(kind, 0.1), 0.2)  # from a table of two
    for i in range(80):  # more constants than any processor has registers
        p = fma(p, chosen, 0.3 + i)
    kernel = compile_program(builder.program(chosen, p))
    check_randomly(kernel, 2, PIECES)


def kernels(program: Program) -> list[NativeKernel]:
    """For this processor, and with the conversions that need no instructions for them."""
    return [NativeKernel(program), *(NativeKernel(program, machine=m) for m in less_capable())]


@pytest.mark.parametrize("kind", [F16, BF16])
def test_all_16_bit_numbers_become_the_float32_of_the_same_value(kind: Type) -> None:
    builder = Builder()
    program = builder.program(convert(builder.input("x", kind), F32))
    dtype = {F16: torch.float16, BF16: torch.bfloat16}[kind]
    every = torch.arange(65536, dtype=torch.int32).to(torch.int16).view(dtype)
    for kernel in kernels(program):
        have = torch.empty(65536)
        kernel([every], [have])
        assert same(F32, have.numpy(), every.float().numpy())


@pytest.mark.parametrize("kind", [F16, BF16])
def test_float32_is_rounded_to_the_nearest_16_bit_number_ties_to_even(kind: Type) -> None:
    builder = Builder()
    program = builder.program(convert(builder.input("x", F32), kind))
    dtype = {F16: torch.float16, BF16: torch.bfloat16}[kind]
    every = torch.arange(65536, dtype=torch.int32).to(torch.int16).view(dtype).float()
    # Half the distance to the next number of 16 bits: the ties, and what is next to them.
    pattern = every.view(torch.int32)
    step = {F16: 1 << 12, BF16: 1 << 15}[kind]
    around = [pattern + d for d in (0, 1, -1, step, step + 1, step - 1, 2 * step, -step)]
    # Ties between subnormals of half, which lie at multiples of 2⁻²⁴.
    ties = (torch.arange(-4096, 4096, dtype=torch.float64) / 2**25).float().view(torch.int32)
    around += [ties, ties + 1, ties - 1]
    given_ = torch.cat(around).view(torch.float32).contiguous()
    want = given_.to(dtype)  # torch's own conversion rounds once, to nearest
    for kernel in kernels(program):
        have = torch.empty_like(want)
        kernel([given_], [have])
        assert same(kind, to_numpy(have), to_numpy(want))


@pytest.mark.parametrize(("kind", "inside"), PRECISIONS)
def test_an_element_has_the_same_bits_wherever_it_stands(kind: Type, inside: Type) -> None:
    check_randomly(compile_program(polynomial(kind, inside)), 1, PIECES)


@pytest.mark.parametrize("kind", [F64, F32, F16, BF16])
def test_an_output_may_be_an_input(kind: Type) -> None:
    builder = Builder()
    x, y = builder.input("x", kind), builder.input("y", kind)
    a, b = (convert(v, F32) if kind in (F16, BF16) else v for v in (x, y))
    program = builder.program(convert(a + b, kind), convert(a - b, kind))
    random = np.random.default_rng(0)
    for length in (1, 8, 40, 1001):
        arrays = [values(kind, length, random) for _ in "xy"]
        want = run(program, *arrays)
        first, second = (to_torch(array, kind) for array in arrays)
        compile_program(program)([first, second], [second, first])  # exchanged, moreover
        assert same(kind, to_numpy(second), want[0])
        assert same(kind, to_numpy(first), want[1])


def test_in_place_with_one_element_may_even_write_the_scalar() -> None:
    builder = Builder()
    x, s = builder.input("x", F32), builder.input("s", F32)
    one = torch.tensor([3.0])
    compile_program(builder.program(x * s), ["s"])([one, one], [one])
    assert one.item() == 9


def test_a_number_may_be_given_for_a_scalar() -> None:
    builder = Builder()
    x, s = builder.input("x", F32), builder.input("s", F32)
    kernel = compile_program(builder.program(x * s), ["s"])
    assert repr(kernel) == "NativeKernel(x: float32, scalar s: float32 -> output 0: float32)"
    out = torch.empty(9)
    with pytest.raises(TypeError, match="s must be a tensor or a number, got str"):
        kernel([out, "1"], [out])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="s must have 1 elements, got 9"):
        kernel([out, out], [out])
    kernel([torch.arange(9.0), 0.1], [out])
    assert torch.equal(out, torch.arange(9.0) * torch.tensor(0.1))


def test_addresses_need_not_be_multiples_of_the_size() -> None:
    for kind in (F64, F32):
        program = polynomial(kind, F64)
        bytes_ = np.zeros(8 * 40 + 1, dtype=np.uint8)
        crooked = bytes_[1:].view(np.dtype(np.float64 if kind is F64 else np.float32))
        crooked[:] = np.linspace(-3, 3, crooked.size)
        out = np.empty_like(crooked)
        function = compile_program(program).raw
        function(crooked.size, crooked.ctypes.data, out.ctypes.data)
        assert np.array_equal(out, run(program, crooked.copy())[0])


def test_the_same_program_is_compiled_once() -> None:
    program = polynomial(F32, F64)
    kernel = compile_program(program)
    assert compile_program(polynomial(F32, F64)) is kernel
    assert compile_program(program, ["x"]) is not kernel
    assert compile_program(polynomial(F32, F32)) is not kernel


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        (lambda x, o: ([x.double()], [o]), TypeError, "x must be.*float32.*float64"),
        (lambda x, o: ([x], [o.half()]), TypeError, "output 0 must be.*float32.*float16"),
        (lambda x, o: ([x.to("meta")], [o]), TypeError, "CPU.*meta"),
        (lambda x, o: ([x[:7]], [o]), ValueError, "x must have 8 elements, got 7"),
        (lambda x, o: ([x], [o.repeat(2)[::2]]), ValueError, "output 0.*contiguous"),
        (lambda x, o: ([x[:1].expand(8)], [o]), ValueError, "x must be contiguous"),
        (lambda x, o: ([x.numpy()], [o]), TypeError, "x must be a tensor, got ndarray"),
        (lambda x, o: ([1.0], [o]), TypeError, "x must be a tensor, got float"),
        (lambda x, o: ([x], [None]), TypeError, "output 0 must be a tensor, got NoneType"),
        (lambda x, o: ([x], []), TypeError, "1 inputs and 1 outputs, got 1 and 0"),
        (lambda x, o: ([x, x], [o]), TypeError, "got 2 and 1"),
        (lambda x, o: ([o[:4]], [o[1:5]]), ValueError, "output 0 shares memory with x"),
        (lambda x, o: ([o[1:5]], [o[:4]]), ValueError, "output 0 shares memory with x"),
        (lambda x, o: ([o[1:5]], [o[4:]]), ValueError, "output 0 shares memory with x"),
        (
            lambda x, o: ([torch.view_as_complex(x[:2]).conj().imag.view(1)], [o[:1]]),
            ValueError,
            "resolve_neg",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    arguments: Callable[[torch.Tensor, torch.Tensor], tuple[list[Any], list[Any]]],
    error: type[Exception],
    says: str,
) -> None:
    kernel = compile_program(polynomial(F32, F64))
    inputs, outputs = arguments(torch.zeros(8), torch.zeros(8))
    with pytest.raises(error, match=says):
        kernel(inputs, outputs)


def test_an_output_of_another_size_may_not_lie_on_an_input() -> None:
    builder = Builder()
    kernel = compile_program(builder.program(convert(builder.input("x", F32), F64)))
    memory = torch.zeros(8, dtype=torch.float64)
    halves = memory.view(torch.float32)
    for x in (halves[:8], halves[8:]):  # both start together, or end together
        with pytest.raises(ValueError, match="output 0 shares memory with x"):
            kernel([x], [memory])


def test_outputs_that_share_memory_are_refused() -> None:
    builder = Builder()
    x = builder.input("x", F32)
    kernel = compile_program(builder.program(x + 1.0, x + 2.0))
    out = torch.empty(8)
    with pytest.raises(ValueError, match="output 1 shares memory with output 0"):
        kernel([torch.zeros(8)], [out, out])
    kernel([torch.zeros(4)], [out[:4], out[4:]])
    assert out.tolist() == [1.0] * 4 + [2.0] * 4


def test_wrong_programs_are_refused() -> None:
    builder = Builder()
    x = builder.input("x", I32)
    with pytest.raises(ValueError, match=r"no input is called 'y'; there are x"):
        compile_program(builder.program(x), ["y"])
    with pytest.raises(ValueError, match="no output"):
        compile_program(builder.program())
    with pytest.raises(ValueError, match="shifted by 0 to 31, not 32"):
        compile_program(builder.program(x << 32))
