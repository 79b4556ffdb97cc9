"""What certify measures, and that it measures what users get.

The oracles are PyTorch's own autograd for what is computed, and known figures of PyTorch's
functions.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import gradsmith as gs
from gradsmith.truth.quantities import Evaluation, Quantity, quantities
from gradsmith.truth.subject import Subject, subject
from tests.truth.measuring import ALONE, at, between

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
