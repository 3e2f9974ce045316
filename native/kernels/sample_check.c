#include "sample.h"

static bool is_float(const pm_tensor *t) { return t->dtype <= PM_BF16; }

PM_CHECK(grid_sample) {
  (void)need;
  if (!pm_has(call, 2, 1, 3) || !pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *places = call->in[1].t, *y = call->out[0].t;
  const int axes = x->rank - 2;
  if (axes < 1 || axes > PM_SAMPLE_AXES || places->rank != 3 || y->rank != 3) return PM_E_PARAMS;
  if (x->dtype != y->dtype || !is_float(places)) return PM_E_PARAMS;
  if (x->dims[0] != y->dims[0] || x->dims[1] != y->dims[1]) return PM_E_PARAMS;
  if (places->dims[0] != y->dims[0] || places->dims[1] != y->dims[2]) return PM_E_PARAMS;
  if (places->dims[2] != (uint32_t)axes) return PM_E_PARAMS;
  if (call->params[0] < 0 || call->params[0] >= PM_SAMPLE_MODES) return PM_E_PARAMS;
  if (call->params[1] < 0 || call->params[1] >= PM_PAD_MODES) return PM_E_PARAMS;
  return call->params[0] == PM_SAMPLE_NEAREST || is_float(x) ? PM_OK : PM_E_PARAMS;
}

PM_CHECK(affine_grid) {
  (void)need;
  const int axes = call->n_in - 1;
  if (axes < 1 || axes > PM_SAMPLE_AXES || !pm_has(call, axes + 1, 1, 0)) return PM_E_PARAMS;
  if (!pm_are_whole(call)) return PM_E_PARAMS;
  const pm_tensor *theta = call->in[0].t, *y = call->out[0].t;
  if (theta->rank != 3 || y->rank != axes + 2 || !is_float(theta) || !is_float(y)) return PM_E_PARAMS;
  if (theta->dims[0] != y->dims[0] || y->dims[axes + 1] != (uint32_t)axes) return PM_E_PARAMS;
  if (theta->dims[1] != (uint32_t)axes || theta->dims[2] != (uint32_t)axes + 1) return PM_E_PARAMS;
  for (int i = 0; i < axes; i++) {
    const pm_tensor *centres = call->in[i + 1].t;
    if (centres->dtype != PM_F64 || centres->rank != 1) return PM_E_PARAMS;
    if (centres->dims[0] != y->dims[i + 1]) return PM_E_PARAMS;
  }
  return PM_OK;
}
