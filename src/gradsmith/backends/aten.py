"""Stable expression to torch operations: readable straight-line Python that any device runs.

What is written must read like a person wrote it, since it is also what a stand-alone file shows;
compute every shared part once; and keep the expression's own order of operations, so that what
was proven about the expression holds for the code.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from keyword import iskeyword
from typing import Any
from weakref import WeakKeyDictionary

import torch

from gradsmith.backends.compensation import HELPERS
from gradsmith.backends.folding import prepare
from gradsmith.backends.spelling import kept
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Function, Number, Symbol, walk

Kernel = Callable[..., torch.Tensor]

TORCH_CALLS: dict[Function, str] = {
    v.exp: "torch.exp",
    v.expm1: "torch.expm1",
    v.exp2: "torch.exp2",
    v.log: "torch.log",
    v.log1p: "torch.log1p",
    v.log2: "torch.log2",
    v.log10: "torch.log10",
    v.sqrt: "torch.sqrt",
    v.rsqrt: "torch.rsqrt",
    v.square: "torch.square",
    v.reciprocal: "torch.reciprocal",
    v.abs_: "torch.abs",
    v.sign: "torch.sign",
    v.sin: "torch.sin",
    v.cos: "torch.cos",
    v.tan: "torch.tan",
    v.atan: "torch.atan",
    v.sinh: "torch.sinh",
    v.cosh: "torch.cosh",
    v.tanh: "torch.tanh",
    v.asinh: "torch.asinh",
    v.erf: "torch.erf",
    v.erfc: "torch.erfc",
    v.erfcx: "torch.special.erfcx",
    v.sigmoid: "torch.sigmoid",
    v.relu: "torch.relu",
    v.maximum: "torch.maximum",
    v.minimum: "torch.minimum",
    v.clip: "torch.clamp",
    v.POW: "torch.pow",
    v.where: "torch.where",
    v.product_error: "product_error",
    v.sum_error: "sum_error",
}
"""How each function is called; one that is neither here nor an operator is written out.

