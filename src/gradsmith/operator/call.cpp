// The common call of a pointwise operation, forward and backward, without Python.
//
// Operands are dense contiguous CPU tensors of one shape and dtype, and numbers; nobody looks on
// but autograd. Everything else is Python's business: a call returns None, a backward pass calls
// back. So are all decisions: what to compile, what to keep, which gradients there are. Python
// makes them once and registers the result here, under the same keys that it uses itself.
//
// Kernels are the ones that Python calls, so that the bits are the same.

#include <torch/csrc/python_headers.h>

#include <ATen/EmptyTensor.h>
#include <ATen/Parallel.h>
#include <ATen/PythonTorchFunctionTLS.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/record_function.h>
#include <c10/core/SafePyObject.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/Dtype.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/PyInterpreter.h>
#include <torch/csrc/autograd/forward_grad.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/python_cpp_function.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>

#ifndef _WIN32
#include <pthread.h>
#endif

#include <array>
#include <atomic>
#include <cmath>
#include <memory>
#include <mutex>
#include <utility>

namespace {

using at::Tensor;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;

constexpr size_t kMost = 8;  // operands of a call, and pointers that a kernel takes
constexpr int64_t kShort = 4096;  // elements that are computed before the lock changes hands

// What Python decides once for this process.
struct Settings {
  using Parallel = void (*)(void (*)(void*), void*, unsigned, unsigned);
  std::atomic<Parallel> parallel{nullptr};  // GOMP_parallel of the runtime that PyTorch has loaded
  int64_t rank = 0;  // address of int f(void): the number of this thread
  int64_t ranks = 0;  // and of how many
  int64_t grain = 0;  // elements that a thread should have
  double moderate = 0;  // the size of numbers for which one kernel serves, as its inverse is
  const std::atomic<int64_t>* otherwise = nullptr;  // contexts that chose another backend
  PyObject* fallback = nullptr;  // (operation, needs, values, g) -> the gradients
};
Settings settings;

// As fits_words of numerics/ladder.py has it; false for NaN.
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
      !c10::impl::TorchDispatchModeTLS::any_modes_set() && !at::impl::torch_function_mode_enabled() &&
      settings.otherwise->load(std::memory_order_relaxed) == 0 &&
      !torch::autograd::ForwardADLevel::try_get_by_idx(0);
}

// Whether it is nothing but numbers in the memory of the CPU.
bool plain(const Tensor& tensor) {
  const auto* impl = tensor.unsafeGetTensorImpl();
  return !(impl->key_set().raw_repr() & ~keys.tensor) && impl->has_storage();
}

bool served(at::ScalarType dtype) {
  return dtype == at::kFloat || dtype == at::kBFloat16 || dtype == at::kHalf || dtype == at::kDouble;
}

