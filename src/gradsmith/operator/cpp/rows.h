// The rows of operands that are not alike, as operator/layout.py finds them for Python, which says
// what a row is and when operands are copied instead.

#pragma once

#include "operands.h"
#include "pool.h"

#include <ATen/ExpandUtils.h>
#include <c10/core/Contiguity.h>

#include <algorithm>
#include <cstring>

namespace gradsmith {

constexpr size_t kResult = kMost;  // position of the result among strides

struct Rows {
  int64_t row = 1;  // elements of one
  size_t dims = 0;  // that rows are counted in, the last one changing fastest
  std::array<int64_t, kDims> sizes;
  std::array<std::array<int64_t, kDims>, kMost + 1> strides;  // in elements
};

// A new tensor of these strides.
Tensor empty(at::IntArrayRef shape, at::IntArrayRef strides, at::ScalarType storage) {
  if (auto made = pooled(shape, strides, storage); made.defined()) {
    return made;
  }
  Tensor made(at::detail::empty_cpu(shape, storage));
  // Where a dimension has one element, its stride may be anything, and is handed on.
  if (made.strides() != strides) {
    made = Tensor(at::detail::empty_strided_cpu(shape, strides, storage));
  }
  return made;
}

// The strides of a tensor without gaps, the last dimension changing fastest.
Sizes dense_strides(at::IntArrayRef shape) {
  Sizes strides(shape.size(), 1);
  for (size_t dim = shape.size(); dim-- > 1;) {
    strides[dim - 1] = strides[dim] * std::max<int64_t>(shape[dim], 1);
  }
  return strides;
}

// The strides of a new tensor laid out like the operands, as torch's own functions choose it.
Sizes result_strides(const Operands& operands, const Sizes& shape) {
  const Operand* full = nullptr;
  for (size_t i = 0; i < operands.count; ++i) {
    const auto& operand = operands.each[i];
    if (operands.is_number(i) || operand.sizes != at::IntArrayRef(shape)) {
      continue;
    }
    full = full ? full : &operand;
    if (operand.contiguous ||
        c10::_compute_non_overlapping_and_dense<int64_t>(operand.sizes, operand.strides)) {
      return Sizes(operand.strides.begin(), operand.strides.end());
    }
  }
  if (full) {
    const auto strides = at::infer_dense_strides(full->sizes, full->strides);
    return Sizes(strides.begin(), strides.end());
  }
  return dense_strides(shape);
}

// Strides of an operand once it is expanded to the shape.
void expand(const Operand& operand, at::IntArrayRef shape, std::array<int64_t, kDims>& strides) {
  const auto missing = shape.size() - operand.sizes.size();
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    const bool moves = dim >= missing && operand.sizes[dim - missing] != 1;
    strides[dim] = moves ? operand.strides[dim - missing] : 0;
  }
}

// The rows and, in the key, which operands are one element within a row; false where there are
// none that are long enough to be worth it.
bool find_rows(
    Operands& operands, at::IntArrayRef shape, at::IntArrayRef result, Rows& rows) {
  Sizes walked;
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    if (shape[dim] > 1) {
      walked.push_back(static_cast<int64_t>(dim));
    }
  }
  std::stable_sort(
      walked.begin(), walked.end(), [&](auto a, auto b) { return result[a] > result[b]; });
  std::array<std::array<int64_t, kDims>, kMost + 1> strides;
  c10::SmallVector<uint8_t, kMost + 1> known;
  for (size_t i = 0; i < operands.count; ++i) {
    if (!operands.is_number(i)) {
      expand(operands.each[i], shape, strides[i]);
      known.push_back(static_cast<uint8_t>(i));
    }
  }
  std::copy(result.begin(), result.end(), strides[kResult].begin());
  known.push_back(kResult);
  size_t dims = 0;
  for (const auto dim : walked) {
    const auto size = shape[dim];
    const bool continues = dims && std::all_of(known.begin(), known.end(), [&](auto i) {
                             return rows.strides[i][dims - 1] == strides[i][dim] * size;
                           });
    rows.sizes[continues ? dims - 1 : dims] = continues ? rows.sizes[dims - 1] * size : size;
    dims += !continues;
    for (const auto i : known) {
      rows.strides[i][dims - 1] = strides[i][dim];
    }
  }
  rows.row = dims ? rows.sizes[--dims] : 1;
  rows.dims = dims;
  operands.key.singles = 0;
  for (const auto i : known) {
    const auto step = rows.row > 1 ? rows.strides[i][dims] : 0;
    if (step != 0 && step != 1) {
      return false;
    }
    if (step == 0 && i != kResult) {
      operands.key.singles |= 1u << i;
    }
  }
  return !dims || rows.row >= settings.shortest || rows.row % settings.whole == 0;
}

template <class T>
void copy_elements(
    void* to, const void* from, const Rows& dims, size_t depth, size_t target, size_t source) {
  const auto step = dims.strides[target][depth];
  const auto stride = dims.strides[source][depth];
  auto* there = static_cast<T*>(to);
  const auto* here = static_cast<const T*>(from);
  const auto size = dims.sizes[depth];
  if (depth + 1 < dims.dims) {
    for (int64_t i = 0; i < size; ++i) {
      copy_elements<T>(there + i * step, here + i * stride, dims, depth + 1, target, source);
    }
  } else if (step == 1 && stride == 1) {
    std::memcpy(there, here, static_cast<size_t>(size) * sizeof(T));
  } else {
    for (int64_t i = 0; i < size; ++i) {
      there[i * step] = here[i * stride];
    }
  }
}

// Copies elements of a shape between two layouts, on this thread.
void copy(
    void* to, at::IntArrayRef steps, const void* from, at::IntArrayRef strides,
    at::IntArrayRef shape, size_t itemsize) {
  constexpr size_t target = 0, source = 1;
  Rows dims;
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    if (shape[dim] > 1) {
      dims.sizes[dims.dims] = shape[dim];
      dims.strides[target][dims.dims] = steps[dim];
      dims.strides[source][dims.dims++] = strides[dim];
    }
  }
  if (!dims.dims) {  // one element
    dims.sizes[0] = dims.strides[target][0] = dims.strides[source][0] = 1;
    dims.dims = 1;
  }
  const auto copied = itemsize == 2 ? copy_elements<uint16_t>
      : itemsize == 4               ? copy_elements<uint32_t>
                                    : copy_elements<uint64_t>;
  copied(to, from, dims, 0, target, source);
}

}  // namespace gradsmith
