"""Expressions as the text of Python functions, for a file that needs only torch.

The same code generator that compiles what runs here writes what stands there, so that both give
the same bits. Names are made safe: an argument may be called anything in a formula, ``torch`` or
``lambda`` included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from inspect import getsource
from keyword import iskeyword
from textwrap import indent, wrap

from gradsmith.backends.aten import source_lines
from gradsmith.backends.compensation import HELPERS
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Number, Symbol, substitute, walk
from gradsmith.numerics.target import FLOAT32, FLOAT32_ALONE, Target

WIDTH = 100
RESULT = "result"
"""What an elementwise function calls the dtype of the result, where it needs to know it."""

_INDENT = " " * 4
_EXPONENT = re.compile(r"(?<=\d)e\+(?=\d)")  # 1e+16 is 1e16
_NAN_TEST = re.compile(r"\b(\w+) != \1\b(?![.(])")  # NaN alone differs from itself
_AMBIGUOUS = frozenset("lOI")  # refused as names by common style checks
_FAR = 16  # from here on a bound of the input is where a limit is reached, not one of the formula


@dataclass(frozen=True, slots=True)
class Elementwise:
    """One function of the file.

    Attributes:
        name: what it is called.
        operands: its arguments, tensors that broadcast against each other.
        expressions: what it returns, for each target; the symbols are among ``operands``.
        summary: the first line of its docstring, without the full stop.
    """

    name: str
    operands: tuple[str, ...]
    expressions: Mapping[Target, Expr]
    summary: str

    @property
    def varies(self) -> bool:
        """Whether what it computes depends on the dtype that the result is rounded to.

        That dtype is then its last argument, called :data:`RESULT`.
        """
        return len(set(self.expressions.values())) > 1


def safe_names(
    names: Iterable[str], taken: Collection[str], also: Callable[[str], bool] = lambda name: False
) -> dict[str, str]:
    """For each name one that code can use for a variable; most stay as they are.

    Args:
        names: distinct names of a formula.
        taken: names that have a meaning in the code.
        also: whether a name is to be avoided for another reason.
    """
    found: dict[str, str] = {}
    for name in names:
        safe = name
        while (
            safe in taken
            or safe in _AMBIGUOUS
            or iskeyword(safe)
            or also(safe)
            or safe in found.values()
        ):
            safe += "_"
        found[name] = safe
    return found


def renamed(expression: Expr, names: Mapping[str, str]) -> Expr:
    """``expression`` with other names for its symbols."""
    changed: dict[Expr, Expr] = {
        Symbol(old): Symbol(new) for old, new in names.items() if old != new
    }
    return substitute(expression, changed) if changed else expression


def function_source(function: Elementwise) -> str:
    """The text of the function, its lines at most :data:`WIDTH` long."""
    arguments = [f"{name}: Tensor" for name in function.operands]
    body = [docstring(function.summary + ".")]
    if function.varies:
        arguments.append(f"{RESULT}: torch.dtype")
        body += ["# How much care the digits need depends on how many of them the result keeps."]
        for expression in dict.fromkeys(function.expressions.values()):
            targets = [t for t, found in function.expressions.items() if found is expression]
            if FLOAT32 not in targets:
                lines = _lines(function, expression, 2 * len(_INDENT))
                condition = _condition(targets, function.operands[0])
                why = ["# The last case is a device without float64."]
                body += why if FLOAT32_ALONE in targets else []
                body += [f"if {condition}:", *(_INDENT + line for line in lines)]
    body += _lines(function, function.expressions[FLOAT32], len(_INDENT))
    head = fitted(f"def {function.name}({', '.join(arguments)}) -> Tensor:", WIDTH)
    return "\n".join([*head, indent("\n".join(body), _INDENT)])


def _lines(function: Elementwise, expression: Expr, margin: int) -> list[str]:
    room = WIDTH - margin
    for width in (room - len("return "), room - 24, room - 40):
        written = source_lines(expression, function.operands, width=width)
        lines = [*written.lines, f"return {written.results[0]}"]
        lines = [_EXPONENT.sub("e", _NAN_TEST.sub(r"torch.isnan(\1)", line)) for line in lines]
        if max(map(len, lines)) <= room:
            break
    return lines


def fitted(text: str, width: int) -> list[str]:
    """A call, an assignment of one or a ``def`` as lines that fit, its brackets opened if need be.

    What stands in the brackets goes on one line of its own if that is enough, else each argument
    on its own, as common formatters have it.
    """
    if len(text) <= width or "(" not in text:
        return [text]
    start, end = _outer_brackets(text)
    inside = text[start:end]
    if len(_INDENT + inside) <= width:
        return [text[:start], _INDENT + inside, text[end:]]
    arguments = []
    for argument in _split(inside):
        *lines, last = fitted(argument, width - len(_INDENT) - 1)
        arguments += [*lines, last + ","]
    return [text[:start], *(_INDENT + line for line in arguments), text[end:]]


def _outer_brackets(text: str) -> tuple[int, int]:
    """Where the inside of the first brackets starts and ends."""
    start = text.index("(") + 1
    depth, end = 1, start
    while depth:
        depth += {"(": 1, ")": -1}.get(text[end], 0)
        end += 1
    return start, end - 1


def _split(arguments: str) -> list[str]:
    """The arguments of a call, split at the commas that are in no brackets."""
    found, depth = [""], 0
    for character in arguments:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return [argument.strip() for argument in found]


def _condition(targets: Sequence[Target], operand: str) -> str:
    """When one of the targets is meant, in terms of the result's dtype and the operands'."""
    dtypes = [f"torch.{t.name}" for t in targets if t is not FLOAT32_ALONE]
    parts = []
    if dtypes:
        several = f"{RESULT} in ({', '.join(dtypes)})"
        parts.append(several if len(dtypes) > 1 else f"{RESULT} is {dtypes[0]}")
    if FLOAT32_ALONE in targets:
        parts.append(f"{RESULT} is torch.float32 is {operand}.dtype")
    return " or ".join(parts)


def docstring(text: str) -> str:
    """``text`` as a docstring whose lines fit when it is indented once."""
    quoted = '"""' + text.replace("\\", "\\\\") + '"""'
    if len(quoted) + len(_INDENT) <= WIDTH:
        return quoted
    return "\n".join(wrap(quoted, WIDTH - len(_INDENT), break_on_hyphens=False))


def helper_sources(functions: Iterable[Elementwise]) -> list[str]:
    """The text of the helpers that the functions call."""
    needed: dict[str, None] = {}
    for function in functions:
        for expression in dict.fromkeys(function.expressions.values()):
            written = source_lines(expression, function.operands)
            needed |= dict.fromkeys(written.helpers)
    return [getsource(HELPERS[name]).rstrip() for name in needed]


def techniques(computed: Iterable[Expr], written: Expr) -> list[str]:
    """What makes the computed expressions accurate that the formula as written does not do."""
    nodes = {node for root in computed for node in walk(root)} - set(walk(written))
    calls = [node for node in nodes if isinstance(node, Call)]
    known = {node.function for node in walk(written) if isinstance(node, Call)}
    return [sentence for found, sentence in _TECHNIQUES if any(found(c) for c in calls)] + [
        sentence
        for functions, sentence in _FUNCTIONS
        if any(c.function in functions - known for c in calls)
    ]


def _is_damped(node: Call) -> bool:
    if node.function is not v.exp:
        return False
    (power,) = node.args
    inside = [power, *power.args] if isinstance(power, Call) else [power]
    return any(isinstance(part, Call) and part.function is v.abs_ for part in inside)


def _is_bound(node: Call) -> bool:
    if node.function not in (v.maximum, v.minimum):
        return False
    return any(isinstance(arg, Number) and abs(arg.value) >= _FAR for arg in node.args)


def _is_polynomial_near_zero(node: Call) -> bool:
    if node.function is not v.where:
        return False
    test = node.args[0]
    near = isinstance(test, Call) and test.function in (v.LT, v.LE)
    size = test.args[0] if near else None
    if not (isinstance(size, Call) and size.function is v.abs_):
        return False
    bound = test.args[1]
    return isinstance(bound, Number) and bound.value < _FAR


_TECHNIQUES: tuple[tuple[Callable[[Call], bool], str], ...] = (
    (_is_damped, "Exponentials are taken of -|t| instead of t, so that none overflows."),
    (
        _is_bound,
        "The input is held where the result has reached its limit, so that nothing beyond it "
        "overflows on the way to a finite result.",
    ),
    (
        _is_polynomial_near_zero,
        "Around zero, where a difference would lose its digits, another form takes over.",
    ),
)
_FUNCTIONS = (
    (
        frozenset({v.product_error, v.sum_error}),
        "What rounding cuts off from a product or a sum is computed as well and added back.",
    ),
    (
        frozenset({v.log1p, v.expm1}),
        "log1p(t) and expm1(t) keep the digits that log(1 + t) and exp(t) - 1 lose for small t.",
    ),
    (
        frozenset({v.erfc, v.erfcx}),
        "erfc and erfcx keep the digits that 1 + erf and 1 - erf lose in the tails.",
    ),
)
