"""The rewrite rules, as data: what a formula is replaced by before anything is computed.

Each rule is an equality of real functions; each is tested on sampled exact reals. A rule is a
proposal: what it makes is measured against the exact value and kept only where it is no worse
(:mod:`gradsmith.numerics.stabilise`).
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf

from gradsmith.calculus.fold import fold
from gradsmith.calculus.simplify import simplify
from gradsmith.formula.expression import (
    Call,
    Expr,
    Number,
    Symbol,
    as_expr,
    free_symbols,
    rebuild,
    size,
    with_args,
)
from gradsmith.formula.vocabulary import (
    DIV,
    POW,
    SUB,
    abs_,
    atan,
    cos,
    cosh,
    erf,
    erfc,
    erfcx,
    exp,
    expm1,
    log,
    log1p,
    ndtr,
    sech2,
    sigmoid,
    sin,
    softplus,
    sqrt,
    tanh,
    where,
)
from gradsmith.numerics.matching import product_factors
from gradsmith.numerics.rewrite import Rule, rewrite

a, b = Symbol("a"), Symbol("b")
_POSITIVE = (("a", 0.0, inf),)


def _rules(
    rows: Iterable[tuple[str, Expr, Expr, str, tuple[tuple[str, float, float], ...]]],
) -> tuple[Rule, ...]:
    return tuple(Rule(*row) for row in rows)


STABILISE = _rules(
    [
        # Inverses.
        ("log of exp", log(exp(a)), a, "exp overflows", ()),
        ("exp of log", exp(log(a)), a, "the logarithm's rounding is magnified", _POSITIVE),
        ("log of a reciprocal", log(1 / a), -log(a), "1/a overflows", _POSITIVE),
        ("root of a square", sqrt(a**2), abs_(a), "a² overflows and underflows", ()),
        # The logistic function.
        ("logistic", 1 / (1 + exp(a)), sigmoid(-a), "exp overflows", ()),
        ("logistic, above", exp(a) / (1 + exp(a)), sigmoid(a), "inf/inf", ()),
        ("centred logistic", 1 - 2 * sigmoid(a), -tanh(a / 2), "cancels near 0", ()),
        ("reflected logistic", 1 - sigmoid(a), sigmoid(-a), "cancels where σ is near 1", ()),
        ("exp times logistic", exp(-a) * sigmoid(a), sigmoid(-a), "inf·0", ()),
        ("log of logistic", log(sigmoid(a)), -softplus(-a), "log 0", ()),
        # Logarithms and exponentials near their fixed points.
        ("softplus", log(1 + exp(a)), softplus(a), "exp overflows; 1 + tiny is 1", ()),
        ("softplus of log1p", log1p(exp(a)), softplus(a), "exp overflows", ()),
        ("exp of softplus", exp(-softplus(a)), sigmoid(-a), "two roundings for one", ()),
        ("log1p", log(1 + a), log1p(a), "1 + tiny is 1", (("a", -1.0, inf),)),
        ("log1p, below", log(1 - a), log1p(-a), "1 − tiny is 1", (("a", -inf, 1.0),)),
        ("expm1", exp(a) - 1, expm1(a), "cancels near 0", ()),
        # The hyperbolic tangent.
        ("sech²", 1 - tanh(a) ** 2, sech2(a), "cancels where tanh is near 1", ()),
        ("1 + tanh", 1 + tanh(a), 2 * sigmoid(2 * a), "cancels where tanh is near −1", ()),
        ("1 − tanh", 1 - tanh(a), 2 * sigmoid(-2 * a), "cancels where tanh is near 1", ()),
        # The error function.
        ("1 + erf", 1 + erf(a), erfc(-a), "cancels where erf is near −1", ()),
        ("1 − erf", 1 - erf(a), erfc(a), "cancels where erf is near 1", ()),
        ("1 − erfc", 1 - erfc(a), erf(a), "cancels near 0", ()),
        ("2 − erfc", 2 - erfc(a), erfc(-a), "cancels where erfc is near 2", ()),
        ("1 − Φ", 1 - ndtr(a), ndtr(-a), "cancels where Φ is near 1", ()),
        ("erfcx", erfc(a) * exp(a**2), erfcx(a), "inf·0", ()),
        # Others.
        (
            "log of cosh",
            log(cosh(a)),
            abs_(a) + log1p(exp(-2 * abs_(a))) - log(as_expr(2)),
            "cosh overflows",
            (),
        ),
        ("1 − cos", 1 - cos(a), 2 * sin(a / 2) ** 2, "cancels near 0", ()),
        (
            "root minus one, of a square",
            sqrt(1 + a**2) - 1,
            a * (a / (1 + sqrt(1 + a**2))),
            "cancels near 0, and a² overflows",
            (),
        ),
        (
            "root minus one",
            sqrt(1 + a) - 1,
            a / (1 + sqrt(1 + a)),
            "cancels near 0",
            (("a", -1.0, inf),),
        ),
        (
            "root plus its argument",
            a + sqrt(a**2 + b),
            # With |a| in place of a the result no longer contains the pattern.
            where(a < 0, b / (sqrt(abs_(a) ** 2 + b) - a), a + sqrt(abs_(a) ** 2 + b)),
            "cancels for negative a",
            (("b", 0.0, inf),),
        ),
    ]
)
"""Applied to every formula; the left side loses accuracy somewhere, the right side does not."""

PRIMITIVES = _rules(
    [
        ("σ of a size", sigmoid(abs_(a)), 1 / (1 + exp(-abs_(a))), "no need to choose", ()),
        (
            "σ of minus a size",
            sigmoid(-abs_(a)),
            exp(-abs_(a)) / (1 + exp(-abs_(a))),
            "no need to choose",
            (),
        ),
        (
            "σ by one exp",
            sigmoid(a),
            where(a >= 0, 1, exp(-abs_(a))) / (1 + exp(-abs_(a))),
            "1 + exp(−a) overflows",
            (),
        ),
        (
            "softplus by one exp",
            softplus(a),
            where(a > 0, a, 0) + log1p(exp(-abs_(a))),
            "exp overflows",
            (),
        ),
        (
            "sech² by one exp",
            sech2(a),
            4 * exp(-2 * abs_(a)) / (1 + exp(-2 * abs_(a))) ** 2,
            "cosh overflows",
            (),
        ),
        ("Φ by erfc", ndtr(a), erfc(-a / sqrt(as_expr(2))) / 2, "it is its definition", ()),
    ]
)
"""The last step: safe functions in terms of what every backend has, each with one exp ≤ 1."""

TAILS = _rules(
    [
        (
            "erfc by erfcx",
            erfc(a),
            where(a > 1, erfcx(a) * exp(-(a**2)), erfc(a)),
            "the rounding of a is magnified by 2a² in the tail",
            (),
        ),
        (
            "root of a large square",
            sqrt(a**2 + b),
            where(abs_(a) > 1, abs_(a) * sqrt(1 + b / a**2), sqrt(a**2 + b)),
            "a² overflows",
            (("b", 0.0, inf),),
        ),
    ]
)
"""Repairs of the far range; each costs something, and is kept only where it was needed."""

LAST_TAILS = _rules(
    [
        (
            "end of erfc by erfcx",
            erfc(a),
            where(a > 20, erfcx(a) * exp(-(a**2)), erfc(a)),
            "erfc is subnormal before a product with it is",
            (),
        ),
        (
            "log of a large square",
            log1p(a**2),
            where(abs_(a) > 1, 2 * log(abs_(a)) + log1p(1 / a**2), log1p(a**2)),
            "a² overflows",
            (),
        ),
        (
            "softplus of a multiple",
            softplus(a * b) / b,
            where(a * b > 0, a, 0) + log1p(exp(-abs_(a * b))) / b,
            "a·b overflows",
            (),
        ),
    ]
)
"""The same where no digits are spared: erfc is more accurate than erfcx as long as it can be."""

DIFFERENCES = _rules(
    [
        (
            "logarithms, the first the larger",
            log(a) - log(b),
            log1p((a - b) / b),
            "cancels where a is near b",
            (*_POSITIVE, ("b", 0.0, inf)),
        ),
        (
            "logarithms, the second the larger",
            log(a) - log(b),
            -log1p((b - a) / a),
            "cancels where a is near b",
            (*_POSITIVE, ("b", 0.0, inf)),
        ),
        (
            "inverse tangents",
            atan(a) - atan(b),
            where(a * b > -1, atan((a - b) / (1 + a * b)), atan(a) - atan(b)),
            "cancels where a is near b",
            (),
        ),
        (
            "roots",
            sqrt(a) - sqrt(b),
            (a - b) / (sqrt(a) + sqrt(b)),
            "cancels where a is near b",
            (*_POSITIVE, ("b", 0.0, inf)),
        ),
        (
            "root minus a positive",
            sqrt(a) - b,
            where(b > 0, (a - b**2) / (sqrt(a) + abs_(b)), sqrt(a) - b),
            "cancels where b² is near a",
            _POSITIVE,
        ),
        (
            "exponentials",
            exp(a) - exp(b),
            exp(b) * expm1(a - b),
            "cancels where a is near b",
            (),
        ),
        (
            "sines",
            sin(a) - sin(b),
            2 * cos((a + b) / 2) * sin((a - b) / 2),
            "cancels where a is near b",
            (),
        ),
        (
            "cosines",
            cos(a) - cos(b),
            -2 * sin((a + b) / 2) * sin((a - b) / 2),
            "cancels where a is near b",
            (),
        ),
    ]
)
"""Differences of close terms: worth it where a − b is simpler than a and b are."""


SPREAD = _rules(
    [
        (
            "log of a quotient",
            log(a / b),
            log(a) - log(b),
            "inf/inf",
            (*_POSITIVE, ("b", 0.0, inf)),
        ),
    ]
)
"""Another beginning: what it makes may cancel instead, so that both are proposed."""


def spread(root: Expr) -> Expr:
    """``root`` with :data:`SPREAD` applied, and u**v as exp(v·log(u)) unless v is whole."""
    powers = rebuild(root, lambda node, args: _as_exponential(with_args(node, args)))
    return rewrite(powers, SPREAD, once=True)


def _as_exponential(node: Expr) -> Expr:
    if isinstance(node, Call) and node.function is POW:
        base, exponent = node.args[0], fold(node.args[1])
        whole = isinstance(exponent, Number) and exponent.value.denominator == 1
        if not whole and free_symbols(base) and not isinstance(base, Symbol):
            return exp(exponent * log(base))
    return node


def close_terms(root: Expr) -> list[Expr]:
    """``root`` with :data:`DIFFERENCES` applied where a − b is simpler than a and b are.

    With both forms of a difference of logarithms, where there is one.
    """
    tables = (DIFFERENCES, DIFFERENCES[1:])
    ruled = dict.fromkeys(rewrite(root, table, once=True) for table in tables)
    return [
        rebuild(new, lambda node, args: _shorter(with_args(node, args)))
        for new in ruled
        if new is not root
    ]


def _shorter(node: Expr) -> Expr:
    if isinstance(node, Call) and node.function is SUB and free_symbols(node):
        simpler = simplify(node)
        if size(simpler) < size(node):
            return simpler
    return node


def with_last_tails(root: Expr) -> Expr:
    """:func:`with_safe_tails` where no digits are spared."""
    others = (rule for rule in TAILS if rule.pattern is not erfc(a))
    return with_safe_tails(root, (*LAST_TAILS, *others))


def with_safe_tails(root: Expr, rules: tuple[Rule, ...] = TAILS) -> Expr:
    """Apply ``rules`` once, exponents simplified: (x/√2)² is x²/2."""
    ruled = rewrite(root, rules, once=True)
    if ruled is root:
        return root
    return rebuild(
        ruled,
        lambda node, args: (
            exp(simplify(args[0]))
            if isinstance(node, Call) and node.function is exp
            else with_args(node, args)
        ),
    )


def in_steps(root: Expr) -> Expr:
    """Divide by a power one factor at a time: 1/u² underflows later than u² overflows."""
    return rebuild(root, lambda node, args: _in_steps(with_args(node, args)))


def _in_steps(node: Expr) -> Expr:
    if not (isinstance(node, Call) and node.function is DIV):
        return node
    coefficient, factors = product_factors(node.args[1])
    if all(power == 1 for _, power in factors) and len(factors) < 2:
        return node
    result = node.args[0] if coefficient == 1 else node.args[0] / Number(coefficient)
    for base, power in factors:
        if power.denominator != 1 or not 0 < power <= 4:
            return node
        for _ in range(int(power)):
            result = result / base
    return result
