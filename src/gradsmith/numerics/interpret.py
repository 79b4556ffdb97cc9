"""A stable expression evaluated with NumPy: slow, plain, and only for judging.

The rewriting is judged by what an ordinary evaluation of its result gives; no backend is
needed for that, and none is below this layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gradsmith.calculus.exact import Evaluator
from gradsmith.formula.expression import (
    Call,
    Expr,
    Function,
    Number,
    Symbol,
    free_symbols,
    walk,
)
from gradsmith.formula.vocabulary import (
    ADD,
    AND,
    DIV,
    EQ,
    GE,
    GT,
    LE,
    LT,
    MUL,
    NE,
    NEG,
    NOT,
    OR,
    POW,
    SUB,
    abs_,
    asinh,
    atan,
    cos,
    cosh,
    e,
    erf,
    erfc,
    erfcx,
    exp,
    expand_definition,
    expm1,
    log,
    log1p,
    maximum,
    minimum,
    pi,
    product_error,
    sign,
    sin,
    sinh,
    sqrt,
    sum_error,
    tan,
    tanh,
    where,
)

Array = NDArray[Any]


def _elementwise(function: Callable[[float], float]) -> Callable[[Array], Array]:
    def apply(x: Array) -> Array:
        values = np.asarray(x)
        flat = [function(v) if not math.isnan(v) else v for v in values.ravel().tolist()]
        return np.array(flat, dtype=values.dtype).reshape(values.shape)

    return apply


def _erfcx(x: Array) -> Array:
    values = np.asarray(x)
    flat = values.ravel()
    finite = np.isfinite(flat)
    found = np.where(flat > 0, 0.0, np.where(flat < 0, np.inf, flat)).astype(values.dtype)
    balls = _exact_erfcx().at_points([flat[finite].tolist()])
    found[finite] = [float(ball.mid()) for ball in balls]
    return found.reshape(values.shape)


@cache
def _exact_erfcx() -> Evaluator:
    return Evaluator(erfcx(Symbol("x")), ("x",))


def _power(a: Any, b: Any) -> Any:
    """Small whole powers multiplied out, as every backend does."""
    if not isinstance(b, float) or b not in (2.0, 3.0, 4.0):
        return np.power(a, b)
    squared = a * a
    return squared if b == 2 else (squared * a if b == 3 else squared * squared)


def _split(x: Array) -> tuple[Array, Array]:
    # Veltkamp's splitting into two halves of 26 bits.
    scaled = 134217729.0 * x
    high = scaled - (scaled - x)
    return high, x - high


def _product_error(a: Array, b: Array) -> Array:
    product = a * b
    if np.result_type(a, b) == np.float32:  # float64 holds the exact product
        exact = np.asarray(a, dtype=np.float64) * np.asarray(b, dtype=np.float64)
        error = (exact - product).astype(np.float32)
        return np.where(np.isfinite(error), error, np.float32(0))
    (ah, al), (bh, bl) = _split(np.asarray(a)), _split(np.asarray(b))
    error = al * bl - (((product - ah * bh) - al * bh) - ah * bl)
    return np.where(np.isfinite(error), error, 0.0)


def _sum_error(a: Array, b: Array) -> Array:
    total = a + b
    part = total - a
    error = (a - (total - part)) + (b - part)
    return np.where(np.isfinite(error), error, 0.0)


_NUMPY: dict[Function, Callable[..., Any]] = {
    ADD: np.add,
    SUB: np.subtract,
    MUL: np.multiply,
    DIV: np.divide,
    NEG: np.negative,
    POW: _power,
    LT: np.less,
    LE: np.less_equal,
    GT: np.greater,
    GE: np.greater_equal,
    EQ: np.equal,
    NE: np.not_equal,
    AND: np.logical_and,
    OR: np.logical_or,
    NOT: np.logical_not,
    where: np.where,
    pi: lambda: math.pi,
    e: lambda: math.e,
    exp: np.exp,
    expm1: np.expm1,
    log: np.log,
    log1p: np.log1p,
    sqrt: np.sqrt,
    sin: np.sin,
    cos: np.cos,
    tan: np.tan,
    atan: np.arctan,
    sinh: np.sinh,
    cosh: np.cosh,
    tanh: np.tanh,
    asinh: np.arcsinh,
    erf: _elementwise(math.erf),
    erfc: _elementwise(math.erfc),
    erfcx: _erfcx,
    abs_: np.abs,
    sign: np.sign,
    maximum: np.maximum,
    minimum: np.minimum,
    product_error: _product_error,
    sum_error: _sum_error,
}


def interpret(
    root: Expr, values: Mapping[str, Array], compute: Literal["float64", "float32"] = "float64"
) -> Array:
    """``root`` at arrays of values in one precision, with IEEE's infinities and NaNs."""
    dtype = np.dtype(compute)
    steps = _steps(root)
    memory = steps.constants.copy()
    with np.errstate(all="ignore"):
        for slot, name in steps.symbols:
            memory[slot] = np.asarray(values[name], dtype=dtype)
        for slot, rule, sources in steps.calls:
            memory[slot] = rule(*[memory[source] for source in sources])
        shape = np.broadcast_shapes(*(np.shape(v) for v in values.values()))
        return np.broadcast_to(np.asarray(memory[steps.result], dtype=dtype), shape)


@dataclass(frozen=True, slots=True)
class _Steps:
    """What is to be done for an expression, in order. A value stands in each slot."""

    constants: list[Any]  # the others' slots are empty
    symbols: list[tuple[int, str]]
    calls: list[tuple[int, Callable[..., Any], tuple[int, ...]]]
    result: int


@lru_cache(maxsize=256)
def _steps(root: Expr) -> _Steps:
    """Found once for an expression, which is evaluated at one set of points after another."""
    slots: dict[Expr, int] = {}
    steps = _Steps([], [], [], 0)

    def visit(node: Expr) -> int:
        if node in slots:
            return slots[node]
        value: Any = None
        if isinstance(node, Number):
            value = float(node.value)
        elif isinstance(node, Symbol):
            steps.symbols.append((len(steps.constants), node.name))
        else:
            assert isinstance(node, Call)
            rule = _NUMPY.get(node.function)
            if rule is None:
                slots[node] = visit(expand_definition(node))
                return slots[node]
            sources = tuple([visit(arg) for arg in node.args])
            if free_symbols(node):
                steps.calls.append((len(steps.constants), rule, sources))
            else:
                value = rule(*[steps.constants[source] for source in sources])
                if not isinstance(value, (bool, np.bool)):
                    value = float(value)  # a Python number does not widen an array
        slots[node] = len(steps.constants)
        steps.constants.append(value)
        return slots[node]

    with np.errstate(all="ignore"):
        for node in walk(root):  # in order, so that the recursion stays shallow
            visit(node)
    return replace(steps, result=slots[root])
