"""What a derivation writes but nothing computes: d/dx of something, f(x), f′(x)."""

from __future__ import annotations

from gradsmith.formula.expression import Function
from gradsmith.formula.layout import partial_derivative, register_layout, total_derivative

D = Function(name="D", arity=2, notation=True, summary="D(u, x): the derivative, not yet taken")
PARTIAL = Function(name="∂", arity=2, notation=True, summary="∂(u, x): the same among several")
F = Function(name="f", arity=1, notation=True, summary="f(x): the formula that is derived")
F_PRIME = Function(name="f′", arity=1, notation=True, summary="f′(x): its derivative")

register_layout(D, total_derivative)
register_layout(PARTIAL, partial_derivative)
