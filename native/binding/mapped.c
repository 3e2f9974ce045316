/* pelemay._native.Mapped: memory of a mapped file that becomes zeros where the file becomes shorter.

   The guard is held for as long as anybody uses the memory, so that views of it are safe. Whoever reads it
   asks afterwards whether it was lost. For those who do not, the main thread calls `tell` once. */
#include "native.h"

typedef struct MappedObject {
  PyObject_HEAD
  Py_buffer memory; /* obj is NULL where there is none yet */
  pm_file file;
  pm_guard guard;
  PyObject *tell; /* NULL once it was called */
  struct MappedObject *next;
} MappedObject;

/* All that there are; under the GIL. */
static MappedObject *all;

static int call(PyObject *tell) {
  PyObject *result = PyObject_CallNoArgs(tell);
  Py_DECREF(tell);
  Py_XDECREF(result);
  return result ? 0 : -1;
}

static int tell_one(void *tell) { return call(tell); }

static int tell_all(void *unused) {
  (void)unused;
  MappedObject *self = all;
  while (self && !(self->tell && atomic_load(&self->file.lost))) self = self->next;
  if (!self) return 0;
  PyObject *tell = self->tell;
  self->tell = NULL;
  /* The others have their turn after this one, which may raise. */
  Py_AddPendingCall(tell_all, NULL);
  return call(tell);
}

/* In the handler of the signal. The thread was reading the memory, so that it holds none of Python's locks. */
static void on_loss(void) {
  if (Py_IsInitialized()) Py_AddPendingCall(tell_all, NULL);
}

static int set_up(MappedObject *self, PyObject *memory, PyObject *tell) {
  if (PyObject_GetBuffer(memory, &self->memory, PyBUF_SIMPLE)) return -1;
  self->tell = Py_NewRef(tell);
  self->next = all;
  all = self;
  self->file = (pm_file){.bytes = self->memory.buf, .nbytes = (size_t)self->memory.len, .fd = -1, .on_loss = on_loss};
  if (pm_guard_begin(&self->guard, &self->file) == PM_OK) return 0;
  PyErr_NoMemory();
  return -1;
}

static PyObject *mapped_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"memory", "tell", NULL};
  PyObject *memory, *tell;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO:Mapped", names, &memory, &tell)) return NULL;
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  MappedObject *self = (MappedObject *)allocate(type, 0);
  if (!self) return NULL;
  if (!set_up(self, memory, tell)) return (PyObject *)self;
  Py_DECREF((PyObject *)self);
  return NULL;
}

static void mapped_dealloc(MappedObject *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  MappedObject **place = &all;
  while (*place && *place != self) place = &(*place)->next;
  if (*place) *place = self->next;
  const bool lost = pm_guard_end(&self->guard, PM_OK) != PM_OK;
  if (lost && self->tell && !Py_AddPendingCall(tell_one, self->tell)) self->tell = NULL;
  Py_XDECREF(self->tell);
  if (self->memory.obj) PyBuffer_Release(&self->memory);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF((PyObject *)type);
}

static int get_buffer(MappedObject *self, Py_buffer *view, int flags) {
  return PyBuffer_FillInfo(view, (PyObject *)self, self->memory.buf, self->memory.len, 1, flags);
}

static PyObject *get_lost(MappedObject *self, void *closure) {
  (void)closure;
  return PyBool_FromLong(atomic_load(&self->file.lost));
}

static PyGetSetDef attributes[] = {
    {"lost", (getter)get_lost, NULL, "Whether a part that was read was gone: it is zeros since.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)mapped_new},
    {Py_tp_dealloc, (void *)mapped_dealloc},
    {Py_tp_getset, attributes},
    {Py_bf_getbuffer, (void *)get_buffer},
    {Py_tp_doc, "Mapped(memory, tell): a mapped file, as read-only memory that is safe when the file becomes shorter.\n\n"
                         "tell() is called in the main thread after the first read of a part that is gone; what it\n"
                         "raises comes out there."},
    {0, NULL},
};

PyType_Spec pm_mapped_spec = {"pelemay._native.Mapped", sizeof(MappedObject), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
