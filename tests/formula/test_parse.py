"""A text is read as Python reads it, never evaluated, and what cannot be read says where and why.

The oracle of the reading is Python itself: the same text, evaluated with numbers in place of the
variables, has the value of the formula.
"""

from __future__ import annotations

import pickle
import sys
import time
import unicodedata
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.errors import FormulaError
from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import Expr, Number, Symbol
from gradsmith.formula.formula import LIBRARY, Formula
from gradsmith.formula.parse import MAX_LENGTH, parse
from tests.formula.expressions import PRIME, called, hashed, power, quotient, residue, value

X = Symbol("x")


class Residue:
    """A number modulo the prime, with Python's operators."""

    def __init__(self, number: int) -> None:
        self.number = number % PRIME

    @staticmethod
    def of(other: Any) -> int:
        if isinstance(other, Residue):
            return other.number
        return residue(Fraction(str(other)))

    def __add__(self, other: Any) -> Residue:
        return Residue(self.number + self.of(other))

    def __radd__(self, other: Any) -> Residue:
        return Residue(self.of(other) + self.number)

    def __sub__(self, other: Any) -> Residue:
        return Residue(self.number - self.of(other))

    def __rsub__(self, other: Any) -> Residue:
        return Residue(self.of(other) - self.number)

    def __mul__(self, other: Any) -> Residue:
        return Residue(self.number * self.of(other))

    def __rmul__(self, other: Any) -> Residue:
        return Residue(self.of(other) * self.number)

    def __truediv__(self, other: Any) -> Residue:
        return Residue(quotient(self.number, self.of(other)))

    def __rtruediv__(self, other: Any) -> Residue:
        return Residue(quotient(self.of(other), self.number))

    def __pow__(self, other: Any) -> Residue:
        return Residue(power(self.number, self.of(other)))

    def __rpow__(self, other: Any) -> Residue:
        return Residue(power(self.of(other), self.number))

    def __neg__(self) -> Residue:
        return Residue(-self.number)

    def __pos__(self) -> Residue:
        return self


def function(name: str) -> Any:
    return lambda *args: Residue(called(name, [Residue.of(arg) for arg in args]))


# Every operand has a variable in it: Python would evaluate what has none in floating point.
OPERANDS = st.sampled_from(["x", "y", "(2*x)", "(0.25 + y)", "tanh(x)", "max(x, 3)", "-y", "+x"])
SPACES = st.sampled_from(["", " ", "\n", "\t "])


@st.composite
def texts(draw: st.DrawFn, depth: int = 3) -> str:
    text = draw(OPERANDS)
    for _ in range(draw(st.integers(0, 3))):
        operator = draw(st.sampled_from(["+", "-", "*", "/", "**", "+-", "*-"]))
        space = draw(SPACES)
        operand = draw(texts(depth - 1)) if depth else draw(OPERANDS)
        text += f"{space}{operator}{space}{operand}"
    kind = draw(st.integers(0, 3))
    return {0: f"({text})", 1: f"-{text}", 2: f"exp({text})"}.get(kind, text)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(texts())
def test_operators_bind_as_in_python(text: str) -> None:
    names: dict[str, Any] = {name: function(name) for name in ("tanh", "max", "exp")}
    names |= {name: Residue(hashed("variable", name)) for name in ("x", "y")}
    expected = eval(f"({text})", {"__builtins__": {}}, names)  # our own text, to have an oracle
    assert value(parse(text, inputs=("x", "y")).expression) == expected.number


