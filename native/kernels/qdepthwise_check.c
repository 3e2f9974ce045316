#include "qdepthwise.h"

PM_CHECK(qdepthwise) {
  if (!pm_qconv_fits(call, QCONV_SHARED)) return PM_E_PARAMS;
  const pm_conv c = pm_qconv_of(call);
  const int64_t taps = pm_window_size(&c);
  if (c.groups != c.x.c || c.y.c != c.x.c) return PM_E_PARAMS;
  if (!pm_qpanels_fit(call->in[1].t, pm_qpanels(c.x.c), taps, call->params[QCONV_TAIL])) return PM_E_TENSOR;
  need->shared = (size_t)pm_qdepthwise_shared(c.x.c, taps);
  need->own = (size_t)pm_qdepthwise_outside(c.x.c) + (size_t)pm_qsteps(taps) * 4 * sizeof(const uint8_t *);
  return PM_OK;
}
