#include "conv_split.h"

/* So that no product of sizes, strides and paddings leaves 64 bits. */
#define MOST ((int64_t)1 << 30)

bool pm_is_image(const pm_tensor *t, unsigned dtype) {
  if (t->dtype != dtype || t->rank < 3 || t->rank > 5) return false;
  if (t->ring && t->rank != 4) return false;
  return t->strides[t->rank - 1] == 1 || t->dims[t->rank - 1] <= 1;
}

bool pm_window_is_possible(const int64_t *p) {
  for (int i = 0; i < 3; i++) {
    if (p[CONV_KERNEL + i] < 1 || p[CONV_KERNEL + i] > MOST) return false;
    if (p[CONV_STRIDE + i] < 1 || p[CONV_STRIDE + i] > MOST) return false;
    if (p[CONV_DILATION + i] < 1 || p[CONV_DILATION + i] > MOST) return false;
    if (p[CONV_PAD + i] < -MOST || p[CONV_PAD + i] > MOST) return false;
    if (p[CONV_KERNEL + i] * p[CONV_DILATION + i] > MOST) return false;
  }
  return true;
}

/* The elements of a window in one group, or 0 where that is out of all bounds. */
int64_t pm_window_size(const pm_conv *c) {
  int64_t size = c->x.c / c->groups;
  for (int i = 0; i < 3; i++) {
    if (c->kernel[i] > MOST / size) return 0;
    size *= c->kernel[i];
  }
  return size;
}

static bool is_raw(const pm_tensor *w, const pm_conv *c) {
  if (w->rank != 6 || w->ring || w->dims[0] != c->groups) return false;
  if (w->dims[1] != c->y.c / c->groups || w->dims[2] != c->x.c / c->groups) return false;
  for (int i = 0; i < 3; i++)
    if (w->dims[3 + i] != c->kernel[i]) return false;
  return true;
}

static bool weights_fit(const pm_tensor *w, const pm_conv *c) {
  if (c->weights == PM_WEIGHTS_RAW || c->weights == PM_WEIGHTS_MIRRORED)
    return w->dtype == PM_F32 && is_raw(w, c);
  const int64_t panels = pm_panels(c->y.c / c->groups) * c->groups;
  /* Depthwise: a panel has channels of several groups. */
  const bool across = w->rank == 3 && w->dims[0] == pm_panels(c->y.c);
  return c->weights == PM_WEIGHTS_PACKED && w->rank == 3 && pm_is_contiguous(w) &&
         (w->dims[0] == panels || across) && w->dims[1] == pm_window_size(c) &&
         w->dims[2] == PM_PANEL;
}

bool pm_conv_fits(const pm_call *call, int n_params) {
  if (call->n_in < 4 || call->n_out != 1 || call->n_params != n_params) return false;
  const pm_tensor *x = call->in[0].t, *w = call->in[1].t, *y = call->out[0].t;
  const pm_tensor *bias = call->in[2].t, *residual = call->in[3].t;
  if (!x || !w || !y || !pm_is_image(x, PM_F32) || !pm_is_image(y, PM_F32) || x->rank != y->rank) return false;
  if (bias && (bias->dtype != PM_F32 || bias->rank != 1 || !pm_is_contiguous(bias))) return false;
  if (residual && (!pm_is_image(residual, PM_F32) || !pm_same_shape(residual, y))) return false;
  const int64_t *p = call->params;
  if (!pm_window_is_possible(p) || !pm_epilogue_fits(p[CONV_KIND], p[CONV_AFTER])) return false;
  const pm_conv c = pm_conv_of(call);
  if (c.x.n != c.y.n || c.x.c < 1 || c.groups < 1) return false;
  if (c.x.c % c.groups || c.y.c % c.groups || (bias && bias->dims[0] != c.y.c)) return false;
  if (!pm_window_size(&c) || !weights_fit(w, &c) || !pm_is_stored(call)) return false;
  return c.row0 >= 0 && c.row0 <= c.row1 && c.row1 <= c.y.h;
}

PM_CHECK(conv) {
  if (!pm_conv_fits(call, CONV_SHARED + SPLIT_PARAMS)) return PM_E_PARAMS;
  const pm_conv c = pm_conv_of(call);
  const int64_t panels = pm_panels(c.y.c / c.groups) * c.groups, k = pm_window_size(&c);
  if (c.weights == PM_WEIGHTS_PACKED && call->in[1].t->dims[0] != panels) return PM_E_TENSOR;
  const int64_t *split = call->params + CONV_SHARED;
  const int64_t depth = split[SPLIT_DEPTH], columns = split[SPLIT_COLUMNS];
  if (depth < 1 || depth > k || split[SPLIT_ROWS] < 1) return PM_E_PARAMS;
  if (columns < 1 || columns % (2 * PM_PANEL) || columns > MOST) return PM_E_PARAMS;
  /* A residual that comes last may lie where the output goes: no half sums there. */
  if (c.epilogue.after && depth < k) return PM_E_PARAMS;
  const int64_t held = pm_panels(PM_MIN(columns, c.y.c / c.groups)) * PM_PANEL;
  if (pm_is_narrow(call) && held > MOST / depth) return PM_E_PARAMS;
  const int64_t floats = pm_packed_stride(depth) + pm_packed_stride(PM_MIN(columns, c.y.c));
  const int64_t widened = pm_is_narrow(call) ? depth * held : 0;
  need->own = (size_t)(floats * PM_MAX_MR + widened) * sizeof(float);
  if (c.weights != PM_WEIGHTS_PACKED) need->shared = (size_t)pm_packed_weights(&c) * sizeof(float);
  return PM_OK;
}
