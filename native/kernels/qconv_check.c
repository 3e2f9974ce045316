#include "conv_split.h"
#include "qconv.h"

#define MOST ((int64_t)1 << 30)

bool pm_qconv_fits(const pm_call *call, int n_params) {
  if (call->n_in != 4 || call->n_out != 1 || call->n_params != n_params) return false;
  const pm_tensor *x = call->in[0].t, *w = call->in[1].t, *y = call->out[0].t;
  if (!x || !w || !y || !pm_is_byte(x)) return false;
  if (!pm_is_image(x, x->dtype) || !pm_is_image(y, y->dtype) || x->rank != y->rank) return false;
  const int64_t *p = call->params;
  if (!pm_window_is_possible(p) || !pm_qzero_fits(x, call->in[2].t, p[QCONV_ZERO])) return false;
  if (!pm_qfinish_fits(y, p[QCONV_Y_ZERO], p[QCONV_LOW], p[QCONV_HIGH])) return false;
  const pm_conv c = pm_qconv_of(call);
  if (c.x.n != c.y.n || c.x.c < 1 || c.groups < 1) return false;
  if (c.x.c % c.groups || c.y.c % c.groups || !pm_window_size(&c)) return false;
  if (!pm_qmultiplier_fits(y, call->in[3].t, c.y.c, p[QCONV_TAIL])) return false;
  return c.row0 >= 0 && c.row0 <= c.row1 && c.row1 <= c.y.h;
}

PM_CHECK(qconv) {
  if (!pm_qconv_fits(call, QCONV_SHARED + SPLIT_PARAMS)) return PM_E_PARAMS;
  const pm_conv c = pm_qconv_of(call);
  const int64_t k = pm_window_size(&c), panels = pm_qpanels(c.y.c / c.groups) * c.groups;
  if (!pm_qpanels_fit(call->in[1].t, panels, k, call->params[QCONV_TAIL])) return PM_E_TENSOR;
  const int64_t *split = call->params + QCONV_SHARED;
  if (split[SPLIT_DEPTH] != k || split[SPLIT_ROWS] < 1) return PM_E_PARAMS;
  const int64_t columns = split[SPLIT_COLUMNS];
  if (columns < 1 || columns % (2 * PM_QPANEL) || columns > MOST) return PM_E_PARAMS;
  need->own = (size_t)pm_qtile_bytes(k);
  return PM_OK;
}
