"""The derivation of a derivative, step by step, as data.

Each step names its rule and shows the whole expression before and after it. The rules are the
ones that :func:`gradsmith.calculus.derivative.differentiate` uses, applied one at a time from the
outside in; constants and multiples of x are differentiated on the way. The last steps give the
shortest form and, where one exists, the form in terms of the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

from gradsmith.calculus.algebra import depends_on
from gradsmith.calculus.derivative import derivative, differentiate
from gradsmith.calculus.fold import fold
from gradsmith.calculus.inverse import derivative_by_output
from gradsmith.calculus.kinks import Kink, kinks
from gradsmith.calculus.simplify import simplify
from gradsmith.errors import DerivativeError
from gradsmith.formula.expression import Call, Expr, Function, Number, Symbol, substitute, walk
from gradsmith.formula.formula import Formula
from gradsmith.formula.notation import F_PRIME, PARTIAL, D, F
from gradsmith.formula.vocabulary import ADD, DIV, MUL, NEG, POW, SUB, where

MAX_STEPS = 60
COMPONENTS = 3
"""The multivariate form is written out for this many components."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: by ``rule``, ``before`` equals ``after``."""

    rule: str
    before: Expr
    after: Expr
    why: str = ""


@dataclass(frozen=True, slots=True)
class Derivation:
    """How the derivative of a formula is found.

    Attributes:
        formula: what is differentiated.
        variable: with respect to what.
        order: how often.
        steps: from the unevaluated derivative to its shortest form.
        result: the shortest form.
        by_output: the derivative in terms of the output y, where such a form was found.
        components: the chain rule for y = f(x₁) + f(x₂) + f(x₃), one component at a time.
        upstream: the vector–Jacobian product, g times the derivative.
        kinks: where the derivative is a convention.
    """

    formula: Formula
    variable: str
    order: int
    steps: tuple[Step, ...]
    result: Expr
    by_output: Expr | None
    components: tuple[Step, ...]
    upstream: Step
    kinks: tuple[Kink, ...]

    def __str__(self) -> str:
        from gradsmith.calculus.writing import as_text

        return as_text(self)

    def to_markdown(self) -> str:
        """Markdown with LaTeX formulas."""
        from gradsmith.calculus.writing import as_markdown

        return as_markdown(self)

    def to_latex(self) -> str:
        """One ``align*`` environment, a line per step."""
        from gradsmith.calculus.writing import as_latex

        return as_latex(self)

    _repr_markdown_ = to_markdown


def derive_formula(formula: Formula, wrt: str | None = None, order: int = 1) -> Derivation:
    """Derive ∂ⁿf/∂xⁿ step by step.

    Args:
        formula: the formula f.
        wrt: the input or parameter to differentiate by; the first input by default.
        order: n ≥ 1.

    Raises:
        DerivativeError: ``wrt`` is no name of the formula, or ``order`` is below 1.
    """
    name = wrt or formula.inputs[0]
    if name not in formula.arguments:
        raise DerivativeError(
            f"{name!r} is neither an input nor a parameter of {formula}; "
            f"there are {', '.join(formula.arguments)}"
        )
    if not isinstance(order, int) or isinstance(order, bool) or order < 1:
        raise DerivativeError(f"the order of a derivation is a whole number from 1, got {order!r}")
    x, y = Symbol(name), _free_name(formula, "y")
    start = derivative(formula.expression, x, order - 1) if order > 1 else formula.expression
    operator = D if len(formula.arguments) == 1 else PARTIAL
    steps = _steps(start, x, operator)
    result = derivative(start, x)
    current = steps[-1].after if steps else operator(start, x)
    if result is not current:
        steps.append(Step("simplify", current, result, "collect, cancel and factor"))
    by_output = derivative_by_output(formula.expression, x, y) if order == 1 else None
    if by_output is not None and not depends_on(by_output, y):
        by_output = None
    if by_output is not None:
        steps.append(
            Step(
                "in terms of the output", result, by_output, f"solve {y} = {formula} for its parts"
            )
        )
    return Derivation(
        formula,
        name,
        order,
        tuple(steps),
        result,
        by_output,
        _components(formula, x, order),
        _upstream(formula, start, x, result, operator),
        kinks(formula, name) if name in formula.inputs else (),
    )


def _free_name(formula: Formula, wanted: str) -> Symbol:
    while wanted in formula.arguments:
        wanted += "_"
    return Symbol(wanted)


def _steps(start: Expr, x: Symbol, operator: Function) -> list[Step]:
    steps: list[Step] = []
    current: Expr = operator(start, x)

    def record(rule: str, after: Expr, why: str) -> None:
        nonlocal current
        if after is not current:
            steps.append(Step(rule, current, after, why))
            current = after

    powered = _as_power(start, x)
    if powered is not start:
        record("write as a power", operator(powered, x), "1/u is u⁻¹")
    while len(steps) < MAX_STEPS:
        target = _outermost(current, operator)
        if target is None:
            break
        rule, replacement, why = _differentiate_once(target.args[0], x, operator)
        record(rule, fold(substitute(current, {target: replacement})), why)
    else:
        record("the same rules further", fold(differentiate(start, x)), "")
    return steps


