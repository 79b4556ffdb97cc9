"""What a branch knows, against all the points that are in it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.calculus.piecewise import FLIPPED, SIGNS, Facts, Interval
from gradsmith.formula.expression import Call, Expr, Function, Number, Symbol
from gradsmith.formula.vocabulary import AND, EQ, GE, GT, LE, LT, NE, NOT, OR

X, Y = Symbol("x"), Symbol("y")
OPERATORS: dict[Function, Callable[[Any, Any], bool]] = {
    LT: operator.lt, LE: operator.le, GT: operator.gt, GE: operator.ge,
    EQ: operator.eq, NE: operator.ne,
}  # fmt: skip

# Every boundary is a whole number of −3 … 3: halves are inside, outside and on each of them.
GRID = [Fraction(k, 2) for k in range(-8, 9)]

comparisons = st.builds(
    lambda relation, symbol, bound: relation(symbol, Number(bound)),
    st.sampled_from(list(SIGNS)),
    st.sampled_from([X, X, X, Y]),
    st.integers(-3, 3),
)
between = st.builds(lambda relation: relation(X, Y), st.sampled_from(list(SIGNS)))
conditions = st.recursive(
    comparisons | between,
    lambda inner: (
        st.builds(NOT, inner) | st.builds(AND, inner, inner) | st.builds(OR, inner, inner)
    ),
    max_leaves=4,
)
assumptions = st.lists(st.tuples(conditions, st.booleans()), max_size=4)

steadily = settings(derandomize=True, deadline=None, max_examples=120)


def holds(condition: Expr, x: Fraction, y: Fraction) -> bool:
    assert isinstance(condition, Call)
    function, args = condition.function, condition.args
    if function is NOT:
        return not holds(args[0], x, y)
    if function is AND:
        return holds(args[0], x, y) and holds(args[1], x, y)
    if function is OR:
        return holds(args[0], x, y) or holds(args[1], x, y)
    left, right = (arg.value if isinstance(arg, Number) else (x if arg is X else y) for arg in args)
    return OPERATORS[function](left, right)


def inside(assumed: list[tuple[Expr, bool]]) -> list[tuple[Fraction, Fraction]]:
    few = GRID[1::4]
    return [
        (x, y)
        for x in GRID
        for y in (*few, x)
        if all(holds(condition, x, y) is outcome for condition, outcome in assumed)
    ]


def facts_of(assumed: list[tuple[Expr, bool]]) -> Facts:
    facts = Facts()
    for condition, outcome in assumed:
        facts = facts.assuming(condition, outcome)
    return facts


@steadily
@given(assumptions, conditions)
def test_what_is_decided_is_so_at_every_point_of_the_branch(
    assumed: list[tuple[Expr, bool]], condition: Expr
) -> None:
    decision = facts_of(assumed).decide(condition)
    if decision is not None:
        assert all(holds(condition, x, y) is decision for x, y in inside(assumed))


@steadily
@given(
    st.lists(comparisons.filter(lambda c: c.args[0] is X and c.function not in (EQ, NE))),
    comparisons.filter(lambda c: c.args[0] is X),
)
def test_what_order_decides_is_decided(assumed: list[Expr], condition: Expr) -> None:
    points = inside([(c, True) for c in assumed])
    outcomes = {holds(condition, x, y) for x, y in points}
    decision = facts_of([(c, True) for c in assumed]).decide(condition)
    # Beyond the grid an unbounded interval goes on: the boundaries are all within it.
    if len(outcomes) == 2:
        assert decision is None
    elif outcomes:
        assert decision is outcomes.pop()


@steadily
@given(assumptions)
def test_a_pinned_symbol_has_that_value_throughout(assumed: list[tuple[Expr, bool]]) -> None:
    pinned = facts_of(assumed).pinned()
    for x, y in inside(assumed):
        for symbol, value in pinned.items():
            assert isinstance(value, Number)
            assert value.value == (x if symbol is X else y)


def test_equality_pins_and_two_bounds_that_meet_do() -> None:
    three = Number(3)
    assert Facts().assuming(EQ(X, three), True).pinned() == {X: three}
    assert Facts().assuming(NE(X, three), False).pinned() == {X: three}
    met = Facts().assuming(GE(X, three), True).assuming(GT(X, three), False)
    assert met.pinned() == {X: three}
    assert Facts().assuming(GE(X, three), True).pinned() == {}


def test_a_bound_that_was_open_stays_so() -> None:
    three = Number(3)
    for strict, weak in ((LT, LE), (GT, GE)):
        for first, second in ((strict, weak), (weak, strict)):
            facts = Facts().assuming(first(X, three), True).assuming(second(X, three), True)
            assert facts.decide(EQ(X, three)) is False
            assert facts.decide(strict(X, three)) is True


def test_a_comparison_of_two_expressions_is_known_either_way_round() -> None:
    facts = Facts().assuming(LT(X, Y), True)
    for function, expected in ((LT, True), (LE, True), (GT, False), (EQ, False), (NE, True)):
        assert facts.decide(function(X, Y)) is expected
        assert facts.decide(FLIPPED[function](Y, X)) is expected


def test_facts_do_not_change_under_what_follows() -> None:
    before = Facts().assuming(GT(X, Number(0)), True)
    before.assuming(LT(X, Number(-1)), True)
    assert before == Facts().assuming(GT(X, Number(0)), True)


def test_an_interval_against_a_number() -> None:
    open_, closed = (
        Interval(Fraction(0), Fraction(1)),
        Interval(Fraction(0), Fraction(1), True, True),
    )
    assert open_.signs_against(Fraction(0)) == {1}
    assert closed.signs_against(Fraction(0)) == {0, 1}
    assert open_.signs_against(Fraction(1)) == {-1}
    assert closed.signs_against(Fraction(1)) == {-1, 0}
    assert open_.signs_against(Fraction(1, 2)) == {-1, 0, 1}
    assert Interval().signs_against(Fraction(7)) == {-1, 0, 1}
