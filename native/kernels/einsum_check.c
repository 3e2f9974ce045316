#include "einsum.h"

static bool is_known(unsigned dtype) {
  return dtype == PM_F32 || dtype == PM_F64 || dtype == PM_I32 || dtype == PM_I64;
}

PM_CHECK(einsum) {
  (void)need;
  if (call->n_in < 1 || call->n_in > PM_EINSUM_OPERANDS || !pm_has(call, call->n_in, 1, PM_EINSUM_PARAMS))
    return PM_E_PARAMS;
  const pm_tensor *y = call->out[0].t;
  if (!is_known(y->dtype) || !pm_are_whole(call)) return PM_E_TENSOR;
  for (int i = 0; i < call->n_in; i++)
    if (call->in[i].t->rank != y->rank || call->in[i].t->dtype != y->dtype) return PM_E_TENSOR;
  const pm_tensor whole = pm_einsum_whole(call);
  for (int i = 0; i < call->n_in; i++)
    if (!pm_spreads_to(call->in[i].t, &whole)) return PM_E_TENSOR;
  const int64_t axes = call->params[0];
  if (axes < 0 || axes >= 1 << PM_MAX_RANK) return PM_E_PARAMS;
  return pm_is_reduced(y, &whole, (uint32_t)axes) ? PM_OK : PM_E_TENSOR;
}
