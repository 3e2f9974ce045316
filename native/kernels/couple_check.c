#include "couple.h"

PM_CHECK(couple) {
  if (!pm_has(call, 1, 1, 0) || !pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  if (x->dtype != PM_F32 || y->dtype != PM_F32 || x->rank != 2 || y->rank != 2) return PM_E_TENSOR;
  const int64_t classes = y->dims[1];
  if (classes < 2 || classes > PM_COUPLE_MOST_CLASSES || x->dims[1] != classes * (classes - 1) / 2) return PM_E_TENSOR;
  if (x->dims[0] != y->dims[0] || !pm_is_contiguous(x) || !pm_is_contiguous(y)) return PM_E_TENSOR;
  need->own = pm_couple_scratch_bytes((size_t)classes);
  return PM_OK;
}
