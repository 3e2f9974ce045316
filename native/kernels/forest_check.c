#include "forest.h"

_Static_assert(sizeof(pm_forest_node_float) == 16 && sizeof(pm_forest_node_double) == 20, "as files have them");

static bool are_rows(const pm_tensor *t, unsigned dtype) {
  return t->rank == 2 && t->dtype == dtype && (t->strides[1] == 1 || t->dims[1] <= 1);
}

static bool is_table(const pm_tensor *t, unsigned dtype, int rank) {
  return t->rank == rank && t->dtype == dtype && pm_is_contiguous(t) && pm_count(t) > 0;
}

PM_CHECK(forest) {
  (void)need;
  if (call->n_in != FOREST_INPUTS || call->n_out != 1 || call->n_params != FOREST_PARAMS) return PM_E_PARAMS;
  const pm_tensor *x = call->in[FOREST_X].t, *nodes = call->in[FOREST_NODES].t, *y = call->out[0].t;
  const pm_tensor *roots = call->in[FOREST_ROOTS].t, *weights = call->in[FOREST_WEIGHTS].t;
  const pm_tensor *targets = call->in[FOREST_TARGETS].t, *start = call->in[FOREST_START].t;
  const int64_t combine = call->params[FOREST_COMBINE], kinds = call->params[FOREST_KINDS];
  if (!x || !nodes || !roots || !weights || !y || !pm_are_whole(call)) return PM_E_PARAMS;
  if (combine < 0 || combine >= PM_FOREST_COMBINES || kinds < 0 || kinds >= PM_FOREST_KINDS) return PM_E_PARAMS;
  if (x->dtype != PM_F32 && x->dtype != PM_F64) return PM_E_TENSOR;
  const uint32_t words = x->dtype == PM_F32 ? 4 : 5;
  if (!are_rows(x, x->dtype) || !are_rows(y, x->dtype) || x->dims[0] != y->dims[0]) return PM_E_TENSOR;
  if (!x->dims[1] || !y->dims[1]) return PM_E_TENSOR;
  if (!is_table(nodes, PM_I32, 2) || nodes->dims[1] != words || !is_table(roots, PM_I32, 1)) return PM_E_TENSOR;
  if (!is_table(weights, x->dtype, 2)) return PM_E_TENSOR;
  if (!targets && weights->dims[1] != y->dims[1]) return PM_E_TENSOR;
  if (targets && (!is_table(targets, PM_I32, 2) || !pm_same_shape(targets, weights))) return PM_E_TENSOR;
  if (start && (!are_rows(start, x->dtype) || !pm_same_shape(start, y))) return PM_E_TENSOR;
  return PM_OK;
}
