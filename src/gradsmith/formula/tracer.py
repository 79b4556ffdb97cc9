"""The object that stands for a tensor while a function is traced.

Whatever is done to it becomes an expression: operators here, torch's functions and methods through
``__torch_function__`` in :mod:`gradsmith.formula.torch_calls`. What no formula can express, such as
a Python decision on a value, is refused with the form that can be traced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NoReturn

from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Call, Expr, as_expr
from gradsmith.formula.vocabulary import (
    ADD,
    AND,
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
    abs_,
    e,
    pi,
    where,
)


class Tracer:
    """An input, a parameter or an intermediate result of a function that is being traced."""

    __slots__ = ("_expression",)

    def __init__(self, expression: Expr) -> None:
        self._expression = expression

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Tracer:
        from gradsmith.formula.torch_calls import call

        return Tracer(call(func, args, kwargs or {}))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        from gradsmith.formula.torch_calls import method

        function = method(name)

        def bound(*args: Any, **kwargs: Any) -> Tracer:
            return self.__torch_function__(function, (), (self, *args), kwargs)

        return bound

    def __add__(self, other: Any) -> Tracer:
        return _applied(ADD, self, other)

    def __radd__(self, other: Any) -> Tracer:
        return _applied(ADD, other, self)

    def __sub__(self, other: Any) -> Tracer:
        return _applied(SUB, self, other)

    def __rsub__(self, other: Any) -> Tracer:
        return _applied(SUB, other, self)

    def __mul__(self, other: Any) -> Tracer:
        return _applied(MUL, self, other)

    def __rmul__(self, other: Any) -> Tracer:
        return _applied(MUL, other, self)

    def __truediv__(self, other: Any) -> Tracer:
        return _applied(DIV, self, other)

    def __rtruediv__(self, other: Any) -> Tracer:
        return _applied(DIV, other, self)

    def __pow__(self, other: Any) -> Tracer:
        return _applied(POW, self, other)

    def __rpow__(self, other: Any) -> Tracer:
        return _applied(POW, other, self)

    def __neg__(self) -> Tracer:
        return _applied(NEG, self)

    def __pos__(self) -> Tracer:
        return self

    def __abs__(self) -> Tracer:
        return _applied(abs_, self)

    def __lt__(self, other: Any) -> Tracer:
        return _applied(LT, self, other)

    def __le__(self, other: Any) -> Tracer:
        return _applied(LE, self, other)

    def __gt__(self, other: Any) -> Tracer:
        return _applied(GT, self, other)

    def __ge__(self, other: Any) -> Tracer:
        return _applied(GE, self, other)

    def __eq__(self, other: object) -> Tracer:  # type: ignore[override]
        return _applied(EQ, self, other)

    def __ne__(self, other: object) -> Tracer:  # type: ignore[override]
        return _applied(NE, self, other)

    __hash__ = object.__hash__

    def __and__(self, other: Any) -> Tracer:
        return Tracer(AND(condition(self), condition(other)))

    def __rand__(self, other: Any) -> Tracer:
        return Tracer(AND(condition(other), condition(self)))

    def __or__(self, other: Any) -> Tracer:
        return Tracer(OR(condition(self), condition(other)))

    def __ror__(self, other: Any) -> Tracer:
        return Tracer(OR(condition(other), condition(self)))

    def __invert__(self) -> Tracer:
        return Tracer(NOT(condition(self)))

    def __bool__(self) -> NoReturn:
        shown = brief(self._expression)
        test = shown if is_condition(self._expression) else f"{shown} != 0"
        raise FormulaError(
            f"the function decides in Python on the value of {shown} (by if, while, and, or, not, "
            f"min, max or a chained comparison), which cannot be traced. Write "
            f"torch.where({test}, a, b), with & | ~ between conditions and torch.maximum, "
            "torch.minimum or torch.clamp for max and min"
        )

    def __array_ufunc__(self, ufunc: Any, kind: str, *inputs: Any, **options: Any) -> Tracer:
        operator = _UFUNCS.get(ufunc.__name__)
        if operator is None or kind != "__call__" or options:
            _refuse_number(f"np.{ufunc.__name__}(x)", ufunc.__name__)
        return _applied(operator, *inputs)

    def __repr__(self) -> str:
        return f"<traced {brief(self._expression)}>"


def expression_of(tracer: Tracer) -> Expr:
    """What a tracer stands for."""
    return tracer._expression


def is_condition(expression: Expr) -> bool:
    """Whether it is a truth value."""
    return isinstance(expression, Call) and expression.function.boolean


def number(value: Any) -> Expr:
    """What a function's operand contributes to the formula.

    A condition counts as 1 where it holds and as 0 elsewhere, as in torch's arithmetic. A float
    that is ``math.pi`` or ``math.e`` means that constant, of which no float has the value.

    Raises:
        FormulaError: it is no real number.
    """
    if isinstance(value, Tracer):
        expression = value._expression
        return where(expression, 1, 0) if is_condition(expression) else expression
    if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)):
        return _converted(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise FormulaError(f"the numbers of a formula must be finite, got {value}")
    if value < 0:
        return NEG(number(-value))  # as the text -1 is read
    if value in (math.pi, math.e):
        return pi() if value == math.pi else e()
    return as_expr(float(value) if isinstance(value, float) else value)


def condition(value: Any) -> Expr:
    """An operand that must be a condition.

    Raises:
        FormulaError: it is none.
    """
    if isinstance(value, Tracer) and is_condition(value._expression):
        return value._expression
    shown = repr(value) if not isinstance(value, Tracer) else brief(value._expression)
    raise FormulaError(f"a condition such as x > 0 is needed, got {shown}")


def brief(expression: Expr) -> str:
    """The expression as text, cut where it is long."""
    text = str(expression)
    return text if len(text) <= 60 else text[:59] + "…"


def _converted(value: Any) -> Expr:
    """A NumPy scalar or a tensor of one element as a number."""
    import torch

    if isinstance(value, torch.Tensor):
        if value.requires_grad:
            raise FormulaError(
                "the function uses a learnable tensor, whose value would be frozen in the "
                "formula; make it an argument of the function with a number as its default"
            )
        if value.numel() != 1:
            raise FormulaError(
                f"the function uses a tensor of shape {tuple(value.shape)}; a formula's "
                "constants are single numbers, make it an input of the function"
            )
        return number(value.item())
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return number(value.item())
    kind = type(value).__name__
    raise FormulaError(f"a formula is made of real numbers, got {value!r} of type {kind}")


def _applied(function: Any, *operands: Any) -> Tracer:
    return Tracer(function(*(number(operand) for operand in operands)))


_UFUNCS = {
    "add": ADD,
    "subtract": SUB,
    "multiply": MUL,
    "divide": DIV,
    "true_divide": DIV,
    "power": POW,
    "less": LT,
    "less_equal": LE,
    "greater": GT,
    "greater_equal": GE,
    "equal": EQ,
    "not_equal": NE,
}
"""What a NumPy scalar calls when it is the left operand."""


def _refuse_number(what: str, name: str = "exp") -> NoReturn:
    raise FormulaError(
        f"{what} needs a number, and x has none while the function is traced; "
        f"write torch.{name}(x) if torch has it, or an operator such as **"
    )


def _refusal(what: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(*_: Any, **__: Any) -> NoReturn:
        raise FormulaError(f"{what} cannot be traced; {instead}")

    return refuse


_POINTWISE = "an activation acts on each element by itself"
_NUMBER = (
    "x has no value while the function is traced; write torch.exp(x) for math.exp(x), and bind "
    "an argument that steers Python code before tracing (functools.partial)"
)
_OUT_OF_PLACE = "write x = x {} y, which makes a new tensor"

_REFUSED = {
    "__float__": ("a conversion to a Python number, as by float(x) or math.exp(x),", _NUMBER),
    "__int__": ("a conversion to an integer, as by int(x),", _NUMBER),
    "__index__": ("the use of a traced value as an index or in range(...)", _NUMBER),
    "__complex__": ("a conversion to a complex number", "formulas are real"),
    "__array__": ("a conversion to a NumPy array", "write it with torch's functions"),
    "__len__": ("len(x), or torch.tensor(x) of a traced value,", _POINTWISE),
    "__iter__": ("iteration over x", _POINTWISE),
    "__contains__": ("`in`", _POINTWISE),
    "__getitem__": ("indexing", f"{_POINTWISE}; give parts of a tensor as inputs f(a, b)"),
    "__setitem__": ("an assignment to elements", "write torch.where(condition, a, b)"),
    "__matmul__": ("the matrix product @", _POINTWISE),
    "__rmatmul__": ("the matrix product @", _POINTWISE),
    "__floordiv__": ("//", "division is /"),
    "__rfloordiv__": ("//", "division is /"),
    "__mod__": ("%", "a formula has no remainder"),
    "__rmod__": ("%", "a formula has no remainder"),
    "__divmod__": ("divmod", "a formula has no remainder"),
    "__xor__": ("^", "a power is written **, and conditions are joined by & and |"),
    "__rxor__": ("^", "a power is written **, and conditions are joined by & and |"),
    "__lshift__": ("<<", "a formula has no shift of bits"),
    "__rshift__": (">>", "a formula has no shift of bits"),
    "__round__": ("round", "a formula has no rounding"),
    "__floor__": ("math.floor", "a formula has no rounding"),
    "__ceil__": ("math.ceil", "a formula has no rounding"),
    "__trunc__": ("math.trunc", "a formula has no rounding"),
} | {
    f"__i{name}__": (f"{sign}=, which changes a tensor in place,", _OUT_OF_PLACE.format(sign))
    for name, sign in {
        "add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "and": "&", "or": "|",
    }.items()
}  # fmt: skip
for _name, (_what, _instead) in _REFUSED.items():
    setattr(Tracer, _name, _refusal(_what, _instead))
