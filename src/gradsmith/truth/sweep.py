"""One chunk of a certificate: computed values beside exact ones, for some of the inputs.

A sweep holds all that a process needs to work on any chunk, in any order: which chunks there are
and what each gives depends on the task alone, so that work can be divided and taken up again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gradsmith.calculus.derivative import derivative
from gradsmith.formula.expression import Expr, Symbol, free_symbols
from gradsmith.formula.formula import Formula
from gradsmith.truth import tally, ulp
from gradsmith.truth.accuracy import Accuracy
from gradsmith.truth.certificate import Coverage
from gradsmith.truth.inputs import from_patterns, sample
from gradsmith.truth.oracle import Oracle
from gradsmith.truth.quantities import Evaluation, Quantity
from gradsmith.truth.subject import Subject
from gradsmith.truth.swept import Cover, Errors, Patterns, numbers

_ASKED = 1 << 12  # inputs of a chunk whose exact values are asked for one by one
_SWEPT = 1 << 22  # inputs of a chunk that is swept by polynomials
_BLOCK = 1 << 15  # inputs at a time: what fits a core's cache
_WORTHWHILE = 1 << 18  # inputs from which on polynomials pay off


@dataclass(frozen=True, slots=True)
class Task:
    """What is certified, where.

    Attributes:
        subject: what computes.
        formula: what it should compute, its parameters' values as their defaults.
        dtype: of inputs and results.
        quantities: which derivatives.
        coverage: which inputs.
        backend: what computes a subject that is ours; None for what the context says.
    """

    subject: Subject
    formula: Formula
    dtype: torch.dtype
    quantities: tuple[Quantity, ...]
    coverage: Coverage
    backend: str | None = None


class Sweep:
    """A task ready to be worked on.

    Args:
        task: what is to be done.
        by_pieces: whether exact values come from polynomials with a proven margin. Left out:
            where there are so many inputs that these pay off.
    """

    def __init__(self, task: Task, by_pieces: bool | None = None) -> None:
        self.task = task
        formula = task.formula
        self._several = len(formula.inputs) > 1
        names = dict.fromkeys(q.wrt or formula.inputs[0] for q in task.quantities)
        highest = max(quantity.order for quantity in task.quantities)
        self._oracles = {name: Oracle(formula, wrt=name, highest=highest) for name in names}
        fixed = [q for q in task.quantities if not free_symbols(_expression(formula, q))]
        self._constant = {q: self._value_of(q) for q in fixed}
        zero = [q for q, value in self._constant.items() if value == (0, 0)]
        self._unread = {q: _unread(formula, q) for q in task.quantities}
        self._evaluate = Evaluation(task.subject, formula, task.quantities, task.dtype, zero)
        self._patterns = [range(*part) for part in task.coverage.patterns]
        self._columns: tuple[Tensor, ...] = ()
        if task.coverage.samples:
            self._columns = sample(
                formula, self._rough(), task.dtype, task.coverage.samples, task.coverage.seed
            )
        self.count = sum(map(len, self._patterns)) or self._columns[0].numel()
        worthwhile = self.count >= _WORTHWHILE and not self._several
        self.by_pieces = worthwhile and task.dtype == torch.float32
        if by_pieces is not None:
            self.by_pieces = by_pieces
        if self.by_pieces and self._columns:
            found = self._columns[0].view(torch.int32).numpy().view(np.uint32).astype(np.int64)
            self._sampled = np.sort(found)
        size = _SWEPT if self.by_pieces else _ASKED
        self._covers: dict[Quantity, Cover] = {}
        if self.by_pieces:
            self._covers = {
                q: Cover(self._oracle(q), q.order, task.dtype)
                for q in task.quantities
                if q not in self._evaluate.unavailable
            }
        whole = self._patterns or [range(self.count)]
        self._chunks = [part[i : i + size] for part in whole for i in range(0, len(part), size)]

    @property
    def chunks(self) -> int:
        """How many chunks there are."""
        return len(self._chunks)

    def size(self, chunk: int) -> int:
        """How many inputs a chunk has."""
        return len(self._chunks[chunk])

    def _oracle(self, quantity: Quantity) -> Oracle:
        return self._oracles[quantity.wrt or self.task.formula.inputs[0]]

    def _value_of(self, quantity: Quantity) -> tuple[float, float]:
        """The exact value of a quantity that reads no input, as a sum."""
        anywhere = {name: np.ones(1) for name in self.task.formula.inputs}
        exact = self._oracle(quantity).exact(quantity.order, anywhere)
        return float(exact.high[0]), float(exact.low[0])

    def run(self, chunk: int) -> list[Accuracy]:
        """The figures of one chunk, in the order of the task's quantities."""
        part = self._chunks[chunk]
        if self._covers:
            return self._swept(self._sampled[part.start : part.stop] if self._columns else part)
        if self._columns:
            columns = tuple(column[part.start : part.stop] for column in self._columns)
        else:
            columns = (from_patterns(part, self.task.dtype),)
        return self._asked(columns)

    def _swept(self, patterns: range | Patterns) -> list[Accuracy]:
        """Exact values from polynomials with a proven margin."""
        found = {
            q: Errors(self._empty(q), cover, self._constant.get(q, (None,))[0])
            for q, cover in self._covers.items()
        }
        for start in range(0, len(patterns), _BLOCK):
            part = patterns[start : start + _BLOCK]
            x = numbers(part, self.task.dtype)
            computed = self._evaluate(x)
            wide = x.double().numpy()
            for quantity, errors in found.items():
                errors.block(part, wide, computed[quantity])
        return [found[q].result() if q in found else self._empty(q) for q in self.task.quantities]

    def _empty(self, quantity: Quantity) -> Accuracy:
        why = self._evaluate.unavailable.get(quantity, "")
        return tally.empty(quantity, self._several, why)

    def _asked(self, columns: tuple[Tensor, ...]) -> list[Accuracy]:
        """Every exact value from the oracle, one by one."""
        computed = self._evaluate(*columns)
        found = []
        for quantity in self.task.quantities:
            start = self._empty(quantity)
            if quantity in computed:
                high, verdict = self._judged(quantity, columns, computed[quantity])
                start = tally.counted(start, columns, computed[quantity], high, verdict)
            found.append(start)
        return found

    def _judged(
        self, quantity: Quantity, columns: Sequence[Tensor], computed: Tensor
    ) -> tuple[Tensor, ulp.Verdict]:
        named = {
            name: column.double().numpy()
            for name, column in zip(self.task.formula.inputs, columns, strict=True)
        }
        for name in self._unread[quantity] if self._several else ():
            # NaN where it is not read: ∂(a·σ(b))/∂a is σ(b), whatever a is.
            named[name] = np.where(np.isnan(named[name]), 0.0, named[name])
        exact = self._oracle(quantity).exact(quantity.order, named)
        high, low, sign_known, decided, rest = map(torch.from_numpy, exact)
        if quantity in self._constant:  # what reads no input has its value at NaN as well
            at_nan = high.isnan() & ~computed.isnan()
            value, left = self._constant[quantity]
            high, low = torch.where(at_nan, value, high), torch.where(at_nan, left, low)
        verdict = ulp.judge(computed, high, low, zero_sign=sign_known, decided=decided, rest=rest)
        return high, verdict

    def _rough(self) -> list[Callable[..., float]]:
        def of(quantity: Quantity) -> Callable[..., float]:
            oracle = self._oracle(quantity)

            def at(*point: float) -> float:
                ball = oracle.ball(quantity.order, *point, bits=30)
                return float(ball.mid())

            return at

        return [of(quantity) for quantity in self.task.quantities]


def _expression(formula: Formula, quantity: Quantity) -> Expr:
    """The quantity, parameters as numbers."""
    expression = formula.applied(*(Symbol(name) for name in formula.inputs))
    if quantity.wrt is None:
        return expression
    return derivative(expression, Symbol(quantity.wrt), quantity.order)


def _unread(formula: Formula, quantity: Quantity) -> list[str]:
    """The inputs on which the quantity does not depend."""
    read = {symbol.name for symbol in free_symbols(_expression(formula, quantity))}
    return [name for name in formula.inputs if name not in read]
