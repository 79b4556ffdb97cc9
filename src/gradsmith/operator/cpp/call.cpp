// The common call of a pointwise operation, forward and backward, without Python.
//
// Operands are plain CPU tensors of one dtype that broadcast, and numbers; nobody looks on but
// autograd. Everything else is Python's business: a call returns None, a backward pass calls back.
// So are all decisions: what to compile, what to keep, which gradients there are. Python makes them
// once and registers the result here, under the same keys that it uses itself.
//
// Kernels are the ones that Python calls, so that the bits are the same.
//
// One file for the compiler, by subject:
//   settings.h    what holds for the process; who looks on
//   registered.h  kernels and backward passes that Python has registered
//   operands.h    operands as they lie in memory
//   rows.h        how operands that are not alike lie beside the result
//   kernel.h      calling a kernel
//   node.h        the backward pass
//   object.h      operations as Python has them
//   twister.h     PyTorch's random numbers by blocks
//   draw.h        their places among the elements
//   slopes.h      random slopes

#include "object.h"
#include "slopes.h"

#include <torch/csrc/autograd/python_cpp_function.h>

#ifndef _WIN32
#include <pthread.h>
#endif

namespace gradsmith {

constexpr char kConfigureDoc[] =
    "configure(parallel, rank, ranks, grain, kept, shortest, whole, moderate,\n"
    "otherwise, fallback)\n\n"
    "What holds for the process.";

PyObject* configure(PyObject*, PyObject* args) {
  unsigned long long parallel = 0, rank = 0, ranks = 0, otherwise = 0;
  long long grain = 0, kept = 0, shortest = 0, whole = 1;
  double moderate = 0;
  PyObject* fallback = nullptr;
  if (!PyArg_ParseTuple(
          args, "KKKLLLLdKO", &parallel, &rank, &ranks, &grain, &kept, &shortest, &whole,
          &moderate, &otherwise, &fallback)) {
    return nullptr;
  }
  settings.parallel = reinterpret_cast<Settings::Parallel>(parallel);
  settings.rank = static_cast<int64_t>(rank);
  settings.ranks = static_cast<int64_t>(ranks);
  settings.grain = grain;
  settings.kept = kept;
  settings.shortest = shortest;
  settings.whole = whole;
  settings.moderate = moderate;
  settings.otherwise = reinterpret_cast<const std::atomic<int64_t>*>(otherwise);
  Py_XSETREF(settings.fallback, Py_NewRef(fallback));
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"configure", configure, METH_VARARGS, kConfigureDoc},
    {"slopes", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(slopes)), METH_FASTCALL,
     kSlopesDoc},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "gradsmith_call", nullptr, -1, methods, nullptr, nullptr, nullptr,
    nullptr};

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

  if (!make_operation_type()) {
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

}  // namespace gradsmith

PyMODINIT_FUNC PyInit_gradsmith_call() {
  return gradsmith::initialised();
}
