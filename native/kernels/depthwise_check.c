#include "depthwise.h"

PM_CHECK(depthwise) {
  if (!pm_conv_fits(call, CONV_SHARED)) return PM_E_PARAMS;
  const pm_conv c = pm_conv_of(call);
  const pm_tensor *w = call->in[1].t, *bias = call->in[2].t;
  const int64_t panels = (c.x.c + PM_PANEL - 1) / PM_PANEL, taps = pm_window_size(&c);
  if (c.groups != c.x.c || c.y.c != c.x.c || !taps) return PM_E_PARAMS;
  if (w->rank != 3 || w->dims[0] != panels || w->dims[1] != taps || w->dims[2] != PM_PANEL)
    return PM_E_TENSOR;
  if (bias && bias->dims[0] != panels * PM_PANEL) return PM_E_TENSOR;
  /* The common windows share the pixels of neighbours; the others may have each its own. */
  const int64_t places = PM_MAX(taps * PM_MAX_PIXELS, 5 * (2 * PM_MAX_PIXELS + 5));
  need->own = pm_depthwise_zeros(c.x.c) + pm_depthwise_aside(c.x.c) +
              (size_t)places * sizeof(const float *);
  return PM_OK;
}
