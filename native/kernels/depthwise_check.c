#include "depthwise.h"

PM_CHECK(depthwise) {
  if (!pm_conv_fits(call, CONV_SHARED)) return PM_E_PARAMS;
  const pm_conv c = pm_conv_of(call);
  const int64_t panels = pm_panels(c.x.c), taps = pm_window_size(&c);
  if (c.groups != c.x.c || c.y.c != c.x.c) return PM_E_PARAMS;
  if (c.weights == PM_WEIGHTS_PACKED && call->in[1].t->dims[0] != panels) return PM_E_TENSOR;
  /* The common windows share the pixels of neighbours; the others may have each its own. */
  const int64_t places = PM_MAX(taps * PM_MAX_PIXELS, 5 * (2 * PM_MAX_PIXELS + 5));
  need->own = pm_depthwise_zeros(c.x.c) + pm_depthwise_aside(c.x.c) +
              (size_t)places * sizeof(const float *);
  if (c.weights != PM_WEIGHTS_PACKED)
    need->shared = (size_t)(panels * taps * PM_PANEL) * sizeof(float);
  return PM_OK;
}
