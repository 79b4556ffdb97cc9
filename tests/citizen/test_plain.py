"""Native code reads memory: only tensors that are nothing but numbers in it may come there.

With the native part that a user may have built, and by the way through Python without it. Oracle:
the same call on a plain copy, or the composition of torch's operations.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.func import jacfwd, vmap

import gradsmith as gs
from gradsmith.backends import dispatch
from gradsmith.operator import native

OPERATIONS = (gs.silu.operation, gs.glu.operation)


@pytest.fixture(params=["as installed", "through Python"])
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Both ways from a call to native code."""
    before = [operation.call for operation in OPERATIONS]
    if request.param == "through Python":
        for operation in OPERATIONS:
            object.__setattr__(operation, "call", None)
    yield
    for operation, call in zip(OPERATIONS, before, strict=True):
        object.__setattr__(operation, "call", call)


def unusual() -> dict[str, Tensor]:
    """Tensors of type ``torch.Tensor`` on the CPU, of an accepted dtype, that are not plain."""
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of layouts in beta
        return {
            "zero": torch._efficientzerotensor((4, 3)),
            "negated": torch.complex(x, x).conj().imag,
            "meta": x.to("meta"),
            "sparse": x.to_sparse(),
            "compressed": x.to_sparse_csr(),
            "mkldnn": x.to_mkldnn(),
            "nested": torch.nested.as_nested_tensor([x[:1], x[1:]], layout=torch.strided),
        }


PLAIN = {
    "made": torch.ones(3),
    "view": torch.ones(4, 3)[:, 1:].T,
    "expanded": torch.ones(1).expand(3),
    "leaf": torch.ones(3, requires_grad=True),
    "parameter": torch.nn.Parameter(torch.ones(3)),
    "half": torch.ones(3).half(),
    "shared": torch.ones(3).share_memory_(),
}


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_tensors_are_served(kind: str) -> None:
    assert native.plain(PLAIN[kind])
    with torch.inference_mode():
        assert native.plain(PLAIN[kind].clone())


@pytest.mark.parametrize("kind", unusual())
def test_others_are_not(kind: str) -> None:
    x = unusual()[kind]
    assert type(x) is Tensor
    assert not native.plain(x)
    assert native.pattern((x,)) is None


@pytest.mark.skipif(dispatch.native_reason() is not None, reason="no native code on this machine")
def test_what_is_plain_does_not_depend_on_where_the_package_is_first_imported() -> None:
    code = (
        "import torch\n"
        "with torch.inference_mode(), torch.device('meta'):\n"
        "    from gradsmith.operator import native\n"
        "x = torch.ones(1, requires_grad=True)\n"
        "print(native.plain(x), native.plain(x.to('meta')))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert printed.stdout.split() == ["True", "False"]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["zero", "negated"])
def test_zeros_without_memory_and_negated_views_have_the_values_of_a_copy(kind: str) -> None:
    x, b = unusual()[kind], torch.ones(4, 3)
    copy = x.clone()
    assert native.plain(copy)
    torch.testing.assert_close(gs.silu(x), gs.silu(copy))
    torch.testing.assert_close(gs.glu(b, x), gs.glu(b, copy))
    leaf = torch.ones(4, 3, requires_grad=True)
    for f in (gs.silu, lambda a: gs.glu(a, b)):
        (found,) = torch.autograd.grad(f(leaf), leaf, x)
        (expected,) = torch.autograd.grad(f(leaf), leaf, copy)
        torch.testing.assert_close(found, expected)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", ["sparse", "compressed", "mkldnn", "nested"])
def test_layouts_that_are_not_dense_are_refused_by_name(kind: str) -> None:
    x = unusual()[kind]
    named = "a nested tensor of layout torch.strided" if kind == "nested" else str(x.layout)
    for call in (lambda: gs.silu(x), lambda: gs.glu(x, x)):
        with pytest.raises(TypeError, match="no activation of") as raised:
            call()
        assert named in str(raised.value)


# Forward mode imports parts of torch that warn about other parts of torch.
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")
def test_a_derivative_in_place_of_a_tangent_that_is_zero_is_an_error_as_with_torchs_own() -> None:
    def overwriting(x: Tensor) -> Tensor:
        return gs.silu(x * 1.0, inplace=True)

    # The inner tangent of x * 1.0 has no memory that could be written to.
    with pytest.raises(RuntimeError, match="ZeroTensors are immutable"):
        jacfwd(jacfwd(overwriting))(torch.ones(3))


def test_a_batch_is_not_plain() -> None:
    seen = []

    def look(x: Tensor) -> Tensor:
        seen.append(native.plain(x))
        return gs.silu(x)

    x = torch.randn(4, 3)
    torch.testing.assert_close(vmap(look)(x), gs.silu(x))
    torch.testing.assert_close(torch.func.functionalize(look)(x), gs.silu(x))
    assert seen == [False, False]
