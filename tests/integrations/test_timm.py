"""Models of timm learn with ``act_layer=gs.act_layer(...)`` as with PyTorch's own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import gradsmith as gs
from tests.integrations.training import assert_learns_alike, losses

pytestmark = [
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:.*:FutureWarning:torch"),
]


@pytest.fixture(scope="module")
def timm() -> Any:
    """timm, if it can be imported: its torchvision must be built for this very PyTorch."""
    try:
        import timm as found
    except ImportError:
        pytest.skip("pip install 'gradsmith[integrations]'")
    except RuntimeError as error:
        pytest.skip(f"torchvision does not fit this PyTorch: {error}")
    return found


def small(timm: Any, name: str, act_layer: Any) -> nn.Module:
    torch.manual_seed(0)
    options = {"resnet10t": {}, "mobilenetv3_small_050": {}, "vit_tiny_patch16_224": {}}[name]
    if name.startswith("vit"):
        options = {"img_size": 32, "depth": 1, "embed_dim": 24, "num_heads": 2}
    made: nn.Module = timm.create_model(name, num_classes=3, act_layer=act_layer, **options)
    # With the statistics of a batch of four, batch normalisation would amplify the last bits.
    return made.double().eval()


def loss_of(called: Any) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(4, 3, 32, 32, dtype=torch.float64, generator=generator)
    return nn.functional.cross_entropy(called(images), torch.tensor([0, 1, 2, 0]))


def assert_same_losses(ours: nn.Module, theirs: nn.Module) -> None:
    got, expected = (losses(model, loss_of, rate=2.0**-6) for model in (ours, theirs))
    assert_learns_alike(got, expected, 1e-11)


CASES = [
    ("resnet10t", nn.ReLU, gs.act_layer("relu")),  # asks for inplace=True
    ("mobilenetv3_small_050", nn.SiLU, gs.nn.SiLU),  # the class itself will do
    ("vit_tiny_patch16_224", nn.GELU, gs.act_layer("gelu")),
]


@pytest.mark.parametrize(("name", "theirs", "ours"), CASES, ids=[case[0] for case in CASES])
def test_as_act_layer(timm: Any, name: str, theirs: Any, ours: Any) -> None:
    made = small(timm, name, ours)
    assert any(type(m).__module__.startswith("gradsmith") for m in made.modules())
    assert_same_losses(made, small(timm, name, theirs))


@pytest.mark.parametrize(("name", "theirs", "ours"), CASES, ids=[case[0] for case in CASES])
def test_replaced_in_a_model_that_exists(timm: Any, name: str, theirs: Any, ours: Any) -> None:
    made, other = (small(timm, name, theirs) for _ in range(2))
    report = gs.replace(made, {theirs: theirs.__name__.lower()}, inputs=torch.zeros(
        2, 3, 32, 32, dtype=torch.float64
    ))  # fmt: skip
    assert report.swapped
    assert report.complete, report
    assert_same_losses(made, other)