// Which kernel: the dtype of all tensors, and a bit for each operand that is a number.
struct Key {
  at::ScalarType dtype;
  uint32_t numbers;
  bool operator==(const Key& other) const {
    return dtype == other.dtype && numbers == other.numbers;
  }
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
  T* find(Key key) const {
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

struct Kernel {
  Key key;
  void* raw;  // void f(int64_t n, inputs..., outputs...)
  void (*worker)(void*);  // the same for several threads; its argument is an array of int64_t
  size_t outputs;
  c10::SmallVector<uint8_t, kMost> reads;  // which operands are its inputs
};

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

// Fills the outputs; the last `outputs` of `pointers` are theirs.
void compute(const Kernel& kernel, int64_t n, void* const* pointers, size_t count) {
  static constexpr auto table = callers(std::make_index_sequence<kMost + 1>());
  int64_t threads = 1;
  const auto parallel = settings.parallel.load(std::memory_order_relaxed);
  if (n > settings.grain && parallel) {
    const int64_t pay = (n + settings.grain - 1) / settings.grain;
    threads = std::min<int64_t>(at::get_num_threads(), pay);
  }
  if (threads == 1) {
    table[count](kernel.raw, n, pointers);
    return;
  }
  std::array<int64_t, 5 + kMost> task{n, settings.rank, settings.ranks, 0, n};
  for (size_t i = 0; i < count; ++i) {
    task[5 + i] = reinterpret_cast<int64_t>(pointers[i]);
  }
  parallel(kernel.worker, task.data(), static_cast<unsigned>(threads), 0);
}

struct Operation;

// The gradient of one operand.
struct Term {
  uint8_t operand;
  PyObject* owner;  // of `gradient`
  const Operation* gradient;  // applied to what it reads of what is kept, and g
  c10::SmallVector<uint8_t, kMost> reads;
};

// The backward pass for one choice of operands that need a gradient. Immutable but for `together`.
struct Plan {
  uint32_t key = 0;  // a bit for each operand
  PyObject* needs = nullptr;  // the same, as Python has it
  c10::SmallVector<uint8_t, kMost> kept;  // operands; one beyond them is the output
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
  uint64_t serial = 0;  // never used twice
  Register<Kernel> kernels;
  Register<Plan> plans;
};

// Tensors and numbers in the order of the operands.
struct Operands {
  std::array<const Tensor*, kMost> tensors;  // null for a number
  std::array<double, kMost> numbers;
  size_t count = 0;
  Key key{at::kFloat, 0};
  const Tensor* first = nullptr;

  void add(double number) {
    key.numbers |= 1u << count;
    tensors[count] = nullptr;
    numbers[count++] = number;
  }
  // False where it is not like those before it.
  bool add(const Tensor& tensor) {
    if (!plain(tensor) || !tensor.is_contiguous()) {
      return false;
    }
    const auto dtype = tensor.scalar_type();
    if (!first) {
      if (!served(dtype)) {
        return false;
      }
      first = &tensor;
      key.dtype = dtype;
    } else if (dtype != key.dtype || tensor.sizes() != first->sizes()) {
      return false;
    }
    tensors[count++] = &tensor;
    return true;
  }
};

Tensor empty_result(const Tensor& tensor) {
  Tensor made(at::detail::empty_cpu(tensor.sizes(), tensor.scalar_type()));
  // Where a dimension has one element, its stride may be anything, and is handed on.
  return made.strides() == tensor.strides() ? made : at::empty_like(tensor);
}

// `locked`: whether this thread holds Python's global lock.
void apply_kernel(const Kernel& kernel, const Operands& operands, Tensor* results, bool locked) {
  std::array<void*, kMost> pointers;
  size_t count = 0;
  for (const auto i : kernel.reads) {
    const void* address =
        operands.tensors[i] ? operands.tensors[i]->const_data_ptr() : &operands.numbers[i];
    pointers[count++] = const_cast<void*>(address);
  }
  for (size_t i = 0; i < kernel.outputs; ++i) {
    results[i] = empty_result(*operands.first);
    pointers[count++] = results[i].mutable_data_ptr();
  }
  const auto n = operands.first->numel();
  if (locked && n > kShort) {
    pybind11::gil_scoped_release unlocked;
    compute(kernel, n, pointers.data(), count);
  } else {
    compute(kernel, n, pointers.data(), count);
  }
}

// PyTorch counts references to nodes in one of two ways, according to its version.
using NodePointer = std::decay_t<decltype(std::declval<torch::autograd::Edge>().function)>;

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
    for (const auto number : numbers) {
      args.collect(number);
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
  uint32_t numbers_kept = 0;  // a bit for each of what is kept that is a number
  c10::SmallVector<double, 2> numbers;
  c10::SmallVector<SavedVariable, 2> saved;

  bool keeps_output() const {
    return !plan.kept.empty() && plan.kept.back() == registered.operands;
  }

 private:
  bool by_kernels(const std::array<Tensor, kMost>& values, const Tensor& given, variable_list& found) {
    Tensor g = given;
    if (plain(g) && !g.is_contiguous()) {
      if (g.numel() > settings.grain) {
        return false;  // for so many elements it pays to read it as it lies
      }
      g = g.contiguous();
    }
    Operands all;
    size_t tensors = 0;
    size_t others = 0;
    for (size_t i = 0; i < plan.kept.size(); ++i) {
      if (numbers_kept >> i & 1) {
        all.add(numbers[others++]);
      } else if (!all.add(values[tensors++])) {
        return false;
      }
    }
    if (!all.add(g)) {
      return false;
    }
    if (plan.terms.size() > 1 && all_needed()) {
      if (const auto* kernel = plan.together.find(all.key)) {
        apply_kernel(*kernel, all, found.data(), false);
        return true;
      }
    }
    for (size_t i = 0; i < plan.terms.size(); ++i) {
      const auto& term = plan.terms[i];
      if (!task_should_compute_output(i)) {
        continue;
      }
      if (!term.gradient) {
        return false;
      }
      Operands read;
      for (const auto which : term.reads) {
        if (all.tensors[which]) {
          read.add(*all.tensors[which]);
        } else {
          read.add(all.numbers[which]);
        }
      }
      read.add(g);
      const auto* kernel = term.gradient->kernels.find(read.key);
      if (!kernel) {
        return false;
      }
      apply_kernel(*kernel, read, &found[i], false);
    }
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

  // By Python: whatever is differentiated again, transformed, laid out otherwise or not compiled.
  variable_list in_general(const std::array<Tensor, kMost>& values, const Tensor& g) {
    pybind11::gil_scoped_acquire locked;
    THPObjectPtr kept(PyTuple_New(static_cast<Py_ssize_t>(plan.kept.size())));
    if (!kept) {
      throw_error();
    }
    size_t tensors = 0;
    size_t others = 0;
    for (size_t i = 0; i < plan.kept.size(); ++i) {
      PyObject* value = numbers_kept >> i & 1 ? PyFloat_FromDouble(numbers[others++])
                                              : THPVariable_Wrap(values[tensors++]);
      if (!value) {
        throw_error();
      }
      PyTuple_SET_ITEM(kept.get(), static_cast<Py_ssize_t>(i), value);
    }
    THPObjectPtr upstream(THPVariable_Wrap(g));
    if (!upstream) {
      throw_error();
    }
    THPObjectPtr result(PyObject_CallFunctionObjArgs(
        settings.fallback, operation.ptr(getPyInterpreter()), plan.needs, kept.get(),
        upstream.get(), nullptr));
    if (!result) {
      throw_error();
    }
    TORCH_CHECK(
        PyList_CheckExact(result.get()) && PyList_GET_SIZE(result.get()) == num_outputs(),
        "not as many gradients as operands that need one");
    return THPVariable_UnpackList(result.get());
  }

  [[noreturn]] static void throw_error() {
    python_error error;
    error.persist();
    throw std::move(error);
  }
};

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

struct OperationObject {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  Operation operation;
};

// (operation, operands) -> the result; None where Python must see to it.
PyObject* operation_call(PyObject* self, PyObject* const* args, size_t given, PyObject* names) {
  HANDLE_TH_ERRORS
  if (PyVectorcall_NARGS(given) != 2 || names || !PyTuple_CheckExact(args[1])) {
    Py_RETURN_NONE;
  }
  const auto& registered = reinterpret_cast<OperationObject*>(self)->operation;
  const auto count = static_cast<size_t>(PyTuple_GET_SIZE(args[1]));
  if (count != registered.operands || !unwatched()) {
    Py_RETURN_NONE;
  }
  const bool recording = at::GradMode::is_enabled();
  uint32_t needs = 0;
  Operands operands;
  for (size_t i = 0; i < count; ++i) {
    PyObject* item = PyTuple_GET_ITEM(args[1], static_cast<Py_ssize_t>(i));
    if (PyFloat_CheckExact(item)) {
      if (!is_moderate(PyFloat_AS_DOUBLE(item))) {
        Py_RETURN_NONE;
      }
      operands.add(PyFloat_AS_DOUBLE(item));
    } else if (PyLong_CheckExact(item)) {
      const double number = PyLong_AsDouble(item);
      if (number == -1 && PyErr_Occurred()) {
        PyErr_Clear();
        Py_RETURN_NONE;
      }
      if (!is_moderate(number)) {
        Py_RETURN_NONE;
      }
      operands.add(number);
    } else if (THPVariable_CheckExact(item)) {
      const auto& tensor = THPVariable_Unpack(item);
      if (!operands.add(tensor)) {
        Py_RETURN_NONE;
      }
      needs |= static_cast<uint32_t>(recording && tensor.requires_grad()) << i;
    } else {
      Py_RETURN_NONE;
    }
  }
  if (!operands.first) {
    Py_RETURN_NONE;
  }
  const auto* kernel = registered.kernels.find(operands.key);
  const auto* plan = needs ? registered.plans.find(needs) : nullptr;
  if (!kernel || (needs && !plan)) {
    Py_RETURN_NONE;
  }
  RECORD_FUNCTION("Pointwise", c10::ArrayRef<const c10::IValue>{});
  Tensor result;
  apply_kernel(*kernel, operands, &result, true);
  if (plan) {
    const auto pointer = make_node<NodePointer>(args[0], registered, *plan);
    auto* node = static_cast<PointwiseBackward*>(pointer.get());
    for (const auto& term : plan->terms) {
      node->add_next_edge(torch::autograd::impl::gradient_edge(*operands.tensors[term.operand]));
    }
    torch::autograd::set_history(result, pointer);
    for (size_t i = 0; i < plan->kept.size(); ++i) {
      const auto which = plan->kept[i];
      if (which == count) {
        node->saved.emplace_back(result, true);
      } else if (operands.tensors[which]) {
        node->saved.emplace_back(*operands.tensors[which], false);
      } else {
        node->numbers_kept |= 1u << i;
        node->numbers.push_back(operands.numbers[which]);
      }
    }
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

PyObject* operation_new(PyTypeObject* type, PyObject* args, PyObject* names) {
  static std::atomic<uint64_t> serial{0};
  Py_ssize_t operands = 0;
  if (!PyArg_ParseTuple(args, "n", &operands)) {
    return nullptr;
  }
  if (operands < 1 || operands > static_cast<Py_ssize_t>(kMost)) {
    return PyErr_Format(PyExc_ValueError, "1 to %zu operands, got %zd", kMost, operands);
  }
  auto* self = reinterpret_cast<OperationObject*>(type->tp_alloc(type, 0));
  if (self) {
    self->vectorcall = operation_call;
    new (&self->operation) Operation;
    self->operation.operands = static_cast<size_t>(operands);
    self->operation.serial = ++serial;
  }
  return reinterpret_cast<PyObject*>(self);
}

void operation_free(PyObject* self) {
  reinterpret_cast<OperationObject*>(self)->operation.~Operation();
  Py_TYPE(self)->tp_free(self);
}

// Positions below `limit`, from a tuple of integers.
bool positions(PyObject* tuple, size_t limit, c10::SmallVector<uint8_t, kMost>& found) {
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(tuple); ++i) {
    const auto position = PyLong_AsSize_t(PyTuple_GET_ITEM(tuple, i));
    if (PyErr_Occurred()) {
      return false;
    }
    if (position >= limit) {
      PyErr_Format(PyExc_ValueError, "there is no operand %zu", position);
      return false;
    }
    found.push_back(static_cast<uint8_t>(position));
  }
  return true;
}

constexpr char kKernelDoc[] =
    "kernel(needs, dtype, numbers, (raw, worker), reads, outputs): register a kernel.\n\n"
    "Of the operation itself where needs is 0, else of the gradients of those operands together.\n"
    "False where it cannot be used here.";

PyObject* operation_kernel(PyObject* self, PyObject* args) {
  auto& operation = reinterpret_cast<OperationObject*>(self)->operation;
  PyObject *dtype = nullptr, *reads = nullptr;
  unsigned int needs = 0, numbers = 0;
  unsigned long long raw = 0, worker = 0;
  Py_ssize_t outputs = 0;
  if (!PyArg_ParseTuple(
          args, "IO!I(KK)O!n", &needs, &THPDtypeType, &dtype, &numbers, &raw, &worker,
          &PyTuple_Type, &reads, &outputs)) {
    return nullptr;
  }
  auto* plan = needs ? operation.plans.find(needs) : nullptr;
  const auto total = PyTuple_GET_SIZE(reads) + outputs;
  if ((needs && !plan) || outputs < 1 || total > static_cast<Py_ssize_t>(kMost)) {
    Py_RETURN_FALSE;
  }
  auto kernel = std::make_unique<Kernel>();
  kernel->key = {reinterpret_cast<THPDtype*>(dtype)->scalar_type, numbers};
  kernel->raw = reinterpret_cast<void*>(raw);
  kernel->worker = reinterpret_cast<void (*)(void*)>(worker);
  kernel->outputs = static_cast<size_t>(outputs);
  const auto limit = plan ? plan->kept.size() + 1 : operation.operands;
  if (!positions(reads, limit, kernel->reads)) {
    return nullptr;
  }
  (plan ? plan->together : operation.kernels).add(std::move(kernel));
  Py_RETURN_TRUE;
}

extern PyTypeObject operation_type;

constexpr char kPlanDoc[] =
    "plan(needs, named, kept, [(operand, gradient, reads)]): register a backward pass.\n\n"
    "gradient is another Operation, of what it reads of what is kept and then the upstream\n"
    "gradient; None where it is zero. named is what the fallback is given to find it again.\n"
    "False where it cannot be used here.";

PyObject* operation_plan(PyObject* self, PyObject* args) {
  auto& operation = reinterpret_cast<OperationObject*>(self)->operation;
  unsigned int needs = 0;
  PyObject *named = nullptr, *kept = nullptr, *terms = nullptr;
  if (!PyArg_ParseTuple(
          args, "IOO!O!", &needs, &named, &PyTuple_Type, &kept, &PyList_Type, &terms)) {
    return nullptr;
  }
  if (!needs || PyTuple_GET_SIZE(kept) >= static_cast<Py_ssize_t>(kMost)) {
    Py_RETURN_FALSE;
  }
  auto plan = std::make_unique<Plan>();
  plan->key = needs;
  plan->needs = Py_NewRef(named);
  if (!positions(kept, operation.operands + 1, plan->kept)) {
    return nullptr;
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(terms); ++i) {
    PyObject *gradient = nullptr, *reads = nullptr;
    unsigned int operand = 0;
    if (!PyArg_ParseTuple(
            PyList_GET_ITEM(terms, i), "IOO!", &operand, &gradient, &PyTuple_Type, &reads)) {
      return nullptr;
    }
    Term term{static_cast<uint8_t>(operand), nullptr, nullptr, {}};
    if (operand >= operation.operands || !(needs >> operand & 1) || !positions(reads, plan->kept.size(), term.reads)) {
      return PyErr_Occurred() ? nullptr : PyErr_Format(PyExc_ValueError, "operand %u", operand);
    }
    if (PyObject_TypeCheck(gradient, &operation_type)) {
      term.gradient = &reinterpret_cast<OperationObject*>(gradient)->operation;
      term.owner = Py_NewRef(gradient);
    }
    plan->terms.push_back(std::move(term));
  }
  operation.plans.add(std::move(plan));
  Py_RETURN_TRUE;
}

PyMethodDef operation_methods[] = {
    {"kernel", operation_kernel, METH_VARARGS, kKernelDoc},
    {"plan", operation_plan, METH_VARARGS, kPlanDoc},
    {nullptr, nullptr, 0, nullptr}};

PyTypeObject operation_type = {PyVarObject_HEAD_INIT(nullptr, 0)};

constexpr char kConfigureDoc[] =
    "configure(parallel, rank, ranks, grain, moderate, otherwise, fallback): what holds for the process.";

PyObject* configure(PyObject*, PyObject* args) {
  unsigned long long parallel = 0, rank = 0, ranks = 0, otherwise = 0;
  long long grain = 0;
  double moderate = 0;
  PyObject* fallback = nullptr;
  if (!PyArg_ParseTuple(
          args, "KKKLdKO", &parallel, &rank, &ranks, &grain, &moderate, &otherwise, &fallback)) {
    return nullptr;
  }
  settings.parallel = reinterpret_cast<Settings::Parallel>(parallel);
  settings.rank = static_cast<int64_t>(rank);
  settings.ranks = static_cast<int64_t>(ranks);
  settings.grain = grain;
  settings.moderate = moderate;
  settings.otherwise = reinterpret_cast<const std::atomic<int64_t>*>(otherwise);
  Py_XSETREF(settings.fallback, Py_NewRef(fallback));
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"configure", configure, METH_VARARGS, kConfigureDoc},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "gradsmith_call", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

PyObject* initialised() {
  HANDLE_TH_ERRORS
  keys.tensor = at::detail::empty_cpu({1}, at::kFloat).key_set().raw_repr();
#ifndef _WIN32
  // The threads of a runtime are not forked.
  pthread_atfork(nullptr, nullptr, [] { settings.parallel = nullptr; });
#endif
  static PyTypeObject node_type = {PyVarObject_HEAD_INIT(nullptr, 0)};
  torch::autograd::_initFunctionPyTypeObject(node_type, "PointwiseBackward", nullptr, nullptr);
  torch::autograd::registerCppFunction(typeid(PointwiseBackward), &node_type);

  operation_type.tp_name = "gradsmith_call.Operation";
  operation_type.tp_doc = "Operation(operands): what is registered of an operation, callable.";
  operation_type.tp_basicsize = sizeof(OperationObject);
  operation_type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL;
  operation_type.tp_vectorcall_offset = offsetof(OperationObject, vectorcall);
  operation_type.tp_call = PyVectorcall_Call;
  operation_type.tp_new = operation_new;
  operation_type.tp_dealloc = operation_free;
  operation_type.tp_methods = operation_methods;
  if (PyType_Ready(&operation_type) < 0) {
    return nullptr;
  }
  THPObjectPtr module(PyModule_Create(&definition));
  if (!module ||
      PyModule_AddObjectRef(
          module, "Operation", reinterpret_cast<PyObject*>(&operation_type)) < 0) {
    return nullptr;
  }
  return module.release();
  END_HANDLE_TH_ERRORS
}

}  // namespace

PyMODINIT_FUNC PyInit_gradsmith_call() {
  return initialised();
}
