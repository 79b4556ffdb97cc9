"""The expression tree: what the user wrote, exactly as it was written.

A node is a :class:`Number`, a :class:`Symbol` or a :class:`Call` of a :class:`Function`.
Building a node never simplifies: ``1 + 1`` stays a sum, so that whoever judges a rewritten
formula (the exact evaluation, the derivation, the reader) still sees the user's own. Nodes are
immutable and interned: equal trees are the same object, comparison is identity, and a shared
part is visited once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite
from threading import Lock
from typing import Any, Literal, NoReturn, Self
from weakref import WeakValueDictionary

_INTERNED: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
_ENTERING = Lock()  # without it, two threads could each make a node of their own for one tree


class Expr:
    """A formula's expression; arithmetic on it builds larger expressions without evaluating."""

    __slots__ = ("__weakref__",)

    args: tuple[Expr, ...] = ()
    symbols: tuple[Symbol, ...] = ()
    """Those in it, in order of first appearance."""
    length: int = 1
    """Nodes in it, written out as a tree."""

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an expression cannot be changed; build another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("an expression cannot be changed; build another one")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __add__(self, other: Operand) -> Expr:
        return _operator("add", self, other)

    def __radd__(self, other: Operand) -> Expr:
        return _operator("add", other, self)

    def __sub__(self, other: Operand) -> Expr:
        return _operator("sub", self, other)

    def __rsub__(self, other: Operand) -> Expr:
        return _operator("sub", other, self)

    def __mul__(self, other: Operand) -> Expr:
        return _operator("mul", self, other)

    def __rmul__(self, other: Operand) -> Expr:
        return _operator("mul", other, self)

    def __truediv__(self, other: Operand) -> Expr:
        return _operator("div", self, other)

    def __rtruediv__(self, other: Operand) -> Expr:
        return _operator("div", other, self)

    def __pow__(self, other: Operand) -> Expr:
        return _operator("pow", self, other)

    def __rpow__(self, other: Operand) -> Expr:
        return _operator("pow", other, self)

    def __neg__(self) -> Expr:
        return _operator("neg", self)

    def __lt__(self, other: Operand) -> Expr:
        return _operator("lt", self, other)

    def __le__(self, other: Operand) -> Expr:
        return _operator("le", self, other)

    def __gt__(self, other: Operand) -> Expr:
        return _operator("gt", self, other)

    def __ge__(self, other: Operand) -> Expr:
        return _operator("ge", self, other)

    def __bool__(self) -> bool:
        raise TypeError("an expression has no truth value; use where(condition, a, b)")

    def __str__(self) -> str:
        from gradsmith.formula.text import to_text

        return to_text(self)

    def __repr__(self) -> str:
        return f"Expr({str(self)!r})"

    def _repr_latex_(self) -> str:
        from gradsmith.formula.latex import to_latex

        return f"$\\displaystyle {to_latex(self)}$"


Operand = Expr | int | float | Fraction


class Number(Expr):
    """An exact rational number. A float is taken at its exact binary value."""

    __slots__ = ("value",)
    value: Fraction

    def __new__(cls, value: int | float | Fraction) -> Number:
        """The one node of that number."""
        exact = Fraction(value)
        key = (cls, exact)
        node = _INTERNED.get(key)
        if node is None:
            node = object.__new__(cls)
            object.__setattr__(node, "value", exact)
            with _ENTERING:
                node = _INTERNED.setdefault(key, node)
        return node  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        return Number, (self.value,)


class Symbol(Expr):
    """A named input or parameter."""

    __slots__ = ("name",)
    name: str

    def __new__(cls, name: str) -> Symbol:
        """The one node of that name."""
        key = (cls, name)
        node = _INTERNED.get(key)
        if node is None:
            node = object.__new__(cls)
            object.__setattr__(node, "name", name)
            with _ENTERING:
                node = _INTERNED.setdefault(key, node)
        return node  # type: ignore[no-any-return]

    @property
    def symbols(self) -> tuple[Symbol, ...]:  # type: ignore[override]
        """Itself."""
        return (self,)

    def __reduce__(self) -> tuple[Any, ...]:
        return Symbol, (self.name,)


class Call(Expr):
    """A function of the vocabulary applied to its arguments."""

    __slots__ = ("args", "function", "length", "symbols")
    function: Function
    args: tuple[Expr, ...]
    symbols: tuple[Symbol, ...]
    length: int

    def __new__(cls, function: Function, args: tuple[Expr, ...]) -> Call:
        """The one node of that call."""
        key = (function, args)
        node = _INTERNED.get(key)
        if node is None:
            node = object.__new__(cls)
            object.__setattr__(node, "function", function)
            object.__setattr__(node, "args", args)
            object.__setattr__(node, "symbols", free_symbols(*args))
            object.__setattr__(node, "length", 1 + sum([arg.length for arg in args]))
            with _ENTERING:
                node = _INTERNED.setdefault(key, node)
        return node  # type: ignore[no-any-return]

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_call, (self.function.name, self.args)


