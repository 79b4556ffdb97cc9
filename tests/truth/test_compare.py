"""``compare`` says what agrees, by how much the rest differs, and which side is right.

Oracles: mpmath for exact values, and functions that are wrong on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import mpmath
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import gradsmith as gs
from gradsmith.catalogue import ENTRIES, Entry, named
from gradsmith.truth.compare import GRID, compare
from gradsmith.truth.comparison import SHOWN
from gradsmith.truth.subject import Subject

ROWS = [
    "output",
    "gradient, first call",
    "gradient, second call",
    "gradient, zeroed and called again",
    "gradient, upstream gradient not 1",
]


class Sigmoid(torch.autograd.Function):
    """Written by hand, and right."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = 1 / (1 + torch.exp(-x))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return g * y * (1 - y)


class Forgetful(Sigmoid):
    """Its backward does not multiply by the upstream gradient."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return y * (1 - y)


class Mistaken(Sigmoid):
    """Its backward takes the derivative of tanh."""

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return g * (1 - y**2)


def sigmoid_and_slope(x: float) -> tuple[float, float]:
    with mpmath.workdps(50):
        y = 1 / (1 + mpmath.exp(-mpmath.mpf(x)))
        return float(y), float(y * (1 - y))


# On the grid PyTorch's own is further off than its roundings explain: its gradient is NaN at -1e30.
PYTORCH_IS_WRONG = {"gelu_tanh"}


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_catalogue_agrees_with_pytorch_or_pytorch_is_wrong(entry: Entry) -> None:
    if entry.torch is None:
        pytest.skip("PyTorch does not have it")
    given: dict[str, Any] = {
        "threshold": {"threshold": 0.5, "value": 0.25},
        "prelu": {"weight": torch.tensor([0.25])},
    }.get(entry.name, {})
    x = torch.tensor(GRID[:-1]) if entry.name == "glu" else None  # an even number of elements
    found = compare(named(entry.name), entry.counterpart(), x, parameters=given)
    assert [row.name for row in found.rows] == ROWS
    assert found.agrees == (entry.name not in PYTORCH_IS_WRONG), str(found)
    assert found.wrong in (None, "neither", "reference")


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (Sigmoid, torch.sigmoid),
        (Sigmoid.apply, "torch.nn.functional.sigmoid"),
        ("sigmoid", nn.Sigmoid()),
        ("1/(1 + exp(-x))", "torch.nn.Sigmoid"),
        (gs.sigmoid, Sigmoid),
        (gs.activation("sigmoid").formula, gs.nn.Sigmoid()),
        (gs.activation("sigmoid").module(), gs.sigmoid),
        (lambda x: torch.sigmoid(x), partial(torch.sigmoid)),
        (gs.sigmoid, Subject("another name", torch.sigmoid)),
    ],
)
def test_anything_that_computes_can_stand_on_either_side(ours: Any, reference: Any) -> None:
    x = torch.linspace(-5, 5, 11)
    found = compare(ours, reference, x)
    assert found.agrees
    assert torch.equal(found.row("gradient, second call").ours, 2 * found.rows[1].ours)
    assert torch.equal(found.row(ROWS[3]).reference, found.rows[1].reference)


def test_exact_values_are_mpmaths() -> None:
    x = torch.tensor([-88.0, -3.0, 0.0, 0.5, 17.0])
    found = compare("sigmoid", torch.sigmoid, x)
    expected = torch.tensor([sigmoid_and_slope(v) for v in x.tolist()]).T
    for row, values in ((found.rows[0], expected[0]), (found.rows[1], expected[1])):
        assert row.exact is not None
        assert torch.equal(row.exact, values)


@pytest.mark.parametrize("wrong_side", ["ours", "reference"])
@pytest.mark.parametrize("function", [Forgetful, Mistaken, torch.tanh])
def test_a_wrong_function_is_found_and_named_on_either_side(function: Any, wrong_side: str) -> None:
    pair = (function, gs.sigmoid) if wrong_side == "ours" else (gs.sigmoid, function)
    found = compare(*pair)
    assert not found.agrees
    assert found.wrong == wrong_side
    assert "They differ" in str(found)


@pytest.mark.parametrize("relative", [1e-4, -3e-6])
def test_a_small_relative_error_is_found(relative: float) -> None:
    # 3e-6 is 25 ULP of float32 at 1; softplus is granted as many as it has operations.
    found = compare(lambda x: F.softplus(x) * (1 + relative), "softplus")
    assert not found.agrees
    assert found.wrong == "ours"


def test_where_the_formula_as_written_overflows_the_exact_value_says_who_is_right() -> None:
    found = compare("x * tanh(log(1 + exp(x)))")
    row = found.rows[1]
    assert not row.agrees
    assert found.wrong == "reference"
    assert row.worst is not None
    assert row.worst.at["x"] == 100.0  # the first point of the grid where exp(x) is infinite
    assert torch.tensor(row.worst.reference).isnan()
    assert row.worst.exact == row.worst.ours == 1.0
    text = str(found)
    assert "the formula as written is wrong there" in text
    assert "x = 100" in text


def test_a_lost_tail_is_shown_even_where_the_sides_agree() -> None:
    found = compare("sigmoid", torch.sigmoid, torch.tensor([17.0] * 9))
    row = found.rows[1]
    assert found.agrees
    assert row.worst is not None
    assert row.worst.reference == 0.0  # PyTorch's y·(1 − y) with y rounded to 1
    assert row.worst.exact == pytest.approx(sigmoid_and_slope(17.0)[1], rel=1e-15)
    assert row.worst.ours_error is not None
    assert row.worst.ours_error <= 1
    assert row.ulp > 1e6
    assert "no digit of it right" in str(found)


def test_a_hand_written_backward_is_held_against_its_own_forward() -> None:
    found = compare(Sigmoid, Mistaken)
    assert found.wrong == "reference"
    assert found.formula == "1/(1 + exp(-x))"  # that of the forward


def test_without_any_formula_who_is_right_stays_open() -> None:
    found = compare(torch.special.i0, lambda x: torch.special.i0(x) * 1.01, torch.randn(20))
    assert not found.agrees
    assert found.wrong is None
    assert found.formula == ""
    assert "open" in str(found)


def test_the_tolerance_can_be_set() -> None:
    x = torch.linspace(-4, 4, 100)
    assert compare("sigmoid", torch.sigmoid, x).agrees
    assert not compare("sigmoid", torch.sigmoid, x, max_ulp=0).agrees
    assert compare("sigmoid", Mistaken, x, max_ulp=1e8).agrees


def test_the_default_tolerance_counts_the_operations_of_the_formula() -> None:
    assert compare("x", lambda x: x * 1).tolerance == 4  # no operation at all: the least
    # y = -x, e = exp(y), s = 1 + e, r = 1/s; the derivative adds s**2, -1/s**2, ·(−e), …
    few = compare("sigmoid(x)").tolerance
    assert few < compare("x * tanh(log(1 + exp(x)))").tolerance <= 20


def test_chains_around_the_activation_are_compared_exactly() -> None:
    x = torch.tensor([-1.5, 0.25, 2.0], dtype=torch.float64)
    found = compare("sigmoid", torch.sigmoid, x, inner=lambda t: (t + 1) ** 2, outer=torch.square)
    assert found.agrees
    for i, value in enumerate(x.tolist()):
        with mpmath.workdps(40):
            h = (mpmath.mpf(value) + 1) ** 2
            y = 1 / (1 + mpmath.exp(-h))
            slope = 2 * y * y * (1 - y) * 2 * (mpmath.mpf(value) + 1)
        assert found.rows[0].exact is not None
        assert found.rows[1].exact is not None
        assert found.rows[0].exact[i].item() == float(y**2)
        assert found.rows[1].exact[i].item() == float(slope)


def test_a_chain_that_is_no_formula_is_compared_without_exact_values() -> None:
    found = compare("sigmoid", torch.sigmoid, torch.randn(6), inner=lambda t: t.cumsum(0))
    assert found.agrees
    assert found.rows[0].exact is None


def test_functions_of_two_inputs_have_a_gradient_for_each() -> None:
    found = compare(gs.glu, lambda a, b: a * torch.sigmoid(b))
    assert found.agrees
    assert list(found.inputs) == ["a", "b"]
    assert len(found.rows) == 1 + 4 * 2
    wrong = compare(gs.glu, lambda a, b: a * torch.sigmoid(b.detach()) + 0 * b)
    assert [row.agrees for row in wrong.rows] == [True, *[True, False] * 4]
    assert wrong.wrong == "reference"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_grid_is_that_of_the_dtype(dtype: torch.dtype) -> None:
    found = compare("tanh", torch.tanh, dtype=dtype)
    (x,) = found.inputs.values()
    assert x.dtype == found.dtype == dtype
    assert x.isfinite().all()
    assert x.max() > 100
    assert found.agrees


def test_what_is_given_stays_as_it_is() -> None:
    module = nn.PReLU()
    x = torch.randn(4, requires_grad=True)
    before = x.detach().clone()
    compare(lambda t: module(t) * 1, module, x)
    assert x.grad is None
    assert module.weight.grad is None
    assert torch.equal(x.detach(), before)


def test_the_same_seed_gives_the_same_comparison() -> None:
    one, same, other = (compare("tanh", torch.tanh, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.rows[-1].ours, same.rows[-1].ours)
    assert not torch.equal(one.rows[-1].ours, other.rows[-1].ours)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((torch.sigmoid,), ValueError, "needs a reference"),
        (("sigmoid", nn.Sigmoid), TypeError, "not its class"),
        (("sigmoid", 3), TypeError, "got int"),
        (("sigmoid", "torch.os.system"), TypeError, "no function or module"),
        (("sigmoid", torch.sigmoid, torch.tensor([1])), TypeError, "floating dtype"),
        (("sigmoid", lambda x: x.detach()), ValueError, "no gradient"),
        (("sigmoid", lambda x: 1.0), ValueError, "returned a float"),
        (("sigmoid", lambda x: x.sum()), ValueError, "of shape"),
        (("sigmoid", lambda x: x.double()), ValueError, "float64"),
        (("sgmoid", torch.sigmoid), gs.errors.FormulaError, "sigmoid"),
    ],
)
def test_bad_use_is_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        compare(*arguments)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("torch.nn.functional.silu", r"silu takes 1 input\(s\), it is compared on 2: a, b"),
        (nn.ReLU(), r"ReLU\(\) takes 1 input\(s\), it is compared on 2: a, b"),
        (lambda x: x, r"takes 1 input\(s\)"),
        (lambda x, *, b=1.0: x, r"takes 1 input\(s\)"),
    ],
)
def test_a_reference_of_fewer_inputs_is_refused(reference: Any, message: str) -> None:
    two = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
    with pytest.raises(ValueError, match=message):
        compare(two, reference)
    one = torch.ones(1)  # which torch would take for inplace=True
    with pytest.raises(ValueError, match=message):
        compare(two, reference, [one, one])


def test_every_argument_that_holds_a_tensor_may_be_an_input() -> None:
    two = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
    for reference in (
        lambda a, b=1.0: a * torch.sigmoid(b),
        lambda *tensors: tensors[0] * torch.sigmoid(tensors[1]),
    ):
        assert compare(two, reference).agrees


def test_what_the_written_formula_does_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown: approximate"):
        compare(gs.gelu, parameters={"approximate": "tanh"})  # type: ignore[dict-item]
    with pytest.raises(ValueError, match="missing or unknown: b"):
        compare(gs.glu, inputs=torch.randn(4))


def test_the_table_shows_every_element_of_a_few_and_the_extremes_of_many() -> None:
    few = str(compare("sigmoid", torch.sigmoid, torch.linspace(-1, 1, SHOWN)))
    assert "-0.7143" in few  # the second input
    many = str(compare("sigmoid", torch.sigmoid, torch.linspace(-1, 1, SHOWN + 1)))
    assert "differ most at" in many
    assert f"0 of {SHOWN + 1}" in many


def test_html_and_markdown_escape_names() -> None:
    def odd(x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    odd.__name__ = "<b>|x|</b>"
    found = compare("sigmoid", odd, [1.0])
    assert "<b>" not in found._repr_html_()
    assert "&lt;b&gt;" in found._repr_html_()
    rows = [line for line in found._repr_markdown_().splitlines() if line.startswith("|")]
    unescaped = {line.replace("\\|", "").count("|") for line in rows}
    assert len(unescaped) == 1  # every row has as many cells


def test_rich_can_print_it(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.console import Console

    Console(width=200).print(compare("sigmoid", torch.sigmoid, [1.0]))
    printed = capsys.readouterr().out
    assert "0.7311" in printed
    assert "They agree" in printed


def test_an_unknown_row_is_named() -> None:
    with pytest.raises(KeyError, match="there are output"):
        compare("sigmoid", torch.sigmoid, [1.0]).row("nothing")


def test_a_jump_is_compared_with_the_convention_of_the_formula() -> None:
    at_the_kink: Callable[[Tensor], Tensor] = lambda x: torch.where(x >= 0, x, 0.0)  # noqa: E731
    found = compare("relu", at_the_kink)
    assert found.rows[1].beyond == 1
    assert found.rows[1].worst is not None
    assert found.rows[1].worst.at == {"x": 0.0}
    assert found.wrong == "reference"  # relu′(0) is 0
