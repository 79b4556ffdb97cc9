"""Random expressions, and an exact value for each by which two of them are compared.

The value is taken in the integers modulo a prime, where arithmetic is exact and division is
defined. A function that is no arithmetic has a value of its own for each argument, drawn by a hash:
tanh(x) and tanh(y) agree only where x and y do, and no two functions agree. Two expressions that
have the same value for random variables are therefore equal by arithmetic alone, or a coincidence
of probability 1e-18 has happened.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from hashlib import blake2b

from hypothesis import strategies as st

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Number, Symbol, walk

PRIME = 2**61 - 1

VARIABLES = ("x", "y", "beta", "lambd", "x_1", "w2", "theta_max", "slope", "negative_slope", "σ")

UNARY = (
    v.exp, v.expm1, v.exp2, v.log, v.log1p, v.log2, v.log10, v.sqrt, v.rsqrt, v.square,
    v.reciprocal, v.sin, v.cos, v.tan, v.atan, v.sinh, v.cosh, v.tanh, v.asinh, v.erf, v.erfc,
    v.ndtr, v.sigmoid, v.softplus, v.relu, v.abs_, v.sign, v.heaviside, v.erfcx,
)  # fmt: skip
ARITHMETIC = (v.ADD, v.SUB, v.MUL, v.DIV, v.POW)
RELATIONS = (v.LT, v.LE, v.GT, v.GE, v.EQ, v.NE)


def residue(value: Fraction) -> int:
    return value.numerator * pow(value.denominator, -1, PRIME) % PRIME


def hashed(*parts: object) -> int:
    digest = blake2b(repr(parts).encode(), digest_size=16).digest()
    return int.from_bytes(digest) % PRIME


def quotient(a: int, b: int) -> int:
    # 1/0 is a number of its own: multiplication by it keeps its laws.
    return a * (pow(b, -1, PRIME) if b else hashed("1/0")) % PRIME


def power(a: int, b: int) -> int:
    """An integer power of moderate size is arithmetic, any other a function of its own."""
    signed = b - PRIME if b > PRIME // 2 else b
    if abs(signed) > 400 or (a == 0 and signed < 0):
        return hashed("pow", a, b)
    return pow(a, signed, PRIME)


def value(root: Expr) -> int:
    """The value of an expression; a condition has one as well."""
    values: dict[Expr, int] = {}
    for node in walk(root):
        values[node] = _value(node, [values[arg] for arg in node.args])
    return values[root]


def _value(node: Expr, args: list[int]) -> int:
    if isinstance(node, Number):
        return residue(node.value)
    if isinstance(node, Symbol):
        return hashed("variable", node.name)
    assert isinstance(node, Call)
    return called(node.function.name, args)


def called(name: str, args: list[int]) -> int:
    match name, args:
        case "add", [a, b]:
            result = a + b
        case "sub", [a, b]:
            result = a - b
        case "mul" | "logical_and", [a, b]:
            result = a * b
        case "div", [a, b]:
            result = quotient(a, b)
        case "neg", [a]:
            result = -a
        case "logical_not", [a]:
            result = 1 - a
        case "logical_or", [a, b]:
            result = a + b - a * b
        case "pow", [a, b]:
            result = hashed("exp", [b]) if a == hashed("e", []) else power(a, b)
        case "expm1", [a]:
            result = hashed("exp", [a]) - 1
        case "exp2", [a]:
            result = called("pow", [2, a])
        case "log1p", [a]:
            result = hashed("log", [(1 + a) % PRIME])
        case "square", [a]:
            result = called("pow", [a, 2])
        case "reciprocal", [a]:
            result = quotient(1, a)
        case "rsqrt", [a]:
            result = quotient(1, hashed("sqrt", [a]))
        case "sech2", [a]:
            result = power(hashed("sech", [a]), 2)
        case _:
            result = hashed(name, args)
    return result % PRIME


NUMBERS = st.one_of(
    st.integers(-12, 12).map(Fraction),
    st.fractions(-3, 3, max_denominator=9),
    st.decimals(-2, 2, places=4).map(Fraction),
    st.sampled_from([Fraction("1e-10"), Fraction("-2.5e-7"), Fraction(10) ** 30, Fraction("0.1")]),
).map(Number)

LEAVES = st.one_of(
    st.sampled_from(VARIABLES).map(Symbol), NUMBERS, st.sampled_from([v.pi(), v.e()])
)


@cache
def expressions(depth: int = 4) -> st.SearchStrategy[Expr]:
    """Any expression of at most that depth."""
    return _expressions(depth)


@cache
def conditions(depth: int) -> st.SearchStrategy[Expr]:
    """A comparison, or several joined."""
    return _conditions(depth)


@st.composite
def _expressions(draw: st.DrawFn, depth: int) -> Expr:
    kind = draw(st.integers(0, 9)) if depth else 9

    def inner() -> Expr:
        return draw(expressions(depth - 1))

    if kind <= 3:
        return draw(st.sampled_from(ARITHMETIC))(inner(), inner())
    if kind == 4:
        return v.NEG(inner())
    if kind <= 6:
        return draw(st.sampled_from(UNARY))(inner())
    if kind == 7:
        function = draw(st.sampled_from((v.maximum, v.minimum, v.clip)))
        return function(*(inner() for _ in range(function.arity)))
    if kind == 8:
        return v.where(draw(conditions(depth - 1)), inner(), inner())
    return draw(LEAVES)


@st.composite
def _conditions(draw: st.DrawFn, depth: int) -> Expr:
    joined = draw(st.integers(0, 7))
    if depth and joined <= 1:
        connective = draw(st.sampled_from((v.AND, v.OR)))
        return connective(draw(conditions(depth - 1)), draw(conditions(depth - 1)))
    if depth and joined == 2:
        return v.NOT(draw(conditions(depth - 1)))
    a, b = draw(expressions(depth)), draw(expressions(0))
    return draw(st.sampled_from(RELATIONS))(a, b)
