"""What a page is made of: highlighted source, charts, numbers, stated formulas, names."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradsmith.activation import activation
from gradsmith.catalogue.known import counterpart, entry_of, nameless, title
from gradsmith.formula.expression import Symbol, as_expr
from gradsmith.formula.parse import parse
from gradsmith.show.charts import Series, log_chart
from gradsmith.show.highlight import highlighted
from gradsmith.show.numerals import number
from gradsmith.show.stated import stated
from gradsmith.show.typeset import readable
from gradsmith.show.verbs import properties


@given(st.text(alphabet="ab1 .\"'#\\\n\t(){}[]<>&=:+-*/é", max_size=60))
@settings(derandomize=True)
def test_highlighting_changes_no_character(text: str) -> None:
    try:
        compile(text, "<test>", "exec")
        marked = highlighted(text)
    except Exception:
        return
    assert unescape(re.sub(r"</?span[^>]*>", "", marked)) == text


def test_highlighting_marks_what_it_says() -> None:
    marked = highlighted('class A:  # note\n    def f(x):\n        return x < 1.5 or "s"\n')
    for mark, text in [
        ("keyword", "class"),
        ("name", "A"),
        ("comment", "# note"),
        ("name", "f"),
        ("keyword", "return"),
        ("number", "1.5"),
        ("string", "&quot;s&quot;"),
    ]:
        assert f'<span class="{mark}">{text}</span>' in marked
    assert " &lt; " in marked


@pytest.mark.parametrize(
    "values", [(), (0.0,), (float("nan"), float("inf")), (1.0,), (1e-300, 1.0, float("inf"), 1e300)]
)
def test_a_chart_takes_any_values(values: tuple[float, ...]) -> None:
    drawn = log_chart(
        "c", "t < u", [Series("a & b", values), Series("b", (0.5, 2.0))], "x", "y", True
    )
    root = ElementTree.fromstring(drawn)
    assert not re.search(r"nan|inf", drawn)
    assert "a & b" in "".join(root.itertext()) or not any(0 < v < 1e301 for v in values)
    assert log_chart("c", "t", [Series("a", (0.0,))], "x", "y") == ""


def test_a_chart_puts_values_where_they_belong() -> None:
    drawn = log_chart("c", "t", [Series("a", (1.0, 10.0, 100.0))], "x", "y")
    (path,) = re.findall(r'class="line s0" d="(M[^"]*L[^"]*)"', drawn)
    points = [tuple(map(float, p.split())) for p in re.split("[ML]", path)[1:]]
    (x0, y0), (x1, y1), (x2, y2) = points
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.2)
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2)
    assert y0 > y2  # larger values are higher


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.25, "−0.25"),
        (1234.5, "1234"),
        (9999.0, "9999"),
        (12345.0, "1.234·10⁴"),
        (1e-300, "10⁻³⁰⁰"),
        (-1e160, "−10¹⁶⁰"),
        (2.5e-7, "2.5·10⁻⁷"),
        (float("inf"), "∞"),
        (float("nan"), "—"),
    ],
)
def test_numbers_are_written_by_hand(value: float, text: str) -> None:
    assert number(value) == text


def test_a_long_expression_is_stated_in_parts_that_say_the_same() -> None:
    x = Symbol("x")
    shared = parse("exp(-abs(x))").expression
    whole = (1 + shared) / (shared * x + shared)
    *lines, last = stated(whole)
    written = last
    for line in reversed(lines):
        name, _, part = line.partition(" = ")
        written = re.sub(rf"\b{name}\b", f"({part})", written)
    assert parse(written).expression is whole
    assert stated(parse("max(x, -2**1000)").expression) == ["max(x, -2**1000)"]
    assert stated(parse("u + u**2", inputs=("u",)).expression) == ["u + u**2"]


def test_numbers_of_many_digits_are_stated_short() -> None:
    (text,) = stated(Symbol("x") * 2**1000 + as_expr(1.0) / 3**70)
    assert "2**1000" in text
    assert len(text) < 60


def test_rules_are_written_by_hand() -> None:
    assert readable("tanh(u)′ = (1 - tanh(u)**2)·u′") == "tanh(u)′ = (1 − tanh(u)²)·u′"
    assert readable("at x_1, 2*x_12") == "at x₁, 2·x₁₂"


def test_the_same_formula_is_known_by_any_name() -> None:
    entry = entry_of(parse("z * tanh(log(1 + exp(z)))", inputs=("z",)))
    assert entry is not None
    assert entry.name == "mish"
    assert entry_of(parse("x * tanh(log(2 + exp(x)))")) is None
    assert nameless(parse("a*x", {"a": 2.0})) is nameless(parse("2*y", inputs=("y",)))
    assert title(activation("relu")) == "relu"
    assert title(activation("x**2 + 1")) == "x**2 + 1"
    assert counterpart(activation("swish")) is torch.nn.functional.silu
    assert counterpart(activation("prelu")) is None  # PyTorch's has no default
    assert counterpart(activation("glu")) is None


def test_properties_are_of_one_input() -> None:
    assert properties("glu", "b").bounded
    assert not properties("glu").bounded
    with pytest.raises(ValueError, match=r"no input 'k'; it has x"):
        properties(activation("k*x", k=2.0), "k")