READ: dict[str, Expr] = {
    "x": X,
    "2": Number(2),
    "0.1": Number(Fraction(1, 10)),
    "1e-30": Number(Fraction(1, 10**30)),
    "1_000.5": Number(Fraction(2001, 2)),
    "0x10": Number(16),
    "0e99999999": Number(0),
    "-2": v.NEG(Number(2)),
    "+x": X,
    "x + 1 + 1": (X + 1) + 1,
    "x**2**3": X ** (Number(2) ** 3),
    "pi*x": v.pi() * X,
    "π*x": v.pi() * X,
    "e**x": v.e() ** X,
    "σ(x)": v.sigmoid(X),
    "expit(x)": v.sigmoid(X),
    "ln(x)": v.log(X),
    "Phi(x)": v.ndtr(X),
    "normcdf(x)": v.ndtr(X),
    "clamp(x, -1, 1)": v.clip(X, v.NEG(Number(1)), 1),
    "maximum(x, 0)": v.maximum(X, 0),
    "max(x, 0, 1)": v.maximum(v.maximum(X, 0), 1),
    "min(x, 0, 1)": v.minimum(v.minimum(X, 0), 1),
    "where(x > 0, x, 0)": v.where(X > 0, X, 0),
    "x if x > 0 else 0": v.where(X > 0, X, 0),
    "x if x > 1 else 2 if x > 0 else 3": v.where(X > 1, X, v.where(X > 0, 2, 3)),
    "where(0 < x <= 1, x, 0)": v.where(v.AND(v.LT(0, X), X <= 1), X, 0),
    "where(x == 0, 1, x)": v.where(v.EQ(X, 0), 1, X),
    "where(x != 0, 1, x)": v.where(v.NE(X, 0), 1, X),
    "where(x > 0 and x < 1 or not x > 2, x, 0)": v.where(
        v.OR(v.AND(X > 0, X < 1), v.NOT(X > 2)), X, 0
    ),
    "1if x > 0 else 2": v.where(X > 0, 1, 2),
    " x\n +\t1 ": X + 1,
    "x # the input": X,
}


@pytest.mark.parametrize(("text", "expression"), READ.items())
def test_every_form_is_read(text: str, expression: Expr) -> None:
    assert parse(text).expression is expression


def test_every_function_of_the_vocabulary_is_read_by_every_name() -> None:
    for name, known in v.USABLE.items():
        if known in v.CONSTANTS:
            assert parse(f"{name} + x").expression is known() + X
        elif known is not v.where:
            arguments = ", ".join("x" * known.arity)
            assert parse(f"{name}({arguments})").expression is known(*[X] * known.arity)


def test_internal_functions_are_not_offered() -> None:
    with pytest.raises(FormulaError, match="unknown function 'sech2'"):
        parse("sech2(x)")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> None:
    def ramp() -> Formula:
        return parse("where(x > 0, x, slope*x + shift)", {"slope": 0.5, "shift": 0.0}, name="ramp")

    monkeypatch.setitem(LIBRARY, "ramp", ramp)
    monkeypatch.setitem(LIBRARY, "gate", lambda: parse("a*sigmoid(b)", inputs=("a", "b")))


@pytest.mark.usefixtures("library")
def test_named_formulas_are_functions() -> None:
    def ramp(x: Expr, slope: Expr, shift: Expr) -> Expr:
        return v.where(x > 0, x, slope * x + shift)

    half, zero = Number(Fraction(1, 2)), Number(0)
    assert parse("ramp(x)").expression is ramp(X, half, zero)
    assert parse("ramp(2*x, 3)").expression is ramp(2 * X, Number(3), zero)
    assert parse("ramp(x, shift=x)").expression is ramp(X, half, X)
    assert parse("ramp(x=ramp(x))").expression is ramp(ramp(X, half, zero), half, zero)
    assert parse("gate(x, 2*x)").expression is X * v.sigmoid(2 * X)
    for wrong in ("ramp()", "ramp(x, 1, 2, 3)", "ramp(x, x=1)", "ramp(x, size=1)", "ramp(**x)"):
        with pytest.raises(FormulaError, match=r"ramp takes \(x, slope, shift\)"):
            parse(wrong)


