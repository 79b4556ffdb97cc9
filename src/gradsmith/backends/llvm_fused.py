"""a·b + c, rounded once, for NumPy's arrays of float64, by the processor's own instruction.

It is the first code that a process makes and runs, and so shows whether it can do that at all.
"""

from __future__ import annotations

from ctypes import CFUNCTYPE, c_int64, c_void_p

import numpy as np

from gradsmith.numerics.interpreter import Array, Fma, fma

NAME = "fused"

# What takes time is all else of a call: not to optimise it takes half as long.
TEXT = f"""
declare double @llvm.fma.f64(double, double, double)
define void @{NAME}(
    i64 %n, ptr %a, i64 %da, ptr %b, i64 %db, ptr %c, i64 %dc, ptr %out
) noinline optnone {{
entry:
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %loop, label %exit
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %ia = mul i64 %i, %da
  %ib = mul i64 %i, %db
  %ic = mul i64 %i, %dc
  %pa = getelementptr double, ptr %a, i64 %ia
  %pb = getelementptr double, ptr %b, i64 %ib
  %pc = getelementptr double, ptr %c, i64 %ic
  %pout = getelementptr double, ptr %out, i64 %i
  %va = load double, ptr %pa
  %vb = load double, ptr %pb
  %vc = load double, ptr %pc
  %v = call double @llvm.fma.f64(double %va, double %vb, double %vc)
  store double %v, ptr %pout
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, %n
  br i1 %done, label %exit, label %loop
exit:
  ret void
}}
"""
"""IR of the function: the number of elements; three places, each with 1 or, for one number for
all, 0; and where the results go."""

_C = CFUNCTYPE(None, c_int64, *(c_void_p, c_int64) * 3, c_void_p)


def fused(address: int) -> Fma:
    """The function for arrays; what is not of float64, or lies otherwise, NumPy computes.

    Args:
        address: where the function of :data:`TEXT` is.

    Raises:
        ValueError: it computes something else.
    """
    code = _C(address)

    def computed(a: Array, b: Array, c: Array) -> Array:
        shape: tuple[int, ...] = ()
        for given in (a, b, c):
            if given.ndim:
                shape = shape or given.shape
                if len(shape) != 1 or given.shape != shape or not given.flags.c_contiguous:
                    return fma(a, b, c)
        if not shape or a.dtype != np.float64:
            return fma(a, b, c)
        result = np.empty(shape)
        at = a.ctypes.data, a.ndim, b.ctypes.data, b.ndim, c.ctypes.data, c.ndim
        code(shape[0], *at, result.ctypes.data)
        return result

    # What is left of this square is below its last digit.
    left = computed(np.array([1 + 2.0**-40, -1.0]), np.array(1 + 2.0**-40), np.array(-1 - 2.0**-39))
    if left[0] != 2.0**-80:
        raise ValueError("a first function computes something else")
    return computed
