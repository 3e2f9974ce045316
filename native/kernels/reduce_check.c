#include "reduce.h"

static bool is_float(unsigned dtype) { return dtype == PM_F32 || dtype == PM_F64; }

static bool is_known(unsigned dtype) { return dtype != PM_F16 && dtype != PM_BF16; }

PM_CHECK(reduce) {
  if (!pm_has(call, 1, 1, PM_REDUCE_PARAMS)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t kind = call->params[0], axes = call->params[1];
  if (kind < 0 || kind >= PM_REDUCE_KINDS || axes < 0 || axes >= 1 << PM_MAX_RANK) return PM_E_PARAMS;
  if (x->dtype != y->dtype || !is_known(x->dtype) || !pm_are_whole(call)) return PM_E_TENSOR;
  if (kind >= PM_REDUCE_LOG_SUM && !is_float(x->dtype)) return PM_E_PARAMS;
  if (!pm_is_reduced(y, x, (uint32_t)axes)) return PM_E_TENSOR;
  const pm_reduce r = pm_reduce_of(call);
  need->shared = pm_reduce_partials(&r) * sizeof(double);
  return PM_OK;
}
