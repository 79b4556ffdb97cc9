"""The classes of an emitted file: a formula and its gradients as ``torch.autograd.Function``.

One class computes the value; one for each operand computes the upstream gradient times the
derivative by that operand, and is itself differentiable. All of them follow one pattern, written
here once; what does not apply to a formula is left out, so that the file of a simple one is short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from gradsmith.backends.formatting import WIDTH, class_source, fitted, static_method
from gradsmith.backends.source import Elementwise

LAST = "LastDerivative"
"""The class that :func:`last_class` writes."""

_TAB = " " * 4
_BODY = WIDTH - 2 * len(_TAB)  # characters that a line of a method's body can have


@dataclass(frozen=True, slots=True)
class Gradient:
    """The derivative by one operand, and its own derivatives.

    Attributes:
        operand: the operand it is the gradient of.
        class_name: of the ``Function``.
        function: g times the derivative; the last operand is the upstream gradient g. None where
            the derivative is zero everywhere.
        second: for each operand of ``function`` the function that, with one more upstream
            gradient as its last operand, is the gradient by that operand; None where it is zero.
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
    def told(self) -> bool:
        """Whether the gradients' classes must be told the dtype of the result."""
        functions = [self.value]
        for gradient in self.gradients:
            functions += [f for f in (gradient.function, *gradient.second.values()) if f]
        return self.several and any(function.varies for function in functions)


def classes(operation: Operation) -> list[str]:
    """The text of every class, those of the gradients first."""
    found = [_gradient_class(operation, g) for g in operation.gradients if g.function]
    used = [LAST] if any(f"{LAST}.apply" in text for text in found) else []
    return [*(last_class(operation.name) for _ in used), *found, _value_class(operation)]


def _gradient_class(op: Operation, gradient: Gradient) -> str:
    function = gradient.function
    assert function is not None
    names = function.operands
    g, v = op.upstream
    by = f" by {gradient.operand}" if op.several else ""
    read = [*(s.operands[:-1] for s in gradient.second.values() if s)]
    saved = [name for name in names if any(name in operands for operands in read)]
    like = {name: f"{name}.dtype" if name in saved else "ctx.dtype" for name in names}
    setup = [
        f"ctx.dtype, {', '.join(names)} = inputs" if op.told else f"{_unpacked(names)} = inputs"
    ]
    if saved:
        setup += [f"ctx.save_for_backward({', '.join(saved)})"]
    forward = [name for name in names if name in saved or name == g]
    setup += [f"ctx.save_for_forward({', '.join(forward)})"]
    if op.several:
        setup += ["ctx.shape = output.shape", *(_like(name) for name in names)]
    elif any(name not in (*saved, g) for name in names):
        setup += [f"ctx.dtype = {names[0]}.dtype"]
    backward = [f"{_unpacked(saved)} = ctx.saved_tensors"] if saved else []
    backward += [" = ".join(f"grad_{name}" for name in names) + " = None"]
    jvp = [f"{_unpacked(forward)} = ctx.saved_tensors", f"total = torch.zeros_like({g})"]
    for position, name in enumerate(names, start=int(op.told)):
        second = gradient.second[name]
        product = _differentiated(op, gradient, name, v, f"{v}.dtype")
        backward += [f"if ctx.needs_input_grad[{position}]:"]
        if op.several:
            rounded = f"reduced({product}, *ctx.{name}_like)"
            backward += _tabbed(_assigned(f"grad_{name}", rounded))
        else:
            backward += _tabbed(
                _rounded(f"grad_{name}", product, None if name == g else like[name])
            )
        if second:
            tangent = f"{name}_t" if name == g else f"{name}_t.to({g}.dtype)"
            term = _differentiated(op, gradient, name, tangent, f"{g}.dtype")
            jvp += [f"if {name}_t is not None:", *_tabbed(_assigned("total", f"total + {term}"))]
    backward += [_returned([*["None"] * op.told, *(f"grad_{name}" for name in names)])]
    jvp += ["return total.expand(ctx.shape)" if op.several else "return total"]
    first = "dtype: torch.dtype, " if op.told else ""
    return _function_class(
        gradient.class_name,
        f"{g} times the derivative{by}: the backward pass of :class:`{op.class_name}`.\n\n"
        f"A class of its own, so that it can be differentiated as well: double backward.",
        [
            static_method(
                f"forward({first}{_typed(names)}) -> Tensor",
                "The product.",
                fitted(f"return {_call(op, function, g, f'{g}.dtype', g, 'dtype')}", _BODY),
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
                f"jvp(ctx: Any, {'_: None, ' * op.told}{_tangents(names)}) -> Tensor",
                "Forward mode: the derivative by each operand, times its tangent.",
                jvp,
            ),
        ],
    )


