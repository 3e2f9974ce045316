/* pelemay._planner: the search for offsets, over the stable ABI of CPython 3.11. It shares nothing
   with the engine, so that planning does not load the engine. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdbool.h>

#include "../planner/pack.h"

#define ROWS 4

static const char doc[] =
    "pack(lower, upper, size, rank, sections, capacity, nodes) -> (found, offsets, failures)\n\n"
    "Arrays of int32. found is True, False, or None where the nodes did not suffice.";

static bool is_row(const Py_buffer *row, Py_ssize_t blocks) {
  return row->len == blocks * (Py_ssize_t)sizeof(int32_t) &&
         (uintptr_t)row->buf % sizeof(int32_t) == 0;
}

/* What the search trusts: spans within the sections, a permutation, no section overfull. */
static const char *fault(const pm_pack_problem *p, int32_t *seen, int64_t *load) {
  for (int32_t b = 0; b < p->blocks; b++) {
    if (p->lower[b] < 0 || p->upper[b] <= p->lower[b] || p->upper[b] > p->sections)
      return "a block is held outside of the sections";
    if (p->size[b] <= 0 || p->size[b] > p->capacity) return "a size is not within the capacity";
    if (p->rank[b] < 0 || p->rank[b] >= p->blocks || seen[p->rank[b]]++)
      return "the ranks are no permutation";
    for (int32_t t = p->lower[b]; t < p->upper[b]; t++)
      if ((load[t] += p->size[b]) > p->capacity) return "a section is overfull";
  }
  return NULL;
}

static PyObject *search(const pm_pack_problem *problem, long long nodes) {
  PyObject *offsets = PyBytes_FromStringAndSize(NULL, problem->blocks * (Py_ssize_t)sizeof(int32_t));
  PyObject *failures =
      PyBytes_FromStringAndSize(NULL, problem->sections * (Py_ssize_t)sizeof(int32_t));
  void *memory = PyMem_Malloc(pm_pack_bytes(problem->blocks, problem->sections));
  if (!offsets || !failures || !memory) {
    Py_XDECREF(offsets);
    Py_XDECREF(failures);
    PyMem_Free(memory);
    return PyErr_NoMemory();
  }
  int32_t *const places = (int32_t *)(void *)PyBytes_AsString(offsets);
  int32_t *const counts = (int32_t *)(void *)PyBytes_AsString(failures);
  pm_pack_result result;
  Py_BEGIN_ALLOW_THREADS
  result = pm_pack(problem, nodes, memory, places, counts);
  Py_END_ALLOW_THREADS
  PyMem_Free(memory);
  PyObject *found = result == PM_PACK_FOUND ? Py_True : result == PM_PACK_NONE ? Py_False : Py_None;
  return Py_BuildValue("(ONN)", found, offsets, failures);
}

static PyObject *checked_search(Py_buffer *rows, int sections, int capacity, long long nodes) {
  const Py_ssize_t blocks = rows[0].len / (Py_ssize_t)sizeof(int32_t);
  const char *wrong = NULL;
  for (int i = 0; i < ROWS; i++)
    if (!is_row(&rows[i], blocks)) wrong = "the arrays are not int32 and of one length";
  if (blocks > PM_PACK_MAX_BLOCKS) wrong = "there are too many blocks";
  if (sections < 0 || sections > PM_PACK_MAX_SECTIONS) wrong = "there are too many sections";
  if (capacity < 0 || capacity > PM_PACK_MAX_CAPACITY) wrong = "the capacity is too large";
  if (wrong) {
    PyErr_SetString(PyExc_ValueError, wrong);
    return NULL;
  }
  const pm_pack_problem problem = {
      (int32_t)blocks, sections, rows[0].buf, rows[1].buf, rows[2].buf, rows[3].buf, capacity};
  int32_t *seen = PyMem_Calloc((size_t)blocks + 1, sizeof *seen);
  int64_t *load = PyMem_Calloc((size_t)sections + 1, sizeof *load);
  if (seen && load) wrong = fault(&problem, seen, load);
  const bool enough = seen && load;
  PyMem_Free(seen);
  PyMem_Free(load);
  if (!enough) return PyErr_NoMemory();
  if (wrong) {
    PyErr_SetString(PyExc_ValueError, wrong);
    return NULL;
  }
  return search(&problem, nodes);
}

static PyObject *pack(PyObject *module, PyObject *args) {
  (void)module;
  Py_buffer rows[ROWS];
  int sections, capacity;
  long long nodes;
  if (!PyArg_ParseTuple(args, "y*y*y*y*iiL:pack", &rows[0], &rows[1], &rows[2], &rows[3], &sections,
                        &capacity, &nodes))
    return NULL;
  PyObject *result = checked_search(rows, sections, capacity, nodes);
  for (int i = 0; i < ROWS; i++) PyBuffer_Release(&rows[i]);
  return result;
}

static PyMethodDef methods[] = {{"pack", pack, METH_VARARGS, doc}, {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_planner",
    .m_doc = "The search for offsets of blocks in an arena.",
    .m_methods = methods,
};

PyMODINIT_FUNC PyInit__planner(void) { return PyModuleDef_Init(&definition); }
