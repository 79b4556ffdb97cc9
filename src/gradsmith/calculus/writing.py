"""A :class:`~gradsmith.calculus.derivation.Derivation` as text, Markdown and LaTeX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gradsmith.formula.latex import to_latex

if TYPE_CHECKING:
    from gradsmith.calculus.derivation import Derivation
    from gradsmith.formula.expression import Expr


def _prime(order: int) -> str:
    return "′" * order if order <= 3 else f"^({order})"


def as_text(d: Derivation) -> str:
    """Plain text, a line per step."""
    lines = [f"f = {d.formula}", ""]
    if d.steps:
        lines.append(f"f{_prime(d.order)} = {d.steps[0].before}")
    width = max((len(step.rule) for step in d.steps), default=0)
    lines += [
        f"   = {step.after}\n     [{step.rule:{width}}] {step.why}".rstrip() for step in d.steps
    ]
    lines += ["", f"f{_prime(d.order)} = {d.result}"]
    if d.by_output is not None:
        lines.append(f"   = {d.by_output}   with y = f({d.variable})")
    lines += ["", f"Upstream gradient: {d.upstream.before} = {d.upstream.after}"]
    lines.append(f"  {d.upstream.why}")
    if d.components:
        lines += ["", "Several components, y = f(x_1) + f(x_2) + f(x_3):"]
        lines += [f"  {' = '.join(map(str, chain))}" for chain in _chains(d)]
    if d.kinks:
        lines += ["", "Kinks:", *(f"  {kink}" for kink in d.kinks)]
    return "\n".join(lines)


def as_markdown(d: Derivation) -> str:
    """Markdown with a table of steps."""
    x = to_latex_name(d.variable)
    lines = [f"$$f({x}) = {to_latex(d.formula.expression)}$$", ""]
    lines += ["| rule | | why |", "|---|---|---|"]
    if d.steps:
        lines.append(f"| | ${to_latex(d.steps[0].before)}$ | |")
    lines += [f"| {s.rule} | $= {to_latex(s.after)}$ | {_cell(s.why)} |" for s in d.steps]
    lines += ["", f"$$f{_latex_prime(d.order)}({x}) = {to_latex(d.result)}$$"]
    if d.by_output is not None:
        lines.append(f"\nWith $y = f({x})$: $f'({x}) = {to_latex(d.by_output)}$")
    lines.append(
        f"\n**Upstream gradient.** ${to_latex(d.upstream.before)} = {to_latex(d.upstream.after)}$: "
        + d.upstream.why
    )
    if d.components:
        lines.append("\n**Several components.** $y = f(x_1) + f(x_2) + f(x_3)$:\n")
        lines += [f"- ${' = '.join(map(to_latex, chain))}$" for chain in _chains(d)]
    if d.kinks:
        lines += ["\n**Kinks.**\n", *(f"- {kink}" for kink in d.kinks)]
    return "\n".join(lines)


def as_latex(d: Derivation) -> str:
    """An ``align*`` environment."""
    x = to_latex_name(d.variable)
    first = to_latex(d.steps[0].before) if d.steps else to_latex(d.result)
    lines = [rf"f{_latex_prime(d.order)}({x}) &= {first}"]
    lines += [rf"&= {to_latex(s.after)} && \text{{{s.rule}}}" for s in d.steps]
    body = " \\\\\n".join(lines)
    return f"\\begin{{align*}}\n{body}\n\\end{{align*}}"


def _chains(d: Derivation) -> list[list[Expr]]:
    """The steps of each component, joined where one begins as the last one ended."""
    chains: list[list[Expr]] = []
    for step in d.components:
        if chains and chains[-1][-1] is step.before:
            chains[-1].append(step.after)
        else:
            chains.append([step.before, step.after])
    return chains


def to_latex_name(name: str) -> str:
    """A variable's name as LaTeX."""
    from gradsmith.formula.expression import Symbol

    return to_latex(Symbol(name))


def _latex_prime(order: int) -> str:
    return "'" * order if order <= 3 else f"^{{({order})}}"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")
