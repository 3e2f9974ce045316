#include "depthwise.h"

PM_CHECK(depthwise) {
  if (!pm_conv_fits(call, CONV_SHARED)) return PM_E_PARAMS;
  const pm_conv c = pm_conv_of(call);
  const int64_t panels = pm_panels(c.x.c), steps = pm_window_size(&c), spread = c.x.c / c.groups;
  const int64_t taps = steps / spread;
  if (c.y.c != c.x.c || spread > 32 || (spread & (spread - 1))) return PM_E_PARAMS;
  if (c.weights == PM_WEIGHTS_PACKED && call->in[1].t->dims[0] != panels) return PM_E_TENSOR;
  /* The common windows share the pixels of neighbours; the others may have each its own. */
  const int64_t places = PM_MAX(taps * PM_MAX_PIXELS, 5 * (2 * PM_MAX_PIXELS + 5));
  need->own = pm_depthwise_zeros(c.x.c) + pm_depthwise_aside(c.x.c) +
              (size_t)places * sizeof(const float *);
  if (c.weights != PM_WEIGHTS_PACKED || pm_is_narrow(call))
    need->shared = (size_t)(panels * steps * PM_PANEL) * sizeof(float);
  return PM_OK;
}
