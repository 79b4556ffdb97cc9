"""Torch's functions as they must be called where something else translates the call.

Who captures a graph writes each call in its own way, and not every way is as accurate as torch's.
TorchInductor computes ``expm1`` on the CPU as exp(x) − 1, which is 0 where x is small. ONNX has
neither ``expm1`` nor ``log1p`` nor ``erfc``, so that they are written as exp(x) − 1, log(1 + x) and
1 − erf(x); and ONNX Runtime computes ``Erf``, ``Atan``, ``Sinh`` and others in float32 only. Here
such functions are made of what is computed well everywhere, to a few ULP and at every input: of
``exp``, ``log``, ``tanh``, ``sin``, ``cos``, ``sqrt`` and arithmetic. There is no fused
multiply-add, and no look at bits.

Differentiated is the expression, never these functions.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from fractions import Fraction
from math import log, pi
from typing import Any

import torch
from torch import Tensor

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Call, Expr, Number, rebuild, with_args
from gradsmith.numerics.elementary.coefficients import circular, error_function

_LOG_2, _LOG_10 = log(2), log(10)
_SPLITTER = 2.0**27 + 1
# From here on erfc(x) rounds to 0 in float64, and exp(x²) to inf.
_NOTHING = 28.0
# From here on 1/x is far from what an addition of 1 could notice.
_FAR = 2.0**60


def is_traced() -> bool:
    """Whether the calls that are made now may end up in a graph."""
    return bool(torch._C._len_torch_dispatch_stack())


def is_exporting_onnx() -> bool:
    """Whether they end up in an ONNX model."""
    # Asking torch imports the exporters, which takes seconds; unless one is there, none is at work.
    exporters = ("exporter._flags", "torchscript_exporter._globals")
    if not any(f"torch.onnx._internal.{name}" in sys.modules for name in exporters):
        return False
    return torch.onnx.is_in_onnx_export()


class _ForGraph:
    """Stands for ``torch`` in generated code that is traced on the CPU."""

    @property
    def special(self) -> _ForGraph:
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name, None) or getattr(torch.special, name)

    @staticmethod
    def expm1(x: Tensor) -> Tensor:
        """2t/(1 − t) with t = tanh(x/2), which cancels for large x only."""
        t = torch.tanh(x / 2)
        return torch.where(x < 1.0, 2.0 * t / (1.0 - t), torch.exp(x) - 1.0)


class _ForOnnx(_ForGraph):
    """Stands for ``torch`` in generated code that an exporter turns into operators of ONNX."""

    @staticmethod
    def full(size: tuple[()], value: float, dtype: torch.dtype, device: torch.device) -> Tensor:
        """A number, which must be such a tensor to get into the model with more than 24 digits."""
        return torch.tensor(value, dtype=dtype, device=device)

    @staticmethod
    def log1p(x: Tensor) -> Tensor:
        """log(1 + x), by what Kahan found: the errors of log(u) and of u − 1 are the same."""
        u = x + 1.0
        near = torch.where(u == 1.0, x, torch.log(u) * x / (u - 1.0))
        return torch.where(x < 1.0, near, torch.log(u))

    @staticmethod
    def log2(x: Tensor) -> Tensor:
        """log(x)/log(2); the exporter's log(2) has 24 digits."""
        return torch.log(x) / _number(_LOG_2, x)

    @staticmethod
    def log10(x: Tensor) -> Tensor:
        """log(x)/log(10)."""
        return torch.log(x) / _number(_LOG_10, x)

    @staticmethod
    def exp2(x: Tensor) -> Tensor:
        """2 to the power of x."""
        return torch.pow(2.0, x)

    @staticmethod
    def sinh(x: Tensor) -> Tensor:
        """(exp(x) − exp(−x))/2, in two steps where exp(x) would overflow."""
        above = _ForOnnx.expm1(x)
        half = torch.exp(torch.abs(x) / 2)
        far = (half / 2 * half - 0.5 / half / half) * torch.sign(x)
        return torch.where(torch.abs(x) < 1.0, (above + above / (above + 1.0)) / 2, far)

    @staticmethod
    def cosh(x: Tensor) -> Tensor:
        """(exp(x) + exp(−x))/2, in two steps where exp(x) would overflow."""
        half = torch.exp(torch.abs(x) / 2)
        return half / 2 * half + 0.5 / half / half

    @staticmethod
    def tan(x: Tensor) -> Tensor:
        """sin(x)/cos(x)."""
        return torch.sin(x) / torch.cos(x)

    @staticmethod
    def atan(x: Tensor) -> Tensor:
        """A polynomial up to 1, and π/2 less that of 1/x beyond."""
        steep = torch.abs(x) > 1.0
        r = torch.where(steep, 1.0 / x, x)
        square = r * r
        near = r * (square * _horner(square, circular.ATAN_F64.coefficients) + 1.0)
        return torch.where(steep, torch.sign(x) * _number(pi / 2, x) - near, near)

    @staticmethod
    def asinh(x: Tensor) -> Tensor:
        """log(x + √(1 + x²)), relatively accurate near 0, and without x² where that overflows."""
        size = torch.abs(x)
        held = torch.clamp(size, max=2.0**30)
        near = _ForOnnx.log1p(held + held * held / (1.0 + torch.sqrt(held * held + 1.0)))
        beyond = torch.where(
            size < 2.0**30, near, torch.log(size) + _number(_LOG_2, x)
        ) * torch.sign(x)
        return torch.where(size < 2.0**-30, x, beyond)

    @staticmethod
    def erf(x: Tensor) -> Tensor:
        """A polynomial near 0, and 1 − erfc(|x|) beyond."""
        size = torch.abs(x)
        square = torch.clamp(size, max=1.0) ** 2
        near = x + x * _horner(square, error_function.ERF_F64.coefficients)
        far = torch.sign(x) * (1.0 - _ForOnnx.erfc(size))
        return torch.where(square < 0.5, near, far)

    @staticmethod
    def erfc(x: Tensor) -> Tensor:
        """exp(−x²)·erfcx(x) for x ≥ 0, and 2 less that of −x."""
        size = torch.clamp(torch.abs(x), max=_NOTHING)
        high, low = _square(size)
        tail = torch.exp(-high) * torch.exp(-low) * _scaled(size)
        return torch.where(x < 0.0, 2.0 - tail, tail)

    @staticmethod
    def erfcx(x: Tensor) -> Tensor:
        """A quotient for x ≥ 0, and 2·exp(x²) less that of −x."""
        size = torch.abs(x)
        high, low = _square(torch.clamp(size, max=_NOTHING))
        tail = _scaled(size)
        return torch.where(x < 0.0, torch.exp(high) * torch.exp(low) * 2.0 - tail, tail)


