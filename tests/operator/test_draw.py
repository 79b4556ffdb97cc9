"""Random numbers by blocks, as compiled for each kind of processor. Oracle: NumPy's generator."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gradsmith.operator import building, extension

_SOURCE = """
#include "draw.h"
using namespace gradsmith;

template <class T>
const Steps<T>* chosen(int vectors) {
#ifdef GRADSMITH_X86
  if (vectors == 64) {
    return __builtin_cpu_supports("avx512f") ? &OnAvx512<T>::steps : nullptr;
  }
  if (vectors == 32) {
    return __builtin_cpu_supports("avx2") ? &OnAvx2<T>::steps : nullptr;
  }
#endif
  return vectors == 16 ? &OnAny<T>::steps : nullptr;
}

template <class T>
bool drawn(int vectors, uint32_t* state, int64_t* at, const void* x, void* y, int64_t n) {
  const auto* which = chosen<T>(vectors);
  if (!which) {
    return false;
  }
  Twister twister;
  std::copy_n(state, kBlock, twister.state.begin());
  twister.next = at[0];
  twister.end = at[1];
  draw(twister, *which, static_cast<const T*>(x), static_cast<T*>(y), n, 0.125, 0.6);
  std::copy_n(twister.state.begin(), kBlock, state);
  at[0] = twister.next;
  at[1] = twister.end;
  return true;
}

#define EXPORTED extern "C" __attribute__((visibility("default"))) bool
#define ARGUMENTS \\
  int vectors, uint32_t *state, int64_t *at, const void *x, void *y, int64_t n
EXPORTED draw_float32(ARGUMENTS) { return drawn<float>(vectors, state, at, x, y, n); }
EXPORTED draw_float64(ARGUMENTS) { return drawn<double>(vectors, state, at, x, y, n); }
EXPORTED draw_bfloat16(ARGUMENTS) { return drawn<uint16_t>(vectors, state, at, x, y, n); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Any:
    found = building.compiler()
    if found is None:
        pytest.skip("there is no C++ compiler")
    folder: Path = tmp_path_factory.mktemp("draw")
    (folder / "draw.cpp").write_text(_SOURCE)
    made = folder / "draw.so"
    flags = [*extension.FLAGS, f"-I{extension.SOURCE.parent}"]
    if platform.machine() != "x86_64":  # elsewhere PyTorch may fuse operations, but NumPy does not
        flags.append("-ffp-contract=off")
    subprocess.run([*found, *flags, str(folder / "draw.cpp"), "-o", str(made)], check=True)
    return ctypes.CDLL(str(made))


def draw(
    library: Any, vectors: int, x: Tensor, state: np.ndarray, position: int
) -> tuple[Tensor, np.ndarray, int]:
    """Slopes, the state behind them and the place of the next word in it."""
    function = getattr(library, f"draw_{str(x.dtype).removeprefix('torch.')}")
    function.restype = ctypes.c_bool
    kept, at = state.copy(), np.array([position, len(state)])
    y = torch.full_like(x, 7)
    pointers = [ctypes.c_void_p(a) for a in (kept.ctypes.data, at.ctypes.data)]
    tensors = [ctypes.c_void_p(t.data_ptr()) for t in (x, y)]
    if not function(ctypes.c_int(vectors), *pointers, *tensors, ctypes.c_int64(x.numel())):
        pytest.skip("this processor has no such vectors")
    assert at[1] == len(state)
    return y, kept, int(at[0])


@pytest.mark.parametrize("vectors", [16, 32, 64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("position", [0, 1, 2, 311, 312, 621, 622, 623, 624])
def test_numbers_are_those_of_the_mersenne_twister(
    library: Any, position: int, dtype: torch.dtype, vectors: int
) -> None:
    generator = np.random.MT19937(5)
    for n in (0, 1, 5, 16, 511, 513, 3000):
        key = generator.state["state"]["key"]
        whole_state: Any = {"key": key, "pos": position}
        generator.state = {**generator.state, "state": whole_state}
        x = torch.from_numpy(np.random.default_rng(n).standard_normal(n)).to(dtype)
        x[::5], x[1::7], x[2::11] = 0.0, -0.0, float("nan")
        found, kept, place = draw(library, vectors, x, key, position)
        count = int((x <= 0).sum())
        words = generator.random_raw(2 * count).astype(np.uint64)
        whole = (words[::2] << np.uint64(32) | words[1::2]) & np.uint64(2**53 - 1)
        expected = torch.ones_like(x)
        numbers = torch.from_numpy(whole.astype(np.float64) * 2.0**-53 * 0.6 + 0.125)
        # By way of float32, as PyTorch's own conversion to bfloat16 goes.
        expected[x <= 0] = (numbers if dtype == torch.float64 else numbers.float()).to(dtype)
        assert torch.equal(found, expected)
        after = generator.state["state"]
        assert place == after["pos"]
        assert np.array_equal(kept, after["key"])
