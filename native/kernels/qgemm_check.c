#include "qgemm.h"

static bool is_in(unsigned dtype, int64_t value) {
  if (dtype == PM_U8) return value >= 0 && value <= UINT8_MAX;
  return value >= INT8_MIN && value <= INT8_MAX;
}

bool pm_qfinish_fits(const pm_tensor *y, int64_t zero, int64_t low, int64_t high) {
  if (y->dtype == PM_F32 || y->dtype == PM_I32) return true;
  if (!pm_is_byte(y)) return false;
  return is_in(y->dtype, zero) && is_in(y->dtype, low) && is_in(y->dtype, high) && low <= high;
}

bool pm_qpanels_fit(const pm_tensor *w, int64_t panels, int64_t k, int64_t tail) {
  if (tail < 0 || tail > PM_QROWS || !(tail & PM_QSUMS)) return false;
  return w->dtype == PM_I8 && w->rank == 4 && pm_is_contiguous(w) && w->dims[0] == panels &&
         w->dims[1] == pm_qgroups(k, tail) && w->dims[2] == PM_QPANEL && w->dims[3] == 4;
}

bool pm_qmultiplier_fits(const pm_tensor *y, const pm_tensor *given, int64_t columns, int64_t tail) {
  if (!given) return y->dtype == PM_I32 || (tail & PM_QMULTIPLIERS);
  if (given->dtype != PM_F32 || given->rank > 1 || !pm_is_contiguous(given)) return false;
  return given->rank == 0 || given->dims[0] == 1 || given->dims[0] == columns;
}

bool pm_qzero_fits(const pm_tensor *x, const pm_tensor *given, int64_t zero) {
  if (!is_in(x->dtype, zero)) return false;
  return !given || (given->dtype == x->dtype && pm_count(given) == 1);
}
