#include "pool_unpool.h"

PM_CHECK(unpool) {
  (void)need;
  if (!pm_has(call, 2, 1, PM_UNPOOL_PARAMS)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *places = call->in[1].t, *y = call->out[0].t;
  if (x->rank < 3 || x->rank > 5 || y->rank != x->rank || !pm_same_shape(x, places)) return PM_E_TENSOR;
  if (places->dtype != PM_I64 || x->dtype != y->dtype || !pm_are_whole(call)) return PM_E_TENSOR;
  if (x->dims[0] != y->dims[0] || x->dims[1] != y->dims[1]) return PM_E_TENSOR;
  int64_t total = (int64_t)1 << 46;
  for (int i = 0; i < 3; i++) {
    const int64_t size = call->params[i];
    if (size < 1 || size > total || (i < 5 - x->rank && size != 1)) return PM_E_PARAMS;
    total /= size;
  }
  return PM_OK;
}
