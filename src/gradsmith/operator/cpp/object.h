// Operations as Python has them: called with operands, told of kernels and backward passes.

#pragma once

#include "node.h"

#include <torch/csrc/Dtype.h>
#include <torch/csrc/autograd/functions/utils.h>

namespace gradsmith {

struct OperationObject {
  PyObject_HEAD
  vectorcallfunc vectorcall;
  Operation operation;
};

// Whether a mask is kept of the one operand that needs a gradient, which Python does; see
// operator/masked.py.
bool keeps_mask(const Operation& registered, const Operands& operands, uint32_t needs) {
  if (needs != registered.masked.load(std::memory_order_acquire)) {
    return false;
  }
  for (size_t i = 0; i < operands.count; ++i) {
    const bool is_input = needs >> i & 1;
    if (is_input == operands.is_number(i) ||
        (is_input && operands.each[i].numel() < registered.least.load())) {
      return false;
    }
  }
  return true;
}

// The value; empty where Python must see to it. `needs`: a bit for each operand that needs a
// gradient. `halved`: the dimension of which the operands are the halves, if they are.
Tensor apply_operation(
    PyObject* python, const Operation& registered, Operands& operands, uint32_t needs,
    int64_t halved = PointwiseBackward::kNone) {
  const auto* plan = needs ? registered.plans.find(needs) : nullptr;
  if (needs && (!plan || keeps_mask(registered, operands, needs))) {
    return {};
  }
  Tensor result;
  if (!evaluate(registered.kernels, operands, true, &result, true) || !plan) {
    return result;
  }
  const auto pointer = make_node<NodePointer>(python, registered, *plan);
  auto* node = static_cast<PointwiseBackward*>(pointer.get());
  node->halved = halved;
  bool broadcast = false;
  for (const auto& term : plan->terms) {
    const auto& tensor = *operands.each[term.operand].tensor;
    if (halved == PointwiseBackward::kNone) {
      node->add_next_edge(torch::autograd::impl::gradient_edge(tensor));
      broadcast = broadcast || tensor.sizes() != result.sizes();
    } else if (!node->num_outputs()) {
      node->add_next_edge(torch::autograd::impl::gradient_edge(tensor));
    }
  }
  if (broadcast) {
    for (const auto& term : plan->terms) {
      const auto sizes = operands.each[term.operand].tensor->sizes();
      node->shapes.emplace_back(sizes.begin(), sizes.end());
    }
  }
  torch::autograd::set_history(result, pointer);
  node->keep(operands, result);
  return result;
}

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
  operands.compare(registered.defaults);
  auto result = apply_operation(args[0], registered, operands, needs);
  if (!result.defined()) {
    Py_RETURN_NONE;
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

constexpr char kHalvesDoc[] =
    "halves(operation, input, dim): the operation on the halves of a tensor along a dimension.\n\n"
    "None where Python must see to it.";

PyObject* operation_halves(PyObject* self, PyObject* const* args, Py_ssize_t given) {
  HANDLE_TH_ERRORS
  const auto& registered = reinterpret_cast<OperationObject*>(self)->operation;
  if (given != 3 || registered.operands != 2 || !THPVariable_CheckExact(args[1]) ||
      !PyLong_CheckExact(args[2]) || !unwatched()) {
    Py_RETURN_NONE;
  }
  const auto& input = THPVariable_Unpack(args[1]);
  auto dim = PyLong_AsLongLong(args[2]);
  if (dim == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    Py_RETURN_NONE;
  }
  // Where the input has gaps, the layout of its gradient is not ours to choose.
  if (!plain(input) || !input.is_contiguous() || !input.numel() ||
      input.dim() > static_cast<int64_t>(kDims)) {
    Py_RETURN_NONE;
  }
  dim += dim < 0 ? input.dim() : 0;
  if (dim < 0 || dim >= input.dim() || input.size(dim) % 2) {
    Py_RETURN_NONE;
  }
  Sizes half(input.sizes().begin(), input.sizes().end());
  half[dim] /= 2;
  const Halves halves(half, dim);
  Operands operands;
  if (!operands.add(halves(input, 0)) || !operands.add(halves(input, 1))) {
    Py_RETURN_NONE;
  }
  const uint32_t needs = at::GradMode::is_enabled() && input.requires_grad() ? 3 : 0;
  auto result = apply_operation(args[0], registered, operands, needs, dim);
  if (!result.defined()) {
    Py_RETURN_NONE;
  }
  return THPVariable_Wrap(std::move(result));
  END_HANDLE_TH_ERRORS
}

PyObject* operation_new(PyTypeObject* type, PyObject* args, PyObject* names) {
  static std::atomic<uint64_t> serial{0};
  Py_ssize_t operands = 0;
  PyObject* numbers = nullptr;
  if (!PyArg_ParseTuple(args, "nO!", &operands, &PyTuple_Type, &numbers)) {
    return nullptr;
  }
  if (operands < 1 || operands > static_cast<Py_ssize_t>(kMost)) {
    return PyErr_Format(PyExc_ValueError, "1 to %zu operands, got %zd", kMost, operands);
  }
  Defaults defaults;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(numbers); ++i) {
    auto* number = PyTuple_GET_ITEM(numbers, i);
    defaults.push_back(number == Py_None ? NAN : PyFloat_AsDouble(number));
  }
  if (PyErr_Occurred()) {
    return nullptr;
  }
  if (!defaults.empty() && defaults.size() != static_cast<size_t>(operands)) {
    return PyErr_Format(PyExc_ValueError, "%zu defaults", defaults.size());
  }
  auto* self = reinterpret_cast<OperationObject*>(type->tp_alloc(type, 0));
  if (self) {
    self->vectorcall = operation_call;
    new (&self->operation) Operation;
    self->operation.operands = static_cast<size_t>(operands);
    self->operation.defaults = std::move(defaults);
    self->operation.serial = ++serial;
  }
  return reinterpret_cast<PyObject*>(self);
}

void operation_free(PyObject* self) {
  reinterpret_cast<OperationObject*>(self)->operation.~Operation();
  Py_TYPE(self)->tp_free(self);
}

// Positions below `limit`, from a tuple of integers.
bool positions(PyObject* tuple, size_t limit, Positions& found) {
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
    "kernel(needs, (dtype, usual, summed, numbers, exact, singles), storage,\n"
    "(raw, worker, grain), reads, outputs): register a kernel.\n\n"
    "Of the operation itself where needs is 0, else of the gradients of those operands together.\n"
    "False where it cannot be used here.";

PyObject* operation_kernel(PyObject* self, PyObject* args) {
  auto& operation = reinterpret_cast<OperationObject*>(self)->operation;
  PyObject *dtype = nullptr, *storage = nullptr, *reads = nullptr;
  unsigned int needs = 0;
  unsigned short numbers = 0, exact = 0, singles = 0;
  int usual = 0, summed = 0;
  unsigned long long raw = 0, worker = 0;
  long long grain = 0;
  Py_ssize_t outputs = 0;
  if (!PyArg_ParseTuple(
          args, "I(O!ppHHH)O!(KKL)O!n", &needs, &THPDtypeType, &dtype, &usual, &summed, &numbers,
          &exact, &singles, &THPDtypeType, &storage, &raw, &worker, &grain, &PyTuple_Type, &reads,
          &outputs)) {
    return nullptr;
  }
  auto* plan = needs ? operation.plans.find(needs) : nullptr;
  const auto total = PyTuple_GET_SIZE(reads) + outputs;
  if ((needs && !plan) || outputs < 1 || total > static_cast<Py_ssize_t>(kMost)) {
    Py_RETURN_FALSE;
  }
  auto kernel = std::make_unique<Kernel>();
  kernel->key = {
      reinterpret_cast<THPDtype*>(dtype)->scalar_type, usual != 0, summed != 0, numbers, exact,
      singles};
  kernel->storage = reinterpret_cast<THPDtype*>(storage)->scalar_type;
  kernel->raw = reinterpret_cast<void*>(raw);
  kernel->worker = reinterpret_cast<void (*)(void*)>(worker);
  kernel->grain = grain;
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
  if (!operation.defaults.empty()) {
    for (const auto which : plan->kept) {
      plan->defaults.push_back(which < operation.operands ? operation.defaults[which] : NAN);
    }
    plan->defaults.push_back(NAN);
  }
  for (Py_ssize_t i = 0; i < PyList_GET_SIZE(terms); ++i) {
    PyObject *gradient = nullptr, *reads = nullptr;
    unsigned int operand = 0;
    if (!PyArg_ParseTuple(
            PyList_GET_ITEM(terms, i), "IOO!", &operand, &gradient, &PyTuple_Type, &reads)) {
      return nullptr;
    }
    Term term{static_cast<uint8_t>(operand), nullptr, nullptr, {}};
    if (operand >= operation.operands || !(needs >> operand & 1) ||
        !positions(reads, plan->kept.size(), term.reads)) {
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

constexpr char kMaskDoc[] =
    "mask(needs, least): of an operand with so many elements Python keeps a mask, where nothing\n"
    "else needs a gradient.";

PyObject* operation_mask(PyObject* self, PyObject* args) {
  auto& operation = reinterpret_cast<OperationObject*>(self)->operation;
  unsigned int needs = 0;
  long long least = 0;
  if (!PyArg_ParseTuple(args, "IL", &needs, &least)) {
    return nullptr;
  }
  operation.least = least;
  operation.masked.store(needs, std::memory_order_release);
  Py_RETURN_NONE;
}

PyMethodDef operation_methods[] = {
    {"kernel", operation_kernel, METH_VARARGS, kKernelDoc},
    {"plan", operation_plan, METH_VARARGS, kPlanDoc},
    {"mask", operation_mask, METH_VARARGS, kMaskDoc},
    {"halves", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(operation_halves)),
     METH_FASTCALL, kHalvesDoc},
    {nullptr, nullptr, 0, nullptr}};

PyTypeObject operation_type = {PyVarObject_HEAD_INIT(nullptr, 0)};

bool make_operation_type() {
  operation_type.tp_name = "gradsmith_call.Operation";
  operation_type.tp_doc = 
      "Operation(operands, defaults): what is registered of an operation, callable.\n\n"
      "defaults: of each operand, None where it has none; or empty.";
  operation_type.tp_basicsize = sizeof(OperationObject);
  operation_type.tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_VECTORCALL;
  operation_type.tp_vectorcall_offset = offsetof(OperationObject, vectorcall);
  operation_type.tp_call = PyVectorcall_Call;
  operation_type.tp_new = operation_new;
  operation_type.tp_dealloc = operation_free;
  operation_type.tp_methods = operation_methods;
  return PyType_Ready(&operation_type) == 0;
}

}  // namespace gradsmith
