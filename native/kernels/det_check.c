#include "det.h"

PM_CHECK(det) {
  if (!pm_has(call, 1, 1, 0)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  if ((x->dtype != PM_F32 && x->dtype != PM_F64) || x->dtype != y->dtype) return PM_E_TENSOR;
  if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2] || !pm_are_whole(call)) return PM_E_TENSOR;
  const size_t n = x->dims[x->rank - 1];
  if (n > 1 << 20 || !pm_is_reduced(y, x, 3u << (x->rank - 2))) return PM_E_TENSOR;
  need->own = n * n * sizeof(double);
  return PM_OK;
}
