#include "quantize.h"

static bool is_byte(const pm_tensor *t) { return t->dtype == PM_U8 || t->dtype == PM_I8; }

/* The scale and the zero point, which is of that type. */
static bool fits(const pm_call *call, unsigned dtype) {
  if (call->n_in != 3 || call->n_out != 1 || call->n_params != 0) return false;
  const pm_tensor *x = call->in[0].t, *scale = call->in[1].t, *zero = call->in[2].t, *y = call->out[0].t;
  if (!x || !scale || !y || !pm_are_whole(call) || scale->dtype != PM_F32) return false;
  if (!pm_broadcasts(x, y) || !pm_broadcasts(scale, y)) return false;
  return !zero || (zero->dtype == dtype && pm_broadcasts(zero, y));
}

PM_CHECK(quantize) {
  (void)need;
  if (call->n_out != 1 || !call->out[0].t || !fits(call, call->out[0].t->dtype)) return PM_E_PARAMS;
  return call->in[0].t->dtype == PM_F32 && is_byte(call->out[0].t) ? PM_OK : PM_E_TENSOR;
}

PM_CHECK(dequantize) {
  (void)need;
  if (call->n_in != 3 || !call->in[0].t || !fits(call, call->in[0].t->dtype)) return PM_E_PARAMS;
  const bool known = is_byte(call->in[0].t) || call->in[0].t->dtype == PM_I32;
  return known && call->out[0].t->dtype == PM_F32 ? PM_OK : PM_E_TENSOR;
}

PM_CHECK(quantize_dynamic) {
  if (!pm_has(call, 1, 3, 0) || !pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t;
  if (x->dtype != PM_F32 || y->dtype != PM_U8 || !pm_same_shape(x, y)) return PM_E_TENSOR;
  if (!pm_is_contiguous(x) || !pm_is_contiguous(y)) return PM_E_TENSOR;
  if (call->out[1].t->dtype != PM_F32 || pm_count(call->out[1].t) != 1) return PM_E_TENSOR;
  if (call->out[2].t->dtype != PM_U8 || pm_count(call->out[2].t) != 1) return PM_E_TENSOR;
  need->shared = (size_t)need->workers * sizeof(pm_extremes);
  return PM_OK;
}
