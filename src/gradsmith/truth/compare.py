"""``compare``: an activation beside a reference, output and gradients, call by call.

It must show the figures a reader would print by hand, say by how much the two sides differ and
where most, be able to fail, and where they differ say who is right: the exact value decides, not
the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor

from gradsmith.backends.aten import compile_expression
from gradsmith.calculus.derivative import differentiate
from gradsmith.formula.expression import Call, Expr, Symbol, walk
from gradsmith.formula.formula import Formula
from gradsmith.truth import exactly
from gradsmith.truth.comparison import Comparison, compare_row, largest
from gradsmith.truth.subject import Comparable, Subject, subject

_MAGNITUDES = (
    *(1e-30, 1e-10, 1e-5, 1e-3, 0.01, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0),
    *(6.0, 8.0, 10.0, 13.0, 17.0, 20.0, 30.0, 50.0, 88.0, 100.0, 700.0, 1e4, 1e10, 1e30),
)
GRID = (*(-v for v in reversed(_MAGNITUDES)), 0.0, *_MAGNITUDES)
"""Where functions are compared if no inputs are given: small ones, ordinary ones, both tails."""

_UNKNOWN_FORMULA = 16  # operations that a function whose formula is not known is granted
_LEAST = 4
_UPSTREAM = (-2.0, -1.0, -0.5, 0.5, 1.0, 2.0)  # powers of two: they scale without rounding

Inputs = Tensor | float | Sequence[float] | Sequence[Tensor]


def compare(
    activation: Comparable,
    reference: Comparable | None = None,
    inputs: Inputs | None = None,
    *,
    inner: Callable[[Tensor], Tensor] | None = None,
    outer: Callable[[Tensor], Tensor] | None = None,
    parameters: Mapping[str, float | Tensor] | None = None,
    dtype: torch.dtype | None = None,
    max_ulp: float | None = None,
    seed: int = 0,
) -> Comparison:
    """An activation beside a reference: output, gradients, and where they differ.

    Both sides compute ``outer(f(inner(x)))`` from their own copy of ``x``. Shown are the output;
    the gradient of its sum after a first ``backward()``; after a second one on the same graph,
    since gradients accumulate; after zeroing it and calling again; and the gradient for an
    upstream gradient other than 1, which a backward that forgets to multiply by it gets wrong.

    Args:
        activation: what is compared: an activation, a formula, a name in the catalogue or in
            torch, a module, an ``autograd.Function``, or a function of a tensor, run as it is.
        reference: the same kinds. Left out: the formula of ``activation`` as it is written, in
            torch operations, with the gradient that autograd makes of them.
        inputs: a tensor, a number or a sequence of numbers; for a function of several tensors a
            sequence of tensors. Left out: :data:`GRID`, which includes both tails, in ``dtype``;
            further inputs take the same values in a random order.
        inner: applied to ``x`` before the activation, such as ``lambda x: (x + 1) ** 2``; of
            several inputs to the first.
        outer: applied to the activation's output, such as ``torch.sum`` or ``torch.square``.
        parameters: passed by name to both sides.
        dtype: what to compute in; left out, the dtype of ``inputs``, or else the default dtype.
        max_ulp: how far the two sides may be apart. Left out: the number of operations in the
            formula and its derivative as they are written, each of which may be off by one ULP
            (16 where the formula is not known). One ULP is that of ``dtype`` at the result; for a
            result below 1, that at 1 or at the largest of all results, whichever is less: what
            computes from quantities of that size, as y(1 − y) does from y, cannot do better. For a
            gradient it grows with the slopes of ``inner`` and ``outer``.
        seed: for the upstream gradient and the order of further inputs.

    Raises:
        FormulaError: a text cannot be read as a formula.
        TypeError: an argument is of a kind that is not accepted, or an input has no floating dtype.
        ValueError: there is nothing to compare with, or a result has another shape or dtype than
            that of the other side, or has no gradient.
    """
    ours = subject(activation)
    theirs = _as_written(ours) if reference is None else subject(reference)
    points = _inputs(inputs, dtype, ours, seed)
    given = dict(parameters or {})
    chain = exactly.chain(ours, theirs if reference is not None else None, inner, outer, given)
    upstream = _upstream(next(iter(points.values())), seed)
    for side in (ours, theirs):
        _check_takes(side, points)
    runs = [_run(side, points, inner, outer, given, upstream) for side in (ours, theirs)]
    _check_alike(ours, theirs, runs)
    output = runs[0]["output"]
    tolerance = max_ulp
    if tolerance is None:
        tolerance = _operations(chain.formula, points) if chain else _UNKNOWN_FORMULA
        reduced = output.numel() < max(x.numel() for x in points.values())
        tolerance += max(x.numel() for x in points.values()) if reduced else 0
    exact = exactly.rows(chain, points, output, upstream) if chain else {}
    results = max(largest(run["output"]) for run in runs)
    passed_on = _passed_on(theirs, list(points.values()), inner, outer, given)
    rows = []
    for name, of_ours in runs[0].items():
        scale = torch.ones(()) if name == "output" else passed_on
        least = min(1.0, max(results, largest(of_ours), largest(runs[1][name]))) * scale
        judged = points, tolerance, least, exact.get(name)
        rows.append(compare_row(name, of_ours, runs[1][name], *judged))
    formula = str(chain.formula) if chain and exact else ""
    dtype = output.dtype
    return Comparison(ours.name, theirs.name, formula, points, tuple(rows), tolerance, dtype)


def _as_written(ours: Subject) -> Subject:
    if ours.activation is None:
        raise ValueError(f"{ours.name} needs a reference: only a formula can be written out")
    formula = ours.activation.formula
    names = formula.arguments

    def written(*tensors: Tensor, **parameters: Any) -> Tensor:
        values = {**formula.parameters, **dict(zip(names, tensors, strict=False)), **parameters}
        if set(values) != set(names):
            wrong = ", ".join(sorted(set(values) ^ set(names)))
            raise ValueError(f"{formula} takes {', '.join(names)}; missing or unknown: {wrong}")
        scalars = [name for name in names if not isinstance(values[name], Tensor)]
        kernel = compile_expression(formula.expression, names, scalars)
        return kernel(*(values[name] for name in names))

    return Subject("the formula as written", written)


def _inputs(
    inputs: Inputs | None, dtype: torch.dtype | None, ours: Subject, seed: int
) -> dict[str, Tensor]:
    names = ours.activation.inputs if ours.activation is not None else ("x",)
    if inputs is None:
        values = torch.tensor(GRID, dtype=torch.float64).to(dtype or torch.get_default_dtype())
        values = values[values.isfinite()].unique(sorted=True)
        generator = torch.Generator().manual_seed(seed)
        tensors = [values]
        for _ in names[1:]:
            tensors.append(values[torch.randperm(len(values), generator=generator)])
    elif isinstance(inputs, Tensor):
        tensors = [inputs]
    elif isinstance(inputs, Sequence) and any(isinstance(x, Tensor) for x in inputs):
        tensors = [x if isinstance(x, Tensor) else torch.tensor(x) for x in inputs]
    else:
        tensors = [torch.tensor(inputs, dtype=torch.float64).to(torch.get_default_dtype())]
    if len(names) != len(tensors):
        several = len(tensors) > 1
        names = tuple(f"x{i + 1}" for i in range(len(tensors))) if several else ("x",)
    converted = [(x if dtype is None else x.to(dtype)).detach() for x in tensors]
    for x in converted:
        if not x.is_floating_point():
            raise TypeError(f"gradients need inputs of a floating dtype, got {x.dtype}")
    return dict(zip(names, converted, strict=False))


def _check_takes(side: Subject, points: Mapping[str, Tensor]) -> None:
    """Refuse a function that would take an input for something else, such as ``inplace``."""
    if side.activation is not None:  # it says so itself
        return
    function = side.call.forward if isinstance(side.call, torch.nn.Module) else side.call
    try:
        arguments = signature(function).parameters.values()
    except (TypeError, ValueError):  # one of torch's own, written in C, which checks for itself
        return
    if any(argument.kind is Parameter.VAR_POSITIONAL for argument in arguments):
        return
    taken = 0
    for argument in arguments:
        positional = argument.kind in (
            Parameter.POSITIONAL_ONLY,
            Parameter.POSITIONAL_OR_KEYWORD,
        )
        if not positional or isinstance(argument.default, (bool, str)):
            break
        taken += 1
    if taken < len(points):
        given = ", ".join(points)
        raise ValueError(
            f"{side.name} takes {taken} input(s), it is compared on {len(points)}: {given}"
        )


def _upstream(x: Tensor, seed: int) -> Callable[[Tensor], Tensor]:
    def draw(output: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        chosen = torch.randint(len(_UPSTREAM), output.shape, generator=generator)
        return torch.tensor(_UPSTREAM)[chosen].to(output.device, output.dtype)

    return draw


def _run(
    side: Subject,
    points: Mapping[str, Tensor],
    inner: Callable[[Tensor], Tensor] | None,
    outer: Callable[[Tensor], Tensor] | None,
    parameters: dict[str, Any],
    upstream: Callable[[Tensor], Tensor],
) -> dict[str, Tensor]:
    leaves = [x.clone().requires_grad_() for x in points.values()]
    output = exactly.applied(side, inner, outer, parameters)(*leaves)
    if not isinstance(output, Tensor):
        raise ValueError(f"{side.name} returned a {type(output).__name__} instead of a tensor")
    if not output.requires_grad:
        raise ValueError(f"the result of {side.name} has no gradient with respect to its input")
    ones, g = torch.ones_like(output), upstream(output)
    rows = {"output": output.detach().clone()}

    def record(name: str, gradient: Tensor) -> None:
        # Only into the leaves: a module's own parameters stay as they are.
        output.backward(gradient, retain_graph=True, inputs=leaves)
        for key, leaf in zip(points, leaves, strict=True):
            label = name if len(points) == 1 else f"{name}, with respect to {key}"
            grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
            rows[label] = grad.detach().clone()

    def zero() -> None:
        for leaf in leaves:
            if leaf.grad is not None:
                leaf.grad.zero_()

    record(exactly.FIRST, ones)
    record(exactly.SECOND, ones)
    zero()
    record(exactly.ZEROED, ones)
    zero()
    record(exactly.SCALED, g)
    return rows


def _passed_on(
    side: Subject,
    points: Sequence[Tensor],
    inner: Callable[[Tensor], Tensor] | None,
    outer: Callable[[Tensor], Tensor] | None,
    parameters: dict[str, Any],
) -> Tensor:
    """By how much ``inner`` and ``outer`` magnify what the activation's own gradient is off by."""
    factor = torch.ones(())
    if inner is None and outer is None:
        return factor
    x = points[0].clone().requires_grad_()
    h = x if inner is None else inner(x)
    y = side.call(h, *points[1:], **parameters).detach().requires_grad_()
    z = y if outer is None else outer(y)
    for result, leaf in ((h, x), (z, y)):
        if result is not leaf:
            (slope,) = torch.autograd.grad(result.sum(), leaf)
            if slope.shape not in (x.shape, factor.shape):
                return torch.ones(())
            factor = factor * slope.double().abs().nan_to_num(1.0, 1.0).cpu()
    return factor.clamp(min=1.0).flatten() if factor.dim() else factor


def _check_alike(ours: Subject, theirs: Subject, runs: list[dict[str, Tensor]]) -> None:
    for name, a in runs[0].items():
        b = runs[1][name]
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            raise ValueError(
                f"the {name} of {ours.name} is {a.dtype} of shape {tuple(a.shape)}, "
                f"that of {theirs.name} {b.dtype} of shape {tuple(b.shape)}"
            )


def _operations(formula: Formula, names: Mapping[str, Tensor]) -> int:
    value = formula.applied(*map(Symbol, formula.inputs))
    # As the rules give them: nothing simplified.
    slopes = [differentiate(value, Symbol(name)) for name in formula.inputs]
    roots = [formula.expression, *slopes]
    nodes = [node for node in walk(*roots) if isinstance(node, Call)]
    counted = [n for n in nodes if n.args and not n.function.boolean and _varies(n)]
    return max(_LEAST, len(counted))


def _varies(node: Expr) -> bool:
    return any(isinstance(part, Symbol) for part in walk(node))