def test_inputs_and_parameters_are_found() -> None:
    assert parse("x*beta", {"beta": 2}).arguments == ("x", "beta")
    assert parse("t**2").inputs == ("t",)
    assert parse("t*beta", {"beta": 1.0}).inputs == ("t",)
    assert parse("a*b", inputs=("b", "a")).inputs == ("b", "a")
    assert parse("x", inputs="x").inputs == ("x",)
    assert parse("1").inputs == ("x",)
    assert parse("y", inputs=("x", "y")).inputs == ("x", "y")
    formula = parse("  x*slope ", {"slope": 1}, name="line")
    assert dict(formula.parameters) == {"slope": 1.0}
    assert (formula.source, formula.name) == ("x*slope", "line")
    assert pickle.loads(pickle.dumps(formula)) == formula


# Text: position of the column in it, what the message says.
WRONG: dict[str, tuple[int, str]] = {
    "y*x": (0, r"unknown name 'y'.*y=1\.0.*inputs=\('x', 'y'\)"),
    "x*bet": (2, "'bet'.*parameter"),
    "x + sigmod(x)": (4, "unknown function 'sigmod'; did you mean 'sigmoid'"),
    "tahn(x)": (0, "did you mean .*'tanh'"),
    "x(x + 1)": (0, r"a product is written x\*"),
    "2(x + 1)": (0, r"write 2\*\(x \+ 1\)"),
    "(x + 1)(x - 1)": (0, "a product needs its sign"),
    "1 + 2x": (4, r"write 2\*x, not 2x"),
    "x^2": (0, r"a power is written \*\*"),
    "x | x": (0, r"abs\(x\)"),
    "|x|": (0, r"abs\(x\)"),
    "x // 2": (0, "division is /"),
    "x % 2": (0, "% is not supported"),
    "x @ x": (0, r"a product is written \*"),
    "~x": (0, "`not`"),
    "x & x": (0, "`and`"),
    "x << 1": (0, "unsupported operator"),
    "torch.exp(x)": (0, r"exp, not torch\.exp"),
    "1 + torch.nn.functional.silu": (4, r"silu, not torch\.nn\.functional\.silu"),
    "1 + x.real": (4, "without a module"),
    "lambda x: x": (0, "without lambda"),
    "x[0]": (0, "indexing"),
    "x, x": (0, "comma"),
    "[x]": (0, r"brackets \[\]"),
    "{x}": (0, "braces"),
    "x + f'{x}'": (4, "quotes"),
    "'x'": (0, "not a number"),
    "True*x": (0, "True is not a number"),
    "1j*x": (0, "not a number"),
    "(y := x)": (1, "assignments"),
    "y = x*2": (2, "right of the equals sign"),
    "[x for x in x]": (0, "a formula is made of"),
    "x is 1": (0, "compare numbers"),
    "x > 0": (0, r"where\(condition, 1, 0\)"),
    "1 + (x > 0)": (5, r"where\(condition, 1, 0\)"),
    "where(x, 1, 2)": (6, "a condition is needed"),
    "where(x > 0, 1)": (0, r"where takes \(condition, a, b\)"),
    "where(x > 0, x > 1, 2)": (13, "a condition is not a number"),
    "1 if x else 2": (5, "a condition is needed"),
    "x and x": (0, "a condition is needed"),
    "not x": (4, "a condition is needed"),
    "tanh": (0, r"write tanh\(x\)"),
    "1 + tanh()": (4, r"tanh takes"),
    "expm1(x, x)": (0, r"expm1 takes 1 argument\(s\), got 2"),
    "exp(x=x)": (0, "exp takes"),
    "exp(*x)": (0, r"\* before an argument"),
    "max(x)": (0, r"max takes 2 argument\(s\), got 1"),
    "sin x": (4, r"write sin\(x…\)"),
    "3 x": (2, r"write 3\*x"),
    "exp(x": (3, "never closed"),
    "x)": (1, "unmatched"),
    "x +": (3, "cannot be read"),
    "x − 1": (2, "write -, not −"),
    "2·x": (1, r"write \*, not ·"),
    "x·x + 1": (1, r"write \*, not ·"),
    "tanh(β·x)": (6, r"write \*, not ·"),
    "x + y·": (5, r"write \*, not ·"),
    "x\u0387x": (1, r"write \*, not \u0387"),
    "x⋅x": (1, r"write \*, not ⋅"),
    "x×x": (1, r"write \*, not ×"),
    "2 ∙ x": (2, r"write \*, not ∙"),
    "x²": (1, r"write \*\*2, not ²"),
    "1 + xⁿ": (5, r"write \*\*n for a power and _n in a name, not ⁿ"),
    "xᵢ + 1": (1, "write _i, not ᵢ"),
    "x + aﬁ": (5, "write fi, not ﬁ"),
    "x𝟏": (1, "write 1, not 𝟏"),
    "1e400*x": (0, "range of float64"),
    "x + 1E-400": (4, "range of float64"),
    "ε + é + zz": (0, "unknown name"),
    "é*x + xx": (0, "unknown name 'é'"),
    "x + é + zz(x)": (8, "unknown function 'zz'"),
    "  x + yy": (6, "unknown name 'yy'"),
    "x +\n  yy": (6, "unknown name 'yy'"),
}


