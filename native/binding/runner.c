/* pelemay._native.Runner: the arena and the workers of one program.

   The GIL is released while the engine runs. Worker 0 is the calling thread, so that the callbacks
   run where the caller is, and Ctrl-C is seen every tenth of a second. */
#include "native.h"

#include "../host/cpu.h"
#include "../host/pool.h"
#include "../host/stream.h"

#define POLL_NS 100000000u

typedef struct {
  PyObject_HEAD
  ProgramObject *program;
  const pm_kernel_table *kernels;
  pm_pool *pool;
  pm_stream *stream; /* NULL where the weights are mapped, or given back */
  uint64_t budget;   /* bytes that weights may take */
  uint8_t *pages; /* the arena, then the scratch */
  pm_scratch *layout;
  size_t arena_bytes, nbytes;
  int workers;
  PyThread_type_lock lock;
  Py_buffer shown; /* where others see when each instruction was done; without an object, nowhere */
} RunnerObject;

/* One run. */
typedef struct {
  RunnerObject *runner;
  ProgramObject *program;
  Py_buffer *buffers; /* inputs, then outputs */
  const uint8_t **inputs;
  uint8_t **outputs;
  const pm_run_args *args;
  PyObject *host;
  PyThreadState *state;
  uint64_t polled_ns;
} run;

/* An operand as Python sees it, or None. Those among streamed weights lie where `places` says. */
static PyObject *operand(const run *r, uint32_t number, const uint8_t *const **places) {
  if (number == PM_NONE) Py_RETURN_NONE;
  const pm_tensor *t = &r->args->program->tensors[number];
  const int flags = t->space == PM_ARENA || t->space == PM_OUTPUT ? PyBUF_WRITE : PyBUF_READ;
  const bool streamed = t->space == PM_WEIGHTS && *places;
  return pm_shown(t, streamed ? (uint8_t *)(uintptr_t)*(*places)++ : pm_data_of(r->args, t), flags);
}

static PyObject *operand_list(const run *r, const uint32_t *numbers, int count, const uint8_t *const *places) {
  PyObject *list = PyList_New(count);
  for (int i = 0; list && i < count; i++) {
    PyObject *item = operand(r, numbers[i], &places);
    if (!item || PyList_SetItem(list, i, item)) Py_CLEAR(list);
  }
  return list;
}

static PyObject *call_host(const run *r, uint32_t number) {
  const pm_program *p = &r->program->program;
  const pm_instr *instr = &p->instrs[number];
  const uint32_t *numbers = p->operands + instr->operands;
  PyObject *params = PyTuple_New(instr->n_params);
  for (int i = 0; params && i < instr->n_params; i++)
    if (PyTuple_SetItem(params, i, PyLong_FromLongLong(p->params[instr->params + i]))) Py_CLEAR(params);
  const pm_blocks *blocks = &r->args->blocks;
  const uint8_t *const *places = blocks->places ? blocks->places + blocks->first[number] : NULL;
  return PyObject_CallFunction(r->host, "NNN", params, operand_list(r, numbers, instr->n_in, places),
                               operand_list(r, numbers + instr->n_in, instr->n_out, NULL));
}

static pm_status on_host(void *user, uint32_t number) {
  run *r = user;
  PyEval_RestoreThread(r->state);
  PyObject *result = r->host == Py_None ? NULL : call_host(r, number);
  const pm_status status = result ? PM_OK : PM_E_HOST;
  Py_XDECREF(result);
  r->state = PyEval_SaveThread();
  return status;
}

static pm_status on_poll(void *user) {
  run *r = user;
  const uint64_t now = pm_now_ns();
  if (now - r->polled_ns < POLL_NS) return PM_OK;
  r->polled_ns = now;
  PyEval_RestoreThread(r->state);
  const int failed = PyErr_CheckSignals();
  r->state = PyEval_SaveThread();
  return failed ? PM_E_INTERRUPTED : PM_OK;
}

