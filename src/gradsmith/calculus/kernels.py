"""Kernels: the parts of an expression that arithmetic cannot look into.

A symbol, ``exp(x)``, ``tanh(x)`` and ``√π`` are kernels; polynomials over them are the matter of
:mod:`gradsmith.calculus.quotients`. That algebra takes different kernels for independent, so that
before it starts each is brought to one canonical form: its arguments simplified, ``tanh(-x)`` as
``-tanh(x)``, ``√8`` as ``2·√2``, ``erfc`` as ``1 − erf``, ``exp(log(x))`` as ``x``.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from gradsmith.calculus.exact import constant_value
from gradsmith.calculus.terms import SKELETON, exact_number, split_coefficient, times
from gradsmith.formula.expression import (
    Call,
    Expr,
    Number,
    free_symbols,
    walk,
    with_args,
)
from gradsmith.formula.vocabulary import (
    DIV,
    POW,
    abs_,
    e,
    erf,
    erfc,
    exp,
    expand_definition,
    expm1,
    log,
    log1p,
    ndtr,
    reciprocal,
    rsqrt,
    sigmoid,
    sign,
    sqrt,
    square,
    tanh,
)

MAX_POWER = 64
"""Powers above it, and roots of a higher degree, are kernels: nobody wants (1 + x)**1000 expanded,
nor a polynomial of degree 10⁹ over exp(1e-9·x)."""

REFLECTED = frozenset({sigmoid, ndtr})
"""Functions with f(−u) = 1 − f(u)."""

_UNFOLDED = frozenset({expm1, log1p, square, reciprocal, rsqrt})


def integer_power(node: Expr) -> int | None:
    """The exponent of ``base ** n`` that is arithmetic, else None."""
    if isinstance(node, Call) and node.function is POW:
        power = exact_number(node.args[1])
        if power is not None and power.denominator == 1 and abs(power) <= MAX_POWER:
            return int(power)
    return None


def root_degree(kernel: Expr) -> int:
    """The degree q where ``kernel`` is ``radicand**(1/q)``, else 0."""
    if isinstance(kernel, Call) and kernel.function is POW:
        power = exact_number(kernel.args[1])
        if power is not None and power.numerator == 1 and power.denominator > 1:
            return power.denominator
    return 0


def arithmetic(root: Expr) -> Iterator[Expr]:
    """The numbers, the operations and, as leaves, the kernels of ``root``.

    Each once, arguments before the operations on them, from left to right. What is inside a kernel
    is not visited.
    """
    seen: set[Expr] = set()
    stack: list[tuple[Expr, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            yield node
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((arg, False) for arg in reversed(operands(node)) if arg not in seen)


def operands(node: Expr) -> tuple[Expr, ...]:
    """What arithmetic combines at ``node``; nothing for a number or a kernel."""
    if isinstance(node, Call) and node.function in SKELETON:
        return node.args
    return node.args[:1] if integer_power(node) is not None else ()


def occurrences(root: Expr) -> list[Expr]:
    """The kernels as they occur in the arithmetic of ``root``, each once, from left to right."""
    return [
        node for node in arithmetic(root) if not operands(node) and not isinstance(node, Number)
    ]


def canonical(root: Expr) -> Expr:
    """``root`` with simplified arguments inside every kernel, and with the kernels' identities."""
    done: dict[Expr, Expr] = {}
    for node in walk(root):
        new = with_args(node, tuple(done[arg] for arg in node.args))
        if isinstance(new, Call) and new.args and not operands(new):
            new = _identity(_with_simple_arguments(new))
        done[node] = new
    return done[root]


def _with_simple_arguments(node: Call) -> Call:
    # The arguments are expressions of their own, so that the two modules need each other.
    from gradsmith.calculus.simplify import simplify

    return Call(node.function, tuple(simplify(arg) for arg in node.args))


def _identity(node: Call) -> Expr:
    function, args = node.function, node.args
    if function in _UNFOLDED:
        return _identities_within(expand_definition(node))
    inner = args[0].function if isinstance(args[0], Call) else None
    if function is POW and inner is e:
        return _identities_within(exp(args[1]))
    if function is sqrt:
        return _root(args[0], Fraction(1, 2))
    if function is POW and (power := exact_number(args[1])) is not None:
        return _root(args[0], power)
    if (function is exp and inner is log) or (function is log and inner is exp):
        return args[0].args[0]
    if function is exp and args[0] is Number(0):
        return Number(1)
    if function is log and (args[0] is Number(1) or inner is e):
        return Number(0 if inner is None else 1)
    if function is tanh and inner is log:
        squared = args[0].args[0] ** 2
        return (squared - 1) / (squared + 1)
    if function is erfc:
        return 1 - _identities_within(erf(args[0]))
    return node if function.parity is None else _by_parity(node)


def _identities_within(node: Expr) -> Expr:
    """The identities in what a definition was unfolded to."""
    if isinstance(node, Call) and node.args:
        if node.function not in SKELETON:
            return _identity(_with_simple_arguments(node))
        return with_args(node, tuple(_identities_within(arg) for arg in node.args))
    return node


def _root(base: Expr, power: Fraction) -> Expr:
    """``base ** power`` with rational factors of a constant base taken out."""
    if isinstance(base, Number) and _is_root_of_rational(base, power):
        # √(p/q) = √(pq)/q, with the largest square taken out.
        inside = base.value.numerator * base.value.denominator
        outside = Fraction(1, base.value.denominator)
        for prime in (2, 3, 5, 7):
            while inside % prime**2 == 0:
                inside //= prime**2
                outside *= prime
        if inside == 1:
            return Number(outside**power.numerator)
        root = POW(Number(inside), Number(Fraction(power.numerator, 2)))
        return Number(outside**power.numerator) * root if outside != 1 else root
    if isinstance(base, Call) and base.function is DIV and all(map(_is_positive, base.args)):
        return _root(base.args[0], power) / _root(base.args[1], power)
    coefficient, rest = split_coefficient(base)
    if coefficient > 0 and coefficient != 1 and not free_symbols(rest) and rest is not Number(1):
        return _root(Number(coefficient), power) * POW(rest, Number(power))
    return POW(base, Number(power))


def _is_root_of_rational(base: Number, power: Fraction) -> bool:
    return base.value > 0 and power.denominator == 2 and abs(power) <= MAX_POWER


def _is_positive(node: Expr) -> bool:
    return not free_symbols(node) and constant_value(node) > 0


def _by_parity(node: Call) -> Expr:
    """Move a sign out of an odd or even function, and a factor out of |·|."""
    function = node.function
    coefficient, rest = split_coefficient(node.args[0])
    if function is abs_:
        number = rest is Number(1)
        return Number(abs(coefficient)) if number else times(abs(coefficient), abs_(rest))
    if coefficient == 0 and function.parity == "odd":
        return Number(0)
    if function is sign:
        positive = Number(1) if rest is Number(1) else function(rest)
        return positive if coefficient > 0 else times(-1, positive)
    if coefficient < 0:
        positive = function(times(-coefficient, rest))
        return -positive if function.parity == "odd" else positive
    return node
