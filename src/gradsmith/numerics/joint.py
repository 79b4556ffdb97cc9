"""Several results in one Program, in forms that share what takes long.

Each has a form that is best for it alone. The gradients of a gate, σ(b) and a·σ′(b), are both
rational in an exponential; but if one is written with exp(b) and the other with exp(−|b|) and
choices, the Program has both. So they are also tried with the same one: whichever forms together
cost the least, and keep their budgets each by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from math import inf, prod

from gradsmith.calculus.terms import split_coefficient
from gradsmith.formula.expression import Call, Expr, substitute, walk
from gradsmith.formula.vocabulary import exp
from gradsmith.numerics.cost import cost
from gradsmith.numerics.ladder import WITH_RANGE, held_at
from gradsmith.numerics.lower import Scheme, lower
from gradsmith.numerics.one_sided import one_sided, within
from gradsmith.numerics.program import F32
from gradsmith.numerics.separable import factors
from gradsmith.numerics.stabilise import Stable
from gradsmith.numerics.trial import measured

_MOST = 32  # combinations that are priced


def shared_forms(
    stables: Sequence[Stable], expressions: Sequence[Expr], scheme: Scheme
) -> list[Expr]:
    """An expression for each result, such that all together take the least.

    Args:
        stables: what is computed.
        expressions: what each would be computed by in that scheme.
        scheme: how all are computed.
    """
    given = list(expressions)
    if not may_share(len(given), scheme):
        return given
    held = max(held_at(scheme, _judged(stable).target) for stable in stables)
    known = _exponentials(*given)
    options = [
        [expression, *_others(stable, held, known)]
        for stable, expression in zip(stables, given, strict=True)
    ]
    if prod(map(len, options)) > _MOST:
        return given
    errors: dict[Expr, float] = {}
    for forms in sorted(product(*options), key=lambda forms: _price(stables, forms, scheme)):
        for stable, form, own in zip(stables, forms, given, strict=True):
            if form is not own and form not in errors:
                errors[form] = _error(stable, form, scheme)
            if form is not own and errors[form] > stable.target.budget:
                break
        else:
            return list(forms)
    return given


def may_share(count: int, scheme: Scheme) -> bool:
    """Whether so many results in that scheme have other forms at all."""
    return count > 1 and scheme in WITH_RANGE


def _exponentials(*roots: Expr) -> list[Call]:
    return [node for node in walk(*roots) if isinstance(node, Call) and node.function is exp]


def _judged(stable: Stable) -> Stable:
    """What a sample says enough of: of a product with an input the other factor."""
    gate = stable.gate
    return stable if gate is None else gate[1]


def _others(stable: Stable, held: int, known: Sequence[Call]) -> Iterator[Expr]:
    """The same with one exponential for both signs; with one that is known already, if it can be.

    Args:
        stable: what is computed.
        held: what exponentials are held at.
        known: exponentials of all results.
    """
    judged = _judged(stable)
    if len(judged.arguments) - len(judged.defaults) != 1:
        return
    for form in one_sided(stable.expression, held, always=True):
        yield form
        for own, other in product(_exponentials(form), known):
            if own is not other and _unheld(own.args[0]) == _unheld(other.args[0]):
                yield substitute(form, {own: other})


def _unheld(exponent: Expr) -> tuple[Fraction, Expr]:
    """A number and what it multiplies, of an exponent wherever it is not held."""
    rate, rest = split_coefficient(exponent)
    while (inner := within(rest)) is not rest:
        factor, rest = split_coefficient(inner)
        rate *= factor
    return rate, rest


def _price(stables: Sequence[Stable], forms: Sequence[Expr], scheme: Scheme) -> float:
    names = {name: F32 for stable in stables for name in stable.arguments}
    numbers = {name for stable in stables for name in stable.defaults}
    return cost(lower(forms, names, scheme, F32, numbers), numbers)


def _error(stable: Stable, form: Expr, scheme: Scheme) -> float:
    error = measured(replace(stable, expression=form), scheme, stable)
    if (gate := stable.gate) is None:
        return error
    a, other = gate
    found = factors(form, stable.defaults)
    if found is None or found[0] is not a:
        return inf
    return max(error, measured(replace(other, expression=found[1]), scheme, other))
