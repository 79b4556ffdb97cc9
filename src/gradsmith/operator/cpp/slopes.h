// Random slopes, from PyTorch's generator and in its order.

#pragma once

#include "rows.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/OpMathType.h>
#include <ATen/core/DistributionsHelper.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>

#include <mutex>

namespace gradsmith {

// A generator's own numbers, without a call for each.
struct Engine {
  at::mt19937 engine;

  uint64_t random64() {
    const uint64_t high = engine();
    return high << 32 | engine();
  }
};

// For each element that is not positive a slope, in their order; 1 for all others.
template <class T>
void draw(const T* input, T* slopes, int64_t n, double lower, double upper) {
  constexpr int64_t kBlock = 256;
  const auto& numbers = at::detail::getDefaultCPUGenerator();
  auto* generator = at::check_generator<at::CPUGeneratorImpl>(numbers);
  std::lock_guard<std::mutex> lock(generator->mutex_);
  Engine drawn{generator->engine()};
  using Bound = at::opmath_type<T>;
  at::uniform_real_distribution<double> uniform(
      static_cast<Bound>(lower), static_cast<Bound>(upper));
  std::array<uint16_t, kBlock> places;
  for (int64_t begin = 0; begin < n; begin += kBlock) {
    // Signs are random: a branch for each element would cost more than this.
    const auto size = std::min(kBlock, n - begin);
    size_t count = 0;
    for (int64_t i = 0; i < size; ++i) {
      slopes[begin + i] = 1;
      places[count] = static_cast<uint16_t>(i);
      count += input[begin + i] <= 0;
    }
    for (size_t i = 0; i < count; ++i) {
      slopes[begin + places[i]] = static_cast<T>(uniform(&drawn));
    }
  }
  generator->set_engine(drawn.engine);
}

constexpr char kSlopesDoc[] =
    "slopes(input, lower, upper): what torch.ops.aten.rrelu_with_noise draws for the input.\n\n"
    "None where Python must see to it.";

PyObject* slopes(PyObject*, PyObject* const* args, Py_ssize_t given) {
  HANDLE_TH_ERRORS
  if (given != 3 || !THPVariable_CheckExact(args[0]) || !PyFloat_CheckExact(args[1]) ||
      !PyFloat_CheckExact(args[2]) || !unwatched()) {
    Py_RETURN_NONE;
  }
  const auto& input = THPVariable_Unpack(args[0]);
  const auto lower = PyFloat_AS_DOUBLE(args[1]);
  const auto upper = PyFloat_AS_DOUBLE(args[2]);
  // Of what is no interval PyTorch says so itself.
  if (!plain(input) || !input.is_contiguous() || !std::isfinite(upper - lower) || lower > upper) {
    Py_RETURN_NONE;
  }
  const auto dtype = input.scalar_type();
  if (dtype != at::kFloat && dtype != at::kDouble && dtype != at::kBFloat16) {
    Py_RETURN_NONE;
  }
  auto made = empty(input.sizes(), input.strides(), dtype);
  const auto n = input.numel();
  const void* from = input.const_data_ptr();
  void* to = made.mutable_data_ptr();
  {
    pybind11::gil_scoped_release unlocked;
    if (dtype == at::kFloat) {
      draw(static_cast<const float*>(from), static_cast<float*>(to), n, lower, upper);
    } else if (dtype == at::kDouble) {
      draw(static_cast<const double*>(from), static_cast<double*>(to), n, lower, upper);
    } else {
      draw(static_cast<const at::BFloat16*>(from), static_cast<at::BFloat16*>(to), n, lower, upper);
    }
  }
  return THPVariable_Wrap(std::move(made));
  END_HANDLE_TH_ERRORS
}

}  // namespace gradsmith
