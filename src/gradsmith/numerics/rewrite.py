"""The engine that applies rewrite rules wherever their patterns are found.

A pattern is an expression whose symbols are wildcards; it is matched up to order and grouping of
sums and products (:mod:`gradsmith.numerics.matching`). A sum in a pattern may match some of the
terms of a longer sum, up to a common numeric factor (``1 - tanh(a)**2`` is found in
``2*x - 3 + 3*tanh(x)**2``); a product may match some of the factors of a longer product.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from gradsmith.calculus.fold import fold
from gradsmith.calculus.terms import sum_of_terms
from gradsmith.formula.expression import Call, Expr, Function, substitute, walk, with_args
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, POW, SUB
from gradsmith.numerics.matching import (
    Binding,
    build_product,
    match,
    match_factors,
    match_terms,
    product_factors,
    sum_terms,
)

MAX_PASSES = 40


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """``pattern`` may be replaced by ``replacement``: equal for all reals where both exist.

    Attributes:
        name: for the reader.
        pattern, replacement: expressions over the wildcards a, b.
        why: what goes wrong without it.
        domain: for each wildcard, the interval on which the rule holds.
    """

    name: str
    pattern: Expr
    replacement: Expr
    why: str
    domain: tuple[tuple[str, float, float], ...] = ()


def rewrite(
    root: Expr, rules: tuple[Rule, ...], *, once: bool = False, outermost: bool = False
) -> Expr:
    """Apply ``rules``, innermost first and each as often as it fits, until none does.

    With ``once`` each node is rewritten once: for rules whose result contains their pattern.
    With ``outermost`` a call is tried before its arguments: log(1 + tanh(u)) is log1p(tanh(u))
    and not the logarithm of what 1 + tanh(u) becomes.
    """
    for _ in range(1 if once else MAX_PASSES):
        new = _outermost_pass(root, rules) if outermost else _one_pass(root, rules)
        if new is root:
            return root
        root = new
    return root


def _outermost_pass(root: Expr, rules: tuple[Rule, ...]) -> Expr:
    done: dict[Expr, Expr] = {}

    def visit(node: Expr) -> Expr:
        if node not in done:
            new = _first_fitting(rules, node)
            done[node] = (
                with_args(node, tuple(visit(arg) for arg in node.args)) if new is node else new
            )
        return done[node]

    return visit(root)


def _one_pass(root: Expr, rules: tuple[Rule, ...]) -> Expr:
    done: dict[Expr, Expr] = {}
    for node in walk(root):
        done[node] = _first_fitting(rules, with_args(node, tuple(done[arg] for arg in node.args)))
    return done[root]


@lru_cache(maxsize=50_000)
def _first_fitting(rules: tuple[Rule, ...], node: Expr) -> Expr:
    if isinstance(node, Call):
        (first, *_) = node.args or (node,)
        if node.function is NEG and isinstance(first, Call) and first.function is NEG:
            return first.args[0]
        there = _functions(node)
        for rule in rules:
            # Asked first, for it is quick: a function in the pattern matches nothing but itself.
            if _functions(rule.pattern) <= there and (found := apply_rule(rule, node)) is not None:
                return found
    return node


_ARITHMETIC = frozenset({ADD, SUB, MUL, DIV, NEG, POW})


@lru_cache(maxsize=50_000)
def _functions(node: Expr) -> frozenset[Function]:
    """Those that are called in it; arithmetic, which may be written in several ways, left out."""
    found = frozenset[Function]().union(*map(_functions, node.args))
    if isinstance(node, Call) and node.function not in _ARITHMETIC:
        return found | {node.function}
    return found


def apply_rule(rule: Rule, node: Expr) -> Expr | None:
    """``node`` with ``rule`` applied at its top, or None where it does not fit."""
    pattern = rule.pattern
    if not isinstance(pattern, Call) or not isinstance(node, Call):
        return None
    if pattern.function in (ADD, SUB):
        if node.function not in (ADD, SUB):
            return None
        return _apply_to_sum(rule, node)
    if pattern.function in (MUL, DIV, POW):
        if node.function not in (MUL, DIV, POW):
            return None
        return _apply_to_product(rule, node)
    binding = next(match(pattern, node, {}), None)
    return None if binding is None else instance(rule, binding)


def instance(rule: Rule, binding: Binding) -> Expr:
    """The replacement with its wildcards filled in, double signs gone."""
    return fold(substitute(rule.replacement, binding))


def _apply_to_sum(rule: Rule, node: Call) -> Expr | None:
    terms, wanted = sum_terms(node), sum_terms(rule.pattern)
    if len(terms) < len(wanted):
        return None
    for scale in dict.fromkeys(c / wanted[0][0] for c, _ in terms):
        scaled = [(scale * c, rest) for c, rest in wanted]
        for binding, left in match_terms(scaled, terms, {}):
            new = [(scale, instance(rule, binding)), *left]
            return sum_of_terms(new)
    return None


def _apply_to_product(rule: Rule, node: Call) -> Expr | None:
    coefficient, factors = product_factors(node)
    scale, wanted = product_factors(rule.pattern)
    for binding, left in match_factors(wanted, factors, {}):
        replacement = instance(rule, binding)
        return build_product(coefficient / scale, [(replacement, Fraction(1)), *left])
    return None
