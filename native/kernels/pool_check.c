#include "pool.h"

/* So that no product of sizes, strides and paddings leaves 64 bits. */
#define MOST ((int64_t)1 << 30)

static bool is_window(const int64_t *params) {
  for (int i = 0; i < 3; i++) {
    const int64_t kernel = params[PM_POOL_KERNEL + i], stride = params[PM_POOL_STRIDE + i];
    const int64_t dilation = params[PM_POOL_DILATION + i], pad = params[PM_POOL_PAD + i];
    if (kernel < 1 || kernel > MOST || stride < 1 || stride > MOST) return false;
    if (dilation < 1 || dilation > MOST || pad < -MOST || pad > MOST) return false;
    if (params[PM_POOL_END + i] < -MOST || params[PM_POOL_END + i] > MOST) return false;
  }
  return true;
}

static bool is_known(unsigned dtype, int64_t kind) {
  if (dtype == PM_F32 || dtype == PM_F64) return true;
  return kind == PM_POOL_MAX && (dtype == PM_I8 || dtype == PM_U8);
}

static bool are_pixels(const pm_tensor *t) {
  return t->rank >= 3 && t->rank <= 5 && (!t->ring || t->rank > 3);
}

bool pm_windows_fit(const pm_tensor *x, const pm_tensor *y, const int64_t *params) {
  if (!is_window(params) || !are_pixels(x) || !are_pixels(y) || x->rank != y->rank) return false;
  if (x->dims[0] != y->dims[0] || x->dims[x->rank - 1] != y->dims[y->rank - 1]) return false;
  const int64_t row0 = params[PM_POOL_ROW0], row1 = params[PM_POOL_ROW1];
  return row0 >= 0 && row0 <= row1 && row1 <= pm_pixels_of(y).size[1];
}

PM_CHECK(pool) {
  (void)need;
  const bool counted = call->n_in == 1 && call->n_out == 2 && call->n_params == PM_POOL_PARAMS;
  if (!counted || !call->in[0].t || !call->out[0].t) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *y = call->out[0].t, *places = call->out[1].t;
  const int64_t kind = call->params[PM_POOL_KIND];
  if (kind < 0 || kind >= PM_POOL_KINDS) return PM_E_PARAMS;
  if (!is_known(x->dtype, kind) || x->dtype != y->dtype) return PM_E_TENSOR;
  if (places && (kind != PM_POOL_MAX || places->dtype != PM_I64)) return PM_E_TENSOR;
  if (places && (!pm_same_shape(places, y) || places->ring)) return PM_E_TENSOR;
  return pm_windows_fit(x, y, call->params) ? PM_OK : PM_E_PARAMS;
}
