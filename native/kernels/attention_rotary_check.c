#include "attention_rotary.h"

#include "reduce_path.h"

static bool fits(const pm_tensor *t, const pm_tensor *x, bool placed, int64_t half) {
  if (t->dtype != PM_F32 || t->rank != (placed ? 2 : 3)) return false;
  if (t->dims[t->rank - 1] != half) return false;
  return placed || ((t->dims[0] == x->dims[0] || t->dims[0] == 1) && t->dims[1] == x->dims[2]);
}

PM_CHECK(rotary) {
  (void)need;
  if (call->n_in != 4 || call->n_out != 1 || call->n_params != PM_ROTARY_PARAMS) return PM_E_PARAMS;
  for (int i = 0; i < 3; i++)
    if (!call->in[i].t) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *places = call->in[3].t, *y = call->out[0].t;
  const int64_t turned = call->params[0];
  if (!y || x->rank != 4 || x->dtype != PM_F32 || y->dtype != PM_F32) return PM_E_TENSOR;
  if (!pm_same_shape(x, y) || !pm_are_whole(call)) return PM_E_TENSOR;
  if (turned < 0 || turned % 2 || turned > x->dims[3]) return PM_E_PARAMS;
  for (int i = 1; i < 3; i++)
    if (!fits(call->in[i].t, x, places, turned / 2)) return PM_E_TENSOR;
  if (!places) return PM_OK;
  if (!pm_same_shape(call->in[1].t, call->in[2].t)) return PM_E_TENSOR;
  if (places->rank != 2 || places->dtype != PM_I64 || places->dims[1] != x->dims[2]) return PM_E_TENSOR;
  return places->dims[0] == x->dims[0] || places->dims[0] == 1 ? PM_OK : PM_E_TENSOR;
}
