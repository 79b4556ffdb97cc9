"""``emit``: an activation as a Python file of its own, which needs only torch.

The file must compute what gradsmith computes, to the last bit, and be worth reading: it shows how
an activation with a backward pass of its own is written, what it keeps for that pass and why, and
how it stays accurate. It is made of the same generated code that runs here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path
from textwrap import fill

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from torch import nn

import gradsmith
from gradsmith.activation import Activation, Resolvable, resolve
from gradsmith.backends import dispatch
from gradsmith.backends.formatting import WIDTH, docstring, fitted
from gradsmith.backends.source import (
    Elementwise,
    function_source,
    helper_sources,
    renamed,
    safe_names,
)
from gradsmith.backends.variants import Computed
from gradsmith.calculus.derivation import derive_formula
from gradsmith.catalogue import CATALOGUE, Entry
from gradsmith.formula.expression import Expr
from gradsmith.numerics.target import BFLOAT16, FLOAT16, FLOAT32, FLOAT32_ALONE, FLOAT64, Target
from gradsmith.operator.by_torch import sufficient
from gradsmith.operator.pointwise import Pointwise
from gradsmith.operator.saving import plan
from gradsmith.show.explanation import accuracy_text, derivation_text, formula_line, saving_text
from gradsmith.show.operations import Gradient, Operation, classes

_TAKEN = frozenset(
    """
    torch Tensor nn Function Any reduce ctx inputs output compute dtype total needed self learnable
    result wide storage rounded widest zeros gradient_of as_operand value Callable partial
    COMPUTE_DTYPE compute_dtype result_dtype reduced product_error sum_error points
    operands names name float getattr isinstance print LastDerivative
    """.split()  # noqa: SIM905
)
_TAKEN_CLASSES = frozenset({"Tensor", "Function", "Any", "Module", "LastDerivative"})
_TARGETS = (FLOAT64, FLOAT32, FLOAT16, BFLOAT16, FLOAT32_ALONE)
_SYMBOLS = {"′": "_prime", "″": "_second", "‴": "_third"}


def emit(activation: Resolvable, path: str | Path | None = None, *, name: str | None = None) -> str:
    """The source of a stand-alone PyTorch file that computes an activation.

    The file holds a function, an ``nn.Module`` and the ``torch.autograd.Function`` classes they
    use: forward, backward, double backward, forward mode and batching. It computes the same bits
    as ``activation``; run as a script it checks itself against finite differences.

    Args:
        activation: an activation, a catalogue name, a formula's text or a function.
        path: a file to write the source to.
        name: what to call the function; the module's name follows from it. Left out, the
            activation's own name, or ``activation``.

    Returns:
        The source, whether or not it was written.

    Raises:
        FormulaError: the formula cannot be read.
        ValueError: ``name`` is no name that Python accepts.
        OSError: the file cannot be written.
    """
    source = _File(resolve(activation), name).text()
    if path is not None:
        Path(path).write_text(source, encoding="utf-8")
    return source


class _File:
    """One file being written."""

    def __init__(self, activation: Activation, name: str | None) -> None:
        self.formula = activation.formula
        self.operation = activation.operation
        self.entry = _entry(activation)
        self.name, self.module = _names(activation, name, self.entry)
        self.derivation = derive_formula(self.formula)
        self.functions: dict[Pointwise, Elementwise] = {}
        arguments = self.formula.arguments
        taken = _TAKEN | {self.name, self.module}
        self.operands = safe_names(arguments, taken, _is_reserved)
        g, v = safe_names(["g", "v"], {*taken, *self.operands.values()}).values()
        self.upstream = (g, v)
        self.inputs = tuple(self.operands[n] for n in self.formula.inputs)
        self.parameters = {self.operands[n]: d for n, d in self.formula.parameters.items()}

    def text(self) -> str:
        described = self._described()
        functions = list(self.functions.values())
        operations = classes(described)
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent / "templates"),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=True,
            autoescape=False,  # Python, not HTML
        )
        told = any(function.varies for function in functions)
        written = [function_source(function, told) for function in functions]
        return environment.get_template("activation.py.jinja").render(
            document=self._document(),
            name=self.name,
            module=self.module,
            operation=described.class_name,
            several=described.several,
            has_last=described.has_last,
            zeros=any("zeros(ctx" in text for text in operations),
            widens=any(function.widens for function in functions),
            told=told,
            inputs=self.inputs,
            operands=tuple(self.operands.values()),
            parameters=self.parameters,
            parameter_names=repr(tuple(self.parameters)).replace("'", '"'),
            elementwise=[*helper_sources(functions), *written],
            operations=operations,
            head="\n".join(fitted(f"def {self.name}({self._signature()}) -> Tensor:", WIDTH)),
            function_document=docstring(self._one_line("elementwise")),
            module_document=self._module_document(),
            check=self._check(),
        )

    def _described(self) -> Operation:
        value = self._function(
            self.operation, "value", f"f = {self._shown(self.formula.expression)}"
        )
        gradients = [self._gradient(name) for name in self.formula.arguments]
        return Operation(
            self.name,
            f"{self.module}Function",
            value,
            gradients,
            self.inputs,
            self.upstream,
            self._kept(),
        )

    def _kept(self) -> str:
        gradients = {name: self.operation.gradient(name) for name in self.formula.inputs}
        reads = {name: g.operands[:-1] if g else () for name, g in gradients.items()}
        kept = plan(reads, self.operation.operands, self.formula.parameters)
        return saving_text(kept, self.derivation, self.operands)

    def _gradient(self, argument: str) -> Gradient:
        operand = self.operands[argument]
        single = len(self.operands) == 1
        first = self.operation.gradient(argument)
        class_name = f"{self.module}Gradient" + ("" if single else _camel(operand))
        if first is None:
            return Gradient(operand, class_name, None, {})
        (g, v), by = self.upstream, f"_{operand}"
        derivative = self._shown(first.core)
        suffix = "gradient" if single else f"gradient{by}"
        function = self._function(
            first, suffix, f"The backward pass by {operand}: {g} times df/d{operand} = {derivative}"
        )
        second: dict[str, Elementwise | None] = {}
        for other in first.operands:
            after = first.gradient(other)
            if other in first.factors:
                continue
            twice = self.operands[other]
            if after is None:
                second[twice] = None
                continue
            suffix = "second" if single else f"second{by}_{twice}"
            second[twice] = self._function(
                after,
                suffix,
                f"Double backward: {g}*{v} times {_second(operand, twice)} = "
                f"{self._shown(after.core)}",
            )
        return Gradient(operand, class_name, function, second)

    def _function(self, pointwise: Pointwise, suffix: str, summary: str) -> Elementwise:
        if pointwise not in self.functions:
            names = self._names_of(pointwise)
            self.functions[pointwise] = Elementwise(
                f"{self.name}_{suffix}",
                tuple(names.values()),
                {target: _computed(pointwise, target, names) for target in _TARGETS},
                summary,
            )
        return self.functions[pointwise]

    def _names_of(self, pointwise: Pointwise) -> dict[str, str]:
        known = {name: self.operands[name] for name in pointwise.arguments}
        return known | dict(zip(pointwise.factors, self.upstream, strict=False))

    def _shown(self, expression: Expr) -> str:
        return str(renamed(expression, self.operands))

    def _signature(self) -> str:
        inputs = [f"{name}: Tensor" for name in self.inputs]
        return ", ".join(
            [*inputs, *(f"{n}: Tensor | float = {d!r}" for n, d in self.parameters.items())]
        )

    def _one_line(self, end: str) -> str:
        formula = f"{self._shown(self.formula.expression)}, {end}."
        return formula if len(formula) < WIDTH - 10 else f"The activation, {end}."

    def _module_document(self) -> str:
        first = self._one_line("elementwise, as a module")
        if not self.parameters:
            return docstring(first)
        lines = [f"    {name}: default {d:g}." for name, d in self.parameters.items()]
        about = "    learnable: make every parameter an nn.Parameter, which an optimiser can train."
        return "\n".join([f'"""{first}', "", "Args:", *lines, about, '"""'])

    def _check(self) -> list[str]:
        if len(self.operands) == 1:
            return [
                f"points = points[{self.name}(points).isfinite()]",
                "operands = (points.requires_grad_(),)",
            ]
        lines = ["operands = ("]
        for position, _ in enumerate(self.inputs):
            lines.append(f"    points.roll({7 * position}).requires_grad_(),")
        for default in self.parameters.values():
            lines.append(f"    torch.tensor({default!r}, dtype=torch.float64, requires_grad=True),")
        return [*lines, ")"]

    def _document(self) -> str:
        title = f"{self.module}: {self.entry.summary}" if self.entry else f"{self.module}"
        inputs = ", ".join(self.operands.values())
        computed = [c.expression for f in self.functions.values() for c in f.computed.values()]
        written = renamed(self.formula.expression, self.operands)
        parts = [
            fill(f"{title}.", WIDTH - len('"""')),
            "A PyTorch operation with a forward, a backward and a double backward of its own.",
            formula_line(f"f({inputs}) =", str(written)),
            self._derivatives(),
            derivation_text(self.derivation, self.operands),
            fill(self._kept(), WIDTH),
            accuracy_text(computed, written),
        ]
        if self.entry:
            parts.append(fill(f"Reference: {self.entry.reference}.", WIDTH))
        parts.append(f"Needs PyTorch and nothing else. Made by gradsmith {gradsmith.__version__}.")
        return "\n\n".join(part for part in parts if part).replace("\\", "\\\\")

    def _derivatives(self) -> str:
        lines = []
        for argument, operand in self.operands.items():
            first = self.operation.gradient(argument)
            shown = "0" if first is None else self._shown(first.core)
            lines.append(formula_line(f"df/d{operand} =", shown))
        return "\n".join(lines)


