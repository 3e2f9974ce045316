#include "norm_lrn.h"

PM_CHECK(lrn) {
  if (!pm_has(call, 1, 1, PM_LRN_PARAMS)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t axis = call->params[0], size = call->params[1];
  if (axis < 0 || axis >= x->rank || size < 1) return PM_E_PARAMS;
  if ((x->dtype != PM_F32 && x->dtype != PM_F64) || x->dtype != y->dtype) return PM_E_TENSOR;
  if (!pm_same_shape(x, y) || !pm_are_whole(call)) return PM_E_TENSOR;
  const int64_t n = x->dims[axis];
  const int64_t squares = n + pm_lrn_before(size, n) + pm_lrn_after(size, n) + PM_LRN_SLACK;
  need->own = (size_t)squares * sizeof(float);
  return PM_OK;
}
