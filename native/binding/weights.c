/* Programs whose weights are read block by block instead of mapped. */
#include "native.h"

#include "../host/stream.h"
#include "../host/stream_plan.h"

/* A block, checked, in pages of its own; NULL where that is not possible, with *status saying why. */
static uint8_t *read_block(const ProgramObject *self, uint32_t number, size_t *page_bytes, uint8_t **pages,
                           pm_status *status) {
  const pm_block *block = &self->program.blocks[number];
  const uint64_t offset = self->program.header->weights_offset + block->offset;
  const size_t before = (size_t)(offset % PM_PAGE);
  *page_bytes = before + (size_t)block->nbytes + PM_PAGE;
  *pages = pm_pages_new(*page_bytes);
  *status = PM_E_MEMORY;
  if (!*pages) return NULL;
  uint8_t *data = *pages + before;
  *status = pm_source_read(pm_source_of(self), offset, (size_t)block->nbytes, data);
  if (*status == PM_OK && pm_crc32(0, data, (size_t)block->nbytes) != block->crc) *status = PM_E_CRC;
  return data;
}

PyObject *pm_read_constant(ProgramObject *self, const pm_tensor *t) {
  uint8_t *pages, *data;
  size_t page_bytes;
  pm_status status;
  Py_BEGIN_ALLOW_THREADS
  data = read_block(self, t->index, &page_bytes, &pages, &status);
  Py_END_ALLOW_THREADS
  PyObject *bytes = NULL;
  if (status == PM_OK) {
    const uint64_t within = t->offset - self->program.blocks[t->index].offset;
    bytes = PyBytes_FromStringAndSize((const char *)data + within, (Py_ssize_t)pm_span_bytes(t));
  } else {
    pm_raise(pm_module_of((PyObject *)self), status, (pm_place){PM_NONE, t->index});
  }
  pm_pages_free(pages, page_bytes);
  return bytes;
}

pm_status pm_verify_streamed(const ProgramObject *self, size_t *bad) {
  pm_status status = PM_OK;
  for (*bad = 0; *bad < self->program.n_blocks; ++*bad) {
    uint8_t *pages;
    size_t page_bytes;
    read_block(self, (uint32_t)*bad, &page_bytes, &pages, &status);
    pm_pages_free(pages, page_bytes);
    if (status != PM_OK) break;
  }
  return status;
}

static int parse_budget(PyObject *argument, uint64_t *budget) {
  *budget = UINT64_MAX;
  if (argument == Py_None) return 0;
  *budget = PyLong_AsUnsignedLongLong(argument);
  return PyErr_Occurred() ? -1 : 0;
}

PyObject *pm_program_stream_need(ProgramObject *self, PyObject *args) {
  PyObject *argument = Py_None;
  uint64_t budget;
  if (!PyArg_ParseTuple(args, "|O:stream_need", &argument) || parse_budget(argument, &budget)) return NULL;
  pm_stream_need need;
  const pm_status status = pm_stream_need_of(&self->program, budget, &need);
  if (status == PM_E_MEMORY) return PyErr_NoMemory();
  return Py_BuildValue("{sKsKsKsKsKsKsK}", "least", (unsigned long long)need.least, "most",
                       (unsigned long long)need.most, "memory", (unsigned long long)need.memory, "window",
                       (unsigned long long)need.window, "resident", (unsigned long long)need.resident, "read",
                       (unsigned long long)need.read, "overhead", (unsigned long long)need.overhead);
}

static PyObject *load_row(const pm_stream_plan *plan, const pm_load *load) {
  PyObject *blocks = PyTuple_New(load->count);
  for (uint32_t i = 0; blocks && i < load->count; i++) {
    PyObject *number = PyLong_FromUnsignedLong(plan->held[load->blocks + i]);
    if (!number || PyTuple_SetItem(blocks, i, number)) Py_CLEAR(blocks);
  }
  PyObject *after = load->after == PM_ANY_TIME ? Py_NewRef(Py_None) : PyLong_FromLongLong(load->after);
  return Py_BuildValue("(KKKIINNO)", (unsigned long long)load->offset, (unsigned long long)load->nbytes,
                       (unsigned long long)load->slot, load->first, load->last, blocks, after,
                       load->stays ? Py_True : Py_False);
}

static PyObject *loads_of(const pm_stream_plan *plan) {
  PyObject *list = PyList_New((Py_ssize_t)plan->n_loads);
  for (size_t i = 0; list && i < plan->n_loads; i++) {
    PyObject *row = load_row(plan, &plan->loads[i]);
    if (!row || PyList_SetItem(list, (Py_ssize_t)i, row)) Py_CLEAR(list);
  }
  return list;
}

static PyObject *small_of(const pm_stream_plan *plan) {
  PyObject *list = PyList_New((Py_ssize_t)plan->n_small);
  for (size_t i = 0; list && i < plan->n_small; i++) {
    PyObject *row = Py_BuildValue("(IK)", plan->small[i].block, (unsigned long long)plan->small[i].place);
    if (!row || PyList_SetItem(list, (Py_ssize_t)i, row)) Py_CLEAR(list);
  }
  return list;
}

/* For each instruction: how many loads it needs, and where its operands among the weights lie. */
static PyObject *steps_of(const pm_stream_plan *plan, size_t n_instrs) {
  PyObject *list = PyList_New((Py_ssize_t)n_instrs);
  for (size_t i = 0; list && i < n_instrs; i++) {
    PyObject *places = PyList_New(plan->first[i + 1] - plan->first[i]);
    for (uint32_t k = plan->first[i]; places && k < plan->first[i + 1]; k++) {
      PyObject *place = PyLong_FromUnsignedLongLong(plan->places[k]);
      if (!place || PyList_SetItem(places, k - plan->first[i], place)) Py_CLEAR(places);
    }
    PyObject *row = Py_BuildValue("(IN)", plan->needs[i], places);
    if (!row || PyList_SetItem(list, (Py_ssize_t)i, row)) Py_CLEAR(list);
  }
  return list;
}

PyObject *pm_program_stream_plan(ProgramObject *self, PyObject *argument) {
  uint64_t budget;
  if (parse_budget(argument, &budget)) return NULL;
  pm_stream_plan plan;
  const pm_status status = pm_stream_plan_new(&plan, &self->program, budget);
  if (status != PM_OK) return pm_raise(pm_module_of((PyObject *)self), status, (pm_place){PM_NONE, PM_NONE});
  PyObject *found = Py_BuildValue("(KKNNN)", (unsigned long long)plan.memory, (unsigned long long)plan.window,
                                  loads_of(&plan), small_of(&plan), steps_of(&plan, self->program.n_instrs));
  pm_stream_plan_free(&plan);
  return found;
}