static int get_buffers(run *r, PyObject *list, Py_buffer *buffers, size_t *taken, const uint32_t *numbers,
                       size_t count, int flags) {
  const pm_program *p = &r->program->program;
  if (PySequence_Size(list) != (Py_ssize_t)count) {
    PyErr_Format(PyExc_ValueError, "%zd arrays given, %zu needed", PySequence_Size(list), count);
    return -1;
  }
  for (size_t i = 0; i < count; i++, ++*taken) {
    PyObject *item = PySequence_GetItem(list, (Py_ssize_t)i);
    const int status = item ? PyObject_GetBuffer(item, &buffers[i], flags) : -1;
    Py_XDECREF(item);
    if (status) return -1;
    const uint64_t needed = pm_span_bytes(&p->tensors[numbers[i]]);
    if ((uint64_t)buffers[i].len == needed) continue;
    PyErr_Format(PyExc_ValueError, "array %zu has %zd bytes, %llu are needed", i, buffers[i].len,
                 (unsigned long long)needed);
    ++*taken;
    return -1;
  }
  return 0;
}

/* With the lock: what the run works on, or why it cannot begin. */
static pm_status prepare(run *r, uint64_t *times, pm_run_args *args) {
  RunnerObject *self = r->runner;
  *args = (pm_run_args){
      .program = &r->program->program,
      .kernels = self->kernels,
      .arena = self->pages,
      .scratch = self->pages + self->arena_bytes,
      .layout = self->layout,
      .inputs = r->inputs,
      .outputs = r->outputs,
      .callbacks = {r, on_host, on_poll},
      .now_ns = pm_now_ns,
      .times_ns = times,
  };
  /* Another thread may have put another program in its place. */
  if (self->program != r->program) return PM_E_CHANGED;
  if (!self->pages || (r->program->streamed && !self->stream)) return PM_E_MEMORY;
  if (!self->stream) return PM_OK;
  const pm_status status = pm_stream_begin(self->stream);
  args->blocks = pm_stream_blocks(self->stream);
  pm_stream_attach(self->stream, args);
  return status;
}

static pm_status run_released(run *r, uint64_t *times, pm_place *place) {
  RunnerObject *self = r->runner;
  pm_run_args args;
  *place = (pm_place){PM_NONE, PM_NONE};
  r->args = &args;
  r->state = PyEval_SaveThread();
  PyThread_acquire_lock(self->lock, WAIT_LOCK);
  r->polled_ns = pm_now_ns();
  pm_guard guard;
  pm_status status = pm_guard_begin(&guard, pm_file_of(r->program));
  if (status == PM_OK) status = prepare(r, times, &args);
  if (status == PM_OK) status = pm_pool_run(self->pool, &args);
  status = pm_guard_end(&guard, status);
  PyThread_release_lock(self->lock);
  PyEval_RestoreThread(r->state);
  return status;
}

static PyObject *times_list(const uint64_t *times, size_t count, uint64_t begin) {
  PyObject *list = PyList_New((Py_ssize_t)count);
  for (size_t i = 0; list && i < count; i++) {
    PyObject *item = PyLong_FromUnsignedLongLong(times[i] - (i ? times[i - 1] : begin));
    if (!item || PyList_SetItem(list, (Py_ssize_t)i, item)) Py_CLEAR(list);
  }
  return list;
}

static PyObject *run_timed(run *r, int profile) {
  const size_t count = r->program->program.n_instrs;
  uint64_t *own = profile ? PyMem_Calloc(count + 1, sizeof *own) : NULL;
  if (profile && !own) return PyErr_NoMemory();
  const Py_buffer *shown = &r->runner->shown;
  const bool is_shown = !own && shown->obj && (size_t)shown->len / sizeof *own > count;
  uint64_t *times = is_shown ? shown->buf : own;
  pm_place place;
  const uint64_t begin = pm_now_ns();
  if (times) times[count] = begin;
  const pm_status status = run_released(r, times, &place);
  PyObject *result = NULL;
  if (status != PM_OK) {
    if (!PyErr_Occurred()) pm_raise(pm_module_of((PyObject *)r->runner), status, place);
  } else {
    result = profile ? times_list(own, count, begin) : Py_NewRef(Py_None);
  }
  PyMem_Free(own);
  return result;
}

