#include "norm.h"

static bool spreads(const pm_tensor *t, const pm_tensor *x) {
  return !t || (t->dtype == x->dtype && pm_spreads_to(t, x));
}

static bool is_statistic(const pm_tensor *t, const pm_tensor *x, uint32_t axes) {
  return !t || (t->dtype == x->dtype && pm_is_reduced(t, x, axes));
}

PM_CHECK(norm) {
  (void)need;
  if (call->n_in != 3 || call->n_out != 3 || call->n_params != PM_NORM_PARAMS) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  const int64_t kind = call->params[0], axes = call->params[1];
  if (!x || !y || kind < 0 || kind >= PM_NORM_KINDS) return PM_E_PARAMS;
  if (axes < 0 || axes >> x->rank) return PM_E_PARAMS;
  if ((x->dtype != PM_F32 && x->dtype != PM_F64) || y->dtype != x->dtype) return PM_E_TENSOR;
  if (!pm_same_shape(x, y) || !pm_are_whole(call)) return PM_E_TENSOR;
  if (!spreads(call->in[1].t, x) || !spreads(call->in[2].t, x)) return PM_E_TENSOR;
  for (int i = 1; i < 3; i++)
    if (!is_statistic(call->out[i].t, x, (uint32_t)axes)) return PM_E_TENSOR;
  return PM_OK;
}
