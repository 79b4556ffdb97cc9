// Kernels: the same that Python calls, and so the same bits.

#pragma once

#include "rows.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>
#include <torch/csrc/utils/pybind.h>

namespace gradsmith {

using Pointers = std::array<void*, kMost>;

template <size_t... I>
void call(void* raw, int64_t n, void* const* pointers, std::index_sequence<I...>) {
  reinterpret_cast<void (*)(int64_t, decltype((void)I, (void*)nullptr)...)>(raw)(n, pointers[I]...);
}

template <size_t N>
void call_with(void* raw, int64_t n, void* const* pointers) {
  call(raw, n, pointers, std::make_index_sequence<N>());
}

template <size_t... I>
constexpr auto callers(std::index_sequence<I...>) {
  return std::array<void (*)(void*, int64_t, void* const*), sizeof...(I)>{call_with<I>...};
}

// One kernel and where it reads and writes; the last `outputs` of its pointers are written to.
struct Call {
  const Kernel* kernel = nullptr;
  int64_t n = 0;  // elements
  Pointers pointers;
  size_t count = 0;
  Rows rows;
  std::array<uint8_t, kMost> lies;  // which strides of `rows` are a pointer's; unused for a number
  c10::SmallVector<Tensor, 2> copies;  // of operands that do not lie in rows
  bool is_short = false;  // whether operands that do not may be copied here

  void read(const Operands& operands) {
    for (const auto i : kernel->reads) {
      const auto& operand = operands.each[i];
      const void* address =
          operands.is_number(i) ? static_cast<const void*>(&operand.number) : operand.data;
      lies[count] = operands.is_number(i) ? kMost + 1 : i;
      pointers[count++] = const_cast<void*>(address);
    }
  }

  void write(void* address) {
    lies[count] = kResult;
    pointers[count++] = address;
  }

  void run() {
    static constexpr auto table = callers(std::make_index_sequence<kMost + 1>());
    int64_t threads = 1;
    const auto parallel = settings.parallel.load(std::memory_order_relaxed);
    if (n > kernel->grain && parallel) {
      const int64_t pay = (n + kernel->grain - 1) / kernel->grain;
      threads = std::min<int64_t>(at::get_num_threads(), pay);
    }
    if (threads == 1 && !rows.dims) {
      table[count](kernel->raw, n, pointers.data());
    } else {
      run_worker(parallel, threads);
    }
  }

  // For a call from Python, whose global lock this thread holds.
  void run_locked() {
    RECORD_FUNCTION("Pointwise", c10::ArrayRef<const c10::IValue>{});
    if (n > kShort) {
      pybind11::gil_scoped_release unlocked;
      run();
    } else {
      run();
    }
  }