@pytest.mark.parametrize(("text", "expected"), WRONG.items())
def test_an_error_points_at_its_column_and_says_what_to_write(
    text: str, expected: tuple[int, str]
) -> None:
    column, message = expected
    with pytest.raises(FormulaError, match=message) as caught:
        parse(text)
    assert caught.value.column == column
    assert caught.value.text == text
    pointer = str(caught.value).splitlines()[-1]
    assert pointer == " " * (column + 2) + "^"


def test_the_suggestion_knows_the_parameters() -> None:
    with pytest.raises(FormulaError, match="unknown name 'betta'; did you mean 'beta'"):
        parse("x*betta*beta", {"beta": 1.0})


@pytest.mark.parametrize("text", ["", "   ", "\n", "\t"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(FormulaError, match="empty"):
        parse(text)


def test_only_a_text_is_read() -> None:
    for wrong in (3, None, b"x", ["x"]):
        with pytest.raises(TypeError, match="a formula is a text, got"):
            parse(wrong)  # type: ignore[arg-type]


def test_names_and_defaults_are_checked() -> None:
    for name in ("2x", "a b", "lambda", ""):
        with pytest.raises(FormulaError, match="cannot be the name"):
            parse("x", {name: 1.0})
    with pytest.raises(FormulaError, match="'tanh' is a function"):
        parse("x", inputs=("tanh",))
    with pytest.raises(FormulaError, match="parameter 'beta' does not occur"):
        parse("x", {"beta": 1.0})
    with pytest.raises(FormulaError, match="parameter 'beta' does not occur"):
        parse("1", {"beta": 1.0})
    with pytest.raises(FormulaError, match="a name of its own"):
        parse("x", {"x": 1.0}, inputs=("x",))
    with pytest.raises(FormulaError, match="at least one input"):
        parse("beta", {"beta": 1.0}, inputs=())
    for default in ("1", None, True, 1j):
        with pytest.raises(TypeError, match="the default of parameter 'beta' must be a number"):
            parse("x*beta", {"beta": default})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="must be finite"):
        parse("x*beta", {"beta": float("inf")})
    for default in (10**400, -(10**400)):
        with pytest.raises(ValueError, match="parameter 'beta' is too large for float64"):
            parse("x*beta", {"beta": default})


HOSTILE = {
    "a tower of powers": "9**9**9",
    "a negative tower": "9**-9**9**9",
    "a small base": "(1/3)**10**9 * x",
    "a large inverse": "0.5**-2000",
    "a nearly vanishing base": "(1 - 0.9999)**-5000",
    "an exponential": "exp(exp(10))*x",
    "a root of a power": "10**400.5",
    "a shifted tower": "1 + x*9**9**9",
    "brackets": "(" * 100_000,
    "balanced brackets": "(" * 4000 + "x" + ")" * 4000,
    "10 MB": "x+" * 5_000_000 + "x",
    "signs": "-" * (MAX_LENGTH - 1) + "x",
    "nots": "not " * 2000 + "x > 0",
    "a sum": "x" + "+x" * 4000,
    "powers": "x**" * 3000 + "x",
    "conditions": "1 if x > 0 else " * 600 + "x",
    "calls": "exp(" * 2400 + "x" + ")" * 2400,
    "attributes": "x" + ".a" * 4000,
    "comparisons": "where(" + "<".join("x" * 4000) + ", 1, 2)",
    "arguments": "max(" + ",".join("x" * 4000) + ")",
    "conjunctions": "where(" + " and ".join(["x > 0"] * 900) + ", 1, 2)",
    "digits": "9" * 9999,
    "hexadecimal digits": "0x" + "f" * 9990,
    "decimals": "1." + "9" * 9990 + "**" + "9" * 5,
    "an exponent": "1e999999999999*x",
    "a negative exponent": "1e-999999999999*x",
    "underscores": "1" + "_0" * 4000,
    "a null byte": "x\x00",
    "half a character": "x\ud800",
    "a long name": "a" * 9000 + "(x)",
    "code": "__import__('os').system('true')",
    "a format": "f'{().__class__}'",
    "a comprehension": "[x for x in (1,)*10**9]",
    "a string": "'x'*10**10",
    "a lambda": "(lambda f: f(f))(lambda f: f(f))",
    "nested names": "ramp(" * 60 + "x" + ")" * 60,
}


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_input_is_refused_at_once(text: str) -> None:
    start = time.process_time()
    with pytest.raises(FormulaError):
        parse(text)
    # Milliseconds, with room for a machine that is busy; what is not bounded takes for ever.
    assert time.process_time() - start < 5


def test_a_long_way_of_names_is_refused_however_deep_python_goes() -> None:
    """Where it may call more functions within functions, its own reader takes the text."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(2 * before)
    try:
        with pytest.raises(FormulaError, match=r"without a module: a, not …(\.a)+ ") as caught:
            parse("x" + ".a" * (before + before // 2))
    finally:
        sys.setrecursionlimit(before)
    assert len(str(caught.value).splitlines()[0]) < 200


@pytest.mark.usefixtures("library")
def test_zeros_with_an_exponent_cost_nothing() -> None:
    start = time.process_time()
    assert parse("0e999999999999*x + 0.0E-999999999999").expression is 0 * X + 0
    assert time.process_time() - start < 5


@pytest.mark.usefixtures("library")
def test_what_is_not_hostile_is_read() -> None:
    for text in ("2**0.5*x", "exp(-2000) + x", "x**9**3", "+".join("x" * 140)):
        parse(text)
    for text in ("x/0", "1/0", "0**-1*x", "x/(1 - 1)"):
        with pytest.raises(FormulaError, match="divides by zero"):
            parse(text)


@pytest.mark.parametrize(
    "constant",
    [
        *("log(-1)", "log(0)", "log2(1 - 2)", "log10(-1/2)", "log1p(-1)", "sqrt(-2)", "rsqrt(0)"),
        *("(-2)**0.5", "(-pi)**(1/3)", "log(-pi)", "sqrt(-exp(2))", "log1p(-pi)"),
    ],
)
def test_a_constant_without_a_real_value_is_refused(constant: str) -> None:
    for text in (f"{constant}*x", f"tanh(1 + {constant}) + x", f"where(x > 0, {constant}, x)"):
        with pytest.raises(FormulaError, match="a constant of the formula is no real number"):
            parse(text)


@pytest.mark.parametrize(
    "constant",
    [
        *("sqrt(0)", "log1p(-0.5)", "(-8)**3", "(-8)**-3", "pi**0.5", "log(-(-1))", "log1p(-pi/4)"),
        # Real numbers, of which floats do not know that they are no less than the least.
        *("sqrt(sqrt(2)**2 - 2)", "sqrt(e - exp(1))", "log1p(-exp(-1e-30))", "log(exp(-2000))"),
        "sqrt(3*(sqrt(3)**2 - 3))",
    ],
)
def test_a_constant_with_a_real_value_is_read(constant: str) -> None:
    parse(f"{constant} + x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("+".join(["x"] * 4000), "4,000 terms in a row; at most 150"),
        ("-".join(["x"] * 200), "200 terms in a row"),
        ("tanh(" + " + ".join(["2*x"] * 160) + ")", "160 terms in a row"),
        ("*".join(["x"] * 300), "300 factors in a row"),
        ("max(" + ",".join("x" * 4000) + ")", "4,000 arguments in a row"),
        ("where(" + " and ".join(["x > 0"] * 900) + ", 1, 2)", "900 conditions in a row"),
        ("where(" + "<".join("x" * 4000) + ", 1, 2)", "4,000 comparisons in a row"),
        ("(" * 4000 + "x" + ")" * 4000, "nested too deeply"),
        ("exp(" * 160 + "x + 1" + ")" * 160, "nested too deeply"),
        ("-" * 500 + "x", "nested too deeply"),
        ("1 if x > 0 else " * 600 + "x", "nested too deeply"),
    ],
)
def test_too_long_and_too_deep_are_told_apart(text: str, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        parse(text)


def test_what_is_too_long_can_be_grouped() -> None:
    group = f"({'+'.join('x' * 100)})"
    parse("+".join([group] * 40))


@pytest.mark.parametrize("written", ["µ", "ϵ", "ϑ", "ϕ", "ϰ", "Å", "𝛽", "ｂ", "e\u0301"])
def test_a_name_is_the_same_in_the_text_and_beside_it(written: str) -> None:
    read = unicodedata.normalize("NFKC", written)
    for spelled in (written, read):
        for text in (f"x*{written}", f"x*{read}"):
            formula = parse(text, {spelled: 2.0})
            assert formula.expression is X * Symbol(read)
            assert dict(formula.parameters) == {read: 2.0}
            assert parse(text, inputs=("x", spelled)).inputs == ("x", read)
            assert formula.applied(X, Number(3)) is X * 3


def test_names_that_are_one_name_are_refused() -> None:
    with pytest.raises(FormulaError, match="'ϵ' and 'ε' are one name, 'ε'"):
        parse("x*ε", {"ϵ": 1.0, "ε": 2.0})
    with pytest.raises(FormulaError, match="a name of its own"):
        parse("ε*x", {"ϵ": 1.0}, inputs=("x", "ε"))
    for name, instead in (("x·y", r"\*"), ("xⁿ", r"\*\*n"), ("aﬁ", "fi")):
        with pytest.raises(FormulaError, match=f"cannot be the name .* write {instead}"):
            parse("x*y", {name: 1.0})
        with pytest.raises(FormulaError, match=f"cannot be the name .* write {instead}"):
            parse("x*y", inputs=("x", name))


def test_a_comment_may_say_anything() -> None:
    assert parse("x + 1 # x·xⁿ").expression is X + 1


@pytest.mark.parametrize("inputs", [1.0, {"x"}, ("x", 2), iter("x")])
def test_inputs_are_names(inputs: Any) -> None:
    with pytest.raises(TypeError, match=r"inputs= takes the name .* such as \('a', 'b'\), got"):
        parse("x*inputs", inputs=inputs)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        formula = parse(text)
    except FormulaError:
        return
    assert isinstance(formula, Formula)


FRAGMENTS = st.sampled_from(
    [
        "x",
        "y",
        "2",
        "0.5",
        "1e9",
        "+",
        "-",
        "*",
        "/",
        "**",
        "(",
        ")",
        ",",
        "<",
        "==",
        "and",
        "or",
        "not",
        "if",
        "else",
        "where",
        "exp",
        "max",
        "mish",
        ".",
        "[",
        "]",
        ":",
        "=",
        "'",
        "_",
        "π",
    ]
)


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.lists(FRAGMENTS, max_size=12).map(" ".join))
def test_any_fragments_are_read_or_refused(text: str) -> None:
    try:
        formula = parse(text)
    except FormulaError as caught:
        column = caught.column
    else:
        column = None
        assert str(parse(str(formula), inputs=formula.inputs)) == str(formula)
    assert column is None or 0 <= column <= len(text)
