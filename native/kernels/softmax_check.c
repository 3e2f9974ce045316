#include "softmax.h"

PM_CHECK(softmax) {
  (void)need;
  if (!pm_has(call, 1, 1, PM_SOFTMAX_PARAMS)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t kind = call->params[0], axis = call->params[1];
  if (kind < 0 || kind >= PM_SOFTMAX_KINDS || axis < 0 || axis >= x->rank) return PM_E_PARAMS;
  if (x->dtype != y->dtype || (x->dtype != PM_F32 && x->dtype != PM_F64)) return PM_E_TENSOR;
  return pm_same_shape(x, y) && pm_are_whole(call) ? PM_OK : PM_E_TENSOR;
}
