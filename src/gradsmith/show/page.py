"""What stands on a report's page, section by section; the template says where."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gradsmith.activation import Activation
from gradsmith.calculus.derivation import Derivation, derive_formula
from gradsmith.calculus.kinks import Kink
from gradsmith.calculus.properties import measure_properties
from gradsmith.catalogue import Entry
from gradsmith.catalogue.known import entry_of, title
from gradsmith.formula.formula import Formula
from gradsmith.formula.mathml import STYLE
from gradsmith.operator.saving import LARGE, SavePlan
from gradsmith.show import typeset
from gradsmith.show.charts import Series, log_chart
from gradsmith.show.highlight import highlighted
from gradsmith.show.numerals import number
from gradsmith.show.pictures import light_and_dark
from gradsmith.show.plot import plot
from gradsmith.show.stability import error_fact

if TYPE_CHECKING:
    from gradsmith.show.study import Study
    from gradsmith.truth.comparison import Comparison

Section = dict[str, Any]

_DRAWABLE = re.compile(r"[\w ′″‴]+")  # names that matplotlib's formulas can hold


CALL_BY_CALL = (
    "Call by call beside {}",
    "Output and gradient at a few inputs: after a first backward, after a second one on the same "
    "graph, which accumulates, after zeroing, and for an upstream gradient other than 1.",
)
WHOLE_RANGE = (
    "Over the whole range beside {}",
    "Where the two differ most, both tails included.",
)
AS_WRITTEN = (
    "Beside {}",
    "What PyTorch makes of the formula as it is written, operation by operation, with the gradient "
    "that its automatic differentiation finds.",
)


def opening(activation: Activation) -> Section:
    """What heads the page."""
    formula = activation.formula
    return {
        "title": title(activation),
        "formula": _safe(typeset.definition(formula)),
        "source": formula.source or str(formula),
        "arguments": _arguments(formula),
        "known": _origin(entry_of(formula)),
        "math_style": _safe(STYLE),
    }


def _safe(markup: str) -> Any:
    """Our own markup, every text in it escaped where it was made."""
    from markupsafe import Markup

    return Markup(markup)


def _arguments(formula: Formula) -> str:
    parameters = ", ".join(f"{name} = {number(v)}" for name, v in formula.parameters.items())
    if len(formula.inputs) == 1:
        return parameters
    inputs = f"the inputs {' and '.join(formula.inputs)}"
    return f"{inputs}, and {parameters}" if parameters else inputs


def _origin(entry: Entry | None) -> str:
    if entry is None:
        return ""
    return f"The catalogue has it as {entry.name}: {entry.summary}. {entry.reference}."


def facts(plan: Section, stable: Sequence[Section], verdict: Section | None) -> list[Section]:
    """The figures to see first."""
    found = [
        error_fact(stable),
        {
            "label": "Kept for backward",
            "figure": plan["size"],
            "mood": "",
            "more": f"{plan['kept']}, per element in float32",
        },
    ]
    return found + ([verdict] if verdict else [])


def pictures(activation: Activation, order: int) -> list[Section]:
    """The plot in each input, each once for light and once for dark pages."""
    what = "derivative" if order == 1 else f"first {order} derivatives"
    drawn = f"{title(activation)} and its {what}"
    subject = activation
    if not _DRAWABLE.fullmatch(activation.name or ""):
        subject = Activation(replace(activation.formula, name=None))
    found = []
    for name in activation.inputs:
        figure = plot(subject, order, wrt=name)
        light, dark = light_and_dark(figure)
        where = _in(activation, name)
        found.append(
            {
                "light": light,
                "dark": dark,
                "alt": f"Plot of {drawn}{where}; the formula is {activation.formula}",
                "caption": f"{drawn}{where}",
            }
        )
    return found


def properties(activation: Activation) -> list[Section]:
    """Each input's."""
    return [
        {
            "heading": _sentence(_in(activation, name).strip()),
            "rows": measure_properties(activation.formula, name).rows(),
        }
        for name in activation.inputs
    ]


def _in(activation: Activation, name: str) -> str:
    """Which input varies, where there are several."""
    others = [f"{other} = 1" for other in activation.inputs if other != name]
    return f" in {name}, with {' and '.join(others)}" if others else ""


def derivations(activation: Activation, order: int) -> list[Section]:
    """Each input's, each order's."""
    return [
        _derivation(derive_formula(activation.formula, name, n))
        for name in activation.inputs
        for n in range(1, order + 1)
    ]