Parity = Literal["odd", "even"]
Partial = Callable[..., Expr]


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Function:
    """One function of the vocabulary, with its derivative beside it.

    Attributes:
        name: how a formula writes it.
        arity: number of arguments; 0 for a constant, None for any.
        partials: one rule per argument that builds the partial derivative from the arguments;
            empty for a function that is constant wherever it is differentiable.
        definition: the function in terms of simpler ones, or None for a primitive. The exact
            value of a defined function is that of its definition.
        parity: whether f(−x) is −f(x) ("odd") or f(x) ("even").
        boolean: whether it yields a truth value, which only ``where`` and logic accept.
        torch: names under ``torch``, ``torch.special`` or ``torch.nn.functional`` of the
            same function, which tracing recognises.
        aliases: other spellings that a formula may use.
        internal: produced by gradsmith, not offered to the user's formulas.
        notation: only ever written, never computed.
        summary: one line for the reader, with the formula.
    """

    name: str
    arity: int | None
    partials: tuple[Partial, ...] = ()
    definition: Callable[..., Expr] | None = None
    parity: Parity | None = None
    boolean: bool = False
    torch: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    internal: bool = False
    notation: bool = False
    summary: str = ""

    def __post_init__(self) -> None:
        table = NOTATION if self.notation else FUNCTIONS
        for name in (self.name, *self.aliases):
            if table.setdefault(name, self) is not self:
                raise ValueError(f"two functions are called {name!r}")

    def __call__(self, *operands: Operand) -> Expr:
        """The function applied to expressions or numbers."""
        if self.arity not in (None, len(operands)):
            raise TypeError(f"{self.name} takes {self.arity} argument(s), got {len(operands)}")
        return Call(self, tuple(as_expr(operand) for operand in operands))

    def __repr__(self) -> str:
        return f"Function({self.name})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _function_named, (self.name,)


FUNCTIONS: dict[str, Function] = {}
"""Every function by each of its names; a record enters itself when it is made."""

NOTATION: dict[str, Function] = {}
"""The same for what is only written."""


def _function_named(name: str) -> Function:
    # Importing them fills the tables.
    import gradsmith.formula.notation
    import gradsmith.formula.vocabulary  # noqa: F401

    return FUNCTIONS.get(name) or NOTATION[name]


def _rebuild_call(name: str, args: tuple[Expr, ...]) -> Call:
    return Call(_function_named(name), args)


def _operator(name: str, *operands: Operand) -> Expr:
    if not all(isinstance(operand, (Expr, int, float, Fraction)) for operand in operands):
        return NotImplemented  # type: ignore[no-any-return]
    result: Expr = FUNCTIONS[name](*operands)
    return result


def as_expr(value: Operand) -> Expr:
    """``value`` as an expression; numbers become exact :class:`Number` nodes.

    A float is read by its shortest decimal spelling, so that ``0.1`` in a Python function and
    ``0.1`` in a text are the same formula; rounded back to float64 it is the same float.
    """
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"a formula's numbers must be finite, got {value}")
        return Number(Fraction(repr(float(value))))  # NumPy's float64 writes itself differently
    return value if isinstance(value, Expr) else Number(value)


def walk(*roots: Expr) -> Iterator[Expr]:
    """Every distinct node once, arguments before the calls that use them."""
    seen: set[Expr] = set()
    stack: list[Expr | None] = [*reversed(roots)]
    while stack:
        node = stack.pop()
        if node is None:  # the arguments of the node below were all visited
            node = stack.pop()
            assert node is not None
            yield node
        elif node not in seen:
            seen.add(node)
            if node.args:
                stack += (node, None, *reversed(node.args))
            else:
                yield node


def free_symbols(*roots: Expr) -> tuple[Symbol, ...]:
    """The symbols in order of first appearance."""
    found: tuple[Symbol, ...] = ()
    for root in roots:
        if not found:
            found = root.symbols
        elif root.symbols is not found:
            found += tuple([symbol for symbol in root.symbols if symbol not in found])
    return found


def rebuild(root: Expr, replace: Callable[[Expr, tuple[Expr, ...]], Expr]) -> Expr:
    """Bottom-up map: ``replace(node, new_args)`` gives the new node for each distinct node."""
    done: dict[Expr, Expr] = {}
    for node in walk(root):
        done[node] = replace(node, tuple(done[arg] for arg in node.args))
    return done[root]


def with_args(node: Expr, args: tuple[Expr, ...]) -> Expr:
    """The same call of other arguments; a leaf stays itself."""
    return Call(node.function, args) if isinstance(node, Call) and args != node.args else node


def substitute(root: Expr, values: dict[Expr, Expr]) -> Expr:
    """``root`` with every occurrence of a key replaced by its value, outermost first."""
    done: dict[Expr, Expr] = dict(values)
    stack = [root]
    while stack:
        node = stack[-1]
        missing = [arg for arg in node.args if arg not in done] if node not in done else []
        if missing:
            stack.extend(missing)
        elif stack.pop() not in done:
            done[node] = with_args(node, tuple(done[arg] for arg in node.args))
    return done[root]


def size(root: Expr) -> int:
    """Number of nodes written out as a tree: the length of the formula."""
    return root.length
