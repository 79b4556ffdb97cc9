"""Constants before a choice as constants of what is chosen from, where that takes no more.

1.05·where(x > 0, x, 1.67·expm1(x)), as the formula of SELU is printed, multiplies twice, and where
the result is subnormal it rounds twice. With 1.05·x and 1.76·expm1(x) to choose from, each number
is multiplied once.
"""

from __future__ import annotations

from fractions import Fraction

from gradsmith.calculus.terms import ONE, chosen_from, split_coefficient
from gradsmith.formula.expression import Call, Expr, Number, rebuild, with_args
from gradsmith.formula.vocabulary import MUL, where


def constants_inward(root: Expr) -> Expr:
    """An equal expression that multiplies no more often."""
    return rebuild(root, lambda node, args: _inward(with_args(node, args)))


def _inward(node: Expr) -> Expr:
    if not (isinstance(node, Call) and node.function is MUL):
        return node
    constant, choice = sorted(node.args, key=_is_choice)
    if not (isinstance(constant, Number) and constant.value and _is_choice(choice)):
        return node
    parts = [split_coefficient(part) for part in chosen_from(choice)]
    before = 1 + sum(_is_product(coefficient, rest) for coefficient, rest in parts)
    after = sum(_is_product(constant.value * coefficient, rest) for coefficient, rest in parts)
    return _multiplied(constant.value, choice) if after <= before else node


def _is_choice(node: Expr) -> bool:
    return isinstance(node, Call) and node.function is where


def _is_product(coefficient: Fraction, rest: Expr) -> bool:
    return rest is not ONE and abs(coefficient) != 1


def _multiplied(constant: Fraction, node: Expr) -> Expr:
    if isinstance(node, Call) and node.function is where:
        condition, *branches = node.args
        return where(condition, *(_multiplied(constant, branch) for branch in branches))
    coefficient, rest = split_coefficient(node)
    coefficient *= constant
    if rest is ONE:
        return Number(coefficient)
    if abs(coefficient) == 1:
        return rest if coefficient > 0 else -rest
    return Number(coefficient) * rest
