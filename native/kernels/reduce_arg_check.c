#include "reduce_arg.h"

PM_CHECK(argmax) {
  (void)need;
  if (!pm_has(call, 1, 1, PM_ARGMAX_PARAMS)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t axis = call->params[0];
  if (axis < 0 || axis >= x->rank) return PM_E_PARAMS;
  if (x->dtype == PM_F16 || x->dtype == PM_BF16 || y->dtype != PM_I64) return PM_E_TENSOR;
  if (!pm_is_reduced(y, x, 1u << axis) || !pm_are_whole(call)) return PM_E_TENSOR;
  /* Of no elements none is the largest. */
  return x->dims[axis] || !pm_count(y) ? PM_OK : PM_E_TENSOR;
}
