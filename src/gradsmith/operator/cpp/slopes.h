// Random slopes, from PyTorch's generator and in its order.

#pragma once

#include "draw.h"
#include "rows.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/OpMathType.h>
#include <ATen/core/DistributionsHelper.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/utils/pybind.h>

#include <mutex>

namespace gradsmith {

// For each element that is not positive a slope, in their order; 1 for all others. False where the
// generator counts words that its state does not have, as after set_rng_state() it may.
template <class T, class Stored>
bool draw_slopes(const void* input, void* slopes, int64_t n, double lower, double upper) {
  const auto& numbers = at::detail::getDefaultCPUGenerator();
  auto* generator = at::check_generator<at::CPUGeneratorImpl>(numbers);
  using Bound = at::opmath_type<T>;
  const double from = static_cast<Bound>(lower), to = static_cast<Bound>(upper);
  // Which says what is wrong with bounds.
  static_cast<void>(at::uniform_real_distribution<double>(from, to));
  std::lock_guard<std::mutex> lock(generator->mutex_);
  auto engine = generator->engine();
  auto data = engine.data();
  static_assert(std::tuple_size_v<decltype(data.state_)> == kBlock);
  Twister twister;
  twister.next = data.next_;
  twister.end = twister.next + data.left_ - 1;
  if (data.left_ < 1 || twister.end > kBlock) {
    return false;
  }
  std::copy(data.state_.begin(), data.state_.end(), twister.state.begin());
  draw(
      twister, steps<Stored>(), static_cast<const Stored*>(input), static_cast<Stored*>(slopes), n,
      from, to - from);
  std::copy_n(twister.state.begin(), kBlock, data.state_.begin());
  data.next_ = static_cast<uint32_t>(twister.next);
  data.left_ = static_cast<int>(twister.end - twister.next + 1);
  engine.set_data(data);
  generator->set_engine(engine);
  return true;
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
  bool drawn = false;
  {
    pybind11::gil_scoped_release unlocked;
    if (dtype == at::kFloat) {
      drawn = draw_slopes<float, float>(from, to, n, lower, upper);
    } else if (dtype == at::kDouble) {
      drawn = draw_slopes<double, double>(from, to, n, lower, upper);
    } else {
      drawn = draw_slopes<at::BFloat16, uint16_t>(from, to, n, lower, upper);
    }
  }
  if (!drawn) {
    Py_RETURN_NONE;
  }
  return THPVariable_Wrap(std::move(made));
  END_HANDLE_TH_ERRORS
}

}  // namespace gradsmith
