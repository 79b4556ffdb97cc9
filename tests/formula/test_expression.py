"""Expressions keep what was written, are one object when they are equal, and never change."""

from __future__ import annotations

import copy
import gc
import pickle
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given, settings

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import (
    Call,
    Expr,
    Function,
    Number,
    Symbol,
    as_expr,
    free_symbols,
    rebuild,
    size,
    substitute,
    walk,
    with_args,
)
from tests.formula.expressions import expressions, value

X, Y = Symbol("x"), Symbol("y")


def copied(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """The node made anew."""
    if isinstance(node, Number):
        return Number(node.value)
    if isinstance(node, Symbol):
        return Symbol(node.name)
    assert isinstance(node, Call)
    return node.function(*args)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(expressions())
def test_equal_trees_are_one_object(expression: Expr) -> None:
    assert rebuild(expression, copied) is expression


@settings(derandomize=True, max_examples=60, deadline=None)
@given(expressions())
def test_copies_and_pickles_are_the_object_itself(expression: Expr) -> None:
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(expression, protocol)) is expression
    assert copy.deepcopy(expression) is expression
    assert copy.copy(expression) is expression


def test_a_function_pickles_as_itself() -> None:
    for function in (v.tanh, v.ADD, v.sech2):
        assert pickle.loads(pickle.dumps(function)) is function


def test_threads_make_one_object() -> None:
    workers = 8
    barrier = Barrier(workers)

    def build(_: int) -> list[Expr]:
        barrier.wait()
        return [v.tanh(Symbol(f"thread_{i}") + i) for i in range(200)]

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(build, range(workers)))
    for nodes in zip(*results, strict=True):
        assert len({id(node) for node in nodes}) == 1


def test_nodes_are_forgotten_when_nobody_holds_them() -> None:
    from gradsmith.formula import expression

    gc.collect()
    before = len(expression._INTERNED)
    nodes = [v.tanh(Symbol(f"forgotten_{i}")) for i in range(100)]
    assert len(expression._INTERNED) == before + 200
    del nodes
    gc.collect()
    assert len(expression._INTERNED) == before


def test_building_simplifies_nothing() -> None:
    assert [str(e) for e in (X + 0, X * 1, X - X, X / X, X**1, v.NEG(-X), Number(1) + 1)] == [
        "x + 0", "x*1", "x - x", "x/x", "x**1", "--x", "1 + 1",
    ]  # fmt: skip


def test_operators_build_calls() -> None:
    cases = {
        X + 1: (v.ADD, X, Number(1)),
        1 + X: (v.ADD, Number(1), X),
        X - 1: (v.SUB, X, Number(1)),
        1 - X: (v.SUB, Number(1), X),
        X * 2: (v.MUL, X, Number(2)),
        2 * X: (v.MUL, Number(2), X),
        X / 2: (v.DIV, X, Number(2)),
        2 / X: (v.DIV, Number(2), X),
        X**2: (v.POW, X, Number(2)),
        2**X: (v.POW, Number(2), X),
        -X: (v.NEG, X),
        X < 1: (v.LT, X, Number(1)),
        X <= 1: (v.LE, X, Number(1)),
        X > 1: (v.GT, X, Number(1)),
        X >= 1: (v.GE, X, Number(1)),
        X + Fraction(1, 3): (v.ADD, X, Number(Fraction(1, 3))),
    }
    for node, (function, *args) in cases.items():
        assert isinstance(node, Call)
        assert (node.function, node.args) == (function, tuple(args))


def test_no_truth_value() -> None:
    with pytest.raises(TypeError, match="where"):
        bool(X > 0)


def test_other_operands_are_not_accepted() -> None:
    for operand in ("a", None, 1j, [1]):
        with pytest.raises(TypeError):
            X + operand  # type: ignore[operator]
        with pytest.raises(TypeError):
            operand * X  # type: ignore[operator]


def test_nodes_cannot_be_changed() -> None:
    for node, field in ((X, "name"), (Number(1), "value"), (X + 1, "args"), (X, "new")):
        with pytest.raises(AttributeError, match="cannot be changed"):
            setattr(node, field, 1)
    with pytest.raises(AttributeError, match="cannot be changed"):
        del X.name