static PyObject *runner_run(RunnerObject *self, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"inputs", "outputs", "host", "profile", NULL};
  PyObject *inputs, *outputs, *host = Py_None, *result = NULL;
  int profile = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "OO|Op:run", names, &inputs, &outputs, &host, &profile))
    return NULL;
  ProgramObject *program = (ProgramObject *)Py_NewRef((PyObject *)self->program);
  const pm_program *p = &program->program;
  const size_t count = p->n_inputs + p->n_outputs;
  run r = {.runner = self, .program = program, .host = host};
  r.buffers = PyMem_Calloc(count + 1, sizeof *r.buffers);
  r.inputs = PyMem_Calloc(p->n_inputs + 1, sizeof *r.inputs);
  r.outputs = PyMem_Calloc(p->n_outputs + 1, sizeof *r.outputs);
  size_t taken = 0;
  if (!r.buffers || !r.inputs || !r.outputs) {
    PyErr_NoMemory();
  } else if (!get_buffers(&r, inputs, r.buffers, &taken, p->inputs, p->n_inputs, PyBUF_C_CONTIGUOUS) &&
             !get_buffers(&r, outputs, r.buffers + p->n_inputs, &taken, p->outputs, p->n_outputs,
                          PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)) {
    for (size_t i = 0; i < p->n_inputs; i++) r.inputs[i] = r.buffers[i].buf;
    for (size_t i = 0; i < p->n_outputs; i++) r.outputs[i] = r.buffers[p->n_inputs + i].buf;
    result = run_timed(&r, profile);
  }
  for (size_t i = 0; i < taken; i++) PyBuffer_Release(&r.buffers[i]);
  PyMem_Free(r.buffers);
  PyMem_Free((void *)r.inputs);
  PyMem_Free(r.outputs);
  Py_DECREF((PyObject *)program);
  return result;
}

/* The memory of a program: that of the one before, if it is enough. */
static int take_memory(RunnerObject *self, const pm_program *p) {
  if (p->header->arena_bytes > SIZE_MAX / 4) return -1;
  const size_t arena = ((size_t)p->header->arena_bytes + PM_ALIGNMENT - 1) / PM_ALIGNMENT * PM_ALIGNMENT;
  pm_scratch *layout = PyMem_Calloc(p->n_instrs + 1, sizeof *layout);
  if (!layout) return -1;
  const size_t nbytes = arena + pm_scratch_bytes(p, self->workers, layout);
  if (!self->pages || nbytes > self->nbytes) {
    /* The smaller one goes first, so that both are never held. */
    pm_pages_free(self->pages, self->nbytes);
    self->pages = pm_pages_new(nbytes);
    self->nbytes = self->pages ? nbytes : 0;
  }
  PyMem_Free(self->layout);
  self->layout = layout;
  self->arena_bytes = arena;
  return self->pages ? 0 : -1;
}

/* Arena, scratch and weights; threads stay. */
static void give_back(RunnerObject *self) {
  pm_stream_free(self->stream);
  pm_pages_free(self->pages, self->nbytes);
  self->stream = NULL;
  self->pages = NULL;
  self->nbytes = 0;
}

/* Where the weights come from: a streamed program has none but those that a stream reads. The stream that is
   there goes on, if it is for the same weights in the same order. */
static pm_status take_weights(RunnerObject *self, ProgramObject *program, uint64_t budget) {
  const pm_source *source = pm_source_of(program);
  const bool streamed = program->streamed;
  if (streamed && self->stream && budget == self->budget &&
      pm_stream_use(self->stream, source, &program->program, budget))
    return PM_OK;
  pm_stream_free(self->stream);
  self->stream = NULL;
  self->budget = budget;
  return streamed ? pm_stream_new(&self->stream, source, &program->program, budget) : PM_OK;
}

