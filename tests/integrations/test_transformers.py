"""Tiny models of Hugging Face's transformers learn with these activations as with their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradsmith as gs
from tests.integrations.training import assert_learns_alike, losses

transformers = pytest.importorskip("transformers", reason="pip install 'gradsmith[integrations]'")

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:transformers"),
]

# In float64 both compute what the formula says, to a few units of 1e-16 per element; five steps of
# a learning rate of ¼ do not make it a thousand times as much. In float32, 2⁻²⁴ in its place.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5}

NAMES = {"gelu": "gelu", "gelu_new": "gelu_tanh", "silu": "silu", "relu": "relu"}
"""What transformers calls them, and what the catalogue does."""


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Ours in transformers' table, as ``gs_...``, and gone afterwards."""
    from transformers.activations import ACT2FN

    ours = {f"gs_{theirs}": gs.act_layer(name) for theirs, name in NAMES.items()}
    ACT2FN.update(ours)
    yield
    for name in ours:
        del ACT2FN[name]


def config(kind: str, activation: str) -> Any:
    small = {"vocab_size": 32}
    if kind == "bert":
        return transformers.BertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
            hidden_act=activation, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
            **small,
        )  # fmt: skip
    if kind == "gpt2":
        return transformers.GPT2Config(
            n_embd=16, n_layer=1, n_head=2, n_positions=16, activation_function=activation,
            resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0,
            **small,
        )  # fmt: skip
    return transformers.LlamaConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=32, hidden_act=activation, **small,
    )  # fmt: skip


CLASSES = {"bert": "BertForMaskedLM", "gpt2": "GPT2LMHeadModel", "llama": "LlamaForCausalLM"}


def model(kind: str, activation: str, dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = getattr(transformers, CLASSES[kind])(config(kind, activation))
    return made.to(dtype)


def loss_of(called: Any) -> Tensor:
    tokens = torch.randint(32, (4, 8), generator=torch.Generator().manual_seed(1))
    result: Tensor = called(input_ids=tokens, labels=tokens).loss
    return result


CASES = [("bert", "gelu"), ("gpt2", "gelu_new"), ("llama", "silu"), ("llama", "relu")]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(("kind", "activation"), CASES)
def test_a_name_in_the_configuration(kind: str, activation: str, dtype: torch.dtype) -> None:
    theirs, ours = model(kind, activation, dtype), model(kind, f"gs_{activation}", dtype)
    assert any(type(m).__module__.startswith("gradsmith") for m in ours.modules())
    got, expected = losses(ours, loss_of), losses(theirs, loss_of)
    assert_learns_alike(got, expected, TOLERANCE[dtype])


@pytest.mark.parametrize(("kind", "backend"), [("bert", "aot_eager"), ("llama", "inductor")])
def test_compiled_without_a_graph_break(kind: str, backend: str) -> None:
    activation = dict(CASES[:3])[kind]
    theirs = model(kind, activation, torch.float32)
    ours = model(kind, f"gs_{activation}", torch.float32)
    torch.compiler.reset()
    compiled = torch.compile(ours, backend=backend, fullgraph=True)
    got, expected = losses(ours, loss_of, compiled), losses(theirs, loss_of)
    assert_learns_alike(got, expected, TOLERANCE[torch.float32])


@pytest.mark.parametrize(("kind", "activation"), CASES[:3])
def test_replaced_in_a_model_that_exists(kind: str, activation: str) -> None:
    from transformers.activations import ACT2FN

    theirs, ours = (model(kind, activation, torch.float64) for _ in range(2))
    tokens = torch.zeros(1, 4, dtype=torch.int64)
    rules = {type(ACT2FN[activation]): NAMES[activation]}
    report = gs.replace(ours, rules, inputs={"input_ids": tokens})
    assert len(report.swapped) >= 1
    assert report.complete, report
    assert_learns_alike(losses(ours, loss_of), losses(theirs, loss_of), TOLERANCE[torch.float64])


def test_an_own_formula_that_learns() -> None:
    from transformers.activations import ACT2FN

    ACT2FN["gs_own"] = gs.act_layer("x*sigmoid(beta*x)", beta=1.0, learnable=True)
    try:
        ours = model("llama", "gs_own", torch.float64)
    finally:
        del ACT2FN["gs_own"]
    found = losses(ours, loss_of)
    assert found[-1] < found[0]
    # At the first step beta is 1, and it is SiLU.
    assert found[0] == pytest.approx(losses(model("llama", "silu", torch.float64), loss_of)[0])
    assert [p.item() != 1.0 for n, p in ours.named_parameters() if n.endswith("beta")] == [True]


def test_the_configuration_can_be_written_and_read() -> None:
    written = config("bert", "gs_gelu").to_dict()
    again = transformers.BertConfig.from_dict(written)
    assert type(
        transformers.BertModel(again).encoder.layer[0].intermediate.intermediate_act_fn
    ) is (gs.nn.GELU)
