// What Python has registered of operations: kernels and backward passes.

#pragma once

#include "settings.h"

#include <c10/util/SmallVector.h>

#include <memory>
#include <utility>

namespace gradsmith {

// Which kernel: the dtype of all tensors, and bits for the operands.
struct Key {
  at::ScalarType dtype = at::kFloat;
  bool usual = false;  // whether the numbers are defaults; then `exact` is not asked
  bool summed = false;  // whether the result is summed, and so has the digits of the computation
  uint16_t numbers = 0;  // which are numbers
  uint16_t exact = 0;  // and which of these float32 holds
  uint16_t singles = 0;  // which are tensors, and one element for a whole row
  bool operator==(const Key&) const = default;
};

// What was registered, by key. Written to under Python's global lock, read without it: a list that
// only grows.
template <class T>
class Register {
 public:
  Register() = default;
  Register(const Register&) = delete;
  Register& operator=(const Register&) = delete;
  ~Register() {
    for (auto* entry = first_.load(); entry;) {
      delete std::exchange(entry, entry->next);
    }
  }
  template <class Key>
  T* find(const Key& key) const {
    for (auto* entry = first_.load(std::memory_order_acquire); entry; entry = entry->next) {
      if (entry->value->key == key) {
        return entry->value.get();
      }
    }
    return nullptr;
  }
  void add(std::unique_ptr<T> value) {
    if (!find(value->key)) {
      first_.store(new Entry{std::move(value), first_.load()}, std::memory_order_release);
    }
  }

 private:
  struct Entry {
    std::unique_ptr<T> value;
    Entry* next;
  };
  std::atomic<Entry*> first_{nullptr};
};

using Positions = c10::SmallVector<uint8_t, kMost>;
// Of each operand, NaN where it has none; empty where none has one. See operator/usual.py.
using Defaults = c10::SmallVector<double, 2>;

struct Kernel {
  Key key;
  at::ScalarType storage;  // dtype of the results
  void* raw;  // void f(int64_t n, inputs..., outputs...)
  void (*worker)(void*);  // the same for several threads and rows; takes an array of int64_t
  int64_t grain;  // elements from which on another thread pays
  size_t outputs;
  Positions reads;  // which operands are its inputs
};

struct Operation;

// The gradient of one operand.
struct Term {
  uint8_t operand;
  PyObject* owner;  // of `gradient`
  const Operation* gradient;  // applied to what it reads of what is kept, and g
  Positions reads;
};

// The backward pass for one choice of operands that need a gradient. Immutable but for `together`.
struct Plan {
  uint32_t key = 0;  // a bit for each operand
  PyObject* needs = nullptr;  // the same, as Python has it
  Positions kept;  // operands; one beyond them is the output
  Defaults defaults;  // of what is kept and g
  c10::SmallVector<Term, 2> terms;
  Register<Kernel> together;  // all gradients at once, of what is kept and g
  ~Plan() {
    Py_XDECREF(needs);
    for (auto& term : terms) {
      Py_XDECREF(term.owner);
    }
  }
};

// What is registered of one operation. The Python operation owns it, and it owns nothing of that:
// whoever uses it keeps the operation alive.
struct Operation {
  size_t operands = 0;
  Defaults defaults;
  uint64_t serial = 0;  // never used twice
  Register<Kernel> kernels;
  Register<Plan> plans;
  std::atomic<uint32_t> masked{0};  // a bit for the operand of which a mask may be kept
  std::atomic<int64_t> least{0};  // elements from which on it is
};

}  // namespace gradsmith
