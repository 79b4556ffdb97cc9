"""The MathML is well formed, stays within MathML Core and reads as its expression."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from gradsmith.formula import vocabulary as v
from gradsmith.formula.expression import FUNCTIONS, Expr, Function, Symbol
from gradsmith.formula.layout import register_layout, total_derivative
from gradsmith.formula.mathml import math_element, to_mathml
from gradsmith.formula.parse import parse
from tests.formula.expressions import expressions, value
from tests.formula.latex_reader import NAMES, Reader

# https://www.w3.org/TR/mathml-core/, of the elements only those that a formula needs; columnalign
# is for browsers older than MathML Core, the others ignore it.
CORE = {
    "math": {"display"},
    "mrow": set(),
    "mi": {"mathvariant"},
    "mn": set(),
    "mo": {"form", "fence", "stretchy", "lspace", "rspace"},
    "mtext": set(),
    "mspace": {"width"},
    "mfrac": set(),
    "msup": set(),
    "msub": set(),
    "msubsup": set(),
    "msqrt": set(),
    "mtable": set(),
    "mtr": set(),
    "mtd": {"columnalign", "style"},
}
CHILDREN = {"mfrac": 2, "msup": 2, "msub": 2, "msubsup": 3}
NAMESPACE = "{http://www.w3.org/1998/Math/MathML}"

# What a sign of MathML is called in LaTeX.
SIGNS = {
    "\u2062": "",
    "\u2061": "",
    "−": "-",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "·": r"\cdot ",
    "¬": r"\lnot ",
    "′": "'",
    "{": "",
}
LETTERS = {
    "β": r"\beta ",
    "λ": r"\lambda ",
    "θ": r"\theta ",
    "σ": r"\sigma ",
    "π": r"\pi ",
    "Φ": r"\Phi ",
}
VARIABLES = {"slope", "negative_slope", "max"}
KNOWN = {"sin", "cos", "tan", "arctan", "sinh", "cosh", "tanh", "exp", "log", "max", "min"}


def latex(element: ElementTree.Element, *, lowered: bool = False) -> str:
    """The element as LaTeX, for the reader of it."""
    name = element.tag.removeprefix(NAMESPACE)
    text = element.text or ""
    inside = [
        latex(child, lowered=name in ("msub", "msubsup") and i == 1)
        for i, child in enumerate(element)
    ]
    match name:
        case "mn" | "mtext":
            return text
        case "mi":
            return identifier(text, lowered)
        case "mo":
            return SIGNS.get(text, text)
        case "mspace":
            return r"\," if element.get("width") == "0.1667em" else ""
        case "mfrac":
            return f"\\frac{{{inside[0]}}}{{{inside[1]}}}"
        case "msup":
            return f"{inside[0]}^{{{inside[1]}}}"
        case "msub":
            return f"{inside[0]}_{{{inside[1]}}}"
        case "msubsup":
            return f"{inside[0]}_{{{inside[1]}}}^{{{inside[2]}}}"
        case "msqrt":
            return f"\\sqrt{{{''.join(inside)}}}"
        case "mtable":
            rows = r" \\ ".join(inside)
            return rf"\begin{{cases}} {rows} \end{{cases}}"
        case "mtr":
            return " & ".join(inside)
        case _:
            return fenced(inside)


def identifier(text: str, lowered: bool) -> str:
    if text in LETTERS or (len(text) == 1 and text != "H"):
        return LETTERS.get(text, text)
    if text in VARIABLES and (lowered or text != "max"):
        return f"\\mathrm{{{text.replace('_', chr(92) + '_')}}}"
    return f"\\{text}" if text in KNOWN else f"\\operatorname{{{text}}}"


def fenced(inside: list[str]) -> str:
    words = {"if": r"\text{if }", "and": r"\text{ and }", "or": r"\text{ or }"}
    inside = [words.get(part, part) for part in inside]
    if inside[:1] == ["|"]:
        inside = [r"\left|", *inside[1:-1], r"\right|"]
    return "".join(inside)


def read(expression: Expr) -> ElementTree.Element:
    return ElementTree.fromstring(math_element(expression))


@settings(derandomize=True, max_examples=120, deadline=None)
@given(expressions())
def test_is_mathml_core(expression: Expr) -> None:
    for element in read(expression).iter():
        name = element.tag.removeprefix(NAMESPACE)
        assert name in CORE
        assert set(element.attrib) <= CORE[name]
        assert len(element) == CHILDREN.get(name, len(element))


@settings(derandomize=True, max_examples=120, deadline=None)
@given(expressions())
def test_reads_back_as_the_same_expression(expression: Expr) -> None:
    written = latex(read(expression)).replace("otherwise", r"\text{otherwise}")
    assert Reader(written).whole() == value(expression), written


@pytest.mark.parametrize(
    ("text", "mathml"),
    [
        ("x + 1", "<mrow><mi>x</mi><mo>+</mo><mn>1</mn></mrow>"),
        ("-x", '<mrow><mo form="prefix">−</mo><mi>x</mi></mrow>'),
        ("x/2", "<mfrac><mi>x</mi><mn>2</mn></mfrac>"),
        ("exp(x)", "<msup><mi>e</mi><mi>x</mi></msup>"),
        ("sqrt(x)", "<msqrt><mi>x</mi></msqrt>"),
        (
            "x*tanh(x)",
            '<mrow><mi>x</mi><mspace width="0.1667em"></mspace><mrow><mi>tanh</mi>'
            "<mo>\u2061</mo><mrow>"
            '<mo form="prefix" fence="true" stretchy="false">(</mo><mi>x</mi>'
            '<mo form="postfix" fence="true" stretchy="false">)</mo></mrow></mrow></mrow>',
        ),
    ],
)
def test_is_what_the_specification_says(text: str, mathml: str) -> None:
    assert to_mathml(parse(text).expression) == mathml


def test_brackets_grow_with_what_they_hold() -> None:
    high = read(parse("tanh(x/2)").expression)
    flat = read(parse("tanh(x)").expression)
    assert [mo.get("stretchy") for mo in high.iter(f"{NAMESPACE}mo")][1:] == ["true", "true"]
    assert [mo.get("stretchy") for mo in flat.iter(f"{NAMESPACE}mo")][1:] == ["false", "false"]


def test_is_block_or_within_the_text() -> None:
    x = Symbol("x")
    assert ElementTree.fromstring(math_element(x)).get("display") == "block"
    assert ElementTree.fromstring(math_element(x, block=False)).get("display") == "inline"


@pytest.mark.parametrize("name", [*NAMES, "<script>", "a&b"])
def test_every_name_is_well_formed(name: str) -> None:
    assert ElementTree.fromstring(math_element(Symbol(name) ** 2)) is not None


def test_a_registered_layout_is_used() -> None:
    d = Function(name="test_mathml_total", arity=2, internal=True)
    try:
        register_layout(d, total_derivative)
        x = Symbol("x")
        assert latex(read(d(v.sigmoid(x), x))) == r"\frac{d}{dx}[\sigma (x)]"
    finally:
        del FUNCTIONS[d.name]
