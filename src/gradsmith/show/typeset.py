"""A derivation as MathML, equation by equation, for :mod:`gradsmith.show.report`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from gradsmith.calculus.derivation import Derivation, Step
from gradsmith.formula.expression import Expr, Symbol
from gradsmith.formula.formula import Formula
from gradsmith.formula.mathml import to_mathml

_NAMESPACE = "http://www.w3.org/1998/Math/MathML"
_EQUALS = "<mo>=</mo>"
_PARTIAL = '<mi mathvariant="normal">∂</mi>'
_F = "<mi>f</mi>"
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_LOWERED = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


@dataclass(frozen=True, slots=True)
class TypesetStep:
    """One line of a derivation.

    Attributes:
        math: the expression that it arrives at.
        rule: the name of the rule.
        why: the rule itself, or the reason.
    """

    math: str
    rule: str
    why: str


@dataclass(frozen=True, slots=True)
class TypesetDerivation:
    """A derivation; every formula in it is a ``math`` element.

    Attributes:
        heading: what is differentiated by what, as text.
        start: the derivative, not yet taken.
        steps: from there to the last form.
        result: the shortest form.
        by_output: the same in terms of the output, or empty.
        upstream: the vector-Jacobian product.
        total: the sum over several components, or empty.
        component: how its derivative by the first component is found.
        components: its derivatives by the others.
    """

    heading: str
    start: str
    steps: tuple[TypesetStep, ...]
    result: str
    by_output: str
    upstream: TypesetStep
    total: str
    component: tuple[TypesetStep, ...]
    components: tuple[str, ...]


def definition(formula: Formula) -> str:
    """f(x, …) = the formula."""
    names = "<mo>,</mo>".join(to_mathml(Symbol(name)) for name in formula.inputs)
    return _element(_applied(_F, names), formula.expression)


def equation(formula: Formula, name: str, order: int, expression: Expr) -> str:
    """The derivative by ``name`` = ``expression``."""
    return _element(_derivative(formula, name, order), expression)


def typeset(d: Derivation) -> TypesetDerivation:
    """Every formula of ``d`` as a ``math`` element."""
    start = d.steps[0].before if d.steps else d.upstream.before.args[1]
    head = _derivative(d.formula, d.variable, d.order)
    chains = _chains(d.components)
    return TypesetDerivation(
        heading=_heading(d),
        start=_element(head, start),
        steps=tuple(_step(step) for step in d.steps),
        result=_element(head, d.result),
        by_output="" if d.by_output is None else _element(head, d.by_output),
        upstream=TypesetStep(
            _element(to_mathml(d.upstream.before), d.upstream.after),
            d.upstream.rule,
            readable(d.upstream.why),
        ),
        total=_element("<mi>y</mi>", chains[0][0].before.args[0]) if chains else "",
        component=tuple(_step(step, step is chains[0][0]) for step in chains[0]) if chains else (),
        components=tuple(
            _element(to_mathml(chain[0].before), *(step.after for step in chain[1:]))
            for chain in chains[1:]
        ),
    )


def readable(why: str) -> str:
    """A rule written in Python's syntax as one would write it by hand: u² for u**2, x₁ for x_1."""
    text = re.sub(r"\*\*(\d+)", lambda power: power[1].translate(_RAISED), why)
    text = re.sub(r"(?<=\w)_(\d+)\b", lambda index: index[1].translate(_LOWERED), text)
    return text.replace("*", "·").replace(" - ", " − ").replace("(-", "(−")


def _heading(d: Derivation) -> str:
    by = "" if len(d.formula.arguments) == 1 else f" with respect to {d.variable}"
    ordinal = {1: "First", 2: "Second", 3: "Third"}.get(d.order, f"{d.order}th")
    return f"{ordinal} derivative{by}"


def _step(step: Step, whole: bool = False) -> TypesetStep:
    """What the step arrives at; the ``whole`` of it with where it starts from."""
    before = to_mathml(step.before) if whole else ""
    return TypesetStep(_element(before, step.after), step.rule, readable(step.why))


def _chains(steps: tuple[Step, ...]) -> list[list[Step]]:
    """The steps, together where one begins as the last one ended."""
    chains: list[list[Step]] = []
    for step in steps:
        if chains and chains[-1][-1].after is step.before:
            chains[-1].append(step)
        else:
            chains.append([step])
    return chains


def _derivative(formula: Formula, name: str, order: int) -> str:
    """f′(x), or ∂f/∂x if f depends on more than x."""
    x = to_mathml(Symbol(name))
    if len(formula.arguments) > 1:
        n = f"<mn>{order}</mn>"
        above = f"<msup>{_PARTIAL}{n}</msup>{_F}" if order > 1 else _PARTIAL + _F
        below = f"<msup>{x}{n}</msup>" if order > 1 else x
        return f"<mfrac><mrow>{above}</mrow><mrow>{_PARTIAL}{below}</mrow></mfrac>"
    mark = f"<mo>{'′' * order}</mo>"
    if order > 3:
        mark = (
            f'<mrow><mo stretchy="false">(</mo><mn>{order}</mn><mo stretchy="false">)</mo></mrow>'
        )
    return _applied(f"<msup>{_F}{mark}</msup>", x)


def _applied(function: str, arguments: str) -> str:
    opening = '<mo form="prefix" fence="true" stretchy="false">(</mo>'
    closing = '<mo form="postfix" fence="true" stretchy="false">)</mo>'
    return f"<mrow>{function}<mo>\u2061</mo><mrow>{opening}{arguments}{closing}</mrow></mrow>"


def _element(left: str, *rights: Expr) -> str:
    """An equation of a left side and any number of right ones; an empty left side continues one."""
    rest = "".join(_EQUALS + to_mathml(right) for right in rights)
    return f'<math xmlns="{_NAMESPACE}" display="block"><mrow>{left}{rest}</mrow></math>'