def _computed(pointwise: Pointwise, target: Target, names: Mapping[str, str]) -> Computed:
    """What is computed here for results of a target, under the file's names."""
    dtype, device_type = getattr(torch, target.name), "mps" if target is FLOAT32_ALONE else "cpu"
    precision = dispatch.precision(dtype, device_type)
    used = sufficient(pointwise, precision)
    expression = renamed(pointwise.expression_for(used.target), names)
    return Computed(expression, used.compute is not precision.compute)


def _entry(activation: Activation) -> Entry | None:
    found = CATALOGUE.get(activation.name or "")
    return found if found and found.parsed() == activation.formula else None


def _names(activation: Activation, name: str | None, entry: Entry | None) -> tuple[str, str]:
    """What the function and the module are called."""
    if name is not None and (not name.isidentifier() or iskeyword(name)):
        raise ValueError(f"name must be one that Python accepts for a function, got {name!r}")
    chosen = name or activation.name or "activation"
    for symbol, word in _SYMBOLS.items():
        chosen = chosen.replace(symbol, word)
    chosen = re.sub(r"\W", "_", chosen)
    if not chosen.isidentifier() or iskeyword(chosen):
        chosen = f"activation_{chosen}"
    module = entry.module if entry and entry.module and name is None else _camel(chosen)
    if module in _TAKEN_CLASSES:
        module += "Activation"
    if chosen == module:
        chosen = chosen.lower()
    if chosen in _TAKEN or chosen == module:
        chosen += "_activation"
    return chosen, module


def _second(first: str, second: str) -> str:
    return f"d²f/d{first}²" if first == second else f"d²f/d{first}d{second}"


def _camel(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.split("_") if part) or "Activation"


def _is_reserved(name: str) -> bool:
    return hasattr(nn.Module, name) or name.startswith("grad_") or name.endswith(("_t", "_like"))
