#include "qelement.h"

PM_CHECK(qbinary) {
  (void)need;
  if (!pm_has(call, 2, 1, QBINARY_PARAMS) || !pm_are_whole(call)) return PM_E_PARAMS;
  const int64_t *p = call->params;
  const pm_tensor *a = call->in[0].t, *b = call->in[1].t, *y = call->out[0].t;
  if (!pm_is_byte(a) || !pm_is_byte(b) || !pm_is_byte(y)) return PM_E_TENSOR;
  if (!pm_broadcasts(a, y) || !pm_broadcasts(b, y)) return PM_E_TENSOR;
  if (p[QBINARY_OPERATION] < 0 || p[QBINARY_OPERATION] >= PM_QOPERATIONS) return PM_E_PARAMS;
  if (!pm_qzero_fits(a, NULL, p[QBINARY_A_ZERO]) || !pm_qzero_fits(b, NULL, p[QBINARY_B_ZERO]))
    return PM_E_PARAMS;
  return pm_qfinish_fits(y, p[QBINARY_Y_ZERO], p[QBINARY_LOW], p[QBINARY_HIGH]) ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(qtable) {
  (void)need;
  if (!pm_has(call, 2, 1, 0) || !pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *table = call->in[1].t, *y = call->out[0].t;
  if (!pm_is_byte(x) || !pm_same_shape(x, y) || table->dtype != y->dtype) return PM_E_TENSOR;
  return table->rank == 1 && table->dims[0] == 256 && pm_is_contiguous(table) ? PM_OK : PM_E_TENSOR;
}
