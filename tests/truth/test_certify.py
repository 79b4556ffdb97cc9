"""Certificates: what they find, that they find it everywhere, and that they say what they lack.

The oracles are PyTorch's own autograd for what is computed, known figures of PyTorch's functions,
and errors put into a subject on purpose, whose number and size are known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gradsmith as gs
from gradsmith.errors import FormulaError
from gradsmith.truth.accuracy import Accuracy
from gradsmith.truth.certificate import Certificate
from gradsmith.truth.certify import code_version
from gradsmith.truth.inputs import bits_of, from_patterns
from gradsmith.truth.quantities import Evaluation, Quantity, quantities
from gradsmith.truth.subject import Subject, subject

ALONE: dict[str, Any] = {"processes": 1, "progress": False}


def pattern(x: float, dtype: torch.dtype = torch.float32) -> int:
    return int(bits_of(torch.tensor([x], dtype=dtype))[0], 16)


def between(low: float, high: float, count: int = 64) -> range:
    """About ``count`` float32 patterns from ``low`` to ``high``, both of one sign."""
    first, last = sorted((pattern(low), pattern(high)))
    return range(first, last + 1, max(1, (last - first) // count))


def at(x: float) -> range:
    return range(pattern(x), pattern(x) + 1)


# What is measured is what users get.


def by_autograd(call: Callable[..., Tensor], columns: list[Tensor], wrt: int, order: int) -> Tensor:
    leaves = [column.clone().requires_grad_() for column in columns]
    result = call(*leaves)
    for k in range(order):
        one = torch.ones_like(result)
        (result,) = torch.autograd.grad(result, leaves[wrt], one, create_graph=k + 1 < order)
    return result.detach()


def points(dtype: torch.dtype) -> Tensor:
    line = torch.tensor([0.0, -0.0, 1e-3, 0.7, 3.0, 17.0, 90.0, 3e4, torch.inf, torch.nan])
    return torch.cat([line, -line, torch.linspace(-12, 12, 200)]).to(dtype)


def same_bits(a: Tensor, b: Tensor) -> bool:
    both_nan = a.isnan() & b.isnan()
    return a.dtype == b.dtype and bool((both_nan | (a == b) & (a.signbit() == b.signbit())).all())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["gelu", "mish", "tanhshrink", "elu"])
def test_derivatives_of_ours_are_bit_for_bit_those_of_backward(
    name: str, dtype: torch.dtype
) -> None:
    ours = gs.activation(name)
    asked = quantities(ours.formula, (0, 1, 2), None)
    x = points(dtype)
    found = Evaluation(subject(ours), ours.formula, asked, dtype)(x)
    for quantity in asked:
        assert same_bits(found[quantity], by_autograd(ours, [x], 0, quantity.order)), quantity


def test_of_several_inputs_each_is_differentiated() -> None:
    ours = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
    asked = quantities(ours.formula, (0, 1, 2), None)
    assert [(q.order, q.wrt) for q in asked] == [(0, None), (1, "a"), (1, "b"), (2, "a"), (2, "b")]
    a, b = torch.linspace(-3, 3, 50), torch.linspace(20, -20, 50)
    found = Evaluation(subject(ours), ours.formula, asked, torch.float32)(a, b)
    for quantity in asked[1:3]:
        wrt = ("a", "b").index(quantity.wrt or "")
        assert same_bits(found[quantity], by_autograd(ours, [a, b], wrt, 1))
    assert not found[Quantity(2, "a")].any()
    assert same_bits(found[Quantity(2, "b")], by_autograd(ours, [a, b], 1, 2))


@pytest.mark.parametrize("function", [torch.sigmoid, F.silu, F.gelu, F.mish])
def test_derivatives_of_others_are_those_of_a_plain_backward_pass(
    function: Callable[[Tensor], Tensor],
) -> None:
    # With create_graph torch takes other formulas for some of them; users do not, to first order.
    asked = [Quantity(0), Quantity(1, "x"), Quantity(2, "x")]
    x = points(torch.float32)
    formula = gs.Formula(gs.activation("x").expression)
    found = Evaluation(subject(function), formula, asked, torch.float32)(x)
    for quantity in asked:
        assert same_bits(found[quantity], by_autograd(function, [x], 0, quantity.order))


# PyTorch's own figures, as they are known.


def test_torchs_derivative_of_sigmoid_is_lost_from_17_on() -> None:
    found = gs.certify(torch.sigmoid, patterns=between(15.0, 30.0), orders=(1,), **ALONE)
    count, first = found["derivative"].wrong["zero"]
    assert 16.5 < first.inputs[0] < 17.5
    assert first.computed == 0 < first.exact
    assert count > 40
    ours = gs.certify("sigmoid", patterns=between(15.0, 30.0), orders=(1,), **ALONE)
    assert ours.ok, ours.violations()


def test_torchs_gelu_at_minus_6_is_lost() -> None:
    found = gs.certify(
        F.gelu, formula="x*(1 + erf(x/sqrt(2)))/2", patterns=at(-6.0), orders=(0,), **ALONE
    )
    (place,) = [p for _, p in found["value"].wrong.values()] or [found["value"].worst]
    assert place is not None
    assert place.exact == pytest.approx(-6 * 9.865876e-10, rel=1e-6)  # −6 Φ(−6)
    assert found["value"].above[10.0] == 1
    assert gs.certify("gelu", patterns=at(-6.0), orders=(0,), **ALONE).ok


def test_torchs_silu_at_minus_89_7_is_lost() -> None:
    found = gs.certify(F.silu, patterns=at(-89.7), **ALONE)
    assert found["value"].wrong or found["value"].above[10.0]
    assert found["derivative"].wrong
    assert gs.certify("silu", patterns=at(-89.7), orders=(0, 1), **ALONE).ok


def test_torchs_mish_is_off_by_up_to_154_ulp() -> None:
    found = gs.certify(F.mish, patterns=between(-90.0, -104.0, 8_000), orders=(0,), **ALONE)
    assert 140 < found["value"].max_ulp < 155
    assert set(found["value"].wrong) == {"zero"}  # in the end nothing is left


def test_torchs_tanhshrink_is_lost_near_0() -> None:
    found = gs.certify(F.tanhshrink, patterns=between(9e-6, 1.1e-5), orders=(0,), **ALONE)
    assert found["value"].share(10.0) > 0.9
    ours = gs.certify("tanhshrink", patterns=between(9e-6, 1.1e-5), orders=(0,), **ALONE)
    assert ours.ok


def test_torchs_derivative_of_softsign_is_off_at_3_4e7() -> None:
    found = gs.certify(F.softsign, patterns=between(3.3e7, 3.5e7), orders=(1,), **ALONE)
    assert found["derivative"].above[1.0]
    ours = gs.certify("softsign", patterns=between(3.3e7, 3.5e7), orders=(1,), **ALONE)
    assert ours.ok, ours.violations()


# Errors made on purpose.

SMALL = range(pattern(1.0), pattern(1.0) + 1000)


def spoiled(spoil: Callable[[Tensor, Tensor], Tensor]) -> Subject:
    return Subject("spoiled", lambda x: spoil(x, x * 1.0))


def one_number(x: Tensor) -> Tensor:
    return x.detach() == from_patterns(range(SMALL[500], SMALL[501]), torch.float32)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("zero", 0.0),
        ("infinity", math.inf),
        ("infinity", -math.inf),
        ("nan", math.nan),
        ("sign", -1.0),
    ],
)
def test_one_wrong_result_among_many_is_found(kind: str, value: float) -> None:
    measured = spoiled(lambda x, y: torch.where(one_number(x), torch.full_like(y, value), y))
    found = gs.certify(measured, formula="x", patterns=SMALL, orders=(0,), **ALONE)
    result = found["value"]
    assert [(k, n) for k, (n, _) in result.wrong.items()] == [(kind, 1)]
    place = result.wrong[kind][1]
    assert place.bits == (f"0x{SMALL[500]:08x}",)
    assert place.exact == place.inputs[0]
    assert place.computed == value or math.isnan(value)
    assert result.max_ulp == 0  # of those that are not wrong
    assert result.above == {0.5: 1, 1.0: 1, 2.0: 1, 10.0: 1}
    assert not found.ok
    assert not found.holds(1e30)


@pytest.mark.parametrize("steps", [1, 2, 3, 11])
def test_one_result_a_few_units_off_is_found_with_its_size(steps: int) -> None:
    def off(x: Tensor, y: Tensor) -> Tensor:
        moved = (y.detach().view(torch.int32) + steps).view(torch.float32)
        return torch.where(one_number(x), moved, y)

    found = gs.certify(spoiled(off), formula="x", patterns=SMALL, orders=(0,), **ALONE)
    result = found["value"]
    assert result.max_ulp == result.bound == steps
    assert result.worst is not None
    assert result.worst.bits == (f"0x{SMALL[500]:08x}",)
    assert result.above == {t: int(steps > t) for t in (0.5, 1.0, 2.0, 10.0)}
    assert result.histogram == {-3: 999, math.ceil(math.log2(steps)): 1}
    assert found.ok == (steps == 1)
    assert found.holds(steps)
    assert found.holds({0: steps})
    assert not found.holds(steps - 0.01)


def test_a_wrong_sign_of_a_zero_is_found() -> None:
    found = gs.certify(
        Subject("abs", torch.abs), formula="x*abs(x)", dtype=torch.bfloat16, orders=(0,), **ALONE
    )
    count, place = found["value"].wrong["sign of zero"]
    assert place.inputs == (0.0,)
    assert math.copysign(1, place.inputs[0]) == -1
    # x·|x| underflows: |x| is then no zero, but at −0 itself it is +0.
    assert count == 1


def test_a_wrong_coefficient_is_found() -> None:
    right = gs.activation("0.5*x*(1 + tanh(0.7978845608*(x + 0.044715*x**3)))")

    def mistyped(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044716 * x**3)))

    found = gs.certify(
        mistyped,
        torch.float64,
        formula=right,
        samples=500,
        orders=(0,),
        **ALONE,
    )
    assert found["value"].share(10.0) > 0.05


# What is not there is said.


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.exp(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        result: Tensor = g * torch.exp(x)
        return result


def test_a_second_derivative_that_is_not_there_is_reported() -> None:
    found = gs.certify(Once, formula="exp(x)", patterns=between(1.0, 2.0), **ALONE)
    assert found["derivative"].available
    missing = found["second derivative"]
    assert not missing.available
    assert missing.unavailable == "the first derivative has no gradient"
    assert not found.ok
    assert "second derivative: not available" in found.violations()[-1]
    assert "not available" in str(found)
    assert gs.certify(
        Once, formula="exp(x)", patterns=between(1.0, 2.0), orders=(0, 1), **ALONE
    ).holds(2)


def test_a_gradient_that_is_not_there_is_reported() -> None:
    found = gs.certify(
        Subject("cut", lambda x: x.detach() * 2), formula="2*x", patterns=SMALL, **ALONE
    )
    assert found["value"].holds(0)
    assert "no gradient" in found["derivative"].unavailable
    assert "no gradient" in found["second derivative"].unavailable or (
        found["second derivative"].holds(0)
    )


def test_a_constant_derivative_needs_no_graph() -> None:
    found = gs.certify(Subject("twice", lambda x: x * 2), formula="2*x", patterns=SMALL, **ALONE)
    assert found.ok, found.violations()


def test_what_a_function_should_compute_must_be_known() -> None:
    def opaque(x: Tensor) -> Tensor:
        return torch.from_numpy(x.detach().numpy())

    with pytest.raises(ValueError, match=r"what opaque should compute .* formula="):
        gs.certify(opaque, **ALONE)


def test_a_function_of_torch_is_read_by_tracing() -> None:
    found = gs.certify(lambda x: x * torch.sigmoid(x), patterns=SMALL, orders=(0,), **ALONE)
    assert found.formula == "x*sigmoid(x)"
    assert found["value"].checked == 1000


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": torch.int32}, ValueError, "float32, bfloat16, float16 and float64"),
        ({"orders": (0, 3)}, ValueError, "among 0, 1 and 2; got 3"),
        ({"orders": ()}, ValueError, "got none"),
        ({"wrt": "z"}, ValueError, "inputs x, not 'z'"),
        ({"parameters": {"beta": 2.0}}, FormulaError, "no parameter 'beta'"),
        ({"dtype": torch.float64, "exhaustive": True}, ValueError, "too many"),
        ({"patterns": range(2**33)}, ValueError, "below 2\\*\\*32"),
        ({"patterns": range(0)}, ValueError, "range of bit patterns"),
        ({"patterns": range(5), "exhaustive": True}, ValueError, "not both"),
        ({"samples": 0}, ValueError, "samples is a number"),
        ({"formula": "x*("}, FormulaError, "never closed"),
        ({"formula": 3}, TypeError, "formula is a text"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        gs.certify("sigmoid", **{**ALONE, **arguments})


def test_all_pairs_of_inputs_are_refused_with_what_is_possible() -> None:
    ours = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
    with pytest.raises(ValueError, match=r"all combinations of the inputs a, b .* sample"):
        gs.certify(ours, exhaustive=True, **ALONE)


def test_a_subject_that_changes_the_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="element by element"):
        gs.certify(torch.sum, formula="x", **ALONE)


# Whole formats, samples.


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_all_numbers_of_a_half_format_are_looked_at(dtype: torch.dtype) -> None:
    found = gs.certify("relu", dtype, **ALONE)
    assert found.exhaustive
    assert [result.checked for result in found.results] == [65536] * 3
    assert found.ok, found.violations()


def test_pairs_of_inputs_are_sampled() -> None:
    ours = gs.activation("a*sigmoid(b)", inputs=("a", "b"))
    found = gs.certify(ours, samples=500, orders=(0, 1), **ALONE)
    assert [result.name for result in found.results] == [
        "value",
        "derivative in a",
        "derivative in b",
    ]
    assert all(result.checked > 500 for result in found.results)
    assert all(result.bound <= 1 for result in found.results)
    only = gs.certify(ours, samples=100, orders=(1,), wrt="b", **ALONE)
    assert [result.name for result in only.results] == ["derivative in b"]


def test_other_parameters_are_measured_against_the_formula_with_them() -> None:
    swish = gs.activation("x*sigmoid(beta*x)", beta=1.0)
    found = gs.certify(
        swish, parameters={"beta": 3.0}, patterns=between(0.5, 2.0), orders=(0, 1), **ALONE
    )
    assert found.parameters == {"beta": 3.0}
    assert found.ok, found.violations()
    mixed = gs.certify(
        Subject("swish 1", lambda x: swish(x)),
        formula="x*sigmoid(beta*x)",
        parameters={"beta": 3.0},
        patterns=between(0.5, 2.0),
        orders=(0,),
        **ALONE,
    )
    assert mixed["value"].share(10.0) > 0.9


def test_the_same_seed_gives_the_same_certificate_and_another_another() -> None:
    first, again = (gs.certify("silu", samples=300, orders=(0,), **ALONE) for _ in range(2))
    assert first.to_json() == again.to_json()
    other = gs.certify("silu", samples=300, seed=1, orders=(0,), **ALONE)
    assert other["value"].histogram != first["value"].histogram


# Certificates as files, and sums of them.


def halves(low: int, high: int) -> Certificate:
    return gs.certify(
        torch.sigmoid, torch.bfloat16, patterns=range(low, high), orders=(0, 1), **ALONE
    )


def test_parts_make_the_whole() -> None:
    start, middle, end = 0x4180, 0x4190, 0x41A0  # 16 to 20, where the derivative is lost
    whole = halves(start, end)
    parts = halves(start, middle), halves(middle, end)
    assert parts[0].merge(parts[1]).to_json() == whole.to_json()
    assert parts[1].merge(parts[0]).to_json() == whole.to_json()
    with pytest.raises(ValueError, match="both include the bit pattern 0x4180"):
        whole.merge(parts[0])
    other = gs.certify("tanh", torch.bfloat16, patterns=range(1), orders=(0, 1), **ALONE)
    with pytest.raises(ValueError, match="differ in subject"):
        whole.merge(other)


def test_a_file_gives_the_certificate_back(tmp_path: Path) -> None:
    found = halves(0x4180, 0x41A0)
    path = tmp_path / "sigmoid.json"
    found.save(path)
    assert Certificate.load(path).to_json() == found.to_json()
    assert str(Certificate.load(path)) == str(found)
    assert [p.name for p in tmp_path.iterdir()] == ["sigmoid.json"]
    data = json.loads(path.read_text())
    assert data["made"]["code"] == code_version()
    assert data["made"]["torch"] == torch.__version__


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], "no certificate"),
        (lambda text: "{}", "no certificate of gradsmith"),
        (lambda text: text.replace('"version": 1', '"version": 99'), "format 99"),
        (lambda text: text.replace('"checked"', '"chekced"'), "damaged"),
        (lambda text: text.replace('"bfloat16"', '"float8"'), "damaged"),
    ],
)
def test_a_damaged_file_is_refused(
    tmp_path: Path, damage: Callable[[str], str], message: str
) -> None:
    path = tmp_path / "c.json"
    path.write_text(damage(halves(0, 4).to_json()))
    with pytest.raises(ValueError, match=message):
        Certificate.load(path)


def test_a_certificate_reads_as_a_table() -> None:
    text = str(halves(0x4180, 0x41A0))
    assert "torch.sigmoid: sigmoid(x)" in text
    assert "bfloat16, 32 of 65,536 inputs: DOES NOT KEEP the contract" in text
    assert "wrong zero, as at" in text
    assert f"code {code_version()}" in text


def test_nothing_checked_proves_nothing() -> None:
    assert not Accuracy("value", 0).holds(1e9)
