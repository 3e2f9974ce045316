#include "scan.h"

PM_CHECK(scan) {
  (void)need;
  if (!pm_has(call, 1, 1, PM_SCAN_PARAMS)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  if (call->params[0] < 0 || call->params[0] >= x->rank) return PM_E_PARAMS;
  if (x->dtype != y->dtype || x->dtype == PM_F16 || x->dtype == PM_BF16) return PM_E_TENSOR;
  return pm_same_shape(x, y) && pm_are_whole(call) ? PM_OK : PM_E_TENSOR;
}