def test_a_float_is_its_shortest_decimal() -> None:
    assert as_expr(0.1) is Number(Fraction(1, 10))
    assert as_expr(np.float64(0.1)) is Number(Fraction(1, 10))
    assert as_expr(2) is Number(2)
    assert Number(0.1).value == Fraction(0.1)
    for number in (float("inf"), float("-inf"), float("nan")):
        with pytest.raises(ValueError, match="finite"):
            as_expr(number)


def test_a_function_counts_its_arguments() -> None:
    with pytest.raises(TypeError, match=r"tanh takes 1 argument\(s\), got 2"):
        v.tanh(X, X)


def test_a_name_belongs_to_one_function() -> None:
    with pytest.raises(ValueError, match="two functions are called 'tanh'"):
        Function(name="tanh", arity=1)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(expressions())
def test_walk_visits_each_node_once_and_arguments_first(expression: Expr) -> None:
    order = list(walk(expression))
    assert len(set(order)) == len(order)
    place = {node: i for i, node in enumerate(order)}
    assert all(place[arg] < place[node] for node in order for arg in node.args)
    assert order[-1] is expression


def test_walk_of_several_roots_shares_what_they_share() -> None:
    shared = v.exp(X)
    order = list(walk(shared + 1, shared * Y))
    assert order.count(shared) == 1
    assert free_symbols(shared + 1, shared * Y) == (X, Y)


def test_free_symbols_are_in_the_order_of_the_text() -> None:
    assert free_symbols(Y * v.tanh(X) + Y) == (Y, X)
    assert free_symbols(Number(1) + v.pi()) == ()


@settings(derandomize=True, max_examples=60, deadline=None)
@given(expressions(), expressions())
def test_substitution_is_replacement(expression: Expr, replacement: Expr) -> None:
    replaced = substitute(expression, {X: replacement})

    def by_hand(node: Expr, args: tuple[Expr, ...]) -> Expr:
        return replacement if node is X else with_args(node, args)

    assert replaced is rebuild(expression, by_hand)
    if X not in free_symbols(replacement):
        assert X not in free_symbols(replaced)


def test_substitution_is_simultaneous_and_outermost_first() -> None:
    assert substitute(X - Y, {X: Y, Y: X}) is Y - X
    tanh = v.tanh(X)
    assert substitute(tanh + X, {tanh: Y, X: Number(2)}) is Y + 2
    assert substitute(X, {X: X + 1}) is X + 1


def test_substitution_leaves_the_rest_as_it_is() -> None:
    expression = v.tanh(X) * Y
    assert substitute(expression, {Symbol("z"): X}) is expression


def test_size_is_the_length_of_the_tree() -> None:
    node: Expr = X
    for _ in range(100):
        node = node * node
    assert size(node) == 2**101 - 1
    assert size(X + 1) == 3


def test_depth_is_no_limit() -> None:
    node: Expr = X
    for _ in range(20_000):
        node = v.tanh(node)
    assert sum(1 for _ in walk(node)) == 20_001
    assert free_symbols(substitute(node, {X: Y})) == (Y,)
    assert size(node) == 20_001


def test_definitions_are_what_the_functions_are() -> None:
    # The random values know only some functions by their definition.
    for function in (v.expm1, v.exp2, v.log1p, v.square, v.reciprocal, v.rsqrt):
        assert v.expand_definition(function(X)) is not function(X)
        if function is not v.exp2:
            assert value(v.expand_definition(function(X))) == value(function(X))
    assert v.expand_definition(X) is X
    assert v.expand_definition(v.exp(X)) is v.exp(X)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(expressions())
def test_symbols_and_length_are_those_of_the_written_tree(expression: Expr) -> None:
    symbols = [node for node in walk(expression) if isinstance(node, Symbol)]
    assert list(free_symbols(expression)) == symbols
    lengths: dict[Expr, int] = {}
    for node in walk(expression):
        lengths[node] = 1 + sum(lengths[arg] for arg in node.args)
    assert size(expression) == lengths[expression]
    both = [node for node in walk(Y, expression) if isinstance(node, Symbol)]
    assert list(free_symbols(Y, expression)) == both