FOR_GRAPH, FOR_ONNX = _ForGraph(), _ForOnnx()


def _scaled(x: Tensor) -> Tensor:
    """erfcx(x) of x ≥ 0, as ``numerics/elementary/error_function.py`` has it."""
    held = torch.clamp(x, max=_FAR)
    centre = _number(error_function.ERFCX_F64_CENTRE, x)
    s = (centre - held) / (centre + held)
    numerator = _horner(s, error_function.ERFCX_F64.coefficients)
    return numerator / (x + _number(error_function.ERFCX_F64_SHIFT, x))


def _square(x: Tensor) -> tuple[Tensor, Tensor]:
    """x² as a sum: the square of the upper digits, which is exact in float64, and the rest."""
    scaled = x * _number(_SPLITTER, x)
    upper = scaled - (scaled - x)
    return upper * upper, (x - upper) * (x + upper)


def _number(value: float, like: Tensor) -> Tensor:
    return _ForOnnx.full((), value, like.dtype, like.device)


def _horner(x: Tensor, coefficients: Sequence[float]) -> Tensor:
    # In terms of x/2: the coefficients that would be lost as too close to 0 are those of the
    # highest powers, and so are multiplied by most.
    half = x / 2
    *others, last, total = (math.ldexp(c, power) for power, c in enumerate(coefficients))
    result = half * _number(total, x) + _number(last, x)
    for coefficient in reversed(others):
        result = result * half + _number(coefficient, x)
    return result


# The exporter's optimizer takes a factor for 1, and leaves it away, if it is that within 1e-5, and
# an addend for 0 if it is within 1e-8.
_NEAR_ONE, _NEAR_ZERO = Fraction(1, 2**16), Fraction(1, 2**26)
_TWO, _LARGE = Number(2), Number(2**64)


def kept(root: Expr) -> Expr:
    """The same expression without numbers that the exporter would leave away.

    They are multiplied by a power of two, and so is the result by its reciprocal: no rounding.
    """

    def replace(node: Expr, args: tuple[Expr, ...]) -> Expr:
        node = with_args(node, args)
        if not isinstance(node, Call):
            return node
        numbers = [arg.value for arg in node.args if isinstance(arg, Number)]
        near_one = any(0 < abs(value - 1) < _NEAR_ONE for value in numbers)
        near_zero = any(0 < abs(value) < _NEAR_ZERO for value in numbers)
        if node.function in (v.MUL, v.DIV) and near_one:
            return _twice(node)
        if node.function in (v.ADD, v.SUB) and near_zero:
            return Call(node.function, tuple(_times(a, _LARGE) for a in node.args)) / _LARGE
        return node

    return rebuild(root, replace)


def _twice(node: Call) -> Expr:
    a, b = node.args
    if isinstance(b, Number):
        doubled = Call(node.function, (a, _times(b, _TWO)))
        return doubled * _TWO if node.function is v.DIV else doubled / _TWO
    return Call(node.function, (_times(a, _TWO), b)) / _TWO


def _times(operand: Expr, factor: Number) -> Expr:
    if isinstance(operand, Number):
        return Number(operand.value * factor.value)
    return operand * factor
