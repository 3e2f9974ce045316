/* pelemay._native.Program: a program that was checked, over a mapped file or a buffer. */
#include <string.h>

#include "native.h"

static pm_status open_file(ProgramObject *self, const char *path, pm_place *place) {
  pm_status status = pm_source_open(&self->source, path, !self->streamed);
  self->opened = status == PM_OK;
  if (status == PM_OK) status = pm_source_program(&self->source, &self->program, place);
  if (status != PM_OK || self->streamed) return status;
  return pm_source_map(&self->source, &self->file, &self->program);
}

static int open_path(ProgramObject *self, PyObject *source) {
  PyObject *path = NULL;
  if (!PyUnicode_FSConverter(source, &path)) return -1;
  pm_place place = {PM_NONE, PM_NONE};
  const pm_status status = open_file(self, PyBytes_AsString(path), &place);
  Py_DECREF(path);
  if (status == PM_OK) return 0;
  if (status == PM_E_IO)
    PyErr_SetFromErrnoWithFilenameObject(PyExc_OSError, source);
  else
    pm_raise(pm_module_of((PyObject *)self), status, place);
  return -1;
}

static int open_buffer(ProgramObject *self, PyObject *source) {
  if (PyObject_GetBuffer(source, &self->buffer, PyBUF_SIMPLE)) return -1;
  if ((uintptr_t)self->buffer.buf % 8) {
    PyErr_SetString(PyExc_ValueError, "the buffer is not aligned to 8 bytes");
    return -1;
  }
  pm_place place;
  const pm_status status = pm_program_open(&self->program, self->buffer.buf, (size_t)self->buffer.len, &place);
  if (status == PM_OK) return 0;
  pm_raise(pm_module_of((PyObject *)self), status, place);
  return -1;
}

static PyObject *program_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"source", "streamed", NULL};
  PyObject *source;
  int streamed = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|p:Program", names, &source, &streamed)) return NULL;
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  ProgramObject *self = (ProgramObject *)allocate(type, 0);
  if (!self) return NULL;
  self->streamed = streamed;
  const bool in_memory = !streamed && PyObject_CheckBuffer(source);
  if (!(in_memory ? open_buffer(self, source) : open_path(self, source))) return (PyObject *)self;
  Py_DECREF((PyObject *)self);
  return NULL;
}

static void program_dealloc(ProgramObject *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  if (self->buffer.obj) PyBuffer_Release(&self->buffer);
  pm_file_unmap(&self->file);
  if (self->opened) pm_source_close(&self->source);
  pm_release_plan(self);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF((PyObject *)type);
}

static PyObject *name_at(const ProgramObject *self, uint32_t name) {
  if (name == PM_NONE) Py_RETURN_NONE;
  return PyUnicode_DecodeUTF8(self->program.strings + name, (Py_ssize_t)strlen(self->program.strings + name),
                              "replace");
}

static PyObject *shape_of(const pm_tensor *t) {
  PyObject *shape = PyTuple_New(t->rank);
  for (int i = 0; shape && i < t->rank; i++) {
    PyObject *size = PyLong_FromUnsignedLong(t->dims[i]);
    if (!size || PyTuple_SetItem(shape, i, size)) Py_CLEAR(shape);
  }
  return shape;
}

static PyObject *strides_of(const pm_tensor *t) {
  PyObject *strides = PyTuple_New(t->rank);
  for (int i = 0; strides && i < t->rank; i++) {
    PyObject *size = PyLong_FromLongLong(t->strides[i] * (long long)pm_dtype_size(t->dtype));
    if (!size || PyTuple_SetItem(strides, i, size)) Py_CLEAR(strides);
  }
  return strides;
}

PyObject *pm_shown(const pm_tensor *t, uint8_t *data, int flags) {
  PyObject *memory = PyMemoryView_FromMemory((char *)data, (Py_ssize_t)pm_span_bytes(t), flags);
  return Py_BuildValue("(sNNN)", pm_dtype_text(t->dtype), shape_of(t), strides_of(t), memory);
}

