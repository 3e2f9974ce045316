#include "roi.h"

/* x, y and a list of regions of so many numbers belong together. */
static bool are_maps(const pm_call *call, uint32_t numbers) {
  const pm_tensor *x = call->in[0].t, *regions = call->in[1].t, *y = call->out[0].t;
  if (!pm_are_whole(call) || x->rank != 4 || y->rank != 4 || regions->rank != 2) return false;
  if (x->dtype > PM_BF16 || y->dtype != x->dtype || regions->dtype != x->dtype) return false;
  if (regions->dims[0] != y->dims[0] || regions->dims[1] != numbers) return false;
  return x->dims[1] == y->dims[1];
}

PM_CHECK(roi_align) {
  if (!pm_has(call, 3, 1, 4) || !are_maps(call, 4)) return PM_E_PARAMS;
  const pm_tensor *images = call->in[2].t;
  if (images->dtype != PM_I64 || images->rank != 1) return PM_E_PARAMS;
  if (images->dims[0] != call->out[0].t->dims[0]) return PM_E_PARAMS;
  if (call->params[2] < 0 || call->params[2] > 1 << 20) return PM_E_PARAMS;
  need->own = pm_count(call->out[0].t) ? (size_t)call->out[0].t->dims[1] * sizeof(double) : 0;
  return PM_OK;
}

PM_CHECK(max_roi_pool) {
  (void)need;
  return pm_has(call, 2, 1, 1) && are_maps(call, 5) ? PM_OK : PM_E_PARAMS;
}
