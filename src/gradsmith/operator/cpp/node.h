// The backward pass of a call, as a node of autograd's graph.

#pragma once

#include "kernel.h"

#include <ATen/ops/sum.h>
#include <c10/core/SafePyObject.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/PyInterpreter.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>
#include <torch/csrc/utils/object_ptr.h>

#include <mutex>

namespace gradsmith {

using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

// The gradient of a broadcast operand: summed over the dimensions that were broadcast, by the same
// function that Python calls.
Tensor summed_to(const Tensor& product, at::IntArrayRef shape, at::ScalarType dtype) {
  at::AutoDispatchBelowADInplaceOrView unrecorded;
  const auto extra = product.dim() - static_cast<int64_t>(shape.size());
  Sizes dims;
  for (int64_t dim = 0; dim < product.dim(); ++dim) {
    if (dim < extra || (shape[dim - extra] == 1 && product.size(dim) != 1)) {
      dims.push_back(dim);
    }
  }
  const auto sum = at::sum(product, dims, true);
  if (sum.numel() != 1) {
    return sum.to(dtype).view(shape);
  }
  // A single number, such as the gradient of a slope, is not worth two calls more.
  auto made = Tensor(at::detail::empty_cpu(shape, dtype));
  const auto value = sum.scalar_type() == at::kDouble ? *sum.const_data_ptr<double>()
                                                      : *sum.const_data_ptr<float>();
  switch (dtype) {
    case at::kFloat:
      *made.mutable_data_ptr<float>() = static_cast<float>(value);
      break;
    case at::kHalf:
      *made.mutable_data_ptr<at::Half>() = static_cast<float>(value);
      break;
    case at::kBFloat16:
      *made.mutable_data_ptr<at::BFloat16>() = static_cast<float>(value);
      break;
    default:
      *made.mutable_data_ptr<double>() = value;
  }
  return made;
}

struct PointwiseBackward final : torch::autograd::Node {
  PointwiseBackward(PyObject* operation, const Operation& registered, const Plan& plan)
      : operation(Py_NewRef(operation), getPyInterpreter()), registered(registered), plan(plan) {}

  std::string name() const override {
    return "PointwiseBackward";
  }