def _differentiated(op: Operation, gradient: Gradient, name: str, factor: str, wide: str) -> str:
    """The derivative of a gradient by one of its operands, times ``factor``."""
    g, v = op.upstream
    second = gradient.second[name]
    if second is None:
        return f"torch.zeros_like({factor})"
    if name == g:  # the gradient is linear in it
        return _applied(op, gradient, factor)
    function, _, arguments = _call(op, second, v, wide, factor).partition("(")
    return f"{LAST}.apply({function}, {arguments}"


def last_class(name: str) -> str:
    """The class of what can be computed but not be differentiated once more."""
    refusal = fitted(
        f'raise NotImplementedError("{name} can be differentiated twice, not three times")', _BODY
    )
    compute = ["return formula(*operands)"]
    return _function_class(
        LAST,
        "A second derivative. A third is refused: that of the code would be wrong where the code\n"
        "has kinks that the function has not, at |x| for one.",
        [
            static_method(
                "forward(formula: Any, *operands: Any) -> Tensor", "Compute it.", compute
            ),
            static_method(
                "setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None",
                "Keep nothing.",
                [],
            ),
            static_method("backward(ctx: Any, g: Tensor) -> Any", "Refuse.", refusal),
            static_method("jvp(ctx: Any, *tangents: Any) -> Any", "Refuse.", refusal),
        ],
    )


def _value_class(op: Operation) -> str:
    names = op.value.operands
    g, _ = op.upstream
    reads = {
        x.operand: x.function.operands[:-1] if x.function is not None else () for x in op.gradients
    }
    saved = [name for name in names if any(name in operands for operands in reads.values())]
    unpacked = [f"{_unpacked(saved)} = ctx.saved_tensors"] if saved else []
    setup = [f"ctx.dtype, {', '.join(names)} = inputs"] if op.several else []
    if not op.several:
        setup += [f"({names[0]},) = inputs"]
    setup += [f"# {line}" for line in wrap(op.why_saved, _BODY - 2)]
    if saved:
        setup += _saving(op, saved, reads)
    if op.several:
        setup += [f"ctx.save_for_forward({', '.join(saved)})"] if saved else []
        setup += ["ctx.shape, ctx.device = output.shape, output.device"]
        setup += [_like(name) for name in names]
    else:
        setup += [f"ctx.save_for_forward({names[0]})"]
    if not op.several and not saved:
        setup += [f"ctx.dtype = {names[0]}.dtype"]
    backward = list(unpacked)
    if op.several:
        backward += [" = ".join(f"grad_{name}" for name in names) + " = None"]
        for position, gradient in enumerate(op.gradients, start=1):
            product = _applied(op, gradient, g)
            line = _assigned(
                f"grad_{gradient.operand}", f"reduced({product}, *ctx.{gradient.operand}_like)"
            )
            backward += [f"if ctx.needs_input_grad[{position}]:", *_tabbed(line)]
        backward += [_returned(["None", *(f"grad_{name}" for name in names)])]
    else:
        like = f"{names[0]}.dtype" if saved else "ctx.dtype"
        backward += [f"return {_applied(op, op.gradients[0], g)}.to({like})"]
    arguments = f"dtype: torch.dtype, {_typed(names)}" if op.several else _typed(names)
    wide = f"compute_dtype({'dtype' if op.several else f'{names[0]}.dtype'}, {names[0]}.device)"
    value = [
        f"wide = {wide}",
        *fitted(f"return {_call(op, op.value, '', 'wide', None, 'dtype')}", _BODY),
    ]
    result = "tuple[Tensor | None, ...]" if op.several else "Tensor"
    return _function_class(
        op.class_name,
        "The operation: its value, and what its backward pass needs of it.",
        [
            static_method(
                f"forward({arguments}) -> Tensor",
                "The value, in the wide dtype.",
                value,
            ),
            static_method(
                "setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None",
                "Keep what the derivatives read.",
                setup,
            ),
            static_method(
                f"backward(ctx: Any, {g}: Tensor) -> {result}",
                f"The derivative{' by each operand' if op.several else ''}, times the upstream "
                f"gradient {g}.",
                backward,
            ),
            static_method(
                f"jvp(ctx: Any, {'_: None, ' if op.several else ''}{_tangents(names)}) -> Tensor",
                "Forward mode: the same with tangents in place of the upstream gradient.",
                _value_jvp(op, saved),
            ),
        ],
    )


