#include "qgemm.h"
#include "qsoftmax.h"

PM_CHECK(qsoftmax) {
  (void)need;
  if (!pm_has(call, 2, 1, PM_QSOFTMAX_PARAMS) || !pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *powers = call->in[1].t, *y = call->out[0].t;
  const int64_t axis = call->params[PM_QSOFTMAX_AXIS];
  if (axis < 0 || axis >= x->rank || !pm_is_byte(y)) return PM_E_PARAMS;
  if (!pm_qzero_fits(y, NULL, call->params[PM_QSOFTMAX_ZERO])) return PM_E_PARAMS;
  if (!pm_is_byte(x) || !pm_same_shape(x, y) || powers->dtype != PM_I32) return PM_E_TENSOR;
  return powers->rank == 1 && powers->dims[0] == 256 && pm_is_contiguous(powers) ? PM_OK : PM_E_TENSOR;
}
