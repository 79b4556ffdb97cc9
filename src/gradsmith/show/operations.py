"""The classes of an emitted file: a formula and its gradients as ``torch.autograd.Function``.

One class computes the value; one for each operand computes the upstream gradient times the
derivative by that operand, and is itself differentiable. All of them follow one pattern, written
here once; what does not apply to a formula is left out, so that the file of a simple one is short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from gradsmith.backends.formatting import INDENT, WIDTH, class_source, fitted, static_method
from gradsmith.backends.source import Elementwise

LAST = "LastDerivative"
"""The class of what can be computed but not be differentiated once more."""

_BODY = WIDTH - 2 * len(INDENT)  # characters that a line of a method's body can have


@dataclass(frozen=True, slots=True)
class Gradient:
    """The derivative by one operand, and its own derivatives.

    Attributes:
        operand: the operand it is the gradient of.
        class_name: of the ``Function``.
        function: g times the derivative; the last operand is the upstream gradient g. None where
            the derivative is zero everywhere.
        second: for each operand of ``function`` but the last the function that, with one more
            upstream gradient as its last operand, is the gradient by it; None where it is zero.
    """

    operand: str
    class_name: str
    function: Elementwise | None
    second: Mapping[str, Elementwise | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """Everything the classes are made of.

    Attributes:
        name: what the function is called.
        class_name: of the ``Function`` that computes the value.
        value: the value; its operands are the inputs, then the parameters.
        gradients: one for each operand of ``value``, in that order.
        inputs: names of the inputs; other operands of ``value`` are parameters.
        upstream: names of the first and the second upstream gradient.
        why_saved: why the operation keeps what it keeps.
    """

    name: str
    class_name: str
    value: Elementwise
    gradients: Sequence[Gradient]
    inputs: tuple[str, ...]
    upstream: tuple[str, str]
    why_saved: str

    @property
    def several(self) -> bool:
        """Whether operands can differ in shape and dtype."""
        return len(self.value.operands) > 1

    @property
    def has_last(self) -> bool:
        """Whether there is a second derivative."""
        return any(function for g in self.gradients for function in g.second.values())


def classes(operation: Operation) -> list[str]:
    """The text of every class, those of the gradients first."""
    found = [_gradient_class(operation, g) for g in operation.gradients if g.function]
    last = [_last_class(operation)] if operation.has_last else []
    return [*last, *found, _value_class(operation)]


def _last_class(op: Operation) -> str:
    refusal = fitted(
        f'raise NotImplementedError("{op.name} can be differentiated twice, not three times")',
        _BODY,
    )
    inputs = "inputs: tuple[Any, ...], output: Tensor"
    return _function_class(
        LAST,
        "A second derivative. A third is refused: that of the code would be wrong where the code\n"
        "has kinks that the function has not, at |x| for one.",
        [
            static_method(
                "forward(*arguments: Any) -> Tensor",
                "Compute it; the first argument is the formula.",
                ["return rounded(*arguments)"],
            ),
            static_method(f"setup_context(ctx: Any, {inputs}) -> None", "Keep nothing.", []),
            static_method("backward(ctx: Any, g: Tensor) -> Any", "Refuse.", refusal),
            static_method("jvp(ctx: Any, *tangents: Any) -> Any", "Refuse.", refusal),
        ],
    )


def _gradient_class(op: Operation, gradient: Gradient) -> str:
    function = gradient.function
    assert function is not None
    names = function.operands
    g, v = op.upstream
    read = [function.operands[:-1], *(s.operands[:-1] for s in gradient.second.values() if s)]
    saved = [name for name in names if any(name in operands for operands in read)]
    # Of a single operand the zero to add to is made like g.
    forward = [n for n in names if n in saved or (n == g and not op.several)]
    settings = ["dtype", "storage"] if op.several else []
    setup = [f"{_unpacked([*(f'ctx.{s}' for s in settings), *names])} = inputs"]
    if saved:
        setup += [f"ctx.save_for_backward({', '.join(saved)})"]
    if forward:
        setup += [f"ctx.save_for_forward({', '.join(forward)})"]
    setup += _setup(op, names)
    backward = [f"{_unpacked(saved)} = ctx.saved_tensors"] if saved else []
    backward += [" = ".join(f"grad_{name}" for name in names) + " = None"]
    jvp = [f"{_unpacked(forward)} = ctx.saved_tensors"] if forward else []
    jvp += _start(op, g)
    for position, name in enumerate(names, start=len(settings)):
        if name == g:  # it is linear in g
            call: str | None = f"{gradient.class_name}.apply"
            operands: Sequence[str] = names[:-1]
        else:
            second = gradient.second[name]
            call = f"partial({LAST}.apply, {second.name})" if second else None
            operands = second.operands[:-1] if second else ()
        backward += [f"if ctx.needs_input_grad[{position}]:"]
        backward += _tabbed(_product(op, name, call, [*operands, v]))
        if call:
            jvp += _term(op, name, call, operands)
    backward += [_returned([*["None" for _ in settings], *(f"grad_{name}" for name in names)])]
    jvp += ["return total.to(ctx.storage)" if op.several else "return total"]
    by = f" by {gradient.operand}" if op.several else ""
    arguments = [*(f"{s}: torch.dtype" for s in settings), *(f"{n}: Tensor" for n in names)]
    skipped = "".join(f"_{s}: None, " for s in settings)
    return _function_class(
        gradient.class_name,
        f"{g} times the derivative{by}: the backward pass of :class:`{op.class_name}`.\n\n"
        f"A class of its own, so that it can be differentiated as well: double backward.",
        [
            static_method(
                f"forward({', '.join(arguments)}) -> Tensor",
                "The product.",
                fitted(f"return rounded({', '.join([function.name, *settings, *names])})", _BODY),
            ),
            static_method(
                "setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None",
                "Keep what the derivatives below read.",
                setup,
            ),
            static_method(
                f"backward(ctx: Any, {v}: Tensor) -> tuple[Tensor | None, ...]",
                f"The derivative by each operand, times the upstream gradient {v}.",
                backward,
            ),
            static_method(
                f"jvp(ctx: Any, {skipped}{_tangents(names)}) -> Tensor",
                "Forward mode: the derivative by each operand, times its tangent.",
                jvp,
            ),
        ],
    )


def _value_class(op: Operation) -> str:
    names = op.value.operands
    g, _ = op.upstream
    reads = {x.operand: x.function.operands[:-1] if x.function else () for x in op.gradients}
    saved = [name for name in names if any(name in operands for operands in reads.values())]
    setup = [f"{_unpacked([*['ctx.dtype'] * op.several, *names])} = inputs"]
    setup = setup if saved or op.several else []
    setup += [f"# {line}" for line in wrap(op.why_saved, _BODY - 2)]
    if saved:
        setup += _saving(op, saved, reads)
        setup += [f"ctx.save_for_forward({', '.join(saved)})"]
    setup += _setup(op, names)
    unpacked = [f"{_unpacked(saved)} = ctx.saved_tensors"] if saved else []
    backward = [*unpacked, " = ".join(f"grad_{name}" for name in names) + " = None"]
    jvp = [*unpacked, *_start(op, f"{names[0]}_t")]
    for position, gradient in enumerate(op.gradients, start=int(op.several)):
        call = f"{gradient.class_name}.apply" if gradient.function else None
        operands = reads[gradient.operand]
        backward += [f"if ctx.needs_input_grad[{position}]:"]
        backward += _tabbed(_product(op, gradient.operand, call, [*operands, g]))
        if call:
            jvp += _term(op, gradient.operand, call, operands)
    backward += [_returned([*["None"] * op.several, *(f"grad_{name}" for name in names)])]
    jvp += ["return total.to(ctx.dtype)" if op.several else "return total"]
    if not op.several:  # one operand, which is needed or else nobody would ask
        backward = [*unpacked, *_product(op, names[0], call, [*operands, g], "return")]
        jvp = [*unpacked, *_product(op, names[0], call, [*operands, f"{names[0]}_t"], "return")]
    arguments = ["dtype: torch.dtype"] * op.several + [f"{name}: Tensor" for name in names]
    settings = ["dtype", "dtype"] if op.several else []
    return _function_class(
        op.class_name,
        "The operation: its value, and what its backward pass needs of it.",
        [
            static_method(
                f"forward({', '.join(arguments)}) -> Tensor",
                "The value.",
                fitted(f"return rounded({', '.join([op.value.name, *settings, *names])})", _BODY),
            ),
            static_method(
                "setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None",
                "Keep what the derivatives read.",
                setup,
            ),
            static_method(
                f"backward(ctx: Any, {g}: Tensor) -> "
                + ("tuple[Tensor | None, ...]" if op.several else "Tensor"),
                f"The derivative{' by each operand' if op.several else ''}, times the upstream "
                f"gradient {g}.",
                backward,
            ),
            static_method(
                f"jvp(ctx: Any, {'_dtype: None, ' * op.several}{_tangents(names)}) -> Tensor",
                "Forward mode: the same with tangents in place of the upstream gradient.",
                jvp,
            ),
        ],
    )


def _product(
    op: Operation, name: str, call: str | None, operands: Sequence[str], target: str = ""
) -> list[str]:
    """Assign (or return) the gradient by the operand ``name``; ``call`` is None where it is 0."""
    head = "return " if target == "return" else f"grad_{name} = "
    if op.several:
        like = f"ctx.{name}_like"
        text = f"zeros({like})"
        if call:
            text = f"gradient_of({', '.join([call, 'ctx.dtype', like, *operands])})"
    else:
        text = (
            f"{_bound(call)}{', '.join(operands)})" if call else f"torch.zeros_like({operands[-1]})"
        )
    return fitted(head + text, _BODY if target else _BODY - len(INDENT))


def _bound(call: str) -> str:
    """``f(`` for ``f``, and ``f(a, `` for ``partial(f, a)``."""
    if call.startswith("partial("):
        function, _, first = call.removeprefix("partial(").removesuffix(")").partition(", ")
        return f"{function}({first}, "
    return f"{call}("


def _start(op: Operation, like: str) -> list[str]:
    if not op.several:
        return [f"total = torch.zeros_like({like})"]
    return [
        "wide = compute_dtype(ctx.dtype, ctx.device)",
        "total = torch.zeros(ctx.shape, dtype=wide, device=ctx.device)",
    ]


def _term(op: Operation, name: str, call: str, operands: Sequence[str]) -> list[str]:
    """Add the derivative by the operand ``name`` times its tangent."""
    settings = ["ctx.dtype", "wide"] if op.several else []
    text = f"{_bound(call)}{', '.join([*settings, *operands, f'{name}_t'])})"
    added = fitted(f"total = total + {text}", _BODY - len(INDENT))
    return [f"if {name}_t is not None:", *_tabbed(added)]


def _saving(op: Operation, saved: Sequence[str], reads: Mapping[str, Sequence[str]]) -> list[str]:
    """Save what is read; an input only if one of the gradients that read it is needed."""
    kept = []
    for name in saved:
        readers = [i for i, other in enumerate(reads, start=1) if name in reads[other]]
        if name in op.inputs and len(readers) < len(reads):
            needed = " or ".join(f"needed[{i}]" for i in readers)
            kept.append(f"{name} if {needed} else None")
        else:
            kept.append(name)
    lines = ["needed = ctx.needs_input_grad"] if list(saved) != kept else []
    return [*lines, *fitted(f"ctx.save_for_backward({', '.join(kept)})", _BODY)]


def _setup(op: Operation, names: Sequence[str]) -> list[str]:
    if not op.several:
        return []
    like = [f"ctx.{name}_like = {name}.shape, {name}.dtype, {name}.device" for name in names]
    return ["ctx.shape, ctx.device = output.shape, output.device", *like]


def _unpacked(names: Sequence[str]) -> str:
    return f"({names[0]},)" if len(names) == 1 else ", ".join(names)


def _returned(values: Sequence[str]) -> str:
    return f"return ({values[0]},)" if len(values) == 1 else f"return {', '.join(values)}"


def _tangents(names: Sequence[str]) -> str:
    return ", ".join(f"{name}_t: Tensor" for name in names)


def _tabbed(lines: Sequence[str]) -> list[str]:
    return [INDENT + line for line in lines]


def _function_class(name: str, document: str, methods: Sequence[str]) -> str:
    why = "  # made of torch operations, which torch.func.vmap can batch"
    rule = f"generate_vmap_rule = True{why}"
    return class_source(f"{name}(Function)", document, [rule, *methods])
