#include "matmul.h"

static bool is_known(unsigned dtype) {
  return dtype != PM_F16 && dtype != PM_BF16 && dtype != PM_BOOL;
}

PM_CHECK(matmul_plain) {
  (void)need;
  if (!pm_matmul_fits(call) || call->params[MATMUL_PACKED]) return PM_E_PARAMS;
  if (call->params[MATMUL_KIND] != PM_ACT_NONE) return PM_E_PARAMS;
  return is_known(call->out[0].t->dtype) ? PM_OK : PM_E_TENSOR;
}
