#include "dft.h"

PM_CHECK(dft) {
  if (call->n_in != 2 || call->n_out != 1 || call->n_params != PM_DFT_PARAMS) return PM_E_PARAMS;
  const pm_tensor *x = call->in[0].t, *window = call->in[1].t, *y = call->out[0].t;
  const int64_t length = call->params[PM_DFT_LENGTH];
  if (!x || !y || length < 1 || length > 1 << 24) return PM_E_PARAMS;
  if ((x->dtype != PM_F32 && x->dtype != PM_F64) || x->dtype != y->dtype || !pm_are_whole(call)) return PM_E_TENSOR;
  if (x->rank < 2 || y->rank != x->rank) return PM_E_TENSOR;
  const int last = x->rank - 1;
  for (int i = 0; i < last - 1; i++)
    if (x->dims[i] != y->dims[i]) return PM_E_TENSOR;
  if (x->dims[last] < 1 || x->dims[last] > 2 || y->dims[last] < 1 || y->dims[last] > 2) return PM_E_TENSOR;
  if (y->dims[last - 1] > length) return PM_E_TENSOR;
  if (window && (window->dtype != x->dtype || window->rank != 1 || window->dims[0] < x->dims[last - 1]))
    return PM_E_TENSOR;
  need->own = (size_t)length * PM_DFT_SCRATCH * sizeof(double);
  return PM_OK;
}
