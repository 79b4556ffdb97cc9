// Operands of a call as they lie in memory, and the shape of its result.

#pragma once

#include "registered.h"

#include <ATen/EmptyTensor.h>
#include <ATen/ops/empty_like.h>

#include <array>

namespace gradsmith {

constexpr size_t kDims = 8;  // of tensors that are not all alike

using Sizes = c10::SmallVector<int64_t, kDims>;

// Without initial values: there is room for more than a call has.
struct Operand {
  const Tensor* tensor;  // null for what was given as a number
  double number;
  const char* data;
  at::IntArrayRef sizes;
  at::IntArrayRef strides;
  bool contiguous;

  int64_t numel() const {
    return c10::multiply_integers(sizes);
  }
};

double value_of(const Operand& operand) {
  switch (operand.tensor->scalar_type()) {
    case at::kFloat:
      return *reinterpret_cast<const float*>(operand.data);
    case at::kHalf:
      return *reinterpret_cast<const at::Half*>(operand.data);
    case at::kBFloat16:
      return *reinterpret_cast<const at::BFloat16*>(operand.data);
    default:
      return *reinterpret_cast<const double*>(operand.data);
  }
}

// The halves of a tensor along a dimension, as operands.
class Halves {
 public:
  // Of a tensor without gaps of which a half, or something like it, has this shape.
  Halves(at::IntArrayRef half, int64_t dim) : shape_(half.begin(), half.end()), dim_(dim) {}

  at::IntArrayRef shape() const {
    return shape_;
  }

  Sizes whole() const {
    auto sizes = shape_;
    sizes[dim_] *= 2;
    return sizes;
  }

  // From the first half to the second, in elements.
  int64_t offset(at::IntArrayRef strides) const {
    return shape_[dim_] * strides[dim_];
  }

  Operand operator()(const Tensor& whole, int which) const {
    const auto* data = static_cast<const char*>(whole.const_data_ptr());
    const auto strides = whole.strides();
    const auto places = which ? offset(strides) * static_cast<int64_t>(whole.itemsize()) : 0;
    const auto ahead = c10::multiply_integers(shape_.begin(), shape_.begin() + dim_);
    return {&whole, 0, data + places, shape_, strides, ahead == 1 && whole.is_contiguous()};
  }

 private:
  Sizes shape_;
  int64_t dim_;
};

// Plain tensors of one dtype and numbers, in the order of the operation's operands.
struct Operands {
  std::array<Operand, kMost> each;
  size_t count = 0;
  Key key;
  const Operand* first = nullptr;  // that is a tensor, and no number by its key
  bool alike = true;  // tensors are contiguous and of one shape

  Operands() = default;
  Operands(const Operands&) = delete;
  Operands& operator=(const Operands&) = delete;

  bool is_number(size_t i) const {
    return key.numbers >> i & 1;
  }

  void add(double number) {
    each[count].tensor = nullptr;
    set_number(count++, number);
  }

  void set_number(size_t i, double number) {
    each[i].number = number;
    key.numbers |= 1u << i;
    key.exact |= static_cast<uint16_t>(static_cast<float>(number) == number) << i;
  }

  // Finds out whether every parameter is a number and its default, and nothing else is a number.
  void compare(const Defaults& defaults) {
    if (defaults.empty()) {
      return;
    }
    for (size_t i = 0; i < count; ++i) {
      const auto wanted = defaults[i];
      const auto number = each[i].number;
      const bool as_wanted = std::isnan(wanted)
          ? !is_number(i)
          : is_number(i) && number == wanted && std::signbit(number) == std::signbit(wanted);
      if (!as_wanted) {
        return;
      }
    }
    key.usual = true;
    key.exact = 0;
  }

  // False where it is not plain, or of another dtype than those before it.
  bool add(const Tensor& tensor) {
    if (!plain(tensor)) {
      return false;
    }
    const auto* data = static_cast<const char*>(tensor.const_data_ptr());
    return add({&tensor, 0, data, tensor.sizes(), tensor.strides(), tensor.is_contiguous()});
  }

  bool add(const Operand& operand) {
    const auto dtype = operand.tensor->scalar_type();
    auto& place = each[count++];
    place = operand;
    if (!first) {
      if (!served(dtype)) {
        return false;
      }
      first = &place;
      key.dtype = dtype;
      alike = place.contiguous;
    } else if (dtype != key.dtype) {
      return false;
    } else {
      alike = alike && place.contiguous && place.sizes == first->sizes;
    }
    return true;
  }

  // As native.quick_with_singles of Python: whether all is alike once single elements among larger
  // tensors, such as a learned slope, are numbers; if so, they are.
  bool take_singles() {
    int64_t dims = -1;
    for (size_t i = 0; i < count; ++i) {
      if (!is_number(i) && each[i].numel() != 1) {
        dims = std::max<int64_t>(dims, each[i].sizes.size());
      }
    }
    uint16_t taken = 0;
    const Operand* larger = nullptr;
    for (size_t i = 0; i < count; ++i) {
      auto& operand = each[i];
      if (is_number(i)) {
        continue;
      }
      if (static_cast<int64_t>(operand.sizes.size()) <= dims && operand.numel() == 1) {
        operand.number = value_of(operand);
        if (!is_moderate(operand.number)) {
          return false;
        }
        taken |= 1u << i;
      } else if (!operand.contiguous || (larger && operand.sizes != larger->sizes)) {
        return false;
      } else if (!larger) {
        larger = &operand;
      }
    }
    if (!taken) {
      return false;
    }
    key.usual = false;
    for (size_t i = 0; i < count; ++i) {
      if (is_number(i) || taken >> i & 1) {
        set_number(i, each[i].number);
      }
    }
    first = larger;
    alike = true;
    return true;
  }

  // The shape that all tensors broadcast to; false where there is none, or too many dimensions.
  bool find_shape(Sizes& found) const {
    size_t dims = 0;
    for (size_t i = 0; i < count; ++i) {
      dims = is_number(i) ? dims : std::max(dims, each[i].sizes.size());
    }
    if (dims > kDims) {
      return false;
    }
    found.assign(dims, 1);
    for (size_t i = 0; i < count; ++i) {
      if (is_number(i)) {
        continue;
      }
      const auto sizes = each[i].sizes;
      for (size_t dim = dims - sizes.size(), own = 0; dim < dims; ++dim, ++own) {
        if (sizes[own] != 1 && found[dim] != sizes[own]) {
          if (found[dim] != 1) {
            return false;
          }
          found[dim] = sizes[own];
        }
      }
    }
    return true;
  }
};

}  // namespace gradsmith
