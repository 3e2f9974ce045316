#include "copy.h"

PM_CHECK(copy) {
  (void)need;
  if (call->n_params > 1 || !pm_has(call, 1, 1, call->n_params)) return PM_E_PARAMS;
  if (!pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *from = call->in[0].t, *to = call->out[0].t;
  if (pm_dtype_size(from->dtype) != pm_dtype_size(to->dtype)) return PM_E_PARAMS;
  if (call->n_params && (call->params[0] < 0 || call->params[0] >> to->rank)) return PM_E_PARAMS;
  return pm_broadcasts(from, to) ? PM_OK : PM_E_PARAMS;
}
