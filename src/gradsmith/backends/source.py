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
from textwrap import indent

from gradsmith.backends.aten import source_lines
from gradsmith.backends.compensation import HELPERS
from gradsmith.backends.formatting import INDENT, WIDTH, docstring, fitted
from gradsmith.backends.variants import Computed, Variants, merged
from gradsmith.formula.expression import Expr, Symbol, substitute
from gradsmith.numerics.target import FLOAT32, FLOAT32_ALONE, Target

RESULT = "result"
"""What an elementwise function calls the dtype of the result, where it needs to know it."""

_AMBIGUOUS = frozenset("lOI")  # refused as names by common style checks
_EXPONENT = re.compile(r"(?<=\d)e\+(?=\d)")  # 1e+16 is 1e16
_NAN_TEST = re.compile(r"\b(\w+) != \1\b(?![.(])")  # NaN alone differs from itself


@dataclass(frozen=True, slots=True)
class Elementwise:
    """One function of the file.

    Attributes:
        name: what it is called.
        operands: its arguments, tensors that broadcast against each other.
        computed: what it returns, for each target; the symbols are among ``operands``.
        summary: the first line of its docstring, without the full stop.
    """

    name: str
    operands: tuple[str, ...]
    computed: Mapping[Target, Computed]
    summary: str

    @property
    def varies(self) -> bool:
        """Whether what it computes depends on the dtype that the result is rounded to."""
        return len(set(self.computed.values())) > 1

    @property
    def widens(self) -> bool:
        """Whether it needs float64 for some results of 16 bits."""
        return any(found.widened for found in self.computed.values())


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


def helper_sources(functions: Iterable[Elementwise]) -> list[str]:
    """The text of the helpers that the functions call."""
    needed: dict[str, None] = {}
    for function in functions:
        for found in dict.fromkeys(function.computed.values()):
            written = source_lines(found.expression, function.operands)
            needed |= dict.fromkeys(written.helpers)
    return [getsource(HELPERS[name]).rstrip() for name in needed]


def function_source(function: Elementwise, told: bool) -> str:
    """The text of the function, its lines at most :data:`~.formatting.WIDTH` long.

    Args:
        function: the function.
        told: whether it takes the dtype of the result, as its last argument :data:`RESULT`.
    """
    arguments = [f"{name}: Tensor" for name in function.operands]
    arguments += [f"{RESULT}: torch.dtype"] if told else []
    head = fitted(f"def {function.name}({', '.join(arguments)}) -> Tensor:", WIDTH)
    found = merged(function.computed, function.operands)
    body = [docstring(function.summary + "."), *_cases(function.operands, found)]
    if found.widened:
        condition = _condition(found.widened, function.operands[0])
        body += [f"if {condition}:", INDENT + _widening(function.operands)]
    body += _table(found)
    body += _lines(function.operands, found.expression, len(INDENT), found.names)
    return "\n".join([*head, indent("\n".join(body), INDENT)])


def _cases(operands: Sequence[str], found: Variants) -> list[str]:
    """What is computed for some dtypes only, each case returning its result."""
    lines = []
    if found.cases:
        lines = ["# How much care the digits need depends on how many of them the result keeps."]
    for targets, computed in found.cases:
        if FLOAT32_ALONE in targets:
            lines += ["# The last case is a device without float64."]
        case = _lines(operands, computed.expression, 2 * len(INDENT))
        if computed.widened:
            case = [_widening(operands), *case]
        lines += [f"if {_condition(targets, operands[0])}:", *(INDENT + x for x in case)]
    return lines


def _widening(operands: Sequence[str]) -> str:
    listed = ", ".join(operands)
    return f"{f'({listed},)' if len(operands) == 1 else listed} = widest({listed})"


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


def _table(found: Variants) -> list[str]:
    """The bounds for each dtype."""
    if not found.names:
        return []
    usual = found.bounds[FLOAT32]
    others = {t: b for t, b in found.bounds.items() if b != usual}
    return [
        "# Beyond, the result is as good as at its limit; how soon depends on its dtype.",
        f"{', '.join(found.names)} = {{",
        *(f"{INDENT}torch.{target.name}: {_tuple(bounds)}," for target, bounds in others.items()),
        f"}}.get({RESULT}, {_tuple(usual)})",
    ]


def _tuple(values: Sequence[float]) -> str:
    shown = [_EXPONENT.sub("e", repr(value)) for value in values]
    return shown[0] if len(shown) == 1 else f"({', '.join(shown)})"


def _lines(
    operands: Sequence[str], expression: Expr, margin: int, bounds: Sequence[str] = ()
) -> list[str]:
    room = WIDTH - margin
    for width in (room - len("return "), room - 24, room - 40):
        written = source_lines(expression, (*operands, *bounds), bounds, width=width)
        lines = [*written.lines, f"return {written.results[0]}"]
        lines = [_EXPONENT.sub("e", _NAN_TEST.sub(r"torch.isnan(\1)", line)) for line in lines]
        if max(map(len, lines)) <= room:
            break
    return lines
