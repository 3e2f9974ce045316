#include "norm_batch.h"

PM_CHECK(batch_norm) {
  (void)need;
  if (!pm_has(call, 5, 1, PM_BATCH_PARAMS)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  if ((x->dtype != PM_F32 && x->dtype != PM_F64) || x->dtype != y->dtype) return PM_E_TENSOR;
  if (!pm_same_shape(x, y) || !pm_are_whole(call)) return PM_E_TENSOR;
  for (int i = 1; i < 5; i++)
    if (call->in[i].t->dtype != x->dtype || !pm_spreads_to(call->in[i].t, x)) return PM_E_TENSOR;
  return PM_OK;
}
