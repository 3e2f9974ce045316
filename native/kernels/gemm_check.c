#include "gemm.h"

bool pm_epilogue_fits(int64_t kind, int64_t after) {
  return kind >= 0 && kind < PM_ACT_COUNT && (after == 0 || after == 1);
}
