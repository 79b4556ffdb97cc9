"""The page: well-formed, complete, self-contained, and nothing in it but what we put there."""

from __future__ import annotations

import base64
import re
from functools import partial
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch

import gradsmith.show.report
from gradsmith.activation import activation
from gradsmith.errors import FormulaError
from gradsmith.formula.expression import Expr, Symbol, free_symbols, substitute
from gradsmith.show.report import Report, report
from gradsmith.show.study import study
from gradsmith.show.verbs import derive

VOID = {"meta", "img", "source", "br", "hr", "link", "input", "col"}
ATTACK = "<script>alert(1)</script>&amp;\"'>"


class Page(HTMLParser):
    """A page's elements, checked to be properly nested."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.texts)


def kink_in_b(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.where(b < 0, a, a * torch.exp(-b))


@pytest.fixture(scope="module")
def quick() -> Any:
    """Reports with short trainings; how they go is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        short = partial(study, steps=3, scales=(1.0, 10.0))
        patch.setattr(gradsmith.show.report, "study", short)
        yield report


@pytest.fixture(scope="module")
def mish(quick: Any, tmp_path_factory: pytest.TempPathFactory) -> Report:
    path = tmp_path_factory.mktemp("report") / "mish.html"
    made: Report = quick("x * tanh(log(1 + exp(x)))", path, against="torch.nn.functional.mish")
    return made


@pytest.fixture(scope="module")
def hostile(quick: Any) -> Report:
    def reference(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return kink_in_b(a, b)

    reference.__name__ = ATTACK
    subject = activation("where(b < 0, a, a*exp(-k*b))", inputs=("a", "b"), name=ATTACK, k=1.0)
    made: Report = quick(subject, against=reference)
    return made


@pytest.fixture(scope="module")
def sigmoid(quick: Any) -> Report:
    made: Report = quick("sigmoid", order=2)
    return made


@pytest.fixture(scope="module")
def relu(quick: Any) -> Report:
    made: Report = quick("relu")
    return made


@pytest.fixture(params=["mish", "hostile", "sigmoid", "relu"])
def made(request: pytest.FixtureRequest) -> Report:
    found: Report = request.getfixturevalue(request.param)
    return found


# Every page.


def test_it_is_well_formed(made: Report) -> None:
    assert made.html.startswith("<!DOCTYPE html>")
    page = Page(made.html)
    assert page.all("html") == [{"lang": "en"}]
    for once in ("head", "body", "main", "h1", "style"):
        assert len(page.all(once)) == 1


def test_its_formulas_and_charts_are_xml(made: Report) -> None:
    for tag, least in (("math", 6), ("svg", 2)):
        found = re.findall(rf"<{tag}\b.*?</{tag}>", made.html, re.DOTALL)
        assert len(found) >= least
        for markup in found:
            ElementTree.fromstring(markup)


def test_it_loads_nothing(made: Report) -> None:
    page = Page(made.html)
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on"), f"{name} runs code"
            if name in ("src", "srcset", "data", "poster", "action", "background"):
                assert value.startswith("data:image/svg+xml;base64,")
            if name in ("href", "xlink:href"):
                assert value.startswith("#")
    style = made.html.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_its_pictures_are_drawings_with_a_description(made: Report) -> None:
    page = Page(made.html)
    pictures = [i["src"] for i in page.all("img")] + [s["srcset"] for s in page.all("source")]
    assert len(pictures) == 2 * len(page.all("img")) >= 2
    for address in pictures:
        drawing = ElementTree.fromstring(base64.b64decode(address.partition(",")[2]))
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert len(list(drawing.iter("{http://www.w3.org/2000/svg}path"))) > 10
    assert len(set(pictures)) == len(pictures)  # dark is not light
    assert all(i["alt"].startswith("Plot of") for i in page.all("img"))


def test_it_can_be_walked_by_headings(made: Report) -> None:
    page = Page(made.html)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a]
    assert {*named, *(a["href"][1:] for a in page.all("a"))} <= set(ids)
    assert all("aria-label" in a for _, a in page.elements if a.get("role") == "region")


def test_every_section_is_there(made: Report) -> None:
    headings = re.findall(r"<h2[^>]*>(.*?)</h2>", made.html)
    assert len(headings) == 8
    text = Page(made.html).text
    for expected in (
        "as a probability",
        "With an upstream gradient",
        "Beside the formula as written",
        "per element (float32)",
        "largest error found",
        "Vanishing gradients",
        "autograd",
        f"PyTorch {torch.__version__}",
    ):
        assert expected in text, expected


def test_it_is_readable_in_both_colour_schemes_and_on_paper(made: Report) -> None:
    for media in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem"):
        assert media in made.html
    assert 'name="viewport"' in made.html