/* The bytes that weights may take; -1 with an error where the program takes no such number, or lacks it. */
static int read_budget(const ProgramObject *program, PyObject *object, uint64_t *budget) {
  if (program->streamed == (object != Py_None)) {
    *budget = program->streamed ? PyLong_AsUnsignedLongLong(object) : 0;
    return PyErr_Occurred() ? -1 : 0;
  }
  PyErr_SetString(PyExc_ValueError, program->streamed
                                        ? "a streamed program needs weights_bytes"
                                        : "weights_bytes is for programs that were opened as streamed");
  return -1;
}

/* With the lock: nothing of a program that could not be had in full is left to run on. */
static pm_status take(RunnerObject *self, ProgramObject *program, uint64_t budget) {
  pm_status status = take_memory(self, &program->program) ? PM_E_MEMORY : PM_OK;
  if (status == PM_OK) status = take_weights(self, program, budget);
  if (status != PM_OK) give_back(self);
  return status;
}

static int set_up(RunnerObject *self, const char *isa, PyObject *weights_bytes) {
  self->kernels = pm_kernels_for(isa);
  if (!self->kernels) {
    PyErr_Format(PyExc_ValueError, "this machine has no instruction set '%s'", isa);
    return -1;
  }
  uint64_t budget;
  if (read_budget(self->program, weights_bytes, &budget)) return -1;
  pm_status status = take(self, self->program, budget);
  if (status != PM_OK && status != PM_E_MEMORY) {
    pm_raise(pm_module_of((PyObject *)self), status, (pm_place){PM_NONE, PM_NONE});
    return -1;
  }
  self->pool = status == PM_OK ? pm_pool_new(self->workers) : NULL;
  self->lock = PyThread_allocate_lock();
  if (self->pool && self->lock) return 0;
  PyErr_NoMemory();
  return -1;
}

static PyObject *runner_use(RunnerObject *self, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"program", "weights_bytes", NULL};
  PyObject *module = pm_module_of((PyObject *)self), *object, *weights_bytes = Py_None;
  const pm_module_state *state = PyModule_GetState(module);
  uint64_t budget;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|O:use", names, state->program_type, &object, &weights_bytes))
    return NULL;
  ProgramObject *program = (ProgramObject *)object;
  if (read_budget(program, weights_bytes, &budget)) return NULL;
  Py_BEGIN_ALLOW_THREADS
  PyThread_acquire_lock(self->lock, WAIT_LOCK);
  Py_END_ALLOW_THREADS
  const pm_status status = take(self, program, budget);
  ProgramObject *before = self->program;
  if (status == PM_OK) self->program = (ProgramObject *)Py_NewRef(object);
  PyThread_release_lock(self->lock);
  if (status == PM_E_MEMORY) return PyErr_NoMemory();
  if (status != PM_OK) return pm_raise(module, status, (pm_place){PM_NONE, PM_NONE});
  Py_DECREF((PyObject *)before);
  Py_RETURN_NONE;
}

static PyObject *runner_release(RunnerObject *self, PyObject *unused) {
  (void)unused;
  Py_BEGIN_ALLOW_THREADS
  PyThread_acquire_lock(self->lock, WAIT_LOCK);
  give_back(self);
  PyThread_release_lock(self->lock);
  Py_END_ALLOW_THREADS
  Py_RETURN_NONE;
}

/* Once only, so that a run in another thread never loses the memory that it writes to. */
static PyObject *runner_show(RunnerObject *self, PyObject *memory) {
  if (self->shown.obj) return PyErr_Format(PyExc_ValueError, "it is shown already");
  if (PyObject_GetBuffer(memory, &self->shown, PyBUF_WRITABLE)) return NULL;
  if ((uintptr_t)self->shown.buf % sizeof(uint64_t) == 0) Py_RETURN_NONE;
  PyBuffer_Release(&self->shown);
  return PyErr_Format(PyExc_ValueError, "show() needs memory that is aligned to 8 bytes");
}