def _derivation(d: Derivation) -> Section:
    set_out = typeset.typeset(d)
    upstream = {"math": _safe(set_out.upstream.math), "why": _sentence(set_out.upstream.why)}
    return {
        "heading": set_out.heading,
        "start": _safe(set_out.start),
        "steps": _steps(set_out.steps),
        "result": _safe(set_out.result),
        "by_output": _safe(set_out.by_output),
        "upstream": upstream if d.order == 1 else None,
        "total": _safe(set_out.total),
        "component": _steps(set_out.component),
        "components": [_safe(equation) for equation in set_out.components],
        "kinks": [_kink(d.variable, kink) for kink in d.kinks] if d.order == 1 else [],
    }


def _steps(steps: Sequence[typeset.TypesetStep]) -> list[Section]:
    return [{"math": _safe(step.math), "rule": step.rule, "why": step.why} for step in steps]


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _kink(name: str, kink: Kink) -> tuple[str, ...]:
    slopes = (kink.left, kink.right, kink.derivative, kink.jump)
    return (f"{name} = {number(kink.at)}", *map(number, slopes))


def parameters(activation: Activation) -> list[Any]:
    """The gradient of each parameter."""
    formula = activation.formula
    return [
        _safe(typeset.equation(formula, name, 1, derive_formula(formula, name).result))
        for name in formula.parameters
    ]


def saved(activation: Activation) -> list[Section]:
    """What is kept for the gradients of all inputs, then with those of each parameter."""
    inputs = activation.inputs
    asked = [inputs, *((name,) for name in inputs if len(inputs) > 1)]
    asked += [(*inputs, name) for name in activation.parameters]
    rows = []
    for names in asked:
        plan = activation.save_plan(names)
        needed = " and ".join(names) if len(names) < 3 else ", ".join(names)
        rows.append(_saved(plan, needed))
        if plan.large is not None:
            rows.append(_saved(plan.large, f"{needed} of {LARGE:,} elements or more"))
    return rows


def _saved(plan: SavePlan, needed: str) -> Section:
    return {
        "needed": needed,
        "kept": ", ".join(plan.saved) or "nothing",
        "size": f"{plan.bytes_per_element:g} bytes",
        "reason": f"{plan.reason}, {plan.note}" if plan.note else plan.reason,
    }


def compared(comparison: Comparison, heading: str, about: str) -> Section:
    """A comparison as a table of its own."""
    return {
        "heading": heading.format(comparison.reference),
        "about": about,
        "table": _safe(comparison._repr_html_()),
    }


def verdict(comparison: Comparison) -> Section:
    """Whether the reference agrees, and if not, who is right."""
    worst = max(row.difference for row in comparison.rows)
    more = f"largest difference {number(worst, 2)}, in output and gradients"
    if not comparison.agrees and comparison.wrong == "reference":
        more += "; by the exact values the reference is wrong"
    return {
        "label": f"Beside {comparison.reference}",
        "figure": "agrees" if comparison.agrees else "differs",
        "mood": "good" if comparison.agrees else "bad",
        "more": more,
    }


def training(study: Study) -> Section:
    """The study's charts, findings and table."""
    runs = [study.run(name, study.scales[0]) for name in study.activations]
    losses = [Series(run.activation, run.losses, 0) for run in runs]
    layers = [Series(run.activation, run.gradients) for run in runs]
    charts = [
        {
            "svg": _safe(log_chart("losses", "Loss over the steps", losses, "step", "loss")),
            "caption": "The loss over the steps.",
        },
        {
            "svg": _safe(
                log_chart("layers", "Gradient by layer", layers, "layer", "gradient", markers=True)
            ),
            "caption": "Weight gradients at the start (root mean square), from the first layer "
            "to the last: what falls to the left vanishes on its way back.",
        },
    ]
    header, *rows = study.rows()
    return {
        "setting": study.setting,
        "charts": charts,
        "findings": study.findings(),
        "header": header,
        "rows": rows,
    }


def code(source: str) -> Any:
    """Python source with its tokens marked."""
    return _safe(highlighted(source))


def footer(version: str) -> str:
    """With what and on what this was measured."""
    import torch

    day = datetime.now(UTC).strftime("%Y-%m-%d")
    machine = f"{platform.system()} {platform.machine()}"
    return (
        f"Made by gradsmith {version} with PyTorch {torch.__version__} and Python "
        f"{platform.python_version()} on {machine}, "
        f"{torch.backends.cpu.get_cpu_capability()}, {day}."
    )


def filled(page: Section) -> str:
    """The page, made of its sections."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("gradsmith.show"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(page=page)