 private:
  // As task() of backends/llvm_worker.py writes it.
  void run_worker(Settings::Parallel parallel, int64_t threads) {
    std::array<int64_t, 5 + kMost + kDims * (kMost + 1)> task;
    auto* next = task.data();
    *next++ = n;
    *next++ = threads > 1 ? settings.rank : 0;
    *next++ = threads > 1 ? settings.ranks : 0;
    *next++ = static_cast<int64_t>(rows.dims);
    *next++ = rows.dims ? rows.row : n;
    for (size_t k = 0; k < count; ++k) {
      *next++ = reinterpret_cast<int64_t>(pointers[k]);
    }
    next = std::copy_n(rows.sizes.begin(), rows.dims, next);
    for (size_t k = 0; k < count; ++k) {
      const auto dtype = k < count - kernel->outputs ? kernel->key.dtype : kernel->storage;
      const auto itemsize = static_cast<int64_t>(c10::elementSize(dtype));
      for (size_t dim = 0; dim < rows.dims; ++dim) {
        *next++ = lies[k] > kResult ? 0 : itemsize * rows.strides[lies[k]][dim];
      }
    }
    if (threads > 1) {
      parallel(kernel->worker, task.data(), static_cast<unsigned>(threads), 0);
    } else {
      kernel->worker(task.data());
    }
  }
};

// Copies of those operands that lie otherwise than a result of these strides.
void copy_operands(
    Operands& operands, at::IntArrayRef shape, at::IntArrayRef strides, Call& call) {
  for (size_t i = 0; i < operands.count; ++i) {
    auto& operand = operands.each[i];
    if (operands.is_number(i) || operand.numel() == 1 ||
        (operand.sizes == shape && operand.strides == strides)) {
      continue;
    }
    std::array<int64_t, kDims> expanded;
    expand(operand, shape, expanded);
    auto made = empty(shape, strides, operands.key.dtype);
    auto* data = static_cast<char*>(made.mutable_data_ptr());
    copy(data, strides, operand.data, {expanded.data(), shape.size()}, shape, made.itemsize());
    operand.data = data;
    operand.sizes = shape;
    operand.strides = strides;
    call.copies.push_back(std::move(made));
  }
}

// Finds the rows and the kernel for operands that are not all alike; false where Python must see
// to it. `dense`: whether results of these sizes and strides lie without gaps.
bool prepare_rows(
    const Register<Kernel>& kernels, Operands& operands, at::IntArrayRef shape,
    at::IntArrayRef strides, bool dense, Call& call) {
  call.n = c10::multiply_integers(shape);
  if (!call.n) {
    return false;
  }
  if (!find_rows(operands, shape, strides, call.rows)) {
    call.is_short = call.n <= settings.grain;
    if (!call.is_short || !dense) {
      return false;
    }
    copy_operands(operands, shape, strides, call);
    if (!find_rows(operands, shape, strides, call.rows)) {
      return false;
    }
  }
  call.kernel = kernels.find(operands.key);
  return call.kernel != nullptr;
}

// Computes results that are as many as the kernel's outputs; false where there is no kernel yet,
// or Python must see to it for another reason. `take_singles`: whether Python takes them as numbers
// here; `locked`: whether this is a call from Python.
bool evaluate(
    const Register<Kernel>& kernels, Operands& operands, bool take_singles, Tensor* results,
    bool locked) {
  Call call;
  Sizes common, own;
  at::IntArrayRef shape, strides;
  if (operands.alike || (take_singles && operands.take_singles())) {
    call.kernel = kernels.find(operands.key);
    if (!call.kernel) {
      return false;
    }
    const auto& like = *operands.first;
    call.n = like.numel();
    shape = like.sizes;
    strides = like.strides;
  } else {
    if (!operands.find_shape(common)) {
      return false;
    }
    own = result_strides(operands, common);
    shape = common;
    strides = own;
    if (!prepare_rows(kernels, operands, shape, strides, true, call)) {
      return false;
    }
  }
  call.read(operands);
  for (size_t i = 0; i < call.kernel->outputs; ++i) {
    results[i] = empty(shape, strides, call.kernel->storage);
    call.write(results[i].mutable_data_ptr());
  }
  locked ? call.run_locked() : call.run();
  return true;
}

// The same of a kernel with two outputs, which become the halves of one new tensor.
bool evaluate_halves(
    const Register<Kernel>& kernels, Operands& operands, const Halves& halves, Tensor& result) {
  Call call;
  const auto shape = halves.shape();
  const auto whole = halves.whole();
  auto made = empty(whole, dense_strides(whole), operands.key.dtype);
  auto* data = static_cast<char*>(made.mutable_data_ptr());
  const auto offset = made.itemsize() * halves.offset(made.strides());
  if (prepare_rows(kernels, operands, shape, made.strides(), false, call)) {
    call.read(operands);
    call.write(data);
    call.write(data + offset);
    call.run();
  } else {
    Tensor parts[2];
    if (!call.is_short || !evaluate(kernels, operands, false, parts, false)) {
      return false;
    }
    for (size_t i = 0; i < 2; ++i) {
      copy(
          data + i * offset, made.strides(), parts[i].const_data_ptr(), parts[i].strides(), shape,
          made.itemsize());
    }
  }
  result = std::move(made);
  return true;
}

}  // namespace gradsmith