def _outermost(root: Expr, operator: Function) -> Call | None:
    pending = [n for n in walk(root) if isinstance(n, Call) and n.function is operator]
    # Arguments are walked before the calls that use them: the last one is outermost.
    inside = {part for node in pending for arg in node.args for part in walk(arg)}
    return next((node for node in pending if node not in inside), None)


def _as_power(node: Expr, x: Symbol) -> Expr:
    if isinstance(node, Call) and node.function is DIV:
        top, bottom = node.args
        if not depends_on(top, x) and depends_on(bottom, x):
            power = POW(bottom, Number(-1))
            return power if top is Number(1) else top * power
    return node


def _d(u: Expr, x: Symbol, operator: Function) -> Expr:
    """D(u), already taken where that needs no rule: a constant, x, a multiple of x."""
    if not depends_on(u, x):
        return Number(0)
    slope = simplify(differentiate(u, x)) if _is_linear(u, x) else None
    return operator(u, x) if slope is None else slope


def _is_linear(u: Expr, x: Symbol) -> bool:
    if u is x or not depends_on(u, x):
        return True
    if not isinstance(u, Call):
        return False
    if u.function is NEG:
        return _is_linear(u.args[0], x)
    if u.function in (ADD, SUB):
        return all(_is_linear(arg, x) for arg in u.args)
    if u.function is MUL:
        return any(not depends_on(arg, x) for arg in u.args) and all(
            _is_linear(arg, x) for arg in u.args
        )
    return u.function is DIV and not depends_on(u.args[1], x) and _is_linear(u.args[0], x)


def _differentiate_once(u: Expr, x: Symbol, operator: Function) -> tuple[str, Expr, str]:
    """(rule, D(u) with its inner derivatives left to take, why)."""
    if _is_linear(u, x) or not isinstance(u, Call):
        return "multiple of x", simplify(differentiate(u, x)), "its slope is constant"

    def d(part: Expr) -> Expr:
        return _d(part, x, operator)

    function, args = u.function, u.args
    if function in (ADD, SUB, NEG):
        return "sum rule", function(*map(d, args)), "(u + v)′ = u′ + v′; constants drop out"
    if function is MUL:
        a, b = args
        if not depends_on(a, x) or not depends_on(b, x):
            constant, rest = (a, b) if not depends_on(a, x) else (b, a)
            return "constant factor", constant * d(rest), "(c·u)′ = c·u′"
        return "product rule", d(a) * b + a * d(b), "(u·v)′ = u′·v + u·v′"
    if function is DIV:
        a, b = args
        if not depends_on(b, x):
            return "constant factor", d(a) / b, "(u/c)′ = u′/c"
        return "quotient rule", (d(a) * b - a * d(b)) / b**2, "(u/v)′ = (u′·v − u·v′)/v²"
    if function is where:
        condition, a, b = args
        return "branch by branch", where(condition, d(a), d(b)), "on each side of the condition"
    if function is POW and not depends_on(args[1], x):
        base, n = args
        outer = fold(n * base ** (n - 1))
        return "power rule and chain rule", outer * d(base), "(uⁿ)′ = n·uⁿ⁻¹·u′"
    total: Expr = Number(0)
    for partial, arg in zip(function.partials, args, strict=False):
        if depends_on(arg, x):
            total = fold(total + fold(partial(*args)) * d(arg))
    inner = Symbol("u") if function.arity == 1 else None
    why = f"{function.name}(u)′ = ({function.partials[0](inner)})·u′" if inner is not None else ""
    plain = function.arity == 1 and args[0] is x
    if plain and inner is not None:
        why = f"{function.name}(u)′ = {function.partials[0](inner)}"
    name = f"derivative of {function.name}" + ("" if plain else " and chain rule")
    return name, total, why


def _components(formula: Formula, x: Symbol, order: int) -> tuple[Step, ...]:
    """Y = Σ f(xᵢ): every component but the i-th is constant in xᵢ."""
    if len(formula.inputs) != 1 or order != 1 or x.name not in formula.inputs:
        return ()
    xs = [Symbol(f"{x.name}_{i + 1}") for i in range(COMPONENTS)]
    total = reduce(ADD, map(F, xs))
    slope = derivative(formula.expression, x)
    steps = []
    for xi in xs:
        spread = reduce(ADD, [PARTIAL(F(xj), xi) for xj in xs])
        constant = f"f of the other components does not depend on {xi}"
        steps += [
            Step("sum rule", PARTIAL(total, xi), spread, "the derivative of a sum"),
            Step("one term remains", spread, F_PRIME(xi), constant),
            Step("the derivative above", F_PRIME(xi), substitute(slope, {x: xi}), f"at {xi}"),
        ]
    return tuple(steps)


def _upstream(formula: Formula, start: Expr, x: Symbol, result: Expr, operator: Function) -> Step:
    g = _free_name(formula, "g")
    return Step(
        "upstream gradient",
        g * operator(start, x),
        fold(g * result),
        f"the chain rule once more: a loss L with ∂L/∂y = {g} has ∂L/∂{x} = {g}·∂y/∂{x}, "
        f"y being {'the formula' if start is formula.expression else 'the derivative before'}",
    )
