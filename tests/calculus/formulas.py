"""Random formulas over the reals, and the points at which they are looked at."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Number, Symbol, walk

X, Y = Symbol("x"), Symbol("y")

SMOOTH = (
    v.exp, v.expm1, v.log, v.log1p, v.sqrt, v.rsqrt, v.square, v.reciprocal, v.sin, v.cos, v.tan,
    v.atan, v.sinh, v.cosh, v.tanh, v.asinh, v.erf, v.erfc, v.ndtr, v.sigmoid, v.softplus,
)  # fmt: skip
KINKED = (v.abs_, v.sign, v.relu, v.heaviside)
RELATIONS = (v.LT, v.LE, v.GT, v.GE, v.EQ, v.NE)
POWERS = (2, 3, 4, -1, -2, Fraction(1, 2), Fraction(-1, 2), Fraction(1, 3), Fraction(5, 2))

NUMBERS = st.one_of(
    st.integers(-4, 6),
    st.sampled_from([Fraction(1, 2), Fraction(-1, 3), Fraction("0.044715"), Fraction("1.702")]),
).map(Number)
LEAVES = st.one_of(st.just(X), st.just(X), st.just(Y), NUMBERS, st.just(v.pi()))


@st.composite
def smooth(draw: st.DrawFn, depth: int = 3) -> Expr:
    """Arithmetic, powers and smooth functions."""
    if not depth:
        return draw(LEAVES)

    def inner() -> Expr:
        return draw(smooth(depth - 1))

    match draw(st.integers(0, 6)):
        case 0 | 1 | 2:
            return draw(st.sampled_from((v.ADD, v.SUB, v.MUL, v.DIV)))(inner(), inner())
        case 3:
            return inner() ** draw(st.sampled_from(POWERS))
        case 4:
            return -inner()
        case _:
            return draw(st.sampled_from(SMOOTH))(inner())


@st.composite
def piecewise(draw: st.DrawFn, depth: int = 3) -> Expr:
    """Polynomials, kinked functions and conditions, whose boundaries are whole numbers."""
    if not depth:
        return draw(st.one_of(st.just(X), st.integers(-3, 3).map(Number)))

    def inner() -> Expr:
        return draw(piecewise(depth - 1))

    match draw(st.integers(0, 7)):
        case 0 | 1 | 2:
            return draw(st.sampled_from((v.ADD, v.SUB, v.MUL)))(inner(), inner())
        case 3:
            return draw(st.sampled_from(KINKED))(inner())
        case 4:
            return draw(st.sampled_from((v.maximum, v.minimum)))(inner(), inner())
        case 5:
            return v.clip(inner(), Number(-1), Number(2))
        case 6:
            return draw(st.sampled_from((v.tanh, v.sigmoid, v.exp)))(X)
        case _:
            return v.where(draw(conditions(depth - 1)), inner(), inner())


@st.composite
def conditions(draw: st.DrawFn, depth: int) -> Expr:
    """A comparison with a number, or several joined."""
    if depth and draw(st.integers(0, 3)) == 0:
        first = draw(conditions(depth - 1))
        kind = draw(st.integers(0, 2))
        if kind == 0:
            return v.NOT(first)
        return (v.AND if kind == 1 else v.OR)(first, draw(conditions(depth - 1)))
    relation = draw(st.sampled_from(RELATIONS))
    return relation(draw(piecewise(depth)), Number(draw(st.integers(-3, 3))))


def compared_numbers(root: Expr) -> list[Fraction]:
    """The numbers in the conditions, where the kinks are."""
    return [
        arg.value
        for node in walk(root)
        if isinstance(node, Call) and node.function in RELATIONS
        for arg in node.args
        if isinstance(arg, Number)
    ]
