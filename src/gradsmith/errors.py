"""Every error and warning that gradsmith raises on purpose; the messages say what to do."""

from __future__ import annotations


class GradsmithError(Exception):
    """Base of all errors of this package that are not a plain ``TypeError`` or ``ValueError``."""


class FormulaError(GradsmithError, ValueError):
    """A formula that cannot be read.

    Args:
        message: what is wrong and what is accepted instead.
        text: the formula as it was given, when it was given as text.
        column: zero-based position in ``text`` that the message speaks of.
    """

    def __init__(self, message: str, text: str | None = None, column: int | None = None) -> None:
        self.message = message
        self.text = text
        self.column = column
        super().__init__(self._pointed())

    def _pointed(self) -> str:
        if self.text is None or self.column is None:
            return self.message
        # A long formula is shown around the column only, so that the pointer stays readable.
        start = max(0, self.column - 40)
        end = min(len(self.text), self.column + 40)
        excerpt = self.text[start:end].replace("\n", " ")
        head = "…" if start else ""
        tail = "…" if end < len(self.text) else ""
        pointer = " " * (len(head) + self.column - start) + "^"
        return f"{self.message} (column {self.column + 1})\n  {head}{excerpt}{tail}\n  {pointer}"

    def __reduce__(self) -> tuple[type[FormulaError], tuple[str, str | None, int | None]]:
        return type(self), (self.message, self.text, self.column)


class DerivativeError(GradsmithError):
    """A derivative that does not exist or that is not supported for this formula."""


class AccuracyWarning(UserWarning):
    """A formula was accepted, but somewhere its result misses the numerical contract."""
