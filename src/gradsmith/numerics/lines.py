"""A line in one operation, and what it is multiplied with within it: x·(x + 3)/6 is x·(x/6 + 1/2).

Vectors multiply and add in one instruction, whatever the numbers are: a·u + b takes one, (u + 3)/6
takes two. But beside its root (u + 3)/6 has all its digits, and u/6 + 1/2 those that are left of
u/6: whoever takes such a form has digits to spare, and measures it. At the root itself the line is
0, as a is rounded to so few digits that the format holds a·(−b/a): 1/6 ends in a few zeros.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from gradsmith.calculus.terms import ONE, SKELETON, exact_number
from gradsmith.formula.expression import Call, Expr, Number, Symbol, rebuild, with_args
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, SUB
from gradsmith.numerics.program import is_power_of_two


def with_lines(root: Expr, digits: int) -> Expr:
    """The same function to nearly all digits; ``root`` itself where nothing is spared.

    Args:
        root: an expression.
        digits: of the format in which it is computed.
    """
    lined = rebuild(root, lambda node, args: _shorter(_with_args(node, args)))
    if lined is root:
        return root
    return rebuild(lined, lambda node, args: _with_exact_root(_with_args(node, args), digits))


def _with_args(node: Expr, args: tuple[Expr, ...]) -> Expr:
    # What decides stays as it is: there a last digit is more than a last digit.
    decides = isinstance(node, Call) and node.function.boolean
    return node if decides else with_args(node, args)


class _Line(NamedTuple):
    """a·u + b."""

    a: Fraction
    u: Expr
    b: Fraction

    def times(self, scale: Fraction) -> _Line:
        return _Line(scale * self.a, self.u, scale * self.b)

    def written(self) -> Expr:
        part = self.u if self.a == 1 else Number(self.a) * self.u
        return part + Number(self.b) if self.b else part


def _shorter(node: Expr) -> Expr:
    if not (isinstance(node, Call) and node.function in SKELETON):
        return node
    scale, rest = _scale(node)
    if scale != 1 and (product := _multiplied(scale, rest)) is not None:
        return product
    line = _line(node)
    if line is None or not line.a or _is_short(node, line.u):
        return node
    return line.written()


def _line(node: Expr) -> _Line | None:
    """The node as a line; 0·1 + b for a number, 1·u for what is no sum or multiple."""
    if isinstance(node, Number):
        return _Line(Fraction(0), ONE, node.value)
    itself = _Line(Fraction(1), node, Fraction(0))
    if not isinstance(node, Call):
        return itself
    scale, rest = _scale(node)
    if scale != 1:
        line = _line(rest)
        return None if line is None else line.times(scale)
    if node.function not in (ADD, SUB):
        return itself
    first, second = map(_line, node.args)
    if first is None or second is None:
        return None
    if node.function is SUB:
        second = second.times(Fraction(-1))
    if ONE not in (first.u, second.u) and first.u is not second.u:
        return None
    u = second.u if first.u is ONE else first.u
    return _Line(first.a + second.a, u, first.b + second.b)


def _scale(node: Call) -> tuple[Fraction, Expr]:
    """The number with which something is multiplied, and what that is; else 1 and the node."""
    if node.function is NEG:
        return Fraction(-1), node.args[0]
    if node.function is MUL:
        for factor, other in (node.args, reversed(node.args)):
            if number := exact_number(factor):
                return number, other
    if node.function is DIV and (number := exact_number(node.args[1])):
        return 1 / number, node.args[0]
    return Fraction(1), node


def _multiplied(scale: Fraction, node: Expr) -> Expr | None:
    """The product with a number, where a factor is a line that takes it up."""
    line = _line(node)
    if line is not None and line.a and line.u is not node:
        return line.times(scale).written()
    if isinstance(node, Call) and node.function in (MUL, DIV):
        above, other = node.args
        if (first := _multiplied(scale, above)) is not None:
            return node.function(first, other)
        if node.function is MUL and (second := _multiplied(scale, other)) is not None:
            return above * second
    return None


def _is_short(node: Call, u: Expr) -> bool:
    """Whether it is one operation: a sum with a number, of ``u`` or of a multiple that is fused."""
    if node.function in (ADD, SUB):
        parts = [arg for arg in node.args if not isinstance(arg, Number)]
        (part, *others) = parts
        product = isinstance(part, Call) and part.function is MUL and _scale(part)[1] is u
        return not others and (part is u or product)
    return all(arg is u or isinstance(arg, Number) for arg in node.args)


def _with_exact_root(node: Expr, digits: int) -> Expr:
    """Of an input, a line whose root the format holds, with constants that it holds too."""
    if not (isinstance(node, Call) and node.function is ADD):
        return node
    line = _line(node)
    if line is None or not (line.a and line.b and isinstance(line.u, Symbol)):
        return node
    root = -line.b / line.a
    left = digits - root.numerator.bit_length()
    if left < digits // 2 or not is_power_of_two(Fraction(root.denominator)):
        return node
    a = _rounded(line.a, left)
    return _Line(a, line.u, -a * root).written()


def _rounded(value: Fraction, digits: int) -> Fraction:
    """The nearest number of so many binary digits."""
    unit = Fraction(2) ** (abs(value.numerator).bit_length() - value.denominator.bit_length())
    step: Fraction = unit / 2**digits
    return round(value / step) * step
