/* pelemay._native: the engine for Python, over the stable ABI of CPython 3.11. */
#include "native.h"

#include "../vm/opcodes.h"

#include "../host/cpu.h"

const char *pm_dtype_text(unsigned dtype) {
  static const char *const texts[] = {
#define PM_DTYPE(name, text, size) text,
#include "../vm/dtypes.def"
#undef PM_DTYPE
  };
  return dtype < PM_DTYPE_COUNT ? texts[dtype] : "?";
}

const char *pm_opcode_text(unsigned opcode) {
  static const char *const texts[] = {
      "host",
#define PM_OP(name) #name,
#include "../vm/opcodes.def"
#undef PM_OP
  };
  return opcode < PM_OPCODE_COUNT ? texts[opcode] : "?";
}

/* The codes that elementwise instructions and epilogues take as parameters. */
static const char *const activation_texts[] = {
#define PM_ACTIVATION(name, text) text,
#include "../kernels/activations.def"
#undef PM_ACTIVATION
};

static const char *const class_texts[] = {
#define PM_CLASS(name, text, type) text,
#include "../kernels/classes.def"
#undef PM_CLASS
};

static const char *const unary_texts[] = {
#define PM_UNARY(name, text, classes, vector, real, whole) text,
#include "../kernels/unary.def"
#undef PM_UNARY
};

static const char *const binary_texts[] = {
#define PM_BINARY(name, text, classes, vector, real, whole) text,
#include "../kernels/binary.def"
#undef PM_BINARY
};

static const char *const scatter_texts[] = {
#define PM_REDUCTION(name, text) text,
#include "../kernels/scatter.def"
#undef PM_REDUCTION
};

static const char *activation_text(unsigned code) { return activation_texts[code]; }
static const char *class_text(unsigned code) { return class_texts[code]; }
static const char *unary_text(unsigned code) { return unary_texts[code]; }
static const char *binary_text(unsigned code) { return binary_texts[code]; }
static const char *scatter_text(unsigned code) { return scatter_texts[code]; }

#define COUNT(texts) (sizeof(texts) / sizeof((texts)[0]))

static const char *status_name(unsigned status) {
  static const char *const names[] = {
#define PM_STATUS(name, text) #name,
#include "../vm/status.def"
#undef PM_STATUS
  };
  return status < PM_STATUS_COUNT ? names[status] : "?";
}

PyObject *pm_module_of(PyObject *self) { return PyType_GetModule(Py_TYPE(self)); }

static PyObject *number_or_none(uint32_t number) {
  if (number == PM_NONE) Py_RETURN_NONE;
  return PyLong_FromUnsignedLong(number);
}

PyObject *pm_raise(PyObject *module, pm_status status, pm_place place) {
  const pm_module_state *state = PyModule_GetState(module);
  PyObject *args = Py_BuildValue("(ssNN)", status_name(status), pm_status_text(status),
                                 number_or_none(place.instr), number_or_none(place.operand));
  if (!args) return NULL;
  PyErr_SetObject(state->error, args);
  Py_DECREF(args);
  return NULL;
}

static int add_texts(PyObject *module, const char *name, const char *(*text)(unsigned), unsigned count) {
  PyObject *texts = PyTuple_New(count);
  if (!texts) return -1;
  for (unsigned i = 0; i < count; i++) {
    PyObject *item = PyUnicode_FromString(text(i));
    if (!item || PyTuple_SetItem(texts, i, item)) {
      Py_DECREF(texts);
      return -1;
    }
  }
  const int status = PyModule_AddObjectRef(module, name, texts);
  Py_DECREF(texts);
  return status;
}

static int add_isas(PyObject *module) {
  PyObject *list = PyList_New(0);
  for (const char *const *isa = pm_isas(); list && *isa; isa++) {
    PyObject *text = PyUnicode_FromString(*isa);
    if (!text || PyList_Append(list, text)) Py_CLEAR(list);
    Py_XDECREF(text);
  }
  PyObject *isas = list ? PyList_AsTuple(list) : NULL;
  const int status = isas ? PyModule_AddObjectRef(module, "ISAS", isas) : -1;
  Py_XDECREF(list);
  Py_XDECREF(isas);
  return status;
}

static int add_type(PyObject *module, PyType_Spec *spec, PyObject **kept) {
  PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);
  if (!type) return -1;
  const int status = PyModule_AddType(module, (PyTypeObject *)type);
  if (kept)
    *kept = type;
  else
    Py_DECREF(type);
  return status;
}

static int fill(PyObject *module) {
  pm_module_state *state = PyModule_GetState(module);
  state->error = PyErr_NewException("pelemay._native.NativeError", NULL, NULL);
  if (!state->error || PyModule_AddObjectRef(module, "NativeError", state->error)) return -1;
  if (add_type(module, &pm_program_spec, &state->program_type)) return -1;
  if (add_type(module, &pm_runner_spec, NULL)) return -1;
  if (add_type(module, &pm_mapped_spec, NULL)) return -1;
  if (add_texts(module, "OPCODES", pm_opcode_text, PM_OPCODE_COUNT)) return -1;
  if (add_texts(module, "DTYPES", pm_dtype_text, PM_DTYPE_COUNT)) return -1;
  if (add_texts(module, "STATUSES", status_name, PM_STATUS_COUNT)) return -1;
  if (add_texts(module, "ACTIVATIONS", activation_text, COUNT(activation_texts))) return -1;
  if (add_texts(module, "CLASSES", class_text, COUNT(class_texts))) return -1;
  if (add_texts(module, "UNARY", unary_text, COUNT(unary_texts))) return -1;
  if (add_texts(module, "BINARY", binary_text, COUNT(binary_texts))) return -1;
  if (add_texts(module, "SCATTERS", scatter_text, COUNT(scatter_texts))) return -1;
  if (PyModule_AddIntConstant(module, "FORMAT_MAJOR", PM_FORMAT_MAJOR)) return -1;
  if (PyModule_AddIntConstant(module, "FORMAT_MINOR", PM_FORMAT_MINOR)) return -1;
  return add_isas(module);
}

static int traverse(PyObject *module, visitproc visit, void *arg) {
  const pm_module_state *state = PyModule_GetState(module);
  Py_VISIT(state->error);
  Py_VISIT(state->program_type);
  return 0;
}

static int clear(PyObject *module) {
  pm_module_state *state = PyModule_GetState(module);
  Py_CLEAR(state->error);
  Py_CLEAR(state->program_type);
  return 0;
}

static PyModuleDef_Slot slots[] = {{Py_mod_exec, (void *)fill}, {0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_native",
    .m_doc = "The engine: programs, and what runs them.",
    .m_size = sizeof(pm_module_state),
    .m_methods = pm_module_methods,
    .m_slots = slots,
    .m_traverse = traverse,
    .m_clear = clear,
};

PyMODINIT_FUNC PyInit__native(void) { return PyModuleDef_Init(&definition); }
