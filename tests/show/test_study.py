"""The study against the same training written out in PyTorch, and M8 as assertions."""

from __future__ import annotations

import math
from functools import cache
from html.parser import HTMLParser

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from gradsmith.activation import activation
from gradsmith.errors import FormulaError
from gradsmith.show.network import MOMENTUM, RATE, Training
from gradsmith.show.study import Run, Study, study


@cache
def full_study() -> Study:
    return study("sigmoid", ("relu", "tanh"))


def short(*args: object, **kwargs: object) -> Study:
    return study(*args, **{"steps": 3, "scales": (1.0,), **kwargs})  # type: ignore[arg-type]


# The oracle: plain PyTorch, nothing of ours but the initial weights and the data.


def plain_logits(
    function: object, weights: list[torch.Tensor], biases: list[torch.Tensor], x: torch.Tensor
) -> torch.Tensor:
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        x = function(linear(x, weight, bias))  # type: ignore[operator]
    return linear(x, weights[-1], biases[-1])[:, 0]


@pytest.mark.parametrize(
    ("name", "function"),
    [("relu", torch.relu), ("sigmoid", torch.sigmoid), ("tanh", torch.tanh)],
)
def test_the_training_is_that_of_plain_pytorch(name: str, function: object) -> None:
    start = Training(activation(name), 1.0, seed=0)
    weights = [w.detach().clone().requires_grad_() for w in start.weights]
    biases = [b.detach().clone().requires_grad_() for b in start.biases]
    optimiser = torch.optim.SGD([*weights, *biases], lr=RATE, momentum=MOMENTUM)
    losses, gradients = [], []
    for _ in range(10):
        logits = plain_logits(function, weights, biases, start.points)
        loss = binary_cross_entropy_with_logits(logits, start.labels)
        optimiser.zero_grad()
        loss.backward()
        gradients.append([w.grad.square().mean().sqrt().item() for w in weights])  # type: ignore[union-attr]
        losses.append(loss.item())
        optimiser.step()
    run = study(name, steps=10, scales=(1.0,)).run(name)
    # Ten steps in float32: each rounding is 6e-8, and what it does to the loss grows slowly.
    assert run.losses[:10] == pytest.approx(losses, rel=1e-4)
    assert run.gradients == pytest.approx(gradients[0], rel=1e-4)
    medians = torch.tensor(gradients).median(dim=0).values  # the lower of the two in the middle
    assert all(t >= m * 0.999 for t, m in zip(run.trained_gradients, medians.tolist(), strict=True))


def test_a_relu_is_flat_where_its_input_is_not_positive() -> None:
    start = Training(activation("relu"), 1.0, seed=3)
    x, shares = start.points, []
    for weight, bias in zip(start.weights[:-1], start.biases[:-1], strict=True):
        given = linear(x, weight, bias)
        shares.append((given <= 0).double().mean().item())
        x = torch.relu(given)
    assert short("relu", "tanh", seed=3).run("relu").flat == pytest.approx(sum(shares) / 4)


def test_a_sigmoid_is_flat_beyond_its_measured_saturation() -> None:
    # σ′ is under 1 % of 1/4 where |x| > log((1 + √0.99)²/0.01) = 5.98…
    edge = math.log((1 + math.sqrt(0.99)) ** 2 / 0.01)
    start = Training(activation("sigmoid"), 10.0, seed=0)
    x, shares = start.points, []
    for weight, bias in zip(start.weights[:-1], start.biases[:-1], strict=True):
        given = linear(x, weight, bias)
        shares.append((given.abs() > edge).double().mean().item())
        x = torch.sigmoid(given)
    # The steepest slope is looked for on a grid; hardly a unit is that near the edge.
    assert start.flat() == pytest.approx(sum(shares) / 4, abs=1e-3)


# Deterministic, and without a trace.


def test_the_same_seed_gives_the_same_study() -> None:
    assert short("mish", ("relu", "tanh")) == short("mish", ("relu", "tanh"))
    assert short("mish", seed=1) != short("mish", seed=2)


def test_it_leaves_global_state_alone() -> None:
    torch.manual_seed(7)
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    with torch.no_grad():
        found = short("sigmoid")
        assert not torch.is_grad_enabled()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    torch.manual_seed(8)
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    try:
        assert short("sigmoid") == found
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_default_device(None)


