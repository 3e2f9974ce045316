#include "arrange.h"

PM_CHECK(trilu) {
  (void)need;
  if (!pm_has(call, 1, 1, 2) || !pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t limit = (int64_t)1 << 40;
  if (call->params[0] < -limit || call->params[0] > limit) return PM_E_PARAMS;
  return y->rank == 3 && x->dtype == y->dtype && pm_same_shape(x, y) ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(reverse_sequence) {
  (void)need;
  if (!pm_has(call, 2, 1, 0) || !pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *lengths = call->in[1].t, *y = call->out[0].t;
  if (y->rank != 3 || x->dtype != y->dtype || !pm_same_shape(x, y)) return PM_E_PARAMS;
  if (lengths->dtype != PM_I64 && lengths->dtype != PM_I32) return PM_E_PARAMS;
  return lengths->rank == 1 && lengths->dims[0] == y->dims[0] ? PM_OK : PM_E_PARAMS;
}
