"""Elementary functions as instructions, accurate on the whole range of their format.

Each takes values of one format, float64 or float32, and how accurate it must be. It writes
straight-line code: special cases are selected, not branched to. Tables are so small that registers
hold them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Function
from gradsmith.numerics.builder import Value
from gradsmith.numerics.elementary.circular import atan, cos, sin, tan
from gradsmith.numerics.elementary.error_function import erf, erfc, erfcx
from gradsmith.numerics.elementary.exponential import exp, expm1
from gradsmith.numerics.elementary.hyperbolic import asinh, cosh, sinh, tanh
from gradsmith.numerics.elementary.logarithm import log, log1p
from gradsmith.numerics.elementary.power import absolute, power, sign, square_root

ELEMENTARY: Mapping[Function, Callable[..., Value]] = MappingProxyType(
    {
        v.exp: exp,
        v.expm1: expm1,
        v.log: log,
        v.log1p: log1p,
        v.tanh: tanh,
        v.sinh: sinh,
        v.cosh: cosh,
        v.asinh: asinh,
        v.sin: sin,
        v.cos: cos,
        v.tan: tan,
        v.atan: atan,
        v.erf: erf,
        v.erfc: erfc,
        v.erfcx: erfcx,
        v.POW: power,
        v.sqrt: square_root,
        v.abs_: absolute,
        v.sign: sign,
    }
)
"""What computes a function of the vocabulary: called with its operands and an Accuracy."""
