"""The estimate of what a Program takes."""

from __future__ import annotations

from gradsmith.numerics.builder import Builder, convert, fma
from gradsmith.numerics.cost import cost
from gradsmith.numerics.program import F32, F64


def program(write, *kinds):
    builder = Builder()
    return builder.program(write(*(builder.input(f"x{n}", kind) for n, kind in enumerate(kinds))))


def test_the_cost_of_a_program():
    one = cost(program(lambda x: fma(x, x, 1.0), F32))
    assert one == 1
    wide = cost(program(lambda x: convert(fma(convert(x, F64), 2.0, 1.0), F32), F32))
    assert wide > 2
    assert cost(program(lambda x: 1.0 / x, F32)) < cost(program(lambda x: 1.0 / x * 2.0, F32)) + 1
    # The unit that divides works beside the others.
    both = cost(program(lambda x: 1.0 / (x + 1.0), F32))
    assert both == cost(program(lambda x: 1.0 / x, F32))
    # What depends on numbers alone is computed once.
    number = program(lambda x, a: x * convert(a * a, F32), F32, F64)
    assert cost(number, ["x1"]) == one < cost(number)
