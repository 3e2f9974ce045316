#include "winograd.h"

#define MOST ((int64_t)1 << 40)

static bool is_3x3(const pm_conv *c) {
  const int64_t *k = c->kernel, *s = c->stride, *d = c->dilation;
  if (k[0] != 1 || k[1] != 3 || k[2] != 3 || s[0] != 1 || s[1] != 1 || s[2] != 1) return false;
  return d[1] == 1 && d[2] == 1 && c->pad[0] == 0 && c->groups == 1;
}

static bool split_is_possible(const pm_conv *c, const int64_t *p) {
  if (p[WINO_SIZE] != 2 && p[WINO_SIZE] != 4) return false;
  if (p[WINO_DEPTH] < 1 || p[WINO_DEPTH] > c->x.c || p[WINO_BLOCK] < 1) return false;
  return p[WINO_KEEP] == 0 || (p[WINO_KEEP] == 1 && p[WINO_DEPTH] == c->x.c);
}

PM_CHECK(winograd) {
  if (!pm_conv_fits(call, CONV_SHARED + WINO_PARAMS)) return PM_E_PARAMS;
  const int64_t *p = call->params + CONV_SHARED;
  const pm_conv c = pm_conv_of(call);
  if (!is_3x3(&c) || c.weights != PM_WEIGHTS_PACKED || call->in[0].t->rank != 4) return PM_E_PARAMS;
  if (call->in[1].t->dims[0] != pm_panels(c.y.c)) return PM_E_TENSOR;
  if (!split_is_possible(&c, p)) return PM_E_PARAMS;
  const pm_wino w = pm_wino_of(&c, p, need->workers);
  const int64_t groups = w.keep ? w.groups : 1;
  if (w.block > MOST / w.v_row / 64 || groups > MOST / 1024 / (w.depth + 1)) return PM_E_PARAMS;
  const int64_t planes = pm_wino_v_plane(&w) + pm_wino_m_plane(&w) + groups * pm_wino_u_plane(&w);
  const int64_t taps = pm_is_narrow(call) ? PM_WINO_TAPS : 0;
  need->own = (size_t)(w.v_row + 16 * PM_PANEL + taps + w.points * planes) * sizeof(float) +
              (size_t)w.groups;
  return PM_OK;
}