def _value_jvp(op: Operation, saved: Sequence[str]) -> list[str]:
    names = op.value.operands
    if not op.several:
        (x,) = names
        tangent = f"{x}_t.to(compute_dtype({x}.dtype, {x}.device))"
        applied = _applied(op, op.gradients[0], tangent)
        return [f"({x},) = ctx.saved_tensors", *fitted(f"return {applied}", _BODY)]
    lines = [f"{_unpacked(saved)} = ctx.saved_tensors"] if saved else []
    lines += [
        "wide = compute_dtype(ctx.dtype, ctx.device)",
        "total = torch.zeros(ctx.shape, dtype=wide, device=ctx.device)",
    ]
    for gradient in op.gradients:
        if gradient.function is not None:
            tangent = f"{gradient.operand}_t"
            term = _applied(op, gradient, f"{tangent}.to(wide)")
            lines += [f"if {tangent} is not None:"]
            lines += _tabbed(_assigned("total", f"total + {term}"))
    return [*lines, "return total"]


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


def _applied(op: Operation, gradient: Gradient, factor: str) -> str:
    """The call of the gradient's operation; of a derivative that is zero, a zero."""
    if gradient.function is None:
        return f"torch.zeros_like({factor})"
    others = gradient.function.operands[:-1]
    told = ["ctx.dtype"] if op.told else []
    return f"{gradient.class_name}.apply({', '.join([*told, *others, factor])})"


def _call(
    op: Operation,
    function: Elementwise,
    factor: str,
    wide: str,
    value: str | None = None,
    dtype: str = "ctx.dtype",
) -> str:
    """The call of an elementwise function.

    Args:
        op: what it belongs to.
        function: the function.
        factor: the operand in whose place stands
        value: another, or it is called like the operand.
        wide: the dtype to which the inputs are converted.
        dtype: the dtype of the result, where operands can have different ones.
    """
    arguments = []
    for name in function.operands:
        if name == factor:
            arguments.append(value or name)
        else:
            arguments.append(f"{name}.to({wide})" if name in op.inputs else name)
    if function.varies:
        arguments.append(dtype if op.several else f"{op.inputs[0]}.dtype")
    return f"{function.name}({', '.join(arguments)})"


def _like(name: str) -> str:
    return f"ctx.{name}_like = {name}.shape, {name}.dtype"


def _unpacked(names: Sequence[str]) -> str:
    return f"({names[0]},)" if len(names) == 1 else ", ".join(names)


def _returned(values: Sequence[str]) -> str:
    return f"return ({values[0]},)" if len(values) == 1 else f"return {', '.join(values)}"


def _typed(names: Sequence[str]) -> str:
    return ", ".join(f"{name}: Tensor" for name in names)


def _tangents(names: Sequence[str]) -> str:
    return ", ".join(f"{name}_t: Tensor" for name in names)


def _tabbed(lines: Sequence[str]) -> list[str]:
    return [_TAB + line for line in lines]


def _assigned(target: str, call: str) -> list[str]:
    """``target = call`` as lines that fit into an ``if`` of a method."""
    return fitted(f"{target} = {call}", _BODY - len(_TAB))


def _rounded(target: str, call: str, dtype: str | None) -> list[str]:
    """``target = call.to(dtype)``, in two steps where one does not fit."""
    if dtype is None:
        return _assigned(target, call)
    together = f"{target} = {call}.to({dtype})"
    if len(together) <= _BODY - len(_TAB):
        return [together]
    return [*_assigned(target, call), f"{target} = {target}.to({dtype})"]


def _function_class(name: str, document: str, methods: Sequence[str]) -> str:
    why = "  # made of torch operations, which torch.func.vmap can batch"
    rule = f"generate_vmap_rule = True{why}"
    return class_source(f"{name}(Function)", document, [rule, *methods])
