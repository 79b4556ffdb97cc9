"""Where a subject is certified: bit patterns in order, or a sample that looks where errors are.

A sample is drawn from all numbers of the dtype, and dense where implementations go wrong: at
kinks, roots of the value and of its derivatives, edges of saturation, overflow and underflow,
among subnormals, next to powers of two. These places are found on the exact function, by bisection
in the order of the numbers; nothing of how the subject computes goes into it. The same seed gives
the same sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise, product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradsmith.calculus.kinks import kinks
from gradsmith.formula.expression import Number, walk
from gradsmith.formula.formula import Formula

Ordinals = NDArray[np.int64]
Exact = Callable[[float], float]
"""The exact value at a point, as the nearest float64; NaN where there is none."""

_INTEGER = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_DENSE = 64  # neighbours on each side of a place that all are in the sample
_MOST_EDGES = 48  # places of one quantity: an oscillating one has any number of them
_SCALES = (-30, 11)  # exponents between which activations do what they do
_ORDINARY = 16.0
_FEW = 25  # of each kind of number that is combined with all others
_OTHERS = (1.0, -0.5, 3.0)  # where further inputs are held while places are looked for

# Shares of a sample: all bit patterns, those of ordinary size, ordinary numbers; the rest lies
# around places.
_UNIFORM, _SIZED, _LINEAR = 0.35, 0.2, 0.15


def from_patterns(patterns: range, dtype: torch.dtype) -> Tensor:
    """The numbers with these bit patterns, the sign being the highest bit."""
    width = 8 * dtype.itemsize
    # A slice of a range may stop beyond the range itself, after its last element.
    beyond = bool(patterns) and patterns[-1] >= 2**width
    if patterns.start < 0 or beyond or patterns.step < 1:
        raise ValueError(f"bit patterns of {dtype} are within range(2**{width}), got {patterns}")
    if width == 64:  # torch has no wider integers
        whole = np.arange(patterns.start, patterns.stop, patterns.step, dtype=np.uint64)
        return torch.from_numpy(whole.view(np.float64))
    found = torch.arange(patterns.start, patterns.stop, patterns.step, dtype=torch.int64)
    return found.to(_INTEGER[dtype.itemsize]).view(dtype)


def bits_of(value: Tensor) -> list[str]:
    """The bit patterns as hexadecimal numbers."""
    digits = 2 * value.dtype.itemsize
    patterns = value.contiguous().view(_INTEGER[value.dtype.itemsize]).tolist()
    return [f"0x{pattern & (16**digits - 1):0{digits}x}" for pattern in patterns]


def numbers(ordinals: Ordinals, dtype: torch.dtype) -> Tensor:
    """The numbers in their order: 0 is zero, 1 the smallest subnormal, −1 its opposite."""
    size = torch.from_numpy(np.abs(ordinals))
    sign = torch.from_numpy(ordinals < 0)
    lowest = -(2 ** (8 * dtype.itemsize - 1))
    bits = torch.where(sign, size + lowest, size)
    return bits.to(_INTEGER[dtype.itemsize]).view(dtype)


def ordinals(values: Tensor) -> Ordinals:
    """The reverse of :func:`numbers`; both zeros give 0."""
    bits = values.contiguous().view(_INTEGER[values.dtype.itemsize]).to(torch.int64)
    lowest = -(2 ** (8 * values.dtype.itemsize - 1))
    return torch.where(bits < 0, lowest - bits, bits).numpy()


def sample(
    formula: Formula,
    exact: Sequence[Callable[..., float]],
    dtype: torch.dtype,
    count: int,
    seed: int,
) -> tuple[Tensor, ...]:
    """At least ``count`` distinct inputs in ``dtype``, one column for each input of the formula.

    Args:
        formula: its inputs and kinks, parameters at their defaults.
        exact: the value and the derivatives as functions of the inputs.
        dtype: of the inputs.
        count: how many to draw at least.
        seed: of what is drawn at random.
    """
    generator = np.random.default_rng(seed)
    names = formula.inputs
    columns, marks = [], []
    for position, name in enumerate(names):
        near = places(formula, name, _restricted(exact, position, len(names)), dtype)
        marks.append(near)
        columns.append(_line(near, dtype, count, generator))
    if len(names) == 1:
        special = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan], dtype=torch.float64)
        return (torch.cat([special.to(dtype), numbers(columns[0], dtype)]),)
    # Infinities of several inputs have no limit in general.
    corners = [_corners(near, dtype) for near in marks]
    crossed = list(zip(*product(*corners), strict=True)) if len(names) == 2 else [()] * len(names)
    found = []
    for line, cross in zip(columns, crossed, strict=True):
        mixed = generator.permutation(line)[:count]
        whole = np.concatenate([np.array(cross, dtype=np.int64), mixed])
        found.append(numbers(whole, dtype))
    nan = torch.tensor([math.nan], dtype=dtype)
    one = torch.ones(1, dtype=dtype)
    for position in range(len(names)):
        rows = [nan if position == at else one for at in range(len(names))]
        found = [torch.cat([row, column]) for row, column in zip(rows, found, strict=True)]
    return tuple(found)


def _restricted(exact: Sequence[Callable[..., float]], position: int, inputs: int) -> list[Exact]:
    """The quantities as functions of one input, the others held."""
    if inputs == 1:
        return list(exact)

    def held(quantity: Callable[..., float], other: float) -> Exact:
        def at(x: float) -> float:
            return quantity(*(x if i == position else other for i in range(inputs)))

        return at

    return [held(quantity, other) for quantity in exact for other in _OTHERS]


def places(formula: Formula, name: str, exact: Sequence[Exact], dtype: torch.dtype) -> Ordinals:
    """Ordinals of the numbers next to which something changes."""
    largest = int(ordinals(torch.tensor([torch.finfo(dtype).max], dtype=dtype))[0])
    grid = _grid(dtype, largest)
    found = {0, 1, -1, largest, -largest}
    limits = torch.finfo(dtype)
    stated = [float(n.value) for n in walk(formula.expression) if isinstance(n, Number)]
    stated += [*formula.parameters.values(), *(kink.at for kink in kinks(formula, name))]
    stated += [limits.smallest_normal, 1.0]
    values = torch.tensor([s * v for v in stated for s in (1.0, -1.0)], dtype=torch.float64)
    found.update(ordinals(values.to(dtype)).tolist())
    for quantity in exact:
        found.update(_edges(quantity, grid, dtype))
    inside = [ordinal for ordinal in found if abs(ordinal) <= largest]
    return np.array(sorted(inside), dtype=np.int64)


def _grid(dtype: torch.dtype, largest: int) -> list[int]:
    """Where places are looked for between: evenly among all numbers, and among ordinary ones."""
    even = np.linspace(-largest, largest, 1001).astype(np.int64)
    low, high = _SCALES
    steps = 2.0 ** np.arange(low, high, 0.125)
    linear = np.arange(-_ORDINARY, _ORDINARY, 0.125) + 0.03125
    ordinary = np.concatenate([-steps, steps, linear])
    near = ordinals(torch.from_numpy(ordinary).to(dtype))
    both: list[int] = np.unique(np.concatenate([even, near])).tolist()
    return both


def _edges(exact: Exact, grid: list[int], dtype: torch.dtype) -> set[int]:
    """Where the sign, the kind of number, or whether it has reached its limit changes."""
    known: dict[int, float] = {}

    def rounded(ordinal: int) -> float:
        if ordinal not in known:
            x = float(numbers(np.array([ordinal]), dtype))
            value = torch.tensor(exact(x), dtype=torch.float64).to(dtype)
            known[ordinal] = float(value)
        return known[ordinal]

    limits = rounded(grid[0]), rounded(grid[-1])
    smallest = torch.finfo(dtype).smallest_normal

    def category(ordinal: int) -> tuple[object, ...]:
        value = rounded(ordinal)
        if math.isnan(value):
            return (math.nan,)
        small = abs(value) < smallest
        ends = tuple(value == limit for limit in limits)
        return (value > 0) - (value < 0), small, math.isinf(value), *ends

    found: set[int] = set()
    changes = [(a, b) for a, b in pairwise(grid) if category(a) != category(b)]
    for a, b in changes[:: max(1, -(-len(changes) // _MOST_EDGES))]:
        first = category(a)
        while b - a > 1:
            middle = (a + b) // 2
            a, b = (middle, b) if category(middle) == first else (a, middle)
        found |= {a, b}
    return found


def _line(
    near: Ordinals, dtype: torch.dtype, count: int, generator: np.random.Generator
) -> Ordinals:
    """Distinct ordinals of finite numbers: everything next to places, and what is drawn."""
    limits = torch.finfo(dtype)
    largest = int(ordinals(torch.tensor([limits.max], dtype=dtype))[0])
    digits = round(-math.log2(limits.eps)) + 1
    beside = np.arange(-_DENSE, _DENSE + 1)
    powers = 2 ** np.arange(int(math.log2(_DENSE)), digits + 2)
    beside = np.concatenate([beside, powers, -powers])
    found = [
        (near[:, None] + beside).ravel(),
        (_powers_of_two(dtype)[:, None] + [-1, 0, 1]).ravel(),
    ]
    drawn = max(count, 16)

    def shared(part: float) -> int:
        return int(part * drawn)

    found.append(generator.integers(-largest, largest + 1, shared(_UNIFORM)))
    low, high = (2.0**e for e in _SCALES)
    ends = ordinals(torch.tensor([low, min(high, limits.max)], dtype=torch.float64).to(dtype))
    signs = generator.choice([-1, 1], shared(_SIZED))
    found.append(signs * generator.integers(ends[0], ends[1], shared(_SIZED)))
    linear = generator.uniform(-_ORDINARY, _ORDINARY, shared(_LINEAR))
    found.append(ordinals(torch.from_numpy(linear).to(dtype)))
    rest = drawn - sum(shared(part) for part in (_UNIFORM, _SIZED, _LINEAR))
    distance = np.exp2(generator.uniform(0, digits + 1, rest)).astype(np.int64)
    found.append(generator.choice(near, rest) + generator.choice([-1, 1], rest) * distance)
    together = _distinct(np.concatenate(found), largest)
    while len(together) < min(count, 2 * largest):
        more = generator.integers(-largest, largest + 1, count - len(together) + 16)
        together = _distinct(np.concatenate([together, more]), largest)
    return together


def _distinct(values: Ordinals, largest: int) -> Ordinals:
    return np.unique(values[np.abs(values) <= largest]).astype(np.int64)


def _powers_of_two(dtype: torch.dtype) -> Ordinals:
    limits = torch.finfo(dtype)
    lowest = round(math.log2(limits.smallest_normal)) + round(math.log2(limits.eps))
    highest = math.frexp(limits.max)[1] - 1
    powers = np.ldexp(1.0, np.arange(lowest, highest + 1))
    found = ordinals(torch.from_numpy(powers).to(dtype))
    return np.concatenate([found, -found])


def _corners(near: Ordinals, dtype: torch.dtype) -> list[int]:
    """A few numbers of every size with both signs, to be combined with each other."""
    sizes = _powers_of_two(dtype)
    few = sizes[:: max(1, len(sizes) // _FEW)]
    return sorted({*few.tolist(), *near[:: max(1, len(near) // _FEW)].tolist()})
