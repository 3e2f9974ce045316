#include "loss.h"

PM_CHECK(loss) {
  (void)need;
  if (call->n_in != 3 || call->n_out != 1 || call->n_params != 4) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *right = call->in[1].t, *weights = call->in[2].t, *y = call->out[0].t;
  if (!x || !right || !y || x->ring || right->ring || y->ring) return PM_E_PARAMS;
  if (x->rank != 3 || right->rank != 2 || x->dtype > PM_F64 || y->dtype != x->dtype) return PM_E_PARAMS;
  if (right->dtype != PM_I32 && right->dtype != PM_I64) return PM_E_PARAMS;
  if (right->dims[0] != x->dims[0] || right->dims[1] != x->dims[2] || !x->dims[1]) return PM_E_PARAMS;
  if (weights && (weights->rank != 1 || weights->ring || weights->dtype != x->dtype)) return PM_E_PARAMS;
  if (weights && weights->dims[0] != x->dims[1]) return PM_E_PARAMS;
  if (call->params[0] < 0 || call->params[0] >= PM_LOSS_REDUCTIONS) return PM_E_PARAMS;
  if (call->params[0] == PM_LOSS_NONE) return pm_same_shape(y, right) ? PM_OK : PM_E_PARAMS;
  return pm_count(y) == 1 ? PM_OK : PM_E_PARAMS;
}