# M8: what the function is good and bad for, shown on a small network in training.


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradients_vanish_through_sigmoids_and_not_through_relus(seed: int) -> None:
    found = short("sigmoid", ("relu", "tanh"), seed=seed)
    assert found.run("sigmoid").vanishing < 0.1 * found.run("relu").vanishing
    assert found.run("sigmoid").vanishing < 0.1 * found.run("tanh").vanishing


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_large_initial_weights_saturate(seed: int) -> None:
    found = study("sigmoid", "tanh", steps=1, seed=seed)
    for name in ("sigmoid", "tanh"):
        small, large, huge = (found.run(name, scale).flat or 0.0 for scale in (1.0, 10.0, 100.0))
        assert small < 0.05
        assert 0.4 < large < huge
        assert huge > 0.9


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_positive_output_moves_all_weights_of_a_unit_one_way(seed: int) -> None:
    found = short("sigmoid", ("relu", "tanh"), seed=seed)
    assert found.run("sigmoid").one_signed == 1.0
    assert found.run("relu").one_signed == 1.0
    assert (found.run("tanh").one_signed or 0.0) < 0.05


def test_what_vanishes_or_saturates_hardly_learns() -> None:
    found = full_study()
    assert found.run("relu").losses[-1] < 0.05
    assert found.run("tanh").losses[-1] < 0.05
    assert found.run("sigmoid").losses[-1] > 0.3  # its gradients vanish
    assert found.run("tanh", 100.0).losses[-1] > 10 * found.run("tanh").losses[-1]
    assert (found.run("tanh", 100.0).accuracy or 1.0) < 0.9


def test_an_unbounded_activation_overflows_from_large_weights() -> None:
    run = full_study().run("relu", 100.0)
    assert run.diverged
    assert math.isinf(run.losses[-1])
    assert run.accuracy is None
    assert run.trained_flat is None


def test_it_measures_the_time_of_a_step() -> None:
    assert dict(full_study().seconds).keys() == {"sigmoid", "relu", "tanh"}
    assert all(0 < seconds < 10 for _, seconds in full_study().seconds)


# What it accepts.


def test_an_activation_of_two_inputs_gets_features_for_both() -> None:
    start = Training(activation("glu"), 1.0, seed=0)
    assert [tuple(w.shape) for w in start.weights] == [(64, 2), *[(64, 32)] * 3, (1, 32)]
    run = short("glu").run("glu")
    assert len(run.gradients) == 5
    assert all(gradient > 0 for gradient in run.gradients)


def test_what_equals_the_studied_activation_is_left_out() -> None:
    found = short("x * tanh(log(1 + exp(x)))", ("mish", "relu", "relu"))
    assert found.activations == ("mish", "relu")


def test_two_formulas_of_one_name_stay_apart() -> None:
    found = short(activation("x**2", name="mine"), activation("x**3", name="mine"))
    assert found.activations == ("mine", "mine′")


def test_progress_counts_up_to_the_end() -> None:
    seen: list[tuple[int, int]] = []
    study("relu", "tanh", steps=1, scales=(1, 10), progress=lambda what, *rest: seen.append(rest))
    assert seen == [(0, 4), (1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is a whole number from 1"),
        ({"steps": 2.5}, "got 2.5"),
        ({"scales": ()}, "scales are positive"),
        ({"scales": (1.0, -1.0)}, "scales are positive"),
        ({"scales": (math.inf,)}, "scales are positive"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        study("relu", **options)  # type: ignore[arg-type]


def test_bad_formulas_are_refused() -> None:
    with pytest.raises(FormulaError, match="sigmoid"):
        study("sigmod")
    with pytest.raises(ValueError, match=r"no run of 'gelu' ×1; there are relu, tanh"):
        short("relu", "tanh").run("gelu")


# What it prints.


def test_every_number_of_a_run_is_in_the_table() -> None:
    run = full_study().run("sigmoid")
    row = full_study().rows()[1]
    assert row[0] == "sigmoid"
    assert row[1] == "×1"
    assert row[2] == f"{run.losses[0]:.2g} → {run.losses[-1]:.2g}"
    assert row[4] == f"{run.vanishing:.2g}"
    assert row[6] == "100%"
    assert "×10" in str(full_study())
    assert "overflow" in str(full_study())


def test_findings_name_the_four_effects() -> None:
    assert [what for what, _ in full_study().findings()] == [
        "Vanishing gradients",
        "Large initial weights",
        "Sign of the weight gradients",
        "Cost",
    ]


def test_a_formula_cannot_break_out_of_the_markup() -> None:
    found = short("where(x < 1, x, x & 1)".replace(" & 1", "**2"), "relu")
    formula = found.activations[0]
    assert "<" in formula
    texts: list[str] = []
    parser = HTMLParser()
    parser.handle_data = texts.append  # type: ignore[method-assign]
    parser.feed(found._repr_html_())
    assert formula in texts
    assert r"\<" in found._repr_markdown_()


def test_a_run_that_never_gets_a_gradient_says_so() -> None:
    found = short("0*x + 1", "relu")
    run: Run = found.run(found.activations[0])
    assert run.one_signed == 1.0  # the last layer's weights all see the output 1
    assert run.gradients[0] == 0.0
    assert run.vanishing == 0.0
    assert str(found)
