#include "qpool.h"

#include "qgemm.h"

static bool is_dense(const pm_tensor *t) {
  return pm_is_byte(t) && t->rank > 0 && (t->strides[t->rank - 1] == 1 || t->dims[t->rank - 1] <= 1);
}

PM_CHECK(qpool) {
  (void)need;
  if (!pm_has(call, 1, 1, PM_QPOOL_PARAMS)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t *p = call->params;
  if (!is_dense(x) || !is_dense(y)) return PM_E_TENSOR;
  if (p[PM_POOL_KIND] != PM_POOL_AVERAGE || !pm_windows_fit(x, y, p)) return PM_E_PARAMS;
  const int64_t least = y->dtype == PM_U8 ? 0 : INT8_MIN;
  if (!pm_qfinish_fits(y, p[PM_QPOOL_Y_ZERO], least, least + 255)) return PM_E_PARAMS;
  return pm_qzero_fits(x, NULL, p[PM_QPOOL_ZERO]) ? PM_OK : PM_E_PARAMS;
}
