#include "widen.h"

static bool are_scales(const pm_tensor *t, int64_t columns) {
  return t && t->dtype == PM_F32 && t->rank == 1 && t->dims[0] == columns && pm_is_contiguous(t);
}

bool pm_is_stored(const pm_call *call) {
  const pm_tensor *w = call->in[1].t;
  switch (w->dtype) {
    case PM_F32:
    case PM_F16:
    case PM_BF16: return call->n_in == PM_SCALES;
    case PM_I8: break;
    default: return false;
  }
  return call->n_in == PM_SCALES + 1 && are_scales(call->in[PM_SCALES].t, w->dims[0] * PM_PANEL);
}