``torch.clamp`` also stands for max and min with a number, and for clip with two in order only.
"""

# Python's precedences of the operators that are written, from loosest to tightest.
_COMPARE, _OR, _AND, _SUM, _PRODUCT, _SIGN, _ATOM = range(7)

# operator: (sign, own precedence, what the left and the right operand must at least have).
# The right operand of + and * is bracketed too: a + (b + c) is rounded otherwise than a + b + c.
_INFIX: dict[Function, tuple[str, int, int, int]] = {
    v.ADD: ("+", _SUM, _SUM, _PRODUCT),
    v.SUB: ("-", _SUM, _SUM, _PRODUCT),
    v.MUL: ("*", _PRODUCT, _PRODUCT, _SIGN),
    v.DIV: ("/", _PRODUCT, _PRODUCT, _SIGN),
    v.LT: ("<", _COMPARE, _SUM, _SUM),
    v.LE: ("<=", _COMPARE, _SUM, _SUM),
    v.GT: (">", _COMPARE, _SUM, _SUM),
    v.GE: (">=", _COMPARE, _SUM, _SUM),
    v.EQ: ("==", _COMPARE, _SUM, _SUM),
    v.NE: ("!=", _COMPARE, _SUM, _SUM),
    v.AND: ("&", _AND, _AND, _SUM),
    v.OR: ("|", _OR, _OR, _AND),
}
_PREFIX: dict[Function, str] = {v.NEG: "-", v.NOT: "~"}

_FLOAT32_MAX = float(torch.finfo(torch.float32).max)


@dataclass(frozen=True, slots=True)
class Source:
    """Generated code.

    Attributes:
        lines: assignments, in order.
        results: one Python expression per root, to be evaluated after ``lines``; each gives a
            new dense tensor of the arguments' broadcast shape, of their dtype.
        helpers: the keys of
            :data:`gradsmith.backends.compensation.HELPERS` that the code calls.
    """

    lines: tuple[str, ...]
    results: tuple[str, ...]
    helpers: tuple[str, ...]


def source_lines(
    roots: Expr | Sequence[Expr],
    arguments: Sequence[str],
    scalars: Collection[str] = (),
    *,
    width: int = 80,
) -> Source:
    """Straight-line torch code for one or several expressions, shared parts written once.

    Args:
        roots: the expressions.
        arguments: names that the code may read; the expressions' symbols are among them. They
            are tensors of one floating dtype, except
        scalars: those of them that are Python floats. At least one argument is a tensor.
        width: a line is broken up by naming parts of it where it would be longer than this.

    Raises:
        ValueError: no argument is a tensor, or code cannot use an argument's name.
    """
    roots = (roots,) if isinstance(roots, Expr) else tuple(roots)
    for name in arguments:
        if name == "torch" or name in HELPERS or not name.isidentifier() or iskeyword(name):
            raise ValueError(f"an argument of generated code cannot be called {name!r}")
    names = {name: name for name in arguments}
    return _Writer(names, frozenset(scalars), width).write(roots)


_COMPILED: WeakKeyDictionary[Expr, dict[tuple[Any, ...], Kernel]] = WeakKeyDictionary()


def compile_expression(
    expression: Expr,
    arguments: Sequence[str],
    scalars: Collection[str] = (),
    calls: object = torch,
    lift: bool = False,
) -> Kernel:
    """A function of ``arguments``, in their order, that computes ``expression``.

    Tensors must have one floating dtype, in which everything is computed; the names in
    ``scalars`` are passed as Python floats. The result is a new dense tensor of the broadcast
    shape, also where the expression is constant. Compiled once and cached.

    ``calls`` is what the code knows as ``torch``. With ``lift`` each number is a tensor, and none
    is such that an exporter would leave it away.
    """
    key = (tuple(arguments), frozenset(scalars), calls, lift)
    cached = _COMPILED.setdefault(expression, {})
    if key not in cached:
        # An argument may have any name, one that the code itself uses included.
        names = {name: f"x{i}" for i, name in enumerate(arguments)}
        source = _Writer(names, frozenset(scalars), 80, lift).write((expression,))
        body = [*source.lines, f"return {source.results[0]}"]
        signature = f"def pointwise({', '.join(names.values())}):"
        code = "\n    ".join([signature, *body])
        namespace: dict[str, Any] = {"torch": calls, **HELPERS}
        exec(compile(code, "<gradsmith.aten>", "exec"), namespace)
        cached[key] = namespace["pointwise"]
    return cached[key]


class _Kind(Enum):
    NUMBER = 1  # a literal
    SCALAR = 2  # a Python float that is known when the code runs
    TENSOR = 3


@dataclass(frozen=True, slots=True)
class _Value:
    """What stands for a node in the code."""

    text: str
    precedence: int
    kind: _Kind
    number: float = 0.0

    @property
    def is_tensor(self) -> bool:
        return self.kind is _Kind.TENSOR

    def at_least(self, precedence: int) -> str:
        return self.text if self.precedence >= precedence else f"({self.text})"


class _Writer:
    """One piece of code being written."""

    def __init__(
        self, names: dict[str, str], scalars: frozenset[str], width: int, lift: bool = False
    ) -> None:
        self.names = names  # of each argument, in the code
        self.scalars = scalars
        self.width = width
        self.lift = lift
        self.tensors = tuple(text for name, text in names.items() if name not in scalars)
        if not self.tensors:
            raise ValueError(f"at least one of the arguments {tuple(names)} must be a tensor")
        self.like = f"dtype={self.tensors[0]}.dtype, device={self.tensors[0]}.device"
        self.lines: list[str] = []
        self.helpers: dict[str, None] = {}
        self.lifted: dict[str, _Value] = {}
        self.reads: dict[Expr, frozenset[str]] = {}
        self.count = 0

    def write(self, roots: tuple[Expr, ...]) -> Source:
        prepared = [prepare(root, _written) for root in roots]
        if self.lift:
            prepared = [kept(root) for root in prepared]
        uses: dict[Expr, int] = dict.fromkeys(prepared, 0)
        for node in walk(*prepared):
            for arg in node.args:
                uses[arg] = uses.get(arg, 0) + 1
        for root in prepared:
            uses[root] += 1
        done: dict[Expr, _Value] = {}
        for node in walk(*prepared):
            value = self._value(node, [done[arg] for arg in node.args])
            if isinstance(node, Call) and uses[node] > 1 and value.kind is not _Kind.NUMBER:
                value = self._named(value)
            done[node] = value
            own = {self.names[node.name]} if isinstance(node, Symbol) else set()
            self.reads[node] = frozenset(own).union(*(self.reads[arg] for arg in node.args))
        results = tuple(self._result(root, done[root]) for root in prepared)
        return Source(tuple(self.lines), results, tuple(self.helpers))

    def _value(self, node: Expr, operands: list[_Value]) -> _Value:
        if isinstance(node, Number):
            return _literal(node)
        if isinstance(node, Symbol):
            kind = _Kind.SCALAR if node.name in self.scalars else _Kind.TENSOR
            return _Value(self.names[node.name], _ATOM, kind)
        assert isinstance(node, Call)
        operands = self._operands(node.function, operands)
        kind = _Kind.TENSOR if any(o.is_tensor for o in operands) else _Kind.SCALAR
        value = self._spelled(node.function, operands, kind)
        while len(value.text) > self.width - len("t99 = ") and kind is _Kind.TENSOR:
            longest = max(range(len(operands)), key=lambda i: len(operands[i].text))
            if operands[longest].text.isidentifier() or not operands[longest].is_tensor:
                break
            operands[longest] = self._named(operands[longest])
            value = self._spelled(node.function, operands, kind)
        return value

    def _operands(self, function: Function, operands: list[_Value]) -> list[_Value]:
        """The operands as the function can take them: some of them must be tensors."""
        if self.lift and not (function is v.where and _is_indicator(operands[1:])):
            return [self._lift(operand) for operand in operands]
        if function is v.where:
            condition, *branches = operands
            branches = [self._representable(branch) for branch in branches]
            if not any(b.is_tensor for b in branches) and not _is_indicator(branches):
                # Of two Python numbers torch.where would make the default dtype.
                branches[0] = self._lift(branches[0])
            return [condition, *branches]
        if function in (v.maximum, v.minimum):
            operands = [self._representable(operand) for operand in operands]
        if function in (v.product_error, v.sum_error):
            return [self._lift(operand) for operand in operands]
        if any(operand.is_tensor for operand in operands):
            return operands
        # Python's own arithmetic raises where torch gives inf or nan, except in these.
        safe = function in (v.ADD, v.SUB, v.MUL, v.NEG) or (
            function is v.DIV and operands[1].kind is _Kind.NUMBER and operands[1].number != 0
        )
        return operands if safe else [self._lift(operand) for operand in operands]

    def _spelled(self, function: Function, operands: list[_Value], kind: _Kind) -> _Value:
        if function is v.DIV and self._needs_division(operands):
            text = f"torch.div({operands[0].text}, {operands[1].text})"
            return _Value(text, _ATOM, kind)
        if function in _INFIX:
            sign, own, left, right = _INFIX[function]
            text = f"{operands[0].at_least(left)} {sign} {operands[1].at_least(right)}"
            return _Value(text, own, kind)
        if function in _PREFIX:
            return _Value(_PREFIX[function] + operands[0].at_least(_SIGN), _SIGN, kind)
        if function is v.where and _is_indicator(operands[1:]):
            return _Value(f"{operands[0].at_least(_ATOM)}.to({self.tensors[0]}.dtype)", _ATOM, kind)
        if function in (v.maximum, v.minimum) and not all(o.is_tensor for o in operands):
            tensor, bound = sorted(operands, key=lambda o: not o.is_tensor)
            side = "min" if function is v.maximum else "max"
            return _Value(f"torch.clamp({tensor.text}, {side}={bound.text})", _ATOM, kind)
        name = TORCH_CALLS[function]
        if name in HELPERS:
            self.helpers[name] = None
        return _Value(f"{name}({', '.join(o.text for o in operands)})", _ATOM, kind)

    def _needs_division(self, operands: list[_Value]) -> bool:
        # Python's c / tensor is tensor.reciprocal() * c: exact enough for c = ±1 alone.
        over, under = operands
        is_one = over.kind is _Kind.NUMBER and abs(over.number) == 1
        return under.is_tensor and not over.is_tensor and not is_one

    def _result(self, root: Expr, value: _Value) -> str:
        if not value.is_tensor:
            return self._filled(value)
        missing = [name for name in self.tensors if name not in self.reads[root]]
        if missing:
            return self._spread(self._named(value), missing)
        return f"{value.text}.clone()" if isinstance(root, Symbol) else value.text

    def _filled(self, value: _Value) -> str:
        if len(self.tensors) > 1:
            return self._spread(self._lift(value), self.tensors)
        tensor = self.tensors[0]
        if self._representable(value) is not value:
            return f"torch.ones_like({tensor}) * {value.at_least(_SIGN)}"
        ones = value.kind is _Kind.NUMBER and value.text == "1.0"
        return f"torch.ones_like({tensor})" if ones else f"torch.full_like({tensor}, {value.text})"

    def _spread(self, value: _Value, over: Sequence[str]) -> str:
        shapes = ", ".join(f"{name}.shape" for name in (value.text, *over))
        return f"{value.text}.expand(torch.broadcast_shapes({shapes})).clone()"

    def _named(self, value: _Value) -> _Value:
        if value.text.isidentifier():
            return value
        self.count += 1
        while f"t{self.count}" in self.names.values():
            self.count += 1
        name = f"t{self.count}"
        self.lines.append(f"{name} = {value.text}")
        return _Value(name, _ATOM, value.kind)

    def _lift(self, value: _Value) -> _Value:
        """A number as a 0-dimensional tensor of the arguments' dtype."""
        if value.is_tensor:
            return value
        if value.text not in self.lifted:
            text = f"torch.full((), {value.text}, {self.like})"
            if _may_overflow(value) and not self.lift:
                text = f"torch.ones((), {self.like}) * {value.at_least(_SIGN)}"
            self.lifted[value.text] = self._named(_Value(text, _ATOM, _Kind.TENSOR))
        return self.lifted[value.text]

    def _representable(self, value: _Value) -> _Value:
        # Where torch takes a number as an argument instead of an operand, it raises for one that
        # the dtype cannot hold; as an operand it becomes inf.
        return self._lift(value) if _may_overflow(value) else value


def _literal(node: Number) -> _Value:
    try:
        number = float(node.value)
    except OverflowError:
        number = float("inf") if node.value > 0 else float("-inf")
    text = repr(number).replace("inf", "torch.inf")
    return _Value(text, _SIGN if number < 0 else _ATOM, _Kind.NUMBER, number)


def _may_overflow(value: _Value) -> bool:
    if value.kind is _Kind.NUMBER:
        return _FLOAT32_MAX < abs(value.number) < float("inf")
    return value.kind is _Kind.SCALAR and not value.text.isidentifier()


def _is_indicator(branches: Sequence[_Value]) -> bool:
    return [b.text for b in branches] == ["1.0", "0.0"]


def _written(call: Call) -> bool:
    function, args = call.function, call.args
    if function is v.clip:
        # With bounds in the wrong order torch.clamp gives another one of them.
        bounds = [arg.value for arg in args[1:] if isinstance(arg, Number)]
        return len(bounds) == 2 and -_FLOAT32_MAX <= bounds[0] <= bounds[1] <= _FLOAT32_MAX
    return function in TORCH_CALLS or function in _INFIX or function in _PREFIX
