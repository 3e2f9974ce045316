/* pelemay._native.memory(): what this process holds, and what it may hold. */
#include "native.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include "../host/memory.h"

static int put(PyObject *dict, const char *name, uint64_t bytes) {
  PyObject *number = bytes == PM_UNLIMITED ? Py_NewRef(Py_None) : PyLong_FromUnsignedLongLong(bytes);
  const int status = number ? PyDict_SetItemString(dict, name, number) : -1;
  Py_XDECREF(number);
  return status;
}

static int fill(PyObject *dict) {
  pm_held held;
  pm_limits limits;
  pm_memory_held(&held);
  pm_memory_limits(&limits, &held);
  const char *what;
  const uint64_t least = pm_memory_auto(&limits, &what);
  const struct {
    const char *name;
    uint64_t bytes;
  } rows[] = {{"held", pm_held_total(&held)},
              {"anonymous", held.anonymous},
              {"file", held.file},
              {"shared", held.shared},
              {"page_tables", held.page_tables},
              {"peak", held.peak},
              {"limit_cgroup", limits.cgroup},
              {"limit_address_space", limits.address_space},
              {"limit_data", limits.data},
              {"limit_available", limits.available},
              {"limit", least}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
    if (put(dict, rows[i].name, rows[i].bytes)) return -1;
  PyObject *text = PyUnicode_FromString(what);
  const int status = text ? PyDict_SetItemString(dict, "limit_by", text) : -1;
  Py_XDECREF(text);
  return status;
}

static PyObject *memory(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
  PyObject *dict = PyDict_New();
  if (dict && fill(dict)) Py_CLEAR(dict);
  return dict;
}

static PyObject *trim(PyObject *module, PyObject *unused) {
  (void)module;
  (void)unused;
#if defined(__GLIBC__)
  malloc_trim(0); /* what was freed in the middle of the heap stays with the process otherwise */
#endif
  pm_memory_trim();
  Py_RETURN_NONE;
}

PyMethodDef pm_module_methods[] = {
    {"memory", memory, METH_NOARGS,
     "memory(): bytes that this process holds, and that it may hold in all; None where nothing limits it."},
    {"trim", trim, METH_NOARGS, "trim(): give back pages of mapped files that were only read, and memory that was freed."},
    {NULL, NULL, 0, NULL},
};
