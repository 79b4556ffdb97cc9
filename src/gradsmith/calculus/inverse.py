"""A derivative in terms of the output: σ′ = y(1 − y), found by solving y = f(x).

The output is solved for one kernel at a time: a quotient that is linear in a kernel above and
below (a Möbius map of it) gives the kernel as a quotient in y; an invertible kernel gives its
argument. As soon as the derivative needs no other kernel, it is one in y.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from math import gcd

from flint import fmpq_mpoly

from gradsmith.calculus.algebra import Field, Quotient, TooLarge, depends_on, terms_of, times
from gradsmith.calculus.derivative import differentiate
from gradsmith.calculus.piecewise import Facts
from gradsmith.calculus.simplify import simplify, tidy_condition
from gradsmith.formula.expression import (
    Call,
    Expr,
    Function,
    Number,
    Symbol,
    as_expr,
    rebuild,
    substitute,
    walk,
    with_args,
)
from gradsmith.formula.vocabulary import (
    ADD,
    MUL,
    POW,
    abs_,
    asinh,
    atan,
    clip,
    exp,
    expand_definition,
    expm1,
    heaviside,
    log,
    log1p,
    maximum,
    minimum,
    relu,
    sigmoid,
    sinh,
    softplus,
    tan,
    where,
)

_INVERSE: dict[Function, Callable[[Expr], Expr]] = {
    exp: lambda y: log(y),
    log: lambda y: exp(y),
    atan: lambda y: tan(y),
    sinh: lambda y: asinh(y),
    asinh: lambda y: sinh(y),
}
_UNFOLDED = frozenset({softplus, sigmoid, expm1, log1p})
_PIECEWISE = frozenset({maximum, minimum, clip, relu, heaviside})
_MOST_STEPS = 6


def derivative_by_output(root: Expr, x: Symbol, y: Symbol) -> Expr | None:
    """∂root/∂x as an expression in y = root (and parameters), or None where none was found.

    A piecewise function keeps its conditions on x; a derivative that does not depend on x at
    all is returned as it is.
    """
    derivative = simplify(differentiate(root, x))
    for unfold in (False, True):
        found = _by_branches(_spelled(root, unfold), _spelled(derivative, unfold), x, y, Facts())
        if found is not None:
            return simplify(found)
    return None


def _spelled(root: Expr, unfold: bool) -> Expr:
    functions = _PIECEWISE | (_UNFOLDED if unfold else frozenset())

    def replace(node: Expr, args: tuple[Expr, ...]) -> Expr:
        node = with_args(node, args)
        if not isinstance(node, Call):
            return node
        if node.function is abs_:
            (u,) = node.args
            return where(u >= 0, u, -u)
        return expand_definition(node) if node.function in functions else node

    return rebuild(root, replace)


def _by_branches(value: Expr, derivative: Expr, x: Symbol, y: Symbol, facts: Facts) -> Expr | None:
    """Solve on each branch of the conditions of ``value`` and ``derivative`` together."""
    condition = _first_condition(value)
    if condition is None:
        condition = _first_condition(derivative)
    if condition is None:
        pinned = facts.pinned()
        return _solve(substitute(value, pinned), substitute(derivative, pinned), x, y)
    test = tidy_condition(condition)
    known = facts.decide(test)
    branches = []
    for holds in (True, False) if known is None else (known,):
        inside = _decided(value, condition, holds), _decided(derivative, condition, holds)
        branch = _by_branches(*inside, x, y, facts.assuming(test, holds))
        if branch is None:
            return None
        branches.append(branch)
    return where(test, *branches) if len(branches) == 2 else branches[0]


def _first_condition(root: Expr) -> Expr | None:
    return next(
        (n.args[0] for n in walk(root) if isinstance(n, Call) and n.function is where), None
    )


def _decided(root: Expr, condition: Expr, holds: bool) -> Expr:
    chosen = 1 if holds else 2
    return rebuild(
        root,
        lambda node, args: (
            args[chosen]
            if isinstance(node, Call) and node.function is where and args[0] is condition
            else with_args(node, args)
        ),
    )


def _solve(value: Expr, derivative: Expr, x: Symbol, y: Symbol) -> Expr | None:
    derivative = simplify(derivative)
    if not depends_on(derivative, x):
        return derivative
    known: Expr = y
    for _ in range(_MOST_STEPS):
        try:
            field = Field(value, derivative)
            quotient, wanted = field.quotient(value), field.quotient(derivative)
        except (TooLarge, ZeroDivisionError):
            return None
        kernels = _kernels_of_x(field, quotient, x)
        if len(kernels) != 1:
            return None
        (index,) = kernels
        stride = _stride(field, quotient, wanted, index)
        solution = _solve_moebius(field, quotient, index, stride, known)
        if solution is None:
            return None
        if _kernels_of_x(field, wanted, x) <= kernels:
            return simplify(_with_kernel(field, wanted, index, stride, solution))
        kernel = field.kernels[index]
        if not isinstance(kernel, Call) or stride != 1:
            return None
        if kernel.function is POW:  # radicand**(1/q)
            exponent = kernel.args[1]
            assert isinstance(exponent, Number)
            value, known = kernel.args[0], simplify(solution ** Number(1 / exponent.value))
        elif kernel.function in _INVERSE:
            value, known = kernel.args[0], simplify(_INVERSE[kernel.function](solution))
        else:
            return None
    return None


def _kernels_of_x(field: Field, quotient: Quotient, x: Symbol) -> set[int]:
    degrees = zip(quotient.numerator.degrees(), quotient.denominator.degrees(), strict=True)
    used = {i for i, pair in enumerate(degrees) if any(pair)}
    return {i for i in used if depends_on(field.kernels[i], x)}


def _stride(field: Field, quotient: Quotient, wanted: Quotient, index: int) -> int:
    """The largest n such that only powers of kernelⁿ occur: (e²ˣ − 1)/(e²ˣ + 1) is one in e²ˣ."""
    both = (*quotient, *wanted)
    return gcd(*(powers[index] for polynomial in both for powers, _ in terms_of(polynomial))) or 1


def _solve_moebius(
    field: Field, quotient: Quotient, index: int, stride: int, known: Expr
) -> Expr | None:
    """The power t = kernel**stride in known = (a·t + b)/(c·t + d)."""
    sides = []
    for polynomial in quotient:
        parts: dict[int, list[Expr]] = {0: [], 1: []}
        for powers, coefficient in terms_of(polynomial):
            if powers[index] > stride:
                return None
            rest = (*powers[:index], 0, *powers[index + 1 :])
            parts[powers[index] // stride].append(times(coefficient, field.monomial(rest)))
        sides.append([reduce(ADD, parts[k], as_expr(0)) for k in (1, 0)])
    (a, b), (c, d) = sides
    bottom = simplify(a - known * c)
    if bottom is Number(0):
        return None
    return simplify((known * d - b) / bottom)


def _with_kernel(field: Field, quotient: Quotient, index: int, stride: int, solution: Expr) -> Expr:
    def evaluate(polynomial: fmpq_mpoly) -> Expr:
        total: Expr = Number(0)
        for powers, coefficient in terms_of(polynomial):
            rest = (*powers[:index], 0, *powers[index + 1 :])
            part = times(coefficient, field.monomial(rest))
            if powers[index]:
                part = MUL(part, solution ** Number(powers[index] // stride))
            total = ADD(total, part)
        return total

    return evaluate(quotient.numerator) / evaluate(quotient.denominator)
