// What holds for the whole process, and who may look on.

#pragma once

#include <torch/csrc/python_headers.h>

#include <ATen/PythonTorchFunctionTLS.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/autograd/forward_grad.h>

#include <atomic>
#include <cmath>

namespace gradsmith {

using at::Tensor;

constexpr size_t kMost = 8;  // operands of a call, and pointers that a kernel takes
constexpr int64_t kShort = 4096;  // elements that are computed before the lock changes hands

// What Python decides once for this process.
struct Settings {
  using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
  std::atomic<Parallel> parallel{nullptr};  // GOMP_parallel of the runtime that PyTorch has loaded
  int64_t rank = 0;  // address of int f(void): the number of this thread
  int64_t ranks = 0;  // and of how many
  int64_t grain = 0;  // elements from which on PyTorch copies on several threads
  int64_t kept = 0;  // bytes from which on a result lies in memory that is kept
  int64_t shortest = 0;  // elements of a row that is not copied
  int64_t whole = 1;  // and such that multiples of it are not copied either
  double moderate = 0;  // the size of numbers for which one kernel serves, as its inverse is
  const std::atomic<int64_t>* otherwise = nullptr;  // contexts that chose another backend
  PyObject* fallback = nullptr;  // (operation, needs, values, g, shapes, halved) -> the gradients
};
Settings settings;

// Whether numbers fit float32, as fit() of numerics/ladder.py has it; false for NaN.
bool is_moderate(double number) {
  const double size = std::abs(number);
  return size == 0 || (1 / settings.moderate <= size && size <= settings.moderate);
}

// Everything that a plain CPU tensor has, and that a thread has which nobody watches.
struct Keys {
  uint64_t tensor;
  uint64_t included = c10::default_included_set.raw_repr();
  uint64_t excluded = (c10::default_excluded_set | c10::autograd_dispatch_keyset).raw_repr();
  uint64_t autograd = c10::autograd_dispatch_keyset.raw_repr();
};
Keys keys;

bool unwatched() {
  const auto local = c10::impl::tls_local_dispatch_key_set();
  const auto excluded = local.excluded_.raw_repr();
  return !(local.included_.raw_repr() & ~keys.included) && !(excluded & ~keys.excluded) &&
      // Inference mode; wherever else autograd is switched off in this way is not our business.
      (!(excluded & keys.autograd) || !at::GradMode::is_enabled()) &&
      !c10::impl::TorchDispatchModeTLS::any_modes_set() &&
      !at::impl::torch_function_mode_enabled() &&
      settings.otherwise->load(std::memory_order_relaxed) == 0 &&
      !torch::autograd::ForwardADLevel::try_get_by_idx(0);
}

// Whether it is nothing but numbers in the memory of the CPU.
bool plain(const Tensor& tensor) {
  const auto* impl = tensor.unsafeGetTensorImpl();
  return !(impl->key_set().raw_repr() & ~keys.tensor) && impl->has_storage();
}

bool served(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kDouble || dtype == at::kHalf ||
      dtype == at::kBFloat16;
}

}  // namespace gradsmith
