"""Each rewrite rule on sampled reals: an equality, found wherever it may hide, and worth having."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from functools import reduce
from itertools import product

import numpy as np
import pytest

from gradsmith.calculus.terms import signed_terms
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Number, Symbol, free_symbols, substitute
from gradsmith.formula.parse import parse
from gradsmith.numerics import rules
from gradsmith.numerics.interpret import interpret
from gradsmith.numerics.rewrite import Rule, rewrite
from gradsmith.numerics.rules import (
    PRIMITIVES,
    STABILISE,
    close_terms,
    in_steps,
    spread,
    with_safe_tails,
)
from tests.calculus.oracle import agree, as_fraction, value_of

# Every table of the module, whatever tables there are.
RULES = [
    rule
    for table in vars(rules).values()
    if isinstance(table, tuple) and table and isinstance(table[0], Rule)
    for rule in table
]

MAGNITUDES = (1e-30, 1e-9, 0.013, 0.4, 1.0, 1.7, 5.3, 23.0, 88.0, 300.0)
LINE = [s * m for m in MAGNITUDES for s in (1, -1)] + [0.0]

X, Y, Z = Symbol("x"), Symbol("y"), Symbol("z")
EXTRA = v.sin(Y) * Y


def named(rule: Rule) -> str:
    return rule.name


def within(rule: Rule, name: str) -> list[float]:
    low, high = next(((lo, hi) for n, lo, hi in rule.domain if n == name), (-math.inf, math.inf))
    return [x for x in LINE if low < x < high]


def wildcards(rule: Rule) -> list[str]:
    return [symbol.name for symbol in free_symbols(rule.pattern)]


def test_the_tables_are_found() -> None:
    assert set(STABILISE) | set(PRIMITIVES) <= set(RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_both_sides_are_equal_on_the_whole_domain(rule: Rule) -> None:
    names = wildcards(rule)
    assert set(names) >= {symbol.name for symbol in free_symbols(rule.replacement)}
    compared = 0
    for place in product(*(within(rule, name) for name in names)):
        point = dict(zip(names, place, strict=True))
        left = value_of(rule.pattern, digits=45, **point)
        right = value_of(rule.replacement, digits=45, **point)
        if left is not None and right is not None:
            compared += 1
            assert agree(left, right, 40), point
        # The replacement may have more values (log(exp(x)) overflows), never fewer.
        assert right is not None or left is None
    assert compared >= min(len(within(rule, name)) for name in names) // 2


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_each_rule_says_why(rule: Rule) -> None:
    assert rule.name
    assert len(rule.why) >= 5
    assert {name for name, _, _ in rule.domain} <= set(wildcards(rule))


ARGUMENTS = [
    {"a": X, "b": Number(4)},
    {"a": 3 * X, "b": Z},
    {"a": -X / 2, "b": Z / 3},
    {"a": X * v.tanh(Z) + Z / 5, "b": v.exp(Z)},
    {"a": v.sqrt(Z) - X, "b": v.sqrt(Z) + 2},
]
POINTS = [
    {"x": Fraction(3, 8), "y": Fraction(7, 5), "z": Fraction(5, 4)},
    {"x": Fraction(-5, 7), "y": Fraction(2, 3), "z": Fraction(11, 3)},
    {"x": Fraction(13, 6), "y": Fraction(-1, 9), "z": Fraction(1, 7)},
]


def surroundings(instance: Expr) -> list[Expr]:
    """The instance alone, scaled, among other terms and factors, and inside other functions."""
    return [
        instance,
        -instance,
        3 * instance + EXTRA,
        EXTRA - instance / 7,
        EXTRA + (instance * Number(Fraction(-5, 3)) - Z),
        instance * EXTRA,
        EXTRA * 2 * instance * v.cos(Z),
        EXTRA / (Z / instance),
        v.atan(instance / 2) + EXTRA,
        *scattered(instance),
    ]


def scattered(instance: Expr) -> list[Expr]:
    """The parts of a sum or product scaled and scattered among others, none next to its like."""
    assert isinstance(instance, Call)
    if instance.function in (v.ADD, v.SUB):
        scale = Number(Fraction(-7, 3))
        first, *others = (scale * sign * term for sign, term in signed_terms(instance))
        return [reduce(v.ADD, [EXTRA, *others, v.atan(Z), first, 5 * Z])]
    if instance.function in (v.MUL, v.DIV):
        top, bottom = instance.args
        if instance.function is v.MUL:
            return [top * EXTRA * (-3 * bottom) * v.atan(Z), EXTRA / Z * bottom / 2 * top]
        return [EXTRA * top / v.atan(Z) / (-3 * bottom), Z * top / (v.atan(Z) * bottom * EXTRA)]
    return []


@pytest.mark.parametrize("rule", STABILISE, ids=named)
def test_a_rule_is_applied_wherever_its_pattern_hides(rule: Rule) -> None:
    for arguments in ARGUMENTS:
        instance = substitute(rule.pattern, {Symbol(n): arguments[n] for n in wildcards(rule)})
        for root in surroundings(instance):
            new = rewrite(root, (rule,))
            assert new is not root, root
            assert rewrite(new, (rule,)) is new, "it is applied as often as it fits"
            values = [value_of(root, digits=45, **point) for point in POINTS]
            for value, point in zip(values, POINTS, strict=True):
                if value is not None:
                    assert agree(value_of(new, digits=45, **point), value), (root, new, point)


# Right by themselves; it is what differentiation makes of them that is not.
FOR_THE_DERIVATIVE = {"logistic"}
# Half a repair: near 0 the one needs a series too, far out the other's square overflows.
IN_PART = {"log of cosh", "root plus its argument"}

GRID = [s * m * 10.0**k for k in range(-12, 3) for m in (1.0, 2.3, 5.7) for s in (1, -1)]
GRID += [s * m for m in (1e-310, 1e-200, 800.0, 1e200, 1e300) for s in (1, -1)]


def lost_bits(root: Expr, exact: dict[float, float], name: str, fixed: dict[str, float]) -> float:
    """log₂ of the error in ULP, summed; 53 bits for a wrong zero, infinity or NaN."""
    points, true = np.array(list(exact)), np.array(list(exact.values()))
    values = {name: points, **{n: np.full(points.shape, p) for n, p in fixed.items()}}
    with np.errstate(all="ignore"):
        errors = np.abs(interpret(root, values) - true) / np.spacing(np.abs(true))
    errors = np.where(np.isfinite(errors), np.minimum(errors, 2.0**53), 2.0**53)
    return float(np.log2(np.maximum(errors, 1)).sum())


@pytest.mark.parametrize("rule", STABILISE, ids=named)
def test_the_pattern_loses_accuracy_and_its_replacement_keeps_it(rule: Rule) -> None:
    name, *others = wildcards(rule)
    fixed = dict.fromkeys(others, 1.5)
    low, high = next(((lo, hi) for n, lo, hi in rule.domain if n == name), (-math.inf, math.inf))
    exact = {}
    for x in GRID:
        value = value_of(rule.pattern, digits=40, **{name: x}, **fixed) if low < x < high else None
        # Where the result itself leaves the range there is nothing to keep.
        if value is not None and 1e-250 < abs(value) < 1e305:
            exact[x] = float(as_fraction(value))
    before = lost_bits(rule.pattern, exact, name, fixed)
    after = lost_bits(rewrite(rule.replacement, PRIMITIVES), exact, name, fixed)
    if rule.name in FOR_THE_DERIVATIVE | IN_PART:
        assert after <= before
    else:
        assert after < before / 2


@pytest.mark.parametrize("change", [with_safe_tails, in_steps, spread])
def test_every_other_change_keeps_the_value(change: Callable[[Expr], Expr]) -> None:
    formulas = [
        "x*erfc(-x/sqrt(2))/2", "erfc(x)*exp(-x)", "sqrt(x**2 + 4) + sqrt(x**2 + y)",
        "1/(1 + x**2)**2", "x/(y*(2 + x)**3*tanh(y))", "1/(3*x**2*y)", "(1 + x**2)**1.5*x**2",
        "log((1 + x**2)/(2 + y))", "(2 + tanh(x))**y",
    ]  # fmt: skip
    changed = 0
    for text in formulas:
        root = parse(text, inputs=("x", "y") if "y" in text else ("x",)).expression
        new = change(root)
        changed += new is not root
        for x in (-2.5, -0.25, 0.5, 3.0):
            point = {"x": x, "y": 0.75}
            assert agree(value_of(new, **point), value_of(root, **point)), text
    assert changed >= 2


def test_division_in_steps_reaches_further() -> None:
    root = parse("1/(1 + abs(x))**3").expression
    x = {"x": np.array([1e104, 1e107])}
    assert (interpret(root, x) == 0).any()
    assert np.all(interpret(in_steps(root), x) == [1e-312, 1e-321])


@pytest.mark.parametrize(
    ("text", "points"),
    [
        ("log(x) - log(x + 1)", (3.7, 1e9, 1e17, 1e200)),
        ("log(x + 1) - log(x)", (3.7, 1e9, 1e17, 1e200)),
        ("atan(x + 1) - atan(x)", (-7.0, -0.5, 3.0, 1e7, 1e40)),
        ("sqrt(x + 1) - sqrt(x)", (3.7, 1e9, 1e17, 1e200)),
        ("sqrt(x**2 + 1) - x", (3.7, 1e9, 1e17)),
        ("exp(x + 1e-9) - exp(x)", (-30.0, 0.7, 30.0)),
        ("sin(x + 1e-9) - sin(x)", (-0.3, 0.7, 3.0)),
        ("cos(x + 1e-9) - cos(x)", (-0.3, 0.7, 3.0)),
    ],
)
def test_differences_of_close_terms(text: str, points: tuple[float, ...]) -> None:
    root = parse(text).expression
    forms = close_terms(root)
    assert forms
    for x in points:
        exact = value_of(root, digits=60, x=x)
        errors = []
        for form in forms:
            value = float(interpret(form, {"x": np.array([x])})[0])
            errors.append(abs(as_fraction(exact) - Fraction(value)) / abs(as_fraction(exact)))
        # Eight roundings; a − b itself has become a number or one term.
        assert min(errors) <= 8 * Fraction(2) ** -53, x


def test_terms_that_are_not_close_stay() -> None:
    for text in ("log(x) + log(x + 1)", "sin(x) - cos(x)", "x - 1"):
        assert close_terms(parse(text).expression) == []