static PyObject *runner_new(PyTypeObject *type, PyObject *args, PyObject *kwargs) {
  static char *names[] = {"program", "workers", "isa", "weights_bytes", NULL};
  const pm_module_state *state = PyModule_GetState(PyType_GetModule(type));
  PyObject *program, *budget = Py_None;
  int workers = 1;
  const char *isa = NULL;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|izO:Runner", names, state->program_type, &program,
                                   &workers, &isa, &budget))
    return NULL;
  if (workers < 1 || workers > PM_MAX_WORKERS)
    return PyErr_Format(PyExc_ValueError, "workers must be 1 to %d, not %d", PM_MAX_WORKERS, workers);
  allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
  RunnerObject *self = (RunnerObject *)allocate(type, 0);
  if (!self) return NULL;
  self->program = (ProgramObject *)Py_NewRef(program);
  self->workers = workers;
  if (!set_up(self, isa, budget)) return (PyObject *)self;
  Py_DECREF((PyObject *)self);
  return NULL;
}

static void runner_dealloc(RunnerObject *self) {
  PyTypeObject *type = Py_TYPE((PyObject *)self);
  pm_pool_free(self->pool);
  Py_BEGIN_ALLOW_THREADS
  give_back(self);
  Py_END_ALLOW_THREADS
  PyMem_Free(self->layout);
  if (self->lock) PyThread_free_lock(self->lock);
  if (self->shown.obj) PyBuffer_Release(&self->shown);
  Py_XDECREF((PyObject *)self->program);
  freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
  release(self);
  Py_DECREF((PyObject *)type);
}

static PyObject *get_workers(RunnerObject *self, void *closure) {
  (void)closure;
  return PyLong_FromLong(self->workers);
}

static PyObject *get_nbytes(RunnerObject *self, void *closure) {
  (void)closure;
  return PyLong_FromSize_t(self->nbytes);
}

static PyObject *get_isa(RunnerObject *self, void *closure) {
  (void)closure;
  return PyUnicode_FromString(pm_kernels_isa(self->kernels));
}

static PyGetSetDef attributes[] = {
    {"workers", (getter)get_workers, NULL, "Threads that compute, the caller's among them.", NULL},
    {"nbytes", (getter)get_nbytes, NULL, "Bytes of the arena and the scratch.", NULL},
    {"isa", (getter)get_isa, NULL, "The instruction set that is used.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef methods[] = {
    {"run", (PyCFunction)(void (*)(void))runner_run, METH_VARARGS | METH_KEYWORDS,
     "run(inputs, outputs, host=None, profile=False): run once, from and into C-contiguous buffers.\n\n"
     "With profile, nanoseconds for each instruction are returned."},
    {"use", (PyCFunction)(void (*)(void))runner_use, METH_VARARGS | METH_KEYWORDS,
     "use(program, weights_bytes=None): run this program from now on, in the same memory as far as it is enough.\n\n"
     "Weights that are streamed stay where they are, if it is another size of the same plan."},
    {"release", (PyCFunction)runner_release, METH_NOARGS,
     "release(): give back arena, scratch and weights, until a program is used again; threads stay."},
    {"show", (PyCFunction)runner_show, METH_O,
     "show(memory): from now on, write when each instruction was done, and behind the last when the run\n"
     "began, as 64-bit nanoseconds of the monotonic clock. Another process may read them. A program that\n"
     "has more instructions than there is room for is not shown."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot slots[] = {
    {Py_tp_new, (void *)runner_new},
    {Py_tp_dealloc, (void *)runner_dealloc},
    {Py_tp_getset, attributes},
    {Py_tp_methods, methods},
    {Py_tp_doc, "Runner(program, workers=1, isa=None, weights_bytes=None): the memory and the workers to\n"
                         "run a program; for one that was opened as streamed, with so many bytes for weights."},
    {0, NULL},
};

PyType_Spec pm_runner_spec = {"pelemay._native.Runner", sizeof(RunnerObject), 0,
                              Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
