/* What the files of the Python binding share. Only this folder knows Python. */
#ifndef PM_NATIVE_H
#define PM_NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "../host/guard.h"
#include "../host/source.h"
#include "../vm/pelemay.h"

typedef struct ProgramObject {
  PyObject_HEAD
  struct ProgramObject *root; /* whose file this is a plan of; NULL: its own, and what follows is used */
  pm_tensor *tensors;         /* of a plan at one of its sizes; NULL: those of the file */
  int64_t *params;
  Py_buffer buffer; /* obj is NULL where a path was given */
  bool opened;      /* whether `source` is */
  bool streamed;    /* whether the weights are read from it; nothing is mapped then */
  pm_source source;
  pm_file file; /* bytes are NULL where nothing is mapped */
  pm_program program;
} ProgramObject;

/* What the weights of a streamed program are read from. */
static inline const pm_source *pm_source_of(const ProgramObject *self) {
  return self->root ? &self->root->source : &self->source;
}

/* The file that its weights are mapped from. */
static inline pm_file *pm_file_of(ProgramObject *self) { return self->root ? &self->root->file : &self->file; }

extern PyType_Spec pm_program_spec;
extern PyType_Spec pm_runner_spec;
extern PyType_Spec pm_mapped_spec;
extern PyMethodDef pm_module_methods[];

/* Raise pelemay._native.NativeError(status, text, instruction or None, operand or None). */
PyObject *pm_raise(PyObject *module, pm_status status, pm_place place);

/* (dtype, shape, strides in bytes, memory) of a tensor that begins at `data`. */
PyObject *pm_shown(const pm_tensor *t, uint8_t *data, int flags);

/* Of plans.c: the plans of a file, and methods. */
void pm_release_plan(ProgramObject *self);
PyObject *pm_program_get_plans(ProgramObject *self, void *closure);
PyObject *pm_program_get_sizes(ProgramObject *self, void *closure);
PyObject *pm_program_take_plan(ProgramObject *self, PyObject *argument);
PyObject *pm_program_find_size(ProgramObject *self, PyObject *argument);
PyObject *pm_program_take_size(ProgramObject *self, PyObject *argument);

/* Of weights.c: a constant of a streamed program as bytes, all of its checksums, and methods. */
PyObject *pm_read_constant(ProgramObject *self, const pm_tensor *t);
pm_status pm_verify_streamed(const ProgramObject *self, size_t *bad);
PyObject *pm_program_stream_need(ProgramObject *self, PyObject *args);
PyObject *pm_program_stream_plan(ProgramObject *self, PyObject *argument);

const char *pm_dtype_text(unsigned dtype);
const char *pm_opcode_text(unsigned opcode);

/* The module, from one of its heap types; a borrowed reference. */
PyObject *pm_module_of(PyObject *self);

/* Types of the module, as objects: program type. */
typedef struct {
  PyObject *error;
  PyObject *program_type;
} pm_module_state;

#endif
