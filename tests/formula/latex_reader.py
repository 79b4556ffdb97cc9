"""Reads LaTeX back, as strictly as a mathematician who gives nothing the benefit of the doubt."""

from __future__ import annotations

import re
from fractions import Fraction

from tests.formula.expressions import PRIME, VARIABLES, called, hashed, power, quotient, residue

NAMES = {
    "x": "x",
    "y": "y",
    "σ": r"\sigma",
    "beta": r"\beta",
    "lambd": r"\lambda",
    "Omega": r"\Omega",
    "x_1": "x_{1}",
    "w2": "w_{2}",
    "theta_max": r"\theta_{\mathrm{max}}",
    "theta_alpha": r"\theta_{\alpha}",
    "slope": r"\mathrm{slope}",
    "negative_slope": r"\mathrm{negative\_slope}",
    "y′": "y'",
}


class Reader:
    """Reads LaTeX into the values that :func:`tests.formula.expressions.value` defines."""

    TOKEN = re.compile(
        r"\\left[(|\[]|\\right[)|\]]|\\begin\{cases\}|\\end\{cases\}"
        r"|\\operatorname\{[^}]*\}|\\mathrm\{[^}]*\}|\\text\{[^}]*\}|\\[A-Za-z]+|\\[\\,]"
        r"|\d+(\.\d+)?|\s+|."
    )
    SYMBOLS = {latex: name for name, latex in NAMES.items()}  # noqa: RUF012
    FUNCTIONS = {  # noqa: RUF012
        r"\sigma": "sigmoid", r"\Phi": "ndtr", r"\arctan": "atan", "ReLU": "relu", "sgn": "sign",
        "H": "heaviside", "arsinh": "asinh",
    }  # fmt: skip
    RELATIONS = {  # noqa: RUF012
        "<": "lt", r"\le": "le", ">": "gt", r"\ge": "ge", "=": "eq", r"\ne": "ne"
    }  # fmt: skip
    CALLS = re.compile(r"\\(sin|cos|tan|arctan|sinh|cosh|tanh|exp|log|max|min)\Z")

    def __init__(self, latex: str) -> None:
        # LaTeX ignores spaces: 2 3 is 23, which a token for each digit would hide.
        found = [match.group() for match in self.TOKEN.finditer(latex)]
        assert "".join(found) == latex
        self.tokens = [token for token in found if not token.isspace()]
        self.at = 0

    def whole(self) -> int:
        result = self.sum()
        assert self.at == len(self.tokens), f"left over: {self.tokens[self.at :]}"
        return result

    def peek(self, ahead: int = 0) -> str:
        return self.tokens[self.at + ahead] if self.at + ahead < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        assert token, "the end"
        assert expected in (None, token), f"{expected} expected at {self.tokens[self.at :]}"
        self.at += 1
        return token

    def accept(self, token: str) -> bool:
        if self.peek() == token:
            self.at += 1
            return True
        return False

    def condition(self) -> int:
        result = self.conjunction()
        while self.accept(r"\text{ or }"):
            result = called("logical_or", [result, self.conjunction()])
        return result

    def conjunction(self) -> int:
        result = self.relation()
        while self.accept(r"\text{ and }"):
            result = called("logical_and", [result, self.relation()])
        return result

    def relation(self) -> int:
        if self.accept(r"\lnot"):
            left = self.take()
            assert left in ("(", r"\left(")
            return called("logical_not", [self.closed(self.condition, left)])
        start = self.at
        if self.peek() in ("(", r"\left("):
            # Brackets around a condition, or the first operand of a comparison.
            left = self.take()
            try:
                return self.closed(self.condition, left)
            except (AssertionError, KeyError):
                self.at = start
        a = self.sum()
        return called(self.RELATIONS[self.take()], [a, self.sum()])

    def sum(self) -> int:
        negative = self.accept("-")
        result = self.term()
        result = -result if negative else result
        while self.peek() in ("+", "-"):
            assert self.peek(-1) != r"\end{cases}", "something follows cases"
            result += self.term() if self.take() == "+" else -self.term()
        return result % PRIME

    def term(self) -> int:
        result = self.factor()
        while True:
            if self.accept("/"):
                result = quotient(result, self.factor())
                assert not self.continues(), "a product follows a/b"
                return result
            if self.peek() in (r"\cdot", r"\,"):
                number = self.peek(-1)[0].isdigit()
                dotted = self.take() == r"\cdot"
                assert dotted or not self.peek()[0].isdigit(), "2 3 without a dot"
                assert dotted or not (number and self.at_numeric_fraction()), "a mixed number"
            elif not self.continues():
                return result
            else:
                assert not self.peek()[0].isdigit(), "a number after a factor without a dot"
                assert not (self.peek(-1)[0].isdigit() and self.at_numeric_fraction())
            result = result * self.factor() % PRIME

    def at_numeric_fraction(self) -> bool:
        """Whether a fraction of two numbers follows: 2 beside 1/2 is two and a half."""
        parts = [self.peek(ahead) for ahead in range(7)]
        return (
            parts[0] == r"\frac"
            and parts[2].isdigit()
            and parts[3:5] == ["}", "{"]
            and (parts[5].isdigit() and parts[6] == "}")
        )

    def continues(self) -> bool:
        token = self.peek()
        stops = ("+", "-", "/", ",", ")", "]", "}", "&", r"\\", r"\end{cases}", *self.RELATIONS)
        ends = not token or token in stops or token.startswith((r"\right", r"\text"))
        assert ends or self.peek(-1) != r"\end{cases}", "something follows cases"
        return not ends

    def group(self) -> int:
        self.take("{")
        result = self.sum()
        self.take("}")
        return result

    def closed(self, read: object, left: str) -> int:
        result: int = read()  # type: ignore[operator]
        right = {"(": ")", r"\left(": r"\right)", r"\left|": r"\right|"}[left]
        self.take(right)
        return result

    def factor(self) -> int:
        token = self.peek()
        if self.at_function(token):
            return self.application()
        base = self.base()
        if self.accept("^"):
            exponent = self.group()
            if base == hashed("e", []):
                return hashed("exp", [exponent])
            return power(base, exponent)
        return base

    def at_function(self, token: str) -> bool:
        if token in (r"\sigma", r"\Phi"):
            following = self.peek(1)
            if following == "^":
                end = self.at + 2
                while self.tokens[end] != "}":
                    end += 1
                following = self.tokens[end + 1] if end + 1 < len(self.tokens) else ""
            return following in ("(", r"\left(")
        return token.startswith(r"\operatorname") or bool(self.CALLS.match(token))

    def application(self) -> int:
        token = self.take()
        name = token.removeprefix(r"\operatorname{").removesuffix("}")
        name = self.FUNCTIONS.get(name, name.removeprefix("\\"))
        if self.accept("_"):
            self.take("{")
            name += self.take()
            self.take("}")
        exponent = 1
        if self.accept("^"):
            exponent = self.group()
            assert 1 < exponent < 1000, f"{name} to the -1 is the inverse function"
        left = self.take()
        assert left in ("(", r"\left("), f"{name} without brackets"
        args = [self.sum()]
        while self.accept(","):
            args.append(self.sum())
        self.take(")" if left == "(" else r"\right)")
        return power(called(name, args), exponent)

    def base(self) -> int:
        token = self.take()
        if token[0].isdigit():
            return residue(Fraction(token))
        if token == r"\frac":
            return quotient(self.group(), self.group())
        if token == r"\sqrt":
            return called("sqrt", [self.group()])
        if token in ("(", r"\left("):
            return self.closed(self.sum, token)
        if token == r"\left|":
            return called("abs", [self.closed(self.sum, token)])
        if token == r"\begin{cases}":
            return self.cases()
        return self.variable(token)

    def cases(self) -> int:
        result = self.sum()
        self.take("&")
        if self.accept(r"\text{otherwise}"):
            self.take(r"\end{cases}")
            return result
        self.take(r"\text{if }")
        condition = self.condition()
        self.take("\\\\")
        return called("where", [condition, result, self.cases()])

    def variable(self, token: str) -> int:
        if self.accept("_"):
            self.take("{")
            token += f"_{{{self.take()}}}"
            self.take("}")
        if token in ("e", r"\pi"):
            return hashed("e" if token == "e" else "pi", [])
        name = self.SYMBOLS[token]
        assert name in VARIABLES
        called = self.peek() in ("(", r"\left(")
        assert not (called and token.startswith((r"\mathrm", r"\sigma"))), f"{name}(...)"
        return hashed("variable", name)
