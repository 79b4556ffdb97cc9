"""Text to :class:`Formula`. Python's own parser reads it; nothing is ever evaluated.

Any input is answered in milliseconds: length, depth and the size of constants are bounded before
anything looks at the tree twice.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fractions import Fraction
from functools import reduce
from math import isfinite
from warnings import catch_warnings, simplefilter

from gradsmith.errors import FormulaError
from gradsmith.formula.constants import refuse_excess
from gradsmith.formula.expression import Call, Expr, Function, Number, Symbol
from gradsmith.formula.formula import LIBRARY, Formula
from gradsmith.formula.names import given_inputs, given_names, misread
from gradsmith.formula.nesting import too_deep
from gradsmith.formula.vocabulary import (
    ADD,
    AND,
    CONSTANTS,
    DIV,
    EQ,
    GE,
    GT,
    LE,
    LT,
    MUL,
    NE,
    NEG,
    NOT,
    OR,
    POW,
    SUB,
    USABLE,
    maximum,
    minimum,
    where,
)

MAX_LENGTH = 10_000
MAX_DEPTH = 150
MAX_DIGITS = 1000

_BINARY: dict[type[ast.operator], Function] = {
    ast.Add: ADD,
    ast.Sub: SUB,
    ast.Mult: MUL,
    ast.Div: DIV,
    ast.Pow: POW,
}
_COMPARE: dict[type[ast.cmpop], Function] = {
    ast.Lt: LT,
    ast.LtE: LE,
    ast.Gt: GT,
    ast.GtE: GE,
    ast.Eq: EQ,
    ast.NotEq: NE,
}
_INSTEAD: dict[type[ast.AST], str] = {
    ast.BitXor: "a power is written **, not ^",
    ast.BitOr: "write abs(x) for |x|, and `or` between conditions",
    ast.BitAnd: "write `and` between conditions",
    ast.FloorDiv: "// is not supported; division is /",
    ast.Mod: "% is not supported",
    ast.MatMult: "a product is written *, not @",
    ast.Invert: "write `not` before a condition",
    ast.Lambda: "give the formula itself, without lambda",
    ast.Subscript: "indexing is not supported: an activation acts on each element by itself",
    ast.Tuple: "a formula is one expression; remove the comma",
    ast.List: "a formula is one expression; remove the brackets []",
    ast.Dict: "a formula is one expression; remove the braces {}",
    ast.Set: "a formula is one expression; remove the braces {}",
    ast.JoinedStr: "a formula has no text in quotes",
    ast.NamedExpr: "assignments are not supported; write the expression itself",
}
_SIGNS = {
    "−": "-",
    "–": "-",
    "÷": "/",
    "²": "**2",
    "³": "**3",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "√": "sqrt(x)",
    "|": "abs(x)",
    "=": "only what stands right of the equals sign",
}
"""What stands in a paper but cannot be read: what to write instead."""


_SHOWN = 60  # characters of what is not read, in a message


def parse(
    text: str,
    parameters: Mapping[str, float] | None = None,
    inputs: Sequence[str] | None = None,
    name: str | None = None,
) -> Formula:
    """Read a formula in Python expression syntax.

    Args:
        text: for example ``"x * sigmoid(beta*x)"``: ``+ - * / **``, comparisons inside
            ``where(c, a, b)`` or ``a if c else b``, the vocabulary and every catalogue name.
        parameters: default of every name that is no input.
        inputs: names of the tensor inputs. Left out, it is ``("x",)``, or the one name that
            has no default where the formula has no ``x``.
        name: what to call the formula.

    Raises:
        FormulaError: the text cannot be read; the message points at the column.
    """
    if not isinstance(text, str):
        raise TypeError(f"a formula is a text, got {type(text).__name__}")
    parameters, inputs = given_names(parameters or {}), given_inputs(inputs)
    if len(text) > MAX_LENGTH:
        raise FormulaError(
            f"the formula has {len(text):,} characters; at most {MAX_LENGTH:,} are read"
        )
    if not text.strip():
        raise FormulaError("the formula is empty; write for example 'x * sigmoid(x)'")
    reader = _Reader(text)
    expression = reader.read()
    if inputs is None:
        free = [n for n in reader.symbols if n not in parameters]
        inputs = tuple(free) if len(free) == 1 else ("x",)
    known = {*inputs, *parameters}
    for symbol, column in reader.symbols.items():
        if symbol not in known:
            raise FormulaError(_unknown(symbol, inputs, parameters), text, column)
    unused = [n for n in parameters if n not in reader.symbols]
    if unused:
        raise FormulaError(f"parameter {unused[0]!r} does not occur in the formula {text!r}")
    return Formula(expression, tuple(inputs), parameters, text.strip(), name)


def _unknown(symbol: str, inputs: Sequence[str], parameters: Iterable[str]) -> str:
    hint = _did_you_mean(symbol, [*inputs, *parameters, "pi", "e"])
    both = tuple(dict.fromkeys((*inputs, symbol)))
    return (
        f"unknown name {symbol!r}{hint or '.'} A parameter needs a default ({symbol}=1.0), "
        f"a second input must be named (inputs={both!r})"
    )


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, dict.fromkeys(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


class _Reader:
    """One reading of one text; collects the free names with their columns."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.symbols: dict[str, int] = {}
        self._line = "".join(" " if c in "\n\r\t\f\v" else c for c in text)
        self._skipped = len(self._line) - len(self._line.lstrip())

    def read(self) -> Expr:
        wrong = misread(self._line)
        if wrong is not None:
            raise FormulaError(wrong[1], self.text, wrong[0])
        try:
            with catch_warnings():  # Python warns of 1if, which is read rightly
                simplefilter("ignore")
                tree = ast.parse(self._line.strip(), mode="eval")
        except SyntaxError as error:
            # Where the text ends too early, Python has no position.
            column = self._skipped + (error.offset or len(self._line.strip()) + 1) - 1
            raise FormulaError(self._syntax_message(error, column), self.text, column) from None
        except (RecursionError, MemoryError):
            raise self._too_deep() from None
        except UnicodeError:
            raise FormulaError("the formula cannot be read: it is not Unicode text") from None
        except ValueError as error:  # a null byte, in some versions of Python
            raise FormulaError(f"the formula cannot be read: {error}") from None
        expression = self._value(tree.body, 0)
        refuse_excess(expression)
        return expression

    def _syntax_message(self, error: SyntaxError, column: int) -> str:
        message = error.msg or "invalid syntax"
        at, before = self._line[column : column + 1], self._line[:column].rstrip()
        word = re.search(r"\w*\Z", before)
        if "decimal literal" in message or "imaginary" in message:
            return "a product needs its sign: write 2*x, not 2x"
        if "nested parentheses" in message:
            return too_deep(self._line, MAX_DEPTH)
        if "digits" in message:  # Python refuses to read an integer of thousands
            return "a number of the formula has too many digits"
        if at in _SIGNS:
            return f"write {_SIGNS[at]}, not {at}"
        if message == "invalid syntax" and word and word[0] and (at.isalnum() or at == "_"):
            called = word[0] in USABLE and USABLE[word[0]] not in CONSTANTS
            instead = f"{word[0]}({at}…)" if called else f"{word[0]}*{at}…"
            return f"something is missing between {word[0]!r} and what follows; write {instead}"
        return f"the formula cannot be read: {message}"

    def _too_deep(self) -> FormulaError:
        return FormulaError(too_deep(self._line, MAX_DEPTH))

    def _check_depth(self, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise self._too_deep()

    def _column(self, node: ast.AST) -> int:
        # The parser counts UTF-8 bytes; people count characters.
        offset = getattr(node, "col_offset", 0)
        return self._skipped + len(self._line.strip().encode()[:offset].decode(errors="ignore"))

    def _error(self, message: str, node: ast.AST) -> FormulaError:
        return FormulaError(message, self.text, self._column(node))

    def _value(self, node: ast.AST, depth: int) -> Expr:
        result = self._any(node, depth)
        if isinstance(result, Call) and result.function.boolean:
            raise self._error("a condition is not a number; write where(condition, 1, 0)", node)
        return result

    def _condition(self, node: ast.AST, depth: int) -> Expr:
        result = self._any(node, depth)
        if not (isinstance(result, Call) and result.function.boolean):
            raise self._error("a condition is needed here, for example x > 0", node)
        return result

    def _any(self, node: ast.AST, depth: int) -> Expr:
        self._check_depth(depth)
        deeper = depth + 1
        match node:
            case ast.Constant():
                return self._number(node)
            case ast.Name():
                return self._name(node)
            case ast.BinOp(left, operator, right) if type(operator) in _BINARY:
                function = _BINARY[type(operator)]
                return function(self._value(left, deeper), self._value(right, deeper))
            case ast.BinOp(_, operator, _):
                raise self._error(_INSTEAD.get(type(operator), "unsupported operator"), node)
            case ast.UnaryOp(ast.USub(), operand):
                return NEG(self._value(operand, deeper))
            case ast.UnaryOp(ast.UAdd(), operand):
                return self._value(operand, deeper)
            case ast.UnaryOp(ast.Not(), operand):
                return NOT(self._condition(operand, deeper))
            case ast.UnaryOp(operator, _):
                raise self._error(_INSTEAD[type(operator)], node)
            case ast.BoolOp(operator, values):
                self._check_depth(depth + len(values))
                joined = AND if isinstance(operator, ast.And) else OR
                return reduce(joined, (self._condition(value, deeper) for value in values))
            case ast.Compare(left, operators, others):
                return self._compare(node, [left, *others], operators, deeper)
            case ast.IfExp(test, body, orelse):
                return where(
                    self._condition(test, deeper),
                    self._value(body, deeper),
                    self._value(orelse, deeper),
                )
            case ast.Call():
                return self._call(node, deeper)
            case ast.Attribute():
                raise self._with_module(node)
        known = "numbers, names, + - * / **, comparisons, where(c, a, b) and functions"
        raise self._error(_INSTEAD.get(type(node), f"a formula is made of {known}"), node)

    def _with_module(self, node: ast.Attribute) -> FormulaError:
        # Of the text, for there may be more dots than Python calls functions within functions.
        written = ast.get_source_segment(self._line.strip(), node) or node.attr
        shown = written if len(written) <= _SHOWN else f"…{written[-_SHOWN:]}"
        wanted = f"{node.attr}, not {shown}"
        return self._error(f"names are written without a module: {wanted}", node)

    def _number(self, node: ast.Constant) -> Expr:
        value = node.value
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self._error(f"{value!r} is not a number", node)
        if isinstance(value, int):
            return Number(value)
        source = ast.get_source_segment(self._line.strip(), node) or repr(value)
        written = source.replace("_", "").lower()
        if value == 0 and not any(digit in "123456789" for digit in written.split("e")[0]):
            return Number(0)  # 0e999999999 would take its power of ten literally
        if not isfinite(value) or value == 0:
            raise self._error(f"the number {source} is outside the range of float64", node)
        if len(written) > MAX_DIGITS:
            raise self._error(f"a number has at most {MAX_DIGITS} digits", node)
        return Number(Fraction(written))

    def _name(self, node: ast.Name) -> Expr:
        function = USABLE.get(node.id)
        if function is not None:
            if function in CONSTANTS:
                return function()
            raise self._error(f"{node.id} is a function; write {node.id}(x)", node)
        self.symbols.setdefault(node.id, self._column(node))
        return Symbol(node.id)

    def _compare(
        self, node: ast.AST, operands: list[ast.expr], operators: list[ast.cmpop], depth: int
    ) -> Expr:
        self._check_depth(depth + len(operands))
        values = [self._value(operand, depth) for operand in operands]
        comparisons = []
        for operator, a, b in zip(operators, values, values[1:], strict=False):
            if type(operator) not in _COMPARE:
                raise self._error("only < <= > >= == != compare numbers", node)
            comparisons.append(_COMPARE[type(operator)](a, b))
        return reduce(AND, comparisons)

    def _call(self, node: ast.Call, depth: int) -> Expr:
        if isinstance(node.func, ast.Attribute):
            raise self._with_module(node.func)
        if not isinstance(node.func, ast.Name):
            raise self._error("a product needs its sign: write 2*(x + 1), not 2(x + 1)", node)
        called = node.func.id
        if any(isinstance(arg, ast.Starred) for arg in node.args):
            raise self._error("* before an argument is not supported", node)
        function = USABLE.get(called)
        named = LIBRARY.get(called)
        if function is None and named is None:
            product = f"; a product is written {called}*(…)"
            hint = _did_you_mean(called, [*USABLE, *LIBRARY]) or product
            raise self._error(f"unknown function {called!r}{hint}", node.func)
        if function is where:
            if len(node.args) != 3 or node.keywords:
                raise self._error("where takes (condition, a, b)", node)
            test, a, b = node.args
            return where(self._condition(test, depth), self._value(a, depth), self._value(b, depth))
        args = [self._value(arg, depth) for arg in node.args]
        if function in (maximum, minimum) and len(args) > 2 and not node.keywords:
            self._check_depth(depth + len(args))
            return reduce(function, args)
        if function is not None and len(args) == function.arity and not node.keywords:
            return function(*args)
        if named is None:
            assert function is not None
            raise self._error(
                f"{called} takes {function.arity} argument(s), got "
                f"{len(args) + len(node.keywords)}",
                node,
            )
        return self._call_named(node, named(), args, depth)

    def _call_named(self, node: ast.Call, formula: Formula, args: list[Expr], depth: int) -> Expr:
        given = {k.arg: self._value(k.value, depth) for k in node.keywords if k.arg is not None}
        accepted = formula.arguments
        names = accepted[: len(args)]
        wrong = [k for k in given if k not in accepted or k in names]
        missing = [n for n in formula.inputs if n not in names and n not in given]
        if wrong or missing or len(args) > len(accepted) or len(given) != len(node.keywords):
            raise self._error(f"{formula.name} takes ({', '.join(accepted)})", node)
        return formula.applied(*args, **given)
