/* The plans of a file, and a plan at one of its sizes, as Programs of their own over the same file. */
#include "native.h"

/* A Program of the same file, not filled in. */
static ProgramObject *sibling(ProgramObject *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  ProgramObject *made = (ProgramObject *)allocate(type, 0);
  if (!made) return NULL;
  made->root = (ProgramObject *)Py_NewRef((PyObject *)(self->root ? self->root : self));
  made->streamed = self->streamed;
  return made;
}

/* The new Program, or the error that its check gave. */
static PyObject *checked(ProgramObject *made, pm_status status, pm_place place) {
  if (status == PM_OK) return (PyObject *)made;
  pm_raise(pm_module_of((PyObject *)made), status, place);
  Py_DECREF((PyObject *)made);
  return NULL;
}

void pm_release_plan(ProgramObject *self) {
  PyMem_Free(self->tensors);
  PyMem_Free(self->params);
  Py_XDECREF((PyObject *)self->root);
}

PyObject *pm_program_get_plans(ProgramObject *self, void *closure) {
  (void)closure;
  return PyLong_FromSize_t(self->program.n_plans);
}

PyObject *pm_program_get_sizes(ProgramObject *self, void *closure) {
  (void)closure;
  return PyLong_FromUnsignedLongLong(pm_program_sizes(&self->program));
}

static bool number_below(PyObject *argument, uint64_t count, const char *what, uint64_t *number) {
  *number = PyLong_AsUnsignedLongLong(argument);
  if (PyErr_Occurred()) return false;
  if (*number >= count) PyErr_Format(PyExc_ValueError, "there is no %s %llu", what, (unsigned long long)*number);
  return *number < count;
}

PyObject *pm_program_take_plan(ProgramObject *self, PyObject *argument) {
  uint64_t number;
  if (!number_below(argument, self->program.n_plans, "plan", &number)) return NULL;
  ProgramObject *made = sibling(self);
  if (!made) return NULL;
  pm_place place;
  return checked(made, pm_program_plan(&made->program, &self->program, (size_t)number, &place), place);
}

PyObject *pm_program_take_size(ProgramObject *self, PyObject *argument) {
  uint64_t number;
  if (!number_below(argument, pm_program_sizes(&self->program), "size", &number)) return NULL;
  ProgramObject *made = sibling(self);
  if (!made) return NULL;
  made->tensors = PyMem_Calloc(self->program.n_tensors + 1, sizeof *made->tensors);
  made->params = PyMem_Calloc(self->program.n_params + 1, sizeof *made->params);
  if (!made->tensors || !made->params) {
    Py_DECREF((PyObject *)made);
    return PyErr_NoMemory();
  }
  pm_place place;
  const pm_status status =
      pm_program_at(&made->program, &self->program, number, made->tensors, made->params, &place);
  return checked(made, status, place);
}

static bool read_shape(PyObject *sizes, pm_shape *shape) {
  const Py_ssize_t rank = PySequence_Size(sizes);
  if (rank < 0) return false;
  shape->rank = rank > PM_MAX_RANK ? PM_MAX_RANK + 1 : (unsigned)rank; /* one more fits no tensor */
  for (unsigned i = 0; i < shape->rank && i < PM_MAX_RANK; i++) {
    PyObject *size = PySequence_GetItem(sizes, i);
    shape->dims[i] = size ? PyLong_AsUnsignedLongLong(size) : 0;
    Py_XDECREF(size);
    if (PyErr_Occurred()) return false;
  }
  return true;
}

PyObject *pm_program_find_size(ProgramObject *self, PyObject *argument) {
  const size_t count = self->program.n_inputs;
  if (PySequence_Size(argument) != (Py_ssize_t)count)
    return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_ValueError, "%zu shapes are needed", count);
  pm_shape *shapes = PyMem_Calloc(count + 1, sizeof *shapes);
  if (!shapes) return PyErr_NoMemory();
  bool read = true;
  for (size_t i = 0; i < count && read; i++) {
    PyObject *sizes = PySequence_GetItem(argument, (Py_ssize_t)i);
    read = sizes && read_shape(sizes, &shapes[i]);
    Py_XDECREF(sizes);
  }
  uint64_t size = 0;
  const bool fits = read && pm_program_fits(&self->program, shapes, &size);
  PyMem_Free(shapes);
  if (!read) return NULL;
  if (fits) return PyLong_FromUnsignedLongLong(size);
  Py_RETURN_NONE;
}
