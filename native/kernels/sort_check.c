#include "sort.h"

static bool fits(const pm_tensor *y, const pm_tensor *x, int64_t axis, unsigned dtype) {
  if (!y) return true;
  if (y->dtype != dtype || y->rank != x->rank) return false;
  for (int i = 0; i < x->rank; i++)
    if (i == axis ? y->dims[i] > x->dims[i] : y->dims[i] != x->dims[i]) return false;
  return true;
}

PM_CHECK(topk) {
  const bool counted = call->n_in == 1 && call->n_out == 2 && call->n_params == PM_TOPK_PARAMS;
  if (!counted || !call->in[0].t || !pm_topk_shape(call)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t;
  const int64_t axis = call->params[0];
  if (axis < 0 || axis >= x->rank) return PM_E_PARAMS;
  if (x->dtype == PM_F16 || x->dtype == PM_BF16 || !pm_are_whole(call)) return PM_E_TENSOR;
  const pm_tensor *values = call->out[0].t, *places = call->out[1].t;
  if (!fits(values, x, axis, x->dtype) || !fits(places, x, axis, PM_I64)) return PM_E_TENSOR;
  if (values && places && !pm_same_shape(values, places)) return PM_E_TENSOR;
  need->own = (size_t)pm_topk_shape(call)->dims[axis] * PM_TOPK_ENTRY;
  return PM_OK;
}