# What a page says.


def test_it_is_written_where_it_says(mish: Report) -> None:
    assert mish.path is not None
    assert mish.path.is_absolute()
    assert mish.path.read_text(encoding="utf-8") == mish.html
    assert str(mish.path) in str(mish)
    assert mish.title == "mish"


def test_it_has_the_figures_of_the_comparison(mish: Report) -> None:
    text = Page(mish.html).text
    x = torch.tensor([-2.0, -0.5, 0.0, 1.0, 3.0], requires_grad=True)
    y = torch.nn.functional.mish(x)
    y.sum().backward()
    assert x.grad is not None
    for value in (*y.tolist(), *x.grad.tolist()):
        assert f"{value:.4f}" in text
    assert mish.comparison is not None
    assert mish.comparison.agrees
    assert "agrees" in text
    assert mish.study.activations == ("mish", "relu", "sigmoid", "tanh")


def test_a_reference_that_differs_is_told(quick: Any) -> None:
    differing = quick("tanh", against="torch.sigmoid")
    assert differing.comparison is not None
    assert not differing.comparison.agrees
    assert "differs" in Page(differing.html).text


def test_it_knows_a_formula_of_the_catalogue(mish: Report) -> None:
    assert "arXiv:1908.08681" in Page(mish.html).text


def test_the_derivation_ends_in_terms_of_the_output(sigmoid: Report) -> None:
    text = Page(sigmoid.html).text
    assert "in terms of the output" in text
    found = derive("sigmoid").by_output
    assert found is not None
    y = Symbol("y")
    assert [s.name for s in free_symbols(found)] == ["y"]
    half = substitute(found, {y: _number(0.25)})
    assert float(_value(half)) == 0.1875  # y(1 − y)
    assert "Second derivative" in text


def _number(value: float) -> Expr:
    from gradsmith.formula.expression import as_expr

    return as_expr(value)


def _value(expression: Expr) -> float:
    from gradsmith.calculus.exact import Evaluator

    return float(Evaluator(expression, ("x",))(0.0).mid())


def test_kinks_are_listed_with_their_convention(relu: Report) -> None:
    (row,) = re.findall(r"<tr>(<td>x = .*?)</tr>", relu.html)
    assert re.findall("<td>(.*?)</td>", row) == ["x = 0", "0", "1", "0", "0"]


def test_several_inputs_and_a_parameter(hostile: Report) -> None:
    text = Page(hostile.html).text
    for expected in (
        "First derivative with respect to a",
        "First derivative with respect to b",
        "In b, with a = 1",
        "The gradient for a",
        "k = 1",
        "Parameters",
    ):
        assert expected in text, expected
    assert len(Page(hostile.html).all("img")) == 2


# Whatever things are called.


def test_names_stay_text(hostile: Report) -> None:
    page = Page(hostile.html)
    assert not page.all("script")
    assert ATTACK in page.text
    assert "<script" not in hostile.html
    assert hostile.title == ATTACK
    inside = Page(hostile._repr_html_())
    assert inside.all("iframe")[0]["srcdoc"] == hostile.html
    assert not inside.all("script")


def test_a_formula_with_special_characters_is_shown_as_it_is(quick: Any) -> None:
    found = quick("where(x < 1 and x > -1, x, x**3)")
    assert "where(x < 1 and x > -1, x, x**3)" in Page(found.html).text


def test_a_name_that_cannot_be_encoded_is_no_reason_to_fail(tmp_path: Path, mish: Report) -> None:
    odd = Report("odd", mish.html + "\ud800", None, None, mish.study)
    assert odd.save(tmp_path / "odd.html").read_text(encoding="utf-8").endswith("&#55296;")
    assert str(odd).endswith("not saved")


# Progress and errors.


def test_progress_only_goes_forward_and_arrives(quick: Any) -> None:
    seen: list[tuple[int, int]] = []
    quick("tanh", progress=lambda what, *counted: seen.append(counted))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert all(done <= total for done, total in seen)


@pytest.mark.parametrize("order", [0, 5, True, 1.5])
def test_an_order_that_cannot_be_shown_is_refused(order: Any) -> None:
    with pytest.raises(ValueError, match="1 to 4"):
        report("relu", order=order)


def test_bad_arguments_are_refused_before_the_work() -> None:
    with pytest.raises(FormulaError, match="mish"):
        report("mesh")
    with pytest.raises(TypeError, match=r"torch\.nn\.functional\.mesh"):
        report("mish", against="torch.nn.functional.mesh")


def test_a_folder_that_is_not_there_is_an_error(quick: Any, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        quick("relu", tmp_path / "none" / "relu.html")