static PyObject *ends(const ProgramObject *self, const uint32_t *list, size_t count) {
  PyObject *result = PyTuple_New((Py_ssize_t)count);
  for (size_t i = 0; result && i < count; i++) {
    const pm_tensor *t = &self->program.tensors[list[i]];
    PyObject *row = Py_BuildValue("(NsN)", name_at(self, t->name), pm_dtype_text(t->dtype), shape_of(t));
    if (!row || PyTuple_SetItem(result, (Py_ssize_t)i, row)) Py_CLEAR(result);
  }
  return result;
}

static PyObject *get_inputs(ProgramObject *self, void *closure) {
  (void)closure;
  return ends(self, self->program.inputs, self->program.n_inputs);
}

static PyObject *get_outputs(ProgramObject *self, void *closure) {
  (void)closure;
  return ends(self, self->program.outputs, self->program.n_outputs);
}

static PyObject *get_instructions(ProgramObject *self, void *closure) {
  (void)closure;
  const pm_program *p = &self->program;
  PyObject *result = PyTuple_New((Py_ssize_t)p->n_instrs);
  for (size_t i = 0; result && i < p->n_instrs; i++) {
    const pm_instr *instr = &p->instrs[i];
    PyObject *row = Py_BuildValue("(sNIK)", pm_opcode_text(instr->opcode), name_at(self, instr->name),
                                  instr->node, (unsigned long long)instr->cost);
    if (!row || PyTuple_SetItem(result, (Py_ssize_t)i, row)) Py_CLEAR(result);
  }
  return result;
}

static PyObject *get_metadata(ProgramObject *self, void *closure) {
  (void)closure;
  return PyBytes_FromStringAndSize(self->program.metadata, (Py_ssize_t)self->program.metadata_bytes);
}

static PyObject *get_number(ProgramObject *self, void *closure) {
  const uint64_t *field = (const uint64_t *)(const void *)((const char *)self->program.header + (size_t)closure);
  return PyLong_FromUnsignedLongLong(*field);
}

static PyObject *scratch_bytes(ProgramObject *self, PyObject *argument) {
  const long workers = PyLong_AsLong(argument);
  if (workers == -1 && PyErr_Occurred()) return NULL;
  if (workers < 1 || workers > PM_MAX_WORKERS)
    return PyErr_Format(PyExc_ValueError, "workers must be 1 to %d, not %ld", PM_MAX_WORKERS, workers);
  return PyLong_FromSize_t(pm_scratch_bytes(&self->program, (int)workers, NULL));
}

static pm_status verify_mapped(ProgramObject *self, size_t *bad) {
  const pm_program *p = &self->program;
  pm_guard guard;
  pm_status status = pm_guard_begin(&guard, pm_file_of(self));
  for (size_t i = 0; i < p->n_blocks && status == PM_OK; i++) {
    if (pm_crc32(0, p->weights + p->blocks[i].offset, p->blocks[i].nbytes) == p->blocks[i].crc) continue;
    status = PM_E_CRC;
    *bad = i;
  }
  return pm_guard_end(&guard, status);
}

static PyObject *verify(ProgramObject *self, PyObject *unused) {
  (void)unused;
  const pm_program *p = &self->program;
  size_t bad = p->n_blocks;
  pm_status status;
  Py_BEGIN_ALLOW_THREADS
  status = self->streamed ? pm_verify_streamed(self, &bad) : verify_mapped(self, &bad);
  Py_END_ALLOW_THREADS
  if (status == PM_OK) Py_RETURN_NONE;
  const uint32_t row = bad < p->n_blocks ? (uint32_t)bad : PM_NONE;
  return pm_raise(pm_module_of((PyObject *)self), status, (pm_place){PM_NONE, row});
}

/* What reads constants outside of a run: those of a mapped file may be gone. */
static PyObject *guarded(ProgramObject *self, PyObject *call) {
  pm_guard guard;
  pm_status status = pm_guard_begin(&guard, pm_file_of(self));
  PyObject *result = status == PM_OK ? PyObject_CallNoArgs(call) : NULL;
  status = pm_guard_end(&guard, status);
  if (status == PM_OK) return result;
  Py_XDECREF(result);
  PyErr_Clear();
  return pm_raise(pm_module_of((PyObject *)self), status, (pm_place){PM_NONE, PM_NONE});
}