  variable_list apply(variable_list&& gradients) override {
    const auto& given = gradients[0];
    if (!given.defined()) {
      return variable_list(num_outputs());
    }
    std::array<Tensor, kMost> values;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (size_t i = 0; i < saved.size(); ++i) {
        values[i] = saved[i].unpack(getptr());
      }
    }
    variable_list found(num_outputs());
    if (!at::GradMode::is_enabled() && unwatched() && by_kernels(values, given, found)) {
      return found;
    }
    return in_general(values, given);
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex_);
    for (auto& variable : saved) {
      variable.reset_data();
    }
  }

  void compiled_args(torch::dynamo::autograd::CompiledNodeArgs& args) const override {
    args.collect(registered.serial);
    args.collect(plan.key);
    args.collect(numbers_kept);
    args.collect(halved);
    for (const auto number : numbers) {
      args.collect(number);
    }
    for (const auto& shape : shapes) {
      args.collect(static_cast<uint64_t>(shape.size()));
      for (const auto size : shape) {
        args.collect(size);
      }
    }
    for (size_t i = 0; i < saved.size(); ++i) {
      args.collect(saved[i], keeps_output() && i + 1 == saved.size());
    }
  }

  variable_list apply_with_saved(
      const variable_list& inputs,
      torch::dynamo::autograd::SwapSavedVariables& swapped) override {
    for (auto& variable : saved) {
      swapped.before(variable);
    }
    auto result = apply(variable_list(inputs));
    for (auto& variable : saved) {
      swapped.after(variable);
    }
    return result;
  }

  const c10::SafePyObject operation;  // keeps what follows alive
  const Operation& registered;
  const Plan& plan;
  int64_t halved = kNone;  // the dimension of which the operands are the halves
  uint32_t numbers_kept = 0;  // a bit for each of what is kept that is a number
  c10::SmallVector<double, 2> numbers;
  c10::SmallVector<Sizes, 0> shapes;  // of the gradients, where one is not as the result's
  // What is kept but for numbers; of halves, one tensor for both.
  c10::SmallVector<SavedVariable, 2> saved;

  static constexpr int64_t kNone = -1;

  bool keeps_output() const {
    return !plan.kept.empty() && plan.kept.back() == registered.operands;
  }

  // Keeps what the plan says of operands and result.
  void keep(const Operands& operands, const Tensor& result) {
    for (size_t i = 0; i < plan.kept.size(); ++i) {
      const auto which = plan.kept[i];
      if (which == registered.operands) {
        saved.emplace_back(result, true);
      } else if (!operands.each[which].tensor) {
        numbers_kept |= 1u << i;
        numbers.push_back(operands.each[which].number);
      } else if (halved == kNone || saved.empty()) {
        saved.emplace_back(*operands.each[which].tensor, false);
      }
    }
  }

 private:
  using Values = std::array<Tensor, kMost>;

  bool by_kernels(const Values& values, const Tensor& g, variable_list& found) {
    Operands all;
    if (halved != kNone) {
      const Halves halves(g.sizes(), halved);
      return all_of(values, g, &halves, all) &&
          evaluate_halves(plan.together, all, halves, found[0]);
    }
    if (!all_of(values, g, nullptr, all)) {
      return false;
    }
    if (plan.terms.size() > 1 && shapes.empty() && all_needed()) {
      return evaluate(plan.together, all, false, found.data(), false);
    }
    for (size_t i = 0; i < plan.terms.size(); ++i) {
      if (task_should_compute_output(i) && !by_kernel(i, all, g, found[i])) {
        return false;
      }
    }
    return true;
  }

  // What is kept and g, as the operands of all gradients.
  bool all_of(const Values& values, const Tensor& g, const Halves* halves, Operands& all) const {
    size_t tensors = 0;
    size_t others = 0;
    for (size_t i = 0; i < plan.kept.size(); ++i) {
      if (numbers_kept >> i & 1) {
        all.add(numbers[others++]);
      } else if (halves && plan.kept[i] < registered.operands) {
        // One tensor holds them both; the output comes after them.
        const auto& whole = values[0];
        if (!plain(whole) || whole.sizes() != at::IntArrayRef(halves->whole()) ||
            !all.add((*halves)(whole, plan.kept[i]))) {
          return false;
        }
        tensors = 1;
      } else if (!all.add(values[tensors++])) {
        return false;
      }
    }
    if (!all.add(g)) {
      return false;
    }
    all.compare(plan.defaults);
    return true;
  }

  bool by_kernel(size_t i, const Operands& all, const Tensor& g, Tensor& found) const {
    const auto& term = plan.terms[i];
    if (!term.gradient) {
      return false;
    }
    Operands read;
    for (const auto which : term.reads) {
      if (all.is_number(which)) {
        read.add(all.each[which].number);
      } else {
        read.add(all.each[which]);
      }
    }
    read.add(all.each[all.count - 1]);
    read.compare(term.gradient->defaults);
    const auto& kernels = term.gradient->kernels;
    if (shapes.empty() || g.sizes() == at::IntArrayRef(shapes[i])) {
      return evaluate(kernels, read, true, &found, false);
    }
    read.key.summed = true;
    Tensor product;
    // Single elements stay tensors here, since they do for Python.
    if (!evaluate(kernels, read, false, &product, false) || product.sizes() != g.sizes()) {
      return false;
    }
    found = summed_to(product, shapes[i], all.key.dtype);
    return true;
  }

  bool all_needed() const {
    for (size_t i = 0; i < plan.terms.size(); ++i) {
      if (!task_should_compute_output(i)) {
        return false;
      }
    }
    return true;
  }

  // By Python: whatever is differentiated again, transformed or not compiled.
  variable_list in_general(const Values& values, const Tensor& g) {
    pybind11::gil_scoped_acquire locked;
    const auto count = saved.size() + numbers.size();
    THPObjectPtr kept(checked(PyTuple_New(static_cast<Py_ssize_t>(count))));
    size_t tensors = 0;
    size_t others = 0;
    for (size_t i = 0; i < count; ++i) {
      PyObject* value = numbers_kept >> i & 1 ? PyFloat_FromDouble(numbers[others++])
                                              : THPVariable_Wrap(values[tensors++]);
      PyTuple_SET_ITEM(kept.get(), static_cast<Py_ssize_t>(i), checked(value));
    }
    THPObjectPtr sizes(checked(PyTuple_New(static_cast<Py_ssize_t>(shapes.size()))));
    for (size_t i = 0; i < shapes.size(); ++i) {
      THPObjectPtr shape(checked(PyTuple_New(static_cast<Py_ssize_t>(shapes[i].size()))));
      for (size_t dim = 0; dim < shapes[i].size(); ++dim) {
        auto* size = checked(PyLong_FromLongLong(shapes[i][dim]));
        PyTuple_SET_ITEM(shape.get(), static_cast<Py_ssize_t>(dim), size);
      }
      PyTuple_SET_ITEM(sizes.get(), static_cast<Py_ssize_t>(i), shape.release());
    }
    THPObjectPtr upstream(checked(THPVariable_Wrap(g)));
    THPObjectPtr dim(checked(halved == kNone ? Py_NewRef(Py_None) : PyLong_FromLongLong(halved)));
    THPObjectPtr result(checked(PyObject_CallFunctionObjArgs(
        settings.fallback, operation.ptr(getPyInterpreter()), plan.needs, kept.get(),
        upstream.get(), sizes.get(), dim.get(), nullptr)));
    TORCH_CHECK(
        PyList_CheckExact(result.get()) && PyList_GET_SIZE(result.get()) == num_outputs(),
        "not as many gradients as operands that need one");
    return THPVariable_UnpackList(result.get());
  }

  static PyObject* checked(PyObject* made) {
    if (!made) {
      python_error error;
      error.persist();
      throw std::move(error);
    }
    return made;
  }
};

// PyTorch counts references to nodes in one of two ways, according to its version.
using NodePointer = std::decay_t<decltype(std::declval<torch::autograd::Edge>().function)>;

template <class Pointer, class... Args>
Pointer make_node(Args&&... args) {
  auto* node = new PointwiseBackward(std::forward<Args>(args)...);
  if constexpr (std::is_same_v<Pointer, std::shared_ptr<torch::autograd::Node>>) {
    using torch::autograd::Node;
    return Pointer(static_cast<Node*>(node), [](auto* given) { deleteNode(given); });
  } else {
    return Pointer::unsafe_steal_from_new(node);
  }
}

}  // namespace gradsmith
