#include "winograd.h"

#define MOST ((int64_t)1 << 40)

static bool is_3x3(const pm_conv *c) {
  const int64_t *k = c->kernel, *s = c->stride, *d = c->dilation;
  if (k[0] != 1 || k[1] != 3 || k[2] != 3 || s[0] != 1 || s[1] != 1 || s[2] != 1) return false;
  return d[1] == 1 && d[2] == 1 && c->pad[0] == 0 && c->groups == 1;
}

static bool split_is_possible(const pm_wino *w, const int64_t *p) {
  if (w->width != PM_PANEL && w->width != 2 * PM_PANEL) return false;
  if (p[WINO_DEPTH] < 1 || p[WINO_DEPTH] > w->channels) return false;
  if (p[WINO_BLOCK] < 1 || p[WINO_STRIP] < 1) return false;
  if (p[WINO_SHARED] == PM_WINO_WEIGHTS) return w->depth == w->channels;
  return p[WINO_SHARED] == PM_WINO_DATA && (w->depth == w->channels || w->strip <= w->block);
}

PM_CHECK(winograd) {
  if (!pm_conv_fits(call, CONV_SHARED + WINO_PARAMS)) return PM_E_PARAMS;
  const int64_t *p = call->params + CONV_SHARED;
  if (p[WINO_SIZE] != 2 && p[WINO_SIZE] != 4) return PM_E_PARAMS;
  if (p[WINO_WIDTH] < 1) return PM_E_PARAMS;
  const pm_conv c = pm_conv_of(call);
  if (!is_3x3(&c) || c.weights != PM_WEIGHTS_PACKED || call->in[0].t->rank != 4) return PM_E_PARAMS;
  if (call->in[1].t->dims[0] != pm_panels(c.y.c)) return PM_E_TENSOR;
  const pm_wino w = pm_wino_of(&c, p);
  if (!split_is_possible(&w, p)) return PM_E_PARAMS;
  const int64_t held = w.shared == PM_WINO_DATA ? w.strip : w.block;
  if (held > MOST / w.v_row / 64 || w.groups > MOST / w.width / 64 / (w.channels + 1)) return PM_E_PARAMS;
  const int64_t v = w.points * pm_wino_v_plane(&w, held);
  const int64_t u = w.points * pm_wino_u_plane(&w, w.depth);
  const int64_t m = w.points * pm_wino_m_plane(&w, w.block);
  const bool data = w.shared == PM_WINO_DATA;
  need->own = (size_t)(w.v_row + 4 * w.width + m + (data ? u : v)) * sizeof(float);
  need->shared = (size_t)(data ? v : u * w.groups) * sizeof(float);
  return PM_OK;
}