#define HEADER(name) {#name, (getter)get_number, NULL, NULL, (void *)offsetof(pm_header, name)}

static PyObject *get_streamed(ProgramObject *self, void *closure) {
  (void)closure;
  return PyBool_FromLong(self->streamed);
}

static PyGetSetDef attributes[] = {
    {"streamed", (getter)get_streamed, NULL, "Whether weights are read block by block, not mapped.", NULL},
    {"plans", (getter)pm_program_get_plans, NULL, "How many plans the file has; 0 where it has only this one.", NULL},
    {"sizes", (getter)pm_program_get_sizes, NULL, "How many sizes this plan is for.", NULL},
    {"inputs", (getter)get_inputs, NULL, "(name, dtype, shape) of each input.", NULL},
    {"outputs", (getter)get_outputs, NULL, "(name, dtype, shape) of each output.", NULL},
    {"instructions", (getter)get_instructions, NULL, "(opcode, name, node, cost) of each instruction.", NULL},
    {"metadata", (getter)get_metadata, NULL, "The JSON text that the compiler wrote.", NULL},
    HEADER(arena_bytes),
    HEADER(weights_bytes),
    HEADER(weights_offset),
    HEADER(file_bytes),
    {NULL, NULL, NULL, NULL, NULL},
};

/* The memory is the file's: whoever uses it keeps the program. Where nothing is mapped it is a copy. */
static PyObject *constant(ProgramObject *self, PyObject *argument) {
  const unsigned long number = PyLong_AsUnsignedLong(argument);
  if (PyErr_Occurred()) return NULL;
  if (number >= self->program.n_tensors || self->program.tensors[number].space != PM_WEIGHTS)
    return PyErr_Format(PyExc_ValueError, "there is no constant %lu", number);
  const pm_tensor *t = &self->program.tensors[number];
  if (self->streamed) {
    PyObject *bytes = pm_read_constant(self, t);
    return bytes ? Py_BuildValue("(sNNN)", pm_dtype_text(t->dtype), shape_of(t), strides_of(t), bytes) : NULL;
  }
  return pm_shown(t, (uint8_t *)(uintptr_t)self->program.weights + t->offset, PyBUF_READ);
}

static PyMethodDef methods[] = {
    {"constant", (PyCFunction)constant, METH_O,
     "(dtype, shape, strides in bytes, memory) of a tensor among the weights, by its number."},
    {"guarded", (PyCFunction)guarded, METH_O,
     "guarded(call): what call() gives, which reads constants; NativeError if their file became shorter."},
    {"plan", (PyCFunction)pm_program_take_plan, METH_O, "A plan of the file, by its number: a Program."},
    {"find_size", (PyCFunction)pm_program_find_size, METH_O,
     "Which of this plan's sizes is for inputs of these shapes; None if it is not for them."},
    {"at_size", (PyCFunction)pm_program_take_size, METH_O, "This plan at one of its sizes: a Program."},
    {"scratch_bytes", (PyCFunction)scratch_bytes, METH_O, "Bytes that so many workers need beside the arena."},
    {"stream_need", (PyCFunction)pm_program_stream_need, METH_VARARGS,
     "stream_need(budget=None): bytes that weights take if they are read through a window: least, most, and\n"
     "what the budget gives: memory, window, resident, read in each run, overhead."},
    {"stream_plan", (PyCFunction)pm_program_stream_plan, METH_O,
     "(memory, window, loads, small blocks, instructions) of a budget, for tests and pictures."},
    {"verify", (PyCFunction)verify, METH_NOARGS, "Read all weights and compare their checksums."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)program_new},
    {Py_tp_dealloc, (void *)program_dealloc},
    {Py_tp_getset, attributes},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Program(source, streamed=False): a .plm file, by its path or its bytes, checked.\n\n"
                         "With streamed, only what comes before the weights is read, and nothing is mapped."},
    {0, NULL},
};

PyType_Spec pm_program_spec = {"pelemay._native.Program", sizeof(ProgramObject), 0,
                               Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
