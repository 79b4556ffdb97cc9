"""What is computed for an operation, and how: found when it is first needed, and kept."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from gradsmith.backends.dispatch import Precision
from gradsmith.formula.expression import Expr, Symbol, free_symbols
from gradsmith.numerics.ladder import FULL64, PLAIN32
from gradsmith.numerics.lower import Scheme
from gradsmith.numerics.stabilise import Stable
from gradsmith.numerics.target import FLOAT64, Target
from gradsmith.operator import plans
from gradsmith.operator.contract import told
from gradsmith.operator.kernels import Computation

if TYPE_CHECKING:
    from gradsmith.operator.pointwise import Pointwise


class Numerical:
    """The part of a :class:`~gradsmith.operator.pointwise.Pointwise` that the numerics serve."""

    __slots__ = ()
    core: Expr
    arguments: tuple[str, ...]
    factors: tuple[str, ...]
    defaults: Mapping[str, float]
    max_ulp: float
    origin: tuple[Pointwise, Symbol] | None
    _stable: dict[Target, Stable]
    _computations: dict[tuple[Precision, bool, bool], Computation]

    def stable_for(self, target: Target) -> Stable:
        """What is computed in place of ``core`` for results of one format; found when first used.

        The derivative of the stable form of what this is the derivative of is one proposal.
        """
        if target not in self._stable:
            self._stable[target] = plans.stable_form(self, target)
            self._tell(self._stable[target])
        return self._stable[target]

    def _tell(self, stable: Stable) -> None:
        """Warn of a float64 value, or first derivative in an input, that misses the contract.

        Of float32 one is told when a formula is defined; this would take longer there.
        """
        if stable.target is not FLOAT64:
            return
        what = "the value of"
        if self.origin is not None:
            of, symbol = self.origin
            if of.origin is not None or symbol.name in of.defaults:
                return
            what = f"∂/∂{symbol.name}:"
        if all(stable.at[name] == default for name, default in self.defaults.items()):
            told(f"{what} ", stable, stable.target.budget, of=self.core)

    def expression_for(self, target: Target) -> Expr:
        """The stable expression for results of one format, factors included."""
        return self.computation_in(target, FULL64).expression

    def computation_in(self, target: Target, scheme: Scheme) -> Computation:
        """The stable form for results of one format, in a scheme of which it knows nothing."""
        if not free_symbols(self.core):
            # A constant has no point at which it could be unstable.
            return Computation(self.core, target, scheme, factors=self.factors)
        stable = self.stable_for(target)
        return Computation(stable.expression, target, scheme, False, self.factors, stable)

    def computation_for(
        self, precision: Precision, alone: bool, in_words: bool | None = None
    ) -> Computation:
        """What native code computes, and how.

        Args:
            precision: of the result.
            alone: whether float32 may be computed in float32: every operand must be one.
            in_words: whether it may be in two float32: every operand must be one, or a number of
                that fits two (:class:`~gradsmith.numerics.fit.Fit`); left out, as ``alone``.
        """
        in_words = alone if in_words is None else in_words
        key = (precision, alone, in_words)
        if key not in self._computations:
            self._computations[key] = self._chosen(precision, alone, in_words)
        return self._computations[key]

    def _chosen(self, precision: Precision, alone: bool, in_words: bool) -> Computation:
        target = precision.target
        if not free_symbols(self.core):
            return self.computation_in(target, FULL64)  # rounded once, times factors
        stable = self.stable_for(target)
        way = plans.way(stable, alone, self.max_ulp, in_words)
        wider = precision.wider
        if way.error > target.budget and way.scheme is PLAIN32 and wider is not None:
            return self.computation_for(wider, alone, in_words)
        core = way.stable.expression
        return Computation(core, target, way.scheme, way.particular, self.factors, stable)
